// The parts of an index snapshot, as docs/formats.md has them, to be damaged by tests.
#pragma once

#include <xxhash.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace vsearch_test {

struct SnapshotSection {
  std::string name;
  std::size_t entry_at;  // of its line in the header
  std::size_t at;
  std::size_t bytes;
};

template <typename T>
T number_at(std::string_view bytes, std::size_t at) {
  T value = {};
  if (at > bytes.size() || sizeof(T) > bytes.size() - at) throw std::out_of_range("number_at");
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

template <typename T>
void put_number(std::string& bytes, std::size_t at, T value) {
  if (at > bytes.size() || sizeof(T) > bytes.size() - at) throw std::out_of_range("put_number");
  std::memcpy(bytes.data() + at, &value, sizeof(T));
}

// Of any bytes: only what lies within them.
inline std::vector<SnapshotSection> snapshot_sections(std::string_view bytes) {
  constexpr std::size_t kHeaderBytes = 80;
  constexpr std::size_t kEntryBytes = 48;
  std::vector<SnapshotSection> sections;
  if (bytes.size() < kHeaderBytes) return sections;
  const auto count = number_at<std::uint32_t>(bytes, 68);
  for (std::size_t i = 0; i < std::min<std::uint32_t>(count, 64); ++i) {
    const std::size_t entry = kHeaderBytes + i * kEntryBytes;
    if (bytes.size() < entry + kEntryBytes) break;
    const auto offset = number_at<std::uint64_t>(bytes, entry + 16);
    const auto records = number_at<std::uint64_t>(bytes, entry + 24);
    const auto record_bytes = number_at<std::uint32_t>(bytes, entry + 32);
    if (offset > bytes.size() ||
        (record_bytes > 0 && records > (bytes.size() - offset) / record_bytes)) {
      continue;
    }
    const std::string_view name = bytes.substr(entry, 16);
    sections.push_back({std::string(name.substr(0, name.find('\0'))), entry,
                        static_cast<std::size_t>(offset),
                        static_cast<std::size_t>(records * record_bytes)});
  }
  return sections;
}

inline SnapshotSection snapshot_section(std::string_view bytes, std::string_view name) {
  for (const SnapshotSection& section : snapshot_sections(bytes)) {
    if (section.name == name) return section;
  }
  throw std::out_of_range("no section " + std::string(name));
}

// Makes the checksums of format 3 those of what they are of, or of format 1 or 2.
inline void correct_checksums(std::string& bytes) {
  if (bytes.size() < 16) return;
  if (number_at<std::uint32_t>(bytes, 8) < 3) {
    put_number(bytes, bytes.size() - 8, std::uint64_t{XXH3_64bits(bytes.data(), bytes.size() - 8)});
    return;
  }
  for (const SnapshotSection& section : snapshot_sections(bytes)) {
    constexpr std::size_t kBlock = std::size_t{2} << 20;
    std::vector<std::uint64_t> blocks;
    for (std::size_t done = 0; done < section.bytes; done += kBlock) {
      blocks.push_back(
          XXH3_64bits(bytes.data() + section.at + done, std::min(kBlock, section.bytes - done)));
    }
    put_number(bytes, section.entry_at + 40,
               std::uint64_t{XXH3_64bits(blocks.data(), blocks.size() * 8)});
  }
  const auto header_bytes = number_at<std::uint32_t>(bytes, 12);
  if (header_bytes < 8 || header_bytes > bytes.size()) return;
  put_number(bytes, header_bytes - 8, std::uint64_t{XXH3_64bits(bytes.data(), header_bytes - 8)});
}

}  // namespace vsearch_test
