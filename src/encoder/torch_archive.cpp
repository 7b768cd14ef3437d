#include "encoder/torch_archive.h"

#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <sstream>
#include <system_error>
#include <utility>

#include "encoder/manifest.h"
#include "encoder/torch_error.h"
#include "encoder/torch_operators.h"
#include "vsearch/error.h"

namespace vsearch::encoder {
namespace {

constexpr Precision kFastPrecisions[] = {Precision::kFloat32, Precision::kBFloat16,
                                         Precision::kInt8};

std::string fast_file(Precision precision) {
  return fmt::format("fast_{}.pt", precision_name(precision));
}

}  // namespace

Archive open_archive(const std::filesystem::path& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    throw Error(ErrorCode::kBadModel,
                fmt::format("{}: a folder, not a model package; make a package of a Hugging Face "
                            "model folder with python -m vsearch.export hf {} -o NAME.vsm.pt",
                            path.string(), path.string()));
  }
  if (!std::filesystem::exists(path, ignored)) {
    throw Error(ErrorCode::kFileNotFound,
                fmt::format("{}: no such file; check the path", path.string()));
  }
  return run_torch(ErrorCode::kBadModel,
                   path.string() + ": not a TorchScript archive, or a damaged one", kExportRemedy,
                   [&path] {
                     torch::jit::ExtraFilesMap extra{{kManifestFile, ""}};
                     for (const Precision precision : kFastPrecisions) {
                       extra[fast_file(precision)] = "";
                     }
                     Archive archive;
                     archive.module = torch::jit::load(path.string(), at::kCPU, extra);
                     archive.manifest = std::move(extra[kManifestFile]);
                     for (const Precision precision : kFastPrecisions) {
                       std::string& form = extra[fast_file(precision)];
                       if (!form.empty()) archive.fast[precision] = std::move(form);
                     }
                     return archive;
                   });
}

torch::jit::Module open_fast_form(const std::string& archive, Precision precision,
                                  const torch::jit::Module& plain, const std::string& path) {
  const std::string subject = fmt::format("{}: its {}", path, fast_file(precision));
  torch::jit::Module form =
      run_torch(ErrorCode::kBadModel, subject + " is not a TorchScript archive, or a damaged one",
                kExportRemedy, [&archive] {
                  std::istringstream stream(archive);
                  return torch::jit::load(stream, at::kCPU);
                });
  for (const char* const method : {"prepare", "encode_image"}) {
    if (!form.find_method(method)) {
      throw Error(ErrorCode::kBadModel,
                  fmt::format("{} has no method {}; {}", subject, method, kExportRemedy));
    }
  }
  form.eval();
  fuse_operators(form);
  run_torch(ErrorCode::kUnavailable, subject + " does not run on this machine",
            "load the model with another precision", [&] {
              const c10::InferenceMode inference;
              c10::Dict<std::string, at::Tensor> weights;
              for (const auto& item : plain.named_parameters()) {
                weights.insert_or_assign(item.name, item.value.detach());
              }
              for (const auto& item : plain.named_buffers()) {
                weights.insert_or_assign(item.name, item.value);
              }
              form.get_method("prepare")({std::move(weights)});
            });
  return form;
}

}  // namespace vsearch::encoder
