#include "catalog/snapshot.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <locale>
#include <random>
#include <sstream>
#include <string_view>
#include <system_error>
#include <utility>

#include "util/folder_names.h"
#include "vsearch/error.h"

namespace vsearch::detail {
namespace {

// Vectors in memory beside the index, and between reports of progress.
constexpr std::size_t kVectorsHeld = 1024;

IndexOptions index_options(const db::EditionHeader& edition) {
  IndexOptions options;
  options.dim = edition.dim;
  options.metric = edition.metric;
  options.links = edition.links;
  options.build_breadth = edition.build_breadth;
  return options;
}

bool same(const IndexOptions& a, const IndexOptions& b) {
  return a.dim == b.dim && a.metric == b.metric && a.links == b.links &&
         a.build_breadth == b.build_breadth && a.storage == b.storage;
}

class Opening {
 public:
  Opening(const StoreAccess& in_store, const db::EditionHeader& edition,
          const std::filesystem::path& directory, const LogCallback& log, const Progress& progress)
      : in_store_(in_store),
        edition_(edition),
        directory_(directory),
        log_(log),
        progress_(progress) {}

  OpenedIndex run() {
    const bool serving = edition_.state == EditionState::kServing;
    std::string reason;
    // A crash while one edition took the place of another may have left the snapshot of the new one
    // under its own name.
    for (const bool in_place : {true, false}) {
      if (in_place && !serving) continue;
      std::string why;
      if (std::optional<OpenedIndex> opened = from_snapshot(in_place, why))
        return *std::move(opened);
      if (reason.empty()) reason = why;
    }
    return built(reason);
  }

 private:
  // Nothing, and why, if there is no snapshot there that can be used.
  std::optional<OpenedIndex> from_snapshot(bool in_place, std::string& reason) {
    const std::filesystem::path file = snapshot_path(directory_, edition_.id, in_place);
    std::optional<SnapshotStamp> stamp;
    std::optional<Index> loaded = load(file, stamp, reason);
    if (!loaded) return std::nullopt;
    try {
      OpenedIndex opened{*std::move(loaded), 0, stamp ? stamp->generation : 0};
      const bool by_changes = stamp && in_place && edition_.state == EditionState::kServing;
      opened.changes = by_changes ? replay(opened.index, *stamp) : compare(opened.index);
      if (!in_place && edition_.state == EditionState::kServing) {
        opened.changes = std::max<std::uint64_t>(opened.changes, 1);  // it must come to its place
      }
      if (const std::string damage = damage_of(opened.index); !damage.empty()) {
        reason = damage;
        return std::nullopt;
      }
      return opened;
    } catch (const Error& e) {
      // A large snapshot is looked through meanwhile; of anything else the store is damaged.
      if (e.code() != ErrorCode::kCorrupt || !index_damaged_) throw;
      reason = e.what();
      return std::nullopt;
    }
  }

  std::optional<Index> load(const std::filesystem::path& file, std::optional<SnapshotStamp>& stamp,
                            std::string& reason) {
    try {
      std::string text;
      Index index = Index::load(file, &text);
      db::SnapshotStamps known;
      in_store_([&](db::Store& store) { known = store.stamps(edition_.id); });
      if (text.empty() || (text != known.current && text != known.next)) {
        reason = file.string() + " is of another catalogue, or newer than catalog.db";
      } else if (!same(index.options(), index_options(edition_))) {
        reason = file.string() + " was made with other options";
      } else {
        stamp = parse_stamp(text);
        return index;
      }
    } catch (const Error& e) {
      if (e.code() == ErrorCode::kOutOfMemory) throw;
      reason = e.what();
    }
    return std::nullopt;
  }

  OpenedIndex built(const std::string& reason) {
    std::uint64_t pictures = 0;
    const std::vector<Id> wanted = embedded_ids(pictures);
    if (log_ && !wanted.empty()) {
      log_(LogLevel::kWarning, fmt::format("the index snapshot cannot be used: {}; building the "
                                           "index of {} pictures anew",
                                           reason, wanted.size()));
    }
    if (log_ && edition_.state == EditionState::kServing && pictures != wanted.size()) {
      log_(LogLevel::kWarning,
           fmt::format("{} pictures have no embedding and are not found; add their items again, or "
                       "look at the catalogue with a check",
                       pictures - wanted.size()));
    }
    OpenedIndex opened{Index(index_options(edition_)), wanted.size(), 0};
    add(opened.index, wanted);
    return opened;
  }

  // What has changed since the snapshot was saved. Ids are given in ascending order, and once.
  std::uint64_t replay(Index& index, const SnapshotStamp& stamp) {
    std::vector<Id> missing;
    std::vector<Id> extra;
    in_store_([&](db::Store& store) {
      missing = store.embedded_ids(edition_.id, stamp.last_picture_id);
      extra = store.removals();
    });
    with(index, [&] {
      std::erase_if(missing, [&](Id id) { return index.contains(id); });
      std::erase_if(extra, [&](Id id) { return !index.contains(id); });
    });
    return bring_in_step(index, missing, extra);
  }

