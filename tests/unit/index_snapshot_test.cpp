#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <catch2/catch.hpp>
#include <cmath>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "support/errors.h"
#include "support/sanitized.h"
#include "support/snapshots.h"
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
using vsearch_test::correct_checksums;
using vsearch_test::error_message;
using vsearch_test::ids_from;
using vsearch_test::kSanitized;
using vsearch_test::number_at;
using vsearch_test::put_number;
using vsearch_test::snapshot_section;
using vsearch_test::snapshot_sections;
using vsearch_test::TempDir;

namespace {

constexpr std::uint32_t kDim = 4;

// Offsets in the file, from docs/formats.md.
constexpr std::size_t kVersionAt = 8;
constexpr std::size_t kHeaderBytesAt = 12;
constexpr std::size_t kFileBytesAt = 16;
constexpr std::size_t kDimAt = 24;
constexpr std::size_t kLinksAt = 32;
constexpr std::size_t kSlotsAt = 40;
constexpr std::size_t kUpperAt = 48;
constexpr std::size_t kEntryAt = 56;
constexpr std::size_t kStampBytesAt = 60;
constexpr std::size_t kStorageAt = 64;
constexpr std::size_t kSectionCountAt = 68;
constexpr std::size_t kBucketsAt = 72;

constexpr std::uint32_t kNone = 0xFFFFFFFF;

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

std::string refusal(const std::filesystem::path& path, const std::string& bytes) {
  write_file(path, bytes);
  return error_message(ErrorCode::kCorrupt, [&] { Index::load(path); });
}

}  // namespace

TEST_CASE("a snapshot holds the whole index") {
  const auto metric = GENERATE(Metric::kCosine, Metric::kInnerProduct, Metric::kL2);
  const auto storage = GENERATE(Storage::kInt8, Storage::kFloat32, Storage::kFloat16,
                                Storage::kBFloat16, Storage::kCompact);
  const TempDir folder;
  Clusters clusters(42, 24);
  IndexOptions options;
  options.storage = storage;
  options.dim = 24;
  options.metric = metric;
  options.links = 12;
  options.build_breadth = 80;
  Index index(options);
  constexpr Id kCount = kSanitized ? 1000 : 4000;
  index.add(clusters.draw(kCount).view(), ids_from(0, kCount));
  index.remove(ids_from(0, 300));
  index.add(clusters.draw(100).view(), ids_from(kCount - 50, 100));
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
  CHECK(loaded.vector(kCount / 2) == index.vector(kCount / 2));

  // It can go on changing, until every slot has been used again.
  constexpr Id kStep = kCount / 8;
  for (Id first = kCount + 1000; first < 2 * (kCount + 1000); first += kStep) {
    loaded.add(clusters.draw(kStep).view(), ids_from(first, kStep));
    loaded.remove(ids_from(first - kCount - 1000, kStep));
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
             Contains("taken") && Contains("Is a directory"));
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
  CHECK_THAT(error_message(ErrorCode::kInvalidArgument,
                           [&] { index.save(folder / "x", std::string(65537, 's')); }),
             Contains("65537") && Contains("at most 65536"));
}

TEST_CASE("a folder that may not be written to is named") {
  const TempDir folder;
  const auto closed = folder / "closed";
  std::filesystem::create_directory(closed);
  REQUIRE(::chmod(closed.c_str(), 0555) == 0);
  REQUIRE(::chmod(folder.path().c_str(), 0755) == 0);
  const uid_t user = ::geteuid();
  constexpr uid_t kNobody = 65534;
  if (user == 0) REQUIRE(::seteuid(kNobody) == 0);  // to root everything is open
  const std::string message =
      error_message(ErrorCode::kIo, [&] { make(kDim).save(closed / "index"); });
  if (user == 0) REQUIRE(::seteuid(user) == 0);
  CHECK_THAT(message, Contains((closed / "index").string()) && Contains("Permission denied"));
}

