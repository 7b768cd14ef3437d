// The index on disk: docs/formats.md, "Index snapshot".
#include <algorithm>
#include <bit>
#include <cmath>

#include "index/index_impl.h"
#include "index/snapshot_file.h"

namespace vsearch {
namespace {

static_assert(std::endian::native == std::endian::little, "the file is little-endian");

using index::Graph;
using index::Slot;
using index::SlotState;

constexpr char kMagic[8] = {'V', 'S', 'E', 'A', 'R', 'C', 'H', 'I'};
constexpr std::uint32_t kVersion = 2;
constexpr std::uint32_t kFloatVersion = 1;  // without `storage`: always kFloat32
constexpr std::uint64_t kMaxStampBytes = 65536;
constexpr Slot kNoSlot = 0xFFFFFFFF;
constexpr std::uint64_t kChecksumBytes = 8;

struct Header {
  char magic[8];
  std::uint32_t version;
  std::uint32_t header_bytes;  // this struct and the padded stamp
  std::uint64_t file_bytes;
  std::uint32_t dim;
  std::uint32_t metric;
  std::uint32_t links;
  std::uint32_t build_breadth;
  std::uint64_t slots;
  std::uint64_t upper_lists;
  std::uint32_t entry;
  std::uint32_t stamp_bytes;
  std::uint32_t storage;  // from version 2 on
  std::uint32_t reserved;
};
static_assert(sizeof(Header) == 72);
constexpr std::size_t kFloatHeaderBytes = 64;

std::size_t bytes_of_header(std::uint32_t version) {
  return version == kFloatVersion ? kFloatHeaderBytes : sizeof(Header);
}

bool is_fixed_point(const Header& header) {
  return header.storage == static_cast<std::uint32_t>(Storage::kInt8);
}

std::uint64_t padded(std::uint64_t bytes) {
  return (bytes + 7) / 8 * 8;
}

// What the file's length must be. The header's fields are in range, so nothing overflows.
std::uint64_t file_bytes(const Header& header) {
  const std::uint64_t n = header.slots;
  const std::uint64_t list = sizeof(Slot) * (1 + std::uint64_t{header.links});
  const std::uint64_t base_list = sizeof(Slot) * (1 + 2 * std::uint64_t{header.links});
  const std::uint64_t vector = header.dim * std::uint64_t{is_fixed_point(header) ? 2U : 4U};
  const std::uint64_t ranges = is_fixed_point(header) ? 2 * sizeof(float) * header.dim : 0;
  return header.header_bytes + 2 * padded(n) + n * sizeof(Id) + ranges + padded(n * vector) +
         padded(n * base_list) + padded(header.upper_lists * list) + kChecksumBytes;
}

template <typename T>
std::span<const std::byte> bytes_of(std::span<T> values) {
  return std::as_bytes(values);
}
template <typename T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

void write_list(index::FileWriter& file, std::span<const Slot> neighbours, std::size_t room) {
  const auto count = static_cast<Slot>(neighbours.size());
  file.write(bytes_of(count));
  file.write(bytes_of(neighbours));
  for (std::size_t i = neighbours.size(); i < room; ++i) file.write(bytes_of(Slot{0}));
}

void write_snapshot(index::FileWriter& file, const IndexOptions& options, const Graph& graph,
                    const std::string& stamp) {
  Header header = {};
  std::copy(std::begin(kMagic), std::end(kMagic), header.magic);
  header.version = kVersion;
  header.header_bytes = static_cast<std::uint32_t>(padded(sizeof(Header) + stamp.size()));
  header.dim = options.dim;
  header.metric = static_cast<std::uint32_t>(options.metric);
  header.links = options.links;
  header.build_breadth = options.build_breadth;
  header.slots = graph.slots();
  header.entry = graph.entry().value_or(kNoSlot);
  header.stamp_bytes = static_cast<std::uint32_t>(stamp.size());
  header.storage = static_cast<std::uint32_t>(options.storage);
  const auto slots = static_cast<Slot>(graph.slots());
  for (Slot slot = 0; slot < slots; ++slot) {
    header.upper_lists += static_cast<std::uint64_t>(graph.level(slot));
  }
  header.file_bytes = file_bytes(header);

  file.write(bytes_of(header));
  file.write(bytes_of(std::span(stamp)));
  file.pad();
  for (Slot slot = 0; slot < slots; ++slot) file.write(bytes_of(graph.state(slot)));
  file.pad();
  for (Slot slot = 0; slot < slots; ++slot) {
    file.write(bytes_of(static_cast<std::uint8_t>(graph.level(slot))));
  }
  file.pad();
  for (Slot slot = 0; slot < slots; ++slot) file.write(bytes_of(graph.id(slot)));
  if (is_fixed_point(header)) {
    // Without a vector there are no ranges yet.
    index::FixedPoint numbers = graph.vectors().numbers();
    numbers.low.resize(options.dim);
    numbers.unit.resize(options.dim);
    file.write(bytes_of(std::span(numbers.low)));
    file.write(bytes_of(std::span(numbers.unit)));
  }
  std::vector<std::byte> vector(graph.vectors().bytes_on_disk());
  for (Slot slot = 0; slot < slots; ++slot) {
    graph.vectors().save(slot, vector);
    file.write(vector);
  }
  file.pad();
  for (Slot slot = 0; slot < slots; ++slot) {
    const bool free = graph.state(slot) == SlotState::kFree;
    write_list(file, free ? std::span<const Slot>() : graph.neighbours(slot, 0),
               graph.max_neighbours(0));
  }
  file.pad();
  for (Slot slot = 0; slot < slots; ++slot) {
    for (int level = 1; level <= graph.level(slot); ++level) {
      write_list(file, graph.neighbours(slot, level), graph.max_neighbours(level));
    }
  }
  file.pad();
  file.finish();
}

// Reads a snapshot and refuses whatever does not fit together.
class SnapshotReader {
 public:
  explicit SnapshotReader(const std::filesystem::path& path) : path_(path), file_(path) {}

