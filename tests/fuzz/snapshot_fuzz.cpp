// Any snapshot: Index::load() opens it or says kCorrupt, and what it opens can be searched, changed
// and saved. The sanitizers watch for the rest.
//
// An input is a snapshot, of any format, or a list of changes to one that this program makes: each
// 8 bytes long, with a section, a place in it, and what to write there. Checksums are put right
// before it is opened, or nothing would get past them, but for one input in sixteen.
#include <xxhash.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "support/snapshots.h"
#include "support/temp_dir.h"
#include "support/vectors.h"
#include "vsearch/error.h"
#include "vsearch/index.h"

using vsearch::Error;
using vsearch::ErrorCode;
using vsearch::Id;
using vsearch::Index;
using vsearch::IndexOptions;
using vsearch::Matrix;
using vsearch::Metric;
using vsearch::SearchOptions;
using vsearch::Storage;
using vsearch_test::snapshot_sections;

namespace {

struct Change {
  std::uint8_t section;  // 0: the header
  std::uint8_t kind;
  std::uint16_t place;
  std::uint32_t value;
};
static_assert(sizeof(Change) == 8);

std::string contents(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

vsearch_test::TempDir& folder() {
  static vsearch_test::TempDir one;
  return one;
}

// Of every storage and metric, with live, removed and free slots on several levels.
std::vector<std::string> make_snapshots() {
  std::vector<std::string> snapshots;
  for (const Storage storage : {Storage::kInt8, Storage::kFloat32, Storage::kFloat16,
                                Storage::kBFloat16, Storage::kCompact}) {
    for (const Metric metric : {Metric::kCosine, Metric::kInnerProduct, Metric::kL2}) {
      IndexOptions options;
      options.dim = 5;
      options.metric = metric;
      options.links = 3;
      options.build_breadth = 10;
      options.storage = storage;
      options.threads = 1;
      Index index(options);
      vsearch_test::Clusters clusters(91, options.dim);
      index.add(clusters.draw(60).view(), vsearch_test::ids_from(0, 60));
      index.remove(vsearch_test::ids_from(10, 8));
      index.add(clusters.draw(4).view(), vsearch_test::ids_from(100, 4));
      index.remove(vsearch_test::ids_from(30, 3));
      index.save(folder() / "made", "stamp");
      snapshots.push_back(contents(folder() / "made"));
    }
  }
  return snapshots;
}

void make(const Change& change, std::string& bytes) {
  const std::vector<vsearch_test::SnapshotSection> sections = snapshot_sections(bytes);
  std::size_t begin = 0;
  std::size_t size = sections.empty() ? bytes.size() : sections.front().at;
  const std::size_t number = change.section % (sections.size() + 1);
  if (number > 0) {
    begin = sections[number - 1].at;
    size = sections[number - 1].bytes;
  }
  if (change.kind == 0xFF) {
    bytes.resize(std::min<std::size_t>(bytes.size(), begin + change.place));
    return;
  }
  const std::size_t width = std::size_t{1} << (change.kind % 3);
  const std::size_t fields = size / width;
  if (fields == 0) return;
  std::memcpy(bytes.data() + begin + change.place % fields * width, &change.value, width);
}

std::string input_to_snapshot(std::string_view input) {
  if (input.starts_with("VSEARCHI")) return std::string(input);
  static const std::vector<std::string> snapshots = make_snapshots();
  if (input.empty()) return snapshots[0];
  std::string bytes = snapshots[static_cast<std::uint8_t>(input[0]) % snapshots.size()];
  for (std::size_t at = 1; at + sizeof(Change) <= input.size(); at += sizeof(Change)) {
    Change change;
    std::memcpy(&change, input.data() + at, sizeof(change));
    make(change, bytes);
  }
  return bytes;
}

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "snapshot_fuzz: %s\n", what);
  std::abort();
}

// Everything an application does with an index. What was damaged without being found may be wrong
// answers, and vectors that add() would refuse, but nothing else.
void use(Index& index, bool with_save) {
  const std::size_t dim = index.options().dim;
  const std::vector<Id> ids = index.ids();
  if (ids.size() != index.size()) fail("ids() and size() disagree");
  Matrix rows(12, dim);
  for (std::size_t i = 0; i < rows.data.size(); ++i) {
    rows.data[i] = static_cast<float>((i * 37) % 101) - 50.0F;
  }
  const auto search = [&] {
    for (std::size_t row = 0; row < 3; ++row) {
      SearchOptions options;
      options.k = 5;
      options.breadth = 5 + 10 * static_cast<std::uint32_t>(row);
      const vsearch::IdFilter filter{std::span(ids).first(ids.size() / 2)};
      for (const bool exact : {false, true}) {
        options.exact = exact;
        for (const vsearch::IdFilter* only :
             {static_cast<const vsearch::IdFilter*>(nullptr), &filter}) {
          options.filter = only;
          for (const auto& hit : index.search(rows.row(row), options)) {
            if (!index.contains(hit.id)) fail("a hit that is not there");
          }
        }
      }
    }
  };
  search();
  for (const Id id : ids) static_cast<void>(index.vector(id));
  std::vector<Id> added = vsearch_test::ids_from(40, rows.rows);
  for (int round = 0; round < 6; ++round) {  // beyond its capacity, if it is one of ours
    for (Id& id : added) id += rows.rows;
    index.add(rows.view(), added);
  }
  index.remove(std::span(ids).first(ids.size() / 3));
  search();
  if (!with_save) return;
  index.save(folder() / "saved");
  const Index again = Index::load(folder() / "saved");
  if (again.ids() != index.ids()) fail("saving lost something");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  std::string bytes = input_to_snapshot(input);
  if (size == 0 || data[0] % 16 != 15) {
    try {
      vsearch_test::correct_checksums(bytes);
    } catch (const std::out_of_range&) {
      // Too short to have any.
    }
  }
  const auto path = folder() / "input";
  std::ofstream(path, std::ios::binary) << bytes;
  try {
    Index index = Index::load(path);
    use(index, XXH3_64bits(data, size) % 8 == 0);  // the disk is slow
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kCorrupt) fail(error.what());
  }
  return 0;
}
