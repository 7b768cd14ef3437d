// Texts by what a sentence encoder makes of them.
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>
#include <torch/csrc/jit/runtime/graph_executor.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "encoder/torch_batches.h"
#include "encoder/torch_error.h"
#include "train/losses_common.h"
#include "train/sampler.h"
#include "train/text_learner.h"
#include "train/text_tower.h"
#include "vsearch/error.h"

namespace vsearch::training {
namespace {

constexpr std::size_t kTextsTogether = 32;
constexpr char kSentenceManifest[] = "vsearch_sentence.json";
constexpr int kSentenceVersion = 1;
constexpr char kSentenceRemedy[] =
    "make one of a sentence encoder with vsx model export sentence, see docs/training.md";

constexpr char kSentenceMemoryRemedy[] =
    "take a smaller sentence encoder, or a machine with more memory";

// Some of its words in their order, one at least.
std::string shortened(const std::string& text, eval::Seeded& random) {
  std::vector<std::string> words;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    if (end > begin) words.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  if (words.size() < 2) return text;
  const double share = kFewestWords + (1 - kFewestWords) * random.share();
  const std::size_t at_least = random.below(words.size());
  std::string some;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i != at_least && random.share() > share) continue;
    if (!some.empty()) some += ' ';
    some += words[i];
  }
  return some;
}

// float32 [texts, width].
at::Tensor encoded(const torch::jit::Module& sentence, const std::vector<std::string>& texts,
                   const std::string& name) {
  const at::Tensor found = encoder::run_torch(
      ErrorCode::kBadModel, name + ": encoding texts", {kSentenceRemedy, kSentenceMemoryRemedy},
      [&] {
        const c10::InferenceMode inference;
        // Texts are of all lengths, for each of which the graph would be optimised anew.
        const torch::jit::GraphOptimizerEnabledGuard as_written(false);
        c10::List<std::string> list;
        for (const std::string& text : texts) list.push_back(text);
        return sentence.get_method("encode_text")({list}).toTensor().to(at::kFloat);
      });
  if (found.dim() != 2 || found.size(0) != static_cast<std::int64_t>(texts.size()) ||
      found.size(1) == 0 || !found.isfinite().all().item<bool>()) {
    throw Error(
        ErrorCode::kBadModel,
        fmt::format("{}: encode_text() gave {} for {} texts, or numbers that are not finite; "
                    "{}",
                    name, shape_text(found), texts.size(), kSentenceRemedy));
  }
  return found;
}

class SentenceLearner final : public TextLearner {
 public:
  SentenceLearner(torch::jit::Module tower, at::Tensor whole, at::Tensor some)
      : TextLearner(std::move(tower)), whole_(std::move(whole)), some_(std::move(some)) {}

  at::Tensor embed(std::span<const std::int32_t> texts) const override {
    return through(whole_.index_select(0, numbers_of(texts)));
  }

  at::Tensor embed_some(std::span<const std::int32_t> texts, eval::Seeded& random) const override {
    std::vector<std::uint8_t> are_shortened(texts.size());
    for (std::uint8_t& is_shortened : are_shortened) is_shortened = random.share() <= kShortened;
    const at::Tensor rows = numbers_of(texts);
    const at::Tensor chosen =
        at::tensor(at::ArrayRef<std::uint8_t>(are_shortened), at::kByte).to(at::kBool).unsqueeze(1);
    return through(at::where(chosen, some_.index_select(0, rows), whole_.index_select(0, rows)));
  }

 private:
  static at::Tensor numbers_of(std::span<const std::int32_t> texts) {
    return at::tensor(at::ArrayRef<std::int32_t>(texts.data(), texts.size()), at::kInt);
  }

  at::Tensor through(const at::Tensor& sentences) const {
    return tower().get_method("through")({sentences}).toTensor();
  }

  const at::Tensor whole_;  // float32 [texts, of the sentence encoder]
  const at::Tensor some_;   // the same of shortened texts
};

}  // namespace

