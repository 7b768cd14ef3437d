// Changes of items: of the store, of the index, and in which order (core.h).
#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "catalog/core.h"
#include "catalog/item_check.h"
#include "catalog/metadata_value.h"
#include "util/utf8.h"

namespace vsearch::detail {
namespace {

// Whether the pictures of `item` are those of `old`, known by content and crop.
bool same_pictures(const ReadyItem& item, const db::StoredItem& old) {
  return std::ranges::equal(item.pictures, old.pictures, [](const auto& ready, const auto& b) {
    const db::StoredPicture& a = ready.picture;
    return !a.content_hash.empty() && a.content_hash == b.content_hash && a.crop == b.crop;
  });
}

// Whether what may change of pictures that are the same has changed.
bool same_but_for_content(const ReadyItem& item, const db::StoredItem& old) {
  return std::ranges::equal(item.pictures, old.pictures, [](const auto& ready, const auto& b) {
    const db::StoredPicture& a = ready.picture;
    return a.path == b.path && a.role == b.role && a.stamp == b.stamp;
  });
}

std::vector<Id> ids_of(const db::StoredItem& item) {
  std::vector<Id> ids;
  for (const db::StoredPicture& picture : item.pictures) ids.push_back(picture.id);
  return ids;
}

const std::vector<float>* embedding_of(const ReadyPicture& picture, std::int64_t edition) {
  const auto found = std::ranges::find(picture.embeddings, edition, &EditionVector::edition);
  return found == picture.embeddings.end() ? nullptr : &found->values;
}
}  // namespace

void CatalogCore::note_changes(std::uint64_t changes) {
  unsaved_ += changes;
  try {
    saver_.note(unsaved_, serving()->index().size());
  } catch (const Error&) {
    // The index says that it is damaged. What was committed is committed: the next call will say
    // so.
  }
}

void CatalogCore::drop_from_index(const LiveEditions& live, std::span<const Id> ids) {
  for (const auto& edition : {live.serving, live.building}) {
    if (!edition) continue;
    const std::string problem = edition->drop(ids);
    if (problem.empty()) continue;
    log(LogLevel::kWarning, fmt::format("{} removed pictures stay in the index for now, unseen: {}",
                                        edition->leftovers(), problem));
  }
}

// What a commit is going to do with an item.
struct CatalogCore::Plan {
  const ReadyItem* item;
  std::optional<db::StoredItem> old;
  bool new_pictures = true;
  std::vector<Id> ids;  // of the new pictures
  std::string metadata{};
};

CatalogCore::Plan CatalogCore::plan_of(db::Store& store, const ReadyItem& item) {
  Plan plan{&item, store.item(item.key), true, {}, item.metadata};
  const std::string& from = item.keeps_metadata_of;
  if (from == item.key && plan.old) {
    plan.metadata = plan.old->metadata;
  } else if (!from.empty()) {
    if (auto stored = store.metadata_of(from)) plan.metadata = std::move(stored->metadata);
  }
  return plan;
}

CommitCounts CatalogCore::commit(std::span<const ReadyItem> items, const LiveEditions& live) {
  const std::lock_guard writer(writer_mutex_);
  CommitCounts counts;
  std::vector<Plan> plans;
  std::vector<Id> old_ids;
  std::size_t new_pictures = 0;
  in_store([&](db::Store& store) {
    for (const ReadyItem& item : items) {
      Plan plan = plan_of(store, item);
      ++(plan.old ? counts.replaced : counts.added);
      if (plan.old && same_pictures(item, *plan.old) &&
          has_as_much(store, live.serving->header(), item, *plan.old)) {
        plan.new_pictures = false;
        if (plan.old->metadata == plan.metadata && same_but_for_content(item, *plan.old)) continue;
      }
      if (plan.new_pictures) {
        new_pictures += item.pictures.size();
        if (plan.old) {
          for (const db::StoredPicture& picture : plan.old->pictures) old_ids.push_back(picture.id);
        }
      }
      plans.push_back(std::move(plan));
    }
  });
  if (plans.empty()) return counts;

  std::vector<Id> ids;
  for (Plan& plan : plans) {
    if (!plan.new_pictures) continue;
    for (std::size_t i = 0; i < plan.item->pictures.size(); ++i) {
      ids.push_back(++last_picture_id_);
      plan.ids.push_back(last_picture_id_);
    }
  }
  for (const auto& edition : {live.serving, live.building}) {
    // So that drop_from_index() cannot fail where nothing may fail any more.
    if (edition) edition->reserve_leftovers(ids.size() + old_ids.size());
  }
  try {
    for (const auto& edition : {live.serving, live.building}) {
      if (edition) add_to_index(*edition, plans);
    }
    std::unique_lock replacing(replacing_, std::defer_lock);
    if (!old_ids.empty()) replacing.lock();
    in_transaction([&](db::Store& store) { write_items(store, plans, live); });
  } catch (...) {
    drop_from_index(live, ids);
    throw;
  }
  drop_from_index(live, old_ids);
  note_changes(ids.size() + old_ids.size());
  return counts;
}

// Whether the pictures that are there have embeddings, and the files that are to be kept.
bool CatalogCore::has_as_much(db::Store& store, const db::EditionHeader& serving,
                              const ReadyItem& item, const db::StoredItem& old) {
  for (std::size_t i = 0; i < old.pictures.size(); ++i) {
    const Id id = old.pictures[i].id;
    if (store.find_embedding(serving, id).empty()) return false;
    if (!item.pictures[i].kept_bytes.empty() && store.kept_length(id) == 0) return false;
  }
  return true;
}

void CatalogCore::add_to_index(LiveEdition& edition, std::span<const Plan> plans) {
  std::vector<const std::vector<float>*> rows;
  std::vector<Id> ids;
  for (const Plan& plan : plans) {
    for (std::size_t i = 0; i < plan.ids.size(); ++i) {
      const std::vector<float>* row = embedding_of(plan.item->pictures[i], edition.id());
      if (row == nullptr) continue;
      rows.push_back(row);
      ids.push_back(plan.ids[i]);
    }
  }
  if (ids.empty()) return;
  Matrix matrix(ids.size(), edition.header().dim);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::ranges::copy(*rows[i], matrix.row(i).begin());
  }
  edition.with_index([&] { edition.writable().add(matrix.view(), ids); });
}

