#include "vsearch/evaluator.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>
#include <utility>

#include "eval/fingerprint.h"
#include "eval/rerank.h"
#include "vsearch/error.h"

namespace vsearch {
namespace {

constexpr std::uint32_t kNowhere = std::numeric_limits<std::uint32_t>::max();

std::vector<float> column_of(const Matrix& values, std::size_t column) {
  std::vector<float> result(values.rows);
  for (std::size_t r = 0; r < values.rows; ++r) result[r] = values.row(r)[column];
  return result;
}

// One protocol, from embeddings to figures.
class ProtocolRun {
 public:
  ProtocolRun(const DatasetEmbeddings& embeddings, const Dataset& dataset, const Protocol& protocol,
              const EvaluationOptions& options)
      : dataset_(dataset), protocol_(protocol), options_(options) {
    place_.assign(dataset.pictures.size(), kNowhere);
    std::vector<bool> skipped(dataset.pictures.size(), false);
    for (const SkippedPicture& picture : embeddings.skipped) skipped[picture.picture] = true;
    for (const std::uint32_t picture : protocol.gallery) {
      if (skipped[picture]) continue;
      place_[picture] = static_cast<std::uint32_t>(gallery_.size());
      gallery_.push_back(picture);
    }
    for (std::size_t i = 0; i < protocol.queries.size(); ++i) {
      if (skipped[protocol.queries[i]]) continue;
      queries_.push_back(protocol.queries[i]);
      asked_.push_back(i);
    }
    query_rows_ = rows_of(embeddings.rows, queries_);
    gallery_rows_ = rows_of(embeddings.rows, gallery_);
    for (const std::uint32_t picture : queries_) {
      const std::uint32_t place = place_[picture];
      self_.push_back(place == kNowhere ? -1 : std::int64_t{place});
    }
    rerank();
  }

  ProtocolResult result() {
    ProtocolResult result;
    result.protocol = protocol_.name;
    result.gallery = gallery_.size();
    std::vector<std::uint32_t> all(queries_.size());
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint32_t>(i);
    result.scores = score(all, {}, options_.retrieval);
    result.metrics = result.scores.names;
    result.queries = queries_.size();
    result.without_answer = queries_.size() - result.scores.counted();
    result.estimates = estimates(result.scores.values);
    result.by_class =
        groups(result.scores, labels_of(protocol_.field),
               protocol_.field < 0 ? dataset_.classes : field(protocol_.field).values);
    std::ranges::stable_sort(result.by_class, {}, [&](const GroupScores& group) {
      return group.means[result.scores.column("mAP")];
    });
    if (dataset_.domains.size() > 1) {
      result.by_field["domain"] = groups(result.scores, domains(), dataset_.domains);
      result.across_domains = across_domains();
    }
    for (std::size_t f = 0; f < dataset_.fields.size(); ++f) {
      if (static_cast<std::int32_t>(f) == protocol_.field) continue;
      result.by_field[dataset_.fields[f].name] =
          groups(result.scores, labels_of(static_cast<std::int32_t>(f)), dataset_.fields[f].values);
    }
    result.pictures = queries_;
    result.gallery_pictures = gallery_;
    return result;
  }

 private:
  static Matrix rows_of(const Matrix& from, std::span<const std::uint32_t> pictures) {
    Matrix rows(pictures.size(), from.cols);
    for (std::size_t i = 0; i < pictures.size(); ++i) {
      std::ranges::copy(from.row(pictures[i]), rows.row(i).begin());
    }
    return rows;
  }

  const DatasetField& field(std::int32_t number) const {
    return dataset_.fields[static_cast<std::size_t>(number)];
  }

  // Of a picture: its class, or its value of a field.
  std::int32_t label(std::uint32_t picture, std::int32_t field_number) const {
    return field_number < 0 ? dataset_.pictures[picture].label
                            : field(field_number).of_picture[picture];
  }
  std::vector<std::int32_t> labels_of(std::int32_t field_number) const {
    std::vector<std::int32_t> labels;
    for (const std::uint32_t picture : queries_) labels.push_back(label(picture, field_number));
    return labels;
  }
  std::vector<std::int32_t> domains() const {
    std::vector<std::int32_t> result;
    for (const std::uint32_t picture : queries_)
      result.push_back(dataset_.pictures[picture].domain);
    return result;
  }

