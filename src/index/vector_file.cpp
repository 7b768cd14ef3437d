#include "vsearch/vector_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "index/graph.h"
#include "index/vector_rows.h"
#include "index/vectors.h"
#include "vsearch/error.h"

namespace vsearch {
namespace {

constexpr std::uint64_t kNumbersAtOnce = std::uint64_t{1} << 22;

using Rows = VectorFile::Rows;

std::unique_ptr<Rows> open(const std::filesystem::path& path, const std::string& dataset) {
  std::string ending = path.extension().string();
  std::ranges::transform(ending, ending.begin(), [](char letter) {
    return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
  });
  if (ending == ".npy") return index::open_npy(path);
  if (ending == ".fvecs") return index::open_vecs(path, index::Element::kFloat32);
  if (ending == ".bvecs") return index::open_vecs(path, index::Element::kUint8);
  if (ending == ".ivecs") return index::open_vecs(path, index::Element::kInt32);
  if (ending == ".hdf5" || ending == ".h5") return index::open_hdf5(path, dataset);
  index::refuse_file(path, "its name ends in none of .npy .fvecs .bvecs .ivecs .hdf5 .h5");
}

void check_range(const Rows& file, const std::filesystem::path& path, std::uint64_t begin,
                 std::size_t numbers) {
  if (numbers % file.dim != 0) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("there is room for {} numbers, and a row of '{}' has {}: give room for "
                            "whole rows",
                            numbers, path.string(), file.dim));
  }
  const std::uint64_t count = numbers / file.dim;
  if (begin > file.rows || count > file.rows - begin) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("rows {} to {} were asked for, and '{}' has {}", begin, begin + count,
                            path.string(), file.rows));
  }
}

// Calls `take(first row, rows)` for all rows of `file`, some at a time.
template <typename Take>
void each_block(const VectorFile& file, Take take) {
  const std::uint64_t together = std::max<std::uint64_t>(1, kNumbersAtOnce / file.dim());
  std::vector<float> values;
  for (std::uint64_t begin = 0; begin < file.rows(); begin += together) {
    const std::uint64_t count = std::min(together, file.rows() - begin);
    values.resize(static_cast<std::size_t>(count * file.dim()));
    file.read(begin, values);
    take(begin, MatrixView{values.data(), static_cast<std::size_t>(count), file.dim()});
  }
}

void check_rows(const Index& index, const VectorFile& file) {
  each_block(file, [&](std::uint64_t begin, MatrixView block) {
    for (std::size_t i = 0; i < block.rows; ++i) {
      const std::string defect = index::vector_defect(block.row(i), index.options());
      if (defect.empty()) continue;
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("row {} of '{}' {}: leave it out; nothing was added", begin + i,
                              file.path().string(), defect));
    }
  });
}

}  // namespace

namespace index {

void refuse_file(const std::filesystem::path& path, const std::string& reason) {
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("cannot read vectors from '{}': {}", path.string(), reason));
}

std::size_t bytes_of(Element element) {
  switch (element) {
    case Element::kInt8:
    case Element::kUint8:
      return 1;
    case Element::kFloat16:
      return 2;
    case Element::kInt64:
    case Element::kUint64:
      return 8;
    default:
      return 4;
  }
}

bool is_id(Element element) {
  return element >= Element::kInt32;
}

}  // namespace index

VectorFile::VectorFile(const std::filesystem::path& path, const std::string& dataset)
    : path_(path), rows_(open(path, dataset)) {}
VectorFile::~VectorFile() = default;
VectorFile::VectorFile(VectorFile&&) noexcept = default;
VectorFile& VectorFile::operator=(VectorFile&&) noexcept = default;

const std::filesystem::path& VectorFile::path() const {
  return path_;
}

std::uint64_t VectorFile::rows() const {
  return rows_->rows;
}

std::uint32_t VectorFile::dim() const {
  return rows_->dim;
}

bool VectorFile::holds_ids() const {
  return rows_->ids;
}

void VectorFile::read(std::uint64_t begin, std::span<float> values) const {
  if (rows_->ids) index::refuse_file(path_, "it holds ids: give a file of floats, or of bytes");
  check_range(*rows_, path_, begin, values.size());
  if (!values.empty()) rows_->read(begin, values);
}

void VectorFile::read_ids(std::uint64_t begin, std::span<Id> ids) const {
  if (!rows_->ids) {
    index::refuse_file(path_, "it holds no ids: give a file of integers of 32 or 64 bits");
  }
  check_range(*rows_, path_, begin, ids.size());
  if (!ids.empty()) rows_->read_ids(begin, ids);
}

void add_file(Index& index, const VectorFile& file, std::span<const Id> ids,
              const Progress& progress) {
  if (file.dim() != index.options().dim) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("the rows of '{}' have {} numbers but the index has {} dimensions: use "
                            "the encoder the index was made for",
                            file.path().string(), file.dim(), index.options().dim));
  }
  if (!ids.empty() && ids.size() != file.rows()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("'{}' has {} rows but there are {} ids: give one id a row",
                            file.path().string(), file.rows(), ids.size()));
  }
  if (file.rows() > index::Graph::kMaxSlots) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("'{}' has {} rows, and an index holds at most {} vectors",
                            file.path().string(), file.rows(), index::Graph::kMaxSlots));
  }
  check_rows(index, file);
  std::vector<Id> numbers;
  each_block(file, [&](std::uint64_t begin, MatrixView block) {
    std::span<const Id> names;
    if (ids.empty()) {
      numbers.resize(block.rows);
      std::iota(numbers.begin(), numbers.end(), begin);
      names = numbers;
    } else {
      names = ids.subspan(static_cast<std::size_t>(begin), block.rows);
    }
    Progress of_file;
    if (progress) {
      of_file = [&](std::uint64_t done, std::uint64_t) {
        return progress(begin + done, file.rows());
      };
    }
    index.add(block, names, of_file);
  });
}

}  // namespace vsearch
