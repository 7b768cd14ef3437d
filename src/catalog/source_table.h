// Tables of the shop's as rows: CSV files, JSON lines files, answers of a query.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

namespace vsearch::detail {

enum class TableFormat { kCsv, kJsonLines, kQuery };

// What every row must say.
enum class RowNeeds {
  kName,    // a key or a path
  kKey,     // a key
  kPicture  // a key and a picture
};

struct Table {
  std::filesystem::path file;
  TableFormat format = TableFormat::kCsv;
  std::string_view noun{};  // what messages call the file
  std::string key_column{};
  RowNeeds needs = RowNeeds::kName;
};

struct TableRow {
  std::size_t number = 0;    // from 1: of the line where it begins, of a query's row
  std::string key{};         // empty: it says none
  std::string path{};        // the same
  nlohmann::json fields{};   // an object: the other columns that say something
  nlohmann::json beneath{};  // an object: metadata too, where no column says it; or null
};

// Throws kInvalidArgument that names the table and the row; row 0: the whole table.
[[noreturn]] void fail_at(const Table& table, std::size_t row, std::string_view what);

// A .csv, .jsonl or .ndjson file, which is not opened yet. Throws kInvalidArgument (another
// ending).
Table open_table(const std::filesystem::path& file, std::string_view noun, std::string key_column,
                 RowNeeds needs);

// Gives the rows of a file to `take`, in their order. Throws kFileNotFound, kIo, kInvalidArgument.
void read_rows(const Table& table, const std::function<void(TableRow&&)>& take);

// Whether a table whose columns are named in `row` (0: nowhere) can be read. Throws
// kInvalidArgument.
void check_columns(const Table& table, std::size_t row, std::span<const std::string> names);
// The row that says `fields`. Throws kInvalidArgument (it lacks what rows must say).
TableRow row_of(const Table& table, std::size_t number, nlohmann::json fields);

// Takes the column out of `fields`: text as it is, an integer as its digits; empty if it is not
// there or null.
std::string take_text(const Table& table, std::size_t row, nlohmann::json& fields,
                      std::string_view column);

// The fields of the row as JSON text; JSON is UTF-8, so text of another encoding is refused here.
std::string metadata_text(const Table& table, const TableRow& row);
// The same check for a key or a path.
void require_utf8(const Table& table, std::size_t row, std::string_view text);

// What `text` holds if it is JSON, not nested deeper than metadata may be; discarded() otherwise.
nlohmann::json parse_json(const Table& table, std::size_t row, std::string_view text);

}  // namespace vsearch::detail