void CatalogCore::write_items(db::Store& store, std::span<const Plan> plans,
                              const LiveEditions& live) {
  for (const Plan& plan : plans) {
    std::int64_t item = 0;
    if (!plan.old) {
      item = store.insert_item(plan.item->key, plan.metadata);
    } else {
      item = plan.old->id;
      const bool same = plan.old->metadata == plan.metadata;
      if (!same) store.set_metadata(item, plan.metadata);
      if (plan.new_pictures) {
        store.fields().erase(ids_of(*plan.old), plan.old->metadata);
        store.delete_pictures(item);
      } else if (!same) {
        store.fields().update(ids_of(*plan.old), plan.old->metadata, plan.metadata);
      }
    }
    if (plan.new_pictures) store.fields().insert(plan.ids, plan.metadata);
    for (std::size_t i = 0; i < plan.item->pictures.size(); ++i) {
      const ReadyPicture& ready = plan.item->pictures[i];
      if (!plan.new_pictures) {
        store.update_picture(plan.old->pictures[i].id, ready.picture.path, ready.picture.role,
                             ready.picture.stamp);
        continue;
      }
      db::NewPicture picture{ready.picture, ready.kept_bytes};
      picture.picture.id = plan.ids[i];
      store.insert_picture(item, i, picture);
      for (const auto& edition : {live.serving, live.building}) {
        if (!edition) continue;
        const std::vector<float>* row = embedding_of(ready, edition->id());
        if (row != nullptr) store.insert_embedding(edition->id(), plan.ids[i], *row);
      }
    }
  }
  store.next_generation();
}

