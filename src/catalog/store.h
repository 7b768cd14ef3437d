// catalog.db: the tables of a catalogue and every statement that touches them.
// The format is described in docs/formats.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/edition_header.h"
#include "catalog/fields.h"
#include "catalog/sqlite.h"
#include "vsearch/catalog.h"
#include "vsearch/types.h"

namespace vsearch::db {

// How a file was when its content was last looked at; 0, 0: it was no file.
struct FileStamp {
  std::int64_t bytes = 0;
  std::int64_t mtime_ns = 0;

  friend bool operator==(const FileStamp&, const FileStamp&) = default;
};

struct StoredPicture {
  Id id = 0;
  std::string path;
  std::string role;
  std::string crop;          // crop_text(); empty: the whole picture
  std::string content_hash;  // 64 hex digits, or empty if it was given as an embedding
  FileStamp stamp;
};

struct StoredItem {
  std::int64_t id = 0;
  std::string key;
  std::string metadata;
  std::vector<StoredPicture> pictures;
};

// What is known of an item without its pictures' rows, which lie elsewhere in the file.
struct StoredMetadata {
  std::int64_t id = 0;
  std::string metadata;
  std::vector<Id> pictures;
};

// A picture to insert, under the id that it gets.
struct NewPicture {
  StoredPicture picture;
  std::span<const std::byte> kept_bytes;  // empty: none
};

// An item of a source that was left out because it is like another one.
struct SkippedItem {
  std::string key;
  std::string other;
  std::string pictures;  // their paths and crops, a line each
  FileStamp stamp;       // of all their files

  void add_picture(std::string_view path, std::string_view crop, const FileStamp& file);
};

// How many of something there are, and the key of an item with one.
struct Finding {
  std::uint64_t count = 0;
  std::string key;
};

// Threads: one at a time; the caller has a mutex. Errors: throws what Database throws; damage is
// kCorrupt and the file stays as it is.
class Store {
 public:
  // Makes the file, which must not exist, with one serving edition.
  static void create(const std::filesystem::path& file, const std::string& uuid,
                     const EditionHeader& edition);

  // Opens the file, takes it for this process, brings it to today's schema and checks everything
  // but the items. Throws kCorrupt, kBusy, kUnavailable (a newer schema), kIo.
  explicit Store(const std::filesystem::path& file);

  Database& database() { return database_; }
  FieldIndex& fields() { return *fields_; }

  std::uint64_t generation();
  std::uint64_t item_count();
  std::uint64_t picture_count();
  std::int64_t last_item_id();
  Id last_picture_id();  // the largest ever given

  std::vector<std::string> keys();  // ascending, bytewise
  std::optional<StoredItem> item(std::string_view key);
  std::optional<StoredMetadata> metadata_of(std::string_view key);
  // The next items with keys after `after`, ascending: so many that reading them keeps nobody
  // waiting for long. None: there are no more.
  std::vector<StoredItem> items_after(std::string_view after);
  std::optional<PictureRecord> picture(Id id);
  std::vector<Id> picture_ids();  // ascending
  // At most `limit` pictures with ids above `after`, ascending, and the keys of their items.
  std::vector<std::pair<StoredPicture, std::string>> pictures_after(Id after, std::size_t limit);
  std::optional<std::pair<StoredPicture, std::string>> picture_and_key(Id id);
  std::vector<std::byte> kept_bytes(Id picture);  // empty if there are none
  std::uint64_t kept_length(Id picture);
  std::optional<SkippedItem> skipped(std::string_view key);
  std::vector<std::string> skipped_keys(std::string_view prefix);

  // Changes, for use within a Transaction.
  std::int64_t insert_item(std::string_view key, std::string_view metadata);
  void set_metadata(std::int64_t item, std::string_view metadata);
  void delete_item(std::int64_t item);  // and its pictures
  void delete_pictures(std::int64_t item);
  void insert_picture(std::int64_t item, std::size_t position, const NewPicture& picture);
  // What may change of a picture whose content does not.
  void update_picture(Id id, std::string_view path, std::string_view role, const FileStamp& stamp);
  void set_skipped(const SkippedItem& item);
  void forget_skipped(std::string_view key);
  void next_generation();

