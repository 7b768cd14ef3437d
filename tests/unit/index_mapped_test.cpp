// Snapshots that are large enough to be mapped, and looked through beside the first searches.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "support/errors.h"
#include "support/snapshots.h"
#include "support/temp_dir.h"
#include "support/vectors.h"
#include "vsearch/index.h"

using Catch::Matchers::Contains;
using vsearch::ErrorCode;
using vsearch::Id;
using vsearch::Index;
using vsearch::Matrix;
using vsearch::SearchOptions;
using vsearch_test::Clusters;
using vsearch_test::error_message;
using vsearch_test::ids_from;
using vsearch_test::put_number;
using vsearch_test::Random;
using vsearch_test::snapshot_section;
using vsearch_test::TempDir;

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kDim = 32;
constexpr std::size_t kLinks = 16;
constexpr std::size_t kCount = 270'000;
constexpr Id kFirstId = 7'000'000;

template <typename T>
void append(std::string& bytes, const T& value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof(T));
}
void pad(std::string& bytes) {
  bytes.resize((bytes.size() + 7) / 8 * 8);
}

// A graph of random links between random vectors, in format 2, which is easy to write: to build one
// of this size by adding vectors would take minutes. Every tenth slot reaches up to level 1, every
// thousandth to level 2.
std::string large_snapshot_of_format_2() {
  Random random(71);
  const auto level = [](std::size_t slot) { return slot % 1000 == 0 ? 2 : slot % 10 == 0 ? 1 : 0; };
  std::size_t upper = 0;
  for (std::size_t slot = 0; slot < kCount; ++slot) upper += static_cast<std::size_t>(level(slot));
  std::string bytes = "VSEARCHI";
  append(bytes, std::uint32_t{2});
  append(bytes, std::uint32_t{72});
  append(bytes, std::uint64_t{0});  // the length: below
  append(bytes, static_cast<std::uint32_t>(kDim));
  append(bytes, std::uint32_t{2});  // squared Euclidean
  append(bytes, static_cast<std::uint32_t>(kLinks));
  append(bytes, std::uint32_t{20});
  append(bytes, std::uint64_t{kCount});
  append(bytes, std::uint64_t{upper});
  append(bytes, std::uint64_t{0});  // entry, no stamp
  append(bytes, std::uint64_t{0});  // int8
  for (std::size_t slot = 0; slot < kCount; ++slot) bytes += '\1';
  pad(bytes);
  for (std::size_t slot = 0; slot < kCount; ++slot) bytes += static_cast<char>(level(slot));
  pad(bytes);
  for (std::size_t slot = 0; slot < kCount; ++slot) append(bytes, Id{kFirstId + slot});
  for (std::size_t i = 0; i < kDim; ++i) append(bytes, -1.0F);
  for (std::size_t i = 0; i < kDim; ++i) append(bytes, 1.0F / 32768);
  for (std::size_t i = 0; i < kCount * 2 * kDim / 8; ++i) append(bytes, random.bits());
  pad(bytes);
  const auto list = [&](std::size_t slot, std::size_t size, std::size_t multiple) {
    append(bytes, static_cast<std::uint32_t>(size));
    for (std::size_t i = 0; i < size; ++i) {
      std::size_t other = slot;
      while (other == slot) other = random.below(kCount / multiple) * multiple;
      append(bytes, static_cast<std::uint32_t>(other));
    }
  };
  for (std::size_t slot = 0; slot < kCount; ++slot) list(slot, 2 * kLinks, 1);
  pad(bytes);
  for (std::size_t slot = 0; slot < kCount; ++slot) {
    for (int at = 1; at <= level(slot); ++at) list(slot, kLinks, at == 1 ? 10 : 1000);
  }
  pad(bytes);
  put_number(bytes, 16, std::uint64_t{bytes.size() + 8});
  append(bytes, std::uint64_t{0});
  vsearch_test::correct_checksums(bytes);
  return bytes;
}

