// How an index is opened: docs/formats.md, "Index snapshot".
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "index/index_impl.h"
#include "index/snapshot_check.h"
#include "index/snapshot_file.h"
#include "index/snapshot_format.h"
#include "index/snapshot_old.h"

namespace vsearch {
namespace {

using index::Arena;
using index::Graph;
using index::IdTable;
using index::LoadedSection;
using index::Section;
using index::SnapshotEntry;
using index::SnapshotHeader;

// A smaller file is read and looked through at once: that takes a few hundredths of a second, and
// what lies in memory of its own, on huge pages, is searched faster. A larger one is mapped.
constexpr std::uint64_t kMappedFrom = std::uint64_t{64} << 20;

// A smaller one is looked through before another thread has started.
constexpr std::uint64_t kSharedFrom = std::uint64_t{1} << 20;

// Reads format 3 and refuses whatever does not fit together.
class SnapshotReader {
 public:
  explicit SnapshotReader(index::FileReader& file) : file_(file) {}

  // Checks everything that says how much memory the rest takes.
  void read_header();
  IndexOptions options() const { return index::options_in(header_, file_.path()); }
  const std::string& stamp() const { return stamp_; }
  // Fills a new graph and a table; both stay where they are as long as `check`, which looks through
  // the vectors later if the file is large.
  void read(Graph& graph, IdTable& table, std::size_t threads, index::BackgroundCheck& check);

 private:
  void check_layout(std::span<const Section> sections) const;
  LoadedSection load(const Section& section);
  std::vector<LoadedSection> load(std::span<const Section> sections);
  void check_gaps();
  [[noreturn]] void refuse(std::string_view why) const {
    index::refuse_snapshot(file_.path(), why);
  }
  void refuse_if(const std::string& defect) const {
    if (!defect.empty()) refuse(defect);
  }

