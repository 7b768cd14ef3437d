// catalog.db: the tables of a catalogue and every statement that touches them.
// The format is described in docs/formats.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "catalog/filter_sql.h"
#include "catalog/sqlite.h"
#include "vsearch/catalog.h"

namespace vsearch::db {

// What a catalogue is from the day it is made.
struct StoreHeader {
  std::string uuid;
  std::string encoder_ref;
  std::string encoder_name;
  std::string encoder_fingerprint;
  std::uint32_t dim = 0;
  Metric metric = Metric::kCosine;
  std::uint32_t links = 0;
  std::uint32_t build_breadth = 0;
};

struct StoredPicture {
  Id id = 0;
  std::string path;
  std::string content_hash;  // 64 hex digits, or empty if it was given as an embedding
};

struct StoredItem {
  std::int64_t id = 0;
  std::string metadata;
  std::vector<StoredPicture> pictures;
};

// Threads: one at a time; the caller has a mutex. Errors: throws what Database throws; damage is
// kCorrupt and the file stays as it is.
class Store {
 public:
  // Makes the file, which must not exist.
  static void create(const std::filesystem::path& file, const StoreHeader& header);

  // Opens the file, takes it for this process and checks everything but the items.
  // Throws kCorrupt, kBusy, kUnavailable (a newer schema), kIo.
  explicit Store(const std::filesystem::path& file);

  Database& database() { return database_; }
  const StoreHeader& header() const { return header_; }

  std::uint64_t generation();
  std::uint64_t item_count();
  std::uint64_t picture_count();
  std::int64_t last_item_id();
  Id last_picture_id();  // the largest ever given

  std::vector<std::string> keys();  // ascending, bytewise
  std::optional<StoredItem> item(std::string_view key);
  std::optional<PictureRecord> picture(Id id);
  std::vector<Id> picture_ids();  // ascending
  // Of the items with ids in [first, last].
  std::vector<Id> matching_pictures(const detail::FilterSql& filter, std::int64_t first,
                                    std::int64_t last);

  std::vector<float> embedding(Id picture);  // throws kCorrupt if it is not there
  // Of a picture of this item with this content; empty if there is none.
  std::vector<float> embedding_of_content(std::string_view key, std::string_view content_hash);

  // Changes, for use within a Transaction.
  std::int64_t insert_item(std::string_view key, std::string_view metadata);
  void set_metadata(std::int64_t item, std::string_view metadata);
  void delete_item(std::int64_t item);  // and its pictures
  void delete_pictures(std::int64_t item);
  void insert_picture(Id id, std::int64_t item, std::size_t position, std::string_view path,
                      std::string_view content_hash, std::span<const float> embedding);
  void next_generation();

  std::optional<std::string> meta(std::string_view key);
  void set_meta(std::string_view key, std::string_view value);
  void delete_meta(std::string_view key);

 private:
  void verify();
  std::string required_meta(std::string_view key);
  std::uint64_t number_meta(std::string_view key, std::uint64_t most);
  std::vector<float> floats(std::span<const std::byte> blob, Id picture) const;

  Database database_;
  StoreHeader header_;
};

}  // namespace vsearch::db
