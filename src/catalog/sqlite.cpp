#include "catalog/sqlite.h"

#include <fmt/format.h>
#include <locale.h>
#include <sqlite3.h>

#include <new>
#include <string_view>
#include <utility>

namespace vsearch::db {
namespace {

constexpr const char* kDamagedRemedy =
    "the file is damaged and was left as it is; restore it from a backup, or add the items to a "
    "new catalogue";

struct Meaning {
  ErrorCode code;
  const char* remedy;
};

Meaning meaning_of(int result) {
  switch (result & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return {ErrorCode::kBusy, "another program has it open; close it there"};
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return {ErrorCode::kCorrupt, kDamagedRemedy};
    case SQLITE_FULL:
      return {ErrorCode::kIo,
              "the disk is full; nothing that was committed is lost, free some "
              "space and try again"};
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return {ErrorCode::kIo,
              "it cannot be written; check the permissions of the file, its folder "
              "and the file system"};
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
      return {ErrorCode::kIo,
              "the operating system refused; check the disk, the permissions and "
              "the limit of open files"};
    case SQLITE_NOMEM:
      return {ErrorCode::kOutOfMemory, "there is not enough memory"};
    default:
      return {ErrorCode::kInternal, "this is a defect of libvsearch; please report it"};
  }
}

// SQLite's JSON functions read fractions as the locale of the process has them. While it lives,
// that of this thread is C's.
class ClassicLocale {
 public:
  ClassicLocale() : before_(::uselocale(classic())) {}
  ~ClassicLocale() { ::uselocale(before_); }
  ClassicLocale(const ClassicLocale&) = delete;
  ClassicLocale& operator=(const ClassicLocale&) = delete;

 private:
  static locale_t classic() {
    static const locale_t locale = ::newlocale(LC_ALL_MASK, "C", nullptr);
    return locale;  // null, if there was no memory for it, changes nothing
  }
  const locale_t before_;
};

// What only damage can bring about: our own statements violate no constraint, and what we store as
// JSON is.
bool is_damage(int result, std::string_view reason) {
  return (result & 0xFF) == SQLITE_CONSTRAINT ||
         ((result & 0xFF) == SQLITE_ERROR && reason.find("malformed JSON") != reason.npos);
}

}  // namespace

void throw_damaged(const std::filesystem::path& file, const std::string& reason) {
  throw Error(ErrorCode::kCorrupt,
              fmt::format("{}: {}: {}", file.string(), reason, kDamagedRemedy));
}

Query::Query(Database& database, sqlite3_stmt* statement, bool owned)
    : database_(database), statement_(statement), owned_(owned) {}

Query::~Query() {
  if (owned_) {
    sqlite3_finalize(statement_);
  } else {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
  }
}

Query& Query::bind(std::int64_t value) {
  const int result = sqlite3_bind_int64(statement_, ++bound_, value);
  if (result != SQLITE_OK) database_.fail(result);
  return *this;
}

Query& Query::bind(std::string_view text) {
  // A null pointer would bind NULL, not the empty text.
  const char* const data = text.data() == nullptr ? "" : text.data();
  const int result =
      sqlite3_bind_text64(statement_, ++bound_, data, text.size(), SQLITE_STATIC, SQLITE_UTF8);
  if (result != SQLITE_OK) database_.fail(result);
  return *this;
}

Query& Query::bind(std::span<const std::byte> blob) {
  const int result =
      sqlite3_bind_blob64(statement_, ++bound_, blob.data(), blob.size(), SQLITE_STATIC);
  if (result != SQLITE_OK) database_.fail(result);
  return *this;
}

Query& Query::bind_null() {
  const int result = sqlite3_bind_null(statement_, ++bound_);
  if (result != SQLITE_OK) database_.fail(result);
  return *this;
}

bool Query::step() {
  const ClassicLocale classic;
  const int result = sqlite3_step(statement_);
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) return false;
  database_.fail(result);
}

std::int64_t Query::integer(int column) const {
  return sqlite3_column_int64(statement_, column);
}

