// A student that learns from a teacher, on networks of some hundred weights.
#include <torch/script.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/errors.h"
#include "support/temp_dir.h"
#include "support/trainable_package.h"
#include "train/agreement.h"
#include "train/batches.h"
#include "vsearch/distillation.h"

namespace fs = std::filesystem;
using Catch::Matchers::Contains;
using vsearch::Dataset;
using vsearch::DistillOptions;
using vsearch::DistillReport;
using vsearch::ErrorCode;
using vsearch_test::error_message;
using vsearch_test::TempDir;

namespace {

constexpr char kStudent[] = "vit:width=16,depth=2,heads=2,patch=4,size=8";

struct DistillBench {
  DistillBench() : teacher(vsearch_test::save_trainable_package(folder / "teacher.vsm.pt")) {
    vsearch_test::bright_quarters(photos, 8, 9);
    pictures = vsearch::pictures_at({photos.path()});
  }

  DistillReport teach(const std::string& name, const DistillOptions& options,
                      const std::string& student = kStudent,
                      const vsearch::TrainProgress& progress = {}) const {
    return vsearch::distill(teacher, student, {pictures}, folder / name, options, progress);
  }

  // A package of the student's network, of another dimension.
  fs::path small_package(const std::string& dim = "5") const {
    DistillOptions options;
    options.epochs = 1;
    return teach("start.vsm.pt", options, std::string(kStudent) + ",dim=" + dim).package;
  }

  TempDir folder;
  TempDir photos;
  fs::path teacher;
  Dataset pictures;
};

DistillOptions quick_lesson() {
  DistillOptions options;
  options.epochs = 6;
  options.batch_size = 12;
  options.rate = 0.01;
  options.held_out = 0.25;
  options.augmentation = {false, false, 0, 0, 0, 0};
  options.precision = vsearch::Precision::kFloat32;
  return options;
}

vsearch::Matrix rows_of(std::size_t rows, std::size_t dim, std::int64_t seed) {
  torch::manual_seed(seed);
  const at::Tensor drawn = torch::randn({static_cast<std::int64_t>(rows * dim)});
  vsearch::Matrix matrix(rows, dim);
  std::copy_n(drawn.data_ptr<float>(), matrix.data.size(), matrix.data.begin());
  return matrix;
}

double cosine_of(const vsearch::Matrix& rows, std::size_t i, std::size_t j) {
  double product = 0;
  double ii = 0;
  double jj = 0;
  for (std::size_t d = 0; d < rows.cols; ++d) {
    product += rows.row(i)[d] * rows.row(j)[d];
    ii += rows.row(i)[d] * rows.row(i)[d];
    jj += rows.row(j)[d] * rows.row(j)[d];
  }
  return product / std::sqrt(ii * jj);
}

std::vector<std::size_t> nearest_by_hand(const vsearch::Matrix& rows, std::size_t of,
                                         std::size_t count) {
  std::vector<std::size_t> others;
  for (std::size_t i = 0; i < rows.rows; ++i) {
    if (i != of) others.push_back(i);
  }
  std::ranges::sort(others, std::greater(), [&](std::size_t i) { return cosine_of(rows, of, i); });
  others.resize(count);
  return others;
}

}  // namespace

