// Memory that runs out: whichever allocation fails, the index stays as it was.
#include <sys/mman.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <new>
#include <vector>

#include "support/errors.h"
#include "support/temp_dir.h"
#include "support/vectors.h"
#include "vsearch/index.h"

namespace {

constexpr std::size_t kNever = std::numeric_limits<std::size_t>::max();
thread_local std::size_t allocations_left = kNever;
thread_local std::size_t mappings_left = kNever;

// While it lives, the allocation after `successes` others fails, once.
class FailingAllocation {
 public:
  explicit FailingAllocation(std::size_t successes) { allocations_left = successes; }
  ~FailingAllocation() { allocations_left = kNever; }
  FailingAllocation(const FailingAllocation&) = delete;
  FailingAllocation& operator=(const FailingAllocation&) = delete;
};

bool fails_now(std::size_t& left) {
  if (left == kNever || left-- > 0) return false;
  left = kNever;
  return true;
}

}  // namespace

// The linker gives us the calls of mmap() and mremap() in this program (tests/CMakeLists.txt): the
// memory that the index keeps vectors and links in comes from there.
extern "C" {
void* __real_mmap(void* at, std::size_t bytes, int protection, int flags, int file, off_t offset);
void* __real_mremap(void* at, std::size_t bytes, std::size_t more, int flags, ...);
void* __wrap_mmap(void* at, std::size_t bytes, int protection, int flags, int file, off_t offset) {
  if (!fails_now(mappings_left)) return __real_mmap(at, bytes, protection, flags, file, offset);
  errno = ENOMEM;
  return MAP_FAILED;
}
void* __wrap_mremap(void* at, std::size_t bytes, std::size_t more, int flags, ...) {
  if (!fails_now(mappings_left)) return __real_mremap(at, bytes, more, flags);
  errno = ENOMEM;
  return MAP_FAILED;
}
}

