// Items from a query on a database of the shop's. It is not one of ours: it is only read, it may be
// in use, and what is wrong with it is for the shop to mend. Hence not db::Database.
#include <fmt/format.h>
#include <sqlite3.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

#include "catalog/source_list.h"
#include "catalog/source_rows.h"
#include "catalog/source_table.h"
#include "util/utf8.h"
#include "vsearch/error.h"

namespace vsearch::detail {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::json;

constexpr int kWaitForWriterMs = 5000;
constexpr int kStepsBetweenQuestions = 10'000;  // of SQLite's virtual machine: far below 1 ms
constexpr std::string_view kMetadataColumn = "metadata";

struct Close {
  void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Connection = std::unique_ptr<sqlite3, Close>;
using Statement = std::unique_ptr<sqlite3_stmt, Close>;

[[noreturn]] void fail(const SqlSource& source, std::string_view what) {
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("the query on '{}' {}: {}", source.database.string(), what,
                          util::shorten(source.query)));
}

// Throws what SQLite's `result` means for somebody else's database.
[[noreturn]] void fail_with(const SqlSource& source, sqlite3* database, int result) {
  const std::string file = source.database.string();
  const std::string reason =
      database != nullptr ? sqlite3_errmsg(database) : sqlite3_errstr(result);
  switch (result & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      throw Error(ErrorCode::kBusy,
                  fmt::format("'{}': another program is writing to it ({}); try again when it is "
                              "done",
                              file, reason));
    case SQLITE_NOTADB:
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("'{}' is no SQLite database; check the path", file));
    case SQLITE_NOMEM:
      throw Error(ErrorCode::kOutOfMemory,
                  fmt::format("'{}': there is not enough memory for the query", file));
    case SQLITE_ERROR:
    case SQLITE_MISMATCH:
    case SQLITE_TOOBIG:
    case SQLITE_RANGE:
      fail(source, fmt::format("is refused ({}); check the names of tables and columns", reason));
    case SQLITE_CORRUPT:
      throw Error(ErrorCode::kIo, fmt::format("'{}' is damaged ({}); mend it with the program it "
                                              "belongs to, or restore it from a backup",
                                              file, reason));
    default:
      throw Error(ErrorCode::kIo,
                  fmt::format("cannot read '{}' ({}, SQLite {}); may you read it, and its folder? "
                              "If its program crashed, start that once",
                              file, reason, result));
  }
}

// Some PRAGMAs act while they are only prepared. Tables of full-text search ask for data_version.
int deny_pragmas(void* denied, int action, const char* name, const char*, const char*,
                 const char*) {
  if (action != SQLITE_PRAGMA || std::string_view(name) == "data_version") return SQLITE_OK;
  *static_cast<bool*>(denied) = true;
  return SQLITE_DENY;
}

Connection open_database(const SqlSource& source, bool immutable) {
  // A plain path might be taken for a URI, so it always is one.
  std::string uri = "file://";
  for (const char c : fs::absolute(source.database).string()) {
    if (c == '%' || c == '?' || c == '#') {
      uri += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    } else {
      uri += c;
    }
  }
  if (immutable) uri += "?immutable=1";
  sqlite3* handle = nullptr;
  const int flags =
      SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  const int result = sqlite3_open_v2(uri.c_str(), &handle, flags, nullptr);
  Connection database(handle);
  if (result != SQLITE_OK) fail_with(source, handle, result);
  sqlite3_busy_timeout(handle, kWaitForWriterMs);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  return database;
}

// The one SELECT that the query is.
Statement prepare(const SqlSource& source, sqlite3* database) {
  if (source.query.find('\0') != source.query.npos) fail(source, "holds the character U+0000");
  bool denied = false;
  sqlite3_set_authorizer(database, deny_pragmas, &denied);
  const char* rest = source.query.c_str();
  const auto next = [&] {
    sqlite3_stmt* handle = nullptr;
    const int result = sqlite3_prepare_v2(database, rest, -1, &handle, &rest);
    return std::pair(Statement(handle), result);
  };
  auto [statement, result] = next();
  if (denied) fail(source, "does more than read; give one SELECT");
  if (result != SQLITE_OK) fail_with(source, database, result);
  if (!statement) fail(source, "is empty; give a SELECT");
  while (*rest != '\0') {
    const auto [another, other_result] = next();
    if (another || other_result != SQLITE_OK) {
      fail(source, "is more than one statement; give one SELECT");
    }
  }
  sqlite3_set_authorizer(database, nullptr, nullptr);
  if (sqlite3_stmt_readonly(statement.get()) == 0 || sqlite3_column_count(statement.get()) == 0) {
    fail(source, "does more than read; give one SELECT");
  }
  if (sqlite3_bind_parameter_count(statement.get()) != 0) {
    fail(source, "has parameters, which nothing fills in; write the values in their places");
  }
  return std::move(statement);
}

// Lets the caller stop a query that works long for a row. Exceptions must not pass through SQLite.
class Interrupter {
 public:
  Interrupter(sqlite3* database, ReadCounter& counter) : database_(database), counter_(counter) {
    sqlite3_progress_handler(database, kStepsBetweenQuestions, ask, this);
  }
  ~Interrupter() { sqlite3_progress_handler(database_, 0, nullptr, nullptr); }
  Interrupter(const Interrupter&) = delete;
  Interrupter& operator=(const Interrupter&) = delete;

