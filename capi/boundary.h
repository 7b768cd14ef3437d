// What every entry of the C interface goes through: exceptions become a status and a message,
// versioned structs become today's structs, callbacks become std::function.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "vsearch/encoder.h"
#include "vsearch/error.h"
#include "vsearch/image.h"
#include "vsearch/types.h"
#include "vsearch_c.h"

namespace vsearch::capi {

// Describes the exception being handled. Only to be called inside a catch block.
vsearch_status fail(vsearch_error* error) noexcept;
vsearch_status succeed(vsearch_error* error) noexcept;

// Runs one entry: the only try/catch between the library and C.
template <class Body>
vsearch_status entry(vsearch_error* error, Body&& body) noexcept {
  try {
    std::forward<Body>(body)();
    return succeed(error);
  } catch (...) {
    return fail(error);
  }
}

// The same for an entry that makes a handle; `make` returns a unique_ptr to it.
template <class Handle, class Make>
vsearch_status make_handle(Handle** out, vsearch_error* error, Make&& make) noexcept {
  if (out != nullptr) *out = nullptr;
  return entry(error, [&] {
    if (out == nullptr) throw Error(ErrorCode::kInvalidArgument, "out is NULL");
    *out = std::forward<Make>(make)().release();
  });
}

// Throws kInvalidArgument if `number` is not from 0 to `last`: see to_enum().
void require_number(std::int32_t number, std::int32_t last, std::string_view name,
                    std::string_view constants);

// Copies `text` and a NUL into `to`, which holds `capacity` bytes; what is too long is cut before a
// character that does not fit whole.
void copy_text(char* to, std::size_t capacity, std::string_view text) noexcept;

// Throws kInvalidArgument: "`name` is NULL".
void require(const void* pointer, std::string_view name);
template <class Result, class... Arguments>
void require(Result (*callback)(Arguments...), std::string_view name) {
  require(reinterpret_cast<const void*>(callback), name);
}

// The C++ enumerator of a number of this interface; `last` is the highest there is, and the numbers
// of both are the same. Throws kInvalidArgument, which names the `constants` to choose from.
template <class Enum>
Enum to_enum(std::int32_t number, std::int32_t last, std::string_view name,
             std::string_view constants) {
  require_number(number, last, name, constants);
  return static_cast<Enum>(number);
}

// What the caller has set, or `value` for 0.
template <class T>
T or_default(T given, std::type_identity_t<T> value) {
  return given != T{} ? given : value;
}

// NULL is "".
inline std::string text_or_empty(const char* text) {
  return text != nullptr ? text : "";
}

// `count` strings, as Text. Throws kInvalidArgument if one, or with a count the array, is NULL.
template <class Text>
std::vector<Text> to_texts(const char* const* texts, std::size_t count, const std::string& name) {
  if (count > 0) require(texts, name);
  std::vector<Text> result;
  result.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    require(texts[i], name + '[' + std::to_string(i) + ']');
    result.emplace_back(texts[i]);
  }
  return result;
}

Progress to_progress(vsearch_progress callback, void* user);
// NULL is the defaults. Throws kInvalidArgument: a struct_size that cannot be.
Progress to_progress(const vsearch_work_options* options);
LogCallback to_log(vsearch_log callback, void* user);

// Throws kInvalidArgument if the pixels cannot be what the caller means.
ImageView to_view(const vsearch_image& image, const std::string& name);

// NULL is the defaults. `name` is the struct's in error messages.
// Throws kInvalidArgument: a struct_size or a precision that cannot be.
EncoderOptions to_encoder_options(const vsearch_encoder_options* options, const std::string& name);

// The struct_size of `given`, of which at least the first `required` bytes must be there.
// Throws kInvalidArgument if it is smaller than that, or larger than any struct will ever be.
std::size_t struct_size(const void* given, std::size_t required, std::string_view name);

// Throws kInvalidArgument if a caller newer than this library has set a field that this library
// does not know: if one of the bytes from `known` to `size` is not 0.
void require_known(const void* given, std::size_t known, std::size_t size, std::string_view name);

// Today's form of a struct that an older or newer caller passes.
template <class T>
T read_struct(const void* given, std::size_t required, std::string_view name) {
  static_assert(std::is_trivially_copyable_v<T>);
  require(given, name);
  const std::size_t size = struct_size(given, required, name);
  require_known(given, sizeof(T), size, name);
  T result{};
  std::memcpy(&result, given, std::min(size, sizeof(T)));
  return result;
}

// The same where NULL means that every field has its default.
template <class T>
T read_options(const T* given, std::string_view name) {
  return given == nullptr ? T{} : read_struct<T>(given, sizeof(std::size_t), name);
}

// A struct of the caller's that receives a result, of which an older caller's has less.
template <class T>
class OutStruct {
 public:
  // `to` may be NULL. Throws kInvalidArgument: a struct_size that cannot be.
  OutStruct(T* to, std::string_view name) : to_(to) {
    static_assert(std::is_trivially_copyable_v<T>);
    if (to_ != nullptr) size_ = struct_size(to_, sizeof(std::size_t), name);
  }

  void write(T result) const {
    if (to_ == nullptr) return;
    result.struct_size = size_;
    // What a newer caller has more is unknown, so 0.
    std::memset(to_, 0, size_);
    std::memcpy(to_, &result, std::min(size_, sizeof result));
  }

 private:
  T* to_;
  std::size_t size_ = 0;
};

// An array of such structs: the first one's struct_size is the distance from one to the next.
template <class T>
class StructArray {
 public:
  StructArray(const T* first, std::size_t count, std::size_t required, std::string name)
      : first_(reinterpret_cast<const char*>(first)),
        count_(count),
        required_(required),
        name_(std::move(name)) {
    if (count_ == 0) return;
    require(first_, name_);
    stride_ = struct_size(first_, required_, this->name(0));
  }

  std::size_t size() const { return count_; }
  std::string name(std::size_t i) const { return name_ + '[' + std::to_string(i) + ']'; }
  T operator[](std::size_t i) const {
    const char* element = first_ + i * stride_;
    if (struct_size(element, required_, name(i)) != stride_) {
      throw Error(ErrorCode::kInvalidArgument,
                  name(i) + ".struct_size differs from that of " + name(0));
    }
    return read_struct<T>(element, required_, name(i));
  }

 private:
  const char* first_;
  std::size_t count_;
  std::size_t required_;
  std::size_t stride_ = 0;
  std::string name_;
};

}  // namespace vsearch::capi