  // Editions and their embeddings (store_editions.cpp).
  std::vector<EditionHeader> editions();  // by id
  EditionHeader serving();                // throws kCorrupt unless exactly one does
  // Those that something still holds may have been deleted: nothing can be asked of them then.
  bool has_edition(std::int64_t edition);
  SnapshotStamps stamps(std::int64_t edition);
  std::uint64_t embedding_count(std::int64_t edition);
  // Empty if there is none.
  std::vector<float> find_embedding(const EditionHeader& edition, Id picture);
  std::vector<float> embedding(const EditionHeader& edition, Id picture);  // throws kCorrupt
  // Of any picture with this content and crop; empty if there is none.
  std::vector<float> embedding_of_content(const EditionHeader& edition,
                                          std::string_view content_hash, std::string_view crop);
  // Ascending: pictures above `after` that the edition has, or lacks, an embedding of.
  std::vector<Id> embedded_ids(std::int64_t edition, Id after = 0);
  std::vector<Id> unembedded_ids(std::int64_t edition, Id after, std::size_t limit);
  // Pictures that were removed since the snapshot of the serving edition, and since when.
  std::vector<Id> removals();

  // Changes, for use within a Transaction.
  std::int64_t insert_edition(const EditionHeader& edition);  // its table, too; returns its id
  void set_edition_state(std::int64_t edition, EditionState state);
  void set_edition_encoder_ref(std::int64_t edition, std::string_view encoder_ref);
  void delete_edition(std::int64_t edition);
  void set_stamps(std::int64_t edition, const SnapshotStamps& stamps);
  void insert_embedding(std::int64_t edition, Id picture, std::span<const float> embedding);
  void delete_removals(std::uint64_t last_generation);  // up to this one

  // What check(), compact() and near_duplicates() look for (store_care.cpp).
  std::vector<std::string> integrity_problems();  // in SQLite's words; not all if there are many
  // Rows that belong to nothing, as "table -> what they should belong to", and how many.
  std::vector<std::pair<std::string, std::uint64_t>> orphans();
  Finding items_without_pictures();
  Finding items_with_bad_positions();
  Finding items_with_bad_metadata();
  Finding items_without_embedding(std::int64_t edition);  // counts pictures
  Finding items_with_bad_crops();
  void delete_orphans();  // within a Transaction
  // Writes the file anew, without holes; not within a Transaction. Needs twice the room
  // meanwhile.
  void vacuum();
  // Of the items with ids in [first, last], in their order.
  std::vector<std::pair<std::int64_t, Id>> item_pictures(std::int64_t first, std::int64_t last);
  // Pictures that other pictures are like, each with one that comes before it, by content and
  // crop: at most as many as have one of `limit` beginnings of hashes, which come after `after`.
  // Sets `after` to the last of these; it is empty if there are no more.
  std::vector<std::pair<Id, Id>> same_contents(std::string& after, std::size_t limit);
  std::optional<std::string> key_of(std::int64_t item);

  std::optional<std::string> meta(std::string_view key);
  void set_meta(std::string_view key, std::string_view value);

 private:
  void verify();
  std::uint64_t number_meta(std::string_view key, std::uint64_t most);
  std::vector<StoredPicture> pictures_of(std::int64_t item);
  std::optional<StoredMetadata> row_of(std::string_view key);  // without its pictures
  std::vector<float> floats(std::span<const std::byte> blob, std::uint32_t dim, Id picture) const;
  void note_removals(std::int64_t item);

  Database database_;
  std::optional<FieldIndex> fields_;  // once the schema is known to be sound
};

}  // namespace vsearch::db
