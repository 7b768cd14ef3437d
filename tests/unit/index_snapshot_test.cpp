#include <sys/stat.h>
#include <xxhash.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "support/errors.h"
#include "support/temp_dir.h"
#include "support/vectors.h"
#include "vsearch/index.h"

using Catch::Matchers::Contains;
using vsearch::ErrorCode;
using vsearch::Id;
using vsearch::Index;
using vsearch::IndexOptions;
using vsearch::Matrix;
using vsearch::Metric;
using vsearch::Storage;
using vsearch_test::Clusters;
using vsearch_test::error_message;
using vsearch_test::ids_from;
using vsearch_test::TempDir;

namespace {

constexpr std::uint32_t kDim = 4;

// Offsets in the file, from docs/formats.md.
constexpr std::size_t kVersionAt = 8;
constexpr std::size_t kDimAt = 24;
constexpr std::size_t kSlotsAt = 40;
constexpr std::size_t kEntryAt = 56;
constexpr std::size_t kStorageAt = 64;
constexpr std::size_t kSectionsAt = 72 + 8;  // with the stamp of small()

Index make(std::uint32_t dim, Metric metric = Metric::kCosine,
           Storage storage = Storage::kFloat32) {
  IndexOptions options;
  options.storage = storage;
  options.dim = dim;
  options.metric = metric;
  options.links = 4;
  return Index(options);
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_file(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

// The bytes of a snapshot of 24 vectors of which 2 are removed, with a stamp of 5 bytes.
std::string small_snapshot(const TempDir& folder, Storage storage = Storage::kFloat32) {
  Clusters clusters(41, kDim);
  Index index = make(kDim, Metric::kCosine, storage);
  index.add(clusters.draw(24).view(), ids_from(1000, 24));
  index.remove(std::vector<Id>{1003, 1004});
  index.save(folder / "small", "stamp");
  return read_file(folder / "small");
}

template <typename T>
void put(std::string& bytes, std::size_t at, T value) {
  REQUIRE(at + sizeof(T) <= bytes.size());
  std::memcpy(bytes.data() + at, &value, sizeof(T));
}

void correct_checksum(std::string& bytes) {
  put(bytes, bytes.size() - 8, std::uint64_t{XXH3_64bits(bytes.data(), bytes.size() - 8)});
}

std::string refusal(const std::filesystem::path& path, const std::string& bytes) {
  write_file(path, bytes);
  return error_message(ErrorCode::kCorrupt, [&] { Index::load(path); });
}

}  // namespace

TEST_CASE("a snapshot holds the whole index") {
  const auto metric = GENERATE(Metric::kCosine, Metric::kInnerProduct, Metric::kL2);
  const auto storage = GENERATE(Storage::kInt8, Storage::kFloat32);
  const TempDir folder;
  Clusters clusters(42, 24);
  IndexOptions options;
  options.storage = storage;
  options.dim = 24;
  options.metric = metric;
  options.links = 12;
  options.build_breadth = 80;
  Index index(options);
  index.add(clusters.draw(4000).view(), ids_from(0, 4000));
  index.remove(ids_from(0, 300));
  index.add(clusters.draw(100).view(), ids_from(3950, 100));
  index.save(folder / "index", "generation 7");

  std::string stamp;
  Index loaded = Index::load(folder / "index", &stamp);
  CHECK(stamp == "generation 7");
  CHECK(loaded.options().dim == 24);
  CHECK(loaded.options().metric == metric);
  CHECK(loaded.options().storage == storage);
  CHECK(loaded.options().links == 12);
  CHECK(loaded.options().build_breadth == 80);
  CHECK(loaded.ids() == index.ids());
  CHECK(loaded.stats().removed == index.stats().removed);
  const Matrix queries = clusters.draw(50);
  for (std::size_t row = 0; row < queries.rows; ++row) {
    CHECK(loaded.search(queries.row(row)) == index.search(queries.row(row)));
  }
  CHECK(loaded.vector(2000) == index.vector(2000));

  // It can go on changing, until every slot has been used again.
  for (Id first = 5000; first < 10000; first += 500) {
    loaded.add(clusters.draw(500).view(), ids_from(first, 500));
    loaded.remove(ids_from(first - 5000, 500));
  }
  CHECK(vsearch_test::recall(loaded, queries.view(), {}) >= 0.9);
  loaded.save(folder / "index");
  CHECK(Index::load(folder / "index", &stamp).ids() == loaded.ids());
  CHECK(stamp.empty());
}

TEST_CASE("an empty index can be saved and opened") {
  const TempDir folder;
  Index index = make(kDim);
  SECTION("that never held anything") {}
  SECTION("from which everything was removed") {
    index.add(Clusters(43, kDim).draw(10).view(), ids_from(0, 10));
    index.remove(ids_from(0, 10));
  }
  index.save(folder / "empty");
  Index loaded = Index::load(folder / "empty");
  CHECK(loaded.size() == 0);
  CHECK(loaded.search(std::vector<float>{1, 0, 0, 0}).empty());
  loaded.add(Clusters(44, kDim).draw(10).view(), ids_from(0, 10));
  CHECK(loaded.search(std::vector<float>{1, 0, 0, 0}).size() == 10);
}

TEST_CASE("saving leaves the new file and nothing else") {
  const TempDir folder;
  write_file(folder / "index", "old");
  make(kDim).save(folder / "index");
  CHECK(Index::load(folder / "index").size() == 0);
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
}

TEST_CASE("saving says where it failed, and leaves nothing behind") {
  const TempDir folder;
  const Index index = make(kDim);
  const auto missing = folder / "no";
  CHECK_THAT(error_message(ErrorCode::kIo, [&] { index.save(missing / "index"); }),
             Contains((missing / "index").string()) && Contains("No such file"));
  std::filesystem::create_directory(folder / "taken");
  CHECK_THAT(error_message(ErrorCode::kIo, [&] { index.save(folder / "taken"); }),
             Contains("taken") && Contains("in place"));
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
  CHECK_THAT(error_message(ErrorCode::kInvalidArgument,
                           [&] { index.save(folder / "x", std::string(65537, 's')); }),
             Contains("65537") && Contains("at most 65536"));
}

TEST_CASE("what is no readable file is refused") {
  const TempDir folder;
  CHECK_THAT(error_message(ErrorCode::kFileNotFound, [&] { Index::load(folder / "absent"); }),
             Contains("absent"));
  CHECK_THAT(error_message(ErrorCode::kIo, [&] { Index::load(folder.path()); }),
             Contains("not a regular file"));
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK_THAT(error_message(ErrorCode::kIo, [&] { Index::load(folder / "pipe"); }),
             Contains("not a regular file"));
}

TEST_CASE("what is no snapshot is refused") {
  const TempDir folder;
  const auto path = folder / "file";
  CHECK_THAT(refusal(path, ""), Contains("not an index snapshot") && Contains(path.string()));
  CHECK_THAT(refusal(path, "VSEARCH"), Contains("not an index snapshot"));
  CHECK_THAT(refusal(path, std::string(5000, 'x')), Contains("not an index snapshot"));
  std::string bytes = small_snapshot(folder);
  put(bytes, kVersionAt, std::uint32_t{3});
  CHECK_THAT(refusal(path, bytes), Contains("format version 3") && Contains("versions 1 to 2"));
}

TEST_CASE("every truncation is refused") {
  const TempDir folder;
  const std::string bytes = small_snapshot(folder);
  for (std::size_t length = 0; length < bytes.size(); length += length < 200 ? 1 : 61) {
    refusal(folder / "cut", bytes.substr(0, length));
  }
  CHECK_THAT(refusal(folder / "cut", bytes + "x"), Contains("bytes long"));
}

TEST_CASE("every flipped bit is noticed") {
  const TempDir folder;
  const std::string bytes = small_snapshot(folder, Storage::kInt8);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    CHECK_THAT(refusal(folder / "flipped", damaged), Contains("flipped"));
  }
}

TEST_CASE("a header that asks for terabytes is refused before anything is allocated") {
  const TempDir folder;
  std::string bytes = small_snapshot(folder);
  const auto refused = [&] {
    correct_checksum(bytes);
    return refusal(folder / "huge", bytes);
  };
  SECTION("slots") {
    put(bytes, kSlotsAt, std::uint64_t{0x7FFFFFFF});
    CHECK_THAT(refused(), Contains("bytes long and should be"));
  }
  SECTION("more slots than there can be") {
    put(bytes, kSlotsAt, std::uint64_t{1} << 62);
    CHECK_THAT(refused(), Contains("impossible"));
  }
  SECTION("lists") {
    put(bytes, kSlotsAt + 8, ~std::uint64_t{0});
    CHECK_THAT(refused(), Contains("impossible"));
  }
  SECTION("dimensions") {
    put(bytes, kDimAt, std::uint32_t{0xFFFFFFFF});
    CHECK_THAT(refused(), Contains("dim is 4294967295"));
  }
  SECTION("a storage that does not exist") {
    put(bytes, kStorageAt, std::uint32_t{2});
    CHECK_THAT(refused(), Contains("storage is 2"));
  }
  SECTION("stamp") {
    put(bytes, kEntryAt + 4, std::uint32_t{0xFFFFFFFF});
    CHECK_THAT(refused(), Contains("impossible"));
  }
}

TEST_CASE("a snapshot with a right checksum and wrong contents is refused") {
  const TempDir folder;
  std::string bytes = small_snapshot(folder);
  constexpr std::size_t kSlots = 24;
  constexpr std::size_t kLevelsAt = kSectionsAt + kSlots;
  constexpr std::size_t kIdsAt = kLevelsAt + kSlots;
  constexpr std::size_t kVectorsAt = kIdsAt + kSlots * 8;
  constexpr std::size_t kListsAt = kVectorsAt + kSlots * kDim * 4;
  const auto refused = [&] {
    correct_checksum(bytes);
    return refusal(folder / "crafted", bytes);
  };
  SECTION("nothing wrong") {
    correct_checksum(bytes);
    write_file(folder / "fine", bytes);
    CHECK(Index::load(folder / "fine").size() == 22);
  }
  SECTION("a state that does not exist") {
    put(bytes, kSectionsAt, std::uint8_t{7});
    CHECK_THAT(refused(), Contains("slot 0 has no known state"));
  }
  SECTION("a level that is too high") {
    put(bytes, kLevelsAt + 1, std::uint8_t{33});
    CHECK_THAT(refused(), Contains("slot 1 is on level 33"));
  }
  SECTION("levels without lists") {
    put(bytes, kLevelsAt, std::uint8_t{32});
    CHECK_THAT(refused(), Contains("too few lists"));
  }
  SECTION("an id that stands there twice") {
    put(bytes, kIdsAt, Id{1001});
    CHECK_THAT(refused(), Contains("id 1001 stands in it twice"));
  }
  SECTION("a vector that is not finite") {
    put(bytes, kVectorsAt + 4, 0x7FC00000);
    CHECK_THAT(refused(), Contains("slot 0 holds NaN"));
  }
  SECTION("a vector that is not of unit length") {
    put(bytes, kVectorsAt, 5.0F);
    CHECK_THAT(refused(), Contains("slot 0 is not of unit length"));
  }
  SECTION("more neighbours than there is room for") {
    put(bytes, kListsAt, std::uint32_t{9});
    CHECK_THAT(refused(), Contains("slot 0 has 9 neighbours on level 0"));
  }
  SECTION("a link out of range") {
    put(bytes, kListsAt + 4, std::uint32_t{24});
    CHECK_THAT(refused(), Contains("slot 0 links to slot 24"));
  }
  SECTION("a link to itself") {
    put(bytes, kListsAt + 4, std::uint32_t{0});
    CHECK_THAT(refused(), Contains("slot 0 links to slot 0"));
  }
  SECTION("a link to a free slot") {
    put(bytes, kSectionsAt + 3, std::uint8_t{0});  // slot 3 is removed
    CHECK_THAT(refused(), Contains("slot 3"));
  }
  SECTION("an entry point out of range") {
    put(bytes, kEntryAt, std::uint32_t{24});
    CHECK_THAT(refused(), Contains("entry point is no vector"));
  }
  SECTION("an entry point that is removed") {
    put(bytes, kEntryAt, std::uint32_t{3});
    CHECK_THAT(refused(), Contains("entry point is no vector"));
  }
  SECTION("an entry point that is not on the top level") {
    std::uint32_t low = 0;
    while (bytes[kLevelsAt + low] != 0 || bytes[kSectionsAt + low] != 1) ++low;
    put(bytes, kEntryAt, low);
    CHECK_THAT(refused(), Contains("not on the top level"));
  }
}

TEST_CASE("ranges that are none are refused") {
  const TempDir folder;
  std::string bytes = small_snapshot(folder, Storage::kInt8);
  constexpr std::size_t kRangesAt = kSectionsAt + 24 + 24 + 24 * 8;
  const auto refused = [&] {
    correct_checksum(bytes);
    return refusal(folder / "crafted", bytes);
  };
  SECTION("nothing wrong") {
    correct_checksum(bytes);
    write_file(folder / "fine", bytes);
    CHECK(Index::load(folder / "fine").size() == 22);
  }
  SECTION("a beginning that is not finite") {
    put(bytes, kRangesAt + 4, 0x7FC00000);
    CHECK_THAT(refused(), Contains("the range of dimension 1"));
  }
  SECTION("a negative step") {
    put(bytes, kRangesAt + 4 * kDim, -1.0F);
    CHECK_THAT(refused(), Contains("the range of dimension 0"));
  }
  SECTION("vectors that are then not of unit length") {
    put(bytes, kRangesAt, 3.0F);
    CHECK_THAT(refused(), Contains("is not of unit length"));
  }
}

TEST_CASE("a snapshot of the first format opens") {
  // Written by version 0.1: 38 of 40 vectors on a curve, in float32.
  const auto golden = std::filesystem::path(VSEARCH_SOURCE_DIR) / "tests/golden/index_v1.snapshot";
  Index index = Index::load(golden);
  CHECK(index.size() == 38);
  CHECK(index.options().storage == Storage::kFloat32);
  CHECK(index.options().links == 4);
  for (Id id = 1000; id < 1040; ++id) {
    if (id == 1003 || id == 1004) continue;
    const auto t = static_cast<float>(id - 1000);
    const std::vector<float> point{std::cos(t), std::sin(t), std::cos(2 * t), std::sin(3 * t)};
    const auto hits = index.search(point);
    CHECK(hits.at(0).id == id);
    CHECK(hits.at(0).distance < 1e-5F);
  }
  index.add(Clusters(43, 4).draw(5).view(), ids_from(2000, 5));
  CHECK(index.size() == 43);
}
