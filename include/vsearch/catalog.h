// The catalogue: items, their pictures and embeddings, kept on disk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "vsearch/encoder.h"
#include "vsearch/error.h"
#include "vsearch/filter.h"
#include "vsearch/index.h"
#include "vsearch/types.h"

namespace vsearch {

// One picture of an item to add. Exactly where its embedding comes from: `embedding` if not empty;
// else the encoded file in `bytes` if not empty; else the file at `path`.
struct Picture {
  std::string path{};                  // kept with the item and shown with hits; may be empty if
                                       // bytes or embedding are given
  std::span<const std::byte> bytes{};  // a JPEG, PNG, ... in memory; borrowed; not stored
  std::span<const float> embedding{};  // [dim], made by the catalogue's encoder; borrowed
};

// One item to add. Its pictures are one thing seen several times: an item is as near to a query as
// its nearest picture.
struct Item {
  std::string key;                  // 1 to 1,024 bytes of UTF-8 without control characters
  std::vector<Picture> pictures{};  // at least one
  std::string metadata = "{}";      // a JSON object
};

// A change to the metadata of an item, merged into it as RFC 7396 says: what `changes`, a JSON
// object, names is set, and removed where it is null; all else stays.
struct MetadataPatch {
  std::string key;
  std::string changes;
};

// What the catalogue holds of an item.
struct ItemRecord {
  std::string key;
  std::string metadata;            // a JSON object
  std::vector<std::string> paths;  // of its pictures, in the order they were given
  std::vector<Id> picture_ids;     // their ids in index(), in the same order
};

// A picture in the index and the item it belongs to.
struct PictureRecord {
  Id id = 0;
  std::string key;
  std::string path;
  std::string metadata;
};

// Pictures near a query.
struct NearPictures {
  struct Entry {
    PictureRecord picture;
    float distance = 0.0F;
  };
  std::vector<Entry> entries;  // nearest first
  // Pictures that are not among them are no nearer than this; infinite if there are no others.
  float horizon = 0.0F;
};

// An item that could not be added, or one picture of it.
struct AddFailure {
  std::string key;
  std::string path;
  ErrorCode code = ErrorCode::kInternal;
  std::string message;
};

struct AddReport {
  std::uint64_t added = 0;
  std::uint64_t replaced = 0;        // with those that were found to be the same already
  std::vector<AddFailure> failures;  // these items are as they were before
};

struct CatalogInfo {
  std::filesystem::path path;
  std::string encoder;       // the name or absolute path it was created with
  std::string encoder_name;  // as the package names itself
  std::string encoder_fingerprint;
  std::uint32_t dim = 0;
  Metric metric = Metric::kCosine;
  std::uint64_t items = 0;
  std::uint64_t pictures = 0;
  std::uint64_t generation = 0;  // counts committed changes
  std::uint64_t disk_bytes = 0;  // the whole directory
  IndexStats index;
};

// Finds the encoder that a catalogue names. vsearch::load_encoder(find_encoder(name)) is the usual
// one; the catalogue calls it at most once, when a picture must first be encoded.
using EncoderLoader = std::function<std::shared_ptr<Encoder>(const std::string& encoder)>;

struct CatalogOptions {
  std::shared_ptr<Encoder> encoder{};  // used if set; its fingerprint must be the catalogue's
  EncoderLoader encoder_loader{};      // else this, when first needed
  LogCallback log{};
  Progress progress{};  // of rebuilding the index while opening; counts pictures
};

struct CatalogCreateOptions {
  std::shared_ptr<Encoder> encoder{};  // required; its dim, metric and fingerprint are recorded
  std::string encoder_ref{};  // what EncoderLoader will be given: a name, or an absolute path
  std::uint32_t links = 16;   // of the index, see IndexOptions
  std::uint32_t build_breadth = 200;
  LogCallback log{};
};

// A directory that holds a shop's items. SQLite in it is the source of truth; the index snapshot
// beside it is a cache, brought up to date or rebuilt on open when it is missing, stale or damaged
// (said in the log). The vectors of a large one are checked after open(), see Index::load(): if
// they are damaged, whatever needs the index throws kCorrupt until the catalogue is opened again.
// What a call has returned from is on disk and survives a crash or power loss. One process owns an
// open catalogue, by a lock on catalog.lock in it that the kernel frees when the process dies. A
// child forked from the owner gets kBusy from every member; destroying its copy does nothing.
// Threads: every member may be called from many threads; writers wait for each other, searches do
// not wait for encoding.
class Catalog {
 public:
  // Makes an empty catalogue in the new directory `path`.
  // Throws kAlreadyExists, kIo, kInvalidArgument (no encoder).
  static Catalog create(const std::filesystem::path& path, const CatalogCreateOptions& options);

  // Throws kFileNotFound; kCorrupt (catalog.db is damaged, or `path` is no catalogue; nothing is
  // deleted); kBusy (another process has it open); kEncoderMismatch (options.encoder is not the one
  // it was made with); kUnavailable (written by a newer version).
  static Catalog open(const std::filesystem::path& path, const CatalogOptions& options = {});

  // Saves the index snapshot if there is something new; failing to do so loses nothing.
  ~Catalog();
  Catalog(Catalog&&) noexcept;
  Catalog& operator=(Catalog&&) noexcept;

  // Adds items, replacing those whose keys are present. Pictures are read and encoded first; an
  // item with a bad picture or bad metadata is left out and reported. A picture whose content is
  // that of one the item has already is not encoded again. Of a key given twice the last item
  // counts. Items are committed in batches, each wholly or not at all; `progress` counts items.
  // Throws kEncoderMismatch, kBadModel, kUnavailable (no encoder and no loader), kCancelled, kIo.
  AddReport add(std::span<const Item> items, const Progress& progress = {});

  // Removes the items with these keys in one transaction; returns the keys that were not there.
  std::vector<std::string> remove(std::span<const std::string> keys);

  // Changes metadata, in the order of `patches` and in one transaction; pictures stay as they are,
  // so nothing is encoded. Returns the keys that are not there. Throws kInvalidArgument (`changes`
  // is no JSON object; what comes of it is more than an item may have; nothing was changed), kIo.
  std::vector<std::string> patch(std::span<const MetadataPatch> patches);

  std::optional<ItemRecord> get(const std::string& key) const;
  std::vector<std::string> keys() const;  // ascending, bytewise
  CatalogInfo info() const;

  // For Searcher and for tools.
  const Index& index() const;                                 // ids are picture ids
  Encoder& encoder() const;                                   // loads it if it must
  std::vector<Id> pictures_of(const std::string& key) const;  // throws kKeyNotFound
  // The pictures with these ids and their items, in the order of `ids`; those no longer there are
  // left out.
  std::vector<PictureRecord> pictures(std::span<const Id> ids) const;
  // The pictures that index().search() finds and their items, of one moment: an item that is being
  // replaced is found as it was or as it will be. May be fewer than options.k though there are more
  // (horizon is finite then). Throws what Index::search() throws.
  NearPictures near_pictures(std::span<const float> query, const SearchOptions& options) const;
  IdFilter match(const Filter& filter) const;  // pictures of matching items

  // Writes the index snapshot now. Throws kIo.
  void save_snapshot();

 private:
  struct Impl;
  explicit Catalog(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace vsearch
