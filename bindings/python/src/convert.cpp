#include "convert.h"

#include <fmt/format.h>

#include <limits>

namespace vsearch::python {
namespace {

constexpr const char* kIdRange = "whole numbers from 0 to 2**64 - 1";

std::string type_name(py::handle value) {
  return py::cast<std::string>(py::type::handle_of(value).attr("__name__"));
}

py::array as_array(py::handle values) {
  return py::module_::import("numpy").attr("asarray")(values);
}

std::string shape_text(const py::array& array) {
  return py::cast<std::string>(py::str(array.attr("shape")));
}

// It reads its file when asked for its pixels, and of a damaged one fails the first time alone.
bool is_pillow_image(py::handle value) {
  return py::hasattr(value, "mode") && py::hasattr(value, "convert") &&
         py::hasattr(value, "getbands");
}

bool is_array_like(py::handle value) {
  return is_pillow_image(value) || py::hasattr(value, "__array_interface__") ||
         py::hasattr(value, "__array__");
}

[[noreturn]] void fail(const std::string& message) {
  throw Error(ErrorCode::kInvalidArgument, message);
}

// numpy shows neither that the bytes of a Pillow image are indices of a palette nor that they are
// CMYK: that would be taken for grey or RGBA.
void refuse_unclear_mode(py::handle value, const std::string& name) {
  if (!is_pillow_image(value)) return;
  const auto mode = py::cast<std::string>(py::str(value.attr("mode")));
  if (mode == "RGB" || mode == "RGBA" || mode == "L") return;
  fail(
      fmt::format("{} is a picture of the mode {}, which is not RGB, RGBA or L (grey): use "
                  "image.convert('RGB')",
                  name, mode));
}

Ids ids_of_list(py::handle values, const std::string& name) {
  std::vector<Id> ids;
  for (const py::handle value : py::iter(values)) {
    const auto number = py::reinterpret_steal<py::int_>(PyNumber_Index(value.ptr()));
    if (!number) {
      PyErr_Clear();
      throw py::type_error(fmt::format("{} must be {}, not {}", name, kIdRange, type_name(value)));
    }
    ids.push_back(PyLong_AsUnsignedLongLong(number.ptr()));
    if (PyErr_Occurred() != nullptr) {
      PyErr_Clear();
      fail(fmt::format("{} must be {}, but one is {}", name, kIdRange,
                       py::cast<std::string>(py::str(number))));
    }
  }
  const auto count = static_cast<py::ssize_t>(ids.size());
  return to_numpy(std::move(ids), {count});
}

}  // namespace

std::string to_utf8(py::handle text, const std::string& name) {
  if (!PyUnicode_Check(text.ptr())) {
    throw py::type_error(fmt::format("{} must be a str, not {}", name, type_name(text)));
  }
  py::ssize_t length = 0;
  const char* bytes = PyUnicode_AsUTF8AndSize(text.ptr(), &length);
  if (bytes == nullptr) throw py::error_already_set();
  return {bytes, static_cast<std::size_t>(length)};
}

std::string to_path(py::handle path) {
  auto bytes = py::cast<std::string>(py::module_::import("os").attr("fsencode")(path));
  if (bytes.find('\0') != std::string::npos) {
    fail("a path holds a null character, which no file system allows");
  }
  return bytes;
}

py::str from_path(const std::string& path) {
  return py::module_::import("os").attr("fsdecode")(py::bytes(path));
}

py::str from_message(std::string_view text) {
  auto result = py::reinterpret_steal<py::str>(
      PyUnicode_DecodeUTF8(text.data(), static_cast<py::ssize_t>(text.size()), "backslashreplace"));
  if (!result) throw py::error_already_set();
  return result;
}

Floats to_floats(py::handle values, py::ssize_t dims, const std::string& name) {
  const py::array array = as_array(values);
  const char kind = array.dtype().kind();
  if (kind != 'f' && kind != 'i' && kind != 'u') {
    throw py::type_error(fmt::format("{} must be an array of numbers, not of {}", name,
                                     py::cast<std::string>(py::str(array.dtype()))));
  }
  if (array.ndim() != dims) {
    fail(fmt::format("{} must have {} dimension{}, not the shape {}", name, dims,
                     dims == 1 ? "" : "s", shape_text(array)));
  }
  return Floats(array);
}

Ids to_ids(py::handle values, const std::string& name) {
  // numpy would make floats of a list that holds both 0 and 2^64 - 1.
  if (!is_array_like(values)) return ids_of_list(values, name);
  const py::array array = as_array(values);
  const char kind = array.dtype().kind();
  if (kind != 'u' && kind != 'i') {
    throw py::type_error(fmt::format("{} must be {}, not {}", name, kIdRange,
                                     py::cast<std::string>(py::str(array.dtype()))));
  }
  if (array.ndim() != 1) {
    fail(fmt::format("{} must have 1 dimension, not the shape {}", name, shape_text(array)));
  }
  if (kind == 'i' && array.size() > 0 && py::cast<bool>(array.attr("min")().attr("__lt__")(0))) {
    fail(fmt::format("{} must be {}, but one is negative", name, kIdRange));
  }
  return Ids(array);
}

PictureArgument::PictureArgument(py::handle value, std::string name, ColourOrder channels)
    : name_(std::move(name)) {
  if (PyUnicode_Check(value.ptr()) || py::hasattr(value, "__fspath__")) {
    path_ = to_path(value);
  } else if (PyBytes_Check(value.ptr()) || PyByteArray_Check(value.ptr()) ||
             PyMemoryView_Check(value.ptr())) {
    take_bytes(value);
  } else if (is_array_like(value)) {
    take_pixels(value, channels);
  } else {
    throw py::type_error(fmt::format(
        "{} must be a path, the bytes of a picture file, or a uint8 array [height, width, 3], "
        "not {}",
        name_, type_name(value)));
  }
}

void PictureArgument::take_bytes(py::handle value) {
  buffer_ = py::reinterpret_borrow<py::buffer>(value).request();
  if (buffer_->ndim != 1 || buffer_->itemsize != 1 ||
      (buffer_->size > 1 && buffer_->strides[0] != 1)) {
    fail(name_ + ": a memoryview of a picture file must be one dense row of bytes");
  }
  is_bytes_ = true;
  bytes_ = {static_cast<const std::byte*>(buffer_->ptr), static_cast<std::size_t>(buffer_->size)};
}

void PictureArgument::take_pixels(py::handle value, ColourOrder channels) {
  refuse_unclear_mode(value, name_);
  py::array array;
  try {
    array = as_array(value);
  } catch (const py::error_already_set& error) {
    if (!error.matches(PyExc_OSError)) throw;
    throw Error(ErrorCode::kBadImage, fmt::format("{}: {}", name_, text_of(error)));
  }
  if (!py::isinstance<py::array_t<std::uint8_t>>(array)) {
    fail(
        fmt::format("{} has the dtype {}; pixels are uint8 from 0 to 255: scale them and use "
                    ".astype('uint8')",
                    name_, py::cast<std::string>(py::str(array.dtype()))));
  }
  const py::ssize_t depth = array.ndim() == 2 ? 1 : array.ndim() == 3 ? array.shape(2) : 0;
  if (depth != 1 && depth != 3 && depth != 4) {
    fail(
        fmt::format("{} has the shape {}; pixels are (height, width), or (height, width, channels) "
                    "with 1, 3 or 4 channels: convert them, with Pillow by image.convert('RGB')",
                    name_, shape_text(array)));
  }
  const py::ssize_t most = std::numeric_limits<std::int32_t>::max();
  if (array.size() == 0 || array.shape(0) > most || array.shape(1) > most) {
    fail(fmt::format("{} has the shape {}: no picture", name_, shape_text(array)));
  }
  const bool rgb = channels == ColourOrder::kRgb;
  pixels_.format = depth == 1   ? PixelFormat::kGrey
                   : depth == 3 ? (rgb ? PixelFormat::kRgb : PixelFormat::kBgr)
                                : (rgb ? PixelFormat::kRgba : PixelFormat::kBgra);
  // Rows may lie apart, as in a crop, and RGB may be a view of BGR, as frame[:, :, ::-1] is; any
  // other layout is copied.
  const bool dense_rows = array.strides(1) == depth && array.strides(0) >= depth * array.shape(1);
  const py::ssize_t step = array.ndim() == 3 && depth > 1 ? array.strides(2) : 1;
  const auto* first = static_cast<const std::uint8_t*>(array.data());
  if (dense_rows && step == -1 && depth == 3) {
    pixels_.format = rgb ? PixelFormat::kBgr : PixelFormat::kRgb;
    first -= 2;
  } else if (!dense_rows || step != 1) {
    array = py::array_t<std::uint8_t, py::array::c_style>(array);
    first = static_cast<const std::uint8_t*>(array.data());
  }
  pixels_.data = first;
  pixels_.width_px = static_cast<std::uint32_t>(array.shape(1));
  pixels_.height_px = static_cast<std::uint32_t>(array.shape(0));
  // numpy lets the stride of one row be anything.
  pixels_.stride_bytes =
      static_cast<std::size_t>(array.shape(0) == 1 ? depth * array.shape(1) : array.strides(0));
  owner_ = std::move(array);
}

ImageView PictureArgument::view(Image& storage, const DecodeOptions& options) const {
  if (has_pixels()) return pixels_;
  storage = is_bytes_ ? decode_image(bytes_, name_.c_str(), options) : read_image(path_, options);
  return storage.view();
}

std::string text_of(const py::error_already_set& error) {
  const auto kind = py::cast<std::string>(error.type().attr("__name__"));
  try {
    const py::object text = py::str(error.value()).attr("encode")("utf-8", "backslashreplace");
    return fmt::format("{}: {}", kind, py::cast<std::string>(text));
  } catch (const std::exception&) {
    return kind;
  }
}

std::shared_ptr<py::object> shared_callback(py::object callback) {
  return {new py::object(std::move(callback)), [](py::object* p) {
            const py::gil_scoped_acquire gil;
            delete p;
          }};
}

LogCallback to_log(py::object log) {
  if (log.is_none()) return {};
  const std::shared_ptr<py::object> callback = shared_callback(std::move(log));
  return [callback](LogLevel level, std::string_view message) {
    const py::gil_scoped_acquire gil;
    const int python_level = level == LogLevel::kError ? 40 : level == LogLevel::kWarning ? 30 : 20;
    try {
      (*callback)(python_level, from_message(message));
    } catch (py::error_already_set& error) {
      // Ctrl-C is not the callback's: the long call hears of it.
      if (error.matches(PyExc_KeyboardInterrupt)) {
        PyErr_SetInterrupt();
      } else {
        error.discard_as_unraisable("the log callback of vsearch");
      }
    }
  };
}

bool LongCall::go_on(std::uint64_t done, std::uint64_t total) {
  return ask([&]() -> py::object {
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    return callback_.is_none() ? py::none() : callback_(done, total);
  });
}

}  // namespace vsearch::python
