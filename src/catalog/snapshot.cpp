#include "catalog/snapshot.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <random>
#include <system_error>
#include <utility>

#include "vsearch/error.h"

namespace vsearch::detail {
namespace {

constexpr std::size_t kChunk = 1024;  // vectors in memory beside the index, and between progress

IndexOptions index_options(const db::StoreHeader& header) {
  IndexOptions options;
  options.dim = header.dim;
  options.metric = header.metric;
  options.links = header.links;
  options.build_breadth = header.build_breadth;
  return options;
}

bool same(const IndexOptions& a, const IndexOptions& b) {
  return a.dim == b.dim && a.metric == b.metric && a.links == b.links &&
         a.build_breadth == b.build_breadth && a.storage == b.storage;
}

// The snapshot, or nothing and why.
std::optional<Index> load(db::Store& store, const std::filesystem::path& snapshot,
                          std::string& reason) {
  try {
    std::string stamp;
    Index index = Index::load(snapshot, &stamp);
    if (stamp != store.meta(kCurrentStamp) && stamp != store.meta(kNextStamp)) {
      reason = snapshot.string() + " is of another catalogue, or newer than catalog.db";
    } else if (!same(index.options(), index_options(store.header()))) {
      reason = snapshot.string() + " was made with other options";
    } else {
      return index;
    }
  } catch (const Error& e) {
    if (e.code() == ErrorCode::kOutOfMemory) throw;
    reason = e.what();
  }
  return std::nullopt;
}

void add(Index& index, db::Store& store, std::span<const Id> ids, const Progress& progress) {
  const std::size_t dim = store.header().dim;
  for (std::size_t done = 0; done < ids.size();) {
    if (progress && !progress(done, ids.size())) {
      throw Error(ErrorCode::kCancelled,
                  fmt::format("opening {} was cancelled; nothing is lost",
                              store.database().path().parent_path().string()));
    }
    const std::span<const Id> chunk = ids.subspan(done, std::min(kChunk, ids.size() - done));
    Matrix rows(chunk.size(), dim);
    for (std::size_t i = 0; i < chunk.size(); ++i) {
      std::ranges::copy(store.embedding(chunk[i]), rows.row(i).begin());
    }
    try {
      index.add(rows.view(), chunk);
    } catch (const Error& e) {
      // Only vectors the index takes were ever stored.
      if (e.code() == ErrorCode::kInvalidArgument) {
        db::throw_damaged(store.database().path(), fmt::format("an embedding: {}", e.what()));
      }
      throw;
    }
    done += chunk.size();
  }
  if (progress && !ids.empty()) progress(ids.size(), ids.size());
}

// Adds what `index` lacks and removes what it has too much. True if there was anything to do.
bool bring_in_step(Index& index, db::Store& store, std::span<const Id> wanted,
                   const LogCallback& log, const Progress& progress) {
  const std::vector<Id> present = index.ids();
  std::vector<Id> missing;
  std::vector<Id> extra;
  std::ranges::set_difference(wanted, present, std::back_inserter(missing));
  std::ranges::set_difference(present, wanted, std::back_inserter(extra));
  if (missing.empty() && extra.empty()) return false;
  if (log) {
    log(LogLevel::kInfo, fmt::format("bringing the index snapshot in step: {} pictures to add, {} "
                                     "to remove",
                                     missing.size(), extra.size()));
  }
  index.remove(extra);
  add(index, store, missing, progress);
  return true;
}

// Why an index that was opened has turned out to be damaged; nothing if it has not.
std::string damage_of(const Index& index) {
  try {
    static_cast<void>(index.size());
    return {};
  } catch (const Error& e) {
    return e.what();
  }
}

}  // namespace

Index open_index(db::Store& store, const std::filesystem::path& snapshot, const LogCallback& log,
                 const Progress& progress, bool& unsaved) {
  const std::vector<Id> wanted = store.picture_ids();
  std::string reason;
  if (std::optional<Index> loaded = load(store, snapshot, reason)) {
    try {
      unsaved = bring_in_step(*loaded, store, wanted, log, progress);
      return *std::move(loaded);
    } catch (const Error& e) {
      reason = damage_of(*loaded);  // a large snapshot is looked through meanwhile
      if (e.code() != ErrorCode::kCorrupt || reason.empty()) throw;
    }
  }
  if (log && !wanted.empty()) {
    log(LogLevel::kWarning, fmt::format("the index snapshot cannot be used: {}; building the "
                                        "index of {} pictures anew",
                                        reason, wanted.size()));
  }
  Index index(index_options(store.header()));
  add(index, store, wanted, progress);
  unsaved = !wanted.empty();
  return index;
}

void delete_unfinished_snapshots(const std::filesystem::path& snapshot) {
  const std::string prefix = snapshot.filename().string() + ".tmp-";
  std::error_code error;
  std::vector<std::filesystem::path> unfinished;
  for (std::filesystem::directory_iterator entry(snapshot.parent_path(), error), end;
       !error && entry != end; entry.increment(error)) {
    if (entry->path().filename().string().starts_with(prefix)) unfinished.push_back(entry->path());
  }
  for (const std::filesystem::path& path : unfinished) std::filesystem::remove(path, error);
}

std::string random_name() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}{:08x}{:08x}", random(), random(), random(), random());
}

}  // namespace vsearch::detail
