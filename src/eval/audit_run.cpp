#include "eval/audit_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>
#include <thread>
#include <utility>

#include "catalog/picture_file.h"
#include "eval/audit_sample.h"
#include "eval/cosines.h"
#include "eval/picture_changes.h"
#include "eval/seeded.h"
#include "util/parallel.h"
#include "vsearch/error.h"

namespace vsearch::eval {
namespace {

constexpr std::uint32_t kWorkingPx = 448;  // the least that longer sides are shrunk to
constexpr std::uint32_t kExamplePx = 160;
constexpr std::size_t kBatch = 32;  // queries whose forms are held at a time
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::size_t threads() {
  return std::max(1U, std::thread::hardware_concurrency());
}

}  // namespace

void make_unit(std::span<float> row) {
  const double length = std::sqrt(squared_length(row));
  const bool has_length = std::isfinite(length) && length > 0;
  for (float& value : row) {
    value = has_length ? static_cast<float>(static_cast<double>(value) / length) : kNan;
  }
}

bool is_known(std::span<const float> row) {
  return !row.empty() && !std::isnan(row[0]);
}

AuditRun::AuditRun(const Encoder& encoder, const Dataset& dataset, const AuditOptions& options,
                   std::uint64_t forms)
    : encoder_(encoder), options_(options), part_(sample_dataset(dataset, options)), forms_(forms) {
  const Protocol& protocol = part_.protocols.front();
  labels_ = labels_of(part_, protocol);
  label_names_ = &label_names_of(part_, protocol);
  total_ = part_.pictures.size() + protocol.queries.size() * forms_;
  embed();
}

void AuditRun::embed() {
  EvaluationOptions options;
  options.cache = options_.cache;
  options.seed = options_.seed;
  options.progress = [this](std::uint64_t done, std::uint64_t) {
    return !options_.progress || options_.progress(done, total_);
  };
  const DatasetEmbeddings embedded = embed_dataset(encoder_, part_, options);
  done_ = part_.pictures.size();

  std::set<std::uint32_t> skipped;
  for (const SkippedPicture& picture : embedded.skipped) skipped.insert(picture.picture);
  const Protocol& protocol = part_.protocols.front();
  std::map<std::uint32_t, std::uint32_t> row_of;  // in the gallery
  for (const std::uint32_t picture : protocol.gallery) {
    if (skipped.contains(picture)) continue;
    row_of.emplace(picture, static_cast<std::uint32_t>(gallery_.size()));
    gallery_.push_back(picture);
    gallery_labels_.push_back(labels_[picture]);
  }
  const auto rows_of = [&](const std::vector<std::uint32_t>& pictures) {
    std::vector<std::uint32_t> rows;
    for (const std::uint32_t picture : pictures) {
      if (const auto row = row_of.find(picture); row != row_of.end()) rows.push_back(row->second);
    }
    return rows;
  };
  for (std::size_t i = 0; i < protocol.queries.size(); ++i) {
    const std::uint32_t picture = protocol.queries[i];
    if (skipped.contains(picture)) continue;
    queries_.push_back(picture);
    const auto row = row_of.find(picture);
    self_.push_back(row == row_of.end() ? -1 : std::int64_t{row->second});
    if (!protocol.positives.empty()) positives_.push_back(rows_of(protocol.positives[i]));
    if (!protocol.ignored.empty()) ignored_.push_back(rows_of(protocol.ignored[i]));
  }
  total_ = part_.pictures.size() + queries_.size() * forms_;

  const auto unit_rows = [&](const std::vector<std::uint32_t>& pictures) {
    Matrix rows(pictures.size(), embedded.rows.cols);
    for (std::size_t i = 0; i < pictures.size(); ++i) {
      std::ranges::copy(embedded.rows.row(pictures[i]), rows.row(i).begin());
      const bool is_zero = std::ranges::all_of(rows.row(i), [](float v) { return v == 0.0F; });
      if (!is_zero) make_unit(rows.row(i));  // a zero is refused, with its name, when it is ranked
    }
    return rows;
  };
  query_rows_ = unit_rows(queries_);
  pool_ = gallery_;
  for (std::size_t i = 0; i < queries_.size(); ++i) {
    if (self_[i] < 0) pool_.push_back(queries_[i]);
  }
  pool_rows_ = unit_rows(pool_);
  const MatrixView gallery = gallery_rows();
  centre_.resize(gallery.cols);
  for (std::size_t i = 0; i < gallery.rows * gallery.cols; ++i) {
    centre_[i % gallery.cols] += gallery.data[i] / static_cast<float>(gallery.rows);
  }
}

const Index& AuditRun::pool_index() {
  if (!pool_index_) {
    IndexOptions options;
    options.dim = static_cast<std::uint32_t>(pool_rows_.cols);
    Index index(options);
    std::vector<Id> ids(pool_.size());
    std::iota(ids.begin(), ids.end(), Id{0});
    index.add(pool_rows_.view(), ids);
    pool_index_ = std::move(index);
  }
  return *pool_index_;
}

void AuditRun::count_encoded(std::uint64_t pictures) {
  done_ += pictures;
  if (options_.progress && !options_.progress(done_, total_)) {
    throw Error(ErrorCode::kCancelled, "the audit was cancelled");
  }
}

std::string AuditRun::label_name(std::uint32_t picture) const {
  const std::int32_t label = labels_[picture];
  return label < 0 ? "no label" : (*label_names_)[static_cast<std::size_t>(label)];
}

double AuditRun::centred_cosine(std::span<const float> a, std::span<const float> b) const {
  double product = 0;
  double a_squares = 0;
  double b_squares = 0;
  for (std::size_t i = 0; i < centre_.size(); ++i) {
    const double x = double{a[i]} - centre_[i];
    const double y = double{b[i]} - centre_[i];
    product += x * y;
    a_squares += x * x;
    b_squares += y * y;
  }
  const double lengths = std::sqrt(a_squares * b_squares);
  return lengths > 0 ? product / lengths : 0;
}

Image AuditRun::picture(std::uint32_t picture) const {
  const DatasetPicture& entry = part_.pictures[picture];
  const Image whole = read_image(part_.root / entry.path);
  const ImageView view = detail::cropped(whole, entry.crop);
  const Preprocessing& input = encoder_.info().preprocessing;
  if (input.resize_edge == ResizeEdge::kNone) return shrink(view, ~0U);
  return shrink(view, std::max({kWorkingPx, 2 * input.width_px, 2 * input.height_px}));
}

Image AuditRun::small_picture(std::uint32_t picture, std::uint32_t longer_px) const {
  const DatasetPicture& entry = part_.pictures[picture];
  DecodeOptions options;
  options.cover_width_px = options.cover_height_px = longer_px;
  const Image whole = read_image(part_.root / entry.path, detail::for_crop(options, entry.crop));
  return shrink(detail::cropped(whole, entry.crop), longer_px);
}

std::vector<Matrix> AuditRun::encode_forms(std::size_t count, const Forms& forms) {
  std::vector<Matrix> result(count, Matrix(queries_.size(), pool_rows_.cols));
  for (Matrix& rows : result) std::ranges::fill(rows.data, kNan);
  for (std::size_t first = 0; first < queries_.size(); first += kBatch) {
    const std::size_t size = std::min(kBatch, queries_.size() - first);
    std::vector<std::vector<Image>> made(size);
    util::share(size, threads(), [&](const auto& next) {
      while (const auto i = next()) {
        made[*i] = forms(first + *i, picture(queries_[first + *i]));
      }
    });
    std::vector<ImageView> views;
    std::vector<std::span<float>> rows;
    for (std::size_t i = 0; i < size; ++i) {
      for (std::size_t form = 0; form < made[i].size(); ++form) {
        if (made[i][form].pixels.empty()) continue;
        views.push_back(made[i][form].view());
        rows.push_back(result[form].row(first + i));
      }
    }
    encode_each(encoder_, views,
                [&](std::size_t i, std::span<const float> embedding, const Error*) {
                  if (embedding.empty()) return true;  // such a form is not for this encoder
                  std::ranges::copy(embedding, rows[i].begin());
                  make_unit(rows[i]);
                  return true;
                });
    count_encoded(size * count);
  }
  return result;
}

void AuditRun::each_tokens(const TakeTokens& take) {
  for (std::size_t first = 0; first < queries_.size(); first += kBatch) {
    const std::size_t size = std::min(kBatch, queries_.size() - first);
    std::vector<Image> pictures(size);
    util::share(size, threads(), [&](const auto& next) {
      while (const auto i = next()) pictures[*i] = picture(queries_[first + *i]);
    });
    std::vector<ImageView> views;
    for (const Image& image : pictures) views.push_back(image.view());
    const Tokens tokens = encoder_.encode_tokens(views);
    for (std::size_t i = 0; i < size; ++i) {
      take(first + i, pictures[i], tokens.of_picture(i), tokens.dim);
    }
    count_encoded(size);
  }
}

// Whether the gallery holds a right answer beside the query itself and those passed over.
bool AuditRun::has_answer(std::size_t query, std::span<const std::uint32_t> passed_over) const {
  const auto counts = [&](std::uint32_t row) {
    return std::int64_t{row} != self_[query] && !std::ranges::binary_search(passed_over, row);
  };
  if (!positives_.empty()) return std::ranges::any_of(positives_[query], counts);
  const std::int32_t label = labels_[queries_[query]];
  for (std::uint32_t row = 0; label >= 0 && row < gallery_labels_.size(); ++row) {
    if (gallery_labels_[row] == label && counts(row)) return true;
  }
  return false;
}

Found AuditRun::find(MatrixView rows, std::span<const std::vector<std::uint32_t>> ignored) const {
  // What could not be encoded is left out of the task.
  std::vector<std::size_t> asked;
  Matrix asked_rows;
  asked_rows.cols = rows.cols;
  std::vector<std::int32_t> labels;
  std::vector<std::int64_t> self;
  std::vector<std::vector<std::uint32_t>> positives;
  std::vector<std::vector<std::uint32_t>> passed_over;
  for (std::size_t i = 0; i < queries_.size(); ++i) {
    std::vector<std::uint32_t> pass;
    if (!ignored_.empty()) pass = ignored_[i];
    if (!ignored.empty()) pass.insert(pass.end(), ignored[i].begin(), ignored[i].end());
    std::ranges::sort(pass);
    pass.erase(std::ranges::unique(pass).begin(), pass.end());
    if (!is_known(rows.row(i)) || !has_answer(i, pass)) continue;
    asked.push_back(i);
    asked_rows.data.insert(asked_rows.data.end(), rows.row(i).begin(), rows.row(i).end());
    labels.push_back(labels_[queries_[i]]);
    self.push_back(self_[i]);
    if (!positives_.empty()) positives.push_back(positives_[i]);
    passed_over.push_back(std::move(pass));
  }
  asked_rows.rows = asked.size();

  Found found;
  found.right.assign(queries_.size(), kNan);
  found.first.resize(queries_.size());
  if (asked.empty()) return found;
  RetrievalTask task;
  task.queries = asked_rows.view();
  task.query_labels = labels;
  task.self = self;
  task.positives = positives;
  task.ignored = passed_over;
  const RetrievalScores scores = scores_of(task, 1);
  const std::size_t column = scores.column("R@1");
  for (std::size_t i = 0; i < asked.size(); ++i) {
    found.right[asked[i]] = scores.values.row(i)[column];
    if (!scores.answers[i].empty()) found.first[asked[i]] = scores.answers[i][0];
  }
  return found;
}

RetrievalScores AuditRun::clean_scores(std::uint32_t count) const {
  std::vector<std::int32_t> labels;
  for (const std::uint32_t picture : queries_) labels.push_back(labels_[picture]);
  RetrievalTask task;
  task.queries = query_rows_.view();
  task.query_labels = labels;
  task.self = self_;
  task.positives = positives_;
  task.ignored = ignored_;
  return scores_of(task, count);
}

RetrievalScores AuditRun::scores_of(RetrievalTask task, std::uint32_t keep_answers) const {
  task.gallery = gallery_rows();
  task.gallery_labels = gallery_labels_;
  RetrievalOptions options;
  options.recall_at = {1};
  options.precision_at = {1};
  options.keep_answers = keep_answers;
  return score_retrieval(task, options);
}

Estimate AuditRun::estimate(std::span<const float> values) const {
  return estimate_mean(values, options_.bootstrap, options_.seed);
}

Estimate AuditRun::estimate(std::span<const float> values,
                            const std::function<double(std::span<const float>)>& statistic) const {
  Seeded random(options_.seed);
  std::vector<double> results(options_.bootstrap);
  std::vector<float> resample(values.size());
  for (double& result : results) {
    for (float& value : resample) value = values[random.below(values.size())];
    result = statistic(resample);
  }
  std::ranges::sort(results);
  const auto at = [&](double share) {
    return results[static_cast<std::size_t>(share * static_cast<double>(results.size() - 1))];
  };
  return {statistic(values), at(0.025), at(0.975), values.size()};
}

Loss AuditRun::loss(std::span<const float> clean, std::span<const float> changed) const {
  std::vector<float> lost(clean.size());
  double before = 0;
  std::size_t count = 0;
  for (std::size_t i = 0; i < clean.size(); ++i) {
    lost[i] = clean[i] - changed[i];
    if (std::isnan(lost[i])) continue;
    before += clean[i];
    ++count;
  }
  if (before == 0) return {};  // nothing was right, so nothing can be lost
  before /= static_cast<double>(count);
  const Estimate estimated = estimate(lost);
  return {estimated.mean / before, estimated.low / before};
}

AuditExample::Shown AuditRun::shown(std::uint32_t picture, const std::string& caption) const {
  return {small_picture(picture, kExamplePx), caption};
}

AuditExample::Shown AuditRun::shown(const Image& image, const std::string& caption) const {
  return {shrink(image.view(), kExamplePx), caption};
}

}  // namespace vsearch::eval
