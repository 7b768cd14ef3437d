#include "eval/audit_sample.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <set>
#include <span>
#include <utility>

#include "eval/seeded.h"
#include "vsearch/error.h"

namespace vsearch::eval {
namespace {

constexpr std::uint32_t kAbsent = ~std::uint32_t{0};

class Sampler {
 public:
  Sampler(const Dataset& dataset, const AuditOptions& options)
      : dataset_(dataset),
        protocol_(dataset.protocols.front()),
        options_(options),
        random_(options.seed),
        labels_(labels_of(dataset, protocol_)) {}

  Dataset sample() {
    check_labels();
    for (const std::uint32_t picture : protocol_.gallery) {
      if (labels_[picture] >= 0) of_label_[labels_[picture]].push_back(picture);
    }
    choose_queries();
    choose_gallery();
    return part();
  }

 private:
  void check_labels() const {
    if (!protocol_.positives.empty()) return;
    std::set<std::int32_t> different;
    for (const std::uint32_t picture : protocol_.gallery) {
      if (labels_[picture] >= 0) different.insert(labels_[picture]);
    }
    if (different.size() >= 2) return;
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: the gallery of the protocol '{}' has pictures of {} label{}; an "
                            "audit needs at least two: give it a data set with more classes",
                            dataset_.name, protocol_.name, different.size(),
                            different.size() == 1 ? "" : "s"));
  }

  // Pictures of the gallery, in its order.
  std::vector<std::uint32_t> right_answers(std::size_t query) const {
    const std::uint32_t picture = protocol_.queries[query];
    std::vector<std::uint32_t> result;
    if (!protocol_.positives.empty()) {
      result = protocol_.positives[query];
    } else if (const auto found = of_label_.find(labels_[picture]); found != of_label_.end()) {
      result = found->second;
    }
    std::erase(result, picture);
    return result;
  }

  void choose_queries() {
    std::vector<std::size_t> order(protocol_.queries.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    random_.shuffle(std::span(order));
    for (const std::size_t query : order) {
      if (queries_.size() == options_.sample) break;
      if (!right_answers(query).empty()) queries_.push_back(query);
    }
    std::ranges::sort(queries_);
    if (!queries_.empty()) return;
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: no query of the protocol '{}' has a right answer other than "
                            "itself; an audit needs classes with several pictures",
                            dataset_.name, protocol_.name));
  }

  void choose_gallery() {
    if (protocol_.gallery.size() <= options_.gallery) {
      gallery_.insert(protocol_.gallery.begin(), protocol_.gallery.end());
      return;
    }
    std::vector<std::vector<std::uint32_t>> wanted;
    for (const std::size_t query : queries_) {
      wanted.push_back(right_answers(query));
      random_.shuffle(std::span(wanted.back()));
    }
    // A right answer for each query first, then a second.
    const std::size_t room = std::max<std::size_t>(1, options_.gallery / 2);
    bool more = true;
    for (std::size_t round = 0; more && gallery_.size() < room; ++round) {
      more = false;
      for (const auto& answers : wanted) {
        if (round >= answers.size() || gallery_.size() >= room) continue;
        gallery_.insert(answers[round]);
        more = true;
      }
    }
    std::vector<std::uint32_t> others = protocol_.gallery;
    random_.shuffle(std::span(others));
    for (const std::uint32_t picture : others) {
      if (gallery_.size() >= options_.gallery) break;
      gallery_.insert(picture);
    }
  }

  Dataset part() const {
    std::set<std::uint32_t> pictures(gallery_.begin(), gallery_.end());
    for (const std::size_t query : queries_) pictures.insert(protocol_.queries[query]);
    std::vector<std::uint32_t> number(dataset_.pictures.size(), kAbsent);

    Dataset result;
    result.name = dataset_.name;
    result.root = dataset_.root;
    result.classes = dataset_.classes;
    result.domains = dataset_.domains;
    for (const std::uint32_t picture : pictures) {
      number[picture] = static_cast<std::uint32_t>(result.pictures.size());
      result.pictures.push_back(dataset_.pictures[picture]);
    }
    for (const DatasetField& field : dataset_.fields) {
      DatasetField& kept = result.fields.emplace_back(field.name, field.values);
      for (const std::uint32_t picture : pictures) {
        kept.of_picture.push_back(field.of_picture[picture]);
      }
    }
    const auto renumbered = [&](const std::vector<std::uint32_t>& old) {
      std::vector<std::uint32_t> kept;
      for (const std::uint32_t picture : old) {
        if (gallery_.contains(picture)) kept.push_back(number[picture]);
      }
      return kept;
    };
    Protocol& protocol = result.protocols.emplace_back();
    protocol.name = protocol_.name;
    protocol.field = protocol_.field;
    for (const std::uint32_t picture : gallery_) protocol.gallery.push_back(number[picture]);
    for (const std::size_t query : queries_) {
      protocol.queries.push_back(number[protocol_.queries[query]]);
      if (!protocol_.positives.empty()) {
        protocol.positives.push_back(renumbered(protocol_.positives[query]));
      }
      if (!protocol_.ignored.empty()) {
        protocol.ignored.push_back(renumbered(protocol_.ignored[query]));
      }
    }
    return result;
  }

  const Dataset& dataset_;
  const Protocol& protocol_;
  const AuditOptions& options_;
  Seeded random_;
  std::vector<std::int32_t> labels_;
  std::map<std::int32_t, std::vector<std::uint32_t>> of_label_;  // pictures of the gallery
  std::vector<std::size_t> queries_;                             // places in protocol_.queries
  std::set<std::uint32_t> gallery_;
};

}  // namespace

Dataset sample_dataset(const Dataset& dataset, const AuditOptions& options) {
  if (dataset.protocols.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: a data set without a protocol cannot be audited: nothing says who "
                            "asks whom",
                            dataset.name));
  }
  if (options.sample == 0 || options.gallery < 2 || options.bootstrap == 0) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("an audit needs a sample of at least 1 query, a gallery of at least 2 "
                            "pictures and at least 1 resample, not {}, {} and {}",
                            options.sample, options.gallery, options.bootstrap));
  }
  return Sampler(dataset, options).sample();
}

std::vector<std::int32_t> labels_of(const Dataset& dataset, const Protocol& protocol) {
  if (protocol.field >= 0)
    return dataset.fields[static_cast<std::size_t>(protocol.field)].of_picture;
  std::vector<std::int32_t> result;
  for (const DatasetPicture& picture : dataset.pictures) result.push_back(picture.label);
  return result;
}

const std::vector<std::string>& label_names_of(const Dataset& dataset, const Protocol& protocol) {
  return protocol.field >= 0 ? dataset.fields[static_cast<std::size_t>(protocol.field)].values
                             : dataset.classes;
}

}  // namespace vsearch::eval
