#include "train/text_training.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/optim/adamw.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <memory>
#include <unordered_map>
#include <utility>

#include "eval/seeded.h"
#include "train/losses_common.h"
#include "train/recipe.h"
#include "train/sampler.h"
#include "train/text_tower.h"
#include "vsearch/error.h"

namespace vsearch::training {
namespace {

using TextClock = std::chrono::steady_clock;

constexpr std::size_t kFewestTexts = 20;
// In fewer texts than this a piece that comes once is known, too.
constexpr std::size_t kManyTexts = 1000;
constexpr std::size_t kMeasuredTexts = 10'000;
constexpr std::size_t kExamples = 10;
constexpr std::size_t kFoundTexts = 5;
constexpr double kShortened = 0.5;    // share of the texts of which some words are shown
constexpr double kFewestWords = 0.2;  // of these, as a share
constexpr double kSpelledOut = 0.15;  // share of the words that are known by their letters alone
constexpr double kTextWarmUp = 0.1;
const double kFirstScale = std::log(1 / 0.07);  // as CLIP's
const double kLargestScale = std::log(100.0);

double seconds_from(TextClock::time_point began) {
  return std::chrono::duration<double>(TextClock::now() - began).count();
}

// A text as rows of the tower; words[i] is the word that rows[i] is of.
struct KnownPieces {
  std::vector<std::int64_t> rows;
  std::vector<std::int32_t> words;
};

class TextTraining {
 public:
  TextTraining(const TitledPictures& data, const TextTrainOptions& options,
               const TextTrainProgress& progress, TextTrainReport& report)
      : data_(data), options_(options), progress_(progress), report_(report) {
    hold_out();
    const std::vector<TextPieces> read = read_texts();
    make_tower(read);
    know(read);
  }

  torch::jit::Module run() {
    at::Tensor scale = at::full({}, kFirstScale).requires_grad_(true);
    std::vector<at::Tensor> values{scale};
    for (const auto& parameter : tower_.parameters()) {
      parameter.requires_grad_(true);
      values.push_back(parameter);
    }
    torch::optim::AdamW optimizer(
        values, torch::optim::AdamWOptions(options_.rate).weight_decay(options_.weight_decay));
    std::uint32_t since_best = 0;
    for (std::uint32_t epoch = 1; epoch <= options_.epochs; ++epoch) {
      if (!learn(epoch, scale, optimizer)) break;
      since_best = is_best_ ? 0 : since_best + 1;
      if (options_.patience > 0 && since_best >= options_.patience) {
        report_.stopped = fmt::format("no better in {} epochs", since_best);
        break;
      }
    }
    const at::NoGradGuard no_gradients;
    std::size_t next = 0;
    for (at::Tensor parameter : tower_.parameters()) {
      parameter.requires_grad_(false);
      parameter.copy_(best_.at(next++));
    }
    show_examples();
    return tower_;
  }

 private:
  // Of every text wholly or not at all.
  void hold_out() {
    const std::size_t texts = data_.texts.size();
    if (texts < kFewestTexts) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("there are {} different texts to learn from, and {} are needed; name "
                              "fields that tell items apart, such as the title",
                              texts, kFewestTexts));
    }
    std::vector<std::int32_t> order(texts);
    for (std::size_t i = 0; i < texts; ++i) order[i] = static_cast<std::int32_t>(i);
    eval::Seeded random(derived_seed(options_.seed, 0));
    random.shuffle(std::span(order));
    const auto count =
        static_cast<std::size_t>(std::ceil(options_.held_out * static_cast<double>(texts)));
    std::vector<bool> is_held_out(texts, false);
    for (std::size_t i = 0; i < count; ++i) {
      is_held_out[static_cast<std::size_t>(order[i])] = true;
      if (i < kMeasuredTexts) measured_texts_.push_back(order[i]);
    }
    std::ranges::sort(measured_texts_);
    std::vector<std::uint64_t> answers(texts, 0);
    for (std::size_t pair = 0; pair < data_.text_of.size(); ++pair) {
      const std::int32_t text = data_.text_of[pair];
      if (!is_held_out[static_cast<std::size_t>(text)]) {
        learned_.push_back(static_cast<std::int64_t>(pair));
        continue;
      }
      ++report_.held_out;
      if (std::ranges::binary_search(measured_texts_, text)) {
        measured_.push_back(static_cast<std::int64_t>(pair));
        ++answers[static_cast<std::size_t>(text)];
      }
    }
    report_.pairs = learned_.size();
    report_.texts = texts - count;
    // 1 - the chance that none of 10 drawn without putting back is right.
    for (const std::int32_t text : measured_texts_) {
      double none = 1;
      const auto all = static_cast<double>(measured_.size());
      const auto right = static_cast<double>(answers[static_cast<std::size_t>(text)]);
      for (int i = 0; i < 10 && all - i > 0; ++i)
        none *= std::max(0.0, (all - right - i) / (all - i));
      report_.chance_at_10 += (1 - none) / static_cast<double>(measured_texts_.size());
    }
  }

