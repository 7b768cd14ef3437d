#include "catalog/sync_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>
#include <unordered_set>
#include <utility>

#include "catalog/item_check.h"
#include "catalog/metadata_value.h"
#include "catalog/picture_file.h"
#include "util/sha256.h"
#include "util/utf8.h"

namespace vsearch::detail {
namespace {

// Metadata as they are stored, or as they are if they are none: whoever adds them will say so.
std::string stored_form(const std::string& metadata) {
  try {
    return normalise_metadata(metadata);
  } catch (const Error&) {
    return metadata;
  }
}

// The hash of the file of a picture; nothing if it cannot be read, which adding it will say.
std::optional<std::string> hash_of(const std::string& path, const Fetch& fetch) {
  try {
    return util::sha256_hex(read_picture_file(path, fetch));
  } catch (const Error& e) {
    if (e.code() == ErrorCode::kOutOfMemory) throw;
    return std::nullopt;
  }
}

// By which pictures of an item are known again under another key; empty if they cannot be.
void add_to_signature(std::string& signature, std::string_view hash, std::string_view crop) {
  signature += fmt::format("{} {}\n", hash, crop);
}

std::string signature_of(const db::StoredItem& item) {
  std::string signature;
  for (const db::StoredPicture& picture : item.pictures) {
    if (picture.content_hash.empty()) return {};
    add_to_signature(signature, picture.content_hash, picture.crop);
  }
  return signature;
}

class Planner {
 public:
  Planner(const CatalogCore& core, const SyncOptions& options, bool says_metadata,
          const std::function<void()>& go_on)
      : core_(core), options_(options), says_metadata_(says_metadata), go_on_(go_on) {}

  SyncPlan run(SourceListing listing) {
    plan_.listed = listing.items.size();
    plan_.says_metadata = says_metadata_;
    plan_.problems = std::move(listing.problems);
    items_ = std::move(listing.items);
    for (SourceItem& item : items_) item.key.insert(0, options_.key_prefix);
    std::ranges::sort(items_, {}, &SourceItem::key);
    if (options_.duplicates != Duplicates::kKeep) {
      for (const SourceItem& item : items_) listed_.insert(item.key);
    }
    compare_all();
    if (!may_remove()) leaving_.clear();
    find_renames();
    for (const db::StoredItem& item : leaving_) plan_.removals.push_back(item.key);
    guard();
    leave_out_skipped();
    return std::move(plan_);
  }

 private:
  // The items of the source and of the catalogue, both in the order of their keys.
  void compare_all() {
    auto wanted = items_.begin();
    std::string after = options_.key_prefix;
    bool more = true;
    while (more) {
      const std::vector<db::StoredItem> page =
          core_.in_store([&](db::Store& store) { return store.items_after(after); });
      more = !page.empty();
      for (const db::StoredItem& stored : page) {
        if (!stored.key.starts_with(options_.key_prefix)) {
          more = false;
          break;
        }
        ++plan_.stored;
        while (wanted != items_.end() && wanted->key < stored.key) {
          plan_.adds.push_back(std::move(*wanted++));
        }
        if (wanted != items_.end() && wanted->key == stored.key) {
          compare(std::move(*wanted++), stored);
        } else {
          leaving_.push_back(stored);
        }
      }
      if (more) after = page.back().key;
      go_on_();
    }
    for (; wanted != items_.end(); ++wanted) plan_.adds.push_back(std::move(*wanted));
  }

  void compare(SourceItem wanted, const db::StoredItem& stored) {
    if (!says_metadata_) wanted.metadata = stored.metadata;
    if (wanted.pictures.size() != stored.pictures.size()) {
      plan_.replacements.push_back(std::move(wanted));
      return;
    }
    SyncPatch patch{{stored.key, stored.metadata, {}}, false};
    if (wanted.metadata != stored.metadata) {
      patch.item.metadata = with_link(stored_form(wanted.metadata), stored.metadata);
      patch.visible = patch.item.metadata != stored.metadata;
    }
    bool touched = false;
    for (std::size_t i = 0; i < wanted.pictures.size(); ++i) {
      const SourcePicture& picture = wanted.pictures[i];
      const db::StoredPicture& old = stored.pictures[i];
      const std::string crop = crop_text(picture.crop);
      std::optional<db::StoredPicture> now;
      if (crop == old.crop && !old.content_hash.empty()) now = same_content(picture, old);
      if (!now) {
        plan_.replacements.push_back(std::move(wanted));
        return;
      }
      patch.visible = patch.visible || now->path != old.path || now->role != old.role;
      touched = touched || now->stamp != old.stamp;
      patch.item.pictures.push_back({*std::move(now), {}, {}});
    }
    if (!patch.visible) ++plan_.unchanged;
    if (patch.visible || touched) plan_.patches.push_back(std::move(patch));
  }

