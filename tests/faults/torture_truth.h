// What an index that many threads change must hold, known without asking it.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "support/vectors.h"
#include "vsearch/index.h"

namespace vsearch_test {

// The vectors that ever stand under `count` ids, and which of them stands there when.
//
// Each id belongs to one thread, which alone adds, replaces and removes it. What it does to an id
// is numbered: the vector that change n brings is a function of the id and n, so that nobody has to
// keep any. Before a change, begin() says what is to come, and finish() after it that it has. A
// search compares what was finished when it began with what was begun when it ended: what it
// returns must have stood there at some moment in between.
//
// Threads: const members, and begin() and finish() of ids of one's own, from many at once.
class Truth {
 public:
  // What happened to an id last. `change`: its number, 0: nothing yet.
  struct State {
    std::uint32_t change = 0;
    bool present = false;
    friend bool operator==(const State&, const State&) = default;
  };

  Truth(std::uint64_t seed, const vsearch::IndexOptions& options, std::size_t count)
      : seed_(seed),
        options_(options),
        begun_(count),
        finished_(count),
        centres_(kCentres, options.dim),
        moves_(kCentres, options.dim) {
    Random random(seed);
    for (float& value : centres_.data) value = random.normal();
    for (float& value : moves_.data) value = random.normal();
    for (std::size_t i = 0; i < count; ++i) number_[id(i)] = i;
  }

  std::size_t size() const { return begun_.size(); }
  // Over the whole range of 64 bits, the ends among them.
  vsearch::Id id(std::size_t i) const {
    return i % 2 == 0 ? i / 2 : ~vsearch::Id{0} - i / 2 * 0x10001;
  }
  // Nothing: no id of ours.
  std::optional<std::size_t> number(vsearch::Id id) const {
    const auto found = number_.find(id);
    if (found == number_.end()) return std::nullopt;
    return found->second;
  }

  State begun(std::size_t i) const { return unpacked(begun_[i]); }
  State finished(std::size_t i) const { return unpacked(finished_[i]); }
  std::vector<State> all_finished() const {
    std::vector<State> states(size());
    for (std::size_t i = 0; i < size(); ++i) states[i] = finished(i);
    return states;
  }
  std::uint32_t begin(std::size_t i, bool present) {
    const std::uint32_t change = begun(i).change + 1;
    begun_[i] = packed({change, present});
    return change;
  }
  void finish(std::size_t i) { finished_[i] = begun_[i].load(); }

  // What change number `change` puts there, as the index stores it. Clusters that move on from one
  // change to the next.
  std::vector<float> vector(std::size_t i, std::uint32_t change) const {
    Random random(seed_ ^ (i * 0x9E3779B97F4A7C15U + change * 0xC2B2AE3D27D4EB4FU));
    const std::size_t cluster = random.below(kCentres);
    const auto way = static_cast<float>(std::sin(0.02 * change + static_cast<double>(cluster)));
    std::vector<float> result(options_.dim);
    for (std::size_t d = 0; d < result.size(); ++d) {
      result[d] = centres_.row(cluster)[d] + way * moves_.row(cluster)[d] + 0.6F * random.normal();
    }
    // Where lengths count they are alike, as those of embeddings are: else few long vectors are
    // next to everything.
    if (options_.metric != vsearch::Metric::kL2) {
      const double length = std::sqrt(squares(result));
      for (float& value : result) value = static_cast<float>(value / length);
    }
    return result;
  }

  double distance(std::span<const float> query, std::span<const float> vector) const {
    double sum = 0;
    if (options_.metric == vsearch::Metric::kL2) {
      for (std::size_t d = 0; d < query.size(); ++d) {
        sum += (double{query[d]} - vector[d]) * (double{query[d]} - vector[d]);
      }
      return sum;
    }
    for (std::size_t d = 0; d < query.size(); ++d) sum += double{query[d]} * vector[d];
    const double length =
        options_.metric == vsearch::Metric::kCosine ? std::sqrt(squares(query)) : 1.0;
    return 1.0 - sum / length;
  }
  // By how much the index may be wrong about distance(). Fixed point loses half a step of each
  // dimension whenever ranges grow.
  double tolerance(std::span<const float> query, std::span<const float> vector) const {
    const double scale =
        options_.metric == vsearch::Metric::kCosine ? 2.0 : squares(query) + squares(vector);
    return scale * (options_.storage == vsearch::Storage::kFloat32 ? 1e-5 : 1e-3);
  }

  // Whether `i` may be found at `distance` from `query` by a search before which `before` was
  // finished, and which is over.
  bool may_be_found(std::size_t i, double found_at, std::span<const float> query,
                    State before) const {
    const std::uint32_t last = begun(i).change;
    for (std::uint32_t change = before.change + (before.present ? 0 : 1); change <= last;
         ++change) {
      const std::vector<float> there = vector(i, change);
      if (std::abs(distance(query, there) - found_at) <= tolerance(query, there)) return true;
    }
    return false;
  }
  // Whether nothing has happened to `i` since.
  bool unchanged(std::size_t i, State before) const { return begun(i) == before; }

 private:
  static constexpr std::size_t kCentres = 40;

  static std::uint32_t packed(State state) { return state.change * 2 + (state.present ? 1 : 0); }
  static State unpacked(std::uint32_t bits) { return {bits / 2, bits % 2 == 1}; }
  static double squares(std::span<const float> vector) {
    double sum = 0;
    for (const float value : vector) sum += double{value} * value;
    return sum;
  }

  const std::uint64_t seed_;
  const vsearch::IndexOptions options_;
  std::vector<std::atomic<std::uint32_t>> begun_;
  std::vector<std::atomic<std::uint32_t>> finished_;
  vsearch::Matrix centres_;
  vsearch::Matrix moves_;
  std::unordered_map<vsearch::Id, std::size_t> number_;
};

}  // namespace vsearch_test
