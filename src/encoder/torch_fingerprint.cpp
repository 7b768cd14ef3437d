#include "encoder/torch_fingerprint.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <string_view>
#include <utility>
#include <vector>

#include "util/sha256.h"
#include "vsearch/error.h"

namespace vsearch::encoder {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors are hashed as they lie");

std::string_view type_name(at::ScalarType type) {
  switch (type) {
    case at::kFloat:
      return "float32";
    case at::kDouble:
      return "float64";
    case at::kHalf:
      return "float16";
    case at::kBFloat16:
      return "bfloat16";
    case at::kChar:
      return "int8";
    case at::kByte:
      return "uint8";
    case at::kShort:
      return "int16";
    case at::kInt:
      return "int32";
    case at::kLong:
      return "int64";
    case at::kBool:
      return "bool";
    default:
      return {};
  }
}

}  // namespace

std::string fingerprint(const std::string& canonical_manifest, const torch::jit::Module& module,
                        const std::string& path) {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const auto& item : module.named_parameters()) tensors.emplace_back(item.name, item.value);
  for (const auto& item : module.named_buffers()) tensors.emplace_back(item.name, item.value);
  std::ranges::sort(tensors, {}, &std::pair<std::string, at::Tensor>::first);

  util::Sha256 hash;
  hash.update(canonical_manifest);
  const std::string_view zero("\0", 1);
  for (const auto& [name, tensor] : tensors) {
    const std::string_view type = type_name(tensor.scalar_type());
    if (type.empty() || tensor.layout() != at::kStrided) {
      throw Error(
          ErrorCode::kBadModel,
          fmt::format("{}: its tensor {} is of type {}, which a package cannot hold; export "
                      "the model with plain weights",
                      path, name, c10::toString(tensor.scalar_type())));
    }
    hash.update(name);
    hash.update(zero);
    hash.update(type);
    hash.update(zero);
    hash.update(fmt::format("{}", fmt::join(tensor.sizes(), "x")));
    hash.update(zero);
    const at::Tensor values = tensor.detach().contiguous();
    hash.update({static_cast<const std::byte*>(values.const_data_ptr()), values.nbytes()});
  }
  return hash.hex();
}

}  // namespace vsearch::encoder
