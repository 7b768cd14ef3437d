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

#include "vsearch/care.h"
#include "vsearch/crop.h"
#include "vsearch/edition.h"
#include "vsearch/encoder.h"
#include "vsearch/error.h"
#include "vsearch/field.h"
#include "vsearch/filter.h"
#include "vsearch/index.h"
#include "vsearch/source.h"
#include "vsearch/sync.h"
#include "vsearch/types.h"

namespace vsearch {

// One picture of an item to add. Exactly where its embedding comes from: `embedding` if not empty;
// else the encoded file in `bytes` if not empty; else the file at `path`.
struct Picture {
  // Kept with the item and shown with hits; may be empty if bytes or embedding are given. A path,
  // or a URI ("https://...") that CatalogOptions::fetch brings the file of.
  std::string path{};
  std::span<const std::byte> bytes{};  // a JPEG, PNG, ... in memory; borrowed
  std::span<const float> embedding{};  // [dim], made by the encoder that serves; borrowed
  CropBox crop{};                      // the part of the picture that is encoded
  std::string role{};       // what the picture shows ("front", "worn"), at most 256 bytes of UTF-8
  bool keep_bytes = false;  // keep the file in the catalogue, so that another encoder can look at
                            // it though nothing else has it
  // Of the encoder that made `embedding`, or empty. If it is not the one that serves, the item is
  // refused (kEncoderMismatch): embeddings of two encoders never mix.
  std::string embedding_fingerprint{};
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

// What the catalogue holds of a picture.
struct PictureInfo {
  Id id = 0;  // in the index; an item whose pictures are replaced gets new ones
  std::string path;
  std::string role;
  CropBox crop;
  std::string content_hash;  // SHA-256 of the file, 64 hex digits; empty if given as an embedding
  std::uint64_t kept_bytes = 0;  // length of the file that the catalogue keeps, or 0
};

// What the catalogue holds of an item.
struct ItemRecord {
  std::string key;
  std::string metadata;               // a JSON object
  std::vector<PictureInfo> pictures;  // in the order they were given
};

// A picture in the index and the item it belongs to.
struct PictureRecord {
  Id id = 0;
  std::string key;
  std::string path;
  std::string role;
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
  std::uint64_t encoded = 0;         // pictures
  std::vector<AddFailure> failures;  // in the order of items, which are as they were before
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
  std::uint64_t generation = 0;           // counts committed changes
  std::uint64_t snapshot_generation = 0;  // the one that the index snapshot on disk holds
  std::uint64_t disk_bytes = 0;           // the whole directory
  IndexStats index;
};

// Finds the encoder that a catalogue names. vsearch::load_encoder(find_encoder(name)) is the usual
// one; the catalogue calls it at most once, when a picture must first be encoded.
using EncoderLoader = std::function<std::shared_ptr<Encoder>(const std::string& encoder)>;

// Brings the file that a URI names; throws Error (kFileNotFound, kIo) if it cannot. Called from
// several threads at once.
using Fetch = std::function<std::vector<std::byte>(const std::string& uri)>;

struct CatalogOptions {
  std::shared_ptr<Encoder> encoder{};  // used if set; its fingerprint must be the catalogue's
  EncoderLoader encoder_loader{};      // else this, when first needed
  Fetch fetch{};                       // of pictures whose path is a URI; without it they are bad
  // After so many changed pictures the index snapshot is saved on a thread of the catalogue's own,
  // so that opening after a crash has no more than these to make up for; but not before a tenth of
  // all have changed. 0: only save_snapshot() and closing save it.
  std::uint64_t snapshot_changes = 20'000;
  LogCallback log{};
  Progress progress{};  // of rebuilding the index while opening; counts pictures
};

struct CatalogCreateOptions {
  std::shared_ptr<Encoder> encoder{};  // required; its dim, metric and fingerprint are recorded
  std::string encoder_ref{};  // what EncoderLoader will be given: a name, or an absolute path
  std::uint32_t links = 16;   // of the index, see IndexOptions
  std::uint32_t build_breadth = 200;
  EncoderLoader encoder_loader{};  // of encoders that it is moved to later; this and what follows
  Fetch fetch{};                   // as in CatalogOptions
  std::uint64_t snapshot_changes = 20'000;
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
// not wait for encoding. sync(), watch(), reencode(), rollback(), compact() and import_from() take
// turns; add(), remove(), patch() and searches go on beside them.
class Catalog {
 public:
  // Makes an empty catalogue in the new directory `path`.
  // Throws kAlreadyExists, kIo, kInvalidArgument (no encoder).
  static Catalog create(const std::filesystem::path& path, const CatalogCreateOptions& options);

