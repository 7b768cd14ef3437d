// load_encoder(): model packages and bare TorchScript files, run by libtorch.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/cuda.h>
#include <torch/script.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "encoder/golden.h"
#include "encoder/manifest.h"
#include "encoder/preprocessing.h"
#include "encoder/torch_error.h"
#include "encoder/torch_fingerprint.h"
#include "encoder/torch_preprocess.h"
#include "vsearch/encoder.h"
#include "vsearch/error.h"

namespace vsearch {
namespace encoder {
namespace {

namespace fs = std::filesystem;

constexpr char kExportRemedy[] =
    "make a package with python -m vsearch.export, see docs/models.md";

class TorchEncoder final : public Encoder {
 public:
  TorchEncoder(std::string path, torch::jit::Module module, const std::string& method,
               EncoderInfo info, at::Device device, std::uint32_t batch_size)
      : path_(std::move(path)),
        module_(std::move(module)),
        method_(module_.get_method(method)),
        info_(std::move(info)),
        device_(device),
        batch_size_(batch_size) {
    module_.eval();
    module_.to(device_);
  }

  const EncoderInfo& info() const override { return info_; }

  Matrix encode(std::span<const ImageView> images, const Progress& progress) const override {
    check_views(images);
    Matrix result(images.size(), info_.dim);
    for (std::size_t first = 0; first < images.size();) {
      const std::size_t count = std::min<std::size_t>(batch_size_, images.size() - first);
      const at::Tensor embeddings = forward(images.subspan(first, count), first);
      if (embeddings.size(1) != info_.dim) {
        throw Error(ErrorCode::kBadModel,
                    fmt::format("{}: the model gave embeddings of {} dimensions, its manifest says "
                                "{}; {}",
                                path_, embeddings.size(1), info_.dim, kExportRemedy));
      }
      std::copy_n(embeddings.const_data_ptr<float>(), count * info_.dim, result.row(first).data());
      check_finite(result, first, count);
      first += count;
      if (progress && !progress(first, images.size())) {
        throw Error(
            ErrorCode::kCancelled,
            fmt::format("encoding was cancelled after {} of {} pictures", first, images.size()));
      }
    }
    return result;
  }

  // For a bare TorchScript file, whose dimension nothing tells: one trial run.
  void find_dim() {
    const Preprocessing& p = info_.preprocessing;
    const Image trial = golden_picture(p.width_px, p.height_px, 1);
    const ImageView view = trial.view();
    info_.dim = static_cast<std::uint32_t>(forward({&view, 1}, 0).size(1));
  }

 private:
  static void check_views(std::span<const ImageView> images) {
    for (std::size_t i = 0; i < images.size(); ++i) {
      const ImageView& image = images[i];
      if (image.data == nullptr || image.width_px == 0 || image.height_px == 0) {
        throw Error(ErrorCode::kInvalidArgument,
                    fmt::format("picture {} of {} is empty; leave it out", i + 1, images.size()));
      }
      if (image.stride_bytes < std::size_t{image.width_px} * 3) {
        throw Error(ErrorCode::kInvalidArgument,
                    fmt::format("picture {} of {}: a stride of {} bytes is less than a row of {} "
                                "RGB pixels; set ImageView::stride_bytes",
                                i + 1, images.size(), image.stride_bytes, image.width_px));
      }
    }
  }

  // float32 [images.size(), some dimension] on the CPU, contiguous.
  at::Tensor forward(std::span<const ImageView> images, std::size_t first) const {
    return run_torch(ErrorCode::kBadModel, path_, kExportRemedy, [&] {
      const c10::InferenceMode inference;
      const at::Tensor pixels = resize_batch(images, info_.preprocessing, first).to(device_);
      const c10::IValue output = method_({normalise(pixels, info_.preprocessing)});
      if (!output.isTensor()) {
        throw Error(ErrorCode::kBadModel,
                    fmt::format("{}: the model gave {} instead of a tensor; {}", path_,
                                output.tagKind(), kExportRemedy));
      }
      const at::Tensor& embeddings = output.toTensor();
      const auto count = static_cast<std::int64_t>(images.size());
      if (embeddings.dim() != 2 || embeddings.size(0) != count || embeddings.size(1) < 1 ||
          !embeddings.is_floating_point()) {
        throw Error(
            ErrorCode::kBadModel,
            fmt::format("{}: the model gave {} [{}] for {} pictures, not float [{}, dim]; {}",
                        path_, c10::toString(embeddings.scalar_type()),
                        fmt::join(embeddings.sizes(), ", "), count, count, kExportRemedy));
      }
      return embeddings.to(at::kCPU, at::kFloat).contiguous();
    });
  }

  void check_finite(const Matrix& result, std::size_t first, std::size_t count) const {
    for (std::size_t row = first; row < first + count; ++row) {
      for (const float value : result.row(row)) {
        if (!std::isfinite(value)) {
          throw Error(
              ErrorCode::kBadModel,
              fmt::format("{}: the model gave {} for picture {}; its weights are damaged or "
                          "overflow in their precision: {}",
                          path_, std::isnan(value) ? "NaN" : "an infinite value", row + 1,
                          kExportRemedy));
        }
      }
    }
  }

