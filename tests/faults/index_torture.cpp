// Sixteen threads on one index: searches of every kind beside adding, replacing, removing and
// saving, from empty to full to nearly empty and back, while the data drifts. Everything that the
// index says is checked against what it must hold (torture_truth.h).
//
//   index_torture [SECONDS]   60 unless given; seeds are fixed, the order of threads is not
//
// Ends with a table, and with status 1 if anything was wrong.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <limits>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "faults/complaints.h"
#include "faults/torture_truth.h"
#include "faults/watchdog.h"
#include "support/temp_dir.h"
#include "vsearch/error.h"

namespace {

using vsearch::Id;
using vsearch::IdFilter;
using vsearch::Index;
using vsearch::IndexOptions;
using vsearch::Matrix;
using vsearch::Metric;
using vsearch::Neighbor;
using vsearch::SearchOptions;
using vsearch::Storage;
using vsearch_test::Complaints;
using vsearch_test::Random;
using vsearch_test::Truth;
using vsearch_test::Watchdog;
using Clock = std::chrono::steady_clock;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr std::size_t kIdsPerThread = 60;
#else
constexpr std::size_t kIdsPerThread = 400;
#endif
constexpr std::size_t kWorkers = 15;
constexpr std::size_t kInspector = kWorkers;  // the sixteenth
constexpr std::size_t kThreads = kWorkers + 1;

// One call may take so long before the run is given up: a deadlock takes for ever.
constexpr std::chrono::seconds kLimit{120};
// With sixteen threads on a few processors a searcher waits for the one who holds the lock, and
// that one for a processor, several times over. Beyond this it is not the scheduler that is to
// blame: what searchers wait for the index itself is microseconds, and measured by one of them
// alone.
constexpr double kMostWait_ms = 5000;

struct Figures {
  std::atomic<std::uint64_t> searches{0};
  std::atomic<std::uint64_t> hits{0};
  std::atomic<std::uint64_t> added{0};
  std::atomic<std::uint64_t> removed{0};
  std::atomic<std::uint64_t> snapshots{0};
  std::vector<double> waits_ms;  // of the inspector, for a look at one id
};

// One index, tortured for some time.
class Torture {
 public:
  Torture(std::uint64_t seed, const IndexOptions& options, Complaints& complaints)
      : seed_(seed),
        options_(options),
        truth_(seed, options, kWorkers * kIdsPerThread),
        index_(options),
        complaints_(complaints) {
    IdFilter odd;
    IdFilter few;
    IdFilter most;
    IdFilter absent;
    for (std::size_t i = 0; i < truth_.size(); ++i) {
      if (i % 2 == 1) odd.insert(truth_.id(i));
      if (i % 100 == 7) few.insert(truth_.id(i));
      if (i % 10 != 0) most.insert(truth_.id(i));
      absent.insert((Id{1} << 40) + i);
    }
    filters_ = {odd, few, most, absent, IdFilter()};
  }

  void run(std::chrono::duration<double> duration) {
    begin_ = Clock::now();
    duration_ = duration;
    {
      Watchdog watchdog(kThreads, kLimit);
      std::vector<std::jthread> threads;
      for (std::size_t t = 0; t < kThreads; ++t) {
        threads.emplace_back([&, t] {
          try {
            t == kInspector ? inspect(watchdog) : work(t, watchdog);
          } catch (const std::exception& error) {
            complaints_.note(std::string("an exception: ") + error.what());
          }
        });
      }
    }
    finish();
  }

  void print(const char* name) {
    std::sort(figures_.waits_ms.begin(), figures_.waits_ms.end());
    const std::size_t count = figures_.waits_ms.size();
    const double late = count == 0 ? 0 : figures_.waits_ms[count * 999 / 1000];
    const double last = count == 0 ? 0 : figures_.waits_ms.back();
    if (last > kMostWait_ms) complaints_.note("somebody waited longer than 5 s to look at one id");
    const auto number = [](const std::atomic<std::uint64_t>& value) {
      return static_cast<unsigned long long>(value.load());
    };
    std::printf("%-18s %9llu %8llu %8llu %9llu %8.1f %8.1f %8.3f %8.2f\n", name,
                number(figures_.searches), number(figures_.added), number(figures_.removed),
                number(figures_.snapshots), late, last, recall_, memory_);
    std::fflush(stdout);
  }

 private:
  double elapsed() const { return (Clock::now() - begin_) / duration_; }  // of 1
  // Twice nearly everything goes.
  bool purging() const {
    const double at = elapsed();
    return (at > 0.40 && at < 0.45) || (at > 0.75 && at < 0.80);
  }

