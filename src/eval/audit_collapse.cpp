// Category collapse: whether categories melt together.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "eval/audit_findings.h"
#include "eval/linear_fit.h"
#include "eval/seeded.h"

namespace vsearch::eval {
namespace {

constexpr std::uint32_t kNeighbours = 10;
constexpr std::size_t kFewestPictures = 4;  // of a category that is judged
constexpr std::size_t kFewestQueries = 3;   // likewise, by what they find
// 0: neighbours are of one's own category; 1: as if two categories were shuffled. With DeiT-Ti the
// worst of the 3,240 pairs of sorts in the Grocery Store data set reaches 0.58, of the 5,050 pairs
// of Caltech-101 0.87 (its "Faces" and "Faces_easy", the same people) and 0.82.
constexpr double kFaultMixing = 0.7;   // surely above it, and
constexpr double kAsGoodAsOne = 0.97;  // not surely below it
constexpr double kNoteworthyMixing = 0.5;
// Two categories are melted together only if they are each other's neighbours: where less than a
// quarter of the neighbours is of the two, it is all categories that are hard to tell apart.
constexpr double kFewestOfPair = 0.25;
// 0: the neighbours of a picture are of any category, as if drawn at random; 1: of its own.
constexpr double kFaultPurity = 0.1;
constexpr double kNoteworthyPurity = 0.3;
constexpr double kFaultRank = 1.5;       // all pictures on a line, about
constexpr double kNoteworthySkew = 2.5;  // a few pictures are the answer to everything
constexpr std::size_t kRankRows = 1000;  // as many say what all would
constexpr std::size_t kRankGroups = 8;

double skewness(std::span<const float> values) {
  const auto count = static_cast<double>(values.size());
  double mean = 0;
  for (const float value : values) mean += value / count;
  double second = 0;
  double third = 0;
  for (const float value : values) {
    const double d = value - mean;
    second += d * d / count;
    third += d * d * d / count;
  }
  return second > 0 ? third / std::pow(second, 1.5) : 0;
}

// Two categories, by their labels, and how far they are mixed.
struct Mixing {
  std::int32_t a = 0;
  std::int32_t b = 0;
  Estimate mixing;
  double of_pair = 0;  // how many of their neighbours are of the two

  bool is_melted() const {
    return mixing.low > kFaultMixing && mixing.high > kAsGoodAsOne && of_pair > kFewestOfPair;
  }
};

class CollapseFinding {
 public:
  explicit CollapseFinding(AuditRun& run) : run_(run) {
    finding_.id = "collapse";
    finding_.title = "Category collapse";
  }

  AuditFinding find() {
    for (std::uint32_t row = 0; row < run_.pool().size(); ++row) {
      const std::int32_t label = label_of(row);
      if (label >= 0) members_[label].push_back(row);
    }
    const auto judged = std::ranges::count_if(
        members_, [](const auto& entry) { return entry.second.size() >= kFewestPictures; });
    if (judged < 2) {
      finding_.summary = fmt::format(
          "Not measured: {} categor{} of at least {} pictures; two are needed to be told apart.",
          judged, judged == 1 ? "y" : "ies", kFewestPictures);
      return std::move(finding_);
    }
    find_neighbours();
    measure_answers();
    measure_neighbours();
    measure_rank();
    measure_pairs();
    judge();
    add_examples();
    return std::move(finding_);
  }

 private:
  std::int32_t label_of(std::uint32_t row) const { return run_.label(run_.pool()[row]); }
  const std::string& name_of(std::int32_t label) const {
    return run_.label_names()[static_cast<std::size_t>(label)];
  }
  void add(const std::string& name, const Estimate& estimate, const std::string& meaning,
           AuditUnit unit = AuditUnit::kShare) {
    finding_.numbers.push_back({name, estimate, meaning, unit});
  }

  void find_neighbours() {
    SearchOptions search;
    search.k = kNeighbours + 1;  // one of them is the picture itself
    search.exact = true;
    search.threads = 0;
    const auto found = run_.pool_index().search_batch(run_.pool_rows(), search);
    neighbours_.resize(found.size());
    for (std::uint32_t row = 0; row < found.size(); ++row) {
      for (const Neighbor& neighbour : found[row]) {
        if (neighbour.id == row || neighbours_[row].size() == kNeighbours) continue;
        neighbours_[row].push_back(static_cast<std::uint32_t>(neighbour.id));
      }
    }
  }

