#include "catalog/compact.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace vsearch::detail {
namespace {

constexpr double kMostRemoved = 0.2;  // of the slots of the index, before it is built anew
constexpr std::size_t kChunk = 1024;  // vectors in memory beside the index

class Compaction {
 public:
  Compaction(CatalogCore& core, const Progress& progress) : core_(core), progress_(progress) {}

  CompactReport run() {
    CompactReport report;
    report.bytes_before = core_.info().disk_bytes;
    const bool orphans = delete_orphans();
    go_on();
    {
      const auto file = core_.keep_file();
      core_.in_store([](db::Store& store) { store.vacuum(); });
    }
    go_on();
    const std::shared_ptr<LiveEdition> old = core_.serving();
    const IndexStats stats = old->with_index([&] { return old->index().stats(); });
    if (orphans || static_cast<double>(stats.removed) >
                       kMostRemoved * static_cast<double>(stats.size + stats.removed)) {
      rebuild_index(*old);
      report.index_rebuilt = true;
    }
    core_.save_snapshot();
    report.bytes_after = core_.info().disk_bytes;
    return report;
  }

 private:
  bool delete_orphans() {
    const auto writers = core_.keep_writers_out();
    if (core_.in_store([](db::Store& store) { return store.orphans().empty(); })) return false;
    core_.in_transaction([](db::Store& store) { store.delete_orphans(); });
    return true;
  }

  void rebuild_index(const LiveEdition& old) {
    const auto embedded = [&] {
      return core_.in_store([&](db::Store& store) { return store.embedded_ids(old.id()); });
    };
    Index index(old.index().options());
    std::vector<Id> wanted = embedded();
    total_ = wanted.size();
    // Most of it while writers go on; what they have changed meanwhile when they may not.
    add(index, old.header(), wanted, progress_);
    const auto adders = core_.hold_adders();
    const auto writers = core_.keep_writers_out();
    wanted = embedded();
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
