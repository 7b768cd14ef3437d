#include "eval/ranking.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>

#include "index/nearest.h"

namespace vsearch::eval {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNone = std::numeric_limits<float>::quiet_NaN();

// For so many right answers, counting what is nearer than each costs less than placing every row.
constexpr std::size_t kMostCounted = 24;
// Cosines that stay in the first-level cache while they are compared with every right answer.
constexpr std::size_t kCountedTogether = 4096;
// Looked at together for one that is near enough to be kept.
constexpr std::size_t kScannedTogether = 32;
// Rows whose bins are computed at a time.
constexpr std::size_t kPlacedTogether = 1024;
constexpr std::uint16_t kBins = 16384;

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

// Cosines from that of the nearest right answer down to that of the farthest, in bins of the same
// width. A smaller cosine never has an earlier bin. What is nearer than all is in the first, and
// what is farther than all in the last or in kBins, behind it.
class Bins {
 public:
  Bins(float nearest, float farthest)
      : nearest_(nearest), scale_(std::min((kBins - 1) / (nearest - farthest), kMostScale)) {}

  [[nodiscard]] std::uint16_t of(float cosine) const {
    const float bin = std::max((nearest_ - cosine) * scale_, 0.0F);
    return static_cast<std::uint16_t>(static_cast<std::int32_t>(bin < kBins ? bin : kBins));
  }

 private:
  static constexpr float kMostScale = 1e30F;  // finite, when all right answers are equally near
  float nearest_;
  float scale_;
};

}  // namespace

Ranker::Ranker(std::size_t gallery, std::size_t kept)
    : kept_(std::min(gallery, kept)), is_right_(gallery), first_(kBins + std::size_t{2}) {}

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
    place_all(cosines, right);
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

// Every row is put before the first right answer that it is nearer than. Which one that is a table
// tells of most rows, by their cosines; the few that share a bin with right answers are compared.
void Ranker::place_all(std::span<const float> cosines, std::span<const std::uint32_t> right) {
  right_entries_.clear();
  for (std::size_t i = 0; i < right.size(); ++i) {
    right_entries_.push_back(entry(right_cosines_[i], right[i]));
  }
  std::ranges::sort(right_entries_);
  const Bins bins(std::ranges::max(right_cosines_), std::ranges::min(right_cosines_));
  std::ranges::sort(right_cosines_, std::greater<>());
  // first_[bin]: how many right answers lie in the bins before it.
  std::size_t filled = 0;
  for (std::size_t i = 0; i < right.size(); ++i) {
    const std::size_t end = bins.of(right_cosines_[i]) + std::size_t{1};
    for (; filled < end; ++filled) first_[filled] = static_cast<std::uint32_t>(i);
  }
  for (; filled < first_.size(); ++filled)
    first_[filled] = static_cast<std::uint32_t>(right.size());

  placed_.assign(right.size() + 1, 0);
  std::array<std::uint16_t, kPlacedTogether> bin;
  for (std::size_t begin = 0; begin < cosines.size(); begin += kPlacedTogether) {
    const std::size_t count = std::min(kPlacedTogether, cosines.size() - begin);
    for (std::size_t i = 0; i < count; ++i) bin[i] = bins.of(cosines[begin + i]);
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint32_t first = first_[bin[i]];
      const std::uint32_t last = first_[bin[i] + std::size_t{1}];
      std::size_t place = first;
      if (first != last) {
        const std::uint64_t own = entry(cosines[begin + i], static_cast<std::uint32_t>(begin + i));
        const auto rights = right_entries_.begin();
        place =
            static_cast<std::size_t>(std::lower_bound(rights + first, rights + last, own) - rights);
      }
      ++placed_[place];
    }
  }
  std::uint32_t rank = 0;
  for (std::size_t i = 0; i < right.size(); ++i) ranking_.right_ranks.push_back(rank += placed_[i]);
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
