#include "catalog/syncer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <unordered_map>

#include "catalog/adder.h"
#include "catalog/item_check.h"
#include "catalog/picture_file.h"

namespace vsearch {

std::string_view sync_action_name(SyncAction action) {
  switch (action) {
    case SyncAction::kAdd:
      return "add";
    case SyncAction::kReplace:
      return "replace";
    case SyncAction::kRename:
      return "rename";
    case SyncAction::kPatch:
      return "patch";
    case SyncAction::kRemove:
      return "remove";
    case SyncAction::kDuplicate:
      return "duplicate";
  }
  return "unknown";
}

std::uint64_t SyncReport::count(SyncAction action) const {
  return static_cast<std::uint64_t>(std::ranges::count(changes, action, &SyncChange::action));
}

namespace detail {
namespace {

constexpr std::size_t kItemsPerAdd = 512;  // in memory at a time
constexpr std::size_t kItemsPerCommit = 500;
constexpr std::uint32_t kNeighbours = 4;

void check_options(const SyncOptions& options) {
  if (!(options.max_removed_share >= 0 && options.max_removed_share <= 1)) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("max_removed_share is {}; it is a share, from 0 to 1",
                            options.max_removed_share));
  }
  if (!(options.duplicate_distance >= 0)) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("duplicate_distance is {}; it is a distance, at least 0",
                            options.duplicate_distance));
  }
}

float distance_between(const std::vector<float>& a, const std::vector<float>& b, Metric metric) {
  double dot = 0;
  double a2 = 0;
  double b2 = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    dot += static_cast<double>(a[i]) * b[i];
    a2 += static_cast<double>(a[i]) * a[i];
    b2 += static_cast<double>(b[i]) * b[i];
  }
  switch (metric) {
    case Metric::kCosine:
      return static_cast<float>(1.0 - dot / std::sqrt(a2 * b2));
    case Metric::kL2:
      return static_cast<float>(a2 + b2 - 2 * dot);
    case Metric::kInnerProduct:
      break;
  }
  return static_cast<float>(1.0 - dot);
}

Item to_item(const SourceItem& source) {
  Item item;
  item.key = source.key;
  item.metadata = source.metadata;
  for (const SourcePicture& picture : source.pictures) {
    Picture& to = item.pictures.emplace_back();
    to.path = picture.path;
    to.crop = picture.crop;
    to.role = picture.role;
  }
  return item;
}

}  // namespace

Syncer::Syncer(CatalogCore& core, const Source& source, const SyncOptions& options,
               const Progress& progress)
    : core_(core), source_(source), options_(options), progress_(progress) {
  check_options(options_);
}

SyncReport Syncer::run() {
  const auto turn = core_.take_turn();
  plan_ = plan_sync(core_, source_, options_, [this] {
    if (progress_ && !progress_(0, 0)) fail_cancelled();
  });
  report_.listed = plan_.listed;
  report_.unchanged = plan_.unchanged;
  report_.problems = plan_.problems;
  report_.changes = plan_.changes();
  if (options_.dry_run) return std::move(report_);
  total_ = plan_.steps();
  leaving_.insert(plan_.removals.begin(), plan_.removals.end());
  add(plan_.adds);
  add(plan_.replacements);
  patch();
  remove();
  drop_failed_changes();
  return std::move(report_);
}

void Syncer::add(std::span<const SourceItem> sources) {
  std::uint64_t latest = 0;
  const Progress go_on = [&](std::uint64_t done, std::uint64_t) {
    latest = done;
    return !progress_ || progress_(done_ + done, total_);
  };
  for (std::size_t first = 0; first < sources.size(); first += kItemsPerAdd) {
    std::vector<Item> items;
    for (const SourceItem& source :
         sources.subspan(first, std::min(kItemsPerAdd, sources.size() - first))) {
      items.push_back(to_item(source));
    }
    Adder adder(core_, items, go_on);
    adder.screen([this](std::vector<ReadyItem>& ready, const LiveEditions& live) {
      for (ReadyItem& item : ready) keep_metadata(item);
      if (options_.duplicates != Duplicates::kKeep) screen(ready, live);
    });
    AddReport added;
    try {
      added = adder.run();
    } catch (const Error& e) {
      if (e.code() != ErrorCode::kCancelled) throw;
      done_ += latest;
      fail_cancelled();
    }
    report_.encoded += added.encoded;
    for (AddFailure& failure : added.failures) {
      report_.failures.push_back({std::move(failure.key), std::move(failure.path), failure.code,
                                  std::move(failure.message)});
    }
    done_ += items.size();
  }
}

// Where the source says none, what was patched since the plan was made stays.
void Syncer::keep_metadata(ReadyItem& item) const {
  if (plan_.says_metadata) return;
  const auto rename = plan_.renames.find(item.key);
  item.keeps_metadata_of = rename == plan_.renames.end() ? item.key : rename->second;
}

