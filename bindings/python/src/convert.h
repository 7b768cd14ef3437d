// Between Python's values and the library's: text, paths, pictures, arrays, callbacks.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "vsearch/encoder.h"
#include "vsearch/error.h"
#include "vsearch/image.h"
#include "vsearch/types.h"

namespace vsearch::python {

namespace py = pybind11;

using Floats = py::array_t<float, py::array::c_style | py::array::forcecast>;
using Ids = py::array_t<Id, py::array::c_style | py::array::forcecast>;

std::string to_utf8(py::handle text, const std::string& name);  // throws TypeError
std::string to_path(py::handle path);                           // str, bytes or os.PathLike
py::str from_path(const std::string& path);                     // the inverse of to_path()
py::str from_message(std::string_view text);                    // which may quote what is no UTF-8

// numpy.asarray() of numbers, without a copy if they are float32 and dense already.
// Throws TypeError (no numbers), kInvalidArgument (not `dims` dimensions).
Floats to_floats(py::handle values, py::ssize_t dims, const std::string& name);
// The same for whole numbers from 0 to 2^64 - 1, in one dimension.
Ids to_ids(py::handle values, const std::string& name);

inline std::span<const float> span_of(const Floats& values) {
  return {values.data(), static_cast<std::size_t>(values.size())};
}
inline std::span<const Id> span_of(const Ids& values) {
  return {values.data(), static_cast<std::size_t>(values.size())};
}

inline MatrixView view_of(const Floats& rows) {
  return {rows.data(), static_cast<std::size_t>(rows.shape(0)),
          static_cast<std::size_t>(rows.shape(1))};
}

// A numpy array that takes over the memory of `values`: nothing is copied.
template <class T>
py::array_t<T> to_numpy(std::vector<T>&& values, std::vector<py::ssize_t> shape) {
  auto owned = std::make_unique<std::vector<T>>(std::move(values));
  const T* data = owned->data();
  const py::capsule owner(owned.get(), [](void* p) { delete static_cast<std::vector<T>*>(p); });
  owned.release();
  return py::array_t<T>(std::move(shape), data, owner);
}

// A picture as Python gives it: a path, the bytes of a file, or pixels. Holds on to what it borrows
// from; made and destroyed with the GIL held, used without it.
class PictureArgument {
 public:
  // `channels` is the order in arrays of 3 and 4 channels. Throws TypeError, kInvalidArgument for
  // an array that is no uint8 [height, width] or [height, width, 1, 3 or 4], kBadImage for an image
  // whose file cannot be read to its end, as Pillow opens them.
  PictureArgument(py::handle value, std::string name, ColourOrder channels = ColourOrder::kRgb);

  // In place of a picture that the constructor threw `fault` for.
  PictureArgument(std::string name, Error fault)
      : name_(std::move(name)), fault_(std::move(fault)) {}

  const std::string& name() const { return name_; }
  const std::optional<Error>& fault() const { return fault_; }
  bool has_pixels() const { return pixels_.data != nullptr; }
  bool has_bytes() const { return is_bytes_; }
  const std::string& path() const { return path_; }
  std::span<const std::byte> bytes() const { return bytes_; }
  ImageView pixels() const { return pixels_; }
  // The pixels: borrowed, or decoded into `storage`, which must outlive their use.
  ImageView view(Image& storage, const DecodeOptions& options) const;

 private:
  void take_bytes(py::handle value);
  void take_pixels(py::handle value, ColourOrder channels);

  std::string name_;
  std::optional<Error> fault_;
  std::string path_;
  bool is_bytes_ = false;
  std::span<const std::byte> bytes_;
  ImageView pixels_;
  py::object owner_;
  std::optional<py::buffer_info> buffer_;
};

// "OSError: no such thing", also where the exception's own text cannot be had.
std::string text_of(const py::error_already_set& error);

// A Python callback that the library keeps: the last copy may be destroyed on any thread.
std::shared_ptr<py::object> shared_callback(py::object callback);

// A log callback that calls `log(level, message)` with the levels of Python's logging module.
LogCallback to_log(py::object log);

// One call of the library that may take long: releases the GIL, reports progress to Python, and
// turns Ctrl-C or an exception of the progress callback into a cancellation that ends in that
// exception.
class LongCall {
 public:
  explicit LongCall(py::object progress) : callback_(std::move(progress)) {}
  LongCall(const LongCall&) = delete;
  LongCall& operator=(const LongCall&) = delete;

  // `body` gets the Progress to hand on.
  template <class Body>
  auto run(Body&& body) {
    const auto without_gil = [&] {
      const py::gil_scoped_release no_gil;
      return body(
          Progress([this](std::uint64_t done, std::uint64_t total) { return go_on(done, total); }));
    };
    try {
      if constexpr (std::is_void_v<decltype(without_gil())>) {
        without_gil();
        rethrow();
      } else {
        auto result = without_gil();
        rethrow();  // the work may have ended before it saw the cancellation
        return result;
      }
    } catch (const Error&) {
      rethrow();
      throw;
    }
  }

  // For other callbacks that the library calls meanwhile, on any thread: runs `body`, which gives a
  // py::object, with the GIL. False if that is False, or if anything was raised by now.
  template <class Body>
  bool ask(Body&& body) {
    const py::gil_scoped_acquire gil;
    if (raised_) return false;
    try {
      return !py::object(body()).is(py::bool_(false));
    } catch (const py::error_already_set&) {
      raised_ = std::current_exception();
      return false;
    }
  }

 private:
  bool go_on(std::uint64_t done, std::uint64_t total);
  void rethrow() const {
    if (raised_) std::rethrow_exception(raised_);
  }

  py::object callback_;
  std::exception_ptr raised_;  // what Python raised first; guarded by the GIL
};

}  // namespace vsearch::python
