#include "vsearch/searcher.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <unordered_map>
#include <unordered_set>

#include "vsearch/error.h"

namespace vsearch {
namespace {

// The vectors a query stands for, and what must not be among the answers.
struct Target {
  Matrix vectors;
  std::string left_out;  // a key, or empty
  std::uint64_t left_out_pictures = 0;
};

Target target_of(const Catalog& catalog, ImageView image) {
  return {catalog.encoder().encode({&image, 1}), {}, 0};
}

Target target_of(const Catalog& catalog, const std::string& key) {
  const Index& index = catalog.index();
  for (int attempts_left = 10;; --attempts_left) {
    const std::vector<Id> ids = catalog.pictures_of(key);
    Target target{Matrix(ids.size(), index.options().dim), key, ids.size()};
    try {
      for (std::size_t i = 0; i < ids.size(); ++i) {
        std::ranges::copy(index.vector(ids[i]), target.vectors.row(i).begin());
      }
      return target;
    } catch (const Error& e) {
      // Removed or replaced since its pictures were listed: look again.
      if (e.code() != ErrorCode::kKeyNotFound || attempts_left == 0) throw;
    }
  }
}

Target target_of(const Catalog& /*catalog*/, std::span<const float> embedding) {
  Target target{Matrix(1, embedding.size()), {}, 0};
  std::ranges::copy(embedding, target.vectors.row(0).begin());
  return target;
}

struct Candidates {
  std::vector<Neighbor> nearest;  // of each picture the smallest distance, nearest first
  // A picture that is not among them is no nearer than this; infinite if there are no others.
  float horizon = std::numeric_limits<float>::infinity();
};

Candidates ask(const Index& index, const Matrix& vectors, const SearchOptions& options) {
  Candidates result;
  std::unordered_map<Id, float> nearest;
  for (std::size_t i = 0; i < vectors.rows; ++i) {
    const std::vector<Neighbor> found = index.search(vectors.row(i), options);
    if (found.size() == options.k) {
      result.horizon = std::min(result.horizon, found.back().distance);
    }
    for (const Neighbor& neighbor : found) {
      const auto [entry, is_new] = nearest.emplace(neighbor.id, neighbor.distance);
      if (!is_new) entry->second = std::min(entry->second, neighbor.distance);
    }
  }
  for (const auto& [id, distance] : nearest) result.nearest.push_back({id, distance});
  std::ranges::sort(result.nearest, [](const Neighbor& a, const Neighbor& b) {
    return a.distance < b.distance || (a.distance == b.distance && a.id < b.id);
  });
  return result;
}

// The first `k` items that the candidates belong to.
std::vector<Hit> to_hits(const Catalog& catalog, std::span<const Neighbor> candidates,
                         const std::string& left_out, std::size_t k) {
  std::vector<Id> ids;
  std::unordered_map<Id, float> distances;
  for (const Neighbor& candidate : candidates) {
    ids.push_back(candidate.id);
    distances.emplace(candidate.id, candidate.distance);
  }
  const Metric metric = catalog.index().options().metric;
  std::vector<Hit> hits;
  std::unordered_set<std::string> seen;
  if (!left_out.empty()) seen.insert(left_out);
  for (PictureRecord& record : catalog.pictures(ids)) {
    if (hits.size() == k) break;
    if (!seen.insert(record.key).second) continue;
    const float distance = distances.at(record.id);
    hits.push_back({std::move(record.key), score_from_distance(metric, distance), distance,
                    std::move(record.path), std::move(record.metadata)});
  }
  return hits;
}

}  // namespace

float score_from_distance(Metric metric, float distance) {
  const double d = distance;
  double score = 0.0;
  switch (metric) {
    case Metric::kCosine:
      score = 1.0 - d / 2.0;
      break;
    case Metric::kL2:
      score = 1.0 / (1.0 + d);
      break;
    case Metric::kInnerProduct:
      score = 1.0 / (1.0 + std::exp(d - 1.0));
      break;
  }
  return static_cast<float>(std::clamp(score, 0.0, 1.0));
}

std::vector<Hit> Searcher::search(const Query& query, const QueryOptions& options) const {
  if (options.k == 0) {
    throw Error(ErrorCode::kInvalidArgument, "k is 0; ask for at least 1 item");
  }
  const Target target =
      std::visit([&](const auto& value) { return target_of(*catalog_, value); }, query.value());
  std::optional<IdFilter> filter;
  if (options.where) filter = catalog_->match(*options.where);

  SearchOptions search;
  search.breadth = options.breadth;
  search.filter = filter ? &*filter : nullptr;
  search.exact = options.exact;
  const Index& index = catalog_->index();
  // Several of the nearest pictures may be of one item: then more are asked for.
  std::uint64_t wanted = options.k + target.left_out_pictures;
  while (true) {
    const std::uint64_t most = std::max<std::uint64_t>(index.size(), 1);
    search.k = static_cast<std::uint32_t>(
        std::min<std::uint64_t>({wanted, most, std::numeric_limits<std::uint32_t>::max()}));
    const Candidates candidates = ask(index, target.vectors, search);
    std::vector<Hit> hits = to_hits(*catalog_, candidates.nearest, target.left_out, options.k);
    const bool settled = hits.size() == options.k && hits.back().distance <= candidates.horizon;
    if (settled || std::isinf(candidates.horizon) || search.k == most) return hits;
    wanted *= 2;
  }
}

}  // namespace vsearch
