// save() beside everything else. The build with ThreadSanitizer runs these too.
#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <cmath>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "support/sanitized.h"
#include "support/temp_dir.h"
#include "support/vectors.h"
#include "vsearch/index.h"

using vsearch::Id;
using vsearch::Index;
using vsearch::IndexOptions;
using vsearch::Matrix;
using vsearch::Metric;
using vsearch::SearchOptions;
using vsearch::Storage;
using vsearch_test::ids_from;
using vsearch_test::kSanitized;
using vsearch_test::Random;
using vsearch_test::TempDir;

namespace {

constexpr std::uint32_t kDim = 96;
constexpr std::size_t kSteps = kSanitized ? 40 : 150;
constexpr std::size_t kAtFirst = kSanitized ? 500 : 2000;
constexpr std::size_t kPerStep = 40;
constexpr Id kClock = 1'000'000'000;  // its vector tells the step that was the last

// What an index holds after each step of a writer: id to the version of its vector.
using Contents = std::map<Id, std::size_t>;

std::vector<float> vector_of(Id id, std::size_t version) {
  if (id == kClock) return std::vector<float>(kDim, static_cast<float>(version + 1));
  Random random(id * 1000 + version);
  std::vector<float> vector(kDim);
  for (float& value : vector) value = random.normal();
  return vector;
}

IndexOptions options(Storage storage) {
  IndexOptions result;
  result.dim = kDim;
  result.metric = Metric::kL2;
  result.links = 8;
  result.build_breadth = 20;
  result.storage = storage;
  return result;
}

void add(Index& index, const Contents& vectors) {
  Matrix rows(vectors.size(), kDim);
  std::vector<Id> ids;
  for (const auto& [id, version] : vectors) {
    std::ranges::copy(vector_of(id, version), rows.row(ids.size()).begin());
    ids.push_back(id);
  }
  index.add(rows.view(), ids);
}

// Adds, replaces and removes, so that the index grows, is repaired, encoded and built anew: the
// clock leaves the range of the encoding ever again. The contents after step i are `after[i]`.
// add() is called last in every step, with the clock.
void write(Index& index, std::vector<Contents>& after, std::atomic<std::size_t>& done) {
  Contents contents = after[0];
  Random random(81);
  for (std::size_t step = 1; step < kSteps; ++step) {
    std::vector<Id> gone;
    for (const auto& [id, version] : contents) {
      const bool all = step % (kSteps / 3) == 0;
      if (id != kClock && (all || random.below(contents.size()) < kPerStep / 2)) gone.push_back(id);
    }
    Contents more = {{kClock, step}};
    for (std::size_t i = 0; i < kPerStep; ++i) more[random.below(2 * kAtFirst)] = step;
    // Between the two calls the clock shows the step before, and the contents are neither.
    for (const Id id : gone) more.erase(id);
    for (const Id id : gone) contents.erase(id);
    for (const auto& [id, version] : more) contents[id] = version;
    after[step] = contents;
    index.remove(gone);
    add(index, more);
    done = step;
  }
}

// The vectors of `contents` and no others, but for those that were just being removed.
void check(const Index& loaded, const Contents& before, const Contents& after) {
  for (const auto& [id, version] : before) {
    if (!loaded.contains(id)) {
      CHECK(!after.contains(id));
      continue;
    }
    const std::vector<float> stored = loaded.vector(id);
    const std::vector<float> expected = vector_of(id, version);
    float error = 0;
    for (std::size_t i = 0; i < kDim; ++i) {
      error = std::max(error, std::abs(stored[i] - expected[i]));
    }
    CHECK(error < 0.05F);
    SearchOptions exact;
    exact.exact = true;
    exact.k = 1;
    if (id % 16 == 0) CHECK(loaded.search(expected, exact).at(0).id == id);
  }
  for (const Id id : loaded.ids()) CHECK(before.contains(id));
}

}  // namespace

