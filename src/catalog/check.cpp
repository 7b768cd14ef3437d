#include "catalog/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <numeric>
#include <random>

#include "util/utf8.h"

namespace vsearch::detail {
namespace {

// What the index keeps of a vector is as near to it as this, in shares of its squared length: for
// vectors of one length a cosine of 0.999. Far from what rounding does, and from another vector.
constexpr double kMostDifference = 0.002;
constexpr const char* kRebuild =
    "close the catalogue, delete index.snapshot in it and open it again, which builds the index "
    "anew";
constexpr const char* kCompact = "compacting the catalogue builds the index anew";

double dot(std::span<const float> a, std::span<const float> b) {
  return std::transform_reduce(a.begin(), a.end(), b.begin(), 0.0, std::plus<>(),
                               [](double x, double y) { return x * y; });
}

bool same_vector(std::vector<float> stored, std::span<const float> indexed, Metric metric) {
  if (metric == Metric::kCosine) {
    const double length = std::sqrt(dot(stored, stored));
    for (float& value : stored) value = static_cast<float>(value / length);
  }
  const double difference = dot(stored, stored) - 2 * dot(stored, indexed) + dot(indexed, indexed);
  return difference <= kMostDifference * dot(stored, stored);
}

class Checking {
 public:
  Checking(CatalogCore& core, const CheckOptions& options, const Progress& progress)
      : core_(core), options_(options), progress_(progress) {}

  CheckReport run() {
    go_on();
    core_.in_store([&](db::Store& store) {
      look([&] { look_at_file(store); });
      look([&] { look_at_rows(store); });
      look([&] { look_at_items(store); });
    });
    go_on();
    look([&] { look_at_index(); });
    return std::move(report_);
  }

 private:
  // What finds something damaged ends there; the other looks go on.
  template <typename Look>
  void look(Look look) {
    try {
      look();
    } catch (const Error& e) {
      if (e.code() != ErrorCode::kCorrupt) throw;
      report_.faults.emplace_back(e.what());
    }
  }

  void fault(std::string text) { report_.faults.push_back(std::move(text)); }

  void look_at_file(db::Store& store) {
    const std::vector<std::string> problems = store.integrity_problems();
    if (problems.empty()) return;
    fault(
        fmt::format("catalog.db is damaged: {}; restore the catalogue from a backup, or export it "
                    "and import what is left into a new one",
                    fmt::join(problems, "; ")));
  }

  void look_at_rows(db::Store& store) {
    report_.items = store.item_count();
    report_.pictures = store.picture_count();
    for (const auto& [name, rows] : store.orphans()) {
      report_.orphans += rows;
      fault(fmt::format("{} rows belong to nothing ({}); compacting the catalogue deletes them",
                        rows, name));
    }
  }

  void look_at_items(db::Store& store) {
    const auto note = [&](const db::Finding& found, std::string_view what,
                          std::string_view remedy) {
      if (found.count == 0) return;
      fault(fmt::format("{} {}, as of item {}; {}", found.count, what, util::shorten(found.key),
                        remedy));
    };
    constexpr std::string_view kAddAnew = "remove these items and add them again";
    note(store.items_without_pictures(), "items have no picture", kAddAnew);
    note(store.items_with_bad_positions(), "items have pictures that are not numbered 0, 1, ...",
         kAddAnew);
    note(store.items_with_bad_metadata(), "items have metadata that are no JSON object",
         "add these items again");
    note(store.items_with_bad_crops(), "pictures have a crop that is none", kAddAnew);
    const db::Finding bare = store.items_without_embedding(store.serving().id);
    report_.without_embedding = bare.count;
    note(bare, "pictures have no embedding and are not found", "add these items again");
  }