  index::FileReader& file_;
  SnapshotHeader header_ = {};
  std::vector<SnapshotEntry> entries_;
  std::string stamp_;
};

void SnapshotReader::read_header() {
  file_.seek(0);
  if (!file_.read(std::as_writable_bytes(std::span(&header_, 1))))
    refuse("it ends within its header");
  constexpr std::uint32_t kMostSections = 64;
  if (header_.sections > kMostSections || header_.stamp_bytes > index::kMaxStampBytes ||
      header_.header_bytes != index::snapshot_header_bytes(header_.sections, header_.stamp_bytes)) {
    refuse("its header asks for the impossible");
  }
  if (header_.file_bytes != file_.size()) {
    refuse(fmt::format("it is {} bytes long and should be {}", file_.size(), header_.file_bytes));
  }
  std::vector<std::byte> bytes(header_.header_bytes);
  file_.seek(0);
  if (!file_.read(bytes)) refuse("it ends within its header");
  std::uint64_t checksum = 0;
  const std::span<const std::byte> checked =
      std::span(bytes).first(bytes.size() - sizeof(checksum));
  std::memcpy(&checksum, checked.data() + checked.size(), sizeof(checksum));
  if (checksum != XXH3_64bits(checked.data(), checked.size())) {
    refuse("the checksum of its header does not match");
  }
  entries_.resize(header_.sections);
  const std::byte* const table = bytes.data() + sizeof(header_);
  std::memcpy(entries_.data(), table, entries_.size() * sizeof(SnapshotEntry));
  const auto* const stamp =
      reinterpret_cast<const char*>(table + entries_.size() * sizeof(SnapshotEntry));
  stamp_.assign(stamp, header_.stamp_bytes);
  static_cast<void>(options());
  if (header_.slots > Graph::kMaxSlots || header_.upper_lists >= index::kNoSlot ||
      header_.upper_lists > header_.slots * std::uint64_t{Graph::kMaxLevel} ||
      !IdTable::can_have_buckets(header_.buckets)) {
    refuse("its header asks for the impossible");
  }
}

// That the header's list is the one that save() writes for what the header says.
void SnapshotReader::check_layout(std::span<const Section> sections) const {
  const std::vector<SnapshotEntry> expected =
      index::snapshot_layout(sections, header_.header_bytes);
  const auto same = [](const SnapshotEntry& a, const SnapshotEntry& b) {
    return a.name == b.name && a.offset == b.offset && a.records == b.records &&
           a.record_bytes == b.record_bytes && a.reserved == b.reserved;
  };
  if (!std::ranges::equal(expected, entries_, same)) {
    refuse("its sections are not those of its header");
  }
  const std::uint64_t bytes = index::snapshot_file_bytes(expected);
  if (bytes != file_.size()) {
    refuse(fmt::format("it is {} bytes long and should be {}", file_.size(), bytes));
  }
}

LoadedSection SnapshotReader::load(const Section& section) {
  const auto entry = std::ranges::find_if(entries_, [&](const SnapshotEntry& one) {
    return one.name.data() == std::string_view(section.name);
  });
  const bool mapped = file_.size() >= kMappedFrom && section.bytes() >= index::kLargeSection &&
                      section.arena->map(file_.descriptor(), entry->offset, section.records);
  if (!mapped) {
    section.arena->reserve(section.records);
    file_.seek(entry->offset);
    if (!file_.read({section.arena->at(0), section.bytes()})) refuse("it ends too early");
  }
  return {*entry, section.arena};
}

std::vector<LoadedSection> SnapshotReader::load(std::span<const Section> sections) {
  std::vector<LoadedSection> loaded;
  for (const Section& section : sections) loaded.push_back(load(section));
  return loaded;
}

// What no section holds is zero.
void SnapshotReader::check_gaps() {
  std::uint64_t end = header_.header_bytes;
  std::vector<std::byte> gap;
  for (const SnapshotEntry& entry : entries_) {
    gap.resize(entry.offset - end);
    file_.seek(end);
    if (!file_.read(gap)) refuse("it ends too early");
    if (std::ranges::any_of(gap, [](std::byte value) { return value != std::byte{0}; })) {
      refuse(fmt::format("there is something before its section '{}'", entry.name.data()));
    }
    end = entry.offset + entry.bytes();
  }
}

void SnapshotReader::read(Graph& graph, IdTable& table, std::size_t threads,
                          index::BackgroundCheck& check) {
  const auto slots = static_cast<std::size_t>(header_.slots);
  const auto upper = static_cast<std::size_t>(header_.upper_lists);
  const auto buckets = static_cast<std::size_t>(header_.buckets);
  Arena encoding(sizeof(float));
  const std::vector<Section> followed =
      index::followed_sections(graph, table, encoding, slots, upper, buckets);
  const std::vector<Section> vectors = graph.vectors().sections(slots);
  std::vector<Section> all = followed;
  all.insert(all.end(), vectors.begin(), vectors.end());
  check_layout(all);
  check_gaps();

  refuse_if(index::defect_of_sections(load(followed), threads, {}));
  const std::size_t numbers = graph.vectors().encoding().size();
  if (slots > 0 && numbers > 0) {
    const auto* const first = reinterpret_cast<const float*>(encoding.at(0));
    refuse_if(graph.vectors().restore_encoding({first, numbers}));
  }
  refuse_if(graph.restore(slots, upper, header_.entry, threads));
  refuse_if(graph.restore(table, buckets, threads));

  const auto look = [&graph, metric = options().metric, sections = load(vectors)](
                        const std::stop_token& stop, std::size_t with_threads) {
    std::string defect = index::defect_of_sections(sections, with_threads, stop);
    if (defect.empty()) defect = index::defect_of_vectors(graph, metric, with_threads, stop);
    return defect;
  };
  if (file_.size() < kMappedFrom) {
    refuse_if(look({}, threads));
  } else {
    check.start(file_.path(), [look](const std::stop_token& stop) { return look(stop, 1); });
  }
}

}  // namespace

Index Index::load(const std::filesystem::path& path, std::string* stamp) {
  return index::with_memory_for("open the index snapshot", [&] {
    index::FileReader file(path);
    const std::size_t threads = file.size() < kSharedFrom ? 1 : index::threads_for(0);
    const std::uint32_t version = index::read_snapshot_header(file).version;
    std::unique_ptr<Impl> impl;
    std::string read_stamp;
    if (version <= index::kLastOldVersion) {
      index::OldSnapshotReader reader(file);
      impl = std::make_unique<Impl>(reader.options());
      reader.read(*impl->graph, impl->slots, threads);
      read_stamp = reader.stamp();
    } else {
      SnapshotReader reader(file);
      reader.read_header();
      impl = std::make_unique<Impl>(reader.options());
      reader.read(*impl->graph, impl->slots, threads, impl->check);
      read_stamp = reader.stamp();
    }
    if (stamp != nullptr) *stamp = std::move(read_stamp);
    return Index(std::move(impl));
  });
}

}  // namespace vsearch
