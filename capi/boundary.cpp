#include "boundary.h"

#include <fmt/format.h>

#include <cstdint>
#include <exception>
#include <new>

namespace vsearch::capi {
namespace {

// Larger than any struct of this interface will ever be, so more is a forgotten struct_size.
constexpr std::size_t kMaxStructSize = 4096;

vsearch_status report(vsearch_error* error, vsearch_status status, std::string_view text) noexcept {
  if (error != nullptr) {
    error->status = status;
    copy_text(error->message, sizeof error->message, text);
  }
  return status;
}

// The numbers of this interface are the enumerators of the C++ one.
static_assert(static_cast<int>(PixelFormat::kRgb) == VSEARCH_PIXEL_RGB);
static_assert(static_cast<int>(PixelFormat::kBgr) == VSEARCH_PIXEL_BGR);
static_assert(static_cast<int>(PixelFormat::kGrey) == VSEARCH_PIXEL_GREY);
static_assert(static_cast<int>(PixelFormat::kRgba) == VSEARCH_PIXEL_RGBA);
static_assert(static_cast<int>(PixelFormat::kBgra) == VSEARCH_PIXEL_BGRA);
static_assert(static_cast<int>(Precision::kAuto) == VSEARCH_PRECISION_AUTO);
static_assert(static_cast<int>(Precision::kFloat32) == VSEARCH_PRECISION_FP32);
static_assert(static_cast<int>(Precision::kBFloat16) == VSEARCH_PRECISION_BF16);
static_assert(static_cast<int>(Precision::kFloat16) == VSEARCH_PRECISION_FP16);
static_assert(static_cast<int>(Precision::kInt8) == VSEARCH_PRECISION_INT8);

}  // namespace

vsearch_status succeed(vsearch_error* error) noexcept {
  return report(error, VSEARCH_OK, "");
}

vsearch_status fail(vsearch_error* error) noexcept {
  try {
    throw;
  } catch (const Error& e) {
    return report(error, static_cast<vsearch_status>(e.code()), e.what());
  } catch (const std::bad_alloc&) {
    return report(error, VSEARCH_OUT_OF_MEMORY,
                  "out of memory: work on fewer or smaller pictures at a time");
  } catch (const std::exception& e) {
    return report(error, VSEARCH_INTERNAL, e.what());
  } catch (...) {
    return report(error, VSEARCH_INTERNAL, "an exception of unknown type");
  }
}

void copy_text(char* to, std::size_t capacity, std::string_view text) noexcept {
  std::size_t length = text.size();
  if (length >= capacity) {
    length = capacity - 1;
    // 10xxxxxx continues a UTF-8 character: cut before the byte that begins it.
    while (length > 0 && (static_cast<unsigned char>(text[length]) & 0xC0U) == 0x80U) --length;
  }
  std::memcpy(to, text.data(), length);
  to[length] = '\0';
}

void require(const void* pointer, std::string_view name) {
  if (pointer == nullptr) throw Error(ErrorCode::kInvalidArgument, fmt::format("{} is NULL", name));
}

void require_number(std::int32_t number, std::int32_t last, std::string_view name,
                    std::string_view constants) {
  if (number >= 0 && number <= last) return;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("{} is {}: set it to one of {}", name, number, constants));
}

Progress to_progress(vsearch_progress callback, void* user) {
  if (callback == nullptr) return {};
  return [callback, user](std::uint64_t done, std::uint64_t total) {
    return callback(user, done, total) == 0;
  };
}

Progress to_progress(const vsearch_work_options* options) {
  const auto given = read_options(options, "options");
  return to_progress(given.progress, given.progress_user);
}

LogCallback to_log(vsearch_log callback, void* user) {
  if (callback == nullptr) return {};
  return [callback, user](LogLevel level, std::string_view message) {
    char text[sizeof(vsearch_error::message)];  // no allocation: a log callback must not throw
    copy_text(text, sizeof text, message);
    callback(user, static_cast<int>(level), text);
  };
}

ImageView to_view(const vsearch_image& image, const std::string& name) {
  require(image.data, name + ".data");
  if (image.width_px == 0 || image.height_px == 0) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{} is empty: {} x {} pixels", name, image.width_px, image.height_px));
  }
  ImageView view{image.data, image.width_px, image.height_px, image.stride_bytes,
                 to_enum<PixelFormat>(image.format, VSEARCH_PIXEL_BGRA, name + ".format",
                                      "VSEARCH_PIXEL_...")};
  const std::uint64_t row_bytes = std::uint64_t{image.width_px} * bytes_per_pixel(view.format);
  if (image.stride_bytes < row_bytes) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("{}.stride_bytes is {}, but {} pixels of {} bytes take {} bytes", name,
                    image.stride_bytes, image.width_px, bytes_per_pixel(view.format), row_bytes));
  }
  return view;
}

EncoderOptions to_encoder_options(const vsearch_encoder_options* options, const std::string& name) {
  const auto given = read_options(options, name);
  EncoderOptions wanted;
  if (given.use_cuda != 0) wanted.device = Device::kCuda;
  wanted.device_index = given.device_index;
  wanted.precision = to_enum<Precision>(given.precision, VSEARCH_PRECISION_INT8,
                                        name + ".precision", "VSEARCH_PRECISION_...");
  if (given.batch_size != 0) wanted.batch_size = given.batch_size;
  wanted.verify = given.skip_verify == 0;
  return wanted;
}

std::size_t struct_size(const void* given, std::size_t required, std::string_view name) {
  std::size_t size = 0;
  std::memcpy(&size, given, sizeof size);
  if (size < required || size > kMaxStructSize) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}.struct_size is {}: set it to sizeof(the struct)", name, size));
  }
  return size;
}

void require_known(const void* given, std::size_t known, std::size_t size, std::string_view name) {
  if (size <= known) return;
  const char* bytes = static_cast<const char*>(given);
  if (std::any_of(bytes + known, bytes + size, [](char byte) { return byte != 0; })) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{} sets a field that libvsearch {} does not know: use the version "
                            "that the program was built with, or a newer one",
                            name, vsearch_version()));
  }
}

}  // namespace vsearch::capi
