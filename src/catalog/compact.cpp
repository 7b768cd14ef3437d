#include "catalog/compact.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace vsearch::detail {
namespace {

constexpr double kMostHoles = 0.2;    // share of the index's memory, before it is built anew
constexpr std::size_t kChunk = 1024;  // vectors in memory beside the index

class Compaction {
 public:
  Compaction(CatalogCore& core, const Progress& progress) : core_(core), progress_(progress) {}

  CompactReport run() {
    CompactReport report;
    report.bytes_before = core_.info().disk_bytes;
    delete_orphans();
    go_on();
    {
      const auto file = core_.keep_file();
      core_.in_store([](db::Store& store) { store.vacuum(); });
    }
    go_on();
    const std::shared_ptr<LiveEdition> edition = core_.serving();
    if (has_holes(*edition) || !is_in_step(*edition)) {
      rebuild_index(*edition);
      report.index_rebuilt = true;
    }
    core_.save_snapshot();
    report.bytes_after = core_.info().disk_bytes;
    return report;
  }

 private:
  void delete_orphans() {
    const auto writers = core_.keep_writers_out();
    if (core_.in_store([](db::Store& store) { return store.orphans().empty(); })) return;
    core_.in_transaction([](db::Store& store) { store.delete_orphans(); });
  }

  static bool has_holes(const LiveEdition& edition) {
    const IndexStats stats = edition.with_index([&] { return edition.index().stats(); });
    return static_cast<double>(stats.free_bytes) >
           kMostHoles * static_cast<double>(stats.memory_bytes);
  }

  bool is_in_step(const LiveEdition& edition) {
    const auto writers = core_.keep_writers_out();
    return edition.with_index([&] { return edition.index().ids(); }) == embedded(edition);
  }

  std::vector<Id> embedded(const LiveEdition& edition) {
    return core_.in_store([&](db::Store& store) { return store.embedded_ids(edition.id()); });
  }

  void rebuild_index(const LiveEdition& old) {
    Index index(old.index().options());
    std::vector<Id> wanted = embedded(old);
    total_ = wanted.size();
    // Most of it while writers go on; what they have changed meanwhile when they may not.
    add(index, old.header(), wanted, progress_);
    const auto adders = core_.hold_adders();
    const auto writers = core_.keep_writers_out();
    wanted = embedded(old);
    const std::vector<Id> present = index.ids();
    std::vector<Id> missing;
    std::vector<Id> extra;
    std::ranges::set_difference(wanted, present, std::back_inserter(missing));
    std::ranges::set_difference(present, wanted, std::back_inserter(extra));
    index.remove(extra);
    add(index, old.header(), missing, {});
    core_.replace_serving(std::make_shared<LiveEdition>(old, std::move(index)));
  }

  void add(Index& index, const db::EditionHeader& edition, std::span<const Id> ids,
           const Progress& progress) {
    for (; !ids.empty(); ids = ids.subspan(std::min(kChunk, ids.size()))) {
      std::vector<Id> found;
      std::vector<float> values;
      core_.in_store([&](db::Store& store) {
        for (const Id id : ids.first(std::min(kChunk, ids.size()))) {
          const std::vector<float> row = store.find_embedding(edition, id);
          if (row.empty()) continue;  // removed meanwhile
          found.push_back(id);
          values.insert(values.end(), row.begin(), row.end());
        }
      });
      index.add({values.data(), found.size(), edition.dim}, found);
      if (!progress) continue;
      done_ += std::min(kChunk, ids.size());
      go_on();
    }
  }

  void go_on() const {
    if (!progress_ || progress_(done_, total_)) return;
    throw Error(ErrorCode::kCancelled,
                "compacting was cancelled; nothing is lost, compact again to go on");
  }

  CatalogCore& core_;
  const Progress& progress_;
  std::uint64_t done_ = 0;  // pictures in the new index
  std::uint64_t total_ = 0;
};

}  // namespace

CompactReport compact(CatalogCore& core, const Progress& progress) {
  const auto turn = core.take_turn();
  return Compaction(core, progress).run();
}

}  // namespace vsearch::detail