TEST_CASE("a disk that is full leaves the old file and nothing else") {
  const TempDir folder;
  const auto path = folder / "index";
  Index index = make(kDim);
  index.save(path);
  index.add(Clusters(45, kDim).draw(500).view(), ids_from(0, 500));
  // A limit on the length of files stands for it.
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit limit = {};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &limit) == 0);
  const rlimit small = {8192, limit.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  const std::string message = error_message(ErrorCode::kIo, [&] { index.save(path); });
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
  CHECK_THAT(message,
             Contains(path.string()) && Contains("cannot write") && Contains("File too large"));
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
  CHECK(Index::load(path).size() == 0);
  index.add(Clusters(46, kDim).draw(5).view(), ids_from(600, 5));  // nothing is held any more
  index.save(path);
  CHECK(Index::load(path).size() == 505);
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
  for (const std::uint32_t version : {0U, 4U}) {
    put_number(bytes, kVersionAt, version);
    CHECK_THAT(refusal(path, bytes), Contains("format version " + std::to_string(version)) &&
                                         Contains("versions 1 to 3"));
  }
}

TEST_CASE("every truncation is refused") {
  const TempDir folder;
  const std::string bytes = small_snapshot(folder);
  for (std::size_t length = 0; length < bytes.size(); length += length < 600 ? 1 : 61) {
    refusal(folder / "cut", bytes.substr(0, length));
  }
  CHECK_THAT(refusal(folder / "cut", bytes + "x"), Contains("bytes long"));
}

TEST_CASE("every flipped bit is noticed") {
  const TempDir folder;
  const std::string bytes = small_snapshot(folder, Storage::kInt8);
  const auto path = folder / "flipped";
  write_file(path, bytes);
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  const auto put = [&](std::size_t at, int value) {
    file.seekp(static_cast<std::streamoff>(at));
    file.put(static_cast<char>(value));
    file.flush();
  };
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    for (std::size_t bit = 0; bit < 8; ++bit) {
      if (kSanitized && (at * 8 + bit) % 5 != 0) continue;
      put(at, bytes[at] ^ (1 << bit));
      CHECK_THAT(error_message(ErrorCode::kCorrupt, [&] { Index::load(path); }),
                 Contains("flipped"));
    }
    put(at, bytes[at]);
  }
  CHECK(Index::load(path).size() == 22);
}