  void work(std::size_t thread, Watchdog& watchdog) {
    Random random(seed_ * 1000 + thread);
    while (elapsed() < 1) {
      const std::size_t what = random.below(100);
      if (what < (purging() ? 40 : 70)) {
        watchdog.begin(thread, "searching");
        search(random);
      } else if (what < 90 && !purging()) {
        watchdog.begin(thread, "adding");
        add(thread, random);
      } else {
        watchdog.begin(thread, "removing");
        remove(thread, random);
      }
    }
    watchdog.begin(thread, "nothing more");
  }

  // ---- searches

  std::vector<float> query(Random& random) const {
    const std::size_t i = random.below(truth_.size());
    return truth_.vector(i,
                         truth_.begun(i).change + 1 + static_cast<std::uint32_t>(random.below(3)));
  }

  void search(Random& random) {
    SearchOptions options;
    options.k = 1 + static_cast<std::uint32_t>(random.below(20));
    if (random.below(50) == 0) options.k = std::numeric_limits<std::uint32_t>::max();
    options.breadth = 1 + static_cast<std::uint32_t>(random.below(100));
    options.exact = random.below(8) == 0;
    const std::size_t filter = random.below(2 * filters_.size() + 1);
    if (filter < filters_.size()) options.filter = &filters_[filter];  // others use it as well
    IdFilter own;
    if (filter == filters_.size()) {
      for (std::size_t i = random.below(7); i < truth_.size(); i += 7) own.insert(truth_.id(i));
      options.filter = &own;
    }
    const std::size_t count = random.below(4) == 0 ? 1 + random.below(8) : 1;
    Matrix queries(count, options_.dim);
    for (std::size_t row = 0; row < count; ++row) {
      const std::vector<float> one = query(random);
      std::copy(one.begin(), one.end(), queries.row(row).begin());
    }
    const std::vector<Truth::State> before = truth_.all_finished();
    std::vector<std::vector<Neighbor>> found;
    if (count == 1) {
      found.push_back(index_.search(queries.row(0), options));
    } else {
      found = index_.search_batch(queries.view(), options);
    }
    figures_.searches += count;
    for (std::size_t row = 0; row < count; ++row) {
      check(found[row], queries.row(row), options, before);
    }
  }

  // `before`: what was finished when the search began.
  void check(const std::vector<Neighbor>& hits, std::span<const float> query,
             const SearchOptions& options, const std::vector<Truth::State>& before) {
    figures_.hits += hits.size();
    std::set<Id> seen;
    for (std::size_t i = 0; i < hits.size(); ++i) {
      const std::optional<std::size_t> number = truth_.number(hits[i].id);
      if (!number) {
        complaints_.note("an id was found that nobody added");
      } else if (!truth_.may_be_found(*number, hits[i].distance, query, before[*number])) {
        complaints_.note(truth_.begun(*number).present || before[*number].present
                             ? "a vector was found at a distance that it never had meanwhile"
                             : "an id was found after its removal had returned");
      }
      if (options.filter != nullptr && !options.filter->contains(hits[i].id)) {
        complaints_.note("an id was found that the filter does not hold");
      }
      if (!seen.insert(hits[i].id).second) complaints_.note("an id was found twice by one search");
      if (i > 0 && hits[i].distance < hits[i - 1].distance)
        complaints_.note("hits are out of order");
    }
    if (hits.size() > options.k) complaints_.note("more than k hits");
    // What nobody touched meanwhile was there all the time.
    std::size_t there = 0;
    for (std::size_t i = 0; i < before.size(); ++i) {
      if (!before[i].present || !truth_.unchanged(i, before[i])) continue;
      if (options.filter != nullptr && !options.filter->contains(truth_.id(i))) continue;
      ++there;
      if (!options.exact || seen.contains(truth_.id(i)) || hits.size() < options.k) continue;
      const std::vector<float> vector = truth_.vector(i, before[i].change);
      if (truth_.distance(query, vector) + truth_.tolerance(query, vector) < hits.back().distance) {
        complaints_.note("an exact search left a nearer vector out");
      }
    }
    if (hits.size() < std::min<std::size_t>(options.k, there)) {
      complaints_.note("fewer than k hits, though k matched all the time");
    }
  }

  // ---- changes: each thread has ids of its own

  std::vector<std::size_t> some_of_mine(std::size_t thread, std::size_t count, Random& random) {
    std::set<std::size_t> mine;
    for (std::size_t i = 0; i < count; ++i) {
      mine.insert(random.below(kIdsPerThread) * kWorkers + thread);
    }
    return {mine.begin(), mine.end()};
  }

