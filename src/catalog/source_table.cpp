#include "catalog/source_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "catalog/csv.h"
#include "catalog/item_check.h"
#include "catalog/metadata_value.h"
#include "util/utf8.h"
#include "vsearch/error.h"

namespace vsearch::detail {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kPathColumn = "path";

std::string read_text(const Table& table) {
  std::error_code unknown;  // whether it is there: reading it says why
  if (!std::filesystem::exists(table.file, unknown) && !unknown) {
    throw Error(ErrorCode::kFileNotFound, fmt::format("the {} '{}' does not exist; check the path",
                                                      table.noun, table.file.string()));
  }
  std::ifstream stream(table.file, std::ios::binary);
  std::string text;
  std::vector<char> block(std::size_t{1} << 16);
  while (stream) {
    stream.read(block.data(), static_cast<std::streamsize>(block.size()));
    text.append(block.data(), static_cast<std::size_t>(stream.gcount()));
  }
  if (stream.bad() || !stream.eof()) {
    throw Error(ErrorCode::kIo, fmt::format("cannot read the {} '{}'; is it a file, and may you "
                                            "read it?",
                                            table.noun, table.file.string()));
  }
  return text;
}

[[noreturn]] void fail_encoding(const Table& table, std::size_t row) {
  fail_at(table, row,
          table.format == TableFormat::kQuery ? "the text is not UTF-8; convert it in the query"
                                              : "the text is not UTF-8; save the file as UTF-8");
}

// "120" and "1.20e+5" have "12".
std::string significant_digits(std::string_view number) {
  std::string digits;
  for (const char c : number.substr(0, number.find_first_of("eE"))) {
    const bool leads = c == '0' && digits.empty();
    if (c >= '0' && c <= '9' && !leads) digits += c;
  }
  digits.erase(digits.find_last_not_of('0') + 1);
  return digits;
}

// The number in `cell` if it can be one without losing anything.
std::optional<Json> number_in(std::string_view cell) {
  const std::string_view digits = cell.substr(cell.starts_with('-') ? 1 : 0);
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (digits.empty() || !is_digit(digits.front()) || !is_digit(digits.back())) return std::nullopt;
  if (digits.size() > 1 && digits[0] == '0' && digits[1] != '.') return std::nullopt;
  const char* const end = cell.data() + cell.size();

  if (std::all_of(digits.begin(), digits.end(), is_digit)) {
    constexpr std::int64_t kExactInDoubles = std::int64_t{1} << 53;
    std::int64_t integer = 0;
    const auto [last, error] = std::from_chars(cell.data(), end, integer);
    const bool is_exact = integer <= kExactInDoubles && integer >= -kExactInDoubles;
    const bool is_minus_zero = integer == 0 && cell != digits;
    if (error != std::errc() || !is_exact || is_minus_zero) return std::nullopt;
    return integer;
  }
  // 1E5 is more often an article number than 100,000: an exponent needs its sign.
  const std::size_t exponent = cell.find_first_of("eE");
  if (exponent != cell.npos && cell[exponent + 1] != '+' && cell[exponent + 1] != '-') {
    return std::nullopt;
  }
  double value = 0;
  const auto [last, error] = std::from_chars(cell.data(), end, value);
  if (error != std::errc() || last != end || !std::isfinite(value)) return std::nullopt;
  // Digits that a number of 64 bits does not give back are those of something else.
  const std::string written = significant_digits(cell);
  if (written.empty()) return value;
  const std::string held = fmt::format("{:.{}e}", value, written.size() - 1);
  if (written.size() > std::numeric_limits<double>::max_digits10 ||
      written != significant_digits(held)) {
    return std::nullopt;
  }
  return value;
}

Json cell_value(std::string_view cell) {
  for (const std::string_view word : {"true", "True", "TRUE"}) {
    if (cell == word) return true;
  }
  for (const std::string_view word : {"false", "False", "FALSE"}) {
    if (cell == word) return false;
  }
  if (std::optional<Json> number = number_in(cell)) return *std::move(number);
  return std::string(cell);
}

void require_name(const Table& table, const TableRow& row) {
  const bool key_required = table.needs != RowNeeds::kName;
  if (!row.key.empty() || (!row.path.empty() && !key_required)) return;
  fail_at(table, row.number,
          fmt::format("there is no '{}'{}, so the row is about nothing; fill it in or remove the "
                      "row",
                      table.key_column, key_required ? "" : " and no 'path'"));
}

void read_csv(const Table& table, const std::function<void(TableRow&&)>& take) {
  const std::string text = read_text(table);
  const std::string name = table.file.string();
  CsvReader reader(text, name);
  const std::optional<CsvRecord> header = reader.next();
  if (!header) fail_at(table, 1, "the file is empty; its first line must name the columns");
  const std::vector<std::string>& columns = header->cells;
  check_columns(table, header->line, columns);

  while (std::optional<CsvRecord> record = reader.next()) {
    if (record->cells.size() != columns.size()) {
      fail_at(table, record->line,
              fmt::format("the row has {} cells, the header has {}; quote cells that hold commas",
                          record->cells.size(), columns.size()));
    }
    TableRow row{record->line, {}, {}, Json::object()};
    for (std::size_t i = 0; i < columns.size(); ++i) {
      std::string& cell = record->cells[i];
      if (columns[i] == table.key_column) {
        row.key = std::move(cell);
      } else if (columns[i] == kPathColumn) {
        row.path = std::move(cell);
      } else if (!cell.empty()) {
        row.fields[columns[i]] = cell_value(cell);
      }
    }
    require_name(table, row);
    take(std::move(row));
  }
}

void read_json_lines(const Table& table, const std::function<void(TableRow&&)>& take) {
  const std::string text = read_text(table);
  std::string_view rest = text;
  if (rest.starts_with("\xEF\xBB\xBF")) rest.remove_prefix(3);

  for (std::size_t line = 1; !rest.empty(); ++line) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view content = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (content.find_first_not_of(" \t\r") == content.npos) continue;

    Json object = parse_json(table, line, content);
    if (!object.is_object()) {
      fail_at(table, line, "this is not a JSON object; every line must be one");
    }
    take(row_of(table, line, std::move(object)));
  }
}

}  // namespace