TEST_CASE("a header that asks for terabytes is refused before anything is allocated") {
  const TempDir folder;
  std::string bytes = small_snapshot(folder);
  const auto refused = [&] {
    correct_checksums(bytes);
    return refusal(folder / "huge", bytes);
  };
  SECTION("slots") {
    put_number(bytes, kSlotsAt, std::uint64_t{0x7FFFFFFF});
    CHECK_THAT(refused(), Contains("sections are not those of its header"));
  }
  SECTION("more slots than there can be") {
    put_number(bytes, kSlotsAt, std::uint64_t{1} << 62);
    CHECK_THAT(refused(), Contains("impossible"));
  }
  SECTION("slots, and a list of sections that agrees") {
    put_number(bytes, kSlotsAt, std::uint64_t{0x7FFFFFFF});
    for (const auto& section : snapshot_sections(bytes)) {
      if (number_at<std::uint64_t>(bytes, section.entry_at + 24) != 24) continue;
      put_number(bytes, section.entry_at + 24, std::uint64_t{0x7FFFFFFF});
    }
    CHECK_THAT(refused(), Contains("sections are not those of its header"));
  }
  SECTION("lists") {
    put_number(bytes, kUpperAt, ~std::uint64_t{0});
    CHECK_THAT(refused(), Contains("impossible"));
  }
  SECTION("buckets that are no power of two") {
    put_number(bytes, kBucketsAt, std::uint64_t{33});
    CHECK_THAT(refused(), Contains("impossible"));
  }
  SECTION("buckets") {
    put_number(bytes, kBucketsAt, std::uint64_t{1} << 32);
    CHECK_THAT(refused(), Contains("sections are not those of its header"));
  }
  SECTION("dimensions") {
    put_number(bytes, kDimAt, std::uint32_t{0xFFFFFFFF});
    CHECK_THAT(refused(), Contains("dim is 4294967295"));
  }
  SECTION("links") {
    put_number(bytes, kLinksAt, std::uint32_t{256});
    CHECK_THAT(refused(), Contains("sections are not those of its header"));
  }
  SECTION("a storage that does not exist") {
    put_number(bytes, kStorageAt, std::uint32_t{200});
    CHECK_THAT(refused(), Contains("storage is 200"));
  }
  SECTION("stamp") {
    put_number(bytes, kStampBytesAt, std::uint32_t{0xFFFFFFFF});
    CHECK_THAT(refused(), Contains("impossible"));
  }
  SECTION("a longer header") {
    put_number(bytes, kHeaderBytesAt, std::uint32_t{0xFFFFFFF8});
    CHECK_THAT(refused(), Contains("impossible"));
  }
  SECTION("sections") {
    put_number(bytes, kSectionCountAt, std::uint32_t{0xFFFFFFFF});
    CHECK_THAT(refused(), Contains("impossible"));
  }
  SECTION("a longer file") {
    put_number(bytes, kFileBytesAt, std::uint64_t{1} << 50);
    CHECK_THAT(refused(), Contains("bytes long and should be"));
  }
  SECTION("a section that lies elsewhere") {
    const auto section = snapshot_section(bytes, "ids");
    put_number(bytes, section.entry_at + 16, ~std::uint64_t{0} - 7);
    CHECK_THAT(refused(), Contains("sections are not those of its header"));
  }
}

