#include "catalog/picture_file.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include "catalog/sqlite.h"
#include "util/utf8.h"

namespace vsearch::detail {

bool is_uri(std::string_view path) {
  const std::size_t colon = path.find("://");
  if (colon == path.npos || colon == 0) return false;
  return std::ranges::all_of(path.substr(0, colon), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '-' || c == '.';
  });
}

std::optional<db::FileStamp> stamp_of(const std::string& path) {
  struct stat status {};
  if (path.empty() || is_uri(path) || ::stat(path.c_str(), &status) != 0) return std::nullopt;
  constexpr std::int64_t kNanoseconds = 1'000'000'000;
  constexpr std::int64_t kMostSeconds = std::numeric_limits<std::int64_t>::max() / kNanoseconds - 1;
  const std::int64_t seconds =
      std::clamp<std::int64_t>(status.st_mtim.tv_sec, -kMostSeconds, kMostSeconds);
  return db::FileStamp{status.st_size, seconds * kNanoseconds + status.st_mtim.tv_nsec};
}

std::vector<std::byte> read_picture_file(const std::string& path, const Fetch& fetch) {
  if (!is_uri(path)) return read_image_file(path);
  if (fetch) return fetch(path);
  throw Error(
      ErrorCode::kUnavailable,
      fmt::format("{}: to bring what a URI names, the catalogue needs CatalogOptions::fetch; "
                  "give one, or the path of a file",
                  util::shorten(path, 1000)));
}

std::string crop_text(const CropBox& crop) {
  if (crop.is_whole()) return {};
  return fmt::format("{} {} {} {}", crop.left, crop.top, crop.right, crop.bottom);
}

CropBox parse_crop(std::string_view text, const std::filesystem::path& store) {
  if (text.empty()) return {};
  std::array<float, 4> sides{};
  const char* at = text.data();
  const char* const end = at + text.size();
  for (std::size_t i = 0; i < sides.size(); ++i) {
    if (i > 0 && at != end && *at == ' ') ++at;
    const auto [stopped, error] = std::from_chars(at, end, sides[i]);
    if (error != std::errc()) at = nullptr;
    if (at == nullptr) break;
    at = stopped;
  }
  const CropBox crop{sides[0], sides[1], sides[2], sides[3]};
  if (at != end || !crop_problem(crop).empty()) {
    db::throw_damaged(store, fmt::format("a picture has the crop '{}'", text));
  }
  return crop;
}

std::string crop_problem(const CropBox& crop) {
  const auto within = [](float low, float high) { return low >= 0 && low < high && high <= 1; };
  if (within(crop.left, crop.right) && within(crop.top, crop.bottom)) return {};
  return fmt::format(
      "the crop {} {} {} {} is no part of a picture: left, top, right and bottom are shares of its "
      "width and height, 0 <= left < right <= 1 and 0 <= top < bottom <= 1",
      crop.left, crop.top, crop.right, crop.bottom);
}

DecodeOptions for_crop(DecodeOptions options, const CropBox& crop) {
  const auto enlarged = [](std::uint32_t pixels, float share) {
    return static_cast<std::uint32_t>(
        std::min(std::ceil(static_cast<double>(pixels) / share), 1e9));
  };
  options.cover_width_px = enlarged(options.cover_width_px, crop.right - crop.left);
  options.cover_height_px = enlarged(options.cover_height_px, crop.bottom - crop.top);
  return options;
}

ImageView cropped(const Image& image, const CropBox& crop) {
  ImageView view = image.view();
  if (crop.is_whole() || view.width_px == 0 || view.height_px == 0) return view;
  const auto sides = [](float low, float high, std::uint32_t pixels) {
    const auto first =
        std::min(static_cast<std::uint32_t>(low * static_cast<double>(pixels)), pixels - 1);
    const auto last = static_cast<std::uint32_t>(std::ceil(high * static_cast<double>(pixels)));
    return std::pair(first, std::clamp(last, first + 1, pixels));
  };
  const auto [left, right] = sides(crop.left, crop.right, view.width_px);
  const auto [top, bottom] = sides(crop.top, crop.bottom, view.height_px);
  view.data +=
      std::size_t{top} * view.stride_bytes + std::size_t{left} * bytes_per_pixel(view.format);
  view.width_px = right - left;
  view.height_px = bottom - top;
  return view;
}

}  // namespace vsearch::detail
