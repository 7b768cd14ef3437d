// Rows of pictures: a query, and what was found for it.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>
#include <unordered_map>

#include "eval/report_numbers.h"
#include "eval/report_parts.h"
#include "eval/report_sections.h"

namespace vsearch::report {
namespace {

constexpr std::size_t kAnswers = 5;
constexpr std::size_t kMissesOfAClass = 2;

class Gallery {
 public:
  Gallery(const ProtocolResult& result, const Dataset* dataset, const ReportOptions& options)
      : result_(result), dataset_(dataset), options_(options) {
    if (dataset_ == nullptr) return;
    const auto found = std::ranges::find(dataset_->protocols, result_.protocol, &Protocol::name);
    if (found != dataset_->protocols.end()) protocol_ = &*found;
  }

  std::size_t queries() const {
    return std::min({result_.pictures.size(), result_.scores.answers.size(),
                     result_.scores.right_answers.size(), result_.scores.first_right.size()});
  }
  bool has_answer(std::size_t query) const {
    return result_.scores.right_answers[query] > 0 && !result_.scores.answers[query].empty();
  }

  // The query itself is no answer to show, though some protocols count it as one.
  std::vector<RankedAnswer> answers(std::size_t query) const {
    std::vector<RankedAnswer> others;
    std::ranges::copy_if(
        result_.scores.answers[query], std::back_inserter(others),
        [&](const RankedAnswer& answer) { return picture_of(answer) != result_.pictures[query]; });
    return others;
  }

  // The rank of the first right answer; none if it is not known, since it lies behind those kept.
  std::optional<std::uint32_t> first_right(std::size_t query) const {
    const std::vector<RankedAnswer> others = answers(query);
    if (others.size() == result_.scores.answers[query].size()) {
      const std::uint32_t rank = result_.scores.first_right[query];
      return rank == 0 ? std::nullopt : std::optional(rank);
    }
    const auto found = std::ranges::find_if(others, &RankedAnswer::right);
    if (found == others.end()) return std::nullopt;
    return static_cast<std::uint32_t>(found - others.begin()) + 1;
  }

  Markup row(std::size_t query, bool missed) const {
    const std::uint32_t picture = result_.pictures[query];
    Shot asked = shot(picture);
    asked.note = "query";
    asked.frame = Shot::Frame::kQuery;
    std::vector<Shot> shots;
    for (const RankedAnswer& answer : answers(query)) {
      if (shots.size() == kAnswers) break;
      shots.push_back(shot(picture_of(answer)));
      shots.back().note = similarity(answer.similarity);
      shots.back().frame = answer.right ? Shot::Frame::kRight : Shot::Frame::kWrong;
    }
    if (!missed) return picture_row("", asked, shots);
    if (const std::optional<std::uint32_t> wanted = right_answer(query)) {
      shots.push_back(shot(*wanted));
      shots.back().note = "would be right";
      shots.back().frame = Shot::Frame::kWanted;
    }
    const std::optional<std::uint32_t> rank = first_right(query);
    const std::string place = rank ? fmt::format("First right answer: rank {} of {}",
                                                 with_commas(*rank), with_commas(result_.gallery))
                                   : fmt::format("No right answer among the first {}",
                                                 with_commas(answers(query).size()));
    return picture_row(place, asked, shots);
  }

  // What the query is of; -1: not known.
  std::int32_t label(std::uint32_t picture) const {
    if (dataset_ == nullptr || picture >= dataset_->pictures.size()) return -1;
    if (const DatasetField* const field = labels()) {
      return picture < field->of_picture.size() ? field->of_picture[picture] : -1;
    }
    return dataset_->pictures[picture].label;
  }

 private:
  std::uint32_t picture_of(const RankedAnswer& answer) const {
    return answer.row < result_.gallery_pictures.size() ? result_.gallery_pictures[answer.row]
                                                        : UINT32_MAX;
  }

  const DatasetField* labels() const {
    if (protocol_ == nullptr || protocol_->field < 0) return nullptr;
    const auto number = static_cast<std::size_t>(protocol_->field);
    return number < dataset_->fields.size() ? &dataset_->fields[number] : nullptr;
  }

  std::string class_name(std::uint32_t picture) const {
    const std::int32_t number = label(picture);
    if (number < 0) return {};
    const auto at = static_cast<std::size_t>(number);
    const DatasetField* const field = labels();
    const std::vector<std::string>& names = field != nullptr ? field->values : dataset_->classes;
    return at < names.size() ? names[at] : std::string();
  }

  Shot shot(std::uint32_t picture) const {
    Shot result;
    if (dataset_ == nullptr || picture >= dataset_->pictures.size()) {
      result.name = fmt::format("picture {}", picture);
    } else {
      result.name = dataset_->pictures[picture].path;
      result.picture = thumbnail_of(*dataset_, picture, options_.pictures_px);
    }
    result.caption = class_name(picture);
    if (result.caption.empty()) {
      result.caption = std::filesystem::path(result.name).filename().string();
    }
    return result;
  }

