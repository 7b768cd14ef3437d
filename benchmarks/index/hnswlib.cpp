// hnswlib behind a C interface for ctypes: compiled for this machine, and with a filter in C++,
// since that of its Python package is called back in Python for every vector.
#include <hnswlib.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

using Graph = hnswlib::HierarchicalNSW<float>;

struct Index {
  std::size_t dim;
  std::unique_ptr<hnswlib::SpaceInterface<float>> space;
  std::unique_ptr<Graph> graph;
};

class Bitmap : public hnswlib::BaseFilterFunctor {
 public:
  explicit Bitmap(const std::uint8_t* bits) : bits_(bits) {}
  bool operator()(hnswlib::labeltype id) override { return (bits_[id >> 3] >> (id & 7)) & 1; }

 private:
  const std::uint8_t* bits_;
};

Index* empty(std::size_t dim, bool l2) {
  auto* index = new Index{dim, nullptr, nullptr};
  if (l2) {
    index->space = std::make_unique<hnswlib::L2Space>(dim);
  } else {
    index->space = std::make_unique<hnswlib::InnerProductSpace>(dim);
  }
  return index;
}

}  // namespace

extern "C" {

Index* hnsw_create(std::size_t dim, bool l2, std::size_t capacity, std::size_t links,
                   std::size_t build_breadth) {
  Index* index = empty(dim, l2);
  index->graph = std::make_unique<Graph>(index->space.get(), capacity, links, build_breadth,
                                         /*random_seed=*/100, /*allow_replace_deleted=*/true);
  return index;
}

Index* hnsw_load(const char* path, std::size_t dim, bool l2) {
  Index* index = empty(dim, l2);
  index->graph = std::make_unique<Graph>(index->space.get(), std::string(path));
  return index;
}

void hnsw_free(Index* index) {
  delete index;
}

void hnsw_save(Index* index, const char* path) {
  index->graph->saveIndex(path);
}

// Into the slots of removed vectors first.
void hnsw_add(Index* index, const float* rows, const std::uint64_t* ids, std::size_t count,
              std::size_t threads) {
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    for (std::size_t i = next++; i < count; i = next++) {
      index->graph->addPoint(rows + i * index->dim, ids[i], /*replace_deleted=*/true);
    }
  };
  std::vector<std::thread> helpers;
  for (std::size_t i = 1; i < threads; ++i) helpers.emplace_back(work);
  work();
  for (std::thread& helper : helpers) helper.join();
}

void hnsw_remove(Index* index, const std::uint64_t* ids, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) index->graph->markDelete(ids[i]);
}

// `bits`: one a label, or null. `found`: [count x k], filled up with the greatest number.
void hnsw_search(Index* index, const float* queries, std::size_t count, std::size_t k,
                 std::size_t breadth, const std::uint8_t* bits, std::uint64_t* found) {
  index->graph->setEf(breadth);
  Bitmap bitmap(bits);
  std::fill_n(found, count * k, std::numeric_limits<std::uint64_t>::max());
  for (std::size_t i = 0; i < count; ++i) {
    auto nearest =
        index->graph->searchKnn(queries + i * index->dim, k, bits != nullptr ? &bitmap : nullptr);
    for (; !nearest.empty(); nearest.pop())
      found[i * k + nearest.size() - 1] = nearest.top().second;
  }
}
}
