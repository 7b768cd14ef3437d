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

Progress to_progress(vsearch_progress callback, void* user) {
  if (callback == nullptr) return {};
  return [callback, user](std::uint64_t done, std::uint64_t total) {
    return callback(user, done, total) == 0;
  };
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
  if (image.stride_bytes / 3 < image.width_px) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}.stride_bytes is {}, but {} RGB pixels take {} bytes", name,
                            image.stride_bytes, image.width_px, std::uint64_t{image.width_px} * 3));
  }
  return {image.data, image.width_px, image.height_px, image.stride_bytes};
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