TEST_CASE("a snapshot with right checksums and wrong contents is refused") {
  const TempDir folder;
  std::string bytes = small_snapshot(folder);
  const auto in = [&](const char* name) { return snapshot_section(bytes, name).at; };
  const auto state_at = [&](std::size_t slot) { return in("nodes") + 2 * slot; };
  const auto level_at = [&](std::size_t slot) { return state_at(slot) + 1; };
  const auto upper = [&](std::size_t number, std::size_t i) {  // its next list, or a neighbour
    return in("upper links") + (number * 5 + i) * 4;
  };
  std::size_t high = 0;  // a slot on level 1 or above
  while (bytes[level_at(high)] == 0) ++high;
  const auto head = number_at<std::uint32_t>(bytes, in("heads") + 4 * high);
  std::size_t bucket = 0;  // that holds something
  while (number_at<std::uint32_t>(bytes, in("table slots") + 4 * bucket) == 0) ++bucket;
  const auto refused = [&] {
    correct_checksums(bytes);
    return refusal(folder / "crafted", bytes);
  };
  SECTION("nothing wrong") {
    correct_checksums(bytes);
    write_file(folder / "fine", bytes);
    CHECK(Index::load(folder / "fine").size() == 22);
  }
  SECTION("a state that does not exist") {
    put_number(bytes, state_at(0), std::uint8_t{7});
    CHECK_THAT(refused(), Contains("slot 0 has no known state"));
  }
  SECTION("a level that is too high") {
    put_number(bytes, level_at(1), std::uint8_t{33});
    CHECK_THAT(refused(), Contains("slot 1 is on level 33"));
  }
  SECTION("levels without lists") {
    std::size_t low = 0;
    while (bytes[level_at(low)] != 0 || bytes[state_at(low)] != 1) ++low;
    put_number(bytes, level_at(low), std::uint8_t{1});
    CHECK_THAT(refused(), Contains("has not the lists of its level"));
  }
  SECTION("lists without levels") {
    std::size_t low = 0;
    while (bytes[level_at(low)] != 0) ++low;
    put_number(bytes, in("heads") + 4 * low, head);
    CHECK_THAT(refused(), Contains("has not the lists of its level"));
  }
  SECTION("a list out of range") {
    put_number(bytes, in("heads") + 4 * high, std::uint32_t{1000});
    CHECK_THAT(refused(), Contains("has not the lists of its level"));
  }
  SECTION("a list that follows itself") {
    put_number(bytes, upper(head - 1, 0), head);
    CHECK_THAT(refused(), Contains("has not the lists of its level"));
  }
  SECTION("a list of two slots") {
    std::size_t other = high + 1;
    while (bytes[level_at(other)] == 0) ++other;
    put_number(bytes, in("heads") + 4 * other, head);
    CHECK_THAT(refused(), Contains("has not the lists of its level"));
  }
  SECTION("an upper link to a slot that is not there") {
    std::size_t low = 0;
    while (bytes[level_at(low)] != 0) ++low;
    put_number(bytes, upper(head - 1, 1), static_cast<std::uint32_t>(low));
    CHECK_THAT(refused(), Contains("links to slot " + std::to_string(low) + " on level 1"));
  }
  SECTION("an id that stands there twice") {
    put_number(bytes, in("ids"), Id{1001});
    CHECK_THAT(refused(), Contains("its table says"));
  }
  SECTION("an id that stands twice in its table too") {
    const auto slot = number_at<std::uint32_t>(bytes, in("table slots") + 4 * bucket) - 1;
    std::size_t second = bucket + 1;
    while (number_at<std::uint32_t>(bytes, in("table slots") + 4 * second) == 0) ++second;
    const auto id = number_at<Id>(bytes, in("table ids") + 8 * second);
    put_number(bytes, in("table ids") + 8 * bucket, id);
    put_number(bytes, in("ids") + 8 * slot, id);
    CHECK_THAT(refused(), Contains("stands in it twice, or where its table does not find it"));
  }
  SECTION("a table that has a slot twice") {
    std::size_t empty = 0;
    while (number_at<std::uint32_t>(bytes, in("table slots") + 4 * empty) != 0) ++empty;
    std::size_t other = bucket + 1;
    while (number_at<std::uint32_t>(bytes, in("table slots") + 4 * other) == 0) ++other;
    put_number(bytes, in("table slots") + 4 * empty,
               number_at<std::uint32_t>(bytes, in("table slots") + 4 * bucket));
    put_number(bytes, in("table ids") + 8 * empty,
               number_at<Id>(bytes, in("table ids") + 8 * bucket));
    put_number(bytes, in("table slots") + 4 * other, std::uint32_t{0});
    CHECK_THAT(refused(), Contains("stands in it twice, or where its table does not find it"));
  }
  SECTION("a table that lacks an id") {
    put_number(bytes, in("table slots") + 4 * bucket, std::uint32_t{0});
    CHECK_THAT(refused(), Contains("its table has 21 ids of 22"));
  }
  SECTION("a table that says a slot out of range") {
    put_number(bytes, in("table slots") + 4 * bucket, std::uint32_t{25});
    CHECK_THAT(refused(), Contains("its table says"));
  }
  SECTION("a vector that is not finite") {
    put_number(bytes, in("floats") + 4, 0x7FC00000);
    CHECK_THAT(refused(), Contains("slot 0 holds NaN"));
  }
  SECTION("a vector that is not of unit length") {
    put_number(bytes, in("floats"), 5.0F);
    CHECK_THAT(refused(), Contains("slot 0 is not of unit length"));
  }
  SECTION("a link out of range") {
    put_number(bytes, in("links"), std::uint32_t{24});
    CHECK_THAT(refused(), Contains("slot 0 links to slot 24"));
  }
  SECTION("a link to itself") {
    put_number(bytes, in("links"), std::uint32_t{0});
    CHECK_THAT(refused(), Contains("slot 0 links to slot 0"));
  }
  SECTION("a link to a free slot") {
    std::size_t link = in("links");
    while (bytes[level_at(number_at<std::uint32_t>(bytes, link))] != 0) link += 4;
    const auto freed = number_at<std::uint32_t>(bytes, link);
    put_number(bytes, state_at(freed), std::uint8_t{0});
    CHECK_THAT(refused(), Contains("links to slot " + std::to_string(freed) + " on level 0"));
  }
  SECTION("an entry point out of range") {
    put_number(bytes, kEntryAt, std::uint32_t{24});
    CHECK_THAT(refused(), Contains("entry point is no vector"));
  }
  SECTION("an entry point that is removed") {
    put_number(bytes, kEntryAt, std::uint32_t{3});
    CHECK_THAT(refused(), Contains("entry point is no vector"));
  }
  SECTION("no entry point") {
    put_number(bytes, kEntryAt, kNone);
    CHECK_THAT(refused(), Contains("entry point is no vector"));
  }
  SECTION("an entry point that is not on the top level") {
    std::uint32_t low = 0;
    while (bytes[level_at(low)] != 0 || bytes[state_at(low)] != 1) ++low;
    put_number(bytes, kEntryAt, low);
    CHECK_THAT(refused(), Contains("not on the top level"));
  }
  SECTION("something between two sections") {
    bytes[in("ids") - 1] = 'x';
    CHECK_THAT(refused(), Contains("there is something before"));
  }
}

