// The losses of training, against another library's values (tests/data/make_losses.py) and against
// finite differences.
#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <torch/optim/adam.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <functional>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "eval/seeded.h"
#include "train/losses.h"
#include "vsearch/error.h"

using Catch::Contains;
using nlohmann::json;
using vsearch::ErrorCode;
using vsearch::Loss;
using vsearch::training::cosine_distillation;
using vsearch::training::LossSettings;
using vsearch::training::make_loss;
using vsearch::training::relational_distillation;
using vsearch::training::RetrievalLoss;

namespace {

constexpr Loss kAllLosses[] = {Loss::kArcFace,     Loss::kSubCentreArcFace, Loss::kCosFace,
                               Loss::kNormSoftmax, Loss::kProxyAnchor,      Loss::kSupCon,
                               Loss::kTriplet,     Loss::kMultiSimilarity};
constexpr Loss kPairLosses[] = {Loss::kSupCon, Loss::kTriplet, Loss::kMultiSimilarity};

const json& reference() {
  static const json data =
      json::parse(std::ifstream(VSEARCH_SOURCE_DIR "/tests/data/losses.json", std::ios::binary));
  return data;
}

at::Tensor matrix(const json& rows) {
  const auto width = static_cast<std::int64_t>(rows[0].size());
  std::vector<double> values;
  for (const json& row : rows) values.insert(values.end(), row.begin(), row.end());
  return at::tensor(values, at::kDouble).view({-1, width});
}

at::Tensor label_tensor(const std::vector<std::int64_t>& labels) {
  return at::tensor(labels, at::kLong);
}

at::Tensor random_normal(std::uint64_t seed, std::int64_t rows, std::int64_t columns) {
  vsearch::eval::Seeded seeded(seed);
  at::Tensor values = at::empty({rows, columns}, at::kFloat);
  for (std::int64_t i = 0; i < values.numel(); ++i) {
    values.mutable_data_ptr<float>()[i] = seeded.normal();
  }
  return values;
}

LossSettings settings_of(Loss loss, std::int64_t dim = 8, at::ScalarType dtype = at::kFloat) {
  LossSettings settings;
  settings.loss = loss;
  settings.classes = 5;
  settings.dim = dim;
  settings.dtype = dtype;
  return settings;
}

bool is_finite(const at::Tensor& values) {
  return at::isfinite(values).all().item<bool>();
}

// The value, after backward(), with gradients of embeddings and parameters seen to be finite.
double finite_loss(RetrievalLoss& loss, const at::Tensor& embeddings, const at::Tensor& labels) {
  const at::Tensor value = loss.compute(embeddings, labels);
  REQUIRE(value.requires_grad());
  value.backward();
  CHECK(is_finite(embeddings.grad()));
  for (const at::Tensor& parameter : loss.parameters()) CHECK(is_finite(parameter.grad()));
  const auto result = value.item<double>();
  CHECK(std::isfinite(result));
  return result;
}

// The gradient of `compute` in each value of `leaf` (float64, in place) is its central difference.
void check_gradient(const std::function<at::Tensor()>& compute, at::Tensor leaf) {
  constexpr double kStep = 1e-6;
  leaf.mutable_grad() = at::Tensor();
  compute().backward();
  const at::Tensor gradient = leaf.grad().clone().contiguous();
  auto* const values = leaf.mutable_data_ptr<double>();
  at::Tensor differences = at::zeros_like(gradient);
  for (std::int64_t i = 0; i < leaf.numel(); ++i) {
    const double value = values[i];
    values[i] = value + kStep;
    const auto above = compute().item<double>();
    values[i] = value - kStep;
    const auto below = compute().item<double>();
    values[i] = value;
    differences.mutable_data_ptr<double>()[i] = (above - below) / (2 * kStep);
  }
  const auto largest = gradient.abs().max().item<double>();
  CHECK(largest > 1e-3);
  CHECK((gradient - differences).abs().max().item<double>() < 1e-6 * std::max(1.0, largest));
}

}  // namespace