  // A catalogue of an older version is brought to today's first, in one transaction.
  // Throws kFileNotFound; kCorrupt (catalog.db is damaged, or `path` is no catalogue; nothing is
  // deleted); kBusy (another process has it open); kEncoderMismatch (options.encoder is not the one
  // it was made with); kUnavailable (written by a newer version).
  static Catalog open(const std::filesystem::path& path, const CatalogOptions& options = {});

  // Saves the index snapshot if there is something new; failing to do so loses nothing.
  ~Catalog();
  Catalog(Catalog&&) noexcept;
  Catalog& operator=(Catalog&&) noexcept;

  // ---- Items

  // Adds items, replacing those whose keys are present. Pictures are read and encoded first; an
  // item with a bad picture or bad metadata is left out and reported. A picture whose content and
  // crop are those of one that is there, of whatever item, is not encoded again. Of a key given
  // twice the last item counts. Items are committed in batches, each wholly or not at all;
  // `progress` counts items, and may search, but not
  // change the catalogue. Throws kEncoderMismatch, kBadModel, kUnavailable (no encoder and no
  // loader), kCancelled, kIo.
  AddReport add(std::span<const Item> items, const Progress& progress = {});

  // Removes the items with these keys in one transaction; returns the keys that were not there.
  std::vector<std::string> remove(std::span<const std::string> keys);

  // Changes metadata, in the order of `patches` and in one transaction; pictures stay as they are,
  // so nothing is encoded. Returns the keys that are not there. Throws kInvalidArgument (`changes`
  // is no JSON object; what comes of it is more than an item may have, or of another type than a
  // declared field; nothing was changed), kIo.
  std::vector<std::string> patch(std::span<const MetadataPatch> patches);

  std::optional<ItemRecord> get(const std::string& key) const;
  std::vector<std::string> keys() const;  // ascending, bytewise
  // Calls `visit` with every item in the order of keys(), until it returns false. Writers and
  // searches go on meanwhile, `visit` may be one of them; an item that is changed meanwhile is seen
  // as it was or as it is.
  void for_each(const std::function<bool(const ItemRecord&)>& visit) const;
  CatalogInfo info() const;

  // ---- Fields

  // Keeps an index of a field of the metadata from now on, see Field. Declared already: does
  // nothing. Throws kInvalidArgument (a name that a filter could not use; it is declared with
  // another type; items have values of another type: how many, and the first).
  void declare_field(const Field& field);
  void drop_field(const std::string& name);  // throws kKeyNotFound if it is not declared
  std::vector<Field> fields() const;         // by name

  // ---- In step with the shop

  // Brings the catalogue in step with `source`: adds what is new, encodes what has changed, removes
  // what is gone. A picture whose file has the size and time that were seen last is unchanged;
  // else its content decides. A picture that cannot be read leaves its item as it was, and is
  // reported. Committed in batches: interrupted at any point, the next call goes on where this one
  // stopped. `progress` counts items that differ. What add() adds while it runs stays.
  // Throws kRefused (more removals than options.max_removed_share), what list_source() and add()
  // throw.
  SyncReport sync(const Source& source, const SyncOptions& options = {},
                  const Progress& progress = {});

  // sync(), and again whenever something has changed in the folders of `source`, until `report`,
  // which gets each result, or `progress`, which is also asked ten times a second while nothing
  // happens (with done = total = 0), returns false: this is no error. A run that fails for now
  // (kRefused, kIo) is told by `trouble` and tried again with the next change.
  void watch(const FilesSource& source, const SyncOptions& options, const WatchOptions& how,
             const std::function<bool(const SyncReport&)>& report,
             const std::function<void(const Error&)>& trouble, const Progress& progress);

  // Groups of items that look the same, the largest first; an item with several pictures by any of
  // them. Searches once for each picture, on all cores; `progress` counts them. Changes go on and
  // may be missed. Needs some 32 bytes a picture. Throws kInvalidArgument (no neighbours or more
  // than 10,000, or a max_distance that is no number), kCancelled.
  std::vector<DuplicateGroup> near_duplicates(const DuplicateOptions& options = {},
                                              const Progress& progress = {}) const;