TEST_CASE("a fresh student comes near its teacher", "[distillation]") {
  const DistillBench bench;
  DistillOptions options = quick_lesson();
  options.epochs = 25;
  const DistillReport report = bench.teach("small.vsm.pt", options);
  CHECK(report.pictures == 54);
  CHECK(report.held_out == 18);
  CHECK(report.skipped_count == 0);
  CHECK(report.stopped.empty());
  REQUIRE(report.epochs.size() == 26);
  const auto& first = report.epochs.front();
  const auto& best = report.epochs.at(report.best_epoch);
  INFO("cosine " << first.held_out_cosine << " to " << best.held_out_cosine << ", overlap "
                 << first.held_out_overlap_at_10 << " to " << best.held_out_overlap_at_10);
  CHECK(best.held_out_cosine > first.held_out_cosine + 0.3);
  CHECK(best.held_out_cosine > 0.9);
  CHECK(best.held_out_overlap_at_10 > first.held_out_overlap_at_10);
  CHECK(report.epochs.back().loss < 0.5 * report.epochs[1].loss);

  const auto encoder = vsearch::load_encoder(report.package);  // golden pairs hold
  CHECK(encoder->info().name == "small");
  CHECK(encoder->info().fingerprint == report.student.fingerprint);
  CHECK(encoder->info().dim == 8);
  CHECK(encoder->info().token_dim == 16);
  CHECK(report.start == std::string(kStudent) + ",dim=8");
  CHECK(report.student.width_px == 8);
  CHECK(report.teacher.parameters == 12 * 16 + 16 + 2 * (16 * 16 + 16) + 16 * 8 + 8);
  CHECK(report.teacher.pictures_per_second > 0);
  CHECK(report.student.pictures_per_second > 0);
  CHECK(vsearch::load_encoder(bench.teacher)->info().fingerprint == report.teacher.fingerprint);
  const auto json = nlohmann::json::parse(vsearch::to_json(report));
  CHECK(json["epochs"].size() == 26);
  CHECK(json["epochs"][3]["held_out_cosine"] == report.epochs[3].held_out_cosine);
}

TEST_CASE("a student can be tuned like any other package", "[distillation]") {
  const DistillBench bench;
  const fs::path small = bench.teach("small.vsm.pt", quick_lesson()).package;
  const Dataset labelled = vsearch::load_dataset("folder", bench.photos.path());
  for (const vsearch::TrainDepth depth :
       {vsearch::TrainDepth::kHead, vsearch::TrainDepth::kPartial, vsearch::TrainDepth::kFull}) {
    vsearch::TrainOptions options;
    options.depth = depth;
    options.epochs = 1;
    options.blocks = 1;
    options.mix_with_start = false;
    options.held_out_classes = 0;
    const auto report = vsearch::train(small, labelled, bench.folder / "tuned.vsm.pt", options);
    CHECK_NOTHROW(vsearch::load_encoder(report.package));
    if (depth != vsearch::TrainDepth::kPartial) continue;
    const auto value = [](const fs::path& package, const char* block) {
      return torch::jit::load(package.string())
          .attr("network")
          .toModule()
          .attr("blocks")
          .toModule()
          .attr(block)
          .toModule()
          .attr("mlp")
          .toModule()
          .attr("fc1")
          .toModule()
          .attr("weight")
          .toTensor();
    };
    CHECK(at::equal(value(small, "0"), value(report.package, "0")));
    CHECK_FALSE(at::equal(value(small, "1"), value(report.package, "1")));
  }
}

TEST_CASE("a student of another dimension learns how pictures lie to each other",
          "[distillation]") {
  const DistillBench bench;
  const fs::path start = bench.small_package();
  DistillOptions options = quick_lesson();
  options.epochs = 15;
  const DistillReport report = bench.teach("small.vsm.pt", options, start.string());
  CHECK(report.student.dim == 5);
  CHECK(report.start == vsearch::load_encoder(start)->info().fingerprint);
  CHECK(std::isnan(report.epochs.back().held_out_cosine));
  CHECK(report.epochs.back().loss < 0.7 * report.epochs[1].loss);
  CHECK(report.epochs.at(report.best_epoch).held_out_overlap_at_10 >=
        report.epochs.front().held_out_overlap_at_10);
  CHECK(vsearch::load_encoder(report.package)->info().dim == 5);
  options.cosine = 1;
  CHECK_THAT(error_message(ErrorCode::kInvalidArgument,
                           [&] { bench.teach("no.vsm.pt", options, start.string()); }),
             Contains("5 dimensions, the teacher of 8") && Contains("dim=8"));
}

