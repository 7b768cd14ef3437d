// How a graph that was read from a snapshot is looked through.
#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "index/graph.h"
#include "util/parallel.h"

namespace vsearch::index {
namespace {

constexpr std::size_t kTogether = 16384;  // of slots or buckets, for one thread at a time

// Calls `defect_in(begin, end)` for parts of 0 to count - 1, on several threads; returns the first
// thing it finds.
std::string first_defect(std::size_t count, std::size_t threads,
                         const std::function<std::string(std::size_t, std::size_t)>& defect_in) {
  const std::size_t parts = (count + kTogether - 1) / kTogether;
  std::vector<std::string> defects(parts);
  util::share(parts, threads, [&](const auto& next) {
    while (const std::optional<std::size_t> part = next()) {
      const std::size_t begin = *part * kTogether;
      defects[*part] = defect_in(begin, std::min(begin + kTogether, count));
    }
  });
  const auto first = std::ranges::find_if(defects, [](const auto& text) { return !text.empty(); });
  return first == defects.end() ? std::string() : *first;
}

}  // namespace

std::vector<Section> Graph::sections(std::size_t slots, std::size_t upper) {
  std::vector<Section> result = links_.sections(slots, upper);
  result.push_back({"nodes", &nodes_, slots});
  result.push_back({"ids", &ids_, slots});
  return result;
}

void Graph::restore_slot(Slot slot, SlotState state, Id id, int level,
                         std::span<const std::byte> vector) {
  links_.reserve_upper(static_cast<std::size_t>(level));
  links_.make(slot, level);
  vectors_.restore(slot, vector);
  set_id(slot, id);
  node(slot) = {state, static_cast<std::uint8_t>(level)};
}

std::string Graph::restore(std::size_t slots, std::size_t upper, Slot entry, std::size_t threads) {
  reserve(slots);
  std::string defect = restore_nodes(slots, entry);
  if (defect.empty()) defect = restore_upper(upper);
  if (!defect.empty()) return defect;
  levels_drawn_ = slots;
  return first_defect(slots, threads, [&](std::size_t begin, std::size_t end) {
    std::string found;
    for (auto slot = static_cast<Slot>(begin); slot < end && found.empty(); ++slot) {
      if (state(slot) == SlotState::kFree) continue;
      if (!free_.empty() || !links_.are_below(slot, slots_)) found = defect_of_list(slot, 0);
    }
    return found;
  });
}

std::string Graph::restore_nodes(std::size_t slots, Slot entry) {
  slots_ = slots;
  for (Slot slot = 0; slot < slots; ++slot) {
    const Node& read = node(slot);
    if (read.state > SlotState::kRemoved) return fmt::format("slot {} has no known state", slot);
    if (read.level > kMaxLevel || (read.state == SlotState::kFree && read.level > 0)) {
      return fmt::format("slot {} is on level {}", slot, read.level);
    }
    if (read.state == SlotState::kFree) free_.push_back(slot);
    removed_ += read.state == SlotState::kRemoved ? 1 : 0;
    if (read.state != SlotState::kLive) continue;
    ++live_;
    top_level_ = std::max<int>(top_level_, read.level);
  }
  if (live_ == 0) return {};
  if (entry >= slots || state(entry) != SlotState::kLive) return "its entry point is no vector";
  if (level(entry) != top_level_) return "its entry point is not on the top level";
  entry_ = entry;
  return {};
}

std::string Graph::restore_upper(std::size_t upper) {
  std::vector<bool> taken(upper);
  for (Slot slot = 0; slot < slots_; ++slot) {
    if (!links_.take_lists(slot, level(slot), taken)) {
      return fmt::format("slot {} has not the lists of its level", slot);
    }
    for (int at = 1; at <= level(slot); ++at) {
      std::string defect = defect_of_list(slot, at);
      if (!defect.empty()) return defect;
    }
  }
  std::vector<std::uint32_t> free;
  for (std::size_t number = 0; number < upper; ++number) {
    if (!taken[number]) free.push_back(static_cast<std::uint32_t>(number));
  }
  links_.restore(upper, std::move(free));
  return {};
}

std::string Graph::defect_of_list(Slot slot, int at) const {
  for (const Slot neighbour : links_.neighbours(slot, at)) {
    if (neighbour >= slots_ || neighbour == slot || state(neighbour) == SlotState::kFree ||
        level(neighbour) < at) {
      return fmt::format("slot {} links to slot {} on level {}", slot, neighbour, at);
    }
  }
  return {};
}

std::string Graph::restore(IdTable& table, std::size_t buckets, std::size_t threads) const {
  table.restore(buckets, live_);
  std::size_t held = 0;
  for (std::size_t bucket = 0; bucket < buckets; ++bucket) held += table.slot_in(bucket) ? 1 : 0;
  // Some bucket is empty then, so that a search of the table ends.
  if (held != live_ || held > table.capacity()) {
    return fmt::format("its table has {} ids of {}", held, live_);
  }
  // As many as are live, no two the same: so these are all of them.
  return first_defect(buckets, threads, [&](std::size_t begin, std::size_t end) {
    for (std::size_t bucket = begin; bucket < end; ++bucket) {
      const std::optional<Slot> slot = table.slot_in(bucket);
      if (!slot) continue;
      const Id there = table.id_in(bucket);
      if (*slot >= slots_ || state(*slot) != SlotState::kLive || id(*slot) != there) {
        return fmt::format("its table says that id {} is in slot {}", there, *slot);
      }
      if (!table.leads_to(bucket)) {
        return fmt::format("id {} stands in it twice, or where its table does not find it", there);
      }
    }
    return std::string();
  });
}

}  // namespace vsearch::index
