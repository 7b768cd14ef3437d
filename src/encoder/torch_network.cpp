#include "encoder/torch_network.h"

#include <c10/core/InferenceMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/csrc/jit/runtime/graph_executor.h>

#include <utility>

#include "encoder/torch_archive.h"
#include "encoder/torch_autocast.h"
#include "encoder/torch_error.h"
#include "vsearch/error.h"

namespace vsearch::encoder {

Network::Network(torch::jit::Module module, const std::string& method, at::Device device,
                 at::ScalarType type, Precision precision, bool autocasts)
    : module_(std::move(module)),
      method_(module_.get_method(method)),
      device_(device),
      type_(type),
      precision_(precision),
      autocasts_(autocasts) {
  module_.eval();
  if (type_ == at::kFloat) {
    module_.to(device_);
  } else {
    module_.to(device_, type_);
  }
}

at::Tensor Network::run(c10::IValue input, std::size_t count, std::int64_t dims,
                        const std::string& path) const {
  return run_torch(ErrorCode::kBadModel, path, kExportRemedy, [&] {
    const c10::InferenceMode inference;
    const HalfPrecision half(autocasts_, device_);
    // Without it the first two calls of each thread rewrite the graph, a tenth of a second, for
    // nothing: what can be fused the package has fused already.
    const torch::jit::GraphOptimizerEnabledGuard as_written(false);
    const c10::IValue output = method_({std::move(input)});
    if (!output.isTensor()) {
      throw Error(ErrorCode::kBadModel,
                  fmt::format("{}: {} gave {} instead of a tensor; {}", path, method_.name(),
                              output.tagKind(), kExportRemedy));
    }
    at::Tensor result = output.toTensor();
    bool sound = result.dim() == dims && result.size(0) == static_cast<std::int64_t>(count) &&
                 result.is_floating_point();
    for (std::int64_t d = 1; sound && d < dims; ++d) sound = result.size(d) > 0;
    if (!sound) {
      throw Error(ErrorCode::kBadModel,
                  fmt::format("{}: {} gave {} [{}] for a batch of {}, not float [{}, {}]; {}", path,
                              method_.name(), c10::toString(result.scalar_type()),
                              fmt::join(result.sizes(), ", "), count, count,
                              dims == 2 ? "dim" : "tokens, dim", kExportRemedy));
    }
    return result;
  });
}

}  // namespace vsearch::encoder