  // Checks everything that says how much memory the rest takes, and the checksum.
  void read_header();
  IndexOptions options() const {
    IndexOptions options;
    options.dim = header_.dim;
    options.metric = static_cast<Metric>(header_.metric);
    options.links = header_.links;
    options.build_breadth = header_.build_breadth;
    options.storage = static_cast<Storage>(header_.storage);
    return options;
  }
  const std::string& stamp() const { return stamp_; }
  void read_graph(Graph& graph, index::IdTable& table);

 private:
  void read_ranges(Graph& graph);
  void read_slots(Graph& graph, index::IdTable& table);
  void read_list(Graph& graph, Slot slot, int level);
  void check_entry(const Graph& graph) const;

  template <typename T>
  void read(std::span<T> values) {
    if (!file_.read(std::as_writable_bytes(values))) refuse("it ends too early");
    position_ += values.size_bytes();
  }
  void skip_padding() {
    std::byte padding[8];
    read(std::span(padding).first(static_cast<std::size_t>(padded(position_) - position_)));
  }
  [[noreturn]] void refuse(const std::string& why) const {
    throw Error(ErrorCode::kCorrupt,
                fmt::format("the index snapshot '{}' is damaged: {}: delete it and build the index "
                            "again",
                            path_.string(), why));
  }

