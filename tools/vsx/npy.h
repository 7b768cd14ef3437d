// NumPy's file format, as far as embeddings need it.
#pragma once

#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>

namespace vsx {

// Writes a float32 matrix as a .npy file, version 1.0
// (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html). The rows go to a
// temporary file beside `path`; commit() gives it its name, so a file of that name is whole.
class NpyWriter {
 public:
  // The matrix will have `rows` rows of `cols` floats. Throws vsearch::Error (kIo).
  NpyWriter(std::filesystem::path path, std::size_t rows, std::size_t cols);
  ~NpyWriter();  // removes the temporary file if commit() was not reached
  NpyWriter(const NpyWriter&) = delete;
  NpyWriter& operator=(const NpyWriter&) = delete;

  // Whole rows, row-major. Throws vsearch::Error (kIo).
  void append(std::span<const float> values);
  void commit();

 private:
  struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  [[noreturn]] void fail() const;

  std::filesystem::path path_;
  std::filesystem::path unfinished_;
  std::unique_ptr<std::FILE, CloseFile> file_;
};

}  // namespace vsx
