// Encoders: from pixels to embeddings.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "vsearch/error.h"
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

// In which numbers a network computes. Embeddings are float32 in any case, and those of two
// precisions of one model may be compared: docs/models.md says how far they differ.
enum class Precision {
  kAuto,      // the fastest on this machine of those the package was measured for
  kFloat32,   // the reference
  kBFloat16,  // CPU and CUDA
  kFloat16,   // CUDA only
  kInt8,      // CPU only, and only where the package has it
};

// "auto", "fp32", "bf16", "fp16", "int8".
std::string_view precision_name(Precision precision);
std::optional<Precision> find_precision(std::string_view name);

enum class Device { kCpu, kCuda };

struct EncoderInfo {
  std::string name;         // as the package names itself, e.g. "deit-tiny-patch16-224"
  std::string license;      // SPDX identifier, or empty
  std::string source;       // where the weights come from, or empty
  std::string fingerprint;  // SHA-256 over manifest and weights, 64 hex digits; see
                            // docs/models.md. Embeddings of two fingerprints never mix.
  // The fingerprint of a package whose embeddings of pictures this one gives, too, being it with a
  // text tower (text_trainer.h); else empty.
  std::string image_of;
  std::uint32_t dim = 0;        // floats per embedding
  std::uint32_t token_dim = 0;  // floats per local token; 0: no encode_tokens()
  bool has_text = false;        // whether encode_text() works
  Metric metric = Metric::kCosine;
  Preprocessing preprocessing;
  std::vector<Precision> fast_forms;          // what the package has special code for on a CPU
  Precision precision = Precision::kFloat32;  // in use; never kAuto
};

// Local features: for each picture the same number of tokens.
struct Tokens {
  std::vector<float> values;  // [pictures x per_picture x dim]
  std::uint32_t per_picture = 0;
  std::uint32_t dim = 0;

  std::span<const float> of_picture(std::size_t picture) const {
    const std::size_t size = std::size_t{per_picture} * dim;
    return {values.data() + picture * size, size};
  }
};

// Turns pictures, and where the model can words, into embeddings of one space.
// Threads: every member may be called from many threads at once.
class Encoder {
 public:
  virtual ~Encoder() = default;

  virtual const EncoderInfo& info() const = 0;

  // One embedding per picture, in their order: [images.size() x info().dim], float32, as the model
  // gives them (not normalised unless the model itself does so). A picture's embedding does not
  // depend on the others beside it. Works in batches, on a CPU several at a time; `progress` counts
  // pictures and is called on the calling thread.
  // Throws Error: kInvalidArgument (an empty picture, a stride shorter than a row), kBadImage (so
  // long and narrow that resizing it would take more than 100 megapixels; or, where the model does
  // not resize, of another size than its input), kBadModel (the network gave NaN, Inf or a wrong
  // shape), kUnavailable (in a child forked from the process that loaded it), kCancelled,
  // kOutOfMemory. The message counts pictures from 1.
  virtual Matrix encode(std::span<const ImageView> images, const Progress& progress = {}) const = 0;

  // The local tokens of each picture, for re-ranking. Errors as encode(), and kUnavailable where
  // info().token_dim is 0, which is also what this default throws.
  virtual Tokens encode_tokens(std::span<const ImageView> images) const;

  // One embedding per text (UTF-8), in the space of encode(): [texts.size() x info().dim]. Texts
  // longer than the model reads are cut, as the model's own tokenizer does; it is given the first
  // 16 KiB of each.
  // Throws Error: kUnavailable where info().has_text is false, which is also what this default
  // throws; kInvalidArgument (no UTF-8); kBadModel, kOutOfMemory.
  virtual Matrix encode_text(std::span<const std::string> texts) const;
};

