#include "encoder/preprocessing.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "vsearch/error.h"

namespace vsearch::encoder {

std::string find_fault(const Preprocessing& p) {
  constexpr std::uint32_t kMaxSidePx = 16384;
  const auto unusable = [](std::uint32_t side_px) { return side_px < 1 || side_px > kMaxSidePx; };
  if (unusable(p.width_px) || unusable(p.height_px)) {
    return fmt::format("the input of {} x {} pixels is not within 1 to {}", p.width_px, p.height_px,
                       kMaxSidePx);
  }
  Size smallest_resized{p.width_px, p.height_px};
  if (p.resize_edge == ResizeEdge::kShortest) {
    if (unusable(p.resize_height_px)) {
      return fmt::format("the resize to {} pixels is not within 1 to {}", p.resize_height_px,
                         kMaxSidePx);
    }
    if (!p.centre_crop) {
      return "a resize of the shortest edge gives pictures of many shapes and there is no crop";
    }
    smallest_resized = {p.resize_height_px, p.resize_height_px};
  } else if (p.resize_edge == ResizeEdge::kStretch) {
    if (unusable(p.resize_width_px) || unusable(p.resize_height_px)) {
      return fmt::format("the resize to {} x {} pixels is not within 1 to {}", p.resize_width_px,
                         p.resize_height_px, kMaxSidePx);
    }
    smallest_resized = {p.resize_width_px, p.resize_height_px};
    if (!p.centre_crop && smallest_resized != Size{p.width_px, p.height_px}) {
      return fmt::format(
          "the resize to {} x {} pixels differs from the input of {} x {} and there "
          "is no crop",
          p.resize_width_px, p.resize_height_px, p.width_px, p.height_px);
    }
  }
  if (smallest_resized.width_px < p.width_px || smallest_resized.height_px < p.height_px) {
    return fmt::format("the crop of {} x {} pixels is larger than the resize to {} x {}",
                       p.width_px, p.height_px, smallest_resized.width_px,
                       smallest_resized.height_px);
  }
  for (std::size_t c = 0; c < 3; ++c) {
    if (!std::isfinite(p.mean[c])) return fmt::format("mean[{}] is not a finite number", c);
    if (!std::isfinite(p.stddev[c])) return fmt::format("std[{}] is not a finite number", c);
    if (p.stddev[c] == 0.0F) return fmt::format("std[{}] is 0", c);
  }
  return {};
}

Size resized_size(const Preprocessing& p, Size picture, const std::string& name) {
  if (p.resize_edge == ResizeEdge::kNone) {
    const Size input{p.width_px, p.height_px};
    const bool covers_crop =
        picture.width_px >= input.width_px && picture.height_px >= input.height_px;
    if (p.centre_crop ? covers_crop : picture == input) return picture;
    throw Error(
        ErrorCode::kBadImage,
        fmt::format("{}: {} x {} pixels, but the model takes {} x {} and does not resize; "
                    "scale the picture first",
                    name, picture.width_px, picture.height_px, input.width_px, input.height_px));
  }
  if (p.resize_edge == ResizeEdge::kStretch) return {p.resize_width_px, p.resize_height_px};
  constexpr std::uint64_t kMaxPixels = std::uint64_t{100} << 20;
  const std::uint64_t edge = p.resize_height_px;
  const auto [shorter, longer] = std::minmax(picture.width_px, picture.height_px);
  const std::uint64_t other = edge * longer / shorter;
  if (other > kMaxPixels / edge) {
    throw Error(ErrorCode::kBadImage,
                fmt::format("{}: {} x {} pixels are too long and narrow to resize; cut the picture",
                            name, picture.width_px, picture.height_px));
  }
  const auto edge_px = static_cast<std::uint32_t>(edge);
  const auto other_px = static_cast<std::uint32_t>(other);
  return picture.height_px <= picture.width_px ? Size{other_px, edge_px} : Size{edge_px, other_px};
}

}  // namespace vsearch::encoder