  // One of those that would have been right.
  std::optional<std::uint32_t> right_answer(std::size_t query) const {
    if (protocol_ == nullptr) return std::nullopt;
    const std::uint32_t picture = result_.pictures[query];
    if (!protocol_->positives.empty()) {
      const auto found = std::ranges::find(protocol_->queries, picture);
      const auto at = static_cast<std::size_t>(found - protocol_->queries.begin());
      if (at >= protocol_->positives.size() || protocol_->positives[at].empty())
        return std::nullopt;
      return protocol_->positives[at].front();
    }
    if (label(picture) < 0) return std::nullopt;
    const auto same = [&](std::uint32_t other) {
      return other != picture && label(other) == label(picture);
    };
    const auto found = std::ranges::find_if(result_.gallery_pictures, same);
    if (found == result_.gallery_pictures.end()) return std::nullopt;
    return *found;
  }

  const ProtocolResult& result_;
  const Dataset* dataset_;
  const ReportOptions& options_;
  const Protocol* protocol_ = nullptr;
};

// Evenly drawn from all that were found at once, so that they are no better than most.
std::vector<std::size_t> drawn(const std::vector<std::size_t>& from, std::size_t count) {
  const std::size_t taken = std::min(from.size(), count);
  std::vector<std::size_t> result;
  for (std::size_t i = 0; i < taken; ++i) result.push_back(from[i * from.size() / taken]);
  return result;
}

// Those whose first right answer stands furthest behind; of each class a few, so that one does not
// take all the room.
std::vector<std::size_t> worst(const Gallery& gallery, const ProtocolResult& result,
                               std::vector<std::size_t> missed, std::size_t count) {
  const auto score = result.scores.names.empty()
                         ? std::ptrdiff_t{-1}
                         : std::ranges::find(result.scores.names, main_metric(result)) -
                               result.scores.names.begin();
  struct Miss {
    std::size_t query;
    std::uint32_t rank;
    float score;
  };
  std::vector<Miss> misses;
  for (const std::size_t query : missed) {
    const bool scored = score >= 0 && static_cast<std::size_t>(score) < result.scores.values.cols &&
                        query < result.scores.values.rows;
    const float value =
        scored ? result.scores.values.row(query)[static_cast<std::size_t>(score)] : 0.0F;
    misses.push_back(
        {query, gallery.first_right(query).value_or(UINT32_MAX), std::isnan(value) ? 0.0F : value});
  }
  std::ranges::stable_sort(misses, [](const Miss& a, const Miss& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.score < b.score;
  });
  std::unordered_map<std::int32_t, std::size_t> of_class;
  std::vector<std::size_t> chosen;
  for (const Miss& miss : misses) {
    if (chosen.size() == count) break;
    const std::int32_t label = gallery.label(result.pictures[miss.query]);
    if (label < 0 || ++of_class[label] <= kMissesOfAClass) chosen.push_back(miss.query);
  }
  return chosen;
}

Markup rows_of(const Gallery& gallery, const std::vector<std::size_t>& queries, bool missed) {
  Markup rows;
  for (const std::size_t query : queries) rows += gallery.row(query, missed);
  return tag("div", {{"class", missed ? "rows" : "rows found"}}, rows);
}

Markup legend() {
  return tag("ul", {{"class", "legend"}}, tag("li", {{"class", "right"}}, "✓ right"),
             tag("li", {{"class", "wrong"}}, "✗ wrong"));
}

}  // namespace

Markup galleries(const Measured& measured, const Dataset* dataset, const ReportOptions& options) {
  const ProtocolResult& result = *measured.result;
  const Gallery gallery(result, dataset, options);
  std::vector<std::size_t> found;
  std::vector<std::size_t> missed;
  for (std::size_t query = 0; query < gallery.queries(); ++query) {
    if (!gallery.has_answer(query)) continue;
    (gallery.first_right(query) == 1U ? found : missed).push_back(query);
  }
  if (options.galleries == 0) return {};
  if (found.empty() && missed.empty()) {
    return remark(
        "No answers were kept with these results, so none can be shown: measure again "
        "with RetrievalOptions::keep_answers of at least 5.");
  }
  const std::vector<std::size_t> good = drawn(found, options.galleries);
  const std::vector<std::size_t> bad = worst(gallery, result, missed, options.galleries);
  Markup content;
  if (!good.empty()) {
    content += tag("h3", {}, "Good finds");
    content += paragraph(fmt::format(
        "{} drawn evenly from the {} whose first answer is right. The query stands on the left, "
        "then the first five answers with their cosine similarity.",
        count_of(good.size(), "query", "queries"), count_of(found.size(), "query", "queries")));
    content += join(legend(), rows_of(gallery, good, false));
  }
  if (!bad.empty()) {
    content += tag("h3", {}, "Worst misses");
    content += paragraph(fmt::format(
        "Of the {} whose first answer is wrong the {} whose first right answer stands furthest "
        "behind, at most {} of a class.",
        count_of(missed.size(), "query", "queries"), with_commas(bad.size()), kMissesOfAClass));
    content += join(legend(), rows_of(gallery, bad, true));
  }
  return content;
}

}  // namespace vsearch::report