TEST_CASE("losses are those of pytorch-metric-learning", "[losses]") {
  for (const json& expected : reference()["cases"]) {
    const auto name = expected["loss"].get<std::string>();
    const auto batch_name = expected["batch"].get<std::string>();
    CAPTURE(name, batch_name, expected["margin"].get<double>());
    const json& batch = reference()["batches"][batch_name];
    LossSettings settings = settings_of(vsearch::find_loss(name).value());
    settings.margin = expected["margin"].get<double>();
    settings.scale = expected["scale"].get<double>();
    const auto loss = make_loss(settings);
    const char* const vectors =
        settings.loss == Loss::kSubCentreArcFace ? "sub_centres" : "class_vectors";
    for (const at::Tensor& parameter : loss->parameters()) {
      const at::NoGradGuard no_grad;
      parameter.copy_(matrix(reference()[vectors]));
    }
    const at::Tensor value =
        loss->compute(matrix(batch["embeddings"]).to(at::kFloat), label_tensor(batch["labels"]));
    CHECK(value.scalar_type() == at::kFloat);
    CHECK(value.item<double>() == Approx(expected["value"].get<double>()).epsilon(1e-4).margin(0));
  }
}

TEST_CASE("the usual numbers are the papers'", "[losses]") {
  for (const json& expected : reference()["cases"]) {
    const auto loss = vsearch::find_loss(expected["loss"].get<std::string>()).value();
    // The first of a loss's cases.
    if (&expected !=
        &*std::find_if(reference()["cases"].begin(), reference()["cases"].end(),
                       [&](const json& other) { return other["loss"] == expected["loss"]; })) {
      continue;
    }
    CHECK(vsearch::training::usual_margin(loss) == expected["margin"].get<double>());
    CHECK(vsearch::training::usual_scale(loss) == expected["scale"].get<double>());
  }
}

TEST_CASE("gradients of losses are their finite differences", "[losses]") {
  for (const Loss which : kAllLosses) {
    for (const char* const batch_name : {"uneven", "clustered"}) {
      CAPTURE(vsearch::loss_name(which), batch_name);
      const json& batch = reference()["batches"][batch_name];
      const auto loss = make_loss(settings_of(which, 8, at::kDouble));
      const at::Tensor embeddings = matrix(batch["embeddings"]).requires_grad_();
      const at::Tensor labels = label_tensor(batch["labels"]);
      const auto compute = [&] { return loss->compute(embeddings, labels); };
      check_gradient(compute, embeddings);
      for (const at::Tensor& parameter : loss->parameters()) check_gradient(compute, parameter);
    }
  }
}

TEST_CASE("gradients of distillation are its finite differences", "[losses]") {
  const at::Tensor student = matrix(reference()["batches"]["balanced"]["embeddings"]);
  student.requires_grad_();
  const at::Tensor teacher = matrix(reference()["teacher"]).requires_grad_();
  const at::Tensor small_teacher = matrix(reference()["small_teacher"]);
  check_gradient([&] { return cosine_distillation(student, teacher); }, student);
  check_gradient([&] { return relational_distillation(student, teacher); }, student);
  check_gradient([&] { return relational_distillation(student, small_teacher); }, student);
  CHECK(!teacher.grad().defined());
}

