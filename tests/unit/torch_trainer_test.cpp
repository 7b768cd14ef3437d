// Training from a package and pictures to a package, on a network of a few hundred weights.
#include <torch/script.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/errors.h"
#include "support/temp_dir.h"
#include "support/tuning_bench.h"
#include "train/held_out.h"
#include "train/training_set.h"
#include "vsearch/trainer.h"

namespace fs = std::filesystem;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;
using vsearch::Dataset;
using vsearch::ErrorCode;
using vsearch::TrainDepth;
using vsearch::TrainOptions;
using vsearch::TrainReport;
using vsearch_test::error_message;
using vsearch_test::quick_tuning;
using vsearch_test::TempDir;
using vsearch_test::TuningBench;

namespace {

std::map<std::string, at::Tensor> weights_of(const fs::path& package) {
  std::map<std::string, at::Tensor> weights;
  for (const auto& [name, value] : torch::jit::load(package.string()).named_parameters()) {
    weights[name] = value;
  }
  return weights;
}

vsearch::Matrix embed(const fs::path& package, const Dataset& dataset) {
  return vsearch::embed_dataset(*vsearch::load_encoder(package), dataset).rows;
}

// Least cosine of rows of the same number.
double least_cosine(const vsearch::Matrix& a, const vsearch::Matrix& b) {
  double least = 1;
  for (std::size_t i = 0; i < a.rows; ++i) {
    double product = 0;
    double aa = 0;
    double bb = 0;
    for (std::size_t d = 0; d < a.cols; ++d) {
      product += a.row(i)[d] * b.row(i)[d];
      aa += a.row(i)[d] * a.row(i)[d];
      bb += b.row(i)[d] * b.row(i)[d];
    }
    least = std::min(least, product / std::sqrt(aa * bb));
  }
  return least;
}

double map_of(const fs::path& package, const Dataset& dataset) {
  const auto result = vsearch::evaluate(*vsearch::load_encoder(package), dataset).protocols.at(0);
  const auto metric = std::ranges::find(result.metrics, "mAP");
  REQUIRE(metric != result.metrics.end());
  return result.estimates.at(static_cast<std::size_t>(metric - result.metrics.begin())).mean;
}

// A callback that notes the epochs of steps.
vsearch::TrainProgress noting(std::vector<std::uint32_t>& epochs) {
  return [&epochs](const vsearch::TrainState& state) {
    if (state.epoch > 0) epochs.push_back(state.epoch);
    return true;
  };
}

}  // namespace

TEST_CASE("a head finds classes that it has never seen better", "[trainer]") {
  const TuningBench bench;
  TrainOptions options = quick_tuning(TrainDepth::kHead);
  options.epochs = 20;
  const TrainReport report = bench.tune("head.vsm.pt", options);
  CHECK(report.data.pictures == 6 * 9);
  CHECK(report.data.classes == 6);
  CHECK(report.data.held_out == 2 * 9);
  CHECK(report.data.held_out_classes_are_new);
  CHECK(report.package == bench.folder / "head.vsm.pt");

  const auto encoder = vsearch::load_encoder(report.package);  // golden pairs hold
  CHECK(encoder->info().fingerprint == report.fingerprint);
  CHECK(report.fingerprint != report.start_fingerprint);
  CHECK(encoder->info().dim == 8);

  // The start's embeddings through the map that the package holds are its embeddings.
  const auto weights = weights_of(report.package);
  const vsearch::Matrix before = embed(bench.start, bench.dataset);
  const vsearch::Matrix after = embed(report.package, bench.dataset);
  const at::Tensor rows = at::from_blob(const_cast<float*>(before.data.data()),
                                        {static_cast<std::int64_t>(before.rows), 8});
  const at::Tensor expected =
      at::linear(rows / rows.norm(2, 1, true), weights.at("head_weight"), weights.at("head_bias"));
  vsearch::Matrix by_hand(before.rows, 8);
  std::copy_n(expected.contiguous().data_ptr<float>(), by_hand.data.size(), by_hand.data.begin());
  CHECK(least_cosine(after, by_hand) > 0.99999);
}

