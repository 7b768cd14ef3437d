// Datasets of HDF5 files, through libhdf5.
#include <fmt/format.h>
#include <hdf5.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <utility>
#include <vector>

#include "index/vector_rows.h"
#include "vsearch/error.h"

namespace vsearch::index {
namespace {

using Path = std::filesystem::path;

// libhdf5 is built without a lock of its own, most often.
std::mutex& library() {
  static std::mutex mutex;
  return mutex;
}

// While it lives this thread holds the library, which prints nothing of what goes wrong.
class Quiet {
 public:
  Quiet() : lock_(library()) {
    H5Eget_auto2(H5E_DEFAULT, &print_, &data_);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  }
  ~Quiet() { H5Eset_auto2(H5E_DEFAULT, print_, data_); }
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;

 private:
  std::lock_guard<std::mutex> lock_;
  H5E_auto2_t print_ = nullptr;
  void* data_ = nullptr;
};

// What the library calls an identifier, negative if there is none.
class Handle {
 public:
  using Close = herr_t (*)(hid_t);
  Handle() = default;
  Handle(hid_t id, Close close) : id_(id), close_(close) {}
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
  }

  explicit operator bool() const { return id_ >= 0; }
  hid_t id() const { return id_; }

 private:
  hid_t id_ = -1;
  Close close_ = nullptr;
};

class Hdf5Rows final : public VectorFile::Rows {
 public:
  Hdf5Rows(const Path& path, const std::string& dataset) : path_(path) {
    const Quiet quiet;
    open(dataset);
  }
  ~Hdf5Rows() override {
    const Quiet quiet;
    data_ = {};
    file_ = {};
  }
  Hdf5Rows(const Hdf5Rows&) = delete;
  Hdf5Rows& operator=(const Hdf5Rows&) = delete;

  void read(std::uint64_t begin, std::span<float> values) const override {
    read_as(H5T_NATIVE_FLOAT, begin, values.size() / dim, values.data());
  }
  void read_ids(std::uint64_t begin, std::span<Id> values) const override {
    if (is_unsigned_) {
      read_as(H5T_NATIVE_UINT64, begin, values.size() / dim, values.data());
      return;
    }
    std::vector<std::int64_t> integers(values.size());
    read_as(H5T_NATIVE_INT64, begin, values.size() / dim, integers.data());
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (integers[i] < 0) {
        refuse_file(path_, fmt::format("row {} holds {}, and an id is not negative",
                                       begin + i / dim, integers[i]));
      }
      values[i] = static_cast<Id>(integers[i]);
    }
  }

 private:
  void open(const std::string& dataset) {
    file_ = Handle(H5Fopen(path_.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
    if (!file_) refuse_file(path_, "it is no HDF5 file, or is damaged");
    data_ = Handle(H5Dopen2(file_.id(), dataset.c_str(), H5P_DEFAULT), H5Dclose);
    if (!data_) {
      refuse_file(path_, fmt::format("it has no dataset '{}': those of ann-benchmarks are train, "
                                     "test and neighbors",
                                     dataset));
    }
    const Handle type(H5Dget_type(data_.id()), H5Tclose);
    const H5T_class_t kind = H5Tget_class(type.id());
    if (kind != H5T_FLOAT && kind != H5T_INTEGER) {
      refuse_file(path_, fmt::format("its dataset '{}' holds no numbers", dataset));
    }
    ids = kind == H5T_INTEGER && H5Tget_size(type.id()) > 1;
    is_unsigned_ = kind == H5T_INTEGER && H5Tget_sign(type.id()) == H5T_SGN_NONE;
    const Handle space(H5Dget_space(data_.id()), H5Sclose);
    std::array<hsize_t, 2> shape = {0, 1};
    const int dims = H5Sget_simple_extent_ndims(space.id());
    if (dims != 2 && !(dims == 1 && ids)) {
      refuse_file(path_, fmt::format("its dataset '{}' has {} dimensions: 2 are needed, [rows, "
                                     "dim]",
                                     dataset, dims));
    }
    H5Sget_simple_extent_dims(space.id(), shape.data(), nullptr);
    if (shape[1] == 0 || shape[1] > kMostDim) {
      refuse_file(path_, fmt::format("the rows of its dataset '{}' have {} numbers: 1 to {} are "
                                     "possible",
                                     dataset, shape[1], kMostDim));
    }
    dimensions_ = dims;
    rows = shape[0];
    dim = static_cast<std::uint32_t>(shape[1]);
  }

  void read_as(hid_t type, std::uint64_t begin, std::uint64_t count, void* values) const {
    const Quiet quiet;
    const std::array<hsize_t, 2> from = {begin, 0};
    const std::array<hsize_t, 2> extent = {count, dim};
    const Handle space(H5Dget_space(data_.id()), H5Sclose);
    const Handle memory(H5Screate_simple(dimensions_, extent.data(), nullptr), H5Sclose);
    if (!space || !memory ||
        H5Sselect_hyperslab(space.id(), H5S_SELECT_SET, from.data(), nullptr, extent.data(),
                            nullptr) < 0 ||
        H5Dread(data_.id(), type, memory.id(), space.id(), H5P_DEFAULT, values) < 0) {
      throw Error(
          ErrorCode::kIo,
          fmt::format("cannot read rows {} to {} of '{}': it is damaged, or compressed in a "
                      "way that this libhdf5 does not know",
                      begin, begin + count, path_.string()));
    }
  }

  const Path path_;
  Handle file_;
  Handle data_;
  int dimensions_ = 2;
  bool is_unsigned_ = false;
};

}  // namespace

std::unique_ptr<VectorFile::Rows> open_hdf5(const Path& path, const std::string& dataset) {
  std::error_code unknown;  // whether it is there: opening it says more
  if (!std::filesystem::exists(path, unknown) && !unknown) {
    throw Error(ErrorCode::kFileNotFound,
                fmt::format("cannot open '{}': there is no such file", path.string()));
  }
  return std::make_unique<Hdf5Rows>(path, dataset);
}

}  // namespace vsearch::index