torch::jit::Module open_sentence_encoder(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) {
    throw Error(ErrorCode::kFileNotFound,
                fmt::format("{}: no such file; {}", path.string(), kSentenceRemedy));
  }
  torch::jit::ExtraFilesMap extra{{kSentenceManifest, ""}};
  torch::jit::Module module = encoder::run_torch(
      ErrorCode::kBadModel, path.string() + ": not a TorchScript archive, or a damaged one",
      {kSentenceRemedy, kSentenceMemoryRemedy}, [&] {
        torch::jit::Module loaded = torch::jit::load(path.string(), at::kCPU, extra);
        loaded.eval();
        for (const at::Tensor& parameter : loaded.parameters()) parameter.requires_grad_(false);
        return loaded;
      });
  const nlohmann::json manifest =
      nlohmann::json::parse(extra[kSentenceManifest], nullptr, /*allow_exceptions=*/false);
  if (!manifest.is_object() || !module.find_method("encode_text")) {
    throw Error(ErrorCode::kBadModel,
                fmt::format("{}: not a sentence encoder; {}", path.string(), kSentenceRemedy));
  }
  const auto version = manifest.find("format_version");
  if (version == manifest.end() || *version != kSentenceVersion) {
    throw Error(ErrorCode::kBadModel,
                fmt::format("{}: its {} is of format version {}, and this library knows {}; {}",
                            path.string(), kSentenceManifest,
                            version == manifest.end() ? "none" : version->dump(), kSentenceVersion,
                            kSentenceRemedy));
  }
  return module;
}

std::unique_ptr<TextLearner> learn_sentences(const std::vector<std::string>& texts,
                                             const torch::jit::Module& sentence, std::size_t dim,
                                             const TextTrainOptions& options,
                                             const TextTrainProgress& progress) {
  std::vector<std::string> all = texts;
  eval::Seeded random(derived_seed(options.seed, 1));
  for (const std::string& text : texts) all.push_back(shortened(text, random));
  // Those of a length go together, so that little is filled up.
  std::vector<std::int64_t> order(all.size());
  for (std::size_t i = 0; i < all.size(); ++i) order[i] = static_cast<std::int64_t>(i);
  std::ranges::stable_sort(order, {},
                           [&](std::int64_t i) { return all[static_cast<std::size_t>(i)].size(); });
  const std::string name = options.sentence.string();
  const std::int64_t width = encoded(sentence, {all.front()}, name).size(1);
  at::Tensor rows = at::empty({static_cast<std::int64_t>(all.size()), width}, at::kFloat);
  auto* const to = rows.mutable_data_ptr<float>();
  const auto encode_some = [&](std::size_t begin, std::size_t count) {
    std::vector<std::string> some;
    for (std::size_t i = begin; i < begin + count; ++i) {
      some.push_back(all[static_cast<std::size_t>(order[i])]);
    }
    const at::Tensor found = encoded(sentence, some, name).contiguous();
    if (found.size(1) != width) {
      throw Error(
          ErrorCode::kBadModel,
          fmt::format("{}: encode_text() gives {} numbers for some texts and {} for others; "
                      "{}",
                      name, width, found.size(1), kSentenceRemedy));
    }
    for (std::size_t i = 0; i < count; ++i) {
      std::copy_n(found.const_data_ptr<float>() + static_cast<std::int64_t>(i) * width, width,
                  to + order[begin + i] * width);
    }
  };
  encoder::for_each_batch(
      all.size(), kTextsTogether, encode_some, [&](std::uint64_t done, std::uint64_t total) {
        if (progress && !progress({0, options.epochs, done, total, 0, 0})) {
          throw Error(ErrorCode::kCancelled, "asked to stop before anything was learned");
        }
        return true;
      });
  const auto count = static_cast<std::int64_t>(texts.size());
  return std::make_unique<SentenceLearner>(
      make_sentence_tower(sentence, width, static_cast<std::int64_t>(dim),
                          derived_seed(options.seed, 2)),
      rows.narrow(0, 0, count), rows.narrow(0, count, count));
}

}  // namespace vsearch::training
