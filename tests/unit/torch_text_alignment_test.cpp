// Words that go along when training moves the pictures.
#include "train/text_alignment.h"

#include <torch/script.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "support/temp_dir.h"
#include "support/trainable_package.h"
#include "train/losses_common.h"
#include "train/text_tower.h"
#include "train/tuned_package.h"
#include "vsearch/encoder.h"
#include "vsearch/evaluator.h"
#include "vsearch/metrics.h"
#include "vsearch/trainer.h"

namespace fs = std::filesystem;
namespace training = vsearch::training;
using vsearch::Dataset;
using vsearch::Matrix;
using vsearch_test::TempDir;

namespace {

constexpr char kEncodeWords[] =
    "def encode_text(self, texts: List[str]) -> Tensor:\n"
    "    rows: List[Tensor] = []\n"
    "    for text in texts:\n"
    "        rows.append(self.text_words[int(text[len(text) - 1:])])\n"
    "    return torch.stack(rows)\n";

at::Tensor text_rows(const torch::jit::Module& network, const std::vector<std::string>& texts) {
  c10::List<std::string> list;
  for (const std::string& text : texts) list.push_back(text);
  return network.get_method("encode_text")({list}).toTensor().detach();
}

bool near(const at::Tensor& a, const at::Tensor& b) {
  return at::allclose(a, b, 1e-4, 1e-5);
}

torch::jit::Module network_with_words(const at::Tensor& words) {
  torch::jit::Module network = vsearch_test::network_of_blocks();
  network.register_parameter("text_words", words, false);
  network.define(kEncodeWords);
  return network;
}

// A package that takes the name of a class, "class 3", for the mean of its pictures.
fs::path save_package_with_words(const TempDir& folder, const Dataset& dataset) {
  const fs::path plain = vsearch_test::save_trainable_package(folder / "plain.vsm.pt");
  const Matrix rows = vsearch::embed_dataset(*vsearch::load_encoder(plain), dataset).rows;
  at::Tensor words = at::zeros({static_cast<std::int64_t>(dataset.classes.size()), 8});
  for (std::size_t i = 0; i < rows.rows; ++i) {
    const at::Tensor row = at::tensor(std::vector<float>(rows.row(i).begin(), rows.row(i).end()));
    words[dataset.pictures[i].label] += training::to_unit(row);
  }
  const torch::jit::Module network = network_with_words(words);
  nlohmann::json description = vsearch_test::manifest();
  description["dim"] = 8;
  description["outputs"] = {{"embedding", 8}};
  description["text"] = true;
  const at::Tensor row = text_rows(network, {"class 1"})[0].contiguous();
  const std::vector<float> values(row.data_ptr<float>(), row.data_ptr<float>() + 8);
  description["golden_text"] = {{{"text", "class 1"}, {"embedding", values}}};
  return vsearch_test::save_with_golden_pairs(folder / "words.vsm.pt", network, description);
}

// mAP of names of classes among the pictures of a data set, by a package.
double map_of_names(const fs::path& package, const Dataset& dataset) {
  const auto encoder = vsearch::load_encoder(package);
  const Matrix pictures = vsearch::embed_dataset(*encoder, dataset).rows;
  std::vector<std::string> names;
  std::vector<std::int32_t> asked;
  for (std::size_t i = 0; i < dataset.classes.size(); ++i) {
    names.push_back("class " + std::to_string(i));
    asked.push_back(static_cast<std::int32_t>(i));
  }
  const Matrix words = encoder->encode_text(names);
  std::vector<std::int32_t> labels;
  for (const auto& picture : dataset.pictures) labels.push_back(picture.label);
  vsearch::RetrievalTask task;
  task.queries = words.view();
  task.gallery = pictures.view();
  task.query_labels = asked;
  task.gallery_labels = labels;
  const vsearch::RetrievalScores scores = vsearch::score_retrieval(task);
  double sum = 0;
  for (std::size_t i = 0; i < names.size(); ++i) {
    sum += static_cast<double>(scores.values.row(i)[scores.column("mAP")]);
  }
  return sum / static_cast<double>(names.size());
}

}  // namespace