// Leaves out, or links, new items that look like one that is there or comes with them.
void Syncer::screen(std::vector<ReadyItem>& items, const LiveEditions& live) {
  const std::int64_t edition = live.serving->id();
  struct Seen {
    const std::string* key;
    const std::vector<float>* vector;
  };
  std::vector<Seen> seen;  // of this batch
  std::vector<ReadyItem> kept;
  kept.reserve(items.size());
  const Metric metric = live.serving->header().metric;
  const auto vectors_of = [&](const ReadyItem& item) {
    std::vector<const std::vector<float>*> vectors;
    for (const ReadyPicture& picture : item.pictures) {
      for (const EditionVector& embedding : picture.embeddings) {
        if (embedding.edition == edition) vectors.push_back(&embedding.values);
      }
    }
    return vectors;
  };
  const auto other_of = [&](const ReadyItem& item) -> std::string {
    for (const std::vector<float>* vector : vectors_of(item)) {
      for (const Seen& other : seen) {
        if (distance_between(*vector, *other.vector, metric) <= options_.duplicate_distance) {
          return *other.key;
        }
      }
      SearchOptions search;
      search.k = kNeighbours;
      for (const NearPictures::Entry& entry :
           core_.near_pictures(*live.serving, *vector, search).entries) {
        if (entry.distance > options_.duplicate_distance) break;
        if (entry.picture.key == item.key || leaving_.contains(entry.picture.key)) continue;
        return entry.picture.key;
      }
    }
    return {};
  };
  std::vector<SyncChange> duplicates;
  std::vector<db::SkippedItem> skipped;
  for (ReadyItem& item : items) {
    const bool is_new =
        !core_.in_store([&](db::Store& store) { return store.item(item.key).has_value(); });
    const std::string other = is_new && !plan_.renames.contains(item.key) ? other_of(item) : "";
    if (!other.empty() && options_.duplicates == Duplicates::kSkip) {
      duplicates.push_back({SyncAction::kDuplicate, item.key, other});
      db::SkippedItem& left_out = skipped.emplace_back();
      left_out.key = item.key;
      left_out.other = other;
      for (const ReadyPicture& ready : item.pictures) {
        const db::StoredPicture& picture = ready.picture;
        left_out.add_picture(picture.path, picture.crop, picture.stamp);
      }
      continue;
    }
    if (!other.empty()) {
      item.metadata = linked_metadata(item.metadata, other);
    }
    kept.push_back(std::move(item));
    for (const std::vector<float>* vector : vectors_of(kept.back())) {
      seen.push_back({&kept.back().key, vector});
    }
  }
  items = std::move(kept);
  if (duplicates.empty()) return;
  core_.in_transaction([&](db::Store& store) {
    for (const db::SkippedItem& item : skipped) store.set_skipped(item);
  });
  for (const SyncChange& duplicate : duplicates) {
    const auto change = std::ranges::find(report_.changes, duplicate.key, &SyncChange::key);
    if (change != report_.changes.end()) *change = duplicate;
  }
}

void Syncer::patch() {
  std::span<const SyncPatch> rest = plan_.patches;
  while (!rest.empty()) {
    const auto now = rest.first(std::min(kItemsPerCommit, rest.size()));
    std::vector<ReadyItem> items;
    for (const SyncPatch& patch : now) {
      try {
        items.push_back(patch.item);
        keep_metadata(items.back());
        items.back().metadata = normalise_metadata(patch.item.metadata);
        core_.check_fields(items.back().metadata);
      } catch (const Error& e) {
        items.pop_back();
        report_.failures.push_back(
            {patch.item.key, {}, e.code(), fmt::format("item {}: {}", patch.item.key, e.what())});
      }
    }
    core_.update(items);
    rest = rest.subspan(now.size());
    tell(now.size());
  }
}

void Syncer::remove() {
  // What could not be added under its new key stays under the old one.
  std::unordered_set<std::string> staying;
  for (const SyncFailure& failure : report_.failures) {
    const auto rename = plan_.renames.find(failure.key);
    if (rename != plan_.renames.end()) staying.insert(rename->second);
  }
  std::erase_if(plan_.removals, [&](const std::string& key) { return staying.contains(key); });
  std::span<const std::string> rest = plan_.removals;
  while (!rest.empty()) {
    const auto now = rest.first(std::min(kItemsPerCommit, rest.size()));
    core_.remove(now);
    rest = rest.subspan(now.size());
    tell(now.size());
  }
  tell(staying.size());
  if (plan_.forgotten.empty()) return;
  core_.in_transaction([&](db::Store& store) {
    for (const std::string& key : plan_.forgotten) store.forget_skipped(key);
  });
}

void Syncer::tell(std::uint64_t done) {
  done_ += done;
  const bool go_on = !progress_ || progress_(done_, total_);
  if (!go_on && done_ < total_) fail_cancelled();
}

void Syncer::fail_cancelled() const {
  throw Error(ErrorCode::kCancelled,
              fmt::format("synchronising was cancelled: {} of {} items that differ are done and "
                          "stay; synchronise again to go on",
                          done_, total_));
}

// The report says what was done.
void Syncer::drop_failed_changes() {
  if (report_.failures.empty()) return;
  std::unordered_set<std::string> failed;
  for (const SyncFailure& failure : report_.failures) failed.insert(failure.key);
  std::erase_if(report_.changes, [&](const SyncChange& change) {
    return change.action != SyncAction::kRemove && failed.contains(change.key);
  });
}

}  // namespace detail
}  // namespace vsearch
