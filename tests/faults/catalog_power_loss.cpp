// Simulated power loss. A catalogue lives a deterministic life while every write, sync and rename
// of its files is recorded. Then the power fails after each of them: the disk keeps what was
// synced, and of the rest this or that, torn at 512 bytes or 4 KiB. Every such disk must open, with
// every write that was acknowledged and none that was not begun.
//
//   catalog_power_loss [STATES [STEPS]]   about so many states, 6,000 unless given, of a life of so
//                                         many steps, 200 unless given
//
// Two disks that forget to sync come first: they must be found out, or the test tests nothing.
// Ends with its figures, and with status 1 if anything was wrong.
#include <sqlite3.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#include "faults/catalog_workload.h"
#include "faults/disk_log.h"
#include "faults/scratch_dir.h"
#include "vsearch/error.h"

namespace {

using vsearch_test::Difference;
using vsearch_test::Disk;
using vsearch_test::DiskEvent;
using vsearch_test::DiskImage;
using vsearch_test::DiskLog;
using vsearch_test::Expectation;
using vsearch_test::Random;
using vsearch_test::ScratchDir;
using vsearch_test::Shop;
using vsearch_test::Survivors;
using vsearch_test::Workload;
using vsearch_test::WorkloadStep;

constexpr std::size_t kSearches = 4;          // of each state
constexpr std::size_t kSnapshotChanges = 20;  // now and then one is saved in the background

// A life and what the disk was told meanwhile: step i is what events [begin[i], begin[i + 1]) do.
struct Life {
  std::vector<WorkloadStep> steps;
  std::vector<std::size_t> begin;
};

struct Figures {
  std::size_t states = 0;
  std::size_t most_acknowledged = 0;  // changes of items, by one state
  std::size_t lost = 0;               // states with items that are not there, or not as they were
  std::size_t back = 0;               // states with items that were removed
  std::size_t other = 0;              // states that contradict themselves
  std::size_t failed_opens = 0;
  std::size_t integrity_errors = 0;
  std::string first;  // what was wrong first

  std::size_t wrong() const { return lost + back + other + failed_opens + integrity_errors; }
};

Life live(std::size_t steps, DiskLog& log, const ScratchDir& folder) {
  Workload workload(1);
  while (workload.steps().size() < steps) {
    // The rare ones for sure, and late: then there is much in the catalogue.
    const bool late = workload.steps().size() == steps * 3 / 4;
    if (late) {
      for (const char* kind : {"reencode", "reopen", "compact"}) workload.add(kind);
    }
    workload.add_random();
  }
  Life life{workload.steps(), {}};
  const vsearch_test::FileCallWatch watch(folder.path(), log);
  Shop shop(folder / "shop", kSnapshotChanges);
  for (const WorkloadStep& step : life.steps) {
    life.begin.push_back(log.count());
    step.run(shop);
  }
  life.begin.push_back(log.count());
  return life;
}

// Whether what was recorded is what has happened: every file that is there now is as the log says.
bool is_complete(const DiskLog& log, const ScratchDir& folder) {
  Disk disk;
  for (const DiskEvent& event : log.events()) disk.apply(event);
  return disk.now() == DiskImage::read_from(folder.path());
}

class Simulation {
 public:
  Simulation(const Life& life, const std::vector<DiskEvent>& events)
      : life_(life), events_(events) {}

  // About as many states, spread over all moments. Stops at the first fault if asked to.
  Figures run(std::size_t states, bool until_wrong) {
    // Some come out the same and count once: there is nothing that was not synced.
    attempts_ = states + states / 20;
    until_wrong_ = until_wrong;
    std::vector<std::jthread> threads;
    const std::size_t count = std::max(1U, std::thread::hardware_concurrency());
    for (std::size_t t = 0; t < count; ++t) {
      threads.emplace_back([&, t] { work(t, count); });
    }
    threads.clear();
    return figures_;
  }

 private:
  // The moments first, first + every, ... on a disk of its own.
  void work(std::size_t first, std::size_t every) {
    const ScratchDir scratch;
    const std::size_t moments = events_.size() + 1;
    Disk disk;
    std::unordered_set<std::size_t> seen;  // at this moment
    for (std::size_t moment = 0; moment < moments && !stop_; ++moment) {
      if (moment > 0) disk.apply(events_[moment - 1]);
      if (moment % every != first) continue;
      seen.clear();
      const std::size_t end = (moment + 1) * attempts_ / moments;
      for (std::size_t i = moment * attempts_ / moments; i < end && !stop_; ++i) {
        Random random(i);
        const Survivors survivors = Survivors::any(i, random);
        const DiskImage image = disk.after_power_loss(survivors, random);
        if (!seen.insert(image.hash()).second) continue;
        check(image, moment, scratch);
        if (disk.all_synced()) break;
      }
    }
  }

