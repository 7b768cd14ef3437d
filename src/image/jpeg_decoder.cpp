#include "image/jpeg_decoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <jerror.h>

#include "image/exif.h"
#include "image/jpeg_failure.h"
#include "image/jpeg_markers.h"
#include "image/limits.h"
#include "vsearch/error.h"

namespace vsearch::image {
namespace {

using Clock = std::chrono::steady_clock;

struct Failure : JpegFailure {
  bool lenient = false;
  bool out_of_time = false;
};

void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;  // a trace
  ++info->err->num_warnings;
  if (!static_cast<Failure*>(info->err)->lenient) on_jpeg_error(info);
}

struct Monitor : jpeg_progress_mgr {
  Clock::time_point deadline;
};

void on_progress(j_common_ptr info) {
  if (Clock::now() < static_cast<Monitor*>(info->progress)->deadline) return;
  auto* const failure = static_cast<Failure*>(info->err);
  failure->out_of_time = true;
  std::longjmp(failure->back, 1);
}

// Adobe writes the inks of CMYK inverted, and everybody followed: 255 is no ink. A device-neutral
// conversion, as Pillow does it: each colour is what its ink and black leave of white.
void convert_cmyk(const std::vector<std::uint8_t>& inks, std::vector<std::uint8_t>& rgb) {
  const std::size_t pixels = inks.size() / 4;
  for (std::size_t i = 0; i < pixels; ++i) {
    const unsigned not_black = inks[i * 4 + 3];
    for (std::size_t c = 0; c < 3; ++c) {
      const unsigned product = (255U - inks[i * 4 + c]) * not_black + 128U;
      const unsigned absorbed = ((product >> 8) + product) >> 8;  // product / 255, rounded
      rgb[i * 3 + c] = static_cast<std::uint8_t>(not_black - absorbed);
    }
  }
}

class Decompressor {
 public:
  Decompressor(std::span<const std::byte> encoded, const char* name, const DecodeOptions& options)
      : encoded_(encoded), name_(name), options_(options) {
    info_.err = jpeg_std_error(&failure_);
    failure_.error_exit = on_jpeg_error;
    failure_.emit_message = on_message;
    failure_.output_message = print_no_jpeg_message;
    failure_.lenient = options.lenient;
    monitor_.progress_monitor = on_progress;
    monitor_.deadline = Clock::now() + std::chrono::milliseconds(options.limits.max_time_ms);
    run([this] { jpeg_create_decompress(&info_); });
    info_.progress = &monitor_;
  }
  ~Decompressor() { jpeg_destroy_decompress(&info_); }
  Decompressor(const Decompressor&) = delete;
  Decompressor& operator=(const Decompressor&) = delete;

  Image decode() {
    run([this] {
      jpeg_mem_src(&info_, reinterpret_cast<const unsigned char*>(encoded_.data()),
                   static_cast<unsigned long>(encoded_.size()));
      jpeg_read_header(&info_, TRUE);
    });
    check_pixels(name_, info_.image_width, info_.image_height, options_.limits);
    check_colours();
    check_scans();
    check_length();
    const int orientation = exif_orientation(encoded_);
    std::uint32_t cover_width = options_.cover_width_px;
    std::uint32_t cover_height = options_.cover_height_px;
    if (orientation >= 5) std::swap(cover_width, cover_height);  // it lies on its side
    info_.scale_num =
        choose_eighths(info_.image_width, info_.image_height, cover_width, cover_height);
    info_.scale_denom = 8;
    info_.dct_method = JDCT_ISLOW;
    const bool cmyk = info_.jpeg_color_space == JCS_CMYK || info_.jpeg_color_space == JCS_YCCK;
    info_.out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
    run([this] { jpeg_calc_output_dimensions(&info_); });

    Image image(info_.output_width, info_.output_height);
    if (cmyk) {
      std::vector<std::uint8_t> inks(image.pixels.size() / 3 * 4);
      read_pixels(inks.data());
      convert_cmyk(inks, image.pixels);
    } else {
      read_pixels(image.pixels.data());
    }
    return apply_orientation(std::move(image), orientation);
  }

 private:
  // Runs calls of libjpeg. `calls` must own nothing, since a failure jumps out of it.
  template <class Calls>
  void run(const Calls& calls) {
    if (setjmp(failure_.back) != 0) fail();
    calls();
  }

