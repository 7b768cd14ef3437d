// Encoders: from pixels to embeddings.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "vsearch/image.h"
#include "vsearch/types.h"

namespace vsearch {

enum class ResizeEdge {
  kShortest,  // the short edge becomes `resize_height_px`, the aspect ratio is kept
  kStretch,   // exactly resize_width_px x resize_height_px, the aspect ratio is not kept
  kNone,      // pixels stay as they are; the picture must have the input size
};
enum class Interpolation { kBilinear, kBicubic };  // both antialiased, as Pillow resizes
enum class ColourOrder { kRgb, kBgr };

// What happens to a picture before the network sees it: resize, centre crop, scale to [0, 1],
// then (x - mean) / stddev per channel.
struct Preprocessing {
  std::uint32_t width_px = 224;  // what the network takes
  std::uint32_t height_px = 224;
  ResizeEdge resize_edge = ResizeEdge::kShortest;
  std::uint32_t resize_width_px = 256;
  std::uint32_t resize_height_px = 256;
  Interpolation interpolation = Interpolation::kBicubic;
  bool centre_crop = true;  // cut width_px x height_px from the middle after the resize
  std::array<float, 3> mean{0.485F, 0.456F, 0.406F};    // in the order of colour_order
  std::array<float, 3> stddev{0.229F, 0.224F, 0.225F};  // likewise
  ColourOrder colour_order = ColourOrder::kRgb;
};

struct EncoderInfo {
  std::string name;         // as the package names itself, e.g. "deit-tiny-patch16-224"
  std::string license;      // SPDX identifier, or empty
  std::string source;       // where the weights come from, or empty
  std::string fingerprint;  // SHA-256 over manifest and weights, 64 hex digits; see
                            // docs/models.md. Embeddings of two fingerprints never mix.
  std::uint32_t dim = 0;    // floats per embedding
  Metric metric = Metric::kCosine;
  Preprocessing preprocessing;
};

// Turns pictures into embeddings.
// Threads: every member may be called from many threads at once.
class Encoder {
 public:
  virtual ~Encoder() = default;

  virtual const EncoderInfo& info() const = 0;

  // One embedding per picture, in their order: [images.size() x info().dim], float32, as the model
  // gives them (not normalised unless the model itself does so). A picture's embedding does not
  // depend on the others beside it. Works in batches; `progress` counts pictures.
  // Throws Error: kInvalidArgument (an empty picture, a stride shorter than a row), kBadImage (so
  // long and narrow that resizing it would take more than 100 megapixels; or, where the model does
  // not resize, of another size than its input), kBadModel (the network gave NaN, Inf or a wrong
  // shape), kCancelled, kOutOfMemory. The message counts pictures from 1.
  virtual Matrix encode(std::span<const ImageView> images, const Progress& progress = {}) const = 0;
};

enum class Device { kCpu, kCuda };

struct EncoderOptions {
  Device device = Device::kCpu;
  std::uint32_t device_index = 0;                // which CUDA device
  std::optional<std::uint32_t> batch_size = {};  // pictures per forward pass, at least 1; if not
                                                 // given, what suits the device
  bool verify = true;                            // check the package's golden pairs on load
  // For a bare TorchScript file, which has no manifest: what to do before its forward(). Its
  // fingerprint covers these values. Must be empty for a package.
  std::optional<Preprocessing> preprocessing{};
};

// Loads a model package (docs/models.md), or a bare TorchScript file if
// options.preprocessing is set.
// Throws Error: kFileNotFound; kBadModel (no TorchScript, no manifest, a broken manifest, golden
// pairs that do not match: wrong preprocessing or a broken numeric library); kUnavailable (CUDA
// asked for and absent; or a library built without torch); kInvalidArgument (a batch size of 0, a
// preprocessing that cannot be followed or that is given for a package); kOutOfMemory.
std::shared_ptr<Encoder> load_encoder(const std::filesystem::path& path,
                                      const EncoderOptions& options = {});

// The name that stands for the encoder that comes with the library.
inline constexpr std::string_view kDefaultEncoder = "efficientnet-lite0";

// Where the encoder called `name_or_path` lies: the path itself if such a file exists, else
// NAME.vsm.pt in the folders of the environment variable VSEARCH_MODEL_PATH (separated by ':'),
// then in share/vsearch/models of the installation this code runs from, then of the prefix it was
// configured for, then in models/ of the source tree it was built from.
// Throws Error: kFileNotFound, with the folders that were searched.
std::filesystem::path find_encoder(std::string_view name_or_path = kDefaultEncoder);

// What a catalogue records of the encoder called `name_or_path` (CatalogCreateOptions::encoder_ref)
// so that find_encoder() finds it again from any working directory: the absolute path if
// `name_or_path` is a file, else the name as it is, which moves with the models.
// Throws what find_encoder() throws.
std::string encoder_reference(std::string_view name_or_path = kDefaultEncoder);

}  // namespace vsearch
