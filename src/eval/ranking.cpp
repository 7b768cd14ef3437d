#include "eval/ranking.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

#include "index/nearest.h"

namespace vsearch::eval {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNone = std::numeric_limits<float>::quiet_NaN();

// For so many right answers, counting what is nearer than each costs less than sorting.
constexpr std::size_t kMostCounted = 24;
// Cosines that stay in the first-level cache while they are compared with every right answer.
constexpr std::size_t kCountedTogether = 4096;
// Looked at together for one that is near enough to be kept.
constexpr std::size_t kScannedTogether = 32;
// Fewer entries than this are sorted by comparing.
constexpr std::size_t kFewEntries = 512;

std::uint32_t count_at_least(std::span<const float> cosines, float least) {
  std::uint32_t count = 0;
  for (const float cosine : cosines) count += cosine >= least ? 1U : 0U;
  return count;
}

float largest(std::span<const float> cosines) {
  std::array<float, kScannedTogether> lanes;
  lanes.fill(-kInfinity);
  std::size_t row = 0;
  for (; row + lanes.size() <= cosines.size(); row += lanes.size()) {
    for (std::size_t lane = 0; lane < lanes.size(); ++lane) {
      lanes[lane] = lanes[lane] < cosines[row + lane] ? cosines[row + lane] : lanes[lane];
    }
  }
  for (; row < cosines.size(); ++row) lanes[0] = std::max(lanes[0], cosines[row]);
  return std::ranges::max(lanes);
}

// A number that is smaller the nearer a row is: by its cosine, and then by itself.
std::uint64_t entry(float cosine, std::uint32_t row) {
  const auto bits = std::bit_cast<std::uint32_t>(cosine + 0.0F);  // makes 0 of -0
  const std::uint32_t descending = (bits >> 31) != 0 ? bits : ~bits & 0x7FFFFFFFU;
  return std::uint64_t{descending} << 32 | row;
}

}  // namespace

Ranker::Ranker(std::size_t gallery, std::size_t kept)
    : kept_(std::min(gallery, kept)), is_right_(gallery) {}

const Ranking& Ranker::rank(std::span<float> cosines, std::span<const std::uint32_t> right,
                            std::span<const std::uint32_t> removed) {
  // Below everything that takes part.
  for (const std::uint32_t row : removed) cosines[row] = -kInfinity;
  right_cosines_.clear();
  for (const std::uint32_t row : right) right_cosines_.push_back(cosines[row]);
  for (const std::uint32_t row : right) is_right_[row] = 1;
  find_nearest(cosines);
  ranking_.right_ranks.clear();
  ranking_.nearest_right = right.empty() ? kNone : std::ranges::max(right_cosines_);
  if (right.size() <= kMostCounted) {
    count_nearer(cosines, right);
  } else {
    sort_down_to(std::ranges::min(right_cosines_), cosines, right);
  }
  ranking_.nearest_wrong = find_wrong(cosines, right);
  for (const std::uint32_t row : right) is_right_[row] = 0;
  return ranking_;
}

void Ranker::find_nearest(std::span<const float> cosines) {
  index::Nearest<Neighbor> nearest(kept_);
  float bar = -kInfinity;  // of equal ones the first is kept: what comes must be above it
  for (std::size_t begin = 0; begin < cosines.size(); begin += kScannedTogether) {
    const std::size_t end = std::min(begin + kScannedTogether, cosines.size());
    int any = 0;
    for (std::size_t row = begin; row < end; ++row) any |= cosines[row] > bar ? 1 : 0;
    if (any == 0) continue;
    for (std::size_t row = begin; row < end; ++row) {
      if (!(cosines[row] > bar)) continue;
      nearest.offer({row, -cosines[row]});
      if (nearest.full()) bar = -nearest.farthest();
    }
  }
  ranking_.nearest = nearest.take();
}

void Ranker::count_nearer(std::span<const float> cosines, std::span<const std::uint32_t> right) {
  ranking_.right_ranks.assign(right.size(), 1);
  for (std::size_t begin = 0; begin < cosines.size(); begin += kCountedTogether) {
    const auto some = cosines.subspan(begin, std::min(kCountedTogether, cosines.size() - begin));
    for (std::size_t i = 0; i < right.size(); ++i) {
      // Equal ones are nearer if they come before it, and not if they come after it.
      const std::size_t before = std::clamp<std::size_t>(right[i], begin, begin + some.size());
      const float cosine = right_cosines_[i];
      ranking_.right_ranks[i] +=
          count_at_least(some.first(before - begin), cosine) +
          count_at_least(some.subspan(before - begin), std::nextafter(cosine, kInfinity));
    }
  }
  std::ranges::sort(ranking_.right_ranks);
}

void Ranker::sort_down_to(float least, std::span<const float> cosines,
                          std::span<const std::uint32_t> right) {
  entries_.resize(cosines.size());
  entry_count_ = 0;
  for (std::size_t row = 0; row < cosines.size(); ++row) {
    entries_[entry_count_] = entry(cosines[row], static_cast<std::uint32_t>(row));
    entry_count_ += cosines[row] >= least ? 1 : 0;
  }
  sort_entries();
  for (std::size_t i = 0; i < entry_count_ && ranking_.right_ranks.size() < right.size(); ++i) {
    if (is_right_[static_cast<std::uint32_t>(entries_[i])] == 0) continue;
    ranking_.right_ranks.push_back(static_cast<std::uint32_t>(i + 1));
  }
}

// By radix, in passes that each keep the order of equal digits. Rows ascend already: what is sorted
// by are the cosines, the upper half.
void Ranker::sort_entries() {
  if (entry_count_ < kFewEntries) {
    std::sort(entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(entry_count_));
    return;
  }
  constexpr int kPasses = 3;
  constexpr int kBits = 11;
  constexpr std::size_t kDigits = std::size_t{1} << kBits;
  const auto digit = [](std::uint64_t value, int pass) {
    return static_cast<std::size_t>(value >> (32 + kBits * pass)) % kDigits;
  };
  std::array<std::array<std::uint32_t, kDigits>, kPasses> places{};
  for (std::size_t i = 0; i < entry_count_; ++i) {
    for (int pass = 0; pass < kPasses; ++pass) {
      ++places[static_cast<std::size_t>(pass)][digit(entries_[i], pass)];
    }
  }
  spare_.resize(entries_.size());
  for (int pass = 0; pass < kPasses; ++pass) {
    auto& place = places[static_cast<std::size_t>(pass)];
    std::uint32_t next = 0;
    for (std::uint32_t& count : place) next += std::exchange(count, next);
    for (std::size_t i = 0; i < entry_count_; ++i) {
      spare_[place[digit(entries_[i], pass)]++] = entries_[i];
    }
    entries_.swap(spare_);
  }
}

float Ranker::find_wrong(std::span<float> cosines, std::span<const std::uint32_t> right) {
  for (const Neighbor& near : ranking_.nearest) {
    if (is_right_[near.id] == 0) return -near.distance;
  }
  for (const std::uint32_t row : right) cosines[row] = -kInfinity;
  const float nearest = largest(cosines);
  return nearest == -kInfinity ? kNone : nearest;
}

}  // namespace vsearch::eval