TEST_CASE("distillation is as its formulas have it", "[losses]") {
  const at::Tensor student =
      matrix(reference()["batches"]["balanced"]["embeddings"]).to(at::kFloat);
  const auto expected = [](const char* name) {
    return Approx(reference()[name].get<double>()).epsilon(1e-4).margin(0);
  };
  const at::Tensor teacher = matrix(reference()["teacher"]).to(at::kFloat);
  const at::Tensor small_teacher = matrix(reference()["small_teacher"]).to(at::kFloat);
  CHECK(cosine_distillation(student, teacher).item<double>() == expected("cosine_distillation"));
  CHECK(relational_distillation(student, teacher).item<double>() ==
        expected("relational_distillation"));
  CHECK(relational_distillation(student, small_teacher).item<double>() ==
        expected("relational_distillation_small"));

  SECTION("lengths count for nothing, and a turn of all for nothing in relations") {
    CHECK(cosine_distillation(student, 3 * student).item<double>() == Approx(0).margin(1e-6));
    const at::Tensor turned = student.roll({1}, {1});
    CHECK(relational_distillation(student, 3 * turned).item<double>() == Approx(0).margin(1e-6));
    CHECK(cosine_distillation(student, turned).item<double>() > 0.1);
  }
  SECTION("angles are those of the first 64") {
    const at::Tensor many = random_normal(1, 100, 8);
    const at::Tensor others = random_normal(2, 100, 8);
    const at::Tensor late = at::cat({many.narrow(0, 0, 64), others.narrow(0, 64, 36)});
    const auto early_angles =
        relational_distillation(many.narrow(0, 0, 64), others.narrow(0, 0, 64));
    CHECK(early_angles.item<double>() > 0.05);
    // Only distances differ: h of at most 2 in a half.
    CHECK(relational_distillation(many, late).item<double>() < early_angles.item<double>());
    CHECK(relational_distillation(many, late).item<double>() > 0);
  }
  SECTION("batches without pairs or triples, and pictures that are the same") {
    for (const std::int64_t batch : {1, 2, 3}) {
      const at::Tensor few = student.narrow(0, 0, batch).clone().requires_grad_();
      const at::Tensor value = relational_distillation(few, teacher.narrow(0, 0, batch));
      CHECK(value.item<double>() >= 0);
      value.backward();
      CHECK(is_finite(few.grad()));
      CHECK((few.grad().abs().max().item<double>() > 1e-6) == (batch == 3));
    }
    const at::Tensor same = at::ones({6, 8}).requires_grad_();
    (relational_distillation(same, teacher.narrow(0, 0, 6)) +
     cosine_distillation(same, teacher.narrow(0, 0, 6)))
        .backward();
    CHECK(is_finite(same.grad()));
    CHECK(same.grad().abs().max().item<double>() < 10);
  }
  SECTION("other shapes") {
    CHECK_THROWS_WITH(cosine_distillation(student, small_teacher),
                      Contains("8 dimensions") && Contains("of 6") && Contains("relational"));
    CHECK_THROWS_WITH(relational_distillation(student, teacher.narrow(0, 0, 3)),
                      Contains("Float [16, 8] and Float [3, 8]"));
    CHECK_THROWS_WITH(cosine_distillation(student[0], teacher[0]), Contains("[batch, dim]"));
  }
}

TEST_CASE("gradients stay finite where angles are 0 and pi", "[losses]") {
  for (const Loss which : kAllLosses) {
    CAPTURE(vsearch::loss_name(which));
    const auto loss = make_loss(settings_of(which));
    // Along the class vectors and against them, each twice; and one without a direction.
    const at::Tensor vectors =
        loss->parameters().empty() ? random_normal(7, 5, 8) : loss->parameters()[0].detach();
    const at::Tensor five = vectors.slice(0, 0, vectors.size(0), vectors.size(0) / 5).clone();
    const at::Tensor embeddings =
        at::cat({five, -2 * five, 3 * five, -five, at::zeros({1, 8})}).requires_grad_();
    const at::Tensor labels = at::cat({at::arange(5).repeat({4}), at::zeros({1}, at::kLong)});
    finite_loss(*loss, embeddings, labels);
    CHECK(embeddings.grad()[-1].abs().max().item<double>() == 0);
    CHECK(embeddings.grad().abs().max().item<double>() < 100);
  }
}

TEST_CASE("arcface falls as the angle does, beyond pi - margin too", "[losses]") {
  for (const double margin : {0.0, 0.5, 1.2, std::acos(0.0)}) {
    CAPTURE(margin);
    LossSettings settings = settings_of(Loss::kArcFace, 2);
    settings.classes = 2;
    settings.margin = margin;
    settings.scale = 4;
    const auto loss = make_loss(settings);
    {
      const at::NoGradGuard no_grad;
      loss->parameters()[0].copy_(at::tensor({1.0F, 0.0F, 0.0F, 1.0F}).view({2, 2}));
    }
    double before = -5;  // less than -scale
    // Clockwise, away from both classes' vectors first, then nearer to the other's: its cosine is
    // taken off to see the own class's logit alone.
    for (double angle = 0; angle <= 3.14; angle += 0.01) {
      const auto x = static_cast<float>(std::cos(angle));
      const auto y = static_cast<float>(-std::sin(angle));
      const auto value =
          loss->compute(at::tensor({x, y}).view({1, 2}), label_tensor({0})).item<double>();
      const double own_logit = 4.0 * y - std::log(std::expm1(value));
      CHECK(-own_logit > before);
      before = -own_logit;
    }
  }
}

