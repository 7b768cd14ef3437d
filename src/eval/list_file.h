// The lists that data sets come with: words in columns, or comma-separated cells.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/csv.h"
#include "vsearch/error.h"

namespace vsearch::eval {

using ListLine = detail::CsvRecord;

// A list with its lines in memory. All throw kFileNotFound (there is no such list), kIo, and
// kCorrupt with the line (it has fewer cells than it should, or more).
struct ListFile {
  std::filesystem::path path;
  std::vector<ListLine> lines;

  // Throws kCorrupt: "'Ebay_test.txt', line 7: ...".
  [[noreturn]] void fail(const ListLine& line, std::string_view what,
                         ErrorCode code = ErrorCode::kCorrupt) const;
  // The cell as a number of at least 0. Throws kCorrupt.
  std::uint32_t number(const ListLine& line, std::size_t cell) const;
};

// Cells are what stands between blanks; every line but empty ones has `cells`. The first `header`
// lines are left out and may hold anything.
ListFile read_words(const std::filesystem::path& path, std::size_t cells, std::size_t header = 0);

// Comma-separated, without a header; blanks around cells are dropped.
ListFile read_cells(const std::filesystem::path& path, std::size_t cells);

// Comma-separated, with names of columns in the first line.
class ListTable {
 public:
  // `loose_end`: lines may have more cells than there are columns, since the last holds a text with
  // commas that nobody quoted.
  explicit ListTable(const std::filesystem::path& path, bool loose_end = false);

  const std::vector<std::string>& columns() const { return columns_; }
  const std::vector<ListLine>& lines() const { return file_.lines; }
  // Its number, in any case of letters.
  std::optional<std::size_t> find(std::string_view column) const;
  // The same. Throws kCorrupt, with the columns there are.
  std::size_t column(std::string_view name) const;
  [[noreturn]] void fail(const ListLine& line, std::string_view what,
                         ErrorCode code = ErrorCode::kCorrupt) const {
    file_.fail(line, what, code);
  }

 private:
  ListFile file_;
  std::vector<std::string> columns_;
};

// The whole file. Throws kFileNotFound (with the remedy for a list), kIo.
std::string read_list_text(const std::filesystem::path& path);

}  // namespace vsearch::eval
