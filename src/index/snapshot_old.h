// Snapshots of formats 1 and 2, which this library still reads.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "index/graph.h"
#include "index/id_table.h"
#include "index/snapshot_file.h"
#include "index/snapshot_format.h"

namespace vsearch::index {

constexpr std::uint32_t kLastOldVersion = 2;

// Reads such a file and refuses whatever does not fit together (kCorrupt).
class OldSnapshotReader {
 public:
  // Checks everything that says how much memory the rest takes, and the checksum.
  explicit OldSnapshotReader(FileReader& file);
  IndexOptions options() const { return options_in(header_, file_.path()); }
  const std::string& stamp() const { return stamp_; }
  void read(Graph& graph, IdTable& table, std::size_t threads);

 private:
  void read_encoding(Graph& graph);
  void read_slots(Graph& graph, IdTable& table);
  void read_list(Graph& graph, Slot slot, int level);
  std::uint64_t file_bytes() const;
  bool is_fixed_point() const;

  template <typename T>
  void read(std::span<T> values) {
    if (!file_.read(std::as_writable_bytes(values))) refuse("it ends too early");
    position_ += values.size_bytes();
  }
  void skip_padding() {
    std::byte padding[8];
    read(std::span(padding).first(static_cast<std::size_t>(rounded_up(position_, 8) - position_)));
  }
  [[noreturn]] void refuse(std::string_view why) const { refuse_snapshot(file_.path(), why); }

  FileReader& file_;
  std::uint64_t position_ = 0;
  SnapshotHeader header_ = {};
  std::string stamp_;
};

}  // namespace vsearch::index