TEST_CASE("batches without positives, of one class, of one picture", "[losses]") {
  const at::Tensor values = random_normal(3, 4, 8);
  for (const Loss which : kPairLosses) {
    CAPTURE(vsearch::loss_name(which));
    const auto loss = make_loss(settings_of(which));
    const at::Tensor different = values.clone().requires_grad_();
    CHECK(finite_loss(*loss, different, label_tensor({0, 1, 2, 3})) == 0);
    CHECK(different.grad().abs().max().item<double>() == 0);
    const at::Tensor alone = values.narrow(0, 0, 1).clone().requires_grad_();
    CHECK(finite_loss(*loss, alone, label_tensor({2})) == 0);
    CHECK(alone.grad().abs().max().item<double>() == 0);
  }
  for (const Loss which : kAllLosses) {
    CAPTURE(vsearch::loss_name(which));
    const auto loss = make_loss(settings_of(which));
    const bool needs_negatives = which == Loss::kTriplet || which == Loss::kMultiSimilarity;
    const double value =
        finite_loss(*loss, values.clone().requires_grad_(), label_tensor({3, 3, 3, 3}));
    // The denominator of supcon holds positives too, at best all alike.
    if (which == Loss::kSupCon) CHECK(value >= std::log(3.0) - 1e-6);
    if (needs_negatives) {
      CHECK(value == 0);
    } else {
      CHECK(value > 0);
    }
  }
}

TEST_CASE("bfloat16 embeddings and autocast are computed in float32", "[losses]") {
  const at::Tensor values = random_normal(4, 12, 8);
  const at::Tensor labels = at::arange(12) % 5;
  for (const Loss which : kAllLosses) {
    CAPTURE(vsearch::loss_name(which));
    const auto loss = make_loss(settings_of(which));
    const at::Tensor small = values.to(at::kBFloat16).requires_grad_();
    const double value = finite_loss(*loss, small, labels);
    CHECK(small.grad().scalar_type() == at::kBFloat16);
    CHECK(value == loss->compute(small.detach().to(at::kFloat), labels).item<double>());
    const double exact = loss->compute(values, labels).item<double>();

    at::autocast::set_autocast_enabled(at::kCPU, true);
    const at::Tensor cast = loss->compute(values, labels);
    at::autocast::set_autocast_enabled(at::kCPU, false);
    CHECK(cast.scalar_type() == at::kFloat);
    CHECK(cast.item<double>() == exact);
  }
}

TEST_CASE("class vectors come from the seed", "[losses]") {
  for (const Loss which : kAllLosses) {
    CAPTURE(vsearch::loss_name(which));
    LossSettings settings = settings_of(which, 64);
    const auto first = make_loss(settings)->parameters();
    const auto second = make_loss(settings)->parameters();
    settings.seed = 2;
    const auto other = make_loss(settings)->parameters();
    const bool of_pairs =
        std::find(std::begin(kPairLosses), std::end(kPairLosses), which) != std::end(kPairLosses);
    REQUIRE(first.size() == (of_pairs ? 0 : 1));
    if (of_pairs) continue;
    const std::int64_t rows = which == Loss::kSubCentreArcFace ? 15 : 5;
    CHECK(first[0].sizes() == at::IntArrayRef({rows, 64}));
    CHECK(first[0].scalar_type() == at::kFloat);
    CHECK(first[0].is_leaf());
    CHECK(first[0].requires_grad());
    CHECK(at::equal(first[0], second[0]));
    CHECK(!at::equal(first[0], other[0]));
    CHECK(first[0].norm(2, {1}).mean().item<double>() == Approx(1).epsilon(0.1));
  }
}

// Points of three clusters that are in one direction as seen from the origin; a linear map with an
// offset learns to send each cluster in a direction of its own.
TEST_CASE("two hundred steps with any of the losses separate three clusters", "[losses]") {
  const std::vector<float> centres = {3, 3, 5, 4, 4, 6};
  const at::Tensor labels = at::arange(24) % 3;
  const at::Tensor points =
      at::tensor(centres).view({3, 2}).repeat({8, 1}) + 0.2 * random_normal(5, 24, 2);
  const at::Tensor same = labels.unsqueeze(0) == labels.unsqueeze(1);
  // By how much pictures of a class are nearer than those of others.
  const auto gap = [&](const at::Tensor& embeddings) {
    const at::Tensor unit = embeddings / embeddings.norm(2, {1}, true);
    const at::Tensor cos = unit.matmul(unit.t());
    return (cos.masked_select(same).mean() - cos.masked_select(same.logical_not()).mean())
        .item<double>();
  };
  for (const Loss which : kAllLosses) {
    CAPTURE(vsearch::loss_name(which));
    LossSettings settings = settings_of(which, 2);
    settings.classes = 3;
    const auto loss = make_loss(settings);
    const at::Tensor weight = at::eye(2).requires_grad_();
    const at::Tensor offset = at::zeros({2}).requires_grad_();
    const auto embed = [&] { return points.matmul(weight) + offset; };
    CHECK(gap(embed()) < 0.1);
    start_at_means(*loss, embed(), labels, 3);
    std::vector<at::Tensor> learned = {weight, offset};
    for (const at::Tensor& parameter : loss->parameters()) learned.push_back(parameter);
    torch::optim::Adam optimizer(learned, 0.05);
    double first = 0;
    double last = 0;
    for (int step = 0; step < 200; ++step) {
      const at::Tensor value = loss->compute(embed(), labels);
      optimizer.zero_grad();
      value.backward();
      optimizer.step();
      last = value.item<double>();
      if (step == 0) first = last;
    }
    CHECK(last < first);
    CHECK(gap(embed()) > 0.3);
  }
}

