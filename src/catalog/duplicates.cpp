#include "catalog/duplicates.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <utility>

namespace vsearch::detail {
namespace {

constexpr std::int64_t kItemsPerRead = 4096;
constexpr std::size_t kHashesPerRead = 256;
constexpr std::size_t kQueries = 1024;  // searched for at a time
constexpr std::uint32_t kMostNeighbours = 10'000;

// Items that are joined into groups (union-find, with the greatest distance of each group).
class Groups {
 public:
  void add() { parents_.push_back(static_cast<std::uint32_t>(parents_.size())); }

  std::uint32_t of(std::uint32_t item) {
    while (parents_[item] != item) item = parents_[item] = parents_[parents_[item]];
    return item;
  }
  void join(std::uint32_t a, std::uint32_t b, float distance) {
    a = of(a);
    b = of(b);
    if (distances_.empty()) {
      distances_.resize(parents_.size(), -std::numeric_limits<float>::infinity());
    }
    distances_[std::min(a, b)] = std::max({distances_[a], distances_[b], distance});
    parents_[std::max(a, b)] = std::min(a, b);
  }
  float distance(std::uint32_t root) const { return distances_[root]; }
  std::uint32_t size() const { return static_cast<std::uint32_t>(parents_.size()); }

 private:
  std::vector<std::uint32_t> parents_;
  std::vector<float> distances_;
};

class DuplicateSearch {
 public:
  DuplicateSearch(CatalogCore& core, const DuplicateOptions& options, const Progress& progress)
      : core_(core), options_(options), progress_(progress) {}

  std::vector<DuplicateGroup> run() {
    read_items();
    go_on(0);
    join_same_contents();
    join_neighbours();
    return groups();
  }

 private:
  struct Entry {
    Id picture;
    std::uint32_t item;  // its place in items_
  };

  // In the order in which items were added.
  void read_items() {
    const std::int64_t last = core_.in_store([](db::Store& store) { return store.last_item_id(); });
    for (std::int64_t first = 1; first <= last; first += kItemsPerRead) {
      const auto read = core_.in_store(
          [&](db::Store& store) { return store.item_pictures(first, first + kItemsPerRead - 1); });
      for (const auto& [item, picture] : read) {
        if (items_.empty() || items_.back() != item) {
          items_.push_back(item);
          joined_.add();
        }
        pictures_.push_back({picture, joined_.size() - 1});
      }
    }
    std::ranges::sort(pictures_, {}, &Entry::picture);
  }

  std::optional<std::uint32_t> item_of(Id picture) const {
    const auto found = std::ranges::lower_bound(pictures_, picture, {}, &Entry::picture);
    if (found == pictures_.end() || found->picture != picture) return std::nullopt;  // is new
    return found->item;
  }

  void join_same_contents() {
    std::string after;
    do {
      const auto pairs = core_.in_store(
          [&](db::Store& store) { return store.same_contents(after, kHashesPerRead); });
      for (const auto& [a, b] : pairs) {
        const auto item_a = item_of(a);
        const auto item_b = item_of(b);
        if (item_a && item_b && *item_a != *item_b) joined_.join(*item_a, *item_b, 0);
      }
    } while (!after.empty());
  }

  void join_neighbours() {
    const std::shared_ptr<LiveEdition> edition = core_.serving();
    SearchOptions search;
    search.k = options_.neighbours + 1;  // the nearest is the picture itself
    search.threads = 0;
    for (std::size_t first = 0; first < pictures_.size(); first += kQueries) {
      const std::size_t count = std::min(kQueries, pictures_.size() - first);
      std::vector<float> values;
      std::vector<std::uint32_t> items;
      edition->with_index([&] {
        for (const Entry& entry : std::span(pictures_).subspan(first, count)) {
          if (!append_vector(edition->index(), entry.picture, values)) continue;
          items.push_back(entry.item);
        }
        const MatrixView queries{values.data(), items.size(), edition->header().dim};
        const auto answers = edition->index().search_batch(queries, search);
        for (std::size_t i = 0; i < answers.size(); ++i) {
          for (const Neighbor& neighbour : answers[i]) {
            if (neighbour.distance > options_.max_distance) break;
            const auto item = item_of(neighbour.id);
            if (item && *item != items[i]) joined_.join(items[i], *item, neighbour.distance);
          }
        }
      });
      go_on(first + count);
    }
  }

