#include "vsearch/searcher.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <limits>
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

// A catalogue, and the edition of it that answers.
struct Asked {
  const Catalog& catalog;
  std::shared_ptr<const Edition> edition;

  DecodeOptions decode() const { return decode_options(edition->encoder().info().preprocessing); }
};

Target target_of(const Asked& asked, ImageView image) {
  return {asked.edition->encoder().encode({&image, 1}), {}, 0};
}

Target target_of(const Asked& asked, const std::filesystem::path& path) {
  return target_of(asked, read_image(path, asked.decode()).view());
}

Target target_of(const Asked& asked, const Query::Encoded& picture) {
  return target_of(asked, decode_image(picture.bytes, picture.name.c_str(), asked.decode()).view());
}

Target target_of(const Asked& asked, const std::string& key) {
  const Index& index = asked.edition->index();
  for (int attempts_left = 10;; --attempts_left) {
    const std::vector<Id> ids = asked.catalog.pictures_of(key);
    std::vector<std::vector<float>> vectors;
    for (const Id id : ids) {
      try {
        vectors.push_back(index.vector(id));
      } catch (const Error& e) {
        // Replaced since its pictures were listed, or one that the edition lacks.
        if (e.code() != ErrorCode::kKeyNotFound) throw;
      }
    }
    if (vectors.empty()) {
      if (attempts_left > 0) continue;
      throw Error(ErrorCode::kKeyNotFound,
                  fmt::format("no picture of the item '{}' has an embedding by the encoder that "
                              "serves; add it again",
                              key));
    }
    Target target{Matrix(vectors.size(), index.options().dim), key, ids.size()};
    for (std::size_t i = 0; i < vectors.size(); ++i) {
      std::ranges::copy(vectors[i], target.vectors.row(i).begin());
    }
    return target;
  }
}

Target target_of(const Asked& asked, const Query::Words& words) {
  return {asked.edition->encoder().encode_text({&words.text, 1}), {}, 0};
}

Target target_of(const Asked& /*asked*/, std::span<const float> embedding) {
  Target target{Matrix(1, embedding.size()), {}, 0};
  std::ranges::copy(embedding, target.vectors.row(0).begin());
  return target;
}

// The pictures near any of `vectors`, nearest first.
NearPictures ask(const Asked& asked, const Matrix& vectors, const SearchOptions& options) {
  NearPictures all;
  all.horizon = std::numeric_limits<float>::infinity();
  for (std::size_t i = 0; i < vectors.rows; ++i) {
    NearPictures near = asked.catalog.near_pictures(*asked.edition, vectors.row(i), options);
    all.horizon = std::min(all.horizon, near.horizon);
    std::ranges::move(near.entries, std::back_inserter(all.entries));
  }
  std::ranges::sort(all.entries, [](const auto& a, const auto& b) {
    return a.distance < b.distance || (a.distance == b.distance && a.picture.id < b.picture.id);
  });
  return all;
}

// The first `k` items that the pictures belong to.
std::vector<Hit> to_hits(NearPictures near, Metric metric, const std::string& left_out,
                         std::size_t k) {
  std::vector<Hit> hits;
  std::unordered_set<std::string> seen;
  if (!left_out.empty()) seen.insert(left_out);
  for (auto& [picture, distance] : near.entries) {
    if (hits.size() == k) break;
    if (!seen.insert(picture.key).second) continue;
    hits.push_back({std::move(picture.key), score_from_distance(metric, distance), distance,
                    std::move(picture.path), std::move(picture.metadata), std::move(picture.role)});
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
  const Asked asked{*catalog_, catalog_->serving()};
  const Target target =
      std::visit([&](const auto& value) { return target_of(asked, value); }, query.value());
  std::optional<IdFilter> filter;
  if (options.where) filter = catalog_->match(*options.where);
  SearchOptions search;
  search.breadth = options.breadth;
  search.filter = filter ? &*filter : nullptr;
  search.exact = options.exact;
  const Metric metric = asked.edition->index().options().metric;
  // Several of the nearest pictures may be of one item: then more are asked for.
  for (std::uint64_t wanted = options.k + target.left_out_pictures;; wanted *= 2) {
    search.k = static_cast<std::uint32_t>(
        std::min<std::uint64_t>(wanted, std::numeric_limits<std::uint32_t>::max()));
    NearPictures near = ask(asked, target.vectors, search);
    const float horizon = near.horizon;
    std::vector<Hit> hits = to_hits(std::move(near), metric, target.left_out, options.k);
    const bool settled = hits.size() == options.k && hits.back().distance <= horizon;
    if (settled || std::isinf(horizon)) return hits;
  }
}

}  // namespace vsearch
