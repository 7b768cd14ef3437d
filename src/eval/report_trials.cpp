#include "eval/report_trials.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <functional>
#include <limits>
#include <utility>

#include "util/utf8.h"

namespace vsearch::report {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

struct Meaning {
  std::string_view prefix;
  std::string_view text;
};

// Longer names before those they begin with.
constexpr std::array<Meaning, 9> kMeanings{{
    {"R@", "the share of queries with a right answer among the first K"},
    {"P@", "the share of the first K answers that are right"},
    {"mAP@R",
     "the mean over the first R ranks of the precision at those that are right, where R is "
     "the number of right answers to the query (arXiv 2003.08505)"},
    {"mAP",
     "average precision: the mean over the right answers of the precision at each of them, "
     "averaged over queries; it looks at the whole ranking"},
    {"R-Prec",
     "the share of the first R answers that are right, where R is the number of right "
     "answers to the query"},
    {"nDCG",
     "discounted gain: right answers count the less the later they come, as a share of the "
     "best possible order"},
    {"MRR", "one divided by the rank of the first right answer"},
    {"mMP@5",
     "precision among the first five answers, or the first R where fewer are right "
     "(arXiv 2309.01858)"},
    {"kNN@", "the share of queries whose class is the most frequent among the first K answers"},
}};

}  // namespace

const Measured& Trial::best() const {
  const Measured* result = &systems.front();
  double highest = -1;
  for (const Measured& measured : systems) {
    const Estimate* const estimate = find_estimate(*measured.result, main_metric(*measured.result));
    if (estimate == nullptr || !(estimate->mean > highest)) continue;
    highest = estimate->mean;
    result = &measured;
  }
  return *result;
}

std::vector<Trial> trials_of(std::span<const Evaluation> evaluations) {
  struct Key {
    std::string dataset, fingerprint, protocol;
    bool operator==(const Key&) const = default;
  };
  const std::vector<std::string> names = system_names(evaluations);
  std::vector<Key> keys;
  std::vector<Trial> trials;
  for (std::size_t i = 0; i < evaluations.size(); ++i) {
    const Evaluation& evaluation = evaluations[i];
    for (const ProtocolResult& result : evaluation.protocols) {
      Key key{evaluation.dataset, evaluation.dataset_fingerprint, result.protocol};
      const auto found = std::ranges::find(keys, key);
      const auto at = static_cast<std::size_t>(found - keys.begin());
      if (found == keys.end()) {
        keys.push_back(std::move(key));
        trials.push_back({fmt::format("{}: {}", util::shorten(evaluation.dataset),
                                      util::shorten(result.protocol)),
                          {}});
      }
      trials[at].systems.push_back({names[i], &evaluation, &result});
    }
  }
  // Of the same name are those whose data sets differ all the same.
  for (std::size_t i = 0; i < trials.size(); ++i) {
    const auto same = [&](const Key& key) {
      return key.dataset == keys[i].dataset && key.protocol == keys[i].protocol;
    };
    if (std::ranges::count_if(keys, same) < 2) continue;
    trials[i].name += fmt::format(" ({})", util::shorten(keys[i].fingerprint.substr(0, 8)));
  }
  return trials;
}

std::vector<std::string> system_names(std::span<const Evaluation> evaluations) {
  std::vector<std::string> names;
  for (const Evaluation& evaluation : evaluations) {
    std::string name = util::shorten(evaluation.encoder_name, 60);
    if (!evaluation.rerank.empty() && evaluation.rerank != "none") {
      name += " + " + util::shorten(evaluation.rerank, 60);
    }
    names.push_back(std::move(name));
  }
  // Adds a detail to those of the same name that differ in it.
  const auto tell_apart = [&](const std::function<std::string(const Evaluation&)>& detail) {
    const std::vector<std::string> before = names;
    for (std::size_t i = 0; i < names.size(); ++i) {
      for (std::size_t j = 0; j < names.size(); ++j) {
        if (before[i] != before[j] || detail(evaluations[i]) == detail(evaluations[j])) continue;
        names[i] += fmt::format(", {}", util::shorten(detail(evaluations[i])));
        break;
      }
    }
  };
  tell_apart([](const Evaluation& evaluation) { return evaluation.precision; });
  tell_apart(
      [](const Evaluation& evaluation) { return evaluation.encoder_fingerprint.substr(0, 8); });
  return names;
}

const Estimate* find_estimate(const ProtocolResult& result, std::string_view metric) {
  const auto found = std::ranges::find(result.metrics, metric);
  const auto at = static_cast<std::size_t>(found - result.metrics.begin());
  return at < result.estimates.size() ? &result.estimates[at] : nullptr;
}

std::string main_metric(const ProtocolResult& result) {
  if (std::ranges::find(result.metrics, "mAP") != result.metrics.end()) return "mAP";
  return result.metrics.empty() ? std::string() : result.metrics.front();
}

double group_mean(const ProtocolResult& result, const GroupScores& group, std::string_view metric) {
  const auto found = std::ranges::find(result.metrics, metric);
  const auto at = static_cast<std::size_t>(found - result.metrics.begin());
  return at < group.means.size() ? group.means[at] : kNaN;
}

std::uint32_t recall_k(std::string_view metric) {
  if (!metric.starts_with("R@")) return 0;
  std::uint32_t k = 0;
  const char* const end = metric.data() + metric.size();
  const auto [stop, error] = std::from_chars(metric.data() + 2, end, k);
  return error == std::errc() && stop == end ? k : 0;
}

std::string metric_meaning(std::string_view metric) {
  const auto found = std::ranges::find_if(
      kMeanings, [&](const Meaning& meaning) { return metric.starts_with(meaning.prefix); });
  return found == kMeanings.end() ? std::string() : std::string(found->text);
}

ClassScores class_scores(const ProtocolResult& result) {
  const std::string metric = main_metric(result);
  const auto mean = [&](const GroupScores* group) { return group_mean(result, *group, metric); };
  ClassScores scores;
  for (const GroupScores& group : result.by_class) {
    if (!std::isnan(mean(&group))) scores.ascending.push_back(&group);
  }
  std::ranges::stable_sort(scores.ascending, {}, mean);
  if (scores.ascending.empty()) return scores;
  scores.worst_tenth = std::max<std::size_t>(1, scores.ascending.size() / 10);
  for (std::size_t i = 0; i < scores.worst_tenth; ++i)
    scores.worst_mean += mean(scores.ascending[i]);
  scores.worst_mean /= static_cast<double>(scores.worst_tenth);
  return scores;
}

}  // namespace vsearch::report
