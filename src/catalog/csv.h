// Comma-separated values, RFC 4180.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vsearch::detail {

struct CsvRecord {
  std::size_t line = 0;  // where it begins, from 1
  std::vector<std::string> cells;
};

// Reads records one by one from text in memory: cells in double quotes may hold commas, line breaks
// and doubled quotes; lines end with LF or CRLF; empty lines are skipped. A byte order mark at the
// beginning is dropped.
class CsvReader {
 public:
  // `name` appears in error messages. Both are borrowed.
  CsvReader(std::string_view text, std::string_view name);

  // The next record, or nothing at the end. Throws kInvalidArgument, with the line.
  std::optional<CsvRecord> next();

 private:
  std::string quoted_cell();
  std::string plain_cell();
  bool at_line_end() const;
  [[noreturn]] void fail(std::size_t line, std::string_view what) const;

  std::string_view text_;
  std::string_view name_;
  std::size_t at_ = 0;
  std::size_t line_ = 1;
};

}  // namespace vsearch::detail