  std::vector<TextPieces> read_texts() const {
    const TextReader reader;
    std::vector<TextPieces> read(data_.texts.size());
    at::parallel_for(0, static_cast<std::int64_t>(read.size()), 64,
                     [&](std::int64_t begin, std::int64_t end) {
                       for (std::int64_t i = begin; i < end; ++i) {
                         const auto text = static_cast<std::size_t>(i);
                         read[text] = reader.read(data_.texts[text]);
                       }
                     });
    return read;
  }

  // The pieces that stand in the most of the texts that are learned from.
  void make_tower(const std::vector<TextPieces>& read) {
    std::vector<std::int32_t> texts;
    for (const std::int64_t pair : learned_) {
      texts.push_back(data_.text_of[static_cast<std::size_t>(pair)]);
    }
    std::ranges::sort(texts);
    texts.erase(std::ranges::unique(texts).begin(), texts.end());
    std::unordered_map<std::int64_t, std::uint32_t> counts;
    for (const std::int32_t text : texts) {
      std::vector<std::int64_t> hashes = read[static_cast<std::size_t>(text)].hashes;
      std::ranges::sort(hashes);
      hashes.erase(std::ranges::unique(hashes).begin(), hashes.end());
      for (const std::int64_t hash : hashes) ++counts[hash];
    }
    const std::uint32_t least = texts.size() < kManyTexts ? 1 : 2;
    std::vector<std::pair<std::uint32_t, std::int64_t>> common;
    for (const auto& [hash, count] : counts) {
      if (count >= least) common.emplace_back(count, hash);
    }
    if (common.empty()) {
      throw Error(ErrorCode::kInvalidArgument,
                  "the texts have no word of letters or digits that comes twice; name fields with "
                  "words, such as the title");
    }
    std::ranges::sort(common, [](const auto& a, const auto& b) {
      return a.first != b.first ? a.first > b.first : a.second < b.second;
    });
    if (common.size() > options_.most_pieces) common.resize(options_.most_pieces);
    TextTowerSettings settings;
    settings.width = options_.width;
    settings.dim = static_cast<std::int64_t>(data_.embeddings.cols);
    settings.seed = derived_seed(options_.seed, 1);
    for (const auto& [count, hash] : common) settings.pieces.push_back(hash);
    std::ranges::sort(settings.pieces);
    report_.pieces = settings.pieces.size();
    tower_ = make_text_tower(settings);
    pieces_ = std::move(settings.pieces);
  }

  void know(const std::vector<TextPieces>& read) {
    known_.resize(read.size());
    for (std::size_t text = 0; text < read.size(); ++text) {
      for (std::size_t i = 0; i < read[text].hashes.size(); ++i) {
        const auto found = std::ranges::lower_bound(pieces_, read[text].hashes[i]);
        if (found == pieces_.end() || *found != read[text].hashes[i]) continue;
        known_[text].rows.push_back(found - pieces_.begin() + 1);  // 0 stands for no piece
        known_[text].words.push_back(read[text].words[i]);
      }
    }
  }

  // One epoch; false: the caller asked to stop, or the loss is no number any more.
  bool learn(std::uint32_t epoch, at::Tensor& scale, torch::optim::AdamW& optimizer) {
    const auto began = TextClock::now();
    eval::Seeded random(derived_seed(options_.seed, std::uint64_t{epoch} + 1));
    random.shuffle(std::span(learned_));
    const std::size_t batch = std::min<std::size_t>(options_.batch_size, learned_.size());
    const std::size_t count = learned_.size() / batch;  // what is left over comes another time
    const std::uint64_t steps = std::uint64_t{options_.epochs} * count;
    double sum = 0;
    for (std::size_t step = 0; step < count; ++step) {
      const std::uint64_t done = (epoch - 1) * count + step;
      for (auto& group : optimizer.param_groups()) {
        group.options().set_lr(options_.rate * rate_factor(done, steps, kTextWarmUp));
      }
      const double loss =
          take_step({learned_.data() + step * batch, batch}, scale, optimizer, random);
      if (!std::isfinite(loss)) {
        report_.stopped = fmt::format(
            "the loss became no number in epoch {}, step {}: the best epoch before it was kept; "
            "train with a lower rate",
            epoch, step + 1);
        return stop(epoch);
      }
      sum += loss;
      const double each = seconds_from(started_) / static_cast<double>(done + 1);
      if (progress_ && !progress_({epoch, options_.epochs, step + 1, count, loss,
                                   each * static_cast<double>(steps - done - 1)})) {
        report_.stopped = fmt::format("asked to stop in epoch {}", epoch);
        return stop(epoch);
      }
    }
    TextTrainEpoch entry;
    entry.epoch = epoch;
    entry.loss = sum / static_cast<double>(count);
    entry.seconds = seconds_from(began);
    measure(entry);
    return true;
  }

