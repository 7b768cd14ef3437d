// load_encoder(): model packages and bare TorchScript files.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>
#include <torch/cuda.h>

#include <algorithm>
#include <utility>

#include "encoder/golden.h"
#include "encoder/manifest.h"
#include "encoder/preprocessing.h"
#include "encoder/torch_archive.h"
#include "encoder/torch_encoder.h"
#include "encoder/torch_error.h"
#include "encoder/torch_fingerprint.h"
#include "encoder/torch_precision.h"
#include "vsearch/encoder.h"
#include "vsearch/error.h"

namespace vsearch {
namespace encoder {
namespace {

constexpr char kImageMethod[] = "encode_image";
constexpr char kTokensMethod[] = "encode_tokens";
constexpr char kTextMethod[] = "encode_text";

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

// On a CPU a batch is one thread's, and its activations should stay in that core's cache. A GPU
// needs more to be busy.
std::size_t chosen_batch_size(const EncoderOptions& options, at::Device device) {
  return options.batch_size.value_or(device.is_cuda() ? 32 : 4);
}

void require_method(const torch::jit::Module& module, const char* method, const std::string& path) {
  if (module.find_method(method)) return;
  throw Error(ErrorCode::kBadModel,
              fmt::format("{}: its script has no method {}; {}", path, method, kExportRemedy));
}

void check_golden_pairs(const Network& network, const Manifest& manifest,
                        const GoldenTolerance& tolerance, const std::string& path) {
  TorchModel model;
  model.path = path;
  model.info = manifest.info;
  model.info.has_text = false;
  model.image = std::shared_ptr<const Network>(&network, [](const Network*) {});  // borrowed
  const TorchEncoder encoder(std::move(model));
  const std::size_t count = manifest.golden.size();
  for (std::size_t i = 0; i < count; ++i) {
    const GoldenPair& pair = manifest.golden[i];
    const Image picture = golden_picture(pair.width_px, pair.height_px, pair.seed);
    const ImageView view = picture.view();
    const Matrix computed = encoder.encode({&view, 1}, {});
    check_golden(path, fmt::format("golden pair {} of {}", i + 1, count), pair.embedding,
                 computed.row(0), tolerance);
  }
}

void check_golden_texts(const TorchEncoder& encoder, const std::vector<GoldenText>& golden,
                        const std::string& path) {
  for (std::size_t i = 0; i < golden.size(); ++i) {
    const Matrix computed = encoder.encode_text({&golden[i].text, 1});
    check_golden(path, fmt::format("golden text {} of {}", i + 1, golden.size()),
                 golden[i].embedding, computed.row(0), GoldenTolerance{});
  }
}

std::shared_ptr<const Network> open_image_network(const Archive& archive, const Manifest& manifest,
                                                  at::Device device, const EncoderOptions& options,
                                                  const std::string& path) {
  for (const FastForm& form : manifest.fast) {
    if (archive.fast.contains(form.precision)) continue;
    throw Error(
        ErrorCode::kBadModel,
        fmt::format("{}: its manifest names a fast form in {}, which is not in the file; {}", path,
                    precision_name(form.precision), kExportRemedy));
  }
  const auto open = [&](const Form& form) {
    torch::jit::Module module = archive.module;
    if (form.fast) {
      module =
          open_fast_form(archive.fast.at(form.precision), form.precision, archive.module, path);
    } else if (form.type != at::kFloat) {
      module = archive.module.clone();  // the plain form is still needed
    }
    auto network = std::make_shared<const Network>(std::move(module), kImageMethod, device,
                                                   form.type, form.precision);
    if (options.verify) check_golden_pairs(*network, manifest, form.tolerance, path);
    return network;
  };
  const Preprocessing& input = manifest.info.preprocessing;
  const at::Tensor trial =
      at::zeros({2, 3, input.height_px, input.width_px}, at::TensorOptions(device));
  std::string key = manifest.info.fingerprint + " " + device.str();
  for (const auto& [precision, form] : archive.fast) {
    key += fmt::format(" {} {}", precision_name(precision), form.size());
  }
  return open_fastest(find_forms(options.precision, device, manifest.fast, path), key, trial, open);
}

std::shared_ptr<Encoder> load_package(const std::string& path, const Archive& archive,
                                      at::Device device, const EncoderOptions& options) {
  if (options.preprocessing) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("{}: a model package, which says itself how pictures are prepared; leave "
                    "EncoderOptions::preprocessing empty",
                    path));
  }
  Manifest manifest = parse_manifest(archive.manifest, path);
  require_method(archive.module, kImageMethod, path);
  if (manifest.info.token_dim > 0) require_method(archive.module, kTokensMethod, path);
  if (manifest.info.has_text) require_method(archive.module, kTextMethod, path);
  manifest.info.fingerprint = fingerprint(manifest.canonical, archive.module, path);

  TorchModel model;
  model.path = path;
  model.image = open_image_network(archive, manifest, device, options, path);
  model.info = manifest.info;
  model.info.precision = model.image->precision();
  model.batch_size = chosen_batch_size(options, device);
  const auto plain = [&](const char* method) {
    return Network(archive.module, method, device, at::kFloat, Precision::kFloat32);
  };
  if (model.info.token_dim > 0) model.tokens = plain(kTokensMethod);
  if (model.info.has_text) model.text = plain(kTextMethod);
  auto loaded = std::make_shared<TorchEncoder>(std::move(model));
  if (options.verify) check_golden_texts(*loaded, manifest.golden_text, path);
  return loaded;
}

std::shared_ptr<Encoder> load_bare(const std::filesystem::path& path, const Archive& archive,
                                   at::Device device, const EncoderOptions& options) {
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
  const Form form =
      find_forms(options.precision == Precision::kAuto ? Precision::kFloat32 : options.precision,
                 device, {}, path.string())
          .front();
  TorchModel model;
  model.path = path.string();
  model.info.name = path.stem().string();
  model.info.preprocessing = *options.preprocessing;
  model.info.fingerprint =
      fingerprint(canonical_text(model.info.preprocessing), archive.module, path.string());
  model.info.precision = form.precision;
  model.batch_size = chosen_batch_size(options, device);
  model.image = std::make_shared<const Network>(
      archive.module, archive.module.find_method(kImageMethod) ? kImageMethod : "forward", device,
      form.type, form.precision);
  // Nothing tells the dimension: one trial run.
  const Preprocessing& input = model.info.preprocessing;
  const at::Tensor trial = at::zeros({1, 3, input.height_px, input.width_px},
                                     at::TensorOptions(device).dtype(form.type));
  const at::Tensor output = model.image->run(trial, 1, 2, model.path);
  model.info.dim = static_cast<std::uint32_t>(output.size(1));
  return std::make_shared<TorchEncoder>(std::move(model));
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
    const encoder::Archive archive = encoder::open_archive(path);
    return archive.manifest.empty() ? encoder::load_bare(path, archive, device, options)
                                    : encoder::load_package(name, archive, device, options);
  });
}

}  // namespace vsearch
