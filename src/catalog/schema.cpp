#include "catalog/schema.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <string_view>
#include <system_error>

#include "catalog/sqlite.h"

namespace vsearch::db {
namespace {

// Offsets in the header of a database file: https://sqlite.org/fileformat2.html#the_database_header
constexpr std::string_view kMagic("SQLite format 3\0", 16);
constexpr std::size_t kPageSize = 16;
constexpr std::size_t kWriteVersion = 18;
constexpr std::size_t kReadVersion = 19;
constexpr std::size_t kChangeCounter = 24;
constexpr std::size_t kPageCount = 28;
constexpr std::size_t kApplicationIdAt = 68;
constexpr std::size_t kVersionValidFor = 92;
constexpr std::size_t kHeaderBytes = 100;
constexpr char kWal = 2;

std::uint32_t big_endian(const char* at, std::size_t bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < bytes; ++i) value = value << 8 | static_cast<unsigned char>(at[i]);
  return value;
}

}  // namespace

std::map<std::string, std::string> schema(std::uint32_t dim) {
  return {
      {"meta",
       "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID"},
      {"items",
       "CREATE TABLE items (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, "
       "metadata TEXT NOT NULL) STRICT"},
      {"pictures",
       "CREATE TABLE pictures (id INTEGER PRIMARY KEY AUTOINCREMENT, "
       "item_id INTEGER NOT NULL REFERENCES items(id) ON DELETE CASCADE, "
       "position INTEGER NOT NULL, path TEXT NOT NULL, content_hash TEXT, "
       "UNIQUE (item_id, position)) STRICT"},
      {"embeddings", fmt::format("CREATE TABLE embeddings (picture_id INTEGER PRIMARY KEY "
                                 "REFERENCES pictures(id) ON DELETE CASCADE, "
                                 "vector BLOB NOT NULL CHECK (length(vector) = {})) STRICT",
                                 std::uint64_t{dim} * sizeof(float))},
  };
}

void check_file_header(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) {
    throw Error(ErrorCode::kIo, fmt::format("cannot read {}: {}; check its permissions",
                                            file.string(), std::generic_category().message(errno)));
  }
  std::array<char, kHeaderBytes> header{};
  stream.read(header.data(), header.size());
  if (stream.gcount() == 0) throw_damaged(file, "it is empty");
  const std::string_view magic(header.data(), kMagic.size());
  if (static_cast<std::size_t>(stream.gcount()) < header.size() || magic != kMagic) {
    throw_damaged(file, "it does not begin as an SQLite database does");
  }
  const auto number = [&](std::size_t at, std::size_t bytes) {
    return big_endian(header.data() + at, bytes);
  };
  if (number(kApplicationIdAt, 4) != kApplicationId || header[kWriteVersion] != kWal ||
      header[kReadVersion] != kWal) {
    throw_damaged(file, "its header is not one of a catalogue");
  }
  // What a log beside it holds may make up for pages that are missing here.
  std::error_code ignored;
  const std::filesystem::path log = file.string() + "-wal";
  if (std::filesystem::exists(log, ignored) && std::filesystem::file_size(log, ignored) > 0) return;
  const std::uint32_t page_size = number(kPageSize, 2) == 1 ? 65536 : number(kPageSize, 2);
  const std::uint64_t wanted = std::uint64_t{number(kPageCount, 4)} * page_size;
  stream.seekg(0, std::ios::end);
  const auto size = static_cast<std::uint64_t>(stream.tellg());
  if (number(kChangeCounter, 4) == number(kVersionValidFor, 4) && size < wanted) {
    throw_damaged(file, fmt::format("it is cut off: {} bytes of {} are there", size, wanted));
  }
}

}  // namespace vsearch::db