  void rerank() {
    const RerankOptions& how = options_.rerank;
    if (how.expand_queries == 0 && how.expand_gallery == 0) return;
    eval::normalise_rows(query_rows_);
    eval::normalise_rows(gallery_rows_);
    const std::uint32_t threads = options_.retrieval.threads;
    if (how.expand_gallery > 0) {
      std::vector<std::int64_t> own(gallery_.size());
      for (std::size_t i = 0; i < own.size(); ++i) own[i] = static_cast<std::int64_t>(i);
      gallery_rows_ = eval::expanded(gallery_rows_.view(), gallery_rows_.view(), own,
                                     how.expand_gallery, how.alpha, threads, asked_on());
    }
    if (how.expand_queries > 0) {
      query_rows_ = eval::expanded(query_rows_.view(), gallery_rows_.view(), self_,
                                   how.expand_queries, how.alpha, threads, asked_on());
    }
  }

  // Places in the gallery of the pictures in a list.
  std::vector<std::uint32_t> places(const std::vector<std::uint32_t>& pictures) const {
    std::vector<std::uint32_t> result;
    for (const std::uint32_t picture : pictures) {
      if (place_[picture] != kNowhere) result.push_back(place_[picture]);
    }
    return result;
  }

  // Of `which` of queries_, among the places `among` of the gallery; empty: among all of it.
  RetrievalScores score(std::span<const std::uint32_t> which, std::span<const std::uint32_t> among,
                        const RetrievalOptions& options) const {
    std::vector<std::uint32_t> moved;  // of each place its row among these
    if (!among.empty()) moved.assign(gallery_.size(), kNowhere);
    for (std::size_t i = 0; i < among.size(); ++i) moved[among[i]] = static_cast<std::uint32_t>(i);
    const auto row_of = [&](std::uint32_t place) { return moved.empty() ? place : moved[place]; };
    const auto rows_of_all = [&](const std::vector<std::uint32_t>& pictures) {
      std::vector<std::uint32_t> found = places(pictures);
      for (std::uint32_t& place : found) place = row_of(place);
      std::erase(found, kNowhere);
      return found;
    };
    Matrix rows(which.size(), query_rows_.cols);
    std::vector<std::int32_t> query_labels;
    std::vector<std::int64_t> self;
    std::vector<std::vector<std::uint32_t>> positives;
    std::vector<std::vector<std::uint32_t>> ignored;
    for (std::size_t i = 0; i < which.size(); ++i) {
      std::ranges::copy(query_rows_.row(which[i]), rows.row(i).begin());
      query_labels.push_back(label(queries_[which[i]], protocol_.field));
      const std::int64_t own = self_[which[i]];
      const std::uint32_t row = own < 0 ? kNowhere : row_of(static_cast<std::uint32_t>(own));
      self.push_back(row == kNowhere ? -1 : std::int64_t{row});
      const std::size_t place = asked_[which[i]];
      if (!protocol_.positives.empty())
        positives.push_back(rows_of_all(protocol_.positives[place]));
      if (!protocol_.ignored.empty()) ignored.push_back(rows_of_all(protocol_.ignored[place]));
    }
    const Matrix part = among.empty() ? Matrix(0, 0) : rows_of(gallery_rows_, among);
    std::vector<std::int32_t> gallery_labels;
    for (std::size_t i = 0; i < (among.empty() ? gallery_.size() : among.size()); ++i) {
      gallery_labels.push_back(label(gallery_[among.empty() ? i : among[i]], protocol_.field));
    }
    RetrievalTask task;
    task.queries = rows.view();
    task.gallery = among.empty() ? gallery_rows_.view() : part.view();
    task.query_labels = query_labels;
    task.gallery_labels = gallery_labels;
    task.self = self;
    task.self_match = protocol_.self;
    task.positives = positives;
    task.ignored = ignored;
    task.average_precision = protocol_.average_precision;
    task.cutoff = protocol_.cutoff;
    return score_retrieval(task, options, asked_on());
  }

  // All pictures are encoded, but it can still be cancelled.
  Progress asked_on() const {
    if (!options_.progress) return {};
    return [this](std::uint64_t, std::uint64_t) {
      return options_.progress(dataset_.pictures.size(), dataset_.pictures.size());
    };
  }

  std::vector<Estimate> estimates(const Matrix& values) const {
    std::vector<Estimate> result;
    for (std::size_t c = 0; c < values.cols; ++c) {
      result.push_back(estimate_mean(column_of(values, c), options_.bootstrap, options_.seed));
    }
    return result;
  }