std::string read_file(const fs::path& path) {
  std::string bytes(fs::file_size(path), '\0');
  std::ifstream(path, std::ios::binary)
      .read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return bytes;
}
void write_file(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

// The same index in both formats; made once for all tests.
struct Large {
  TempDir folder;
  fs::path old = folder / "format2";
  fs::path path = folder / "format3";
  std::string bytes;

  Large() {
    write_file(old, large_snapshot_of_format_2());
    Index::load(old).save(path, "large");
    bytes = read_file(path);
  }
};
const Large& large() {
  static const Large one;
  return one;
}

Matrix queries(std::size_t count) {
  return Clusters(72, kDim).draw(count);
}

// Every answer, walked to and compared with all.
std::vector<std::vector<vsearch::Neighbor>> answers(const Index& index) {
  std::vector<std::vector<vsearch::Neighbor>> result;
  const Matrix rows = queries(20);
  SearchOptions exact;
  exact.exact = true;
  for (std::size_t row = 0; row < rows.rows; ++row) {
    result.push_back(index.search(rows.row(row)));
    if (row % 5 == 0) result.push_back(index.search(rows.row(row), exact));
  }
  return result;
}

// Opens what is left of the large snapshot after `damage`, which gets all of its bytes.
template <typename Damage>
fs::path damaged(const TempDir& folder, Damage damage, bool with_checksums = false) {
  std::string bytes = large().bytes;
  damage(bytes);
  if (with_checksums) vsearch_test::correct_checksums(bytes);
  write_file(folder / "damaged", bytes);
  return folder / "damaged";
}

}  // namespace

TEST_CASE("a mapped snapshot answers as the index that was saved") {
  REQUIRE(large().bytes.size() >= std::size_t{64} << 20);
  for (const char* name : {"links", "ids", "table ids", "upper bytes", "lower bytes"}) {
    CHECK(snapshot_section(large().bytes, name).at % (std::size_t{2} << 20) == 0);
  }
  const Index saved = Index::load(large().old);
  std::string stamp;
  const Index index = Index::load(large().path, &stamp);
  CHECK(stamp == "large");
  CHECK(answers(index) == answers(saved));
  CHECK(index.ids() == saved.ids());
  CHECK(index.vector(kFirstId + 5) == saved.vector(kFirstId + 5));
  CHECK(index.stats().size == kCount);
  CHECK(index.contains(kFirstId + kCount - 1));
  CHECK_FALSE(index.contains(kFirstId + kCount));
}