TEST_CASE("a tuned head needs no encoding to be measured", "[trainer]") {
  const TuningBench bench;
  TrainOptions options = quick_tuning(TrainDepth::kHead);
  options.cache = bench.folder / "cache";
  const TrainReport report = bench.tune("head.vsm.pt", options);
  vsearch::EncoderOptions exact;
  exact.precision = vsearch::Precision::kFloat32;
  const auto encoder = vsearch::load_encoder(report.package, exact);
  vsearch::EvaluationOptions cached;
  cached.cache = options.cache;
  const auto kept = vsearch::embed_dataset(*encoder, bench.dataset, cached);
  CHECK(kept.from_cache == bench.dataset.pictures.size());
  const auto encoded = vsearch::embed_dataset(*encoder, bench.dataset);
  for (std::size_t i = 0; i < kept.rows.data.size(); ++i) {
    CHECK(kept.rows.data[i] == Approx(encoded.rows.data[i]).margin(1e-5));
  }
}

TEST_CASE("a head makes embeddings shorter", "[trainer]") {
  const TuningBench bench;
  TrainOptions options = quick_tuning(TrainDepth::kHead);
  options.dim = 5;
  const TrainReport report = bench.tune("short.vsm.pt", options);
  CHECK(vsearch::load_encoder(report.package)->info().dim == 5);
  options.dim = 9;
  CHECK_THAT(
      error_message(ErrorCode::kInvalidArgument, [&] { bench.tune("long.vsm.pt", options); }),
      Contains("dim is 9") && Contains("8"));
  CHECK_FALSE(fs::exists(bench.folder / "long.vsm.pt"));
  bool is_encoding = false;
  const auto noting_progress = [&](const vsearch::TrainState&) {
    is_encoding = true;
    return true;
  };
  error_message(ErrorCode::kInvalidArgument,
                [&] { bench.tune("long.vsm.pt", options, noting_progress); });
  CHECK_FALSE(is_encoding);
}

TEST_CASE("every loss trains a head and a network", "[trainer]") {
  const TuningBench bench;
  const double before = map_of(bench.start, bench.dataset);
  for (const char* const name : {"arcface", "subcentre", "cosface", "normsoftmax", "proxyanchor",
                                 "supcon", "triplet", "multisimilarity"}) {
    INFO(name);
    for (const TrainDepth depth : {TrainDepth::kHead, TrainDepth::kFull}) {
      TrainOptions options = quick_tuning(depth);
      options.loss = vsearch::find_loss(name).value();
      options.epochs = 12;
      options.held_out_classes = 0;
      const TrainReport report = bench.tune(std::string(name) + ".vsm.pt", options);
      CHECK(report.loss == options.loss);
      const double after = map_of(report.package, bench.dataset);
      INFO("mAP " << before << " before, " << after << " after");
      CHECK(after > before + 0.05);
    }
  }
}

TEST_CASE("all of a network is tuned, or its last blocks and norms", "[trainer]") {
  const TuningBench bench;
  TrainOptions options = quick_tuning(TrainDepth::kFull);
  options.mix_with_start = false;
  const auto before = weights_of(bench.start);
  const auto full = weights_of(bench.tune("full.vsm.pt", options).package);
  REQUIRE(full.size() == before.size());
  for (const auto& [name, value] : full) {
    INFO(name);
    CHECK_FALSE(at::equal(value, before.at(name)));
  }
  options.depth = TrainDepth::kPartial;
  options.blocks = 1;
  const auto partial = weights_of(bench.tune("partial.vsm.pt", options).package);
  for (const auto& [name, value] : partial) {
    INFO(name);
    const bool is_tuned = name.starts_with("blocks.1.") || name.starts_with("norm.");
    CHECK(at::equal(value, before.at(name)) != is_tuned);
  }
}

TEST_CASE("blocks near the pictures learn more slowly", "[trainer]") {
  const TuningBench bench;
  TrainOptions options = quick_tuning(TrainDepth::kFull);
  options.mix_with_start = false;
  options.layer_decay = 0.1;
  options.weight_decay = 0;
  const auto before = weights_of(bench.start);
  const auto after = weights_of(bench.tune("decay.vsm.pt", options).package);
  const auto moved = [&](const std::string& name) {
    return (after.at(name) - before.at(name)).abs().mean().item<double>();
  };
  CHECK(moved("stem.weight") < 0.3 * moved("blocks.0.weight"));
  CHECK(moved("blocks.0.weight") < 0.3 * moved("blocks.1.weight"));
}

