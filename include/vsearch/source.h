// What a shop has, by its own account: the items that a catalogue should hold.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "vsearch/crop.h"
#include "vsearch/types.h"

namespace vsearch {

struct MetadataPatch;  // vsearch/catalog.h

// How the key of an item follows from where its picture lies below the folder that was named.
enum class KeyRule {
  kPath,    // the path within the folder, '/' between its parts: "shoes/red.jpg"
  kStem,    // the same without the ending: "shoes/red"
  kName,    // the name of the file alone: "red.jpg"
  kFolder,  // the path of its folder: all pictures in "shoes/red" are of the item "shoes/red",
            // in the order of their names; there must be none in the folder that was named itself
};
// "path", "stem", "name", "folder".
std::optional<KeyRule> find_key_rule(std::string_view name);

// Pictures, and folders with pictures in them, however deep: files that has_image_extension()
// knows. Hidden files and folders are left out; symbolic links are followed, but every folder is
// read once. The key of a picture that is named itself is its file name, whatever the rule.
struct FilesSource {
  std::vector<std::filesystem::path> paths{};
  KeyRule keys = KeyRule::kPath;
  // What is known of the pictures, in a CSV or JSON lines file, or empty. A row is about the
  // picture that its column "path", or else its key, names: by where it lies within the folder that
  // was named, by a path relative to the file, or by the picture's key, which with kFolder stands
  // for all pictures of the folder. All other columns are metadata. A key in a row takes the place
  // of the picture's own; rows with one key make one item of several pictures, in their order, with
  // the metadata of the first. The paths decide which pictures there are; rows without a picture
  // are reported.
  std::filesystem::path metadata{};
  // The column of `metadata` that holds the key, and which every row must then have. Without it
  // that is "key", which rows may lack.
  std::optional<std::string> key_column{};
};

// A table of items in a CSV file (.csv: RFC 4180, the first line names the columns) or a JSON lines
// file (.jsonl, .ndjson: an object a line); both are UTF-8. A row names a picture in the column
// "path", absolute or relative to the folder of the file, or a URI; its item in `key_column`; and
// may say "role" and "crop" (four shares, see CropBox: "left top right bottom" in CSV, an array in
// JSON). All other columns are metadata. Rows with one key make one item of several pictures, in
// their order, with the metadata of the first. A JSON line may instead have "pictures": an array of
// paths, or of objects with path, role and crop. Of these columns a JSON null says nothing, like an
// empty cell in CSV.
struct ManifestSource {
  std::filesystem::path file{};
  std::string key_column = "key";
};

// The rows of a query on an SQLite database of the shop's, which is only read: columns as those of
// a ManifestSource; relative paths begin at the folder of the database. Integers, floats and texts
// become JSON values, a NULL says nothing, a BLOB is refused. A column called "metadata" must hold
// a JSON object as text, which is merged into the metadata; other columns go before what it says.
// The shop's programs may have the database open and write to it; nothing is made or changed by us.
struct SqlSource {
  std::filesystem::path database{};
  std::string query{};  // one SELECT
  std::string key_column = "key";
};

using Source = std::variant<FilesSource, ManifestSource, SqlSource>;

struct SourcePicture {
  std::string path;  // absolute and lexically normal, or a URI (but for file://, which is a path)
  CropBox crop{};
  std::string role{};
};

struct SourceItem {
  std::string key;
  std::vector<SourcePicture> pictures{};  // at least one
  std::string metadata = "{}";            // a JSON object
};

struct SourceListing {
  std::vector<SourceItem> items;         // each key once; in the order of the rows, then of paths
  std::vector<std::string> problems;     // folders that could not be read, and why
  std::uint64_t undescribed = 0;         // pictures without a row in FilesSource::metadata
  std::vector<std::string> unused_rows;  // what its rows without a picture named
};

// Reads what `source` lists; opens no picture, and a picture that a row names need not be there.
// `progress` counts files or rows, of an unknown total (0). Throws kFileNotFound, kIo,
// kInvalidArgument (what is wrong, with the file and the line: a row without a key, a key for
// different pictures that no row brings together, a query that is no SELECT or that SQLite refuses,
// a folder without pictures, a metadata file that describes none of them), kBusy (another program
// holds the database for seconds), kCancelled.
SourceListing list_source(const Source& source, const Progress& progress = {});

// What a CSV or JSON lines file changes in the metadata of items: every row names one in
// `key_column`; its other columns but "path" are what to set, of a JSON line also what to remove
// (null). Throws kFileNotFound, kIo, kInvalidArgument (what is wrong, with the line).
std::vector<MetadataPatch> read_patches(const std::filesystem::path& file,
                                        const std::string& key_column = "key");

}  // namespace vsearch
