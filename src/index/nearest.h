// The nearest of many neighbours, in the order in which a search gives them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "vsearch/types.h"

namespace vsearch::index {

inline bool nearer(const Neighbor& a, const Neighbor& b) {
  return a.distance != b.distance ? a.distance < b.distance : a.id < b.id;
}

// What rounding adds beyond the range of 1 - cosine is cut off.
inline float reported(float distance, Metric metric) {
  return metric == Metric::kCosine ? std::clamp(distance, 0.0F, 2.0F) : distance;
}

// Keeps the k nearest of the Items, a Neighbor or more, that it is given.
template <typename Item = Neighbor>
class Nearest {
 public:
  explicit Nearest(std::size_t k) : k_(k) {}

  bool full() const { return heap_.size() == k_; }
  float farthest() const { return heap_.front().distance; }  // of those kept; there must be one

  void offer(const Item& neighbour) {
    if (full()) {
      if (!nearer(neighbour, heap_.front())) return;
      std::pop_heap(heap_.begin(), heap_.end(), nearer);
      heap_.back() = neighbour;
    } else {
      heap_.push_back(neighbour);
    }
    std::push_heap(heap_.begin(), heap_.end(), nearer);
  }

  // Nearest first. Nothing is kept afterwards.
  std::vector<Item> take() {
    std::sort_heap(heap_.begin(), heap_.end(), nearer);
    return std::exchange(heap_, {});
  }

 private:
  std::size_t k_;
  std::vector<Item> heap_;  // the farthest first
};

}  // namespace vsearch::index
