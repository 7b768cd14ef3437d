#include "index/snapshot_check.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <optional>
#include <system_error>
#include <utility>

#include "index/snapshot_file.h"
#include "index/vectors.h"
#include "util/parallel.h"

namespace vsearch::index {

BackgroundCheck::~BackgroundCheck() {
  // A forked child has the object but not the thread: there is nobody to join.
  if (thread_ && ::getpid() != process_) static_cast<void>(thread_.release());
}

void BackgroundCheck::start(const std::filesystem::path& path, Look look) {
  path_ = path;
  look_ = std::move(look);
  process_ = ::getpid();
  state_ = State::kLooking;
  try {
    thread_ = std::make_unique<std::jthread>([this](const std::stop_token& stop) { finish(stop); });
  } catch (const std::system_error&) {
    finish({});
  }
}

void BackgroundCheck::wait() {
  if (state_.load(std::memory_order_acquire) == State::kLooking) {
    if (::getpid() == process_) {
      state_.wait(State::kLooking, std::memory_order_acquire);
    } else {
      const std::lock_guard lock(mutex_);
      if (state_ == State::kLooking) finish({});
    }
  }
  throw_if_damaged();
}

void BackgroundCheck::finish(const std::stop_token& stop) noexcept {
  State state = State::kDamaged;  // also if memory runs out
  try {
    defect_ = look_(stop);
    if (defect_.empty()) state = State::kSound;
  } catch (const std::exception&) {
    defect_.clear();
  }
  state_.store(state, std::memory_order_release);
  state_.notify_all();
}

void BackgroundCheck::throw_damaged() const {
  refuse_snapshot(path_, defect_.empty() ? "there was no memory to look through it" : defect_);
}

std::string defect_of_sections(std::span<const LoadedSection> sections, std::size_t threads,
                               const std::stop_token& stop) {
  struct Block {
    std::size_t section;
    std::size_t number;
  };
  std::vector<Block> blocks;
  std::vector<std::vector<std::uint64_t>> checksums(sections.size());
  for (std::size_t i = 0; i < sections.size(); ++i) {
    checksums[i].resize((sections[i].entry.bytes() + kChecksumBlock - 1) / kChecksumBlock);
    for (std::size_t number = 0; number < checksums[i].size(); ++number) {
      blocks.push_back({i, number});
    }
  }
  std::atomic<bool> unreadable = false;
  util::share(blocks.size(), threads, [&](const auto& next) {
    while (const std::optional<std::size_t> i = next()) {
      if (stop.stop_requested() || unreadable) return;
      const Block& block = blocks[*i];
      const LoadedSection& section = sections[block.section];
      const std::size_t begin = block.number * kChecksumBlock;
      const std::size_t bytes =
          std::min<std::size_t>(kChecksumBlock, section.entry.bytes() - begin);
      if (!section.arena->read_ahead(begin, bytes)) {
        unreadable = true;
        return;
      }
      checksums[block.section][block.number] =
          block_checksum({section.arena->at(0) + begin, bytes});
    }
  });
  if (unreadable) return "the system cannot read a part of it";
  if (stop.stop_requested()) return {};
  for (std::size_t i = 0; i < sections.size(); ++i) {
    const SnapshotEntry& entry = sections[i].entry;
    if (checksum_of_blocks(checksums[i]) != entry.checksum) {
      return fmt::format("the checksum of its section '{}' does not match", entry.name.data());
    }
  }
  return {};
}

std::string defect_of_vectors(const Graph& graph, Metric metric, std::size_t threads,
                              const std::stop_token& stop) {
  constexpr std::size_t kTogether = 1024;  // slots, for one thread at a time
  const std::size_t parts = (graph.slots() + kTogether - 1) / kTogether;
  std::vector<std::string> defects(parts);
  util::share(parts, threads, [&](const auto& next) {
    std::vector<float> vector(graph.vectors().dim());
    while (const std::optional<std::size_t> part = next()) {
      if (stop.stop_requested()) return;
      const std::size_t end = std::min((*part + 1) * kTogether, graph.slots());
      for (auto slot = static_cast<Slot>(*part * kTogether); slot < end; ++slot) {
        if (graph.state(slot) == SlotState::kFree) continue;
        graph.vectors().read(slot, vector);
        // Ranges follow the live vectors, and a removed one is cut to them: of any length.
        const bool live = graph.state(slot) == SlotState::kLive;
        std::string defect = stored_vector_defect(vector, live ? metric : Metric::kInnerProduct);
        if (defect.empty()) defect = graph.vectors().defect_of_derived(slot);
        if (defect.empty()) continue;
        defects[*part] = fmt::format("the vector in slot {} {}", slot, defect);
        break;
      }
    }
  });
  const auto first = std::ranges::find_if(defects, [](const auto& text) { return !text.empty(); });
  return first == defects.end() ? std::string() : *first;
}

}  // namespace vsearch::index
