#include "image/format.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <string_view>

namespace vsearch::image {
namespace {

using namespace std::string_view_literals;

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// "BM" begins many a text, so the size of the second header must be one that exists.
bool is_bmp(std::string_view bytes) {
  if (!bytes.starts_with("BM") || bytes.size() < 18) return false;
  static constexpr unsigned char kHeaderSizes[] = {12, 16, 40, 52, 56, 64, 108, 124};
  return std::ranges::count(kHeaderSizes, static_cast<unsigned char>(bytes[14])) > 0 &&
         bytes.substr(15, 3) == "\0\0\0"sv;
}

// What people meet and this library does not read: bytes at an offset, and what they mean.
struct Foreign {
  std::size_t offset;
  std::string_view bytes;
  std::string_view name;
};
constexpr Foreign kForeign[] = {
    {0, "II*\0"sv, "TIFF"},
    {0, "MM\0*"sv, "TIFF"},
    {0, "II+\0"sv, "BigTIFF"},
    {0, "MM\0+"sv, "BigTIFF"},
    {4, "ftypavif", "AVIF"},
    {4, "ftypavis", "AVIF"},
    {4, "ftyphei", "HEIC"},
    {4, "ftyphev", "HEIC"},
    {4, "ftypmif1", "HEIF"},
    {4, "ftypmsf1", "HEIF"},
    {0, "\xFF\x0A", "JPEG XL"},
    {0, "\0\0\0\x0CJXL "sv, "JPEG XL"},
    {0, "\0\0\0\x0CjP  "sv, "JPEG 2000"},
    {0, "\xFF\x4F\xFF\x51", "JPEG 2000"},
    {0, "8BPS", "Photoshop's format"},
    {0, "\0\0\1\0"sv, "an icon (ICO)"},
    {0, "qoif", "QOI"},
    {0, "%PDF", "PDF"},
};

// The first word of a text, so that a saved error page is called what it is.
std::string_view markup_name(std::string_view bytes) {
  std::string head(bytes.substr(0, 256));
  std::ranges::transform(head, head.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (head.find("<svg") != std::string::npos) return "SVG";
  if (head.find("<html") != std::string::npos || head.find("<!doctype html") != std::string::npos) {
    return "a web page";
  }
  return {};
}

}  // namespace

Format detect_format(std::span<const std::byte> encoded) {
  const std::string_view bytes = text_of(encoded);
  if (bytes.starts_with("\xFF\xD8\xFF")) return Format::kJpeg;
  if (bytes.starts_with("\x89PNG\r\n\x1A\n")) return Format::kPng;
  if (bytes.starts_with("GIF87a") || bytes.starts_with("GIF89a")) return Format::kGif;
  if (bytes.starts_with("RIFF") &&
      bytes.substr(std::min<std::size_t>(8, bytes.size())).starts_with("WEBP")) {
    return Format::kWebp;
  }
  if (is_bmp(bytes)) return Format::kBmp;
  return Format::kUnknown;
}

std::string describe_unknown(std::span<const std::byte> encoded) {
  const std::string_view bytes = text_of(encoded);
  std::string_view name = markup_name(bytes);
  for (const Foreign& foreign : kForeign) {
    if (bytes.size() >= foreign.offset && bytes.substr(foreign.offset).starts_with(foreign.bytes)) {
      name = foreign.name;
    }
  }
  if (!name.empty()) {
    return fmt::format("{} is not supported by this version; convert it to JPEG or PNG", name);
  }
  std::string first;
  for (const char c : bytes.substr(0, 4)) {
    first += fmt::format(" {:02x}", static_cast<unsigned char>(c));
  }
  return fmt::format(
      "not a JPEG, PNG, GIF, BMP or WebP (it begins with{}); "
      "give a picture in one of these formats",
      first);
}

}  // namespace vsearch::image
