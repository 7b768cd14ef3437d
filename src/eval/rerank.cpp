#include "eval/rerank.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "eval/cosines.h"
#include "util/utf8.h"
#include "vsearch/error.h"

namespace vsearch {
namespace {

constexpr std::uint32_t kMostNeighbours = 1000;

[[noreturn]] void refuse(std::string_view text) {
  throw Error(
      ErrorCode::kInvalidArgument,
      fmt::format("there is no re-ranking \"{}\"; write none, qe:N or qe:N:ALPHA (each query "
                  "becomes the sum of its N nearest pictures), dba:N (each picture of the "
                  "gallery does), or both with '+' between them",
                  util::shorten(text)));
}

template <typename Number>
Number number(std::string_view digits, std::string_view text, Number least, Number most) {
  Number value{};
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size() || !(value >= least) ||
      !(value <= most)) {
    refuse(text);
  }
  return value;
}

}  // namespace

RerankOptions parse_rerank(std::string_view text) {
  RerankOptions options;
  if (text == "none") return options;
  for (std::string_view rest = text;;) {
    const std::size_t plus = rest.find('+');
    const std::string_view part = rest.substr(0, plus);
    const std::size_t colon = part.find(':');
    if (colon == part.npos) refuse(text);
    const std::string_view name = part.substr(0, colon);
    std::string_view count = part.substr(colon + 1);
    if (const std::size_t second = count.find(':'); second != count.npos) {
      options.alpha = number(count.substr(second + 1), text, 0.0, 100.0);
      count = count.substr(0, second);
    }
    std::uint32_t& target = name == "qe"    ? options.expand_queries
                            : name == "dba" ? options.expand_gallery
                                            : (refuse(text), options.expand_queries);
    if (target != 0) refuse(text);
    target = number(count, text, std::uint32_t{1}, kMostNeighbours);
    if (plus == rest.npos) return options;
    rest = rest.substr(plus + 1);
  }
}

std::string to_string(const RerankOptions& options) {
  std::string text;
  const auto add = [&](std::string_view name, std::uint32_t count) {
    if (count == 0) return;
    if (!text.empty()) text += '+';
    text += fmt::format("{}:{}:{}", name, count, options.alpha);
  };
  add("qe", options.expand_queries);
  add("dba", options.expand_gallery);
  return text.empty() ? "none" : text;
}

namespace eval {

void normalise_rows(Matrix& rows) {
  for (std::size_t r = 0; r < rows.rows; ++r) {
    const double squared = squared_length(std::as_const(rows).row(r));
    if (!(squared > 0) || !std::isfinite(squared)) continue;
    const auto scale = static_cast<float>(1 / std::sqrt(squared));
    for (float& value : rows.row(r)) value *= scale;
  }
}

Matrix expanded(MatrixView rows, MatrixView gallery, std::span<const std::int64_t> self,
                std::uint32_t count, double alpha, std::uint32_t threads,
                const Progress& progress) {
  RetrievalTask nearest;
  nearest.queries = rows;
  nearest.gallery = gallery;
  nearest.self = self;
  // Only the nearest are wanted: what is right does not matter, but something must be.
  std::vector<std::vector<std::uint32_t>> any(rows.rows);
  for (std::size_t i = 0; i < rows.rows; ++i) {
    any[i].push_back(!self.empty() && self[i] == 0 && gallery.rows > 1 ? 1 : 0);
  }
  nearest.positives = any;
  RetrievalOptions options;
  options.keep_answers = count;
  options.threads = threads;
  const RetrievalScores scores = score_retrieval(nearest, options, progress);
  Matrix result(rows.rows, rows.cols);
  for (std::size_t i = 0; i < rows.rows; ++i) {
    const std::span<float> sum = result.row(i);
    std::ranges::copy(rows.row(i), sum.begin());
    for (const RankedAnswer& answer : scores.answers[i]) {
      const auto weight =
          static_cast<float>(std::pow(std::max(0.0, double{answer.similarity}), alpha));
      const std::span<const float> near = gallery.row(answer.row);
      for (std::size_t c = 0; c < sum.size(); ++c) sum[c] += weight * near[c];
    }
  }
  normalise_rows(result);
  return result;
}

}  // namespace eval
}  // namespace vsearch
