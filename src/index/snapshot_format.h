// What the parts of a snapshot look like: docs/formats.md, "Index snapshot".
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "index/arena.h"
#include "index/graph.h"
#include "index/id_table.h"
#include "index/snapshot_file.h"

namespace vsearch::index {

static_assert(std::endian::native == std::endian::little, "the file is little-endian");

constexpr std::array<char, 8> kSnapshotMagic = {'V', 'S', 'E', 'A', 'R', 'C', 'H', 'I'};
constexpr std::uint32_t kSnapshotVersion = 3;
constexpr std::uint64_t kMaxStampBytes = 65536;
constexpr Slot kNoSlot = 0xFFFFFFFF;

// A section that is as large as that begins at a multiple of it, so that it can be mapped, with
// huge pages where the file system has them. The others begin at a multiple of kSmallAlignment.
constexpr std::uint64_t kLargeSection = std::uint64_t{2} << 20;
constexpr std::uint64_t kSmallAlignment = 64;

// The beginning; version 1 ends before `storage`, version 2 after `sections`.
struct SnapshotHeader {
  std::array<char, 8> magic;
  std::uint32_t version;
  std::uint32_t header_bytes;
  std::uint64_t file_bytes;
  std::uint32_t dim;
  std::uint32_t metric;
  std::uint32_t links;
  std::uint32_t build_breadth;
  std::uint64_t slots;
  std::uint64_t upper_lists;
  std::uint32_t entry;
  std::uint32_t stamp_bytes;
  std::uint32_t storage;
  std::uint32_t sections;
  std::uint64_t buckets;
};
static_assert(sizeof(SnapshotHeader) == 80);

// Then one for each section, in this order of the file; then the stamp, zeros up to a multiple of 8
// bytes, and the checksum of all this.
struct SnapshotEntry {
  std::array<char, 16> name;
  std::uint64_t offset;
  std::uint64_t records;
  std::uint32_t record_bytes;
  std::uint32_t reserved;
  std::uint64_t checksum;

  std::uint64_t bytes() const { return records * record_bytes; }
};
static_assert(sizeof(SnapshotEntry) == 48);

inline std::uint64_t rounded_up(std::uint64_t bytes, std::uint64_t multiple) {
  return (bytes + multiple - 1) / multiple * multiple;
}

inline std::uint64_t snapshot_header_bytes(std::size_t sections, std::uint64_t stamp_bytes) {
  return rounded_up(sizeof(SnapshotHeader) + sections * sizeof(SnapshotEntry) + stamp_bytes, 8) +
         sizeof(std::uint64_t);
}

// What a snapshot holds of an index besides the vectors: what a walk follows. `encoding` is for the
// numbers that belong to the encoding of vectors; of the rest there are `slots`, `upper` and
// `buckets`.
std::vector<Section> followed_sections(Graph& graph, IdTable& table, Arena& encoding,
                                       std::size_t slots, std::size_t upper, std::size_t buckets);

// Where sections are in a file, all but their checksums: the small ones first, in their order.
std::vector<SnapshotEntry> snapshot_layout(std::span<const Section> sections,
                                           std::uint64_t header_bytes);

inline std::uint64_t snapshot_file_bytes(std::span<const SnapshotEntry> entries) {
  return entries.back().offset + entries.back().bytes();
}

// The fields that all formats have. Throws kCorrupt if this is no snapshot, or one that is newer
// than this library.
SnapshotHeader read_snapshot_header(FileReader& file);

// Throws kCorrupt if they are out of range; `path` is named.
IndexOptions options_in(const SnapshotHeader& header, const std::filesystem::path& path);

}  // namespace vsearch::index