TEST_CASE("the same seed gives the same package, another another", "[trainer]") {
  const TuningBench bench;
  for (const TrainDepth depth : {TrainDepth::kHead, TrainDepth::kFull}) {
    TrainOptions options = quick_tuning(depth);
    options.augmentation = {};
    const std::string one = bench.tune("one.vsm.pt", options).fingerprint;
    fs::rename(bench.folder / "one.vsm.pt", bench.folder / "first.vsm.pt");
    CHECK(bench.tune("one.vsm.pt", options).fingerprint == one);
    options.seed = 2;
    CHECK(bench.tune("one.vsm.pt", options).fingerprint != one);
  }
}

TEST_CASE("an interrupted run goes on and ends with the same weights", "[trainer]") {
  const TuningBench bench;
  TrainOptions options = quick_tuning(TrainDepth::kFull);
  options.augmentation = {};
  const std::string whole = bench.tune("tuned.vsm.pt", options).fingerprint;

  options.work = bench.folder / "work";
  const TrainReport stopped = bench.tune(
      "tuned.vsm.pt", options,
      [](const vsearch::TrainState& state) { return state.epoch < 4 || state.step < 2; });
  CHECK_THAT(stopped.stopped, Contains("epoch 4"));
  CHECK(stopped.epochs.size() == 4);  // 0 to 3
  CHECK(stopped.fingerprint != whole);
  std::vector<std::uint32_t> seen;
  const TrainReport resumed = bench.tune("tuned.vsm.pt", options, noting(seen));
  CHECK(seen.front() == 4);
  CHECK(resumed.epochs.size() == 7);
  CHECK(resumed.fingerprint == whole);

  std::ifstream log(options.work / "log.jsonl");
  std::string line;
  for (std::uint32_t epoch = 0; std::getline(log, line); ++epoch) {
    CHECK(nlohmann::json::parse(line).at("epoch") == epoch);
  }

  // Another run in the same folder begins anew.
  seen.clear();
  options.seed = 5;
  bench.tune("tuned.vsm.pt", options, noting(seen));
  CHECK(seen.front() == 1);
}

TEST_CASE("embeddings are held near those of the start", "[trainer]") {
  const TuningBench bench;
  TrainOptions options = quick_tuning(TrainDepth::kFull);
  options.mix_with_start = false;
  options.held_out_classes = 0;
  const vsearch::Matrix before = embed(bench.start, bench.dataset);
  const double loose =
      least_cosine(before, embed(bench.tune("loose.vsm.pt", options).package, bench.dataset));
  options.keep_start = 300;
  const double held =
      least_cosine(before, embed(bench.tune("held.vsm.pt", options).package, bench.dataset));
  INFO(loose << " without, " << held << " with keep_start");
  CHECK(1 - held < 0.5 * (1 - loose));
}

TEST_CASE("pictures that are measured with are not learned from", "[trainer]") {
  const TuningBench bench;
  const auto leaked =
      std::ranges::find(bench.dataset.pictures, "class-5/4.bmp", &vsearch::DatasetPicture::path);
  REQUIRE(leaked != bench.dataset.pictures.end());
  const TempDir elsewhere;
  fs::copy_file(bench.pictures / "class-5/4.bmp", elsewhere / "same.bmp");
  Dataset other;
  other.root = elsewhere.path();
  other.pictures.resize(1);
  other.pictures[0].path = "same.bmp";
  TrainOptions options = quick_tuning(TrainDepth::kHead);
  options.epochs = 1;
  options.keep_apart = {other};
  const TrainReport report = bench.tune("tuned.vsm.pt", options);
  REQUIRE(report.data.leaks.size() == 1);
  CHECK(report.data.leaks[0].picture ==
        static_cast<std::uint32_t>(leaked - bench.dataset.pictures.begin()));
  CHECK_THAT(report.data.leaks[0].of, Contains("same.bmp"));
  CHECK(report.data.leaks[0].path == bench.pictures / "class-5/4.bmp");
  CHECK(report.data.pictures == 53);
  const auto json = nlohmann::json::parse(vsearch::to_json(report));
  CHECK(json.dump().find("same.bmp") != std::string::npos);
}