  // Metadata of the source, with the link to another item that an earlier synchronisation has put
  // into those that are stored, while there is that item.
  std::string with_link(std::string wanted, const std::string& stored) const {
    if (options_.duplicates != Duplicates::kLink) return wanted;
    if (stored.find(kLinkField) == stored.npos) return wanted;
    const auto link = link_in(stored);
    if (!link || link_in(wanted)) return wanted;
    const bool is_there =
        link->starts_with(options_.key_prefix)
            ? listed_.contains(*link)
            : core_.in_store([&](db::Store& store) { return store.item(*link).has_value(); });
    if (!is_there) return wanted;
    try {
      return linked_metadata(wanted, *link);
    } catch (const Error&) {
      return wanted;  // it is none: whoever stores it will say so
    }
  }

  static std::optional<std::string> link_in(const std::string& metadata) {
    try {
      const MetadataValue parsed = parse_metadata(metadata, "the metadata");
      const MetadataValue* const link = find_value(parsed, {kLinkField});
      if (link != nullptr && link->as<std::string>() != nullptr) return *link->as<std::string>();
    } catch (const Error&) {
      return std::nullopt;  // whoever stores it will say so
    }
    return std::nullopt;
  }

  // What is to be kept of a picture whose content is as it was; nothing if it is not.
  std::optional<db::StoredPicture> same_content(const SourcePicture& picture,
                                                const db::StoredPicture& old) {
    db::StoredPicture now = old;
    now.path = picture.path;
    now.role = picture.role;
    const std::optional<db::FileStamp> stamp = stamp_of(picture.path);
    // What a URI names is taken to be as it was: to find out, all would have to be fetched.
    const bool unseen = is_uri(picture.path) || (stamp && *stamp == old.stamp);
    if (picture.path == old.path && unseen) return now;
    go_on_();
    if (hash_of(picture.path, core_.fetch()) != old.content_hash) return std::nullopt;
    now.stamp = stamp.value_or(db::FileStamp{});
    return now;
  }

  // New items whose pictures are those of items that go. Only files of a size that went are read.
  void find_renames() {
    std::map<std::string, std::vector<const db::StoredItem*>> by_signature;
    std::set<std::int64_t> sizes;
    for (const db::StoredItem& item : leaving_) {
      std::string signature = signature_of(item);
      if (signature.empty()) continue;
      by_signature[std::move(signature)].push_back(&item);
      sizes.insert(item.pictures[0].stamp.bytes);
    }
    if (by_signature.empty()) return;
    const bool any_size = sizes.contains(0);  // some were never seen as files
    for (SourceItem& item : plan_.adds) {
      const std::optional<db::FileStamp> stamp = stamp_of(item.pictures[0].path);
      if (!stamp || (!any_size && !sizes.contains(stamp->bytes))) continue;
      go_on_();
      const auto found = by_signature.find(signature_of(item));
      if (found == by_signature.end() || found->second.empty()) continue;
      plan_.renames[item.key] = found->second.back()->key;
      if (!says_metadata_) item.metadata = found->second.back()->metadata;
      found->second.pop_back();
    }
  }

  std::string signature_of(const SourceItem& item) const {
    std::string signature;
    for (const SourcePicture& picture : item.pictures) {
      const std::optional<std::string> hash = hash_of(picture.path, core_.fetch());
      if (!hash) return {};
      add_to_signature(signature, *hash, crop_text(picture.crop));
    }
    return signature;
  }
  static std::string signature_of(const db::StoredItem& item) { return detail::signature_of(item); }

