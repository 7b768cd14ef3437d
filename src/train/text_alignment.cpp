#include "train/text_alignment.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <numeric>
#include <set>
#include <tuple>
#include <utility>

#include "encoder/torch_error.h"
#include "train/held_out.h"
#include "train/losses_common.h"
#include "train/network_training.h"
#include "train/tensors.h"
#include "train/text_tower.h"
#include "vsearch/metrics.h"

namespace vsearch::training {
namespace {

constexpr std::size_t kMostFitted = 2000;    // pictures that the map is fitted to
constexpr std::size_t kMostMeasured = 1000;  // pictures that names are looked for among
// The first leaves everything as it is.
constexpr double kPulls[] = {1e6, 30, 3, 0.3, 0.03, 0.003};
// Words that find with such a mAP say something of pictures, where chance hardly would: of so many
// words, each with so many pictures.
constexpr double kTelling = 0.35;
constexpr std::size_t kWords = 6;
constexpr std::size_t kPicturesOfAWord = 4;
constexpr std::int64_t kTextsAtOnce = 64;

constexpr char kMapScript[] = R"(
def encode_image(self, pixels: Tensor) -> Tensor:
    return self.network.encode_image(pixels)

def forward(self, pixels: Tensor) -> Tensor:
    return self.encode_image(pixels)

def encode_text(self, texts: List[str]) -> Tensor:
    features = self.network.encode_text(texts)
    features = features / torch.norm(features, 2, 1, True).clamp(min=1e-12)
    return torch.linear(features, self.text_map)
)";

constexpr char kMapTokensScript[] = R"(
def encode_tokens(self, pixels: Tensor) -> Tensor:
    return self.network.encode_tokens(pixels)
)";

at::Tensor map_with(const at::Tensor& before, const at::Tensor& after, double pull) {
  // Of rows of length 1 the mean eigenvalue of the covariance is one over the dimension.
  const auto rows = static_cast<double>(before.size(0));
  const auto dim = static_cast<double>(before.size(1));
  const at::Tensor held = at::eye(before.size(1), at::kDouble) * (pull * rows / dim);
  const at::Tensor b = before.to(at::kDouble);
  const at::Tensor squares = b.t().matmul(b) + held;
  const at::Tensor products = b.t().matmul(after.to(at::kDouble)) + held;
  // map^T = squares^-1 products
  return at::linalg_solve(squares, products).t().to(at::kFloat).contiguous();
}

at::Tensor encode_words(const torch::jit::Module& network, const std::vector<std::string>& words) {
  const c10::InferenceMode inference;
  std::vector<at::Tensor> rows;
  for (std::size_t begin = 0; begin < words.size(); begin += kTextsAtOnce) {
    c10::List<std::string> some;
    for (std::size_t i = begin; i < std::min(words.size(), begin + kTextsAtOnce); ++i) {
      some.push_back(words[i]);
    }
    rows.push_back(network.get_method("encode_text")({some}).toTensor().to(at::kFloat));
  }
  return to_unit(at::cat(rows));
}

// Names of classes, as `network` takes them, and which of them each of `pictures` has; `labels` in
// words, of all pictures.
WordsOf names_of(const torch::jit::Module& network, const std::vector<std::string>& labels,
                 const std::vector<std::uint32_t>& pictures) {
  WordsOf names;
  std::vector<std::string> texts;
  std::map<std::string, std::int32_t> numbers;
  for (const std::uint32_t picture : pictures) {
    const auto [known, is_new] =
        numbers.try_emplace(labels[picture], static_cast<std::int32_t>(texts.size()));
    names.labels.push_back(known->second);
    if (!is_new) continue;
    std::string text = labels[picture];  // "cup_and-saucer" as people write it
    std::ranges::replace_if(
        text, [](char c) { return c == '_' || c == '-'; }, ' ');
    texts.push_back(std::move(text));
  }
  names.words = encode_words(network, texts);
  return names;
}

// mAP of words among pictures; `labels` of these.
double map_of_words(const at::Tensor& words, const at::Tensor& pictures,
                    const std::vector<std::int32_t>& labels) {
  std::vector<std::int32_t> asked(static_cast<std::size_t>(words.size(0)));
  std::iota(asked.begin(), asked.end(), 0);
  const at::Tensor queries = words.contiguous();
  const at::Tensor gallery = pictures.contiguous();
  RetrievalTask task;
  task.queries = view_of_rows(queries);
  task.gallery = view_of_rows(gallery);
  task.query_labels = asked;
  task.gallery_labels = labels;
  return mean_of(score_retrieval(task), "mAP");
}