  void look_at_index() {
    std::shared_ptr<LiveEdition> edition = core_.serving();
    std::vector<Id> both = compare_ids(*edition);
    // Another edition or another index may have taken its place meanwhile.
    while (edition != core_.serving()) {
      edition = core_.serving();
      both = compare_ids(*edition);
    }
    if (report_.index_missing > 0) {
      fault(fmt::format("the index lacks {} pictures that the catalogue has; {}",
                        report_.index_missing, kCompact));
    }
    if (report_.index_extra > 0) {
      fault(fmt::format("the index has {} pictures that the catalogue lacks; {}",
                        report_.index_extra, kCompact));
    }
    compare_vectors(*edition, std::move(both));
    if (report_.index_differs > 0) {
      fault(
          fmt::format("the index has other vectors than the catalogue for {} of {} pictures "
                      "that were compared; {}",
                      report_.index_differs, compared_, kRebuild));
    }
    report_.health = edition->with_index(
        [&] { return edition->index().check_health(options_.health, progress_); });
    if (report_.health.self_recall < options_.min_self_recall) {
      fault(
          fmt::format("searches find {:.1f} % of the nearest pictures, and are to find {:.1f} %; "
                      "{}",
                      100 * report_.health.self_recall, 100 * options_.min_self_recall, kRebuild));
    }
  }

  // Empty if there is none, or no longer such an edition.
  static std::vector<float> embedding_in(db::Store& store, const LiveEdition& edition, Id id) {
    if (!store.has_edition(edition.id())) return {};
    return store.find_embedding(edition.header(), id);
  }

  // Counts the pictures that only one has; returns those that both have.
  std::vector<Id> compare_ids(const LiveEdition& edition) {
    const std::vector<Id> wanted = core_.in_store([&](db::Store& store) {
      return store.has_edition(edition.id()) ? store.embedded_ids(edition.id()) : std::vector<Id>();
    });
    const std::vector<Id> present = edition.with_index([&] { return edition.index().ids(); });
    std::vector<Id> missing;
    std::vector<Id> extra;
    std::vector<Id> both;
    std::ranges::set_difference(wanted, present, std::back_inserter(missing));
    std::ranges::set_difference(present, wanted, std::back_inserter(extra));
    std::ranges::set_intersection(wanted, present, std::back_inserter(both));
    // Of what changes meanwhile the index knows first, or last.
    const auto writers = core_.keep_writers_out();
    const auto in_index = [&](Id id) {
      return edition.with_index([&] { return edition.index().contains(id); });
    };
    core_.in_store([&](db::Store& store) {
      const auto in_store = [&](Id id) { return !embedding_in(store, edition, id).empty(); };
      std::erase_if(missing, [&](Id id) { return in_index(id) || !in_store(id); });
      std::erase_if(
          extra, [&](Id id) { return !in_index(id) || in_store(id) || edition.is_leftover(id); });
    });
    report_.index_missing = missing.size();
    report_.index_extra = extra.size();
    return both;
  }

  void compare_vectors(const LiveEdition& edition, std::vector<Id> ids) {
    std::vector<Id> sample;
    std::mt19937_64 random(options_.health.seed);
    std::ranges::sample(ids, std::back_inserter(sample), options_.health.sample, random);
    for (const Id id : sample) {
      const std::vector<float> stored =
          core_.in_store([&](db::Store& store) { return embedding_in(store, edition, id); });
      if (stored.empty()) continue;  // removed meanwhile
      std::vector<float> indexed;
      try {
        indexed = edition.with_index([&] { return edition.index().vector(id); });
      } catch (const Error& e) {
        if (e.code() == ErrorCode::kKeyNotFound) continue;  // likewise
        throw;
      }
      ++compared_;
      if (!same_vector(stored, indexed, edition.header().metric)) ++report_.index_differs;
    }
  }

  void go_on() const {
    if (progress_ && !progress_(0, 0)) {
      throw Error(ErrorCode::kCancelled, "checking was cancelled; nothing was changed");
    }
  }

  CatalogCore& core_;
  const CheckOptions& options_;
  const Progress& progress_;
  CheckReport report_;
  std::uint64_t compared_ = 0;
};

}  // namespace

CheckReport check(CatalogCore& core, const CheckOptions& options, const Progress& progress) {
  return Checking(core, options, progress).run();
}

}  // namespace vsearch::detail