  // Those of a picture that could all be of its category.
  std::span<const std::uint32_t> near(std::uint32_t row) const {
    const std::size_t others = members_.at(label_of(row)).size() - 1;
    return std::span(neighbours_[row]).first(std::min(neighbours_[row].size(), others));
  }

  void measure_answers() {
    const RetrievalScores scores = run_.clean_scores(kNeighbours);
    const std::size_t column = scores.column("R@1");
    std::vector<float> wrong;
    std::map<std::int32_t, std::vector<float>> by_label;
    for (std::size_t i = 0; i < scores.answers.size(); ++i) {
      const std::size_t first =
          std::min<std::size_t>(scores.answers[i].size(), scores.right_answers[i]);
      if (first == 0) continue;
      const auto right =
          std::ranges::count(std::span(scores.answers[i]).first(first), true, &RankedAnswer::right);
      wrong.push_back(1.0F - static_cast<float>(right) / static_cast<float>(first));
      by_label[run_.label(run_.queries()[i])].push_back(scores.values.row(i)[column]);
    }
    add("wrong answers", run_.estimate(wrong),
        "The share of the first ten answers (or as many as there are right ones) that are of "
        "another category.");

    struct Category {
      double mean;
      std::int32_t label;
    };
    std::vector<Category> categories;
    for (const auto& [label, values] : by_label) {
      if (label < 0 || values.size() < kFewestQueries) continue;
      categories.push_back({run_.estimate(values).mean, label});
    }
    if (categories.empty()) return;
    std::ranges::stable_sort(categories, {}, &Category::mean);
    std::vector<float> all;
    std::vector<float> worst;
    const std::size_t tenth = (categories.size() + 9) / 10;
    for (std::size_t i = 0; i < categories.size(); ++i) {
      const std::vector<float>& values = by_label[categories[i].label];
      all.insert(all.end(), values.begin(), values.end());
      if (i < tenth) worst.insert(worst.end(), values.begin(), values.end());
    }
    add("R@1", run_.estimate(all), "How often the first answer is right.");
    add("R@1, worst tenth of categories", run_.estimate(worst),
        fmt::format("The same in the {} of {} categories where it is lowest, \"{}\" first. The "
                    "worst of many look a little worse than they are.",
                    tenth, categories.size(), name_of(categories[0].label)));
  }

  void measure_neighbours() {
    std::vector<float> purity;
    std::vector<float> occurrences(neighbours_.size(), 0.0F);
    const auto others = static_cast<double>(run_.pool().size() - 1);
    for (std::uint32_t row = 0; row < neighbours_.size(); ++row) {
      for (const std::uint32_t neighbour : neighbours_[row]) occurrences[neighbour] += 1.0F;
      if (label_of(row) < 0) continue;
      const auto nearest = near(row);
      if (nearest.empty()) continue;
      const auto own = std::ranges::count_if(
          nearest, [&](std::uint32_t other) { return label_of(other) == label_of(row); });
      const double share = static_cast<double>(own) / static_cast<double>(nearest.size());
      const double chance = static_cast<double>(members_.at(label_of(row)).size() - 1) / others;
      if (chance < 1) purity.push_back(static_cast<float>((share - chance) / (1 - chance)));
    }
    purity_ = run_.estimate(purity);
    hubness_ = run_.estimate(occurrences, skewness);
    add("purity of neighbourhoods", purity_,
        "Whether the nearest pictures are of one's own category: 1 all, 0 no more than by chance.",
        AuditUnit::kNumber);
    add("hubness", hubness_,
        "The skewness of how often pictures are among the ten nearest of others: above 2 a few "
        "pictures are the answer to everything.",
        AuditUnit::kNumber);
  }

