// What every Encoder has without doing anything for it, and the names of precisions.
#include "vsearch/encoder.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "vsearch/error.h"

namespace vsearch {
namespace {

constexpr std::array<std::pair<Precision, std::string_view>, 5> kPrecisionNames{{
    {Precision::kAuto, "auto"},
    {Precision::kFloat32, "fp32"},
    {Precision::kBFloat16, "bf16"},
    {Precision::kFloat16, "fp16"},
    {Precision::kInt8, "int8"},
}};

}  // namespace

std::string_view precision_name(Precision precision) {
  for (const auto& [value, name] : kPrecisionNames) {
    if (value == precision) return name;
  }
  return "unknown";
}

std::optional<Precision> find_precision(std::string_view name) {
  for (const auto& [value, known] : kPrecisionNames) {
    if (known == name) return value;
  }
  return std::nullopt;
}

Tokens Encoder::encode_tokens(std::span<const ImageView>) const {
  throw Error(ErrorCode::kUnavailable,
              fmt::format("the encoder {} gives no local tokens; export the model with --tokens, "
                          "see docs/models.md",
                          info().name));
}

Matrix Encoder::encode_text(std::span<const std::string>) const {
  throw Error(ErrorCode::kUnavailable,
              fmt::format("the encoder {} cannot encode words; use a model with a text tower, such "
                          "as CLIP, see docs/models.md",
                          info().name));
}

DecodeOptions decode_options(const Preprocessing& preprocessing, bool exact) {
  DecodeOptions options;
  // Without a resize every pixel counts.
  if (exact || preprocessing.resize_edge == ResizeEdge::kNone) return options;
  options.cover_width_px = preprocessing.resize_width_px;
  options.cover_height_px = preprocessing.resize_height_px;
  return options;
}

}  // namespace vsearch
