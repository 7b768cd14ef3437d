// What every Encoder has without doing anything for it, and the names of precisions.
#include "vsearch/encoder.h"

#include <fmt/format.h>

#include <array>
#include <optional>
#include <string>
#include <string_view>
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

bool is_picture_at_fault(const Error& error) {
  return error.code() == ErrorCode::kBadImage || error.code() == ErrorCode::kInvalidArgument;
}

// What encode() says of the one picture it got, without its number.
Error without_number(const Error& error) {
  constexpr std::string_view kOnly = "picture 1: ";
  std::string_view message = error.what();
  if (message.starts_with(kOnly)) message.remove_prefix(kOnly.size());
  return {error.code(), std::string(message)};
}

void go_on_or_throw(bool go_on, std::size_t done, std::size_t total) {
  if (go_on) return;
  throw Error(ErrorCode::kCancelled, fmt::format("encoding was cancelled after {} of {} {}", done,
                                                 total, total == 1 ? "picture" : "pictures"));
}

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
                          "as CLIP (docs/models.md), or learn words from the titles of a catalogue "
                          "(vsx train-text, docs/training.md)",
                          info().name));
}

void encode_each(const Encoder& encoder, std::span<const ImageView> images, const EncodeSink& sink,
                 const Progress& progress) {
  std::optional<Matrix> all;
  try {
    all = encoder.encode(images, progress);
  } catch (const Error& error) {
    if (!is_picture_at_fault(error)) throw;
  }
  for (std::size_t i = 0; i < images.size(); ++i) {
    if (all) {
      go_on_or_throw(sink(i, std::as_const(*all).row(i), nullptr), i + 1, images.size());
      continue;
    }
    // One picture spoils the batch: find out which.
    std::optional<Error> failure;
    Matrix embedding;
    try {
      embedding = encoder.encode(images.subspan(i, 1));
    } catch (const Error& error) {
      if (!is_picture_at_fault(error)) throw;
      failure = without_number(error);
    }
    const bool wanted =
        failure ? sink(i, {}, &*failure) : sink(i, std::as_const(embedding).row(0), nullptr);
    go_on_or_throw(wanted && (!progress || progress(i + 1, images.size())), i + 1, images.size());
  }
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
