// A thin layer over SQLite: ownership, errors, typed binding and reading. Knows nothing of
// catalogues.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "vsearch/error.h"

struct sqlite3;
struct sqlite3_backup;
struct sqlite3_stmt;

namespace vsearch::db {

class Database;

// Throws kCorrupt for the database `file`, with the remedy.
[[noreturn]] void throw_damaged(const std::filesystem::path& file, const std::string& reason);

// One run of a statement: parameters, then rows. While it lives, the statement cannot run a second
// time, and a read keeps its transaction open: keep it short.
class Query {
 public:
  Query(Database& database, sqlite3_stmt* statement, bool owned);
  ~Query();
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;

  // Binds ?1, ?2, ... in their order. Texts and blobs must live until the last step().
  Query& bind(std::int64_t value);
  Query& bind(std::string_view text);
  Query& bind(std::span<const std::byte> blob);
  Query& bind_null();

  // Goes to the next row; false after the last.
  bool step();

  // Columns of the current row, from 0; valid until the next step().
  std::int64_t integer(int column) const;
  std::string_view text(int column) const;
  std::span<const std::byte> blob(int column) const;
  bool is_null(int column) const;

 private:
  Database& database_;
  sqlite3_stmt* statement_;
  bool owned_;
  int bound_ = 0;
};

// A connection. Every error is thrown as vsearch::Error that names the file and the remedy.
// Threads: one at a time; the caller has a mutex.
class Database {
 public:
  enum class Mode { kOpen, kCreate };

  Database(const std::filesystem::path& path, Mode mode);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  const std::filesystem::path& path() const { return path_; }

  // Runs SQL of ours that returns nothing of interest; may be several statements.
  void execute(const char* sql);

  // A run of the statement `sql`, a literal: it is prepared once and kept. Not for two runs of the
  // same text at a time.
  Query query(const char* sql);
  // The same for a text made at run time; not kept.
  Query query_once(const std::string& sql);

  // Runs `sql`, a literal, with these parameters to its end; returns how many rows it changed.
  template <typename... Values>
  int run(const char* sql, const Values&... values) {
    Query statement = query(sql);
    (statement.bind(values), ...);
    while (statement.step()) {
    }
    return changes();
  }

  // Lets go of all kept statements: those of a table that is about to be dropped keep it busy.
  void forget_statements();

  // Whether closing moves the write-ahead log into the database file (the default).
  void checkpoint_on_close(bool enabled);

  // How many Transactions were rolled back: what was read before may never have been.
  std::uint64_t rollbacks() const { return rollbacks_; }

  // Throws the Error for SQLite's result `code`.
  [[noreturn]] void fail(int code) const;
  // Rolls back what an error has left open: SQLite may have had no memory to do it, of a VACUUM
  // even without saying so.
  void settle();

 private:
  friend class Query;
  friend class Backup;
  friend class Transaction;
  int changes() const;
  void roll_back() noexcept;
  sqlite3_stmt* prepare(std::string_view sql, bool keep);

  std::filesystem::path path_;
  sqlite3* handle_ = nullptr;
  std::unordered_map<std::string, sqlite3_stmt*> statements_;
  sqlite3_stmt* rollback_ = nullptr;  // at hand, so that undoing needs no memory
  std::uint64_t rollbacks_ = 0;
};

// BEGIN IMMEDIATE; rolls back unless commit() was called.
class Transaction {
 public:
  explicit Transaction(Database& database);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  void commit();

 private:
  Database& database_;
  bool open_ = true;
};

// A copy of a database, made piece by piece. Between the pieces `from` may be used and changed:
// what changes of the pages that were copied is copied, too, so that the copy is what `from` is
// when step() returns false.
class Backup {
 public:
  // `to` is empty, and of no use if the copy does not come to its end. Neither may be closed before
  // this is.
  Backup(Database& from, Database& to);
  ~Backup();
  Backup(const Backup&) = delete;
  Backup& operator=(const Backup&) = delete;

  // Copies so many pages; false if the copy is complete.
  bool step(int pages);
  // As they were with the last step().
  std::uint64_t pages() const;
  std::uint64_t pages_left() const;

 private:
  Database& to_;
  sqlite3_backup* handle_;
};

}  // namespace vsearch::db