std::string_view Query::text(int column) const {
  const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  if (data == nullptr) return {};
  return {data, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

std::span<const std::byte> Query::blob(int column) const {
  const auto* data = static_cast<const std::byte*>(sqlite3_column_blob(statement_, column));
  if (data == nullptr) return {};
  return {data, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

bool Query::is_null(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

Database::Database(const std::filesystem::path& path, Mode mode) : path_(path) {
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
                    (mode == Mode::kCreate ? SQLITE_OPEN_CREATE : 0);
  const int result = sqlite3_open_v2(path.c_str(), &handle_, flags, nullptr);
  if (result != SQLITE_OK) {
    sqlite3_close(std::exchange(handle_, nullptr));
    fail(result);
  }
  // The file may come from anywhere: nothing in it may run, and nothing of ours may damage it.
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  try {
    rollback_ = prepare("ROLLBACK", true);
  } catch (...) {
    sqlite3_close(handle_);
    throw;
  }
}

Database::~Database() {
  forget_statements();
  sqlite3_finalize(rollback_);
  sqlite3_close(handle_);
}

void Database::forget_statements() {
  for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  statements_.clear();
}

void Database::execute(const char* sql) {
  const ClassicLocale classic;
  const int result = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr);
  if (result != SQLITE_OK) fail(result);
}

sqlite3_stmt* Database::prepare(std::string_view sql, bool keep) {
  sqlite3_stmt* statement = nullptr;
  const int result = sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size()),
                                        keep ? SQLITE_PREPARE_PERSISTENT : 0U, &statement, nullptr);
  if (result != SQLITE_OK) fail(result);
  return statement;
}

Query Database::query(const char* sql) {
  auto found = statements_.find(sql);
  if (found == statements_.end()) {
    found = statements_.emplace(sql, nullptr).first;
    try {
      found->second = prepare(sql, true);
    } catch (...) {
      statements_.erase(found);
      throw;
    }
  }
  return {*this, found->second, false};
}

Query Database::query_once(const std::string& sql) {
  return {*this, prepare(sql, false), true};
}

int Database::changes() const {
  return sqlite3_changes(handle_);
}

// After some errors (a full disk, memory) SQLite has rolled back by itself, and says so here.
void Database::roll_back() noexcept {
  ++rollbacks_;
  sqlite3_step(rollback_);
  sqlite3_reset(rollback_);
}

void Database::settle() {
  if (sqlite3_get_autocommit(handle_) == 0) {
    roll_back();
  } else if (sqlite3_txn_state(handle_, nullptr) == SQLITE_TXN_WRITE) {
    execute("BEGIN");
    roll_back();
  }
}

void Database::checkpoint_on_close(bool enabled) {
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, enabled ? 0 : 1, nullptr);
}

void Database::fail(int code) const {
  const char* const reason = handle_ != nullptr && sqlite3_extended_errcode(handle_) == code
                                 ? sqlite3_errmsg(handle_)
                                 : sqlite3_errstr(code);
  const Meaning meaning = meaning_of(is_damage(code, reason) ? SQLITE_CORRUPT : code);
  throw Error(meaning.code,
              fmt::format("{}: {} (SQLite {}): {}", path_.string(), reason, code, meaning.remedy));
}

Transaction::Transaction(Database& database) : database_(database) {
  database_.settle();
  database_.run("BEGIN IMMEDIATE");
}

Transaction::~Transaction() {
  if (open_) database_.roll_back();
}

void Transaction::commit() {
  database_.run("COMMIT");
  open_ = false;
}

Backup::Backup(Database& from, Database& to)
    : to_(to), handle_(sqlite3_backup_init(to.handle_, "main", from.handle_, "main")) {
  if (handle_ == nullptr) to.fail(sqlite3_extended_errcode(to.handle_));
}

Backup::~Backup() {
  sqlite3_backup_finish(handle_);
}

bool Backup::step(int pages) {
  const int result = sqlite3_backup_step(handle_, pages);
  if (result == SQLITE_OK) return true;
  if (result == SQLITE_DONE) return false;
  to_.fail(result);
}

std::uint64_t Backup::pages() const {
  return static_cast<std::uint64_t>(sqlite3_backup_pagecount(handle_));
}

std::uint64_t Backup::pages_left() const {
  return static_cast<std::uint64_t>(sqlite3_backup_remaining(handle_));
}

}  // namespace vsearch::db