struct EncoderOptions {
  Device device = Device::kCpu;
  std::uint32_t device_index = 0;  // which CUDA device
  Precision precision = Precision::kAuto;
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
// asked for and absent; a precision that the package or the device does not have; or a library
// built without torch); kInvalidArgument (a batch size of 0, a preprocessing that cannot be
// followed or that is given for a package); kOutOfMemory.
std::shared_ptr<Encoder> load_encoder(const std::filesystem::path& path,
                                      const EncoderOptions& options = {});

// The name that stands for the encoder that comes with the library.
inline constexpr std::string_view kDefaultEncoder = "efficientnet-lite0";

// Where the encoder called `name_or_path` lies: the path itself if such a file exists, else
// NAME.vsm.pt in the folders of the environment variable VSEARCH_MODEL_PATH (separated by ':'),
// then in the user's own folder, vsearch/models in $XDG_DATA_HOME or else in ~/.local/share, then
// in share/vsearch/models of the installation this code runs from, then of the prefix it was
// configured for, then in models/ of the source tree it was built from.
// Throws Error: kFileNotFound, with the folders that were searched.
std::filesystem::path find_encoder(std::string_view name_or_path = kDefaultEncoder);

// Where a model that this user adds belongs, so that find_encoder() finds it by its name: the first
// folder of VSEARCH_MODEL_PATH, else the user's own. It need not exist yet; empty where the
// environment names neither a folder nor a home.
std::filesystem::path user_model_folder();

// What a catalogue records of the encoder called `name_or_path` (CatalogCreateOptions::encoder_ref)
// so that find_encoder() finds it again from any working directory: the absolute path if
// `name_or_path` is a file, else the name as it is, which moves with the models.
// Throws what find_encoder() throws.
std::string encoder_reference(std::string_view name_or_path = kDefaultEncoder);

// How a picture should be decoded for this preprocessing: a JPEG at the smallest size that still
// covers what the resize makes of it, which is faster and moves an embedding by little (mean cosine
// at least 0.999). `exact`: in full, as the reference pipelines do.
DecodeOptions decode_options(const Preprocessing& preprocessing, bool exact = false);

// Takes the result of picture `index`, counted from 0: its embedding
// [dim], or, with an empty span, why there is none. Returns false to stop.
using EncodeSink =
    std::function<bool(std::size_t index, std::span<const float> embedding, const Error* failure)>;

// encode() that goes on where a picture cannot be encoded: gives `sink` every embedding, in order,
// or the reason, which does not name the picture. All other errors are thrown: those of the model
// too, since they would meet the other pictures.
// Throws what encode() throws but kBadImage and kInvalidArgument, and kCancelled where `progress`
// or `sink` returned false.
void encode_each(const Encoder& encoder, std::span<const ImageView> images, const EncodeSink& sink,
                 const Progress& progress = {});

// A picture on its way into encode_stream(): a file, an encoded file in memory, or pixels.
using EncodeInput = std::variant<std::filesystem::path, std::vector<std::byte>, Image>;
// Gives the next picture, or nothing after the last.
using EncodeSource = std::function<std::optional<EncodeInput>()>;

struct EncodeOptions {
  bool exact = false;              // see decode_options()
  bool lenient = false;            // see DecodeOptions
  DecodeLimits limits{};           // of each picture
  std::uint32_t read_threads = 0;  // that read and decode ahead; 0: as many as suit the machine
  std::uint64_t ahead_bytes = std::uint64_t{64} << 20;  // of decoded pixels held at a time, beside
                                                        // the pictures being encoded
  // Asked from time to time on the calling thread, also while pictures are being encoded; false
  // stops. May be empty.
  std::function<bool()> go_on{};
};

// Encodes any number of pictures: reads and decodes them on threads of its own, ahead of the
// network, in bounded memory. Results come in the order of the source; a bad picture (kBadImage,
// kFileNotFound, kIo) is reported and does not stop the others. Source and sink are called on the
// calling thread; what they throw comes through.
// Throws Error: kCancelled (the sink or options.go_on returned false) and what Encoder::encode()
// throws but for bad pictures.
void encode_stream(const Encoder& encoder, const EncodeSource& source, const EncodeSink& sink,
                   const EncodeOptions& options = {});

struct EncodeFailure {
  std::size_t index = 0;  // which of the files, counted from 0
  Error error;            // names the file
};
struct EncodedFiles {
  Matrix embeddings;  // [files x dim]; the row of a failed one is NaN, which every index refuses
  std::vector<EncodeFailure> failures;  // by ascending index
};

// encode_stream() over files. `progress` counts files, the failed ones too.
EncodedFiles encode_files(const Encoder& encoder, std::span<const std::filesystem::path> files,
                          const EncodeOptions& options = {}, const Progress& progress = {});

}  // namespace vsearch
