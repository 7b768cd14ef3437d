// recompress(): a picture through a JPEG in memory.
#include <algorithm>
#include <csetjmp>
#include <cstddef>
#include <cstdio>  // jpeglib.h needs it
#include <cstdlib>
#include <new>
#include <span>
#include <string>

#include <jpeglib.h>

#include <jerror.h>

#include "eval/picture_changes.h"
#include "vsearch/error.h"

namespace vsearch::eval {
namespace {

// libjpeg reports errors by a function that must not return and cannot throw through C.
struct Failure : jpeg_error_mgr {
  std::jmp_buf back;
  char message[JMSG_LENGTH_MAX] = {};
};

[[noreturn]] void on_error(j_common_ptr info) {
  auto* const failure = static_cast<Failure*>(info->err);
  failure->format_message(info, failure->message);
  std::longjmp(failure->back, 1);
}

void print_nothing(j_common_ptr, int) {}

class Compressor {
 public:
  Compressor() {
    info_.err = jpeg_std_error(&failure_);
    failure_.error_exit = on_error;
    failure_.emit_message = print_nothing;
    if (setjmp(failure_.back) != 0) fail();
    jpeg_create_compress(&info_);
  }
  ~Compressor() {
    jpeg_destroy_compress(&info_);
    std::free(bytes_);
  }
  Compressor(const Compressor&) = delete;
  Compressor& operator=(const Compressor&) = delete;

  // Lives as long as this.
  std::span<const std::byte> encode(const Image& image, int quality) {
    if (setjmp(failure_.back) != 0) fail();
    jpeg_mem_dest(&info_, &bytes_, &size_);
    info_.image_width = image.width_px;
    info_.image_height = image.height_px;
    info_.input_components = 3;
    info_.in_color_space = JCS_RGB;
    jpeg_set_defaults(&info_);
    jpeg_set_quality(&info_, quality, TRUE);
    jpeg_start_compress(&info_, TRUE);
    while (info_.next_scanline < info_.image_height) {
      // It is not written to: the interface of libjpeg lacks a const.
      auto* row = const_cast<JSAMPROW>(image.pixels.data() +
                                       std::size_t{info_.next_scanline} * image.width_px * 3);
      jpeg_write_scanlines(&info_, &row, 1);
    }
    jpeg_finish_compress(&info_);
    return std::as_bytes(std::span(bytes_, size_));
  }

 private:
  [[noreturn]] void fail() const {
    if (failure_.msg_code == JERR_OUT_OF_MEMORY) throw std::bad_alloc();
    throw Error(ErrorCode::kInternal,
                std::string("a picture cannot be saved as a JPEG: ") + failure_.message);
  }

  Failure failure_;
  jpeg_compress_struct info_{};
  unsigned char* bytes_ = nullptr;
  unsigned long size_ = 0;
};

}  // namespace

Image recompress(const Image& image, int quality) {
  Compressor compressor;
  return decode_image(compressor.encode(image, quality), "a JPEG made on the way");
}

}  // namespace vsearch::eval
