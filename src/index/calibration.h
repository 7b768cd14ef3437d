// How far walks must go for a recall.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "index/graph.h"

namespace vsearch::index {

// What walks of different reach found, of what one with a large breadth did.
// Threads: const members may run at the same time.
class Calibration {
 public:
  // Runs a function on the graph while nothing changes in it.
  using OnGraph = std::function<void(const std::function<void(const Graph&)>&)>;

  // For `k` neighbours; `queries` as Graph takes them, or none: then vectors beside stored ones.
  // Throws std::bad_alloc.
  Calibration(const OnGraph& on_graph, std::span<const std::vector<float>> queries, std::size_t k);

  // For about as many neighbours.
  Effort effort(double recall, std::size_t k) const;

 private:
  struct Point {
    float reach;
    double recall;
    double expanded;  // a walk
  };

  std::size_t k_;
  double optimism_;
  std::vector<Point> points_;  // by reach; recall does not fall
};

}  // namespace vsearch::index