  void add(std::size_t thread, Random& random) {
    const std::size_t most = random.below(4) == 0 ? 200 : 8;
    const auto mine = some_of_mine(thread, 1 + random.below(most), random);
    // Some ids stand twice, the first time with a vector that must never be found.
    const std::size_t twice = random.below(3) == 0 ? random.below(mine.size() + 1) : 0;
    Matrix rows(twice + mine.size(), options_.dim);
    std::vector<Id> ids;
    for (std::size_t row = 0; row < twice; ++row) {
      ids.push_back(truth_.id(mine[row]));
      rows.row(row)[0] = 1;
    }
    for (const std::size_t i : mine) {
      const std::vector<float> vector = truth_.vector(i, truth_.begin(i, true));
      std::copy(vector.begin(), vector.end(), rows.row(ids.size()).begin());
      ids.push_back(truth_.id(i));
    }
    index_.add(rows.view(), ids);
    for (const std::size_t i : mine) truth_.finish(i);
    figures_.added += mine.size();
    const std::size_t i = mine[random.below(mine.size())];
    if (!index_.contains(truth_.id(i))) complaints_.note("what was added is not there");
    if (!is_stored(index_, i, truth_.begun(i).change)) {
      complaints_.note("vector() is not what was added");
    }
  }

  bool is_stored(const Index& index, std::size_t i, std::uint32_t change) const {
    const std::vector<float> stored = index.vector(truth_.id(i));
    const std::vector<float> vector = truth_.vector(i, change);
    double squares = 0;
    double length = 0;
    for (std::size_t d = 0; d < vector.size(); ++d) {
      squares += (double{stored[d]} - vector[d]) * (double{stored[d]} - vector[d]);
      length += double{vector[d]} * vector[d];
    }
    return squares <= 1e-6 * length;
  }

  void remove(std::size_t thread, Random& random) {
    const std::size_t most = purging() ? 300 : random.below(4) == 0 ? 100 : 8;
    const auto mine = some_of_mine(thread, 1 + random.below(most), random);
    std::vector<Id> ids{Id{1} << 40};  // never there
    std::size_t present = 0;
    for (const std::size_t i : mine) {
      present += truth_.begun(i).present ? 1 : 0;
      truth_.begin(i, false);
      ids.push_back(truth_.id(i));
    }
    ids.push_back(ids.back());  // twice
    if (index_.remove(ids) != present) complaints_.note("remove() counts wrongly");
    for (const std::size_t i : mine) truth_.finish(i);
    figures_.removed += present;
    const std::size_t i = mine[random.below(mine.size())];
    if (index_.contains(truth_.id(i))) complaints_.note("what was removed is still there");
    try {
      index_.vector(truth_.id(i));
      complaints_.note("vector() gives what was removed");
    } catch (const vsearch::Error& error) {
      if (error.code() != vsearch::ErrorCode::kKeyNotFound) throw;
    }
  }

  // ---- the inspector