TEST_CASE("class vectors start where their classes are", "[losses]") {
  // As seen from the middle of the two means, (0.5, 0.5).
  const at::Tensor embeddings = at::tensor({2.0F, 0.0F, 0.0F, 3.0F, 0.0F, 5.0F}).view({3, 2});
  const at::Tensor labels = label_tensor({0, 2, 2});
  const auto loss = make_loss(settings_of(Loss::kCosFace, 2));
  const at::Tensor before = loss->parameters()[0].detach().clone();
  start_at_means(*loss, embeddings, labels, before.size(0));
  const at::Tensor after = loss->parameters()[0].detach();
  const auto half = static_cast<float>(std::sqrt(0.5));
  CHECK(at::allclose(after[0], at::tensor({half, -half})));
  CHECK(at::allclose(after[2], at::tensor({-half, half})));
  CHECK(at::equal(after[1], before[1]));  // a class without an embedding
  CHECK(loss->parameters()[0].requires_grad());

  // Several vectors of a class lie around its mean, and differ.
  const auto several = make_loss(settings_of(Loss::kSubCentreArcFace, 2));
  start_at_means(*several, embeddings, labels, before.size(0));
  const at::Tensor around = several->parameters()[0].detach();
  CHECK(around[0][0].item<double>() > 0.2);
  CHECK(around[1][0].item<double>() > 0.2);
  CHECK_FALSE(at::equal(around[0], around[1]));
}

TEST_CASE("settings that make no sense are refused", "[losses]") {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  const auto message = [](Loss loss, const std::function<void(LossSettings&)>& change) {
    LossSettings settings = settings_of(loss);
    change(settings);
    try {
      make_loss(settings);
    } catch (const vsearch::Error& error) {
      CHECK(error.code() == ErrorCode::kInvalidArgument);
      return std::string(error.what());
    }
    return std::string("nothing was thrown");
  };
  const auto of_margin = [&](Loss loss, double margin) {
    return message(loss, [&](LossSettings& settings) { settings.margin = margin; });
  };
  const auto of_scale = [&](Loss loss, double scale) {
    return message(loss, [&](LossSettings& settings) { settings.scale = scale; });
  };
  CHECK(of_margin(Loss::kArcFace, 28.6) ==
        "the margin of the loss arcface must be 0 to 1.571 radians, not 28.6; usual is 0.5");
  CHECK(of_margin(Loss::kCosFace, -0.1) ==
        "the margin of the loss cosface must be 0 to 1, not -0.1; usual is 0.35");
  CHECK_THAT(of_margin(Loss::kTriplet, 2.5), Contains("0 to 2, not 2.5"));
  CHECK_THAT(of_margin(Loss::kProxyAnchor, kNan), Contains("0 to 1, not nan"));
  CHECK_THAT(of_margin(Loss::kMultiSimilarity, 2), Contains("0 to 1, not 2"));
  CHECK(of_margin(Loss::kSupCon, 0.5) ==
        "the loss supcon has no margin, so it cannot be 0.5; leave it out");
  CHECK_THAT(of_margin(Loss::kNormSoftmax, kNan), Contains("no margin"));
  CHECK(of_scale(Loss::kTriplet, 64) ==
        "the loss triplet has no scale, so it cannot be 64; leave it out");
  CHECK(of_scale(Loss::kArcFace, 0) ==
        "the scale of the loss arcface must be above 0 and at most 1000, not 0; usual is 64");
  CHECK_THAT(of_scale(Loss::kSupCon, 1e9), Contains("at most 1000"));
  CHECK_THAT(of_scale(Loss::kSupCon, kNan), Contains("not nan"));
  for (const Loss which : kAllLosses) {
    CAPTURE(vsearch::loss_name(which));
    CHECK_THAT(message(which, [](LossSettings& settings) { settings.classes = 1; }),
               Contains("at least 2 classes, not 1"));
    CHECK_THAT(message(which, [](LossSettings& settings) { settings.dim = 0; }),
               Contains("at least 1 dimension, not 0"));
    CHECK_THAT(message(which, [](LossSettings& settings) { settings.dtype = at::kBFloat16; }),
               Contains("float32 or float64, not in BFloat16"));
  }
  for (const std::int64_t count : {0, 65}) {
    CHECK_THAT(message(Loss::kSubCentreArcFace,
                       [&](LossSettings& settings) { settings.sub_centres = count; }),
               Contains("1 to 64 sub-centres"));
  }
}

