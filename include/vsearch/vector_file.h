// Vectors, and ids of neighbours, in files as other programs write them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "vsearch/index.h"
#include "vsearch/types.h"

namespace vsearch {

// A matrix in a file. Its format follows from how the name ends:
//
//   .npy           NumPy's, version 1 to 3: little-endian, in C order; float32, float16, int8 or
//                  uint8 [rows, dim]; of ids int32, uint32, int64 or uint64, also [rows]
//   .fvecs .bvecs  TEXMEX's (http://corpus-texmex.irisa.fr): rows of an int32, dim, and dim float32
//   .ivecs         or uint8; of ids int32
//   .hdf5 .h5      one dataset of HDF5, as ann-benchmarks names them: "train", "test", of ids
//                  "neighbors"; any float or integer type. Only where the library was built with
//                  libhdf5, which reads the file: open none whose author you do not trust.
//
// Anything else is refused with its reason. What the file says of itself is compared with its
// length before anything is read. It is read piece by piece, never mapped into memory: a file that
// becomes shorter meanwhile is an error, and does not end the process. Threads: const members may
// be called from many threads at once.
class VectorFile {
 public:
  // `dataset` is of .hdf5 files; the others have but one.
  // Throws kFileNotFound, kIo, kInvalidArgument (no such format or dataset, or the file is
  // damaged), kUnavailable (.hdf5, and this build has no libhdf5).
  explicit VectorFile(const std::filesystem::path& path, const std::string& dataset = "train");
  ~VectorFile();
  VectorFile(VectorFile&&) noexcept;
  VectorFile& operator=(VectorFile&&) noexcept;

  const std::filesystem::path& path() const;
  std::uint64_t rows() const;
  std::uint32_t dim() const;  // numbers per row: 1 to 65,536
  // Whether the numbers are integers of more than 8 bits: then read_ids() reads them, else read().
  bool holds_ids() const;

  // Reads rows from `begin` on, as many as there is room for in `values` [n x dim], as float32.
  // Throws kInvalidArgument (no such rows, or ids; or a row of another dim: the file is damaged),
  // kIo.
  void read(std::uint64_t begin, std::span<float> values) const;
  // The same of ids; a negative one is kInvalidArgument, too.
  void read_ids(std::uint64_t begin, std::span<Id> ids) const;

  class Rows;  // of the library's own

 private:
  std::filesystem::path path_;
  std::unique_ptr<Rows> rows_;
};

// Adds the vectors of `file` to `index`, in the order of the file, under `ids` [rows]; without any,
// under the numbers of the rows, from 0 on. Reads the file twice: before the first row is added,
// all have been found to be good. Needs memory for some thousand rows besides that of the index.
// `progress` counts rows; what was added before a cancellation, or before memory ran out, stays.
// Throws what VectorFile::read() and Index::add() throw; the message names the row.
void add_file(Index& index, const VectorFile& file, std::span<const Id> ids = {},
              const Progress& progress = {});

}  // namespace vsearch