TEST_CASE("the data set's own protocols that are not learned from are kept apart", "[trainer]") {
  TuningBench bench;
  fs::copy_file(bench.pictures / "class-5/4.bmp", bench.pictures / "same.bmp");
  Dataset& dataset = bench.dataset;
  vsearch::Protocol to_train;
  to_train.name = "test-train";
  for (std::uint32_t i = 0; i < dataset.pictures.size(); ++i) {
    dataset.pictures[i].split = "train";
    to_train.gallery.push_back(i);
  }
  const auto asking = static_cast<std::uint32_t>(dataset.pictures.size());
  dataset.pictures.push_back(dataset.pictures.front());
  dataset.pictures.back().path = "same.bmp";
  dataset.pictures.back().label = 5;
  dataset.pictures.back().split = "test";
  for (vsearch::DatasetField& field : dataset.fields) field.of_picture.push_back(-1);
  to_train.queries = {asking};
  dataset.protocols.push_back(to_train);

  TrainOptions options = quick_tuning(TrainDepth::kHead);
  options.epochs = 1;
  options.held_out_classes = 0;
  const TrainReport report = bench.tune("tuned.vsm.pt", options);
  REQUIRE(report.data.leaks.size() == 1);
  CHECK_THAT(report.data.leaks[0].path, EndsWith("class-5/4.bmp"));
  CHECK_THAT(report.data.leaks[0].of, EndsWith("same.bmp"));
  CHECK(report.data.pictures == asking - 1);

  // Who lacks them learns all the same.
  fs::remove(bench.pictures / "same.bmp");
  CHECK(bench.tune("tuned.vsm.pt", options).data.leaks.empty());

  // What that protocol needs: its query, and all it looks among.
  const Dataset part = vsearch::measured_part(dataset, options);
  REQUIRE(part.protocols.size() == 1);
  CHECK(part.protocols[0].name == "test-train");
  CHECK(part.pictures.size() == dataset.pictures.size());
  CHECK(part.classes == dataset.classes);
  dataset.protocols.back().gallery = {3, 1};
  const Dataset small = vsearch::measured_part(dataset, options);
  REQUIRE(small.pictures.size() == 3);
  CHECK(small.pictures[small.protocols[0].queries.at(0)].path == "same.bmp");
  CHECK(small.pictures[small.protocols[0].gallery.at(0)].path == dataset.pictures[3].path);
  // Learned from all splits, nothing is left to ask with.
  for (auto& picture : dataset.pictures) picture.split = "";
  CHECK(vsearch::measured_part(dataset, options).pictures.empty());
}

TEST_CASE("rare classes and labels that are likely wrong are told", "[trainer]") {
  // Three classes around the axes; the last of the first looks like the second.
  vsearch::training::TrainingSet set;
  set.classes = {"a", "b", "c"};
  const std::vector<std::int32_t> axis{0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2};
  vsearch::Matrix rows(axis.size(), 3);
  for (std::uint32_t i = 0; i < axis.size(); ++i) {
    set.pictures.push_back(i);
    set.labels.push_back(i == 4 ? 0 : axis[i]);
    rows.row(i)[static_cast<std::size_t>(axis[i])] = 1.0F;
    rows.row(i)[(static_cast<std::size_t>(axis[i]) + 1) % 3] = 0.05F * static_cast<float>(i);
  }
  const vsearch::TrainingData data = vsearch::training::describe(set, rows);
  CHECK(data.pictures == 11);
  CHECK(data.classes == 3);
  REQUIRE(data.rare.size() == 1);
  CHECK(data.rare[0].name == "c");
  CHECK(data.rare[0].pictures == 2);
  REQUIRE(data.suspects.size() == 1);
  CHECK(data.suspects[0].picture == 4);
  CHECK(data.suspects[0].label == "a");
  CHECK(data.suspects[0].looks_like == "b");
  CHECK(data.suspects[0].margin > 0.1);
}