  [[noreturn]] void fail() const {
    if (failure_.out_of_time) {
      throw Error(ErrorCode::kBadImage,
                  fmt::format("{}: decoding the JPEG takes longer than the limit of {} ms; save it "
                              "smaller or without \"progressive\", or raise "
                              "DecodeLimits::max_time_ms",
                              name_, options_.limits.max_time_ms));
    }
    if (failure_.msg_code == JERR_OUT_OF_MEMORY) throw std::bad_alloc();
    const std::string_view reason = failure_.message;
    const bool truncated = reason.find("remature end") != std::string_view::npos;
    throw Error(ErrorCode::kBadImage,
                fmt::format("{}: {} JPEG ({}); copy or export the picture again", name_,
                            truncated ? "truncated" : "damaged or unsupported", reason));
  }

  void check_colours() const {
    if (info_.jpeg_color_space != JCS_UNKNOWN) return;
    throw Error(ErrorCode::kBadImage,
                fmt::format("{}: unsupported JPEG ({} channels that are no known colours); export "
                            "it as RGB",
                            name_, info_.num_components));
  }

  void check_scans() {
    const std::uint64_t scans = jpeg_has_multiple_scans(&info_) ? count_scans(encoded_) : 1;
    if (scans <= options_.limits.max_scans) return;
    throw Error(ErrorCode::kBadImage,
                fmt::format("{}: {} scans are more than the limit of {} scans; save the JPEG again "
                            "without \"progressive\" or raise DecodeLimits::max_scans",
                            name_, scans, options_.limits.max_scans));
  }

  // A few bytes that promise many pixels are found out before memory for these is taken. In Huffman
  // code a block of 8 x 8 takes at least a bit for its mean, and one more where the rest of it is
  // in the same scan.
  void check_length() const {
    if (options_.lenient || info_.arith_code) return;
    std::uint64_t blocks = 0;
    for (int i = 0; i < info_.num_components; ++i) {
      const jpeg_component_info& component = info_.comp_info[i];
      blocks += std::uint64_t{component.width_in_blocks} * component.height_in_blocks;
    }
    const std::uint64_t least_bytes = blocks * (info_.progressive_mode ? 1 : 2) / 8;
    if (encoded_.size() >= least_bytes) return;
    throw Error(ErrorCode::kBadImage,
                fmt::format("{}: truncated JPEG ({} bytes cannot hold {} x {} pixels); copy or "
                            "export the picture again",
                            name_, encoded_.size(), info_.image_width, info_.image_height));
  }

  void read_pixels(std::uint8_t* pixels) {
    run([this, pixels] {
      jpeg_start_decompress(&info_);
      const std::size_t row_bytes =
          std::size_t{info_.output_width} * static_cast<unsigned>(info_.output_components);
      while (info_.output_scanline < info_.output_height) {
        constexpr JDIMENSION kRows = 16;
        JSAMPROW rows[kRows];
        const JDIMENSION wanted = std::min(kRows, info_.output_height - info_.output_scanline);
        for (JDIMENSION i = 0; i < wanted; ++i) {
          rows[i] = pixels + (info_.output_scanline + i) * row_bytes;
        }
        jpeg_read_scanlines(&info_, rows, wanted);
      }
      jpeg_finish_decompress(&info_);
    });
  }

  std::span<const std::byte> encoded_;
  const char* name_;
  const DecodeOptions& options_;
  Failure failure_;
  Monitor monitor_{};
  jpeg_decompress_struct info_{};
};

// Whether a side decoded at `eighths` is still good for being resized to `cover_px`: a quarter
// larger, as less shows in the result; and stretched by at most a fifth of a pixel there, since a
// last column that stands for only part of its eighths is as wide as the others.
bool side_covers(std::uint64_t side_px, std::uint64_t cover_px, std::uint64_t eighths) {
  const std::uint64_t scaled_px = (side_px * eighths + 7) / 8;
  const std::uint64_t stretch_eighths = scaled_px * 8 - side_px * eighths;
  return scaled_px * 4 >= cover_px * 5 && stretch_eighths * cover_px * 5 <= scaled_px * 8;
}

}  // namespace

std::uint32_t choose_eighths(std::uint32_t width_px, std::uint32_t height_px,
                             std::uint32_t cover_width_px, std::uint32_t cover_height_px) {
  if (cover_width_px == 0 && cover_height_px == 0) return 8;
  // Only these have SIMD code in libjpeg-turbo: 3/8, 5/8, 6/8 and 7/8 are slower than the full
  // size.
  for (const std::uint32_t eighths : {1U, 2U, 4U}) {
    if (side_covers(width_px, cover_width_px, eighths) &&
        side_covers(height_px, cover_height_px, eighths)) {
      return eighths;
    }
  }
  return 8;
}

Image decode_jpeg(std::span<const std::byte> encoded, const char* name,
                  const DecodeOptions& options) {
  return Decompressor(encoded, name, options).decode();
}

}  // namespace vsearch::image