  void measure_rank() {
    std::vector<std::uint32_t> order(run_.pool().size());
    for (std::uint32_t i = 0; i < order.size(); ++i) order[i] = i;
    Seeded(run_.options().seed).shuffle(std::span(order));
    order.resize(std::min(order.size(), kRankRows));
    // All rows but those of one group, or but none.
    const auto rank_without = [&](std::size_t group) {
      Matrix rows;
      rows.cols = run_.pool_rows().cols;
      for (std::size_t i = 0; i < order.size(); ++i) {
        if (i % kRankGroups == group) continue;
        const auto row = run_.pool_rows().row(order[i]);
        rows.data.insert(rows.data.end(), row.begin(), row.end());
        ++rows.rows;
      }
      return effective_rank(rows.view());
    };
    // By the jackknife: with repetitions, as in a bootstrap, a rank comes out too low.
    std::vector<double> ranks;
    double mean = 0;
    for (std::size_t group = 0; group < kRankGroups; ++group) {
      ranks.push_back(rank_without(group));
      mean += ranks.back() / kRankGroups;
    }
    double squares = 0;
    for (const double rank : ranks) squares += (rank - mean) * (rank - mean);
    const double error = std::sqrt(squares * (kRankGroups - 1) / kRankGroups);
    rank_ = {rank_without(kRankGroups), 0, 0, order.size()};
    rank_.low = std::max(1.0, rank_.mean - 1.96 * error);
    rank_.high = rank_.mean + 1.96 * error;
    add("effective rank", rank_,
        fmt::format("How many of the {} dimensions the embeddings use: the exponential of the "
                    "entropy of their principal components.",
                    run_.pool_rows().cols),
        AuditUnit::kNumber);
  }

  // How often each category is among the near neighbours of the rows of another.
  void measure_pairs() {
    std::map<std::pair<std::int32_t, std::int32_t>, std::size_t> crossings;
    for (std::uint32_t row = 0; row < neighbours_.size(); ++row) {
      const std::int32_t own = label_of(row);
      if (own < 0 || members_[own].size() < kFewestPictures) continue;
      for (const std::uint32_t other : near(row)) {
        const std::int32_t label = label_of(other);
        if (label < 0 || label == own || members_[label].size() < kFewestPictures) continue;
        ++crossings[std::minmax(own, label)];
      }
    }
    // Those who cross most are the most mixed, or nearly; of the others nobody needs to know.
    constexpr std::size_t kCandidates = 200;
    std::vector<std::pair<double, std::pair<std::int32_t, std::int32_t>>> candidates;
    for (const auto& [pair, count] : crossings) {
      const std::size_t size = members_[pair.first].size() + members_[pair.second].size();
      candidates.emplace_back(-static_cast<double>(count) / static_cast<double>(size), pair);
    }
    std::ranges::sort(candidates);
    candidates.resize(std::min(candidates.size(), kCandidates));
    for (const auto& [rate, pair] : candidates)
      pairs_.push_back(mixing_of(pair.first, pair.second));
    std::ranges::stable_sort(pairs_, [](const Mixing& a, const Mixing& b) {
      if (a.is_melted() != b.is_melted()) return a.is_melted();
      return a.mixing.mean * a.of_pair > b.mixing.mean * b.of_pair;
    });
    for (std::size_t i = 0; i < std::min<std::size_t>(3, pairs_.size()); ++i) {
      add(fmt::format("mixing of \"{}\" and \"{}\"", name_of(pairs_[i].a), name_of(pairs_[i].b)),
          pairs_[i].mixing,
          fmt::format("Among their near neighbours of the two categories ({} of all): 0 each keeps "
                      "to its own, 1 as if the labels were shuffled.",
                      percent(pairs_[i].of_pair)),
          AuditUnit::kNumber);
    }
  }