void fail_at(const Table& table, std::size_t row, std::string_view what) {
  const std::string_view unit = table.format == TableFormat::kQuery ? "row" : "line";
  throw Error(ErrorCode::kInvalidArgument,
              row == 0 ? fmt::format("'{}': {}", table.file.string(), what)
                       : fmt::format("'{}', {} {}: {}", table.file.string(), unit, row, what));
}

Table open_table(const std::filesystem::path& file, std::string_view noun, std::string key_column,
                 RowNeeds needs) {
  std::string extension = file.extension().string();
  std::ranges::transform(extension, extension.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  });
  Table table{file, TableFormat::kCsv, noun, std::move(key_column), needs};
  if (extension == ".csv") return table;
  table.format = TableFormat::kJsonLines;
  if (extension == ".jsonl" || extension == ".ndjson") return table;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("'{}': a {} ends in .csv or .jsonl, which says how to read it",
                          file.string(), noun));
}

void read_rows(const Table& table, const std::function<void(TableRow&&)>& take) {
  if (table.format == TableFormat::kCsv) {
    read_csv(table, take);
  } else {
    read_json_lines(table, take);
  }
}

void check_columns(const Table& table, std::size_t row, std::span<const std::string> names) {
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i].empty()) {
      fail_at(table, row,
              fmt::format("column {} has no name; {}", i + 1,
                          table.format == TableFormat::kQuery ? "give it one with AS"
                                                              : "the first line names them"));
    }
    if (std::ranges::count(names.first(i), names[i]) > 0) {
      fail_at(table, row, fmt::format("two columns are called '{}'; rename one", names[i]));
    }
  }
  const bool no_key = std::ranges::count(names, table.key_column) == 0;
  const bool no_path = std::ranges::count(names, kPathColumn) == 0;
  const bool key_required = table.needs != RowNeeds::kName;
  if (no_key && (key_required || no_path)) {
    fail_at(table, row,
            fmt::format("there is no column '{}'{}; the columns are: {}; key_column (--key-column) "
                        "says which one holds the key",
                        table.key_column, key_required ? "" : " and no column 'path'",
                        fmt::join(names, ", ")));
  }
  if (no_path && table.needs == RowNeeds::kPicture) {
    fail_at(table, row,
            fmt::format("there is no column 'path', which names the pictures; the columns are: {}",
                        fmt::join(names, ", ")));
  }
}

TableRow row_of(const Table& table, std::size_t number, Json fields) {
  TableRow row{number, {}, {}, std::move(fields)};
  row.key = take_text(table, number, row.fields, table.key_column);
  row.path = take_text(table, number, row.fields, kPathColumn);
  require_name(table, row);
  return row;
}

std::string take_text(const Table& table, std::size_t row, Json& fields, std::string_view column) {
  const auto found = fields.find(column);
  if (found == fields.end()) return {};
  if (!found->is_string() && !found->is_number_integer() && !found->is_null()) {
    fail_at(table, row, fmt::format("'{}' must be a text or an integer", column));
  }
  std::string text;
  if (found->is_string()) text = std::move(found->get_ref<std::string&>());
  if (found->is_number_integer()) text = found->dump();
  fields.erase(found);
  return text;
}

std::string metadata_text(const Table& table, const TableRow& row) {
  try {
    return row.fields.dump();
  } catch (const Json::type_error&) {
    fail_encoding(table, row.number);
  }
}

void require_utf8(const Table& table, std::size_t row, std::string_view text) {
  if (!util::is_utf8(text)) fail_encoding(table, row);
}

Json parse_json(const Table& table, std::size_t row, std::string_view text) {
  const auto check = [&](int depth, Json::parse_event_t, const Json&) {
    if (depth <= kMaxMetadataDepth) return true;
    fail_at(table, row, fmt::format("it is nested more than {} levels deep", kMaxMetadataDepth));
  };
  return Json::parse(text, check, false);
}

}  // namespace vsearch::detail
