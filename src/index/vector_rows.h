// The formats behind vsearch::VectorFile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "vsearch/vector_file.h"

namespace vsearch {

// The matrix in one file. Threads: const members may be called from many at once.
class VectorFile::Rows {
 public:
  virtual ~Rows() = default;

  std::uint64_t rows = 0;
  std::uint32_t dim = 0;
  bool ids = false;

  // The rows are there, and `values` holds a whole number of them, at least one.
  virtual void read(std::uint64_t begin, std::span<float> values) const = 0;
  virtual void read_ids(std::uint64_t begin, std::span<Id> values) const = 0;
};

namespace index {

constexpr std::uint64_t kMostDim = 65536;

// Throws kInvalidArgument: the file is not what it should be, and `reason` says why.
[[noreturn]] void refuse_file(const std::filesystem::path& path, const std::string& reason);

enum class Element : std::uint8_t {
  kFloat32,
  kFloat16,
  kInt8,
  kUint8,
  kInt32,
  kUint32,
  kInt64,
  kUint64
};
std::size_t bytes_of(Element element);
bool is_id(Element element);

// What the header of a .npy file says.
struct NpyHeader {
  Element element = Element::kFloat32;
  std::uint64_t rows = 0;
  std::uint64_t dim = 0;
};
// `dictionary`: the text behind the header's length. Throws what refuse_file() throws.
NpyHeader parse_npy(std::string_view dictionary, const std::filesystem::path& path);

// Throw as VectorFile's constructor does.
std::unique_ptr<VectorFile::Rows> open_npy(const std::filesystem::path& path);
std::unique_ptr<VectorFile::Rows> open_vecs(const std::filesystem::path& path, Element element);
std::unique_ptr<VectorFile::Rows> open_hdf5(const std::filesystem::path& path,
                                            const std::string& dataset);

}  // namespace index
}  // namespace vsearch