TEST_CASE("a map is that of the pictures, and changes nothing where they say nothing", "[words]") {
  torch::manual_seed(5);
  constexpr std::int64_t kDim = 12;
  const at::Tensor turn = std::get<0>(at::linalg_qr(at::randn({kDim, kDim})));
  const at::Tensor before = training::to_unit(at::randn({500, kDim}));
  const at::Tensor after = before.matmul(turn.t());
  CHECK(at::allclose(training::fit_map(before, after), turn, 0, 0.02));

  // Pictures that lie in half of the directions, and were turned there.
  at::Tensor half = at::eye(kDim);
  half.narrow(0, 0, 6).narrow(1, 0, 6).copy_(std::get<0>(at::linalg_qr(at::randn({6, 6}))));
  const at::Tensor flat = training::to_unit(at::cat({at::randn({500, 6}), at::zeros({500, 6})}, 1));
  CHECK(at::allclose(training::fit_map(flat, flat.matmul(half.t())), half, 0, 0.02));
}

TEST_CASE("words that find say how far they are to go", "[words]") {
  torch::manual_seed(7);
  constexpr std::int64_t kDim = 12;
  const at::Tensor turn = std::get<0>(at::linalg_qr(at::randn({kDim, kDim})));
  const at::Tensor centres = training::to_unit(at::randn({10, kDim}));
  training::WordsOf words;
  for (int i = 0; i < 500; ++i) words.labels.push_back(i / 7 % 10);
  const at::Tensor numbers = at::tensor(words.labels, at::kLong);
  const at::Tensor before =
      training::to_unit(centres.index({numbers}) + 0.1 * at::randn({500, kDim}));
  const at::Tensor after = before.matmul(turn.t());
  // Words that are of the start go along.
  words.words = centres;
  CHECK(at::allclose(training::fit_map(before, after, words), turn, 0, 0.1));
  // Names that say nothing are not asked.
  words.words = training::to_unit(at::randn({10, kDim}));
  CHECK(at::allclose(training::fit_map(before, after, words), turn, 0, 0.1));
}

TEST_CASE("words that are nearly there go no further than they find", "[words]") {
  torch::manual_seed(8);
  // Ten classes on a circle, 36 degrees apart; pictures go on by 18, where words are waiting but
  // for 4.
  const auto at_degrees = [](const at::Tensor& degrees) {
    const at::Tensor angles = degrees * (3.14159265358979 / 180);
    return at::stack({angles.cos(), angles.sin()}, 1).to(at::kFloat);
  };
  const at::Tensor classes = at::arange(500).remainder(10);
  const at::Tensor angles = classes * 36 + 5 * at::randn({500});
  training::WordsOf words;
  for (int i = 0; i < 500; ++i) words.labels.push_back(i % 10);
  words.words = at_degrees(at::arange(10) * 36 + 14);
  // Every fifth picture is kept, so that classes must not go by fives.
  const at::Tensor order = at::randperm(500);
  const auto ordered = [&](const at::Tensor& rows) { return rows.index_select(0, order); };
  std::vector<std::int32_t> labels;
  for (int i = 0; i < 500; ++i) {
    labels.push_back(words.labels[static_cast<std::size_t>(order[i].item<std::int64_t>())]);
  }
  words.labels = labels;
  const auto degrees_off = [&](const at::Tensor& map) {
    const at::Tensor there = at_degrees(at::arange(10) * 36 + 18);
    const at::Tensor cosines = at::cosine_similarity(at::linear(words.words, map), there);
    return std::acos(cosines.min().item<double>()) * 180 / 3.14159265358979;
  };
  const at::Tensor before = ordered(at_degrees(angles));
  const at::Tensor after = ordered(at_degrees(angles + 18));
  CHECK(degrees_off(training::fit_map(before, after, words)) < 6);
  CHECK(degrees_off(training::fit_map(before, after)) > 12);  // with the pictures, all the way
  // Of too few to choose by, nothing is changed.
  const at::Tensor few = at_degrees(angles.narrow(0, 0, 3));
  CHECK(at::allclose(training::fit_map(few, few.roll(1, 0)), at::eye(2), 0, 0.01));
}

TEST_CASE("a map stands behind words of any kind, and pictures stay", "[words]") {
  torch::manual_seed(6);
  const at::NoGradGuard no_gradients;
  const at::Tensor map = at::eye(8) + 0.3 * at::randn({8, 8});
  const at::Tensor pixels = at::rand({2, 3, 6, 8});
  const std::vector<std::string> texts{"class 2", "class 0"};

  const torch::jit::Module general = network_with_words(at::randn({3, 8}));
  CHECK(training::text_map_wraps(general));
  const torch::jit::Module once = training::with_text_map(general, map);
  const at::Tensor expected = at::linear(training::to_unit(text_rows(general, texts)), map);
  CHECK(near(text_rows(once, texts), expected));
  CHECK(near(once.get_method("encode_image")({pixels}).toTensor(),
             general.get_method("encode_image")({pixels}).toTensor()));
  CHECK_FALSE(training::text_map_wraps(once));
  const torch::jit::Module twice = training::with_text_map(once, map);
  CHECK(near(text_rows(twice, texts), at::linear(expected, map)));
  CHECK(near(text_rows(once, texts), expected));

  training::TextTowerSettings settings;
  settings.dim = 8;
  settings.width = 4;
  settings.pieces = training::TextReader().read("class 2").hashes;
  std::ranges::sort(settings.pieces);
  const torch::jit::Module ours = training::with_text_tower(
      vsearch_test::network_of_blocks(), training::make_text_tower(settings), "a test");
  CHECK_FALSE(training::text_map_wraps(ours));
  const torch::jit::Module mapped = training::with_text_map(ours, map);
  CHECK(near(text_rows(mapped, texts), at::linear(text_rows(ours, texts), map)));
  CHECK_FALSE(near(text_rows(mapped, texts), text_rows(ours, texts)));
}

