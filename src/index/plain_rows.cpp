// Files in which the numbers of a row lie side by side: .npy, .fvecs, .bvecs, .ivecs.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <vector>

#include "index/vector_rows.h"
#include "vsearch/error.h"

namespace vsearch::index {
namespace {

static_assert(std::endian::native == std::endian::little, "the numbers are little-endian");

using Path = std::filesystem::path;

constexpr std::size_t kBytesAtOnce = std::size_t{1} << 20;
constexpr std::uint64_t kMostHeaderBytes = 65536;

std::string reason_of(int error) {
  return std::generic_category().message(error);
}

// An open file of a known length.
class File {
 public:
  explicit File(const Path& path) : path_(path) {
    // Not to wait for a writer of what turns out to be a pipe.
    descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor_ < 0) {
      const int error = errno;
      throw Error(error == ENOENT ? ErrorCode::kFileNotFound : ErrorCode::kIo,
                  fmt::format("cannot open '{}': {}: give a file of vectors", path.string(),
                              reason_of(error)));
    }
    struct stat status = {};
    const bool known = ::fstat(descriptor_, &status) == 0;
    if (!known || !S_ISREG(status.st_mode)) {
      ::close(descriptor_);
      refuse_file(path, "it is no regular file");
    }
    size_ = static_cast<std::uint64_t>(status.st_size);
  }
  ~File() { ::close(descriptor_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  const Path& path() const { return path_; }
  std::uint64_t size() const { return size_; }

  void read(std::uint64_t offset, std::span<std::byte> bytes) const {
    while (!bytes.empty()) {
      const ssize_t got =
          ::pread(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) {
        throw Error(ErrorCode::kIo,
                    fmt::format("cannot read '{}': {}: copy it again, and do not "
                                "change it while it is read",
                                path_.string(), got < 0 ? reason_of(errno) : "it became shorter"));
      }
      offset += static_cast<std::uint64_t>(got);
      bytes = bytes.subspan(static_cast<std::size_t>(got));
    }
  }

 private:
  Path path_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

template <typename T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

// IEEE 754 binary16 to binary32.
float from_half(std::uint16_t half) {
  const std::uint32_t sign = (half & 0x8000U) << 16;
  const std::uint32_t exponent = (half >> 10) & 0x1FU;
  const std::uint32_t fraction = half & 0x3FFU;
  if (exponent == 0) {  // below the normal numbers: units of 2^-24
    const float value = static_cast<float>(fraction) * 0x1p-24F;
    return sign != 0 ? -value : value;
  }
  const std::uint32_t wide = exponent == 31 ? 255 : exponent + 127 - 15;
  return std::bit_cast<float>(sign | wide << 23 | fraction << 13);
}

float to_float(Element element, const std::byte* from) {
  switch (element) {
    case Element::kFloat16:
      return from_half(load<std::uint16_t>(from));
    case Element::kInt8:
      return static_cast<float>(load<std::int8_t>(from));
    case Element::kUint8:
      return static_cast<float>(load<std::uint8_t>(from));
    default:
      return load<float>(from);
  }
}

std::int64_t to_integer(Element element, const std::byte* from) {
  switch (element) {
    case Element::kInt32:
      return load<std::int32_t>(from);
    case Element::kUint32:
      return load<std::uint32_t>(from);
    default:
      return load<std::int64_t>(from);
  }
}

// Rows of `dim` elements, in .fvecs and its kin with the dim, an int32, before each.
class PlainRows final : public VectorFile::Rows {
 public:
  PlainRows(std::unique_ptr<const File> file, std::uint64_t offset, std::size_t prefix,
            Element element, std::uint64_t row_count, std::uint64_t numbers)
      : file_(std::move(file)), offset_(offset), prefix_(prefix), element_(element) {
    if (numbers == 0 || numbers > kMostDim) {
      refuse_file(file_->path(),
                  fmt::format("its rows have {} numbers: 1 to {} are possible", numbers, kMostDim));
    }
    rows = row_count;
    dim = static_cast<std::uint32_t>(numbers);
    ids = is_id(element);
    row_bytes_ = prefix + dim * bytes_of(element);
    const std::uint64_t length = file_->size() - offset;
    if (length % row_bytes_ != 0 || length / row_bytes_ != rows) {
      refuse_file(
          file_->path(),
          fmt::format("{} bytes follow its header, and {} rows of {} bytes are to be there: "
                      "the file is damaged",
                      length, rows, row_bytes_));
    }
  }

  void read(std::uint64_t begin, std::span<float> values) const override {
    each_row(begin, values, [&](std::uint64_t, const std::byte* from, std::span<float> row) {
      for (float& value : row) {
        value = to_float(element_, from);
        from += bytes_of(element_);
      }
    });
  }

  void read_ids(std::uint64_t begin, std::span<Id> values) const override {
    each_row(begin, values, [&](std::uint64_t number, const std::byte* from, std::span<Id> row) {
      for (Id& value : row) {
        const std::int64_t integer = to_integer(element_, from);
        if (integer < 0 && element_ != Element::kUint64) {
          refuse_file(file_->path(),
                      fmt::format("row {} holds {}, and an id is not negative", number, integer));
        }
        value = static_cast<Id>(integer);
        from += bytes_of(element_);
      }
    });
  }

 private:
  template <typename Value, typename Convert>
  void each_row(std::uint64_t begin, std::span<Value> values, Convert convert) const {
    const std::uint64_t end = begin + values.size() / dim;
    const std::uint64_t together = std::max<std::uint64_t>(1, kBytesAtOnce / row_bytes_);
    std::vector<std::byte> bytes;
    for (std::uint64_t first = begin; first < end; first += together) {
      const std::uint64_t count = std::min(together, end - first);
      bytes.resize(count * row_bytes_);
      file_->read(offset_ + first * row_bytes_, bytes);
      for (std::uint64_t i = 0; i < count; ++i) {
        const std::byte* const row = bytes.data() + i * row_bytes_;
        if (prefix_ > 0) check_prefix(first + i, load<std::int32_t>(row));
        convert(first + i, row + prefix_, values.subspan((first - begin + i) * dim, dim));
      }
    }
  }
  void check_prefix(std::uint64_t row, std::int64_t numbers) const {
    if (numbers == dim) return;
    refuse_file(file_->path(), fmt::format("row {} says that it has {} numbers, row 0 has {}: the "
                                           "file is damaged",
                                           row, numbers, dim));
  }

  std::unique_ptr<const File> file_;
  std::uint64_t offset_;
  std::size_t prefix_;
  Element element_;
  std::size_t row_bytes_ = 0;
};

}  // namespace

std::unique_ptr<VectorFile::Rows> open_npy(const Path& path) {
  auto file = std::make_unique<const File>(path);
  constexpr std::string_view kMagic = "\x93NUMPY";
  std::byte begin[12] = {};
  const std::uint64_t first = std::min<std::uint64_t>(sizeof(begin), file->size());
  file->read(0, std::span(begin).first(static_cast<std::size_t>(first)));
  if (first < sizeof(begin) || std::memcmp(begin, kMagic.data(), kMagic.size()) != 0) {
    refuse_file(path, "it is no .npy file: write it with numpy.save()");
  }
  const auto version = std::to_integer<unsigned>(begin[6]);
  if (version < 1 || version > 3) {
    refuse_file(path, fmt::format("it is of version {} of its format, and this library reads 1 to "
                                  "3",
                                  version));
  }
  const std::uint64_t length =
      version == 1 ? load<std::uint16_t>(begin + 8) : std::uint64_t{load<std::uint32_t>(begin + 8)};
  const std::uint64_t at = version == 1 ? 10 : 12;
  if (length > kMostHeaderBytes || at + length > file->size()) {
    refuse_file(path, "its header is damaged");
  }
  std::string dictionary(static_cast<std::size_t>(length), '\0');
  file->read(at, std::as_writable_bytes(std::span(dictionary)));
  const NpyHeader header = parse_npy(dictionary, path);
  return std::make_unique<PlainRows>(std::move(file), at + length, 0, header.element, header.rows,
                                     header.dim);
}

std::unique_ptr<VectorFile::Rows> open_vecs(const Path& path, Element element) {
  auto file = std::make_unique<const File>(path);
  std::int32_t dim = 0;
  if (file->size() < sizeof(dim)) refuse_file(path, "it is empty, or ends within its first row");
  file->read(0, std::as_writable_bytes(std::span(&dim, 1)));
  if (dim < 1) refuse_file(path, fmt::format("row 0 says that it has {} numbers", dim));
  const std::uint64_t row_bytes = sizeof(dim) + static_cast<std::uint64_t>(dim) * bytes_of(element);
  if (file->size() % row_bytes != 0) {
    refuse_file(path, fmt::format("it is {} bytes long, which is no multiple of the {} of a row "
                                  "with {} numbers",
                                  file->size(), row_bytes, dim));
  }
  const std::uint64_t rows = file->size() / row_bytes;
  return std::make_unique<PlainRows>(std::move(file), 0, sizeof(dim), element, rows,
                                     static_cast<std::uint64_t>(dim));
}

}  // namespace vsearch::index