TEST_CASE("an interrupted lesson goes on and ends with the same weights", "[distillation]") {
  const DistillBench bench;
  DistillOptions options = quick_lesson();
  options.augmentation = {};
  const std::string whole = bench.teach("small.vsm.pt", options).student.fingerprint;
  CHECK(bench.teach("small.vsm.pt", options).student.fingerprint == whole);

  options.work = bench.folder / "work";
  const DistillReport stopped = bench.teach(
      "small.vsm.pt", options, kStudent,
      [](const vsearch::TrainState& state) { return state.epoch < 4 || state.step < 2; });
  CHECK_THAT(stopped.stopped, Contains("asked to stop in epoch 4"));
  CHECK(stopped.epochs.size() == 4);
  CHECK_NOTHROW(vsearch::load_encoder(stopped.package));
  std::vector<std::uint32_t> seen;
  const auto note = [&seen](const vsearch::TrainState& state) {
    CHECK(state.epochs == 6);
    if (state.epoch > 0) seen.push_back(state.epoch);
    return true;
  };
  const DistillReport resumed = bench.teach("small.vsm.pt", options, kStudent, note);
  CHECK(seen.front() == 4);
  CHECK(resumed.epochs.size() == 7);
  CHECK(resumed.epochs[2].held_out_cosine == stopped.epochs[2].held_out_cosine);
  CHECK(resumed.student.fingerprint == whole);
  std::ifstream log(options.work / "log.jsonl");
  std::string line;
  for (std::uint32_t epoch = 0; std::getline(log, line); ++epoch) {
    CHECK(nlohmann::json::parse(line).at("epoch") == epoch);
    CHECK(nlohmann::json::parse(line).contains("held_out_overlap@10"));
  }

  // Another run in the same folder begins anew.
  seen.clear();
  options.seed = 5;
  CHECK(bench.teach("small.vsm.pt", options, kStudent, note).student.fingerprint != whole);
  CHECK(seen.front() == 1);
}

TEST_CASE("a lesson that is stopped before its first epoch has ended writes nothing",
          "[distillation]") {
  const DistillBench bench;
  for (const std::uint32_t last : {0U, 1U}) {
    CHECK_THAT(error_message(ErrorCode::kCancelled,
                             [&] {
                               bench.teach("small.vsm.pt", quick_lesson(), kStudent,
                                           [&](const auto& state) { return state.epoch < last; });
                             }),
               Contains("stop") || Contains("cancel"));
    CHECK_FALSE(fs::exists(bench.folder / "small.vsm.pt"));
  }
}

TEST_CASE("a damaged checkpoint and a full disk of a lesson are named", "[distillation]") {
  const DistillBench bench;
  DistillOptions options = quick_lesson();
  options.epochs = 2;
  options.work = bench.folder / "work";
  bench.teach("small.vsm.pt", options);
  fs::resize_file(options.work / "checkpoint.pt", 1000);
  CHECK_THAT(error_message(ErrorCode::kCorrupt, [&] { bench.teach("small.vsm.pt", options); }),
             Contains("checkpoint.pt") && Contains("delete it"));
  fs::remove(options.work / "checkpoint.pt");
  fs::create_symlink("/dev/full", options.work / "checkpoint.pt.unfinished");
  CHECK_THAT(error_message(ErrorCode::kIo, [&] { bench.teach("other.vsm.pt", options); }),
             Contains("checkpoint.pt") && Contains("room"));
  CHECK_FALSE(fs::exists(bench.folder / "other.vsm.pt"));
}