TEST_CASE("a fast form finds its parameters where a map has put them", "[words]") {
  torch::jit::Module form("fast");
  form.register_attribute("weight", c10::TensorType::get(), at::zeros({1}));
  form.define(
      "def encode_image(self, x):\n"
      "    return x * self.weight\n"
      "def prepare(self, weights: Dict[str, Tensor]):\n"
      "    self.weight = weights['norm.weight']\n");
  std::ostringstream archive;
  form.save(archive);
  std::istringstream wrapped(training::fast_form_within(archive.str()));
  torch::jit::Module within = torch::jit::load(wrapped);
  c10::Dict<std::string, at::Tensor> weights;
  weights.insert("network.norm.weight", at::full({1}, 3.0));
  weights.insert("text_map", at::eye(2));
  within.get_method("prepare")({weights});
  const at::Tensor x = at::rand({2, 4});
  CHECK(at::equal(within.get_method("encode_image")({x}).toTensor(), 3 * x));
}

TEST_CASE("words go along with a network that is tuned", "[words]") {
  const TempDir folder;
  const TempDir pictures;
  const Dataset dataset = vsearch_test::bright_quarters(pictures, 8, 9);
  const fs::path start = save_package_with_words(folder, dataset);
  vsearch::TrainOptions options;
  options.depth = vsearch::TrainDepth::kFull;
  options.epochs = 12;
  options.batch_size = 12;
  options.rate = 0.02;
  options.held_out_classes = 0;
  options.augmentation = {false, false, 0, 0, 0, 0};
  options.precision = vsearch::Precision::kFloat32;
  const vsearch::TrainReport report =
      vsearch::train(start, dataset, folder / "tuned.vsm.pt", options);
  CHECK(report.words.names == 8);
  CHECK(report.words.pictures == 72);
  CHECK(report.words.map_before == Approx(map_of_names(start, dataset)).margin(1e-4));
  CHECK(report.words.map_after == Approx(map_of_names(report.package, dataset)).margin(1e-4));
  INFO(report.words.map_before << " before, " << report.words.map_unaligned << " as they were, "
                               << report.words.map_after << " after");
  CHECK(report.words.map_after > report.words.map_unaligned + 0.05);
  CHECK(nlohmann::json::parse(vsearch::to_json(report))["words"]["names"] == 8);

  // Tuned again, from the package that has a map.
  const vsearch::TrainReport again =
      vsearch::train(report.package, dataset, folder / "again.vsm.pt", options);
  CHECK(again.words.map_before == Approx(report.words.map_after).margin(1e-4));
  CHECK(again.words.map_after == Approx(map_of_names(again.package, dataset)).margin(1e-4));

  // Words of classes that are not learned.
  options.held_out_classes = 0.25;
  const vsearch::TrainReport held = vsearch::train(start, dataset, folder / "held.vsm.pt", options);
  CHECK((held.best_epoch == 0 || held.words.names == 2));

  // A head takes them along by itself.
  vsearch::TrainOptions of_head = options;
  of_head.depth = vsearch::TrainDepth::kHead;
  of_head.rate.reset();
  of_head.held_out_classes = 0;
  const vsearch::TrainReport head = vsearch::train(start, dataset, folder / "head.vsm.pt", of_head);
  CHECK(head.words.names == 0);

  // The network within is tuned; what words go through too is not, or they would move twice.
  options.held_out_classes = 0;
  const vsearch::TrainReport behind =
      vsearch::train(head.package, dataset, folder / "behind.vsm.pt", options);
  CHECK(behind.words.map_before == Approx(map_of_names(head.package, dataset)).margin(1e-4));
  CHECK(behind.words.map_after == Approx(map_of_names(behind.package, dataset)).margin(1e-4));
}