  std::filesystem::path path_;
  index::FileReader file_;
  std::uint64_t position_ = 0;
  Header header_ = {};
  std::string stamp_;
};

void SnapshotReader::read_header() {
  const auto size =
      static_cast<std::size_t>(std::min<std::uint64_t>(file_.size(), kFloatHeaderBytes));
  read(std::as_writable_bytes(std::span(&header_, 1)).first(size));
  if (size < sizeof(kMagic) || !std::equal(std::begin(kMagic), std::end(kMagic), header_.magic)) {
    throw Error(ErrorCode::kCorrupt, fmt::format("'{}' is not an index snapshot: give a file that "
                                                 "Index::save() wrote",
                                                 path_.string()));
  }
  if (size < kFloatHeaderBytes) refuse("it ends within its header");
  if (header_.version == kFloatVersion) {
    header_.storage = static_cast<std::uint32_t>(Storage::kFloat32);
  } else if (header_.version == kVersion) {
    if (file_.size() < sizeof(Header)) refuse("it ends within its header");
    read(std::as_writable_bytes(std::span(&header_, 1)).subspan(kFloatHeaderBytes));
  } else {
    throw Error(ErrorCode::kCorrupt,
                fmt::format("the index snapshot '{}' has format version {} and this library reads "
                            "versions 1 to {}: build the index again",
                            path_.string(), header_.version, kVersion));
  }
  try {
    index::check_options(options());
  } catch (const Error& error) {
    refuse(error.what());
  }
  if (header_.slots > Graph::kMaxSlots ||
      header_.upper_lists > header_.slots * std::uint64_t{Graph::kMaxLevel} ||
      header_.stamp_bytes > kMaxStampBytes ||
      header_.header_bytes != padded(bytes_of_header(header_.version) + header_.stamp_bytes)) {
    refuse("its header asks for the impossible");
  }
  if (header_.file_bytes != file_bytes(header_) || header_.file_bytes != file_.size()) {
    refuse(fmt::format("it is {} bytes long and should be {}", file_.size(), file_bytes(header_)));
  }
  if (!file_.checksum_matches()) refuse("its checksum does not match");
  position_ = bytes_of_header(header_.version);
  file_.seek(position_);
  stamp_.resize(header_.stamp_bytes);
  read(std::span(stamp_));
  skip_padding();
}

void SnapshotReader::read_graph(Graph& graph, index::IdTable& table) {
  graph.reserve(static_cast<std::size_t>(header_.slots));
  table = index::IdTable(static_cast<std::size_t>(header_.slots));
  read_slots(graph, table);
  const auto slots = static_cast<Slot>(graph.slots());
  for (Slot slot = 0; slot < slots; ++slot) read_list(graph, slot, 0);
  skip_padding();
  for (Slot slot = 0; slot < slots; ++slot) {
    for (int level = 1; level <= graph.level(slot); ++level) read_list(graph, slot, level);
  }
  check_entry(graph);
  graph.finish_restore(header_.entry);
}

void SnapshotReader::read_ranges(Graph& graph) {
  index::FixedPoint numbers{std::vector<float>(header_.dim), std::vector<float>(header_.dim)};
  read(std::span(numbers.low));
  read(std::span(numbers.unit));
  for (std::size_t i = 0; i < header_.dim; ++i) {
    if (!std::isfinite(numbers.low[i]) || !std::isfinite(numbers.unit[i]) || numbers.unit[i] < 0) {
      refuse(fmt::format("the range of dimension {} is none", i));
    }
  }
  if (header_.slots > 0) graph.restore_numbers(std::move(numbers));
}

void SnapshotReader::read_slots(Graph& graph, index::IdTable& table) {
  const auto slots = static_cast<std::size_t>(header_.slots);
  std::vector<SlotState> states(slots);
  std::vector<std::uint8_t> levels(slots);
  std::vector<Id> ids(slots);
  read(std::span(states));
  skip_padding();
  read(std::span(levels));
  skip_padding();
  read(std::span(ids));
  if (is_fixed_point(header_)) read_ranges(graph);
  std::uint64_t upper_lists = 0;
  std::vector<std::byte> stored(graph.vectors().bytes_on_disk());
  std::vector<float> vector(header_.dim);
  for (std::size_t i = 0; i < slots; ++i) {
    read(std::span(stored));
    const auto slot = static_cast<Slot>(i);
    const SlotState state = states[i];
    if (state > SlotState::kRemoved) refuse(fmt::format("slot {} has no known state", slot));
    if (levels[i] > Graph::kMaxLevel || (state == SlotState::kFree && levels[i] > 0)) {
      refuse(fmt::format("slot {} is on level {}", slot, levels[i]));
    }
    upper_lists += levels[i];
    if (upper_lists > header_.upper_lists) refuse("it has too few lists for its levels");
    if (state == SlotState::kLive) {
      if (table.find(ids[i])) refuse(fmt::format("id {} stands in it twice", ids[i]));
      table.set(ids[i], slot);
    }
    graph.restore_slot(slot, state, ids[i], levels[i], stored);
    if (state == SlotState::kFree) continue;
    graph.vectors().read(slot, vector);
    const std::string defect = index::stored_vector_defect(vector, options().metric);
    if (!defect.empty()) refuse(fmt::format("the vector in slot {} {}", slot, defect));
  }
  if (upper_lists != header_.upper_lists) refuse("it has too many lists for its levels");
  skip_padding();
}

void SnapshotReader::read_list(Graph& graph, Slot slot, int level) {
  Slot count = 0;
  read(std::span(&count, 1));
  std::vector<Slot> list(graph.max_neighbours(level));
  read(std::span(list));
  const bool free = graph.state(slot) == SlotState::kFree;
  if (count > (free ? 0 : list.size())) {
    refuse(fmt::format("slot {} has {} neighbours on level {}", slot, count, level));
  }
  list.resize(count);
  for (const Slot neighbour : list) {
    if (neighbour >= graph.slots() || neighbour == slot ||
        graph.state(neighbour) == SlotState::kFree || graph.level(neighbour) < level) {
      refuse(fmt::format("slot {} links to slot {} on level {}", slot, neighbour, level));
    }
  }
  graph.restore_neighbours(slot, level, list);
}

void SnapshotReader::check_entry(const Graph& graph) const {
  if (graph.live() == 0 && header_.entry == kNoSlot) return;
  if (header_.entry >= graph.slots() || graph.state(header_.entry) != SlotState::kLive) {
    refuse("its entry point is no vector");
  }
  for (Slot slot = 0; slot < graph.slots(); ++slot) {
    if (graph.state(slot) == SlotState::kLive && graph.level(slot) > graph.level(header_.entry)) {
      refuse("its entry point is not on the top level");
    }
  }
}

}  // namespace

void Index::save(const std::filesystem::path& path, const std::string& stamp) const {
  if (stamp.size() > kMaxStampBytes) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("the stamp has {} bytes: give at most {}",
                                                         stamp.size(), kMaxStampBytes));
  }
  const std::lock_guard writer(impl_->writer);
  index::with_memory_for("save the index", [&] {
    index::FileWriter file(path);
    write_snapshot(file, impl_->options, *impl_->graph, stamp);
  });
}

Index Index::load(const std::filesystem::path& path, std::string* stamp) {
  return index::with_memory_for("open the index snapshot", [&] {
    SnapshotReader reader(path);
    reader.read_header();
    auto impl = std::make_unique<Impl>(reader.options());
    reader.read_graph(*impl->graph, impl->slots);
    if (stamp != nullptr) *stamp = reader.stamp();
    return Index(std::move(impl));
  });
}

}  // namespace vsearch
