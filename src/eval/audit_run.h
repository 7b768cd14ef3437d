// What the findings of an audit share: the pictures it looks at, their embeddings, and what becomes
// of queries that are changed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "eval/report_numbers.h"
#include "vsearch/audit.h"
#include "vsearch/index.h"

namespace vsearch::eval {

using report::percent;  // summaries write numbers as the report does

// What a set of queries finds.
struct Found {
  std::vector<float> right;  // [queries]: 1 if the first answer is right, else 0; NaN: not asked
  std::vector<RankedAnswer> first;  // [queries]: only where it was asked
};

// How much is lost by a change, of what was right before.
struct Loss {
  double share = 0;  // 0 nothing to 1 all
  double low = 0;    // 95 % sure that it is at least this
};

// Chooses and encodes pictures. Members count what they encode as progress.
// Threads: one at a time.
class AuditRun {
 public:
  // `forms` is how many changed forms of each query will be encoded, for progress.
  // Throws as audit() does.
  AuditRun(const Encoder& encoder, const Dataset& dataset, const AuditOptions& options,
           std::uint64_t forms);

  const Encoder& encoder() const { return encoder_; }
  const AuditOptions& options() const { return options_; }
  const Dataset& part() const { return part_; }  // of the data set: what is looked at

  // Numbers of part().pictures: those that ask, at most options().sample, and those that answer.
  const std::vector<std::uint32_t>& queries() const { return queries_; }
  const std::vector<std::uint32_t>& gallery() const { return gallery_; }
  // Of each picture of part(), as the protocol says; -1: none.
  std::int32_t label(std::uint32_t picture) const { return labels_[picture]; }
  const std::vector<std::string>& label_names() const { return *label_names_; }
  std::string label_name(std::uint32_t picture) const;

  // Of unit length.
  MatrixView query_rows() const { return query_rows_.view(); }
  MatrixView gallery_rows() const {
    return {pool_rows_.data.data(), gallery_.size(), pool_rows_.cols};
  }
  // The gallery, and behind it the queries that are not in it.
  const std::vector<std::uint32_t>& pool() const { return pool_; }
  MatrixView pool_rows() const { return pool_rows_.view(); }
  // Of the pool, by its rows; built when it is first asked for, as a catalogue would build it.
  const Index& pool_index();
  // The labels of the gallery, in its order.
  const std::vector<std::int32_t>& gallery_labels() const { return gallery_labels_; }
  // Of each query its row in the gallery, or -1.
  const std::vector<std::int64_t>& self() const { return self_; }
  // The mean of the gallery. Embeddings lie in a narrow cone: what they have in common says
  // nothing.
  std::span<const float> centre() const { return centre_; }
  // The cosine of two rows as seen from centre(): that of two pictures chosen at random is about 0.
  double centred_cosine(std::span<const float> a, std::span<const float> b) const;

  // The picture, its crop alone, with a longer side of at most about twice what the encoder sees.
  Image picture(std::uint32_t picture) const;
  // The same, small: for colours and fingerprints.
  Image small_picture(std::uint32_t picture, std::uint32_t longer_px) const;

  // Gives the changed forms of a query; an empty Image is left out. Called on several threads.
  using Forms = std::function<std::vector<Image>(std::size_t query, const Image& picture)>;
  // The embeddings of `count` forms of every query [count][queries x dim], of unit length; NaN
  // where there is none.
  std::vector<Matrix> encode_forms(std::size_t count, const Forms& forms);
  // The local tokens of each query's picture, given in batches to `take` with the picture. Only
  // where the encoder has them.
  using TakeTokens = std::function<void(std::size_t query, const Image& picture,
                                        std::span<const float> tokens, std::uint32_t dim)>;
  void each_tokens(const TakeTokens& take);

  // For a finding that does not encode what it had announced.
  void skip_forms(std::uint64_t count) { count_encoded(queries_.size() * count); }

  // What queries find with these embeddings [queries x dim]. `ignored` may name for each query rows
  // of the gallery to be passed over.
  Found find(MatrixView rows, std::span<const std::vector<std::uint32_t>> ignored = {}) const;
  // The first `count` answers to every query as it is, among them never itself.
  RetrievalScores clean_scores(std::uint32_t count) const;

  Estimate estimate(std::span<const float> values) const;
  // Of any statistic of a sample, by percentile bootstrap.
  Estimate estimate(std::span<const float> values,
                    const std::function<double(std::span<const float>)>& statistic) const;
  // Over queries for which both are known.
  Loss loss(std::span<const float> clean, std::span<const float> changed) const;

  // A picture of an example.
  AuditExample::Shown shown(std::uint32_t picture, const std::string& caption) const;
  AuditExample::Shown shown(const Image& image, const std::string& caption) const;

 private:
  void count_encoded(std::uint64_t pictures);
  void embed();
  // Of a task that lacks only the gallery.
  RetrievalScores scores_of(RetrievalTask task, std::uint32_t keep_answers) const;
  bool has_answer(std::size_t query, std::span<const std::uint32_t> passed_over) const;

  const Encoder& encoder_;
  const AuditOptions& options_;
  Dataset part_;
  std::uint64_t forms_;
  std::uint64_t done_ = 0;
  std::uint64_t total_ = 0;
  std::vector<std::uint32_t> queries_;
  std::vector<std::uint32_t> gallery_;
  std::vector<std::int32_t> labels_;
  const std::vector<std::string>* label_names_ = nullptr;
  std::vector<std::int32_t> gallery_labels_;
  std::vector<std::int64_t> self_;
  std::vector<std::vector<std::uint32_t>> positives_;  // rows of the gallery, of each query
  std::vector<std::vector<std::uint32_t>> ignored_;    // likewise
  Matrix query_rows_;
  std::vector<std::uint32_t> pool_;
  Matrix pool_rows_;
  std::optional<Index> pool_index_;
  std::vector<float> centre_;
};

// Scales a row to unit length; NaN all over if it has none.
void make_unit(std::span<float> row);
bool is_known(std::span<const float> row);

}  // namespace vsearch::eval