  void check(const DiskImage& image, std::size_t moment, const ScratchDir& scratch) {
    const std::filesystem::path folder = scratch / "disk";
    std::filesystem::remove_all(folder);
    std::filesystem::create_directory(folder);
    image.write_to(folder);

    // Step `done` is under way or has not begun; those before it have returned.
    const auto next = std::upper_bound(life_.begin.begin(), life_.begin.end(), moment) - 1;
    const auto done = static_cast<std::size_t>(next - life_.begin.begin());
    const bool under_way = done < life_.steps.size() && *next < moment;
    static const Expectation kNothing;
    const Expectation& before = done == 0 ? kNothing : life_.steps[done - 1].after;
    const Expectation& after = under_way ? life_.steps[done].after : before;

    Difference wrong;
    std::string failed_open;
    std::string sanity = "ok";
    Shop shop(folder / "shop");
    try {
      // Until the first step has returned there may be no catalogue; then it can be made.
      done == 0 ? shop.create() : shop.open();
      wrong = compare(shop, before, after);
      shop.close();
      sanity = vsearch_test::integrity(shop.path());
      // And some once more as the database alone has it.
      if (moment % 3 == 0) {
        std::filesystem::remove(shop.path() / "index.snapshot");
        shop.open();
        if (wrong.none()) wrong = compare(shop, before, after);
      }
    } catch (const std::exception& error) {
      failed_open = error.what();
    }
    const std::lock_guard lock(mutex_);
    ++figures_.states;
    figures_.most_acknowledged = std::max(figures_.most_acknowledged, done);
    figures_.lost += wrong.lost > 0 ? 1 : 0;
    figures_.back += wrong.back > 0 ? 1 : 0;
    figures_.other += wrong.other > 0 ? 1 : 0;
    figures_.failed_opens += failed_open.empty() ? 0 : 1;
    figures_.integrity_errors += sanity == "ok" ? 0 : 1;
    if (figures_.wrong() > 0 && figures_.first.empty()) {
      figures_.first = "after call " + std::to_string(moment) + ", in step " +
                       std::to_string(done) + ": " + wrong.first + failed_open +
                       (sanity == "ok" ? "" : sanity);
    }
    if (figures_.wrong() > 0 && until_wrong_) stop_ = true;
  }

  // The step under way has happened as a whole or not at all.
  static Difference compare(Shop& shop, const Expectation& before, const Expectation& after) {
    const Difference result = difference(shop.catalog(), before, kSearches);
    if (result.none() || before == after) return result;
    const Difference other = difference(shop.catalog(), after, kSearches);
    return other.none() ? other : result;
  }

  const Life& life_;
  const std::vector<DiskEvent>& events_;
  bool until_wrong_ = false;
  std::size_t attempts_ = 0;
  std::atomic<bool> stop_ = false;
  std::mutex mutex_;
  Figures figures_;
};

}  // namespace

int main(int argc, char** argv) {
  const long states = argc > 1 ? std::atol(argv[1]) : 6000;
  const long steps = argc > 2 ? std::atol(argv[2]) : 200;
  if (argc > 3 || states < 1 || steps < 1) {
    std::fprintf(stderr, "usage: catalog_power_loss [STATES [STEPS]]\n");
    return 2;
  }
  sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);  // its mutex is all that threads would wait for
  bool failed = false;
  const ScratchDir folder;
  DiskLog log;
  const Life life = live(static_cast<std::size_t>(steps), log, folder);
  if (!is_complete(log, folder)) {
    std::printf("FAILED: what was recorded is not what is on the disk\n");
    return 1;
  }
  std::printf("%zu steps, %zu calls\n", life.steps.size(), log.events().size());

  // Power loss on disks that do not do what they say must be noticed.
  for (const char* forgotten : {"catalog.db-wal", "catalog.db", ""}) {
    const std::vector<DiskEvent> events = log.events_without_syncs(forgotten);
    const Figures figures = Simulation(life, events).run(log.events().size(), true);
    std::printf("a disk that forgets to sync %s: %s\n", *forgotten == 0 ? "folders" : forgotten,
                figures.wrong() > 0 ? ("found out, " + figures.first).c_str() : "NOT FOUND OUT");
    failed |= figures.wrong() == 0;
  }

  const Figures figures =
      Simulation(life, log.events()).run(static_cast<std::size_t>(states), false);
  std::printf(
      "power loss: %zu states, up to %zu acknowledged calls each: %zu lost, %zu back, %zu that "
      "contradict themselves, %zu failed opens, %zu integrity errors\n",
      figures.states, figures.most_acknowledged, figures.lost, figures.back, figures.other,
      figures.failed_opens, figures.integrity_errors);
  if (figures.wrong() > 0) std::printf("  first: %s\n", figures.first.c_str());
  if (figures.states < static_cast<std::size_t>(states) * 5 / 6) {
    std::printf("  too few states\n");
    failed = true;
  }
  failed |= figures.wrong() > 0;
  std::printf("%s\n", failed ? "FAILED" : "nothing was wrong");
  return failed ? 1 : 0;
}