TEST_CASE("a loss that is no number ends a lesson with the best before it", "[distillation]") {
  const DistillBench bench;
  torch::jit::Module unstable("Unstable");
  unstable.register_module("inner", vsearch_test::network_of_blocks());
  unstable.define(
      "def encode_image(self, x):\n"
      "    return torch.exp(torch.pow(self.inner.encode_image(x), 3))\n");
  nlohmann::json description = vsearch_test::manifest();
  description["dim"] = 8;
  description["outputs"] = {{"embedding", 8}};
  const fs::path start =
      vsearch_test::save_with_golden_pairs(bench.folder / "unstable.vsm.pt", unstable, description);
  DistillOptions options = quick_lesson();
  options.clip_gradients = 0;
  options.rate = 1;
  options.warm_up = 0;
  const DistillReport report = bench.teach("small.vsm.pt", options, start.string());
  CHECK_THAT(report.stopped,
             Contains("no number in epoch") && Contains("step") && Contains("lower rates"));
  CHECK_NOTHROW(vsearch::load_encoder(report.package));
}

TEST_CASE("pictures that cannot be read are left out and named", "[distillation]") {
  DistillBench bench;
  std::ofstream(bench.photos / "torn.jpg") << "no picture";
  bench.pictures = vsearch::pictures_at({bench.photos.path()});
  DistillOptions options = quick_lesson();
  options.epochs = 1;
  const DistillReport report = bench.teach("small.vsm.pt", options);
  CHECK(report.skipped_count == 1);
  REQUIRE(report.skipped.size() == 1);
  CHECK_THAT(report.skipped[0].path, Contains("torn.jpg"));
  CHECK_THAT(report.skipped[0].message, Contains("torn.jpg"));
  CHECK(report.pictures + report.held_out == 72);

  // A line that no input can be made of, unless parts of it are taken.
  fs::remove(bench.photos / "torn.jpg");
  vsearch_test::write_file(bench.photos / "line.bmp",
                           vsearch_test::bmp(1'100'000, 1, [](std::uint32_t, std::uint32_t) {
                             return vsearch_test::Rgb{10, 20, 30};
                           }));
  bench.pictures = vsearch::pictures_at({bench.photos.path()});
  const DistillReport without_line = bench.teach("small.vsm.pt", options);
  REQUIRE(without_line.skipped.size() == 1);
  CHECK_THAT(without_line.skipped[0].message, Contains("line.bmp") && Contains("too long"));

  fs::remove(bench.photos / "line.bmp");
  std::ofstream(bench.photos / "torn.jpg") << "no picture";
  bench.pictures = vsearch::pictures_at({bench.photos / "torn.jpg"});
  CHECK_THAT(error_message(ErrorCode::kBadImage, [&] { bench.teach("no.vsm.pt", options); }),
             Contains("no picture could be read") && Contains("torn.jpg"));
  bench.pictures.pictures.clear();
  CHECK_THAT(error_message(ErrorCode::kInvalidArgument, [&] { bench.teach("no.vsm.pt", options); }),
             Contains("no picture to learn from") && Contains("folder"));
  bench.pictures = vsearch::pictures_at({bench.photos / "class-0" / "1.bmp"});
  CHECK_THAT(error_message(ErrorCode::kInvalidArgument, [&] { bench.teach("no.vsm.pt", options); }),
             Contains("1 picture to learn from; two are needed"));
  const TempDir empty;
  CHECK_THAT(
      error_message(ErrorCode::kInvalidArgument, [&] { vsearch::pictures_at({empty.path()}); }),
      Contains("holds no pictures"));
}