  Mixing mixing_of(std::int32_t a, std::int32_t b) {
    Mixing result{a, b, {}, 0};
    std::vector<float> values;
    std::size_t of_pair = 0;
    std::size_t all = 0;
    for (const auto& [own, other] : {std::pair(a, b), std::pair(b, a)}) {
      const auto others = static_cast<double>(members_[other].size());
      const double chance = others / (others + static_cast<double>(members_[own].size()) - 1);
      for (const std::uint32_t row : members_[own]) {
        std::size_t same = 0;
        std::size_t crossed = 0;
        for (const std::uint32_t neighbour : near(row)) {
          same += label_of(neighbour) == own ? 1 : 0;
          crossed += label_of(neighbour) == other ? 1 : 0;
          ++all;
        }
        of_pair += same + crossed;
        if (same + crossed == 0) continue;
        const double share = static_cast<double>(crossed) / static_cast<double>(same + crossed);
        values.push_back(static_cast<float>(share / chance));
      }
    }
    result.mixing = run_.estimate(values);
    result.of_pair = static_cast<double>(of_pair) / static_cast<double>(all);
    return result;
  }

  void judge() {
    std::vector<std::string> melted;
    for (const Mixing& pair : pairs_) {
      if (pair.is_melted()) {
        melted.push_back(fmt::format("\"{}\" and \"{}\"", name_of(pair.a), name_of(pair.b)));
      }
    }
    const bool all_melted = purity_.high < kFaultPurity || rank_.high < kFaultRank;
    const bool some_mixed = !pairs_.empty() && pairs_[0].of_pair > kFewestOfPair &&
                            pairs_[0].mixing.mean > kNoteworthyMixing;
    if (!melted.empty() || all_melted) {
      finding_.verdict = Verdict::kFault;
    } else if (some_mixed || purity_.mean < kNoteworthyPurity || hubness_.mean > kNoteworthySkew) {
      finding_.verdict = Verdict::kNoteworthy;
    } else {
      finding_.verdict = Verdict::kSound;
    }

    if (all_melted) {
      finding_.summary = "Categories are hardly told apart at all. ";
    } else if (!melted.empty()) {
      finding_.summary = fmt::format("{} cannot be told apart", melted[0]);
      if (melted.size() > 1) {
        finding_.summary += fmt::format(", nor can {} more {} of categories", melted.size() - 1,
                                        melted.size() == 2 ? "pair" : "pairs");
      }
      finding_.summary += fmt::format(" (mixing {:.2f} of 1). ", pairs_[0].mixing.mean);
    } else if (some_mixed) {
      finding_.summary = fmt::format(
          "\"{}\" and \"{}\" are the hardest to tell apart (mixing "
          "{:.2f} of 1). ",
          name_of(pairs_[0].a), name_of(pairs_[0].b), pairs_[0].mixing.mean);
    }
    finding_.summary += fmt::format(
        "The purity of neighbourhoods is {:.2f} of 1, the effective rank {:.0f} of {}, hubness "
        "{:.1f}.",
        purity_.mean, rank_.mean, run_.pool_rows().cols, hubness_.mean);
    if (finding_.verdict == Verdict::kSound) return;
    finding_.remedy =
        "Where the category is known, search within it: declare it as a field and filter by it. "
        "Fine-tuning on labelled pictures of these categories (vsx train) pulls them apart.";
  }

  // Of each of the most mixed pairs a picture and its neighbour in the other.
  void add_examples() {
    for (const Mixing& pair : pairs_) {
      if (finding_.examples.size() == run_.options().examples) break;
      for (const std::uint32_t row : members_[pair.a]) {
        const auto found = std::ranges::find_if(
            near(row), [&](std::uint32_t other) { return label_of(other) == pair.b; });
        if (found == near(row).end()) continue;
        AuditExample& example = finding_.examples.emplace_back();
        example.caption = fmt::format("{} and {}", name_of(pair.a), name_of(pair.b));
        example.pictures = {run_.shown(run_.pool()[row], name_of(pair.a)),
                            run_.shown(run_.pool()[*found], "near it: " + name_of(pair.b))};
        break;
      }
    }
  }

  AuditRun& run_;
  AuditFinding finding_;
  std::map<std::int32_t, std::vector<std::uint32_t>> members_;  // rows of the pool, by label
  std::vector<std::vector<std::uint32_t>> neighbours_;          // of each row, nearest first
  std::vector<Mixing> pairs_;                                   // the most mixed first
  Estimate purity_, hubness_, rank_;
};

}  // namespace

AuditFinding find_collapse(AuditRun& run) {
  return CollapseFinding(run).find();
}

}  // namespace vsearch::eval