  // ---- Editions

  // Makes an edition of all embeddings by another encoder beside the one that serves, while adds,
  // removes and searches go on, and lets it serve from one moment on, if the gate of `options`
  // allows. Pictures are read from where they were, and must be as they were. Interrupted or
  // refused, it stays as it is: the next call with this encoder goes on with it. With an encoder
  // whose edition is kept, only what is new since is encoded. `progress` counts pictures.
  // Throws kInvalidArgument (it serves already), kCancelled, kIo, and what the encoder throws.
  ReencodeReport reencode(std::shared_ptr<Encoder> encoder, const ReencodeOptions& options = {},
                          const Progress& progress = {});
  // Lets the edition that served last serve again, without a gate. Loads its encoder if there are
  // pictures that it lacks. Throws kKeyNotFound (no edition is kept), and what reencode() throws.
  ReencodeReport rollback(const Progress& progress = {});
  std::vector<EditionInfo> editions() const;  // by id
  // Deletes an edition that is not serving. Throws kKeyNotFound, kInvalidArgument (it serves).
  void drop_edition(std::int64_t id);

  // ---- Care

  // Looks whether all is well: the database, what belongs together in it, the index against it, and
  // whether searches find what is there. Searches and changes go on, but wait for the look at the
  // database, which reads all of it. `progress` counts the vectors of the look at the index, see
  // Index::check_health(); before it, it is asked with done = total = 0. Throws kCancelled.
  CheckReport check(const CheckOptions& options = {}, const Progress& progress = {}) const;
  // Gives room back: deletes what belongs to nothing, writes the database anew, and the index if
  // removals have left holes in more than a fifth of it, or if it is not in step with the database;
  // then saves its snapshot. Searches and changes wait while the database is written, and go on
  // beside the rest. A crash or an error at any point loses nothing. Needs as much room again
  // meanwhile, in the catalogue's folder and where SQLite puts temporary files (SQLITE_TMPDIR, else
  // /var/tmp or /tmp). `progress` counts pictures in the new index. Throws kIo, kCorrupt,
  // kCancelled.
  CompactReport compact(const Progress& progress = {});
  // Copies the catalogue as it is at one moment into the new directory `path`, which can be opened
  // as it is, while searches and changes go on. A crash leaves the whole copy or none. Of two at a
  // time one waits, as it does for compact(). `progress` counts pages of catalog.db. Throws
  // kAlreadyExists, kIo, kCancelled.
  void backup(const std::filesystem::path& path, const Progress& progress = {}) const;
  // Writes manifest.json (what they are of), items.jsonl (a line an item: key, metadata, pictures)
  // and embeddings.npy (float32 [pictures, dim], of the serving edition, in the order of the lines)
  // into the new directory `path`: see docs/formats.md. Kept files are not in it. Searches and
  // changes go on; an item that is changed meanwhile is written as it was or as it is. `progress`
  // counts items. Throws kAlreadyExists, kIo, kCancelled, kCorrupt (an item is damaged).
  ExportReport export_to(const std::filesystem::path& path, const Progress& progress = {}) const;
  // Adds what export_to() wrote, replacing items whose keys are present; no picture is looked at.
  // All of it is checked before anything is changed; then items are committed in batches.
  // `progress` counts items. Throws kFileNotFound, kIo, kInvalidArgument (the line),
  // kEncoderMismatch (made with another encoder), kCancelled.
  AddReport import_from(const std::filesystem::path& path, const Progress& progress = {});

  // Writes the index snapshot now; searches and changes go on. Throws kIo.
  void save_snapshot();

  // ---- For Searcher and for tools

  std::shared_ptr<const Edition> serving() const;
  std::vector<Id> pictures_of(const std::string& key) const;  // throws kKeyNotFound
  // The pictures with these ids and their items, in the order of `ids`; those no longer there are
  // left out.
  std::vector<PictureRecord> pictures(std::span<const Id> ids) const;
  // The pictures that edition.index().search() finds and their items, of one moment: an item that
  // is being replaced is found as it was or as it will be. May be fewer than options.k though there
  // are more (horizon is finite then). Throws what Index::search() throws.
  NearPictures near_pictures(const Edition& edition, std::span<const float> query,
                             const SearchOptions& options) const;
  IdFilter match(const Filter& filter) const;  // pictures of matching items

 private:
  struct Impl;
  explicit Catalog(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace vsearch