  void inspect(Watchdog& watchdog) {
    const vsearch_test::TempDir folder;
    while (elapsed() < 1) {
      watchdog.begin(kInspector, "looking at ids");
      for (int i = 0; i < 200 && elapsed() < 1; ++i) {
        const auto before = Clock::now();
        index_.contains(truth_.id(static_cast<std::size_t>(i)));
        const std::chrono::duration<double, std::milli> took = Clock::now() - before;
        figures_.waits_ms.push_back(took.count());
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      const vsearch::IndexStats stats = index_.stats();
      if (stats.size + stats.removed > stats.capacity || stats.size > truth_.size() ||
          index_.ids().size() > truth_.size()) {
        complaints_.note("stats() do not add up");
      }
      watchdog.begin(kInspector, "saving and opening a snapshot");
      check_snapshot(folder / "snapshot");
    }
    watchdog.begin(kInspector, "nothing more");
  }

  void check_snapshot(const std::filesystem::path& path) {
    const std::vector<Truth::State> before = truth_.all_finished();
    const std::string stamp = std::to_string(figures_.snapshots++);
    index_.save(path, stamp);
    std::string read;
    const Index opened = Index::load(path, &read);
    if (read != stamp) complaints_.note("a snapshot has another one's stamp");
    std::size_t there = 0;
    for (std::size_t i = 0; i < truth_.size(); ++i) {
      const bool holds = opened.contains(truth_.id(i));
      there += holds ? 1 : 0;
      if (truth_.unchanged(i, before[i])) {
        if (holds != before[i].present) complaints_.note("a snapshot holds the wrong ids");
        if (holds && !is_stored(opened, i, before[i].change)) {
          complaints_.note("a snapshot holds wrong vectors");
        }
      }
    }
    if (opened.size() != there) complaints_.note("a snapshot holds ids that nobody added");
    // It answers as the index did when it was written.
    Random random(seed_ + there);
    const std::vector<float> asked = query(random);
    SearchOptions options;
    options.exact = true;
    const std::vector<Neighbor> hits = opened.search(asked, options);
    if (hits.size() != std::min<std::size_t>(options.k, there)) {
      complaints_.note("a snapshot's search finds too few");
    }
    check(hits, asked, options, before);
  }

  // ---- the end: alone with the index

  void finish() {
    std::set<Id> expected;
    for (std::size_t i = 0; i < truth_.size(); ++i) {
      if (truth_.finished(i).present) expected.insert(truth_.id(i));
    }
    const std::vector<Id> ids = index_.ids();
    if (!std::equal(ids.begin(), ids.end(), expected.begin(), expected.end())) {
      complaints_.note("at the end other ids are there than should be");
    }
    // Filled up, it must be as good and about as small as one that was never tortured.
    Matrix rows(truth_.size(), options_.dim);
    std::vector<Id> all;
    for (std::size_t i = 0; i < truth_.size(); ++i) {
      if (!truth_.begun(i).present) {
        const std::vector<float> vector = truth_.vector(i, truth_.begin(i, true));
        index_.add({vector.data(), 1, vector.size()}, std::vector<Id>{truth_.id(i)});
        truth_.finish(i);
      }
      const std::vector<float> vector = truth_.vector(i, truth_.begun(i).change);
      std::copy(vector.begin(), vector.end(), rows.row(i).begin());
      all.push_back(truth_.id(i));
    }
    Index fresh(options_);
    fresh.add(rows.view(), all);
    Random random(seed_ + 1);
    Matrix queries(200, options_.dim);
    for (std::size_t row = 0; row < queries.rows; ++row) {
      const std::vector<float> one = query(random);
      std::copy(one.begin(), one.end(), queries.row(row).begin());
    }
    recall_ = vsearch_test::recall(index_, queries.view(), {});
    if (recall_ < 0.95) complaints_.note("recall@10 at breadth 64 is below .95 at the end");
    memory_ = static_cast<double>(index_.stats().memory_bytes) /
              static_cast<double>(fresh.stats().memory_bytes);
    if (memory_ > 1.6) complaints_.note("the index takes more than 1.6 times a fresh one's memory");
  }

  const std::uint64_t seed_;
  const IndexOptions options_;
  Truth truth_;
  Index index_;
  Complaints& complaints_;
  std::vector<IdFilter> filters_;
  Figures figures_;
  Clock::time_point begin_;
  std::chrono::duration<double> duration_{1};
  double recall_ = 0;
  double memory_ = 0;
};

struct Kind {
  const char* name;
  std::uint32_t dim;
  Metric metric;
  Storage storage;
  std::uint32_t links;
};

constexpr Kind kKinds[] = {
    {"cosine int8 32", 32, Metric::kCosine, Storage::kInt8, 16},
    {"L2 float32 20", 20, Metric::kL2, Storage::kFloat32, 12},
    {"L2 int8 96", 96, Metric::kL2, Storage::kInt8, 16},
    {"product int8 33", 33, Metric::kInnerProduct, Storage::kInt8, 16},
};

}  // namespace

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 60;
  if (argc > 2 || !(seconds > 0)) {
    std::fprintf(stderr, "usage: index_torture [SECONDS]\n");
    return 2;
  }
  Complaints complaints;
  std::printf("%-18s %9s %8s %8s %9s %8s %8s %8s %8s\n", "", "", "vectors", "vectors", "",
              "wait ms", "wait ms", "recall", "memory");
  std::printf("%-18s %9s %8s %8s %9s %8s %8s %8s %8s\n", "", "searches", "added", "removed",
              "snapshots", "p99.9", "longest", "@10", "of fresh");
  // Several short lives of an index find more than a long one: each begins empty.
  constexpr double kLife_s = 30;
  constexpr std::size_t kCount = std::size(kKinds);
  const auto rounds =
      std::max<std::size_t>(1, static_cast<std::size_t>(seconds / kLife_s / kCount));
  for (std::size_t round = 0; round < rounds; ++round) {
    for (const Kind& kind : kKinds) {
      IndexOptions options;
      options.dim = kind.dim;
      options.metric = kind.metric;
      options.storage = kind.storage;
      options.links = kind.links;
      options.build_breadth = 80;
      options.threads = 1 + static_cast<std::uint32_t>(round % 3);
      Torture torture(100 + round, options, complaints);
      torture.run(std::chrono::duration<double>(seconds / static_cast<double>(rounds * kCount)));
      torture.print(kind.name);
    }
  }
  complaints.print();
  std::printf("%s\n", complaints.count() == 0 ? "nothing was wrong" : "FAILED");
  return complaints.count() == 0 ? 0 : 1;
}