  bool stop(std::uint32_t epoch) const {
    if (epoch == 1) {
      throw Error(ErrorCode::kCancelled, report_.stopped + ", before anything was learned");
    }
    return false;
  }

  double take_step(std::span<const std::int64_t> pairs, at::Tensor& scale,
                   torch::optim::AdamW& optimizer, eval::Seeded& random) {
    std::vector<std::int64_t> texts;
    std::vector<std::int64_t> rows;
    std::vector<std::int64_t> offsets;
    for (const std::int64_t pair : pairs) {
      texts.push_back(data_.text_of[static_cast<std::size_t>(pair)]);
      offsets.push_back(static_cast<std::int64_t>(rows.size()));
      show_some(known_[static_cast<std::size_t>(texts.back())], random, rows);
      if (static_cast<std::size_t>(offsets.back()) == rows.size()) rows.push_back(0);
    }
    const at::Tensor labels = at::tensor(texts, at::kLong);
    const at::Tensor embedded = to_unit(embed(rows, offsets));
    const at::Tensor products = embedded.matmul(pictures(pairs).t()) * scale.exp();
    const at::Tensor is_right = labels.unsqueeze(1).eq(labels.unsqueeze(0)).to(at::kFloat);
    const at::Tensor wanted = is_right / is_right.sum(1, true);
    const at::Tensor loss =
        -((wanted * products.log_softmax(1)).sum(1) + (wanted * products.t().log_softmax(1)).sum(1))
             .mean() /
        2;
    optimizer.zero_grad();
    loss.backward();
    const double value = loss.item<double>();
    if (!std::isfinite(value)) return value;
    optimizer.step();
    const at::NoGradGuard no_gradients;
    scale.clamp_max_(kLargestScale);
    return value;
  }

  static void show_some(const KnownPieces& text, eval::Seeded& random,
                        std::vector<std::int64_t>& rows) {
    if (text.words.empty()) return;
    const bool is_whole = random.share() > kShortened;
    const double share = is_whole ? 1 : kFewestWords + (1 - kFewestWords) * random.share();
    const auto words = static_cast<std::size_t>(text.words.back()) + 1;
    const auto at_least = static_cast<std::int32_t>(random.below(words));
    std::int32_t word = -1;
    bool is_shown = false;
    for (std::size_t i = 0; i < text.rows.size(); ++i) {
      const bool begins = text.words[i] != word;
      if (begins) {
        word = text.words[i];
        is_shown = is_whole || word == at_least || random.share() <= share;
      }
      // The first known piece of a word is nearly always the whole of it.
      if (begins && random.share() <= kSpelledOut) continue;
      if (is_shown) rows.push_back(text.rows[i]);
    }
  }

  at::Tensor embed(const std::vector<std::int64_t>& rows,
                   const std::vector<std::int64_t>& offsets) const {
    return tower_.get_method("embed")({at::tensor(rows, at::kLong), at::tensor(offsets, at::kLong)})
        .toTensor();
  }

  at::Tensor pictures(std::span<const std::int64_t> pairs) const {
    const auto cols = static_cast<std::int64_t>(data_.embeddings.cols);
    at::Tensor rows = at::empty({static_cast<std::int64_t>(pairs.size()), cols});
    float* out = rows.data_ptr<float>();
    for (const std::int64_t pair : pairs) {
      out = std::ranges::copy(data_.embeddings.row(static_cast<std::size_t>(pair)), out).out;
    }
    return rows;
  }

