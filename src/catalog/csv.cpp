#include "catalog/csv.h"

#include <fmt/format.h>

#include "vsearch/error.h"

namespace vsearch::detail {

CsvReader::CsvReader(std::string_view text, std::string_view name) : text_(text), name_(name) {
  if (text_.starts_with("\xEF\xBB\xBF")) text_.remove_prefix(3);
}

std::optional<CsvRecord> CsvReader::next() {
  while (at_ < text_.size() && at_line_end()) {
    if (text_[at_] == '\n') ++line_;
    ++at_;
  }
  if (at_ >= text_.size()) return std::nullopt;

  CsvRecord record{line_, {}};
  while (true) {
    record.cells.push_back(at_ < text_.size() && text_[at_] == '"' ? quoted_cell() : plain_cell());
    if (at_ >= text_.size() || text_[at_] != ',') break;
    ++at_;
  }
  return record;
}

bool CsvReader::at_line_end() const {
  return text_[at_] == '\n' || text_.substr(at_, 2) == "\r\n";
}

std::string CsvReader::plain_cell() {
  const std::size_t begin = at_;
  while (at_ < text_.size() && text_[at_] != ',' && !at_line_end()) ++at_;
  return std::string(text_.substr(begin, at_ - begin));
}

std::string CsvReader::quoted_cell() {
  const std::size_t first_line = line_;
  std::string cell;
  for (++at_; at_ < text_.size(); ++at_) {
    const char c = text_[at_];
    if (c == '"') {
      ++at_;
      if (at_ >= text_.size() || text_[at_] == ',' || at_line_end()) return cell;
      if (text_[at_] != '"') fail(line_, "there is text after a closing quote");
    }
    if (c == '\n') ++line_;
    cell += c;
  }
  fail(first_line, "a quote is opened and never closed");
}

void CsvReader::fail(std::size_t line, std::string_view what) const {
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("'{}', line {}: {}; inside quotes a quote is written twice (\"\")", name_,
                          line, what));
}

}  // namespace vsearch::detail