TEST_CASE("what cannot be distilled is refused with the remedy", "[distillation]") {
  const DistillBench bench;
  const auto refused = [&](const DistillOptions& options, const std::string& student = kStudent,
                           const std::string& output = "no.vsm.pt") {
    return error_message(ErrorCode::kInvalidArgument,
                         [&] { bench.teach(output, options, student); });
  };
  DistillOptions options = quick_lesson();
  options.rate = -1;
  CHECK_THAT(refused(options), Contains("rate is -1"));
  options = quick_lesson();
  options.held_out = 0.7;
  CHECK_THAT(refused(options), Contains("held_out is 0.7"));
  options = quick_lesson();
  options.epochs = 0;
  CHECK_THAT(refused(options), Contains("epochs is 0"));
  options = quick_lesson();
  options.batch_size = 1;
  CHECK_THAT(refused(options), Contains("batch_size is 1"));
  options = quick_lesson();
  options.relational = std::nan("");
  CHECK_THAT(refused(options), Contains("relational is nan"));
  options.relational = 0;
  options.cosine = 0;
  CHECK_THAT(refused(options), Contains("nothing would be learned"));
  options = quick_lesson();
  options.precision = vsearch::Precision::kInt8;
  CHECK_THAT(refused(options), Contains("precision is int8"));
  options = quick_lesson();
  options.augmentation.erase = 2;
  CHECK_THAT(refused(options), Contains("erase"));
  CHECK_THAT(refused(quick_lesson(), "vit:wide=8"), Contains("no 'wide'"));
  CHECK_THAT(refused(quick_lesson(), kStudent, "teacher.vsm.pt"),
             Contains("would replace the teacher"));
  const fs::path start = bench.small_package();
  CHECK_THAT(refused(quick_lesson(), start.string(), "start.vsm.pt"),
             Contains("would replace the student it starts from"));
  CHECK_THAT(error_message(ErrorCode::kFileNotFound,
                           [&] { bench.teach("nowhere/small.vsm.pt", quick_lesson()); }),
             Contains("no such folder"));
  CHECK_THAT(error_message(ErrorCode::kFileNotFound,
                           [&] { bench.teach("no.vsm.pt", quick_lesson(), "vitamin"); }),
             Contains("vitamin"));
  CHECK_FALSE(fs::exists(bench.folder / "no.vsm.pt"));
}

TEST_CASE("a teacher that is no package and a frozen student are named", "[distillation]") {
  const DistillBench bench;
  const auto fault = [&](const fs::path& teacher, const std::string& student) {
    return error_message(ErrorCode::kBadModel, [&] {
      vsearch::distill(teacher, student, {bench.pictures}, bench.folder / "no.vsm.pt",
                       quick_lesson());
    });
  };
  const fs::path note = bench.folder / "note.vsm.pt";
  std::ofstream(note) << "no package";
  CHECK_THAT(fault(note, kStudent), Contains("note.vsm.pt") && Contains("not a TorchScript"));
  const fs::path bare = bench.folder / "bare.pt";
  vsearch_test::network_of_blocks().save(bare.string());
  CHECK_THAT(fault(bare, kStudent), Contains("bare.pt") && Contains("not a model package"));

  torch::jit::Module frozen("Frozen");
  frozen.define(
      "def encode_image(self, x):\n"
      "    return x.mean([2, 3]) - 0.1\n");
  const fs::path start = vsearch_test::save_with_golden_pairs(bench.folder / "frozen.vsm.pt",
                                                              frozen, vsearch_test::manifest());
  CHECK_THAT(fault(bench.teacher, start.string()),
             Contains("frozen.vsm.pt") && Contains("constants") && Contains("a fresh student"));
}