  // Cosines of held-out texts [texts, measured pictures].
  at::Tensor cosines(std::span<const std::int32_t> texts) const {
    const at::NoGradGuard no_gradients;
    std::vector<std::int64_t> rows;
    std::vector<std::int64_t> offsets;
    for (const std::int32_t text : texts) {
      const KnownPieces& known = known_[static_cast<std::size_t>(text)];
      offsets.push_back(static_cast<std::int64_t>(rows.size()));
      rows.insert(rows.end(), known.rows.begin(), known.rows.end());
      if (known.rows.empty()) rows.push_back(0);
    }
    if (!held_out_.defined()) held_out_ = pictures(measured_);
    return to_unit(embed(rows, offsets)).matmul(held_out_.t()).contiguous();
  }

  // Where the first right picture stands, from 1. What is as near as it counts half.
  double place_of(std::int32_t text, const float* row) const {
    float best = -std::numeric_limits<float>::infinity();
    for (std::size_t i = 0; i < measured_.size(); ++i) {
      if (is_of(i, text)) best = std::max(best, row[i]);
    }
    double place = 1;
    for (std::size_t i = 0; i < measured_.size(); ++i) {
      if (is_of(i, text)) continue;
      if (row[i] > best) place += 1;
      if (row[i] == best) place += 0.5;
    }
    return place;
  }

  bool is_of(std::size_t measured, std::int32_t text) const {
    return data_.text_of[static_cast<std::size_t>(measured_[measured])] == text;
  }

  void measure(TextTrainEpoch& entry) {
    constexpr std::size_t kAtOnce = 256;
    if (measured_.empty()) {
      entry.recall_at_1 = entry.recall_at_10 = entry.mean_reciprocal_rank = std::nan("");
    }
    const auto n = static_cast<double>(measured_texts_.size());
    for (std::size_t begin = 0; begin < measured_texts_.size(); begin += kAtOnce) {
      const std::span<const std::int32_t> texts(measured_texts_.data() + begin,
                                                std::min(kAtOnce, measured_texts_.size() - begin));
      const at::Tensor rows = cosines(texts);
      for (std::size_t i = 0; i < texts.size(); ++i) {
        const double place = place_of(texts[i], rows.data_ptr<float>() + i * measured_.size());
        entry.recall_at_1 += place < 2 ? 1 / n : 0;
        entry.recall_at_10 += place < 11 ? 1 / n : 0;
        entry.mean_reciprocal_rank += 1 / place / n;
      }
    }
    report_.epochs.push_back(entry);
    is_best_ = !(entry.mean_reciprocal_rank <= best_rank_);  // nothing held out: the last is best
    if (!is_best_) return;
    best_rank_ = entry.mean_reciprocal_rank;
    report_.best_epoch = entry.epoch;
    best_.clear();
    for (const auto& parameter : tower_.parameters()) {
      best_.push_back(parameter.detach().clone());
    }
  }

  void show_examples() const {
    const std::size_t count = std::min(kExamples, measured_texts_.size());
    for (std::size_t i = 0; i < count; ++i) {
      const std::int32_t text = measured_texts_[i * measured_texts_.size() / count];
      const at::Tensor row = cosines({&text, 1});
      TextExample example;
      example.text = data_.texts[static_cast<std::size_t>(text)];
      example.place = static_cast<std::uint32_t>(place_of(text, row.data_ptr<float>()));
      const auto most = std::min<std::int64_t>(kFoundTexts, row.size(1));
      const at::Tensor found = std::get<1>(row[0].topk(most));
      for (std::int64_t k = 0; k < most; ++k) {
        const auto pair = static_cast<std::size_t>(
            measured_[static_cast<std::size_t>(found[k].item<std::int64_t>())]);
        example.found.push_back(
            {data_.keys[pair], data_.texts[static_cast<std::size_t>(data_.text_of[pair])]});
      }
      report_.examples.push_back(std::move(example));
    }
  }

  const TitledPictures& data_;
  const TextTrainOptions& options_;
  const TextTrainProgress& progress_;
  TextTrainReport& report_;
  std::vector<std::int64_t> learned_;         // pairs
  std::vector<std::int64_t> measured_;        // pairs of measured_texts_
  std::vector<std::int32_t> measured_texts_;  // ascending
  std::vector<std::int64_t> pieces_;          // that are known, ascending
  std::vector<KnownPieces> known_;            // [texts]
  torch::jit::Module tower_;
  mutable at::Tensor held_out_;  // [measured_, dim], made when it is first needed
  std::vector<at::Tensor> best_;
  double best_rank_ = -1;
  bool is_best_ = false;
  const TextClock::time_point started_ = TextClock::now();
};

}  // namespace

torch::jit::Module train_tower(const TitledPictures& data, const TextTrainOptions& options,
                               const TextTrainProgress& progress, TextTrainReport& report) {
  return TextTraining(data, options, progress, report).run();
}

}  // namespace vsearch::training
