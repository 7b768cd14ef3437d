// How good a live catalogue is at finding: its queries go the way of its customers'.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iterator>
#include <limits>
#include <utility>

#include "util/utf8.h"
#include "vsearch/error.h"
#include "vsearch/evaluator.h"
#include "vsearch/searcher.h"

namespace vsearch {
namespace {

constexpr std::size_t kMostWorst = 50;
constexpr std::size_t kShown = 5;  // answers of each of these

using Metrics = std::vector<float>;

class CatalogRun {
 public:
  CatalogRun(const Catalog& catalog, const CatalogEvaluationOptions& options)
      : searcher_(catalog), options_(options) {
    std::ranges::copy_if(options.recall_at, std::back_inserter(recall_at_),
                         [&](std::uint32_t k) { return k <= options.depth; });
  }

  std::vector<std::string> names() const {
    std::vector<std::string> result;
    for (const std::uint32_t k : recall_at_) result.push_back(fmt::format("R@{}", k));
    result.push_back(fmt::format("mAP@{}", options_.depth));
    result.push_back("MRR");
    return result;
  }

  std::vector<std::string> answers(const LabelledQuery& query, bool exact) const {
    QueryOptions how;
    how.k = options_.depth;
    how.breadth = std::max(options_.breadth, options_.depth);
    how.exact = exact;
    std::vector<std::string> keys;
    const Query asked = query.key.empty() ? Query::file(query.path) : Query::like(query.key);
    for (Hit& hit : searcher_.search(asked, how)) keys.push_back(std::move(hit.key));
    return keys;
  }

  Metrics measure(const std::vector<std::string>& found,
                  const std::vector<std::string>& relevant) const {
    std::size_t first = 0;
    std::size_t right = 0;
    double precision = 0;
    for (std::size_t i = 0; i < found.size(); ++i) {
      if (std::ranges::find(relevant, found[i]) == relevant.end()) continue;
      ++right;
      if (first == 0) first = i + 1;
      precision += static_cast<double>(right) / static_cast<double>(i + 1);
    }
    Metrics metrics;
    for (const std::uint32_t k : recall_at_) {
      metrics.push_back(first > 0 && first <= k ? 1.0F : 0.0F);
    }
    const std::size_t most = std::min<std::size_t>(relevant.size(), options_.depth);
    metrics.push_back(static_cast<float>(precision / static_cast<double>(most)));
    metrics.push_back(first > 0 ? 1.0F / static_cast<float>(first) : 0.0F);
    return metrics;
  }

  std::vector<Estimate> estimates(const std::vector<Metrics>& rows) const {
    std::vector<Estimate> result;
    for (std::size_t c = 0; c < names().size(); ++c) {
      std::vector<float> column;
      for (const Metrics& row : rows) column.push_back(row[c]);
      result.push_back(estimate_mean(column, options_.bootstrap, options_.seed));
    }
    return result;
  }

 private:
  const Searcher searcher_;
  const CatalogEvaluationOptions& options_;
  std::vector<std::uint32_t> recall_at_;
};

void check(std::span<const LabelledQuery> queries, const CatalogEvaluationOptions& options) {
  const auto fail = [](const std::string& what) { throw Error(ErrorCode::kInvalidArgument, what); };
  if (queries.empty()) fail("there are no queries; give at least one with its right answers");
  for (std::size_t i = 0; i < queries.size(); ++i) {
    const LabelledQuery& query = queries[i];
    if (query.key.empty() == query.path.empty()) {
      fail(fmt::format("query {} must have either the key of an item or a picture's path", i + 1));
    }
    if (query.relevant.empty()) {
      fail(fmt::format("query {} ({}) has no right answers; name the keys of some", i + 1,
                       util::shorten(query.key.empty() ? query.path : query.key)));
    }
  }
  if (options.depth == 0) fail("the depth is 0; at least one answer must be asked for");
  if (std::ranges::find(options.recall_at, 0U) != options.recall_at.end()) {
    fail("the numbers K of R@K must be at least 1");
  }
}

std::size_t rank_of_first(const std::vector<std::string>& found,
                          const std::vector<std::string>& relevant) {
  const auto first = std::ranges::find_first_of(found, relevant);
  return first == found.end() ? 0 : static_cast<std::size_t>(first - found.begin()) + 1;
}

}  // namespace

CatalogEvaluation evaluate(const Catalog& catalog, std::span<const LabelledQuery> queries,
                           const CatalogEvaluationOptions& options) {
  check(queries, options);
  const CatalogRun run(catalog, options);
  CatalogEvaluation result;
  const CatalogInfo info = catalog.info();
  result.catalog = info.path.string();
  result.encoder_name = info.encoder_name;
  result.encoder_fingerprint = info.encoder_fingerprint;
  result.items = info.items;
  result.metrics = run.names();
  std::vector<Metrics> rows;
  std::vector<Metrics> exact_rows;
  std::uint64_t done = 0;
  for (const LabelledQuery& query : queries) {
    if (options.progress && !options.progress(done++, queries.size())) {
      throw Error(ErrorCode::kCancelled, "the evaluation was cancelled");
    }
    const std::string& name = query.key.empty() ? query.path : query.key;
    try {
      std::vector<std::string> relevant;
      for (const std::string& key : query.relevant) {
        // An item never finds itself.
        if (key == query.key || std::ranges::find(relevant, key) != relevant.end()) continue;
        if (catalog.get(key)) relevant.push_back(key);
      }
      if (relevant.empty()) {
        result.failed.push_back({name, "none of its right answers is in the catalogue"});
        continue;
      }
      const std::vector<std::string> exact = run.answers(query, true);
      std::vector<std::string> found = options.exact ? exact : run.answers(query, false);
      rows.push_back(run.measure(found, relevant));
      exact_rows.push_back(run.measure(exact, relevant));
      const std::size_t first = rank_of_first(found, relevant);
      if (first == 1) continue;
      found.resize(std::min(found.size(), kShown));
      result.worst.push_back(
          {name, static_cast<std::uint32_t>(first), std::move(found), std::move(relevant)});
    } catch (const Error& e) {
      // What is wrong with one query does not stop the others.
      if (e.code() != ErrorCode::kKeyNotFound && e.code() != ErrorCode::kFileNotFound &&
          e.code() != ErrorCode::kBadImage && e.code() != ErrorCode::kIo) {
        throw;
      }
      result.failed.push_back({name, e.what()});
    }
  }
  if (rows.empty()) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("none of the {} queries could be asked; the first, {}: {}", queries.size(),
                    util::shorten(result.failed.front().query), result.failed.front().message));
  }
  result.queries = rows.size();
  result.estimates = run.estimates(rows);
  result.exact_estimates = run.estimates(exact_rows);
  std::ranges::stable_sort(result.worst, std::greater<>(), [](const auto& missed) {
    return missed.first_right == 0 ? std::numeric_limits<std::uint32_t>::max() : missed.first_right;
  });
  if (result.worst.size() > kMostWorst) result.worst.resize(kMostWorst);
  return result;
}

}  // namespace vsearch
