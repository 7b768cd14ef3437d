// Aligned columns of text.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace vsx {

enum class Align { kLeft, kRight };

struct Column {
  std::string name;
  Align align = Align::kLeft;
};

class Table {
 public:
  explicit Table(std::vector<Column> columns);

  // One cell a column; control characters become '?'.
  void add_row(std::vector<std::string> cells);

  // Header and rows, each column as wide as its widest cell. The last column is shortened so that
  // lines fit into `width`, but keeps at least 20 characters. 0: nothing is shortened.
  std::string text(std::size_t width = 0) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace vsx