  std::string path_;
  torch::jit::Module module_;
  torch::jit::Method method_;
  EncoderInfo info_;
  at::Device device_;
  std::uint32_t batch_size_;
};

at::Device find_device(const EncoderOptions& options) {
  if (options.device == Device::kCpu) return at::kCPU;
  const std::size_t count = torch::cuda::is_available() ? torch::cuda::device_count() : 0;
  if (options.device_index >= count) {
    throw Error(ErrorCode::kUnavailable,
                count == 0 ? std::string("CUDA was asked for, but this machine or this build of "
                                         "torch has none; use Device::kCpu or install a torch with "
                                         "CUDA and its driver")
                           : fmt::format("CUDA device {} was asked for, but there are only {}; set "
                                         "EncoderOptions::device_index lower",
                                         options.device_index, count));
  }
  return {at::kCUDA, static_cast<c10::DeviceIndex>(options.device_index)};
}

// On a CPU larger batches are slower: their activations are blocks so large that malloc gives them
// back to the system after every layer, and each page is faulted in again (EfficientNet-Lite0 on
// two cores: 90 pictures a second by 4, 75 by 16). A GPU needs more to be busy.
std::uint32_t chosen_batch_size(const EncoderOptions& options, at::Device device) {
  return options.batch_size.value_or(device.is_cuda() ? 32 : 4);
}

struct Archive {
  torch::jit::Module module;
  std::string manifest;  // empty: a bare TorchScript file
};

Archive open_archive(const fs::path& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) {
    throw Error(ErrorCode::kBadModel,
                fmt::format("{}: a folder, not a model package; make a package of a Hugging Face "
                            "model folder with python -m vsearch.export hf {} -o NAME.vsm.pt",
                            path.string(), path.string()));
  }
  if (!fs::exists(path, ignored)) {
    throw Error(ErrorCode::kFileNotFound,
                fmt::format("{}: no such file; check the path", path.string()));
  }
  return run_torch(ErrorCode::kBadModel,
                   path.string() + ": not a TorchScript archive, or a damaged one", kExportRemedy,
                   [&path] {
                     torch::jit::ExtraFilesMap extra{{kManifestFile, ""}};
                     Archive archive;
                     archive.module = torch::jit::load(path.string(), at::kCPU, extra);
                     archive.manifest = std::move(extra[kManifestFile]);
                     return archive;
                   });
}

void check_golden_pairs(const Encoder& loaded, const std::vector<GoldenPair>& pairs,
                        const std::string& path) {
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const Image picture = golden_picture(pairs[i].width_px, pairs[i].height_px, pairs[i].seed);
    const ImageView view = picture.view();
    const Matrix computed = loaded.encode({&view, 1});
    check_golden(path, pairs[i], i, pairs.size(), computed.row(0));
  }
}

std::shared_ptr<Encoder> load_package(const std::string& path, Archive archive, at::Device device,
                                      const EncoderOptions& options) {
  if (options.preprocessing) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("{}: a model package, which says itself how pictures are prepared; leave "
                    "EncoderOptions::preprocessing empty",
                    path));
  }
  Manifest manifest = parse_manifest(archive.manifest, path);
  constexpr char kMethod[] = "encode_image";
  if (!archive.module.find_method(kMethod)) {
    throw Error(ErrorCode::kBadModel,
                fmt::format("{}: its script has no method {}; {}", path, kMethod, kExportRemedy));
  }
  manifest.info.fingerprint = fingerprint(manifest.canonical, archive.module, path);
  auto loaded = std::make_shared<TorchEncoder>(path, std::move(archive.module), kMethod,
                                               std::move(manifest.info), device,
                                               chosen_batch_size(options, device));
  if (options.verify) check_golden_pairs(*loaded, manifest.golden, path);
  return loaded;
}

std::shared_ptr<Encoder> load_bare(const fs::path& path, Archive archive, at::Device device,
                                   const EncoderOptions& options) {
  if (!options.preprocessing) {
    throw Error(ErrorCode::kBadModel,
                fmt::format("{}: a TorchScript file without {}: not a model package; {}, or set "
                            "EncoderOptions::preprocessing",
                            path.string(), kManifestFile, kExportRemedy));
  }
  const std::string fault = find_fault(*options.preprocessing);
  if (!fault.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: EncoderOptions::preprocessing cannot be followed: {}",
                            path.string(), fault));
  }
  EncoderInfo info;
  info.name = path.stem().string();
  info.preprocessing = *options.preprocessing;
  info.fingerprint = fingerprint(canonical_text(info.preprocessing), archive.module, path.string());
  const char* const method =
      archive.module.find_method("encode_image") ? "encode_image" : "forward";
  auto loaded =
      std::make_shared<TorchEncoder>(path.string(), std::move(archive.module), method,
                                     std::move(info), device, chosen_batch_size(options, device));
  loaded->find_dim();
  return loaded;
}

}  // namespace
}  // namespace encoder

std::shared_ptr<Encoder> load_encoder(const std::filesystem::path& path,
                                      const EncoderOptions& options) {
  if (options.batch_size == 0) {
    throw Error(ErrorCode::kInvalidArgument,
                "EncoderOptions::batch_size is 0; it must be at least 1");
  }
  const std::string name = path.string();
  return encoder::run_torch(ErrorCode::kBadModel, name, encoder::kExportRemedy, [&] {
    const at::Device device = encoder::find_device(options);
    encoder::Archive archive = encoder::open_archive(path);
    return archive.manifest.empty()
               ? encoder::load_bare(path, std::move(archive), device, options)
               : encoder::load_package(name, std::move(archive), device, options);
  });
}

}  // namespace vsearch