TEST_CASE("what save() writes beside a writer is the index of one moment") {
  const auto storage = GENERATE(Storage::kInt8, Storage::kFloat32);
  const TempDir folder;
  Index index(options(storage));
  std::vector<Contents> after(kSteps);
  after[0] = {{kClock, 0}};
  for (const Id id : ids_from(0, kAtFirst)) after[0][id] = 0;
  add(index, after[0]);

  std::atomic<std::size_t> done{0};
  std::atomic<bool> stop{false};
  std::thread writer([&] { write(index, after, done); });
  std::thread searcher([&] {
    while (!stop) index.search(vector_of(7, 0));
  });
  // Two threads that save; each remembers between which steps.
  struct Saved {
    std::string path;
    std::size_t from;
    std::size_t to;
  };
  std::vector<std::vector<Saved>> saved(2);
  std::vector<std::thread> savers;
  for (std::size_t t = 0; t < 2; ++t) {
    savers.emplace_back([&, t] {
      while (done + 1 < kSteps) {
        const std::size_t from = done;
        const auto path = folder / (std::to_string(t) + "-" + std::to_string(saved[t].size()));
        index.save(path, "stamp");
        saved[t].push_back({path.string(), from, done});
      }
    });
  }
  writer.join();
  for (std::thread& saver : savers) saver.join();
  stop = true;
  searcher.join();

  std::size_t beside = 0;
  for (const std::vector<Saved>& files : saved) {
    for (std::size_t i = 0; i < files.size(); i += 1 + files.size() / 20) {
      const Saved& file = files[i];
      std::string stamp;
      const Index loaded = Index::load(file.path, &stamp);
      CHECK(stamp == "stamp");
      const auto step = static_cast<std::size_t>(std::lround(loaded.vector(kClock)[0])) - 1;
      CHECK(step >= file.from);
      CHECK(step <= file.to + 1);
      check(loaded, after[step], step + 1 < kSteps ? after[step + 1] : after[step]);
      beside += file.to > file.from ? 1 : 0;
    }
  }
  INFO(saved[0].size() + saved[1].size()
       << " files, " << beside << " of those looked at beside writes");
  CHECK(beside > 0);

  // Everything that was put off meanwhile is made up for.
  index.add(Matrix(0, kDim).view(), {});
  index.remove(ids_from(0, 2 * kAtFirst));
  CHECK(index.size() == 1);
  add(index, after[0]);
  check(index, after[0], after[0]);
}

TEST_CASE("save() reads vectors that are removed meanwhile, and no others in their place") {
  // Long vectors, so that saving takes long; most of them are removed again and again, so that the
  // index would be built anew beside it, or their slots taken.
  constexpr std::size_t kLong = 2048;
  constexpr std::size_t kCount = 1500;
  const TempDir folder;
  IndexOptions made = options(Storage::kFloat32);
  made.dim = kLong;
  made.links = 4;
  made.build_breadth = 4;
  Index index(made);
  const auto value_of = [](Id id, std::size_t i) {
    return static_cast<float>((id * 31 + i) % 997);
  };
  const auto add_range = [&](Id begin, Id end) {
    Matrix rows(end - begin, kLong);
    for (Id id = begin; id < end; ++id) {
      for (std::size_t i = 0; i < kLong; ++i) rows.row(id - begin)[i] = value_of(id, i);
    }
    index.add(rows.view(), ids_from(begin, end - begin));
  };
  add_range(0, kCount);
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (Id first = kCount; !stop; first += kCount) {      // ever new ids
      index.remove(ids_from(first - kCount, kCount - 3));  // so few are left that it takes no time
      add_range(first, first + kCount);
      index.remove(ids_from(first - 3, 3));
    }
  });
  for (int round = 0; round < 20; ++round) {
    const auto path = folder / "index";
    index.save(path);
    const Index loaded = Index::load(path);
    bool right = true;
    for (const Id id : loaded.ids()) {
      const std::vector<float> stored = loaded.vector(id);
      for (std::size_t i = 0; i < kLong; ++i) right = right && stored[i] == value_of(id, i);
    }
    CHECK(right);
  }
  stop = true;
  writer.join();
}