TEST_CASE("batches of other shapes and types are refused", "[losses]") {
  for (const Loss which : kAllLosses) {
    CAPTURE(vsearch::loss_name(which));
    const auto loss = make_loss(settings_of(which));
    const at::Tensor values = random_normal(6, 4, 8);
    const at::Tensor labels = label_tensor({0, 1, 0, 1});
    CHECK_THROWS_WITH(loss->compute(random_normal(6, 4, 7), labels),
                      Contains("[batch, 8], not Float [4, 7]"));
    CHECK_THROWS_WITH(loss->compute(values.narrow(0, 0, 0), labels.narrow(0, 0, 0)),
                      Contains("not Float [0, 8]"));
    CHECK_THROWS_WITH(loss->compute(values.to(at::kLong), labels), Contains("not Long [4, 8]"));
    CHECK_THROWS_WITH(loss->compute(values, labels.narrow(0, 0, 3)),
                      Contains("int64 [4]") && Contains("not Long [3]"));
    CHECK_THROWS_WITH(loss->compute(values, labels.to(at::kInt)), Contains("not Int [4]"));
  }
}

TEST_CASE("pictures are told from the classes that are named alone", "[losses]") {
  const at::Tensor among = at::tensor({1, 1, 1, 0, 0}, at::kInt).to(at::kBool);
  const at::Tensor labels = label_tensor({0, 2, 1, 1});
  for (const Loss kind : {Loss::kArcFace, Loss::kSubCentreArcFace, Loss::kCosFace,
                          Loss::kNormSoftmax, Loss::kProxyAnchor}) {
    CAPTURE(vsearch::loss_name(kind));
    const auto loss = make_loss(settings_of(kind));
    LossSettings fewer = settings_of(kind);
    fewer.classes = 3;
    const auto loss_of_three = make_loss(fewer);
    {
      const at::NoGradGuard no_grad;
      at::Tensor vectors = loss_of_three->parameters()[0];
      vectors.copy_(loss->parameters()[0].narrow(0, 0, vectors.size(0)));
    }
    at::Tensor embeddings = random_normal(11, 4, 8).requires_grad_();
    const at::Tensor value = loss->compute(embeddings, labels, among);
    const at::Tensor wanted = loss_of_three->compute(embeddings, labels);
    CHECK(value.item<double>() == Approx(wanted.item<double>()));
    CHECK(value.item<double>() != Approx(loss->compute(embeddings, labels).item<double>()));
    value.backward();
    CHECK(is_finite(embeddings.grad()));
    const at::Tensor gradient = loss->parameters()[0].grad();
    CHECK(is_finite(gradient));
    const std::int64_t each = gradient.size(0) / 5;
    CHECK(gradient.narrow(0, 0, 3 * each).abs().sum().item<double>() > 0);
    CHECK(gradient.narrow(0, 3 * each, 2 * each).abs().sum().item<double>() == 0);
  }
  const auto supcon = make_loss(settings_of(Loss::kSupCon));
  const at::Tensor embeddings = random_normal(11, 4, 8);
  CHECK(supcon->compute(embeddings, labels, among).item<double>() ==
        supcon->compute(embeddings, labels).item<double>());
  CHECK_THROWS_WITH(
      make_loss(settings_of(Loss::kArcFace))->compute(embeddings, labels, among.narrow(0, 0, 4)),
      Contains("as Bool [5], not Bool [4]"));
}