TEST_CASE("teacher and student see the same changed picture", "[distillation]") {
  const DistillBench bench;
  vsearch::Preprocessing input;
  input.width_px = 16;
  input.height_px = 12;
  input.resize_edge = vsearch::ResizeEdge::kStretch;
  input.resize_width_px = 16;
  input.resize_height_px = 12;
  input.centre_crop = false;
  input.mean = {0, 0, 0};
  input.stddev = {1, 1, 1};
  vsearch::training::BatchSettings settings;
  settings.also = input;
  settings.also->mean = {0.5F, 0, 0};
  settings.also->stddev = {1, 0.5F, 1};
  const std::vector<std::uint32_t> numbers{3, 1, 4, 15};
  vsearch::training::BatchLoader loader({&bench.pictures, numbers, {0, 1, 2, 3}}, input, settings);
  loader.start(1, {{0, 1, 2, 3}});
  auto batch = loader.next();
  REQUIRE(batch);
  const at::Tensor scale = at::tensor({1.0F, 2.0F, 1.0F}).view({3, 1, 1});
  const at::Tensor shift = at::tensor({0.5F, 0.0F, 0.0F}).view({3, 1, 1});
  CHECK(at::allclose(batch->also, (batch->pixels - shift) * scale, 1e-5, 1e-6));
  CHECK(batch->pixels.std().item<double>() > 0.01);

  // Each in its size: the larger one, averaged, is the smaller but for its rims.
  settings.also = input;
  settings.also->width_px = settings.also->resize_width_px = 8;
  settings.also->height_px = settings.also->resize_height_px = 6;
  vsearch::training::BatchLoader sizes({&bench.pictures, numbers, {0, 1, 2, 3}}, input, settings);
  sizes.start(1, {{0, 1, 2, 3}});
  batch = sizes.next();
  REQUIRE(batch);
  CHECK(batch->also.sizes() == at::IntArrayRef({4, 3, 6, 8}));
  const at::Tensor halved = at::avg_pool2d(batch->pixels, {2, 2});
  CHECK((halved - batch->also).abs().mean().item<double>() < 0.01);
}

TEST_CASE("agreement is that of cosines and neighbours counted by hand", "[distillation]") {
  const vsearch::Matrix teacher = rows_of(40, 6, 1);
  vsearch::Matrix student = rows_of(40, 6, 2);
  for (std::size_t i = 0; i < student.data.size(); ++i) student.data[i] += teacher.data[i];
  double shared = 0;
  double cosines = 0;
  for (std::size_t i = 0; i < teacher.rows; ++i) {
    const auto one = nearest_by_hand(teacher, i, 10);
    for (const std::size_t other : nearest_by_hand(student, i, 10)) {
      if (std::ranges::find(one, other) != one.end()) ++shared;
    }
    vsearch::Matrix pair(2, 6);
    std::ranges::copy(teacher.row(i), pair.row(0).begin());
    std::ranges::copy(student.row(i), pair.row(1).begin());
    cosines += cosine_of(pair, 0, 1);
  }
  auto found = vsearch::training::agreement_of(teacher.view(), student.view());
  CHECK(found.overlap_at_10 == Approx(shared / 400));
  CHECK(found.cosine == Approx(cosines / 40));
  CHECK(found.overlap_at_10 > 0.3);
  CHECK(found.overlap_at_10 < 0.95);

  // What could not be encoded is left out; other dimensions have no cosine.
  student.row(7)[0] = std::nanf("");
  const auto less = vsearch::training::agreement_of(teacher.view(), student.view());
  CHECK(less.cosine != found.cosine);
  CHECK(std::isfinite(less.cosine));
  const vsearch::Matrix wide = rows_of(40, 9, 3);
  found = vsearch::training::agreement_of(teacher.view(), wide.view());
  CHECK(std::isnan(found.cosine));
  CHECK(std::isfinite(found.overlap_at_10));
  // Of five pictures two are the neighbours: with all four everyone would agree.
  const vsearch::Matrix few = rows_of(5, 6, 4);
  CHECK(vsearch::training::agreement_of(few.view(), few.view()).overlap_at_10 == 1);
  const vsearch::Matrix other = rows_of(5, 6, 5);
  CHECK(vsearch::training::agreement_of(few.view(), other.view()).overlap_at_10 < 1);
  const vsearch::Matrix two = rows_of(2, 6, 6);
  CHECK(std::isnan(vsearch::training::agreement_of(two.view(), two.view()).overlap_at_10));
  const vsearch::Matrix one = rows_of(1, 6, 6);
  CHECK(std::isnan(vsearch::training::agreement_of(one.view(), one.view()).overlap_at_10));
}
