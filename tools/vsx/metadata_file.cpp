#include "metadata_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "csv.h"
#include "vsearch/error.h"

namespace vsx {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kPathColumn = "path";

// How the file is called in messages, and which column holds the key.
struct Source {
  std::filesystem::path file;
  std::string key_column;
  bool key_required;
};

[[noreturn]] void fail(const Source& source, std::size_t line, std::string_view what) {
  throw vsearch::Error(vsearch::ErrorCode::kInvalidArgument,
                       fmt::format("'{}', line {}: {}", source.file.string(), line, what));
}

std::string read_text(const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) {
    throw vsearch::Error(
        vsearch::ErrorCode::kFileNotFound,
        fmt::format("the metadata file '{}' does not exist; check the path", file.string()));
  }
  std::ifstream stream(file, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  if (!stream) {
    throw vsearch::Error(vsearch::ErrorCode::kIo,
                         fmt::format("cannot read the metadata file '{}'; is it a file, and may "
                                     "you read it?",
                                     file.string()));
  }
  return text;
}

// JSON as text; JSON is UTF-8, so text of another encoding ends here.
std::string dump(const Json& value, const Source& source, std::size_t line) {
  try {
    return value.dump();
  } catch (const Json::type_error&) {
    fail(source, line, "the text is not UTF-8; save the file as UTF-8");
  }
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
    if (error != std::errc() || std::abs(integer) > kExactInDoubles) return std::nullopt;
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

// Where the key and the path stand in a CSV file.
struct Columns {
  std::size_t key = 0;  // the number of columns: there is none
  std::size_t path = 0;
};

Columns find_columns(const CsvRecord& header, const Source& source) {
  const std::vector<std::string>& names = header.cells;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i].empty()) {
      fail(source, header.line,
           fmt::format("column {} has no name; the first line names them", i + 1));
    }
    if (std::find(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(i), names[i]) !=
        names.begin() + static_cast<std::ptrdiff_t>(i)) {
      fail(source, header.line, fmt::format("two columns are called '{}'; rename one", names[i]));
    }
  }
  const auto position = [&](std::string_view name) {
    return static_cast<std::size_t>(std::find(names.begin(), names.end(), name) - names.begin());
  };
  const Columns columns{position(source.key_column), position(kPathColumn)};
  const bool no_key = columns.key == names.size();
  if (no_key && (source.key_required || columns.path == names.size())) {
    fail(source, header.line,
         fmt::format("there is no column '{}'{}; the columns are: {}; --key-column says which one "
                     "holds the key",
                     source.key_column, source.key_required ? "" : " and no column 'path'",
                     fmt::join(names, ", ")));
  }
  return columns;
}

void require_name(const MetadataRow& row, const Source& source) {
  if (!row.key.empty() || (!row.path.empty() && !source.key_required)) return;
  fail(source, row.line,
       fmt::format("there is no '{}'{}, so the row is about nothing; fill it in or remove the row",
                   source.key_column, source.key_required ? "" : " and no 'path'"));
}

std::vector<MetadataRow> read_csv(const Source& source) {
  const std::string text = read_text(source.file);
  const std::string name = source.file.string();
  CsvReader reader(text, name);
  const std::optional<CsvRecord> header = reader.next();
  if (!header) fail(source, 1, "the file is empty; its first line must name the columns");
  const Columns columns = find_columns(*header, source);

  std::vector<MetadataRow> rows;
  while (std::optional<CsvRecord> record = reader.next()) {
    if (record->cells.size() != header->cells.size()) {
      fail(source, record->line,
           fmt::format("the row has {} cells, the header has {}; quote cells that hold commas",
                       record->cells.size(), header->cells.size()));
    }
    MetadataRow row{record->line, {}, {}, {}};
    Json metadata = Json::object();
    for (std::size_t i = 0; i < record->cells.size(); ++i) {
      if (i == columns.key) {
        row.key = std::move(record->cells[i]);
      } else if (i == columns.path) {
        row.path = std::move(record->cells[i]);
      } else if (!record->cells[i].empty()) {
        metadata[header->cells[i]] = cell_value(record->cells[i]);
      }
    }
    require_name(row, source);
    row.metadata = dump(metadata, source, row.line);
    rows.push_back(std::move(row));
  }
  return rows;
}

// Takes the field out of `object`: text as it is, an integer as its digits.
std::string take_name(Json& object, std::string_view field, const Source& source,
                      std::size_t line) {
  const auto found = object.find(field);
  if (found == object.end()) return {};
  if (!found->is_string() && !found->is_number_integer()) {
    fail(source, line, fmt::format("'{}' must be a text or an integer", field));
  }
  std::string name = found->is_string() ? found->get<std::string>() : found->dump();
  object.erase(found);
  return name;
}

std::vector<MetadataRow> read_json_lines(const Source& source) {
  const std::string text = read_text(source.file);
  std::string_view rest = text;
  if (rest.starts_with("\xEF\xBB\xBF")) rest.remove_prefix(3);

  std::vector<MetadataRow> rows;
  for (std::size_t line = 1; !rest.empty(); ++line) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view content = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (content.find_first_not_of(" \t\r") == content.npos) continue;

    Json object = Json::parse(content, nullptr, false);
    if (!object.is_object())
      fail(source, line, "this is not a JSON object; every line must be one");
    MetadataRow row{line,
                    take_name(object, source.key_column, source, line),
                    take_name(object, kPathColumn, source, line),
                    {}};
    require_name(row, source);
    row.metadata = dump(object, source, line);
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace

std::vector<MetadataRow> read_metadata_file(const std::filesystem::path& file,
                                            const std::optional<std::string>& key_column) {
  const Source source{file, key_column.value_or("key"), key_column.has_value()};
  std::string extension = file.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (extension == ".csv") return read_csv(source);
  if (extension == ".jsonl" || extension == ".ndjson") return read_json_lines(source);
  throw vsearch::Error(
      vsearch::ErrorCode::kInvalidArgument,
      fmt::format("'{}': a metadata file ends in .csv or .jsonl, which says how to read it",
                  file.string()));
}

}  // namespace vsx