  // After SQLITE_INTERRUPT.
  [[noreturn]] void rethrow() const {
    if (thrown_) std::rethrow_exception(thrown_);
    ReadCounter::throw_cancelled();
  }

 private:
  static int ask(void* self) {
    auto& that = *static_cast<Interrupter*>(self);
    try {
      return that.counter_.go_on() ? 0 : 1;
    } catch (...) {
      that.thrown_ = std::current_exception();
      return 1;
    }
  }

  sqlite3* database_;
  ReadCounter& counter_;
  std::exception_ptr thrown_;
};

// What a cell holds; a NULL is null.
Json cell_value(const Table& table, std::size_t row, sqlite3_stmt* statement, int column,
                const std::string& name) {
  switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
      return static_cast<std::int64_t>(sqlite3_column_int64(statement, column));
    case SQLITE_FLOAT: {
      const double value = sqlite3_column_double(statement, column);
      if (std::isfinite(value)) return value;
      fail_at(table, row, fmt::format("the column '{}' is infinite, which JSON cannot say", name));
    }
    case SQLITE_TEXT: {
      const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, column));
      if (text == nullptr) throw std::bad_alloc();
      return std::string(text, static_cast<std::size_t>(sqlite3_column_bytes(statement, column)));
    }
    case SQLITE_BLOB:
      fail_at(table, row,
              fmt::format("the column '{}' is a BLOB, which metadata cannot hold; leave it out of "
                          "the query",
                          name));
    default:
      return nullptr;
  }
}

// Moves what the column "metadata" holds up among the other fields, which go before it.
void merge_metadata(const Table& table, TableRow& row) {
  const auto column = row.fields.find(kMetadataColumn);
  if (column == row.fields.end()) return;
  Json merged;
  if (column->is_string()) {
    merged = parse_json(table, row.number, column->get_ref<const std::string&>());
  }
  if (!merged.is_object()) {
    fail_at(table, row.number,
            "the column 'metadata' holds no JSON object; rename it in the query (AS)");
  }
  row.fields.erase(column);
  row.beneath = std::move(merged);
}

SourceListing read_answers(const SqlSource& source, sqlite3* database, ReadCounter& counter) {
  const Table table{source.database, TableFormat::kQuery, "database", source.key_column,
                    RowNeeds::kPicture};
  const Interrupter interrupter(database, counter);
  const Statement statement = prepare(source, database);
  std::vector<std::string> names;
  for (int i = 0; i < sqlite3_column_count(statement.get()); ++i) {
    names.emplace_back(sqlite3_column_name(statement.get(), i));
  }
  check_columns(table, 0, names);

  RowItems items(table);
  int result = SQLITE_OK;
  for (std::size_t number = 1; (result = sqlite3_step(statement.get())) == SQLITE_ROW; ++number) {
    Json fields = Json::object();
    for (std::size_t i = 0; i < names.size(); ++i) {
      Json value = cell_value(table, number, statement.get(), static_cast<int>(i), names[i]);
      if (!value.is_null()) fields[names[i]] = std::move(value);
    }
    TableRow row = row_of(table, number, std::move(fields));
    merge_metadata(table, row);
    items.add(std::move(row));
    counter.count();
  }
  if (result == SQLITE_INTERRUPT) interrupter.rethrow();
  if (result != SQLITE_DONE) fail_with(source, database, result);
  SourceListing listing;
  listing.items = items.take();
  return listing;
}

// What tells that a file was changed meanwhile.
auto state_of(const SqlSource& source) {
  std::error_code ignored;
  return std::tuple(fs::last_write_time(source.database, ignored),
                    fs::file_size(source.database, ignored),
                    fs::exists(source.database.string() + "-wal", ignored));
}

// Whether the database has a write-ahead log that nobody uses now. A reader would then make the log
// and its index anew, and leave them to a shop that may not be allowed to write to them.
// The file is read through SQLite: closing it ourselves would free locks that this process has.
bool has_idle_log(const SqlSource& source) {
  std::error_code ignored;
  if (fs::exists(source.database.string() + "-wal", ignored)) return false;
  const Connection database = open_database(source, true);
  sqlite3_file* file = nullptr;
  sqlite3_file_control(database.get(), "main", SQLITE_FCNTL_FILE_POINTER, &file);
  constexpr int kVersionsOffset = 18;  // of the file format: for writing and for reading
  std::array<unsigned char, 2> versions{};
  const bool readable =
      file != nullptr && file->pMethods != nullptr &&
      file->pMethods->xRead(file, versions.data(), versions.size(), kVersionsOffset) == SQLITE_OK;
  return readable && versions[1] == 2;
}

}  // namespace

SourceListing list(const SqlSource& source, ReadCounter& counter) {
  std::error_code unknown;  // whether it is there: opening it says why
  if (!fs::exists(source.database, unknown) && !unknown) {
    throw Error(
        ErrorCode::kFileNotFound,
        fmt::format("the database '{}' does not exist; check the path", source.database.string()));
  }
  if (has_idle_log(source)) {
    const auto before = state_of(source);
    try {
      SourceListing listing = read_answers(source, open_database(source, true).get(), counter);
      if (state_of(source) == before) return listing;
    } catch (const Error&) {
      if (state_of(source) == before) throw;
    }
    // Somebody began to write: now there is a log, and reading is safe in the usual way.
  }
  return read_answers(source, open_database(source, false).get(), counter);
}

}  // namespace vsearch::detail
