#include "eval/list_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <fstream>
#include <sstream>
#include <system_error>
#include <utility>

namespace vsearch::eval {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kBlanks = " \t\r\v\f";

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

std::vector<std::string> words_in(std::string_view line) {
  std::vector<std::string> words;
  while (true) {
    const std::size_t begin = line.find_first_not_of(kBlanks);
    if (begin == std::string_view::npos) return words;
    const std::size_t end = std::min(line.find_first_of(kBlanks, begin), line.size());
    words.emplace_back(line.substr(begin, end - begin));
    line.remove_prefix(end);
  }
}

void require_cells(const ListFile& file, const ListLine& line, std::size_t cells) {
  if (line.cells.size() == cells) return;
  file.fail(line, fmt::format("{} cells, where {} are expected", line.cells.size(), cells));
}

// Every record of a file, cells trimmed.
ListFile read_records(const fs::path& path) {
  const std::string text = read_list_text(path);
  const std::string name = path.string();
  ListFile file{path, {}};
  try {
    detail::CsvReader reader(text, name);
    while (auto record = reader.next()) {
      for (std::string& cell : record->cells) cell = std::string(trimmed(cell));
      const bool is_blank = record->cells.size() == 1 && record->cells.front().empty();
      if (!is_blank) file.lines.push_back(*std::move(record));
    }
  } catch (const Error& error) {
    throw Error(ErrorCode::kCorrupt, error.what());
  }
  return file;
}

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

}  // namespace

std::string read_list_text(const fs::path& path) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) {
    throw Error(
        ErrorCode::kFileNotFound,
        fmt::format("'{}' is missing; it comes with the data set: unpack that whole, or name "
                    "the folder that holds it",
                    path.string()));
  }
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream content;
  // operator<< takes a buffer with nothing in it for a failure, but a file may be empty.
  if (stream.peek() != std::ifstream::traits_type::eof()) content << stream.rdbuf();
  if (!stream || !content || fs::is_directory(path, ignored)) {
    throw Error(ErrorCode::kIo,
                fmt::format("'{}' cannot be read; check its permissions and that it "
                            "is a file",
                            path.string()));
  }
  return std::move(content).str();
}

void ListFile::fail(const ListLine& line, std::string_view what, ErrorCode code) const {
  throw Error(code,
              fmt::format("'{}', line {}: {}; correct it, or get the list again from where it is "
                          "published",
                          path.string(), line.line, what));
}

std::uint32_t ListFile::number(const ListLine& line, std::size_t cell) const {
  const std::string& text = line.cells[cell];
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && end == text.data() + text.size()) return value;
  fail(line, fmt::format("'{}' is no number", text));
}

ListFile read_words(const fs::path& path, std::size_t cells, std::size_t header) {
  const std::string text = read_list_text(path);
  ListFile file{path, {}};
  std::string_view left = text;
  for (std::size_t number = 1; !left.empty(); ++number) {
    const std::size_t end = std::min(left.find('\n'), left.size());
    ListLine line{number, words_in(left.substr(0, end))};
    left.remove_prefix(std::min(end + 1, left.size()));
    if (number <= header || line.cells.empty()) continue;
    require_cells(file, line, cells);
    file.lines.push_back(std::move(line));
  }
  return file;
}

ListFile read_cells(const fs::path& path, std::size_t cells) {
  ListFile file = read_records(path);
  for (const ListLine& line : file.lines) require_cells(file, line, cells);
  return file;
}

ListTable::ListTable(const fs::path& path, bool loose_end) : file_(read_records(path)) {
  if (file_.lines.empty()) {
    throw Error(ErrorCode::kCorrupt,
                fmt::format("'{}' is empty; its first line must name the columns", path.string()));
  }
  columns_ = std::move(file_.lines.front().cells);
  file_.lines.erase(file_.lines.begin());
  for (ListLine& line : file_.lines) {
    if (loose_end && line.cells.size() > columns_.size()) line.cells.resize(columns_.size());
    require_cells(file_, line, columns_.size());
  }
}

std::optional<std::size_t> ListTable::find(std::string_view column) const {
  const std::string wanted = lower(column);
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (lower(columns_[i]) == wanted) return i;
  }
  return std::nullopt;
}

std::size_t ListTable::column(std::string_view name) const {
  if (const auto found = find(name)) return *found;
  throw Error(ErrorCode::kCorrupt,
              fmt::format("'{}' has no column '{}', but: {}", file_.path.string(), name,
                          fmt::join(columns_, ", ")));
}

}  // namespace vsearch::eval