bool are_many(const std::vector<std::int32_t>& labels) {
  const std::size_t words = std::set(labels.begin(), labels.end()).size();
  return words >= kWords && labels.size() >= kPicturesOfAWord * words;
}

}  // namespace

at::Tensor fit_map(const at::Tensor& before, const at::Tensor& after, const WordsOf& words) {
  const at::NoGradGuard no_gradients;
  const at::Tensor is_kept = at::arange(before.size(0)).remainder(5) == 4;
  const at::Tensor fitted = is_kept.logical_not();
  const at::Tensor kept_before = before.index({is_kept});
  const at::Tensor kept_after = after.index({is_kept});
  std::vector<std::int32_t> labels;
  for (std::size_t i = 4; i < words.labels.size(); i += 5) labels.push_back(words.labels[i]);
  const bool are_telling =
      are_many(labels) && map_of_words(words.words, kept_before, labels) > kTelling;
  std::pair<double, double> best{-2, -2};
  double pull = kPulls[0];
  for (const double each : kPulls) {
    const at::Tensor map = map_with(before.index({fitted}), after.index({fitted}), each);
    const double cosine =
        at::cosine_similarity(at::linear(kept_before, map), kept_after).mean().item<double>();
    const double found =
        are_telling ? map_of_words(at::linear(words.words, map), kept_after, labels) : 0;
    if (!(std::pair(found, cosine) > best)) continue;
    best = {found, cosine};
    pull = each;
  }
  return map_with(before, after, pull);
}

bool text_map_wraps(const torch::jit::Module& network) {
  return !has_own_text_tower(network) && !network.hasattr("text_map");
}

torch::jit::Module with_text_map(const torch::jit::Module& network, const at::Tensor& map) {
  if (has_own_text_tower(network)) return with_mapped_tower(network, map);
  if (network.hasattr("text_map")) {
    torch::jit::Module joined = network.clone();
    joined.setattr("text_map", map.matmul(joined.attr("text_map").toTensor()));
    return joined;
  }
  torch::jit::Module module("Realigned");
  module.register_module("network", network);
  module.register_parameter("text_map", map, false);
  module.define(kMapScript);
  if (network.find_method("encode_tokens")) module.define(kMapTokensScript);
  return module;
}

std::optional<at::Tensor> align_words(const torch::jit::Module& start,
                                      const torch::jit::Module& tuned, const EncoderInfo& info,
                                      const std::string& path, const Dataset& dataset,
                                      const TrainingSet& set, const Matrix& embeddings,
                                      const TrainOptions& options, const Progress& progress,
                                      TrainReport& report) {
  if (report.best_epoch == 0) return std::nullopt;
  const at::NoGradGuard no_gradients;
  const std::vector<std::string> labels = labels_in_words(dataset, options.label_fields);
  // What is measured with, if anything is held out, and behind it what is learned.
  std::vector<std::uint32_t> pictures = evenly(set.held_out, kMostMeasured);
  const std::size_t held_out = pictures.size();
  std::ranges::copy(evenly(set.pictures, kMostFitted), std::back_inserter(pictures));

  const at::Device device = device_of(options.device, options.device_index);
  torch::jit::Module network = tuned.clone();
  network.to(device);
  EvaluationOptions encoding;
  encoding.progress = progress;
  const Matrix moved =
      embed_dataset(*encoder_of(network, info, device, path), part_of(dataset, pictures), encoding)
          .rows;
  const auto find = [&](std::size_t begin, std::size_t end) {
    std::vector<std::uint32_t> found;
    std::vector<std::uint32_t> rows;
    for (std::size_t i = begin; i < end; ++i) {
      if (!std::isfinite(moved.row(i)[0])) continue;  // its file is gone since
      found.push_back(pictures[i]);
      rows.push_back(static_cast<std::uint32_t>(i));
    }
    return std::tuple(names_of(start, labels, found), to_unit(rows_of(embeddings, found)),
                      to_unit(rows_of(moved, rows)));
  };
  const auto [learned, before, after] = find(held_out, pictures.size());
  const at::Tensor map = fit_map(before, after, learned);

  const auto [names, there, here] =
      held_out > 0 ? find(0, held_out) : std::tuple(learned, before, after);
  report.words.names = static_cast<std::uint64_t>(names.words.size(0));
  report.words.pictures = names.labels.size();
  report.words.map_before = map_of_words(names.words, there, names.labels);
  report.words.map_unaligned = map_of_words(names.words, here, names.labels);
  report.words.map_after = map_of_words(at::linear(names.words, map), here, names.labels);
  return map;
}

}  // namespace vsearch::training
