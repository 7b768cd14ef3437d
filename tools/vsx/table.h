// Aligned columns of text.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace vsx {

enum class Shorten { kNever, kBeginning, kEnd };

struct Column {
  std::string name;
  Shorten shorten = Shorten::kNever;  // what may be cut off cells when space is scarce
};

class Table {
 public:
  explicit Table(std::vector<Column> columns);

  // One cell a column; control characters become '?'.
  void add_row(std::vector<std::string> cells);

  // Header and rows, each column as wide as its widest cell; columns without any cell are left out.
  // To fit lines into `width`, the widest columns that allow it are shortened, but to no less than
  // 16 characters. 0: nothing is shortened.
  std::string text(std::size_t width = 0) const;

 private:
  std::vector<std::size_t> column_widths(std::size_t width) const;

  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace vsx