  void guard() const {
    const std::uint64_t going = plan_.removals.size() - plan_.renames.size();
    const double share =
        plan_.stored == 0 ? 0 : static_cast<double>(going) / static_cast<double>(plan_.stored);
    if (share <= options_.max_removed_share) return;
    throw Error(
        ErrorCode::kRefused,
        fmt::format("the source lacks {} of the {} items of the catalogue {}, more than the "
                    "share of {} that may be removed (max_removed_share); nothing was "
                    "changed. If they are really gone, allow more",
                    going, plan_.stored, core_.path().string(), options_.max_removed_share));
  }

  // New items that were found to be duplicates before, and are as they were, like what they are
  // duplicates of.
  void leave_out_skipped() {
    if (options_.duplicates != Duplicates::kSkip) return;
    const std::set<std::string> leaving(plan_.removals.begin(), plan_.removals.end());
    core_.in_store([&](db::Store& store) {
      std::erase_if(plan_.adds, [&](const SourceItem& item) {
        const std::optional<db::SkippedItem> skipped = store.skipped(item.key);
        if (!skipped || !is_as_it_was(item, *skipped) || leaving.contains(skipped->other) ||
            !store.item(skipped->other)) {
          return false;
        }
        ++plan_.unchanged;
        return true;
      });
      if (!may_remove()) return;
      plan_.forgotten = store.skipped_keys(options_.key_prefix);
      std::erase_if(plan_.forgotten, [&](const std::string& key) { return listed_.contains(key); });
    });
  }

  static bool is_as_it_was(const SourceItem& item, const db::SkippedItem& skipped) {
    db::SkippedItem now;
    for (const SourcePicture& picture : item.pictures) {
      const std::optional<db::FileStamp> stamp = stamp_of(picture.path);
      if (!stamp) return false;
      now.add_picture(picture.path, crop_text(picture.crop), *stamp);
    }
    return now.pictures == skipped.pictures && now.stamp == skipped.stamp;
  }

  // What could not be read may well be there.
  bool may_remove() const { return options_.remove_missing && plan_.problems.empty(); }

  const CatalogCore& core_;
  const SyncOptions& options_;
  const bool says_metadata_;  // else those that are there stay
  const std::function<void()>& go_on_;
  std::vector<SourceItem> items_;
  std::unordered_set<std::string> listed_;  // keys, where duplicates matter
  std::vector<db::StoredItem> leaving_;
  SyncPlan plan_;
};

}  // namespace

std::string linked_metadata(const std::string& metadata, const std::string& key) {
  MetadataValue linked = stored_metadata(metadata, key);
  return merge(linked, {key, fmt::format("{{{}:{}}}", to_text(kLinkField), to_text(key))});
}

std::vector<SyncChange> SyncPlan::changes() const {
  std::vector<SyncChange> changes;
  std::set<std::string> renamed;
  for (const SourceItem& item : adds) {
    const auto rename = renames.find(item.key);
    if (rename == renames.end()) {
      changes.push_back({SyncAction::kAdd, item.key, {}});
    } else {
      changes.push_back({SyncAction::kRename, item.key, rename->second});
      renamed.insert(rename->second);
    }
  }
  for (const SourceItem& item : replacements) {
    changes.push_back({SyncAction::kReplace, item.key, {}});
  }
  for (const SyncPatch& patch : patches) {
    if (patch.visible) changes.push_back({SyncAction::kPatch, patch.item.key, {}});
  }
  for (const std::string& key : removals) {
    if (!renamed.contains(key)) changes.push_back({SyncAction::kRemove, key, {}});
  }
  std::ranges::sort(changes, {}, &SyncChange::key);
  return changes;
}

SyncPlan plan_sync(const CatalogCore& core, const Source& source, const SyncOptions& options,
                   const std::function<void()>& go_on) {
  SourceListing listing = list_source(source, [&](std::uint64_t, std::uint64_t) {
    go_on();
    return true;
  });
  const auto* const files = std::get_if<FilesSource>(&source);
  const bool says_metadata = files == nullptr || !files->metadata.empty();
  if (!listing.unused_rows.empty()) {
    core.log(LogLevel::kWarning,
             fmt::format("{} rows of '{}' are about no picture of the source, as that of '{}'",
                         listing.unused_rows.size(), files->metadata.string(),
                         util::shorten(listing.unused_rows.front())));
  }
  return Planner(core, options, says_metadata, go_on).run(std::move(listing));
}

}  // namespace vsearch::detail
