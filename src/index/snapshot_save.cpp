// How an index is saved: docs/formats.md, "Index snapshot".
#include <algorithm>
#include <cstring>
#include <iterator>
#include <mutex>
#include <new>
#include <shared_mutex>
#include <string_view>

#include "index/index_impl.h"
#include "index/snapshot_file.h"
#include "index/snapshot_format.h"
#include "util/parallel.h"

namespace vsearch {
namespace {

using index::Arena;
using index::Graph;
using index::Section;
using index::Slot;
using index::SlotState;
using index::SnapshotEntry;
using index::SnapshotHeader;

// Bytes that one thread copies at a time. Fewer are copied before another thread has started.
constexpr std::size_t kCopiedTogether = std::size_t{4} << 20;

template <typename T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

// Writes an index as it is while its writers wait. They wait for the copy of what changes in place,
// and where there is no memory for that, for all of it.
class SnapshotWriter {
 public:
  SnapshotWriter(const std::filesystem::path& path, const std::string& stamp)
      : file_(path), stamp_(stamp) {}

  // What would be copied at this moment; `access` is held, shared. Then memory for it, so that
  // writers do not wait for that. Throws std::bad_alloc; copy() will try again.
  std::vector<Section> followed(Graph& graph, index::IdTable& table);
  void make_room(std::span<const Section> sections);

  // While writers wait. `copy()` may be left out: then they must wait for write_sections(), too.
  void begin(const IndexOptions& options, Graph& graph, index::IdTable& table);
  bool copy(std::size_t threads);  // false, with nothing changed: there is no memory

  // `access` is held, shared, for one block of vectors at a time: other writers may move them.
  void write_sections(index::FairSharedMutex& access);
  void finish();

 private:
  void write_followed(const Section& section);
  void write_vectors(const Section& section, index::FairSharedMutex& access);
  std::uint64_t write(const Section& section, index::FairSharedMutex& access);

