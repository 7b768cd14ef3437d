#include "index/calibration.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <random>

namespace vsearch::index {
namespace {

constexpr std::size_t kQueries = 200;  // of our own
// Vectors made beside stored ones are found a little more easily than real queries. Measured on
// patch tokens and Fashion-MNIST, half the misses have to be allowed for as many to come about.
constexpr double kOptimism = 2.0;
constexpr float kReaches[] = {0.01F, 0.02F, 0.04F, 0.06F, 0.08F, 0.1F,  0.12F,
                              0.16F, 0.2F,  0.25F, 0.33F, 0.45F, 0.65F, 1.0F};
constexpr double kHighest = 0.9995;  // more cannot be told from all with so few queries

std::size_t widest(std::size_t k) {
  return std::max<std::size_t>(512, 8 * k);
}

// Of memory.found, as walks see them, the k nearest, as a search gives them, in the order of slots.
std::vector<Slot> best(const Graph& graph, std::size_t k, const WalkMemory& memory) {
  const std::size_t compared = graph.vectors().to_compare(k, memory.report.expanded);
  std::vector<Candidate> exact;
  for (const Candidate& candidate : memory.found) {
    if (exact.size() == compared) break;
    exact.push_back({graph.vectors().exact(memory.query, candidate.slot), candidate.slot});
  }
  std::sort(exact.begin(), exact.end());
  exact.resize(std::min(exact.size(), k));
  std::vector<Slot> slots;
  for (const Candidate& candidate : exact) slots.push_back(candidate.slot);
  std::sort(slots.begin(), slots.end());
  return slots;
}

std::vector<Slot> walked(const Graph& graph, const Effort& effort, std::size_t k,
                         WalkMemory& memory) {
  memory.report = {};
  graph.walk(effort, nullptr, memory);
  return best(graph, k, memory);
}

// Compared with every vector.
std::vector<Slot> scanned(const Graph& graph, std::size_t k, WalkMemory& memory) {
  memory.report = {};
  const std::size_t kept = k + graph.vectors().to_compare(k, 0);
  memory.pool.begin({kept}, 0.0F);
  for (std::size_t i = 0; i < graph.slots(); ++i) {
    const auto slot = static_cast<Slot>(i);
    if (graph.state(slot) != SlotState::kLive) continue;
    float distance = 0;
    graph.vectors().near(memory.query, {&slot, 1}, &distance);
    memory.pool.offer(distance, slot);
  }
  graph.keep_live(memory.pool, kept, memory);
  return best(graph, k, memory);
}

// A vector three quarters as far from a stored one as its `k` nearest are, in the direction of any
// other: stored vectors themselves are found more easily than what is not in the index.
std::vector<float> beside_a_stored_one(const Graph& graph, std::size_t k, std::mt19937& random,
                                       WalkMemory& memory) {
  const auto any = [&] {
    for (;;) {
      const auto slot = static_cast<Slot>(random() % graph.slots());
      if (graph.state(slot) == SlotState::kLive) return slot;
    }
  };
  const std::size_t dim = graph.vectors().dim();
  const Slot slot = any();
  std::vector<float> vector(dim);
  std::vector<float> other(dim);
  const auto squared = [&](Slot to) {
    graph.vectors().read(to, other);
    double sum = 0;
    for (std::size_t i = 0; i < dim; ++i) {
      const double difference = double{other[i]} - double{vector[i]};
      sum += difference * difference;
    }
    return sum;
  };
  graph.vectors().read(slot, vector);
  graph.vectors().prepare(vector, memory.query);
  graph.walk({4 * k + 16}, nullptr, memory);
  if (memory.found.empty()) return vector;
  const double near = squared(memory.found[std::min(k, memory.found.size() - 1)].slot);
  const double far = squared(any());
  if (far == 0) return vector;
  const auto step = static_cast<float>(std::min(0.75 * std::sqrt(near / far), 0.5));
  for (std::size_t i = 0; i < dim; ++i) vector[i] += step * (other[i] - vector[i]);
  return vector;
}

}  // namespace

Calibration::Calibration(const OnGraph& on_graph, std::span<const std::vector<float>> queries,
                         std::size_t k)
    : k_(k), optimism_(queries.empty() ? kOptimism : 1.0) {
  for (const float reach : kReaches) points_.push_back({reach, 0, 0});
  std::mt19937 random(0);  // the same on every run
  const std::size_t count = queries.empty() ? kQueries : queries.size();
  std::size_t wanted = 0;
  for (std::size_t number = 0; number < count; ++number) {
    on_graph([&](const Graph& graph) {
      if (graph.live() == 0) return;
      const WalkMemories::Lease memory(graph.walk_memories());
      const std::vector<float> query =
          queries.empty() ? beside_a_stored_one(graph, k, random, *memory) : queries[number];
      graph.vectors().prepare(query, memory->query);
      const std::vector<Slot> truth =
          queries.empty() ? walked(graph, {widest(k)}, k, *memory) : scanned(graph, k, *memory);
      wanted += truth.size();
      for (Point& point : points_) {
        const std::vector<Slot> slots = walked(graph, {widest(k), k, point.reach}, k, *memory);
        std::vector<Slot> both;
        std::set_intersection(slots.begin(), slots.end(), truth.begin(), truth.end(),
                              std::back_inserter(both));
        point.recall += static_cast<double>(both.size());
        point.expanded += static_cast<double>(memory->report.expanded);
      }
    });
  }
  double before = 0;
  for (Point& point : points_) {
    point.recall = wanted == 0 ? 1.0 : std::max(before, point.recall / static_cast<double>(wanted));
    point.expanded /= static_cast<double>(count);
    before = point.recall;
  }
}

Effort Calibration::effort(double recall, std::size_t k) const {
  const auto missed = [](double value) { return std::log(1.0 - std::min(value, kHighest)); };
  recall = std::min(1.0 - (1.0 - recall) / optimism_, kHighest);
  const auto above = std::find_if(points_.begin(), points_.end(),
                                  [&](const Point& point) { return point.recall >= recall; });
  Point chosen = points_.front();
  if (above == points_.end()) {
    // Beyond what reach alone gives: the breadth limits it, and is doubled.
    chosen = points_.back();
    return {2 * widest(k_), k, chosen.reach, 2 * static_cast<std::size_t>(chosen.expanded)};
  }
  if (above != points_.begin()) {
    const Point& below = *(above - 1);
    const double part = (missed(recall) - missed(below.recall)) /
                        std::min(missed(above->recall) - missed(below.recall), -1e-9);
    chosen.reach = std::lerp(below.reach, above->reach, static_cast<float>(part));
    chosen.expanded = std::lerp(below.expanded, above->expanded, part);
  }
  return {widest(k_), k, chosen.reach, static_cast<std::size_t>(chosen.expanded) + 1};
}

}  // namespace vsearch::index