  static std::vector<GroupScores> groups(const RetrievalScores& scores,
                                         std::span<const std::int32_t> group_of,
                                         std::span<const std::string> names) {
    const std::size_t columns = scores.names.size();
    std::vector<GroupScores> result(names.size());
    for (std::size_t g = 0; g < names.size(); ++g) {
      result[g] = {names[g], 0, std::vector<double>(columns, 0.0)};
    }
    for (std::size_t q = 0; q < group_of.size(); ++q) {
      if (group_of[q] < 0 || scores.right_answers[q] == 0) continue;
      GroupScores& group = result[static_cast<std::size_t>(group_of[q])];
      ++group.queries;
      for (std::size_t c = 0; c < columns; ++c) group.means[c] += scores.values.row(q)[c];
    }
    std::erase_if(result, [](const GroupScores& group) { return group.queries == 0; });
    for (GroupScores& group : result) {
      for (double& mean : group.means) mean /= static_cast<double>(group.queries);
    }
    return result;
  }

  // Every query among the pictures of other domains than its own.
  std::optional<std::vector<Estimate>> across_domains() const {
    Matrix all(0, 0);
    RetrievalOptions options = options_.retrieval;
    options.keep_answers = 0;
    for (std::size_t domain = 0; domain < dataset_.domains.size(); ++domain) {
      const auto is_of_it = [&](std::uint32_t picture) {
        return dataset_.pictures[picture].domain == static_cast<std::int32_t>(domain);
      };
      std::vector<std::uint32_t> others;
      for (std::size_t i = 0; i < gallery_.size(); ++i) {
        if (!is_of_it(gallery_[i])) others.push_back(static_cast<std::uint32_t>(i));
      }
      std::vector<std::uint32_t> which;
      for (std::size_t i = 0; i < queries_.size(); ++i) {
        if (is_of_it(queries_[i])) which.push_back(static_cast<std::uint32_t>(i));
      }
      if (which.empty() || others.empty()) continue;
      try {
        const RetrievalScores scores = score(which, others, options);
        all.cols = scores.values.cols;
        all.rows += scores.values.rows;
        all.data.insert(all.data.end(), scores.values.data.begin(), scores.values.data.end());
      } catch (const Error& e) {
        // No picture of another domain is a right answer to any of these.
        if (e.code() != ErrorCode::kInvalidArgument) throw;
      }
    }
    if (all.rows == 0) return std::nullopt;
    return estimates(all);
  }

  const Dataset& dataset_;
  const Protocol& protocol_;
  const EvaluationOptions& options_;
  std::vector<std::uint32_t> place_;    // of each picture in gallery_
  std::vector<std::uint32_t> gallery_;  // pictures
  std::vector<std::uint32_t> queries_;  // pictures
  std::vector<std::size_t> asked_;      // of each query its place in the protocol
  std::vector<std::int64_t> self_;
  Matrix query_rows_;
  Matrix gallery_rows_;
};

}  // namespace

Evaluation evaluate(const DatasetEmbeddings& embeddings, const EncoderInfo& encoder,
                    const Dataset& dataset, const EvaluationOptions& options) {
  if (embeddings.rows.rows != dataset.pictures.size()) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("there are {} embeddings for the {} pictures of {}; give one row for each",
                    embeddings.rows.rows, dataset.pictures.size(), dataset.name));
  }
  Evaluation evaluation;
  evaluation.dataset = dataset.name;
  evaluation.root = dataset.root.string();
  evaluation.dataset_fingerprint = eval::fingerprint_of(dataset);
  evaluation.encoder_name = encoder.name;
  evaluation.encoder_fingerprint = encoder.fingerprint;
  evaluation.precision = precision_name(encoder.precision);
  evaluation.rerank = to_string(options.rerank);
  evaluation.pictures = dataset.pictures.size();
  evaluation.from_cache = embeddings.from_cache;
  evaluation.encode_seconds = embeddings.seconds;
  evaluation.skipped = embeddings.skipped;
  std::vector<const Protocol*> protocols;
  for (const std::string& name : options.protocols) protocols.push_back(&dataset.protocol(name));
  if (protocols.empty()) {
    for (const Protocol& protocol : dataset.protocols) protocols.push_back(&protocol);
  }
  for (const Protocol* protocol : protocols) {
    evaluation.protocols.push_back(ProtocolRun(embeddings, dataset, *protocol, options).result());
  }
  return evaluation;
}

Evaluation evaluate(const Encoder& encoder, const Dataset& dataset,
                    const EvaluationOptions& options) {
  return evaluate(embed_dataset(encoder, dataset, options), encoder.info(), dataset, options);
}

}  // namespace vsearch