  index::FileWriter file_;
  const std::string& stamp_;
  SnapshotHeader header_ = {};
  Arena encoding_{sizeof(float)};
  std::vector<Section> followed_;
  std::vector<Section> vectors_;
  std::vector<Arena> copies_;
  std::vector<Slot> free_;  // ascending: nobody knows what lies there
  std::vector<SnapshotEntry> entries_;
};

std::vector<Section> SnapshotWriter::followed(Graph& graph, index::IdTable& table) {
  return index::followed_sections(graph, table, encoding_, graph.slots(), graph.upper_lists(),
                                  table.buckets());
}

void SnapshotWriter::make_room(std::span<const Section> sections) {
  for (std::size_t i = 0; i < sections.size(); ++i) {
    const bool first = i == copies_.size();
    if (first) copies_.emplace_back(sections[i].record_bytes);
    copies_[i].reserve(sections[i].records);
    // The system looks for pages when they are first written to, and takes its time.
    if (first) std::fill_n(copies_[i].at(0), sections[i].bytes(), std::byte{0});
  }
}

void SnapshotWriter::begin(const IndexOptions& options, Graph& graph, index::IdTable& table) {
  header_.magic = index::kSnapshotMagic;
  header_.version = index::kSnapshotVersion;
  header_.dim = options.dim;
  header_.metric = static_cast<std::uint32_t>(options.metric);
  header_.links = options.links;
  header_.build_breadth = options.build_breadth;
  header_.slots = graph.slots();
  header_.upper_lists = graph.upper_lists();
  header_.entry = graph.entry().value_or(index::kNoSlot);
  header_.stamp_bytes = static_cast<std::uint32_t>(stamp_.size());
  header_.storage = static_cast<std::uint32_t>(options.storage);
  header_.buckets = table.buckets();

  const std::vector<float> encoding = graph.vectors().encoding();
  encoding_.reserve(std::max<std::size_t>(1, encoding.size()));
  std::ranges::copy(encoding, reinterpret_cast<float*>(encoding_.at(0)));
  followed_ = followed(graph, table);
  vectors_ = graph.vectors().sections(graph.slots());
  for (Slot slot = 0; slot < graph.slots(); ++slot) {
    if (graph.state(slot) == SlotState::kFree) free_.push_back(slot);
  }

  std::vector<Section> all = followed_;
  all.insert(all.end(), vectors_.begin(), vectors_.end());
  header_.sections = static_cast<std::uint32_t>(all.size());
  header_.header_bytes =
      static_cast<std::uint32_t>(index::snapshot_header_bytes(all.size(), stamp_.size()));
  entries_ = index::snapshot_layout(all, header_.header_bytes);
  header_.file_bytes = index::snapshot_file_bytes(entries_);
}

bool SnapshotWriter::copy(std::size_t threads) {
  struct Part {
    std::size_t section;
    std::size_t begin;
    std::size_t bytes;
  };
  std::vector<Part> parts;
  try {
    make_room(followed_);
    for (std::size_t i = 0; i < followed_.size(); ++i) {
      const Section& section = followed_[i];
      for (std::size_t begin = 0; begin < section.bytes(); begin += kCopiedTogether) {
        parts.push_back(
            {i, begin, std::min<std::size_t>(kCopiedTogether, section.bytes() - begin)});
      }
    }
  } catch (const std::bad_alloc&) {
    return false;
  }
  util::share(parts.size(), threads, [&](const auto& next) {
    while (const std::optional<std::size_t> i = next()) {
      const Part& part = parts[*i];
      std::memcpy(copies_[part.section].at(0) + part.begin,
                  followed_[part.section].arena->at(0) + part.begin, part.bytes);
    }
  });
  for (std::size_t i = 0; i < followed_.size(); ++i) followed_[i].arena = &copies_[i];
  return true;
}

void SnapshotWriter::write_sections(index::FairSharedMutex& access) {
  for (SnapshotEntry& entry : entries_) {
    const auto is_it = [&](const Section& section) {
      return std::string_view(section.name) == entry.name.data();
    };
    file_.begin(entry.offset);
    const auto section = std::ranges::find_if(followed_, is_it);
    if (section != followed_.end()) {
      file_.write({section->arena->at(0), section->bytes()});
    } else {
      write_vectors(*std::ranges::find_if(vectors_, is_it), access);
    }
    entry.checksum = file_.end();
  }
}

// A slot that was in use keeps its vector until all is written. Into those that were free, vectors
// may be written meanwhile: zeros stand for them.
void SnapshotWriter::write_vectors(const Section& section, index::FairSharedMutex& access) {
  const std::size_t record_bytes = section.record_bytes;
  const std::size_t together = std::max<std::size_t>(1, index::kChecksumBlock / record_bytes);
  std::vector<std::byte> block;
  auto free = free_.begin();
  for (std::size_t begin = 0; begin < section.records; begin += together) {
    const std::size_t end = std::min<std::size_t>(begin + together, section.records);
    block.assign((end - begin) * record_bytes, std::byte{0});
    {
      const std::shared_lock lock(access);
      for (std::size_t slot = begin; slot < end;) {
        const std::size_t next = free != free_.end() && *free < end ? *free : end;
        std::memcpy(block.data() + (slot - begin) * record_bytes,
                    section.arena->at(static_cast<Slot>(slot)), (next - slot) * record_bytes);
        slot = next;
        for (; slot < end && free != free_.end() && *free == slot; ++free) ++slot;
      }
    }
    file_.write(block);
  }
}

void SnapshotWriter::finish() {
  std::vector<std::byte> bytes;
  const auto append = [&](std::span<const std::byte> more) {
    bytes.insert(bytes.end(), more.begin(), more.end());
  };
  append(bytes_of(header_));
  append(std::as_bytes(std::span(entries_)));
  append(std::as_bytes(std::span(stamp_)));
  bytes.resize(header_.header_bytes - sizeof(std::uint64_t));
  append(bytes_of(std::uint64_t{XXH3_64bits(bytes.data(), bytes.size())}));
  file_.begin(0);
  file_.write(bytes);
  static_cast<void>(file_.end());
  file_.finish(header_.file_bytes);
}

}  // namespace

void Index::save(const std::filesystem::path& path, const std::string& stamp,
                 const std::function<void()>& settled) const {
  if (stamp.size() > index::kMaxStampBytes) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("the stamp has {} bytes: give at most {}",
                                                         stamp.size(), index::kMaxStampBytes));
  }
  impl_->check.wait();  // so that damage does not get a checksum that is right
  // Else it would wait for the turn of one who waits for this thread.
  impl_->writer.throw_if_mine();
  const std::lock_guard turn(impl_->save_turn);
  index::with_memory_for("save the index", [&] {
    SnapshotWriter snapshot(path, stamp);
    try {
      std::vector<Section> sections;
      {
        const std::shared_lock lock(impl_->access);
        sections = snapshot.followed(*impl_->graph, impl_->slots);
      }
      snapshot.make_room(sections);
    } catch (const std::bad_alloc&) {
      // copy() will say so.
    }
    std::unique_lock writer(impl_->writer);
    snapshot.begin(impl_->options, *impl_->graph, impl_->slots);
    if (snapshot.copy(index::threads_for(impl_->options.threads))) {
      const Impl::Saving saving(*impl_);
      writer.unlock();
      if (settled) settled();
      snapshot.write_sections(impl_->access);
    } else {
      snapshot.write_sections(impl_->access);
      writer.unlock();
      if (settled) settled();
    }
    snapshot.finish();
  });
}

}  // namespace vsearch
