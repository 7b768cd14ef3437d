#include "image/jpeg_encoder.h"

#include <fmt/format.h>

#include <cstdlib>
#include <new>

#include <jerror.h>

#include "image/jpeg_failure.h"
#include "vsearch/error.h"

namespace vsearch::image {
namespace {

class Compressor {
 public:
  Compressor() {
    info_.err = jpeg_std_error(&failure_);
    failure_.error_exit = on_jpeg_error;
    failure_.output_message = print_no_jpeg_message;
    run([this] { jpeg_create_compress(&info_); });
  }
  ~Compressor() {
    jpeg_destroy_compress(&info_);
    std::free(bytes_);  // NOLINT(cppcoreguidelines-no-malloc): libjpeg took it by malloc()
  }
  Compressor(const Compressor&) = delete;
  Compressor& operator=(const Compressor&) = delete;

  std::vector<std::byte> encode(const Image& image, int quality) {
    run([&, this] {
      jpeg_mem_dest(&info_, &bytes_, &size_);
      info_.image_width = image.width_px;
      info_.image_height = image.height_px;
      info_.input_components = 3;
      info_.in_color_space = JCS_RGB;
      jpeg_set_defaults(&info_);
      jpeg_set_quality(&info_, quality, TRUE);
      info_.optimize_coding = TRUE;
      jpeg_start_compress(&info_, TRUE);
      while (info_.next_scanline < info_.image_height) {
        // libjpeg reads through a pointer that is not const.
        auto* row = const_cast<JSAMPROW>(image.view().row(info_.next_scanline));
        jpeg_write_scanlines(&info_, &row, 1);
      }
      jpeg_finish_compress(&info_);
    });
    const auto* const begin = reinterpret_cast<const std::byte*>(bytes_);
    return {begin, begin + size_};
  }

 private:
  // Runs calls of libjpeg. `calls` must own nothing, since a failure jumps out of it.
  template <class Calls>
  void run(const Calls& calls) {
    if (setjmp(failure_.back) != 0) {
      // It tells where its buffer is when it has finished: by now it may have freed that which it
      // told first.
      bytes_ = nullptr;
      if (failure_.msg_code == JERR_OUT_OF_MEMORY) throw std::bad_alloc();
      throw Error(ErrorCode::kInternal,
                  fmt::format("a picture could not be written as a JPEG ({}); report this defect",
                              static_cast<const char*>(failure_.message)));
    }
    calls();
  }

  JpegFailure failure_;
  jpeg_compress_struct info_{};
  unsigned char* bytes_ = nullptr;
  unsigned long size_ = 0;
};

}  // namespace

std::vector<std::byte> encode_jpeg(const Image& image, int quality) {
  if (image.width_px == 0 || image.height_px == 0 || image.width_px > JPEG_MAX_DIMENSION ||
      image.height_px > JPEG_MAX_DIMENSION) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("a JPEG cannot have {} x {} pixels; its sides are 1 to {} px",
                            image.width_px, image.height_px, JPEG_MAX_DIMENSION));
  }
  if (quality < 1 || quality > 100) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("a JPEG's quality is 1 to 100, not {}", quality));
  }
  return Compressor().encode(image, quality);
}

}  // namespace vsearch::image
