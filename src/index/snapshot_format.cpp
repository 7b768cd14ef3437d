#include "index/snapshot_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "index/index_impl.h"

namespace vsearch::index {
namespace {

constexpr std::size_t kOldestHeaderBytes = 64;  // of format 1

}  // namespace

std::vector<Section> followed_sections(Graph& graph, IdTable& table, Arena& encoding,
                                       std::size_t slots, std::size_t upper, std::size_t buckets) {
  std::vector<Section> result = graph.sections(slots, upper);
  result.push_back({"encoding", &encoding, graph.vectors().encoding().size()});
  for (const Section& section : table.sections(buckets)) result.push_back(section);
  return result;
}

std::vector<SnapshotEntry> snapshot_layout(std::span<const Section> sections,
                                           std::uint64_t header_bytes) {
  std::vector<SnapshotEntry> entries;
  std::uint64_t end = header_bytes;
  for (const bool large : {false, true}) {
    for (const Section& section : sections) {
      if ((section.bytes() >= kLargeSection) != large) continue;
      SnapshotEntry& entry = entries.emplace_back();
      std::ranges::copy(std::string_view(section.name), entry.name.begin());
      entry.offset = rounded_up(end, large ? kLargeSection : kSmallAlignment);
      entry.records = section.records;
      entry.record_bytes = static_cast<std::uint32_t>(section.record_bytes);
      end = entry.offset + entry.bytes();
    }
  }
  return entries;
}

SnapshotHeader read_snapshot_header(FileReader& file) {
  SnapshotHeader header = {};
  const auto size =
      static_cast<std::size_t>(std::min<std::uint64_t>(file.size(), kOldestHeaderBytes));
  if (!file.read(std::as_writable_bytes(std::span(&header, 1)).first(size)) ||
      size < header.magic.size() || header.magic != kSnapshotMagic) {
    throw Error(ErrorCode::kCorrupt, fmt::format("'{}' is not an index snapshot: give a file that "
                                                 "Index::save() wrote",
                                                 file.path().string()));
  }
  if (size < kOldestHeaderBytes) refuse_snapshot(file.path(), "it ends within its header");
  if (header.version == 0 || header.version > kSnapshotVersion) {
    throw Error(ErrorCode::kCorrupt,
                fmt::format("the index snapshot '{}' has format version {} and this library reads "
                            "versions 1 to {}: build the index again",
                            file.path().string(), header.version, kSnapshotVersion));
  }
  return header;
}

IndexOptions options_in(const SnapshotHeader& header, const std::filesystem::path& path) {
  IndexOptions options;
  options.dim = header.dim;
  options.metric = static_cast<Metric>(header.metric);
  options.links = header.links;
  options.build_breadth = header.build_breadth;
  options.storage = static_cast<Storage>(header.storage);
  try {
    check_options(options);
  } catch (const Error& error) {
    refuse_snapshot(path, error.what());
  }
  return options;
}

}  // namespace vsearch::index
