#include "index/snapshot_old.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "index/vectors.h"

namespace vsearch::index {
namespace {

constexpr std::uint32_t kFloatVersion = 1;  // without `storage`: always kFloat32
constexpr std::size_t kFloatHeaderBytes = 64;
constexpr std::size_t kHeaderBytes = 72;
constexpr std::uint64_t kChecksumBytes = 8;

std::size_t bytes_of_header(std::uint32_t version) {
  return version == kFloatVersion ? kFloatHeaderBytes : kHeaderBytes;
}

}  // namespace

OldSnapshotReader::OldSnapshotReader(FileReader& file) : file_(file) {
  file_.seek(0);
  const std::span<std::byte> bytes = std::as_writable_bytes(std::span(&header_, 1));
  read(bytes.first(kFloatHeaderBytes));
  if (header_.version == kFloatVersion) {
    header_.storage = static_cast<std::uint32_t>(Storage::kFloat32);
  } else {
    read(bytes.subspan(kFloatHeaderBytes, kHeaderBytes - kFloatHeaderBytes));
  }
  const IndexOptions read_options = options();
  if (read_options.storage != Storage::kInt8 && read_options.storage != Storage::kFloat32) {
    refuse(fmt::format("its storage is {}, which its format does not have", header_.storage));
  }
  if (header_.slots > Graph::kMaxSlots ||
      header_.upper_lists > header_.slots * std::uint64_t{Graph::kMaxLevel} ||
      header_.stamp_bytes > kMaxStampBytes ||
      header_.header_bytes !=
          rounded_up(bytes_of_header(header_.version) + header_.stamp_bytes, 8)) {
    refuse("its header asks for the impossible");
  }
  if (header_.file_bytes != file_bytes() || header_.file_bytes != file_.size()) {
    refuse(fmt::format("it is {} bytes long and should be {}", file_.size(), file_bytes()));
  }
  if (!file_.checksum_matches()) refuse("its checksum does not match");
  position_ = bytes_of_header(header_.version);
  file_.seek(position_);
  stamp_.resize(header_.stamp_bytes);
  read(std::span(stamp_));
  skip_padding();
}

bool OldSnapshotReader::is_fixed_point() const {
  return header_.storage == static_cast<std::uint32_t>(Storage::kInt8);
}

// What the file's length must be. The header's fields are in range, so nothing overflows.
std::uint64_t OldSnapshotReader::file_bytes() const {
  const std::uint64_t n = header_.slots;
  const std::uint64_t list = sizeof(Slot) * (1 + std::uint64_t{header_.links});
  const std::uint64_t base_list = sizeof(Slot) * (1 + 2 * std::uint64_t{header_.links});
  const std::uint64_t vector = header_.dim * std::uint64_t{is_fixed_point() ? 2U : 4U};
  const std::uint64_t ranges = is_fixed_point() ? 2 * sizeof(float) * header_.dim : 0;
  return header_.header_bytes + 2 * rounded_up(n, 8) + n * sizeof(Id) + ranges +
         rounded_up(n * vector, 8) + rounded_up(n * base_list, 8) +
         rounded_up(header_.upper_lists * list, 8) + kChecksumBytes;
}

void OldSnapshotReader::read(Graph& graph, IdTable& table, std::size_t threads) {
  const auto slots = static_cast<Slot>(header_.slots);
  graph.reserve(slots);
  table = IdTable(slots);
  read_slots(graph, table);
  for (Slot slot = 0; slot < slots; ++slot) read_list(graph, slot, 0);
  skip_padding();
  for (Slot slot = 0; slot < slots; ++slot) {
    for (int level = 1; level <= graph.level(slot); ++level) read_list(graph, slot, level);
  }
  const std::string defect =
      graph.restore(slots, static_cast<std::size_t>(header_.upper_lists), header_.entry, threads);
  if (!defect.empty()) refuse(defect);
}

void OldSnapshotReader::read_encoding(Graph& graph) {
  if (!is_fixed_point()) return;
  // low and unit; a step was always 256 units.
  const std::size_t dim = header_.dim;
  std::vector<float> low(dim);
  std::vector<float> unit(dim);
  read(std::span(low));
  read(std::span(unit));
  if (header_.slots == 0) return;
  std::vector<float> encoding = std::move(low);
  for (const float value : unit) encoding.push_back(256.0F * value);
  encoding.insert(encoding.end(), unit.begin(), unit.end());
  const std::string defect = graph.vectors().restore_encoding(encoding);
  if (!defect.empty()) refuse(defect);
}

void OldSnapshotReader::read_slots(Graph& graph, IdTable& table) {
  const auto slots = static_cast<std::size_t>(header_.slots);
  std::vector<SlotState> states(slots);
  std::vector<std::uint8_t> levels(slots);
  std::vector<Id> ids(slots);
  read(std::span(states));
  skip_padding();
  read(std::span(levels));
  skip_padding();
  read(std::span(ids));
  read_encoding(graph);
  std::uint64_t upper_lists = 0;
  std::vector<std::byte> stored(graph.vectors().bytes_in_old_snapshot());
  std::vector<float> vector(header_.dim);
  for (std::size_t i = 0; i < slots; ++i) {
    read(std::span(stored));
    const auto slot = static_cast<Slot>(i);
    upper_lists += levels[i];
    if (upper_lists > header_.upper_lists) refuse("it has too few lists for its levels");
    if (states[i] == SlotState::kLive) {
      if (table.find(ids[i])) refuse(fmt::format("id {} stands in it twice", ids[i]));
      table.set(ids[i], slot);
    }
    graph.restore_slot(slot, states[i], ids[i], levels[i], stored);
    if (states[i] == SlotState::kFree) continue;
    graph.vectors().read(slot, vector);
    const std::string defect = stored_vector_defect(vector, options().metric);
    if (!defect.empty()) refuse(fmt::format("the vector in slot {} {}", slot, defect));
  }
  if (upper_lists != header_.upper_lists) refuse("it has too many lists for its levels");
  skip_padding();
}

void OldSnapshotReader::read_list(Graph& graph, Slot slot, int level) {
  Slot count = 0;
  read(std::span(&count, 1));
  std::vector<Slot> list(graph.max_neighbours(level));
  read(std::span(list));
  const bool free = graph.state(slot) == SlotState::kFree;
  if (count > (free ? 0 : list.size())) {
    refuse(fmt::format("slot {} has {} neighbours on level {}", slot, count, level));
  }
  list.resize(count);
  graph.restore_neighbours(slot, level, list);
}

}  // namespace vsearch::index