  std::uint64_t compare(Index& index) {
    std::uint64_t pictures = 0;
    const std::vector<Id> wanted = embedded_ids(pictures);
    std::vector<Id> present;
    with(index, [&] { present = index.ids(); });
    std::vector<Id> missing;
    std::vector<Id> extra;
    std::ranges::set_difference(wanted, present, std::back_inserter(missing));
    std::ranges::set_difference(present, wanted, std::back_inserter(extra));
    return bring_in_step(index, missing, extra);
  }

  std::uint64_t bring_in_step(Index& index, const std::vector<Id>& missing,
                              const std::vector<Id>& extra) {
    if (missing.empty() && extra.empty()) return 0;
    if (log_) {
      log_(LogLevel::kInfo, fmt::format("bringing the index snapshot in step: {} pictures to add, "
                                        "{} to remove",
                                        missing.size(), extra.size()));
    }
    with(index, [&] { index.remove(extra); });
    add(index, missing);
    return missing.size() + extra.size();
  }

  std::vector<Id> embedded_ids(std::uint64_t& pictures) {
    std::vector<Id> ids;
    in_store_([&](db::Store& store) {
      pictures = store.picture_count();
      ids = store.embedded_ids(edition_.id);
    });
    return ids;
  }

  void add(Index& index, std::span<const Id> ids) {
    for (std::size_t done = 0; done < ids.size();) {
      if (progress_ && !progress_(done, ids.size())) {
        throw Error(ErrorCode::kCancelled,
                    fmt::format("opening {} was cancelled; nothing is lost", directory_.string()));
      }
      const std::span<const Id> chunk =
          ids.subspan(done, std::min(kVectorsHeld, ids.size() - done));
      std::vector<Id> found;  // those that are not gone meanwhile
      Matrix rows;
      std::filesystem::path database;
      in_store_([&](db::Store& store) {
        database = store.database().path();
        for (const Id id : chunk) {
          const std::vector<float> row = store.find_embedding(edition_, id);
          if (row.empty()) continue;
          rows.data.insert(rows.data.end(), row.begin(), row.end());
          found.push_back(id);
        }
      });
      rows.rows = found.size();
      rows.cols = edition_.dim;
      try {
        with(index, [&] { index.add(rows.view(), found); });
      } catch (const Error& e) {
        // Only vectors the index takes were ever stored.
        if (e.code() == ErrorCode::kInvalidArgument) {
          db::throw_damaged(database, fmt::format("an embedding: {}", e.what()));
        }
        throw;
      }
      done += chunk.size();
    }
    if (progress_ && !ids.empty()) progress_(ids.size(), ids.size());
  }

  // Calls the index, and notes it if it says that it is damaged.
  template <typename Call>
  void with(const Index& index, Call call) {
    try {
      call();
    } catch (const Error&) {
      index_damaged_ = !damage_of(index).empty();
      throw;
    }
  }

  // Why an index that was opened has turned out to be damaged; nothing if it has not.
  static std::string damage_of(const Index& index) {
    try {
      static_cast<void>(index.size());
      return {};
    } catch (const Error& e) {
      return e.what();
    }
  }

  const StoreAccess& in_store_;
  const db::EditionHeader& edition_;
  const std::filesystem::path& directory_;
  const LogCallback& log_;
  const Progress& progress_;
  bool index_damaged_ = false;
};

constexpr std::string_view kServingName = "index.snapshot";

}  // namespace

std::filesystem::path snapshot_path(const std::filesystem::path& directory, std::int64_t edition,
                                    bool serving) {
  return directory /
         (serving ? std::string(kServingName) : fmt::format("index-{}.snapshot", edition));
}

std::string SnapshotStamp::text() const {
  return fmt::format("{} {} {}", name, generation, last_picture_id);
}

std::optional<SnapshotStamp> parse_stamp(const std::string& text) {
  std::istringstream words(text);
  words.imbue(std::locale::classic());
  SnapshotStamp stamp;
  if (!(words >> stamp.name >> stamp.generation >> stamp.last_picture_id)) return std::nullopt;
  return stamp;
}

OpenedIndex open_index(const StoreAccess& in_store, const db::EditionHeader& edition,
                       const std::filesystem::path& directory, const LogCallback& log,
                       const Progress& progress) {
  return Opening(in_store, edition, directory, log, progress).run();
}

void delete_stray_snapshots(db::Store& store, const std::filesystem::path& directory) {
  std::vector<std::string> known{std::string(kServingName)};
  for (const db::EditionHeader& edition : store.editions()) {
    known.push_back(snapshot_path({}, edition.id, false).string());
  }
  std::error_code error;
  for (const std::string& name : util::names_in(directory, error)) {
    const bool is_snapshot = name.starts_with("index") && name.find(".snapshot") != name.npos;
    if (is_snapshot && std::ranges::find(known, name) == known.end()) {
      std::filesystem::remove(directory / name, error);
    }
  }
}

std::string random_name() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}{:08x}{:08x}", random(), random(), random(), random());
}

}  // namespace vsearch::detail