void* operator new(std::size_t size) {
  if (fails_now(allocations_left)) throw std::bad_alloc();
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
// AddressSanitizer has one of its own, which does not go with our delete.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return std::malloc(size == 0 ? 1 : size);
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

using vsearch::ErrorCode;
using vsearch::Id;
using vsearch::Index;
using vsearch::IndexOptions;
using vsearch::Matrix;
using vsearch::SearchOptions;
using vsearch_test::Clusters;
using vsearch_test::ids_from;

namespace {

constexpr std::uint32_t kDim = 8;
constexpr std::size_t kCount = 400;

IndexOptions options() {
  IndexOptions result;
  result.dim = kDim;
  result.links = 4;
  result.build_breadth = 20;
  result.threads = 1;  // where no other can be started, one does the work without a word
  return result;
}

// Everything an index can be asked for.
struct Answers {
  std::vector<Id> ids;
  std::vector<std::vector<vsearch::Neighbor>> exact;
  std::uint64_t size = 0;

  Answers(const Index& index, const Matrix& queries) : ids(index.ids()), size(index.size()) {
    for (std::size_t row = 0; row < queries.rows; ++row) {
      SearchOptions search;
      search.exact = true;
      search.k = 20;
      exact.push_back(index.search(queries.row(row), search));
    }
  }
  friend bool operator==(const Answers&, const Answers&) = default;
};

// Calls `work` with the first allocation failing, then a later one, and so on until it succeeds;
// `check` is called after each failure. Returns how often it failed.
template <typename Work, typename Check>
std::size_t fail_everywhere(Work work, Check check) {
  std::size_t failures = 0;
  for (std::size_t successes = 0;; successes += 1 + successes / 10) {
    try {
      const FailingAllocation failing(successes);
      work();
      return failures;
    } catch (const vsearch::Error& error) {
      ++failures;
      REQUIRE(static_cast<int>(error.code()) == static_cast<int>(ErrorCode::kOutOfMemory));
      check();
    }
  }
}

}  // namespace

TEST_CASE("an add that runs out of memory leaves the index as it was") {
  Clusters clusters(61, kDim, 5);
  Index index(options());
  index.add(clusters.draw(kCount).view(), ids_from(0, kCount));
  index.remove(ids_from(0, 40));
  const Matrix queries = clusters.draw(5);
  const Matrix rows = clusters.draw(60);
  const std::vector<Id> ids = ids_from(kCount - 30, 60);  // half of them replace
  const Answers before(index, queries);
  const std::size_t failures = fail_everywhere([&] { index.add(rows.view(), ids); },
                                               [&] { REQUIRE(Answers(index, queries) == before); });
  CHECK(failures > 50);
  CHECK(index.size() == kCount - 40 + 30);
  for (std::size_t row = 0; row < rows.rows; ++row) {
    CHECK(index.search(rows.row(row))[0].id == ids[row]);
  }
  CHECK(vsearch_test::recall(index, queries.view(), {}) >= 0.9);
}

TEST_CASE("a merge that runs out of memory leaves the index as it was") {
  Clusters clusters(64, kDim, 5);
  Index from(options());
  from.add(clusters.draw(kCount).view(), ids_from(100, kCount));
  const bool copies = GENERATE(true, false);
  Index index(options());
  if (!copies) index.add(clusters.draw(kCount).view(), ids_from(0, kCount));
  const Matrix queries = clusters.draw(5);
  const Answers before(index, queries);
  const Answers others(from, queries);
  const auto check = [&] {
    REQUIRE(Answers(index, queries) == before);
    REQUIRE(Answers(from, queries) == others);
  };
  CHECK(fail_everywhere([&] { index.merge(from); }, check) > (copies ? 3 : 50));
  CHECK(index.size() == (copies ? kCount : kCount + 100));
  // What was copied frees slots without memory, too.
  const std::vector<Id> gone = ids_from(100, 200);
  std::uint64_t removed = 0;
  {
    const FailingAllocation failing(0);
    removed = index.remove(gone);
  }
  CHECK(removed == 200);
}

TEST_CASE("a first add that runs out of memory leaves an empty index that can be used") {
  Clusters clusters(64, kDim, 5);
  Index index(options());
  const std::vector<Id> ids = ids_from(0, 150);
  const Matrix rows = clusters.draw(150);  // some are in place when the next fail
  const std::size_t failures = fail_everywhere([&] { index.add(rows.view(), ids); },
                                               [&] {
                                                 REQUIRE(index.size() == 0);
                                                 REQUIRE(index.search(rows.row(0)).empty());
                                               });
  CHECK(failures > 20);
  CHECK(index.size() == 150);
  CHECK(vsearch_test::recall(index, clusters.draw(20).view(), {}) >= 0.9);
}

TEST_CASE("growth that the system refuses leaves the index as it was") {
  Clusters clusters(65, kDim, 5);
  Index index(options());
  const Matrix queries = clusters.draw(5);
  std::size_t refused = 0;
  for (int growth = 0; growth < 4; ++growth) {
    const Answers before(index, queries);
    const std::uint64_t capacity = index.stats().capacity;
    const std::vector<Id> ids = ids_from(before.size, capacity + 1);
    const Matrix rows = clusters.draw(ids.size());
    for (std::size_t successes = 0; index.size() == before.size; ++successes) {
      mappings_left = successes;
      try {
        index.add(rows.view(), ids);
      } catch (const vsearch::Error& error) {
        ++refused;
        REQUIRE(static_cast<int>(error.code()) == static_cast<int>(ErrorCode::kOutOfMemory));
        REQUIRE(Answers(index, queries) == before);
      }
      mappings_left = kNever;
    }
    CHECK(index.stats().capacity > capacity);
    CHECK(index.size() == before.size + ids.size());
    CHECK(vsearch_test::recall(index, queries.view(), {}) >= 0.9);
  }
  CHECK(refused >= 10);
}

TEST_CASE("removing does not fail for lack of memory") {
  Clusters clusters(62, kDim, 5);
  for (std::size_t successes = 0; successes < 3000; successes += 1 + successes / 4) {
    Index index(options());
    index.add(clusters.draw(kCount).view(), ids_from(0, kCount));
    const bool most = successes % 2 == 0;  // builds the index anew; else repairs it
    const std::size_t count = most ? kCount - 50 : 100;
    const std::vector<Id> gone = ids_from(0, count);
    std::uint64_t removed = 0;
    {
      const FailingAllocation failing(successes);
      removed = index.remove(gone);
    }
    REQUIRE(removed == count);
    REQUIRE(index.ids() == ids_from(count, kCount - count));
    REQUIRE(vsearch_test::recall(index, clusters.draw(10).view(), {}) >= 0.9);
  }
}

TEST_CASE("searching, making, saving and opening say that memory ran out") {
  const vsearch_test::TempDir folder;
  Clusters clusters(63, kDim, 5);
  Index index(options());
  index.add(clusters.draw(3000).view(), ids_from(0, 3000));
  const Matrix query = clusters.draw(1);
  const auto nothing = [] {};
  const auto hits = index.search(query.row(0));
  CHECK(fail_everywhere([&] { index.search(query.row(0)); }, nothing) > 5);
  CHECK(index.search(query.row(0)) == hits);
  CHECK(fail_everywhere([&] { Index another(options()); }, nothing) > 2);
  CHECK(fail_everywhere([&] { index.check_health({.sample = 20}); }, nothing) > 10);
  const auto saved = folder / "saved";
  index.save(saved, "stamp");
  const auto absent = folder / "absent";
  const auto check_absent = [&] { REQUIRE_FALSE(std::filesystem::exists(absent)); };
  // Where only the copy of the links cannot be made, it is saved without.
  const auto save_again = [&] {
    std::filesystem::remove(absent);
    index.save(absent);
    if (allocations_left == kNever) REQUIRE(Index::load(absent).ids() == index.ids());
  };
  CHECK(fail_everywhere(save_again, check_absent) > 3);
  CHECK(std::filesystem::exists(absent));
  CHECK(fail_everywhere([&] { Index::load(saved); }, nothing) > 20);
}
