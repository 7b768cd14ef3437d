#include "vsearch/image.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <new>
#include <string>
#include <system_error>

#include "image/format.h"
#include "image/jpeg_decoder.h"
#include "image/limits.h"
#include "image/png_decoder.h"
#include "image/stb_decoder.h"
#include "image/webp_decoder.h"
#include "vsearch/error.h"

namespace vsearch {
namespace image {

void check_pixels(const char* name, std::uint64_t width_px, std::uint64_t height_px,
                  const DecodeLimits& limits) {
  if (width_px == 0 || height_px == 0) {
    throw Error(ErrorCode::kBadImage,
                fmt::format("{}: the picture has no pixels ({} x {}); export it again", name,
                            width_px, height_px));
  }
  // Divided, not multiplied: no overflow.
  if (width_px > limits.max_pixels / height_px) {
    throw Error(ErrorCode::kBadImage,
                fmt::format("{}: {} x {} pixels are more than the limit of {} pixels; scale the "
                            "picture down or raise DecodeLimits::max_pixels",
                            name, width_px, height_px, limits.max_pixels));
  }
}

namespace {

Image decode(std::span<const std::byte> encoded, const char* name, const DecodeOptions& options) {
  const Format format = detect_format(encoded);
  switch (format) {
    case Format::kJpeg:
      return decode_jpeg(encoded, name, options);
    case Format::kPng:
      return decode_png(encoded, name, options);
    case Format::kWebp:
      return decode_webp(encoded, name, options);
    case Format::kGif:
    case Format::kBmp:
      return decode_by_stb(format, encoded, name, options);
    case Format::kUnknown:
      break;
  }
  throw Error(ErrorCode::kBadImage, fmt::format("{}: {}", name, describe_unknown(encoded)));
}

Error too_many_bytes(const std::string& name, const DecodeLimits& limits) {
  return {ErrorCode::kBadImage,
          fmt::format("{}: the file is larger than the limit of {} bytes; make the picture smaller "
                      "or raise DecodeLimits::max_bytes",
                      name, limits.max_bytes)};
}

Error io_error(const std::string& path, int error) {
  return {ErrorCode::kIo, fmt::format("{}: cannot be read ({}); check its permissions and its disk",
                                      path, std::generic_category().message(error))};
}

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

}  // namespace
}  // namespace image

Image decode_image(std::span<const std::byte> encoded, const char* name,
                   const DecodeOptions& options) {
  if (encoded.empty()) {
    throw Error(ErrorCode::kBadImage,
                fmt::format("{}: the file is empty; copy or export the picture again", name));
  }
  if (encoded.size() > options.limits.max_bytes) {
    throw image::too_many_bytes(name, options.limits);
  }
  try {
    return image::decode(encoded, name, options);
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::kOutOfMemory,
                fmt::format("{}: no memory for its pixels; lower DecodeLimits::max_pixels or scale "
                            "the picture down",
                            name));
  }
}

Image read_image(const std::filesystem::path& path, const DecodeOptions& options) {
  return decode_image(read_image_file(path, options.limits), path.string().c_str(), options);
}

std::vector<std::byte> read_image_file(const std::filesystem::path& path,
                                       const DecodeLimits& limits) {
  const std::string name = path.string();
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    throw Error(ErrorCode::kIo, fmt::format("{}: a folder, not a picture; name a file", name));
  }
  const std::unique_ptr<std::FILE, image::CloseFile> file(std::fopen(path.c_str(), "rb"));
  if (!file) {
    const int error = errno;
    if (error == ENOENT || error == ENOTDIR) {
      throw Error(ErrorCode::kFileNotFound, fmt::format("{}: no such file; check the path", name));
    }
    throw image::io_error(name, error);
  }
  // The size is only a hint: a pipe has none, and a file may grow while it is read.
  std::error_code no_size;
  const std::uintmax_t size = std::filesystem::file_size(path, no_size);
  if (!no_size && size > limits.max_bytes) throw image::too_many_bytes(name, limits);
  constexpr std::uintmax_t kSmallestChunkBytes = std::uintmax_t{64} << 10;
  const std::size_t chunk = std::max(no_size ? 0 : size, kSmallestChunkBytes) + 1;
  std::vector<std::byte> bytes;
  std::size_t filled = 0;
  std::size_t got = 0;
  do {
    bytes.resize(filled + chunk);
    got = std::fread(bytes.data() + filled, 1, chunk, file.get());
    filled += got;
    if (filled > limits.max_bytes) throw image::too_many_bytes(name, limits);
  } while (got == chunk);
  if (std::ferror(file.get()) != 0) throw image::io_error(name, errno);
  bytes.resize(filled);
  return bytes;
}

bool has_image_extension(const std::filesystem::path& path) {
  std::string extension = path.extension().string();
  std::ranges::transform(extension, extension.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  static constexpr std::array kExtensions = {".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp"};
  return std::ranges::find(kExtensions, extension) != kExtensions.end();
}

}  // namespace vsearch
