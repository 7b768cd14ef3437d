#include "image/png_decoder.h"

#include <fmt/format.h>
#include <png.h>

#include <algorithm>
#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <new>
#include <string_view>
#include <vector>

#include "image/composite.h"
#include "image/limits.h"
#include "image/structure.h"
#include "vsearch/error.h"

namespace vsearch::image {
namespace {

// libpng reports errors by a function that must not return and cannot throw through C: it keeps the
// message and jumps back to PngReader::run(), which throws.
struct PngFailure {
  std::jmp_buf back;
  char message[200] = {};
};

[[noreturn]] void on_error(png_structp png, png_const_charp message) {
  auto* const failure = static_cast<PngFailure*>(png_get_error_ptr(png));
  std::snprintf(failure->message, sizeof failure->message, "%s", message);
  std::longjmp(failure->back, 1);
}

void ignore_warning(png_structp, png_const_charp) {}

struct Source {
  std::span<const std::byte> left;
};

void read_bytes(png_structp png, png_bytep to, std::size_t count) {
  auto* const source = static_cast<Source*>(png_get_io_ptr(png));
  if (count > source->left.size()) png_error(png, "truncated");
  std::memcpy(to, source->left.data(), count);
  source->left = source->left.subspan(count);
}

class PngReader {
 public:
  PngReader(std::span<const std::byte> encoded, const char* name) : name_(name), source_{encoded} {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, &failure_, on_error, ignore_warning);
    if (png_ == nullptr) throw std::bad_alloc();
    info_ = png_create_info_struct(png_);
    if (info_ == nullptr) {
      png_destroy_read_struct(&png_, nullptr, nullptr);
      throw std::bad_alloc();
    }
  }
  ~PngReader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  // Reads up to the pixels; afterwards rows have 3 or 4 channels of 8 bits.
  void read_header() {
    run([this] {
      png_set_read_fn(png_, &source_, read_bytes);
      // check_structure() has compared the checksums of the chunks that matter.
      png_set_crc_action(png_, PNG_CRC_QUIET_USE, PNG_CRC_QUIET_USE);
      png_set_benign_errors(png_, 0);  // a wrong checksum of the pixels is "benign"
      png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);  // all but tRNS
      // The limits are those of DecodeLimits, checked already.
      png_set_user_limits(png_, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
      png_read_info(png_, info_);
      png_set_expand(png_);    // palettes, fewer bits than 8, tRNS
      png_set_strip_16(png_);  // the high byte, as Pillow takes it
      png_set_gray_to_rgb(png_);
      png_set_interlace_handling(png_);
      png_read_update_info(png_, info_);
    });
  }

  unsigned channels() const { return png_get_channels(png_, info_); }

  // `rows`: where each row goes.
  void read_rows(std::vector<std::uint8_t*>& rows) {
    run([this, &rows] {
      png_read_image(png_, rows.data());
      png_read_end(png_, nullptr);  // checks zlib's checksum
    });
  }

 private:
  // Runs calls of libpng. `calls` must own nothing, since a failure jumps out of it.
  template <class Calls>
  void run(const Calls& calls) {
    if (setjmp(failure_.back) != 0) {
      const std::string_view reason = failure_.message;
      if (reason.find("memory") != std::string_view::npos) throw std::bad_alloc();
      throw Error(ErrorCode::kBadImage,
                  fmt::format("{}: damaged or unsupported PNG ({}); copy or export the picture "
                              "again",
                              name_, reason));
    }
    calls();
  }

  const char* name_;
  Source source_;
  PngFailure failure_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
};

}  // namespace

Image decode_png(std::span<const std::byte> encoded, const char* name,
                 const DecodeOptions& options) {
  const Structure structure = check_structure(Format::kPng, encoded, name);
  check_pixels(name, structure.width_px, structure.height_px, options.limits);
  PngReader reader(encoded, name);
  reader.read_header();
  Image image(static_cast<std::uint32_t>(structure.width_px),
              static_cast<std::uint32_t>(structure.height_px));
  const std::size_t channels = reader.channels();
  const std::size_t row_bytes = image.width_px * channels;
  std::vector<std::uint8_t> rgba(channels == 4 ? row_bytes * image.height_px : 0);
  std::uint8_t* const pixels = channels == 4 ? rgba.data() : image.pixels.data();
  std::vector<std::uint8_t*> rows(image.height_px);
  for (std::size_t y = 0; y < rows.size(); ++y) rows[y] = pixels + y * row_bytes;
  reader.read_rows(rows);
  if (channels == 4) {
    composite_rgba(rgba.data(), rgba.size() / 4, options.background, image.pixels.data());
  }
  return image;
}

}  // namespace vsearch::image