TEST_CASE("a mapped snapshot can be changed, grows, and its file stays as it is") {
  const TempDir folder;
  Index index = Index::load(large().path);
  const Matrix more = Clusters(73, kDim, 10, 0.05F).draw(300);
  for (Id round = 0; round < 3; ++round) {  // more room is needed the first time
    index.add({more.row(round * 100).data(), 100, kDim}, ids_from(round * 100, 100));
    index.remove(ids_from(kFirstId + round * 100, 100));
  }
  std::vector<float> wide(kDim, 50.0F);  // needs a new encoding of everything
  index.add({wide.data(), 1, kDim}, std::vector<Id>{kFirstId + 100'000});
  CHECK(index.size() == kCount);
  SearchOptions exact;
  exact.exact = true;
  for (std::size_t row = 0; row < more.rows; row += 50) {
    CHECK(index.search(more.row(row), exact)[0].id == row);
  }
  CHECK(index.search(wide, exact)[0].id == kFirstId + 100'000);
  CHECK(read_file(large().path) == large().bytes);

  index.save(folder / "changed");
  const Index again = Index::load(folder / "changed");
  CHECK(again.ids() == index.ids());
  CHECK(answers(again) == answers(index));
}

TEST_CASE("a mapped file may be replaced and deleted") {
  const TempDir folder;
  const auto path = folder / "index";
  fs::copy_file(large().path, path);
  Index index = Index::load(path);
  index.remove(ids_from(kFirstId, 10));
  index.save(path);
  const Index other = Index::load(path);
  CHECK(other.size() == kCount - 10);
  fs::remove(path);
  CHECK(answers(other) == answers(index));
}

TEST_CASE("damage in what searches follow is found before a large snapshot opens") {
  const TempDir folder;
  const auto refused = [&](const fs::path& path) {
    return error_message(ErrorCode::kCorrupt, [&] { Index::load(path); });
  };
  SECTION("a bit") {
    for (const char* name : {"nodes", "heads", "upper links", "encoding", "ids", "links",
                             "table ids", "table slots"}) {
      const auto path = damaged(folder, [&](std::string& bytes) {
        const auto section = snapshot_section(bytes, name);
        bytes[section.at + section.bytes / 2] ^= 0x10;
      });
      CHECK_THAT(refused(path), Contains(std::string("'") + name + "'"));
    }
  }
  SECTION("a link out of range, with a right checksum") {
    const auto path = damaged(
        folder,
        [](std::string& bytes) {
          const auto section = snapshot_section(bytes, "links");
          put_number(bytes, section.at + section.bytes - 4, static_cast<std::uint32_t>(kCount));
        },
        true);
    CHECK_THAT(refused(path), Contains("links to slot 270000 on level 0"));
  }
  SECTION("a truncated file") {
    const auto path = damaged(folder, [](std::string& bytes) { bytes.pop_back(); });
    CHECK_THAT(refused(path), Contains("bytes long and should be"));
  }
}

TEST_CASE("damage in the vectors of a large snapshot makes every later call say so") {
  const TempDir folder;
  fs::path path;
  std::string expected;
  SECTION("a bit of the upper bytes") {
    path = damaged(folder, [](std::string& bytes) {
      bytes[snapshot_section(bytes, "upper bytes").at + 12345] ^= 1;
    });
    expected = "checksum of its section 'upper bytes'";
  }
  SECTION("a bit of the lower bytes, at the very end") {
    path = damaged(folder, [](std::string& bytes) {
      const auto section = snapshot_section(bytes, "lower bytes");
      bytes[section.at + section.bytes - 1] ^= '\x80';
    });
    expected = "checksum of its section 'lower bytes'";
  }
  SECTION("vectors that nobody can have added") {
    path = damaged(
        folder,
        [](std::string& bytes) {
          put_number(bytes, snapshot_section(bytes, "encoding").at, 9e18F);
        },
        true);
    expected = "the vector in slot 0 is longer";
  }
  Index index = Index::load(path);
  const auto says_so = [&](const std::function<void()>& call) {
    CHECK_THAT(error_message(ErrorCode::kCorrupt, call), Contains(expected) && Contains("damaged"));
  };
  const Matrix rows = queries(1);
  says_so([&] { static_cast<void>(index.check_health({.sample = 0})); });
  Index other(index.options());
  says_so([&] { other.merge(index); });
  says_so([&] { index.merge(other); });
  says_so([&] { index.add(rows.view(), std::vector<Id>{1}); });
  says_so([&] { index.remove(std::vector<Id>{1}); });
  says_so([&] { index.save(folder / "saved"); });
  says_so([&] { static_cast<void>(index.search(rows.row(0))); });
  says_so([&] { static_cast<void>(index.search_batch(rows.view())); });
  says_so([&] { static_cast<void>(index.vector(kFirstId)); });
  says_so([&] { static_cast<void>(index.size()); });
  says_so([&] { static_cast<void>(index.contains(1)); });
  says_so([&] { static_cast<void>(index.ids()); });
  says_so([&] { static_cast<void>(index.stats()); });
  CHECK(index.options().dim == kDim);
  CHECK_FALSE(fs::exists(folder / "saved"));
}

TEST_CASE("a search before damage is found ends, even where no distance is a number") {
  const TempDir folder;
  const fs::path path = damaged(folder, [](std::string& bytes) {
    const auto section = snapshot_section(bytes, "lengths");
    std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(section.at), section.bytes, '\xFF');
  });
  const Matrix rows = queries(1);
  const vsearch::IdFilter one(std::vector<Id>{kFirstId + 7});
  SearchOptions options;
  options.filter = &one;
  for (int i = 0; i < 5; ++i) {
    const Index index = Index::load(path);
    try {
      CHECK(index.search(rows.row(0), options).size() <= 1);
      CHECK(index.search(rows.row(0)).size() <= 10);
    } catch (const vsearch::Error& error) {
      CHECK(error.code() == ErrorCode::kCorrupt);  // found already
    }
  }
}

TEST_CASE("an index can be closed while it is looked through") {
  for (int i = 0; i < 5; ++i) Index::load(large().path);
  Index moved = Index::load(large().path);
  moved = Index::load(large().path);
  CHECK(moved.size() == kCount);
}

TEST_CASE("a mapped index works in a forked child") {
  Index index = Index::load(large().path);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    bool right = false;
    {
      Index mine = std::move(index);
      mine.remove(std::vector<Id>{kFirstId});
      right = mine.size() == kCount - 1 && mine.search(queries(1).row(0)).size() == 10;
    }
    ::_exit(right ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(index.size() == kCount);
}
