#include "eval/colour_conflicts.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <span>
#include <utility>

#include "eval/seeded.h"

namespace vsearch::eval {
namespace {

constexpr std::size_t kOfEach = 3;  // pictures of either kind beside a query: nine triplets at most
// Of CIE L*a*b*: below the one, two products have the same colour to a customer; above the other
// nobody would say so.
constexpr float kSameColour = 12.0F;
constexpr float kOtherColour = 25.0F;

struct Candidates {
  std::vector<std::uint32_t> same_class;
  std::vector<std::uint32_t> same_colour;
};

double cosine(std::span<const float> a, std::span<const float> b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);  // of unit length
}

class Collector {
 public:
  explicit Collector(const AuditRun& run) : run_(run) {
    result_.colour_wins.assign(run.queries().size(), std::numeric_limits<float>::quiet_NaN());
  }

  void add(std::size_t query, const Candidates& candidates) {
    std::size_t won = 0;
    Conflict clearest;
    for (const std::uint32_t same_class : candidates.same_class) {
      for (const std::uint32_t same_colour : candidates.same_colour) {
        const auto row = run_.query_rows().row(query);
        const double margin = cosine(row, run_.gallery_rows().row(same_colour)) -
                              cosine(row, run_.gallery_rows().row(same_class));
        won += margin > 0 ? 1 : 0;
        if (margin > clearest.margin) clearest = {query, same_class, same_colour, margin};
      }
    }
    const std::size_t all = candidates.same_class.size() * candidates.same_colour.size();
    if (all == 0) return;
    ++result_.queries;
    result_.colour_wins[query] = static_cast<float>(won) / static_cast<float>(all);
    if (clearest.margin > 0) result_.won.push_back(clearest);
  }

  Conflicts take() {
    std::ranges::stable_sort(result_.won, std::ranges::greater{}, &Conflict::margin);
    return std::move(result_);
  }

 private:
  const AuditRun& run_;
  Conflicts result_;
};

// The first of `found` after sorting by distance.
std::vector<std::uint32_t> first_of(std::vector<std::pair<float, std::uint32_t>> found) {
  std::ranges::sort(found);
  std::vector<std::uint32_t> result;
  for (const auto& [distance, row] : found) {
    if (result.size() == kOfEach) break;
    result.push_back(row);
  }
  return result;
}

}  // namespace

Conflicts conflicts_by_field(const AuditRun& run, const DatasetField& field) {
  Collector collector(run);
  Seeded random(run.options().seed);
  for (std::size_t i = 0; i < run.queries().size(); ++i) {
    const std::uint32_t query = run.queries()[i];
    const std::int32_t colour = field.of_picture[query];
    if (colour < 0 || run.label(query) < 0) continue;
    Candidates candidates;
    for (std::uint32_t row = 0; row < run.gallery().size(); ++row) {
      const std::uint32_t picture = run.gallery()[row];
      if (picture == query || run.label(picture) < 0 || field.of_picture[picture] < 0) continue;
      const bool same_class = run.label(picture) == run.label(query);
      const bool same_colour = field.of_picture[picture] == colour;
      if (same_class && !same_colour) candidates.same_class.push_back(row);
      if (!same_class && same_colour) candidates.same_colour.push_back(row);
    }
    for (auto* rows : {&candidates.same_class, &candidates.same_colour}) {
      random.shuffle(std::span(*rows));
      rows->resize(std::min(rows->size(), kOfEach));
    }
    collector.add(i, candidates);
  }
  return collector.take();
}

Conflicts conflicts_by_colour(const AuditRun& run, const std::vector<PictureColour>& colours,
                              bool of_subject) {
  const auto colour_of = [&](std::size_t row) -> const Lab& {
    return of_subject ? colours[row].subject : colours[row].whole;
  };
  // The rows of the pool begin with those of the gallery, and go on with the other queries.
  std::vector<std::size_t> row_of_query;
  std::size_t next_other = run.gallery().size();
  for (const std::int64_t self : run.self()) {
    row_of_query.push_back(self >= 0 ? static_cast<std::size_t>(self) : next_other++);
  }
  Collector collector(run);
  for (std::size_t i = 0; i < run.queries().size(); ++i) {
    const std::uint32_t query = run.queries()[i];
    if (run.label(query) < 0) continue;
    std::vector<std::pair<float, std::uint32_t>> farthest;
    std::vector<std::pair<float, std::uint32_t>> nearest;
    for (std::uint32_t row = 0; row < run.gallery().size(); ++row) {
      const std::uint32_t picture = run.gallery()[row];
      if (picture == query || run.label(picture) < 0) continue;
      const float difference = distance(colour_of(row_of_query[i]), colour_of(row));
      const bool same_class = run.label(picture) == run.label(query);
      if (same_class && difference > kOtherColour) farthest.emplace_back(-difference, row);
      if (!same_class && difference < kSameColour) nearest.emplace_back(difference, row);
    }
    collector.add(i, {first_of(std::move(farthest)), first_of(std::move(nearest))});
  }
  return collector.take();
}

}  // namespace vsearch::eval