TEST_CASE("what is held out is of split val, or of classes that are not learned", "[trainer]") {
  TuningBench bench;
  for (std::size_t i = 0; i < bench.dataset.pictures.size(); ++i) {
    bench.dataset.pictures[i].split = i % 3 == 0 ? "val" : i % 3 == 1 ? "train" : "test";
  }
  TrainOptions options = quick_tuning(TrainDepth::kHead);
  Dataset part = vsearch::held_out_part(bench.dataset, options);
  CHECK(part.protocols.at(0).queries.size() == 24);  // look for what is learned from
  CHECK(part.protocols.at(0).gallery.size() == 24);
  CHECK(part.pictures.size() == 48);
  CHECK(bench.tune("tuned.vsm.pt", options).data.held_out_classes_are_new == false);

  // One class alone could not be mistaken for another, so others are held out.
  for (auto& picture : bench.dataset.pictures) picture.split = picture.label < 1 ? "val" : "train";
  options.held_out_classes = 0.25;
  part = vsearch::held_out_part(bench.dataset, options);
  CHECK(part.pictures.size() == 18);
  for (const auto& picture : part.pictures) CHECK(picture.split == "train");

  for (auto& picture : bench.dataset.pictures) picture.split = picture.label < 3 ? "val" : "train";
  part = vsearch::held_out_part(bench.dataset, options);
  CHECK(part.pictures.size() == 27);  // look for each other
  CHECK(part.protocols.at(0).gallery == part.protocols.at(0).queries);
  const TrainReport report = bench.tune("tuned.vsm.pt", options);
  CHECK(report.data.held_out_classes_are_new);
  CHECK(report.data.pictures == 45);

  for (auto& picture : bench.dataset.pictures) picture.split.clear();
  CHECK(vsearch::held_out_part(bench.dataset, options).pictures.size() == 18);
  options.held_out_classes = 0;
  CHECK(vsearch::held_out_part(bench.dataset, options).pictures.empty());

  // One class alone could not be mistaken for another: two, or of few classes none.
  const auto held_out_of = [&](std::int32_t classes) {
    Dataset few = bench.dataset;
    std::erase_if(few.pictures, [&](const auto& picture) { return picture.label >= classes; });
    return vsearch::held_out_part(few, quick_tuning(TrainDepth::kHead)).pictures.size();
  };
  CHECK(held_out_of(5) == 18);
  CHECK(held_out_of(4) == 18);
  CHECK(held_out_of(3) == 0);

  // Without a split "train" what is measured with elsewhere is not learned from.
  for (std::size_t i = 0; i < bench.dataset.pictures.size(); ++i) {
    bench.dataset.pictures[i].split = i % 3 == 0 ? "test" : "";
  }
  options.held_out_classes = 0;
  CHECK(bench.tune("tuned.vsm.pt", options).data.pictures == 48);
  for (auto& picture : bench.dataset.pictures) picture.split = "query";
  CHECK_THAT(
      error_message(ErrorCode::kInvalidArgument, [&] { bench.tune("tuned.vsm.pt", options); }),
      Contains("query") && Contains("name the split"));
}

TEST_CASE("many held-out pictures are measured with evenly", "[trainer]") {
  vsearch::training::TrainingSet set;
  set.held_out_classes_are_new = true;
  for (std::uint32_t i = 0; i < 3000; ++i) {
    set.held_out.push_back(i);
    set.held_out_labels.push_back(i < 2000 ? 0 : static_cast<std::int32_t>(i % 4 + 1));
  }
  const auto labels_of = [](const vsearch::training::HeldOutTask& task) {
    std::map<std::int32_t, std::size_t> counts;
    for (const std::int32_t label : task.labels) ++counts[label];
    return counts;
  };
  vsearch::training::HeldOutTask task = held_out_task(set, 500);
  CHECK(task.queries == 500);
  CHECK(task.gallery == 0);
  CHECK(labels_of(task) ==
        std::map<std::int32_t, std::size_t>{{0, 100}, {1, 100}, {2, 100}, {3, 100}, {4, 100}});
  CHECK(held_out_task(set).queries == 3000);
  // Fewer than two of a class.
  CHECK(labels_of(held_out_task(set, 4)).size() == 2);

  // Those that look for what is learned find it.
  set.held_out_classes_are_new = false;
  for (std::uint32_t i = 0; i < 2000; ++i) {
    set.pictures.push_back(3000 + i);
    set.labels.push_back(static_cast<std::int32_t>(i % 3 + 2));
  }
  task = held_out_task(set, 600);
  CHECK(task.queries == 300);
  CHECK(task.gallery == 300);
  CHECK(labels_of(task) == std::map<std::int32_t, std::size_t>{{2, 200}, {3, 200}, {4, 200}});
}