  // False if it is not there: removed meanwhile, or without an embedding.
  static bool append_vector(const Index& index, Id id, std::vector<float>& values) {
    if (!index.contains(id)) return false;
    try {
      const std::vector<float> vector = index.vector(id);
      values.insert(values.end(), vector.begin(), vector.end());
      return true;
    } catch (const Error& e) {
      if (e.code() == ErrorCode::kKeyNotFound) return false;
      throw;
    }
  }

  std::vector<DuplicateGroup> groups() {
    std::vector<std::pair<std::uint32_t, std::uint32_t>> members;  // a root and an item
    for (std::uint32_t item = 0; item < joined_.size(); ++item) {
      const std::uint32_t root = joined_.of(item);
      if (root != item) members.emplace_back(root, item);
    }
    std::ranges::sort(members);
    std::vector<DuplicateGroup> result;
    for (auto member = members.begin(); member != members.end();) {
      const std::uint32_t root = member->first;
      std::vector<std::uint32_t> items{root};
      for (; member != members.end() && member->first == root; ++member) {
        items.push_back(member->second);
      }
      DuplicateGroup group = group_of(items);
      group.max_distance = joined_.distance(root);
      if (group.keys.size() > 1) result.push_back(std::move(group));
    }
    std::ranges::sort(result, [](const DuplicateGroup& a, const DuplicateGroup& b) {
      return a.keys.size() != b.keys.size() ? a.keys.size() > b.keys.size() : a.keys < b.keys;
    });
    return result;
  }

  // `items`: in the order in which they were added.
  DuplicateGroup group_of(std::span<const std::uint32_t> items) const {
    DuplicateGroup group;
    std::set<std::string> in_common;
    for (const std::uint32_t item : items) {
      std::set<std::string> contents;
      const bool there = core_.in_store([&](db::Store& store) {
        const auto key = store.key_of(items_[item]);
        const auto stored = key ? store.item(*key) : std::nullopt;
        if (!stored) return false;  // removed meanwhile
        for (const db::StoredPicture& picture : stored->pictures) {
          if (!picture.content_hash.empty()) contents.insert(picture.content_hash);
        }
        group.keys.push_back(*key);
        return true;
      });
      if (!there) continue;
      if (group.keys.size() == 1) {
        group.first = group.keys[0];
        in_common = std::move(contents);
      } else {
        std::erase_if(in_common, [&](const std::string& hash) { return !contents.contains(hash); });
      }
    }
    group.same_content = !in_common.empty();
    std::ranges::sort(group.keys);
    return group;
  }

  void go_on(std::uint64_t done) const {
    if (!progress_ || progress_(done, pictures_.size())) return;
    throw Error(ErrorCode::kCancelled, "the search for duplicates was cancelled");
  }

  CatalogCore& core_;
  const DuplicateOptions& options_;
  const Progress& progress_;
  std::vector<std::int64_t> items_;
  std::vector<Entry> pictures_;  // ascending
  Groups joined_;
};

}  // namespace

std::vector<DuplicateGroup> near_duplicates(CatalogCore& core, const DuplicateOptions& options,
                                            const Progress& progress) {
  if (std::isnan(options.max_distance) || options.neighbours == 0 ||
      options.neighbours > kMostNeighbours) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("near-duplicates need a max_distance and 1 to {} neighbours, not {} "
                            "and {}",
                            kMostNeighbours, options.max_distance, options.neighbours));
  }
  return DuplicateSearch(core, options, progress).run();
}

}  // namespace vsearch::detail