void CatalogCore::update(std::span<const ReadyItem> items) {
  const std::lock_guard writer(writer_mutex_);
  std::vector<Plan> plans;
  in_store([&](db::Store& store) {
    for (const ReadyItem& item : items) {
      Plan plan = plan_of(store, item);
      plan.new_pictures = false;
      if (plan.old && same_pictures(item, *plan.old)) plans.push_back(std::move(plan));
    }
  });
  if (plans.empty()) return;
  in_transaction([&](db::Store& store) { write_items(store, plans, live()); });
}

std::vector<std::string> CatalogCore::remove(std::span<const std::string> keys) {
  const std::lock_guard writer(writer_mutex_);
  std::vector<std::string> absent;
  std::vector<db::StoredItem> items;
  std::vector<Id> ids;
  in_store([&](db::Store& store) {
    std::unordered_set<std::string_view> seen;
    for (const std::string& key : keys) {
      if (!seen.insert(key).second) continue;
      std::optional<db::StoredItem> item = store.item(key);
      if (!item) {
        absent.push_back(key);
        continue;
      }
      for (const db::StoredPicture& picture : item->pictures) ids.push_back(picture.id);
      items.push_back(*std::move(item));
    }
  });
  if (items.empty()) return absent;
  const LiveEditions editions = live();
  for (const auto& edition : {editions.serving, editions.building}) {
    if (edition) edition->reserve_leftovers(ids.size());
  }
  in_transaction([&](db::Store& store) {
    for (const db::StoredItem& item : items) {
      store.fields().erase(ids_of(item), item.metadata);
      store.delete_item(item.id);
    }
    store.next_generation();
  });
  drop_from_index(editions, ids);
  note_changes(ids.size());
  return absent;
}

std::vector<std::string> CatalogCore::patch(std::span<const MetadataPatch> patches) {
  const std::lock_guard writer(writer_mutex_);
  struct Change {
    db::StoredMetadata item;
    MetadataValue before;
    MetadataValue after;
    std::string text;  // of `after`
  };
  std::unordered_map<std::string_view, std::optional<Change>> changes;  // none: no such item
  std::vector<std::string> absent;
  in_store([&](db::Store& store) {
    for (const MetadataPatch& patch : patches) {
      const auto [change, is_new] = changes.try_emplace(patch.key);
      if (!is_new) continue;
      std::optional<db::StoredMetadata> item = store.metadata_of(patch.key);
      if (item) {
        change->second.emplace().item = *std::move(item);
      } else {
        absent.push_back(patch.key);
      }
    }
  });
  for (const MetadataPatch& patch : patches) {
    std::optional<Change>& change = changes[patch.key];
    if (!change) continue;
    if (change->text.empty()) {
      change->before = stored_metadata(change->item.metadata, patch.key);
      change->after = change->before;
    }
    change->text = merge(change->after, patch);
  }
  // In the order in which they lie in the file.
  std::vector<const Change*> in_order;
  for (const auto& [key, change] : changes) {
    if (!change || change->text == change->item.metadata) continue;
    try {
      check_fields(change->after);
    } catch (const Error& e) {
      throw Error(e.code(), fmt::format("item {}: {}", util::shorten(key), e.what()));
    }
    in_order.push_back(&*change);
  }
  if (in_order.empty()) return absent;
  std::ranges::sort(in_order, {}, [](const Change* change) { return change->item.id; });
  in_transaction([&](db::Store& store) {
    for (const Change* const change : in_order) {
      store.set_metadata(change->item.id, change->text);
      store.fields().update(change->item.pictures, change->before, change->after);
    }
    store.next_generation();
  });
  return absent;
}

}  // namespace vsearch::detail