TEST_CASE("batches are of one value of a field, which takes turns and has its classes",
          "[trainer]") {
  const TuningBench bench;
  Dataset dataset = bench.dataset;
  // The first half of the classes is one category.
  dataset.fields.push_back({"category", {"first", "second"}, {}});
  for (const auto& picture : dataset.pictures) {
    dataset.fields[0].of_picture.push_back(picture.label < 4 ? 0 : 1);
  }
  dataset.domains = {"studio", "street"};
  for (std::size_t i = 0; i < dataset.pictures.size(); ++i) {
    dataset.pictures[i].domain = static_cast<std::int32_t>(i % 3 == 0);
  }
  for (const TrainDepth depth : {TrainDepth::kHead, TrainDepth::kFull}) {
    TrainOptions options = quick_tuning(depth);
    options.batch_field = "category";
    options.own_classifiers = true;
    options.in_turn = true;
    const auto tuned = [&](const TrainOptions& how) {
      return vsearch::train(bench.start, dataset, bench.folder / "tuned.vsm.pt", how);
    };
    const TrainReport report = tuned(options);
    CHECK(report.best_epoch > 0);
    CHECK(report.fingerprint == tuned(options).fingerprint);
    TrainOptions together = options;
    together.own_classifiers = false;
    CHECK(report.fingerprint != tuned(together).fingerprint);
    options.batch_field = "domain";
    options.balance_field = "category";
    CHECK(tuned(options).best_epoch > 0);
  }
  const auto refused = [&](const TrainOptions& options) {
    return error_message(ErrorCode::kInvalidArgument, [&] {
      vsearch::train(bench.start, dataset, bench.folder / "no.vsm.pt", options);
    });
  };
  TrainOptions options = quick_tuning(TrainDepth::kHead);
  options.in_turn = true;
  CHECK_THAT(refused(options), Contains("in_turn is about batches of one value"));
  options.in_turn = false;
  options.own_classifiers = true;
  CHECK_THAT(refused(options), Contains("own_classifiers is about"));
  options.batch_field = "colour";
  CHECK_THAT(refused(options), Contains("has no field 'colour'; it has: category"));
  options.batch_field = "category";
  options.balance_field = "domains";
  CHECK_THAT(refused(options), Contains("has no field 'domains'"));
}

TEST_CASE("batches that make a step together are one large batch", "[trainer]") {
  const TuningBench bench;
  TrainOptions large = quick_tuning(TrainDepth::kFull);
  large.epochs = 3;
  large.batch_size = 18;  // of 54 pictures
  TrainOptions small = large;
  small.batch_size = *large.batch_size / 2;
  small.accumulate = 2;
  const TrainReport one = bench.tune("one.vsm.pt", large);
  const TrainReport two = bench.tune("two.vsm.pt", small);
  for (std::size_t i = 1; i < 4; ++i) {
    CHECK(two.epochs[i].loss == Approx(one.epochs[i].loss).epsilon(1e-3));
    CHECK(two.epochs[i].rate == Approx(one.epochs[i].rate));
    CHECK(two.epochs[i].held_out_map == Approx(one.epochs[i].held_out_map).margin(0.02));
  }
}

TEST_CASE("a network learns by momentum, and its weights may be a running mean", "[trainer]") {
  const TuningBench bench;
  TrainOptions options = quick_tuning(TrainDepth::kFull);
  options.optimiser = vsearch::Optimiser::kSgd;
  options.rate = 0.1;
  const TrainReport by_momentum = bench.tune("sgd.vsm.pt", options);
  CHECK(by_momentum.epochs.back().loss < 0.9 * by_momentum.epochs[1].loss);

  options = quick_tuning(TrainDepth::kFull);
  options.mix_with_start = false;
  const TrainReport plain = bench.tune("plain.vsm.pt", options);
  options.mean_decay = 1e-12;  // of the last step alone
  const TrainReport last = bench.tune("last.vsm.pt", options);
  CHECK(last.best_epoch == plain.best_epoch);
  CHECK(last.epochs.back().held_out_map == Approx(plain.epochs.back().held_out_map).margin(1e-3));
  options.mean_decay = 0.999;  // of hardly more than the start
  const TrainReport slow = bench.tune("slow.vsm.pt", options);
  CHECK(slow.epochs.back().loss == Approx(plain.epochs.back().loss).epsilon(1e-6));
  const double moved = plain.epochs.back().held_out_map - plain.epochs[0].held_out_map;
  CHECK(slow.epochs.back().held_out_map - plain.epochs[0].held_out_map < 0.7 * moved);

  options.mean_decay = 0.9;
  const std::string whole = bench.tune("whole.vsm.pt", options).fingerprint;
  TempDir work;
  options.work = work.path();
  const auto until = [](std::uint32_t epoch) {
    return [epoch](const vsearch::TrainState& state) { return state.epoch < epoch; };
  };
  bench.tune("whole.vsm.pt", options, until(4));
  CHECK(bench.tune("whole.vsm.pt", options).fingerprint == whole);
}