TEST_CASE("ranges that are none are refused") {
  const TempDir folder;
  std::string bytes = small_snapshot(folder, Storage::kInt8);
  const std::size_t ranges = snapshot_section(bytes, "encoding").at;
  const auto refused = [&] {
    correct_checksums(bytes);
    return refusal(folder / "crafted", bytes);
  };
  SECTION("nothing wrong") {
    correct_checksums(bytes);
    write_file(folder / "fine", bytes);
    CHECK(Index::load(folder / "fine").size() == 22);
  }
  SECTION("a beginning that is not finite") {
    put_number(bytes, ranges + 4, 0x7FC00000);
    CHECK_THAT(refused(), Contains("the range of dimension 1"));
  }
  SECTION("a beginning whose square is not finite") {
    put_number(bytes, ranges + 8, -3e38F);
    CHECK_THAT(refused(), Contains("the range of dimension 2"));
  }
  SECTION("a negative step") {
    put_number(bytes, ranges + 4 * kDim, -1.0F);
    CHECK_THAT(refused(), Contains("the range of dimension 0"));
  }
  SECTION("vectors that are then not of unit length") {
    put_number(bytes, ranges, 3.0F);
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

TEST_CASE("snapshots of the second and third format open") {
  // Version 2 was written by an early build of 0.1, version 3 by the first with that format: 40
  // vectors on a curve, of which 8 have left free slots and 2 are removed.
  const char* const name = GENERATE("index_v2.snapshot", "index_v3.snapshot");
  const auto golden = std::filesystem::path(VSEARCH_SOURCE_DIR) / "tests/golden" / name;
  std::string stamp;
  Index index = Index::load(golden, &stamp);
  CHECK(stamp == "golden");
  CHECK(index.size() == 30);
  CHECK(index.stats().removed == 2);
  CHECK(index.options().storage == Storage::kInt8);
  CHECK(index.options().metric == Metric::kL2);
  CHECK(index.options().links == 4);
  for (const Id id : index.ids()) {
    const auto t = static_cast<float>(id - 1000);
    const std::vector<float> point{std::cos(t), std::sin(t), std::cos(2 * t), std::sin(3 * t),
                                   t / 10};
    const auto hits = index.search(point);
    CHECK(hits.at(0).id == id);
    CHECK(hits.at(0).distance < 1e-6F);
  }
  index.add(Clusters(43, 5).draw(20).view(), ids_from(2000, 20));
  CHECK(index.size() == 50);
  CHECK(index.stats().capacity == 64);
}
