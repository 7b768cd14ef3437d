// Fresh students: what their CONFIG says, what is made of it, and what goes over from the teacher.
#include "train/vit_student.h"

#include <torch/script.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "encoder/manifest.h"
#include "support/errors.h"
#include "support/torch_package.h"

using Catch::Matchers::Contains;
using nlohmann::json;
using vsearch::ErrorCode;
using vsearch::training::is_vit_config;
using vsearch::training::make_vit_student;
using vsearch::training::parse_vit_config;
using vsearch::training::VitConfig;

namespace {

std::string config_fault(const std::string& text) {
  return vsearch_test::error_message(ErrorCode::kInvalidArgument, [&] { parse_vit_config(text); });
}

vsearch::encoder::Archive teacher_of(const json& description) {
  vsearch::encoder::Archive teacher;
  teacher.module = vsearch_test::script(vsearch_test::kMeanColour);
  teacher.manifest = description.dump();
  return teacher;
}

// The student's input for a teacher whose manifest has this resize.
json input_for(const json& resize, const std::string& crop) {
  json description = vsearch_test::manifest();
  description["input"]["resize"] = resize;
  description["input"]["crop"] = crop;
  if (resize["edge"] == "none") {
    for (json& pair : description["golden"]) {
      pair["width"] = 8;
      pair["height"] = 6;
    }
  }
  const auto student = make_vit_student(
      parse_vit_config("vit:width=8,depth=1,heads=1,patch=8,size=24"), teacher_of(description), 1);
  vsearch::encoder::parse_manifest(student.manifest, "student");  // it can be followed
  return json::parse(student.manifest)["input"];
}

}  // namespace

TEST_CASE("a CONFIG says what differs from the usual student", "[distillation]") {
  CHECK(is_vit_config("vit"));
  CHECK(is_vit_config("vit:depth=2"));
  CHECK_FALSE(is_vit_config("vit.vsm.pt"));
  CHECK_FALSE(is_vit_config("vitamin"));
  CHECK(to_string(parse_vit_config("vit")) == "vit:width=128,depth=12,heads=4,patch=16,size=128");
  CHECK(to_string(parse_vit_config("vit:size=96,dim=64,width=192,heads=3")) ==
        "vit:width=192,depth=12,heads=3,patch=16,size=96,dim=64");
}

TEST_CASE("a CONFIG that cannot be is named with the remedy", "[distillation]") {
  CHECK_THAT(config_fault("vit:widht=128"),
             Contains("no 'widht', but width, depth, heads, patch, size, dim"));
  CHECK_THAT(config_fault("vit:width"), Contains("width is '', not a whole number from 8 to 4096"));
  CHECK_THAT(config_fault("vit:width=12.5"), Contains("width is '12.5'"));
  CHECK_THAT(config_fault("vit:depth=0"), Contains("depth is '0', not a whole number from 1"));
  CHECK_THAT(config_fault("vit:depth=-1"), Contains("depth is '-1'"));
  CHECK_THAT(config_fault("vit:dim=99999999999"), Contains("dim is '99999999999'"));
  CHECK_THAT(config_fault("vit:depth=2,depth=3"), Contains("depth is given twice"));
  CHECK_THAT(config_fault("vit:"), Contains("nothing follows the colon"));
  CHECK_THAT(config_fault("vit:depth=2,"), Contains("nothing follows the last comma"));
  CHECK_THAT(config_fault("vit:,depth=2"), Contains("no ''"));
  CHECK_THAT(config_fault("vit:width=130"),
             Contains("width is 130, no multiple of heads, which is 4; 128 or 132 would be"));
  CHECK_THAT(config_fault("vit:size=100"),
             Contains("size is 100, no multiple of patch, which is 16; 96 or 112 would be"));
  CHECK_THAT(config_fault("vit:size=8"),
             Contains("16 would be") && Contains("give something like"));
}

TEST_CASE("the usual student has 2.5 million parameters and gives what it says", "[distillation]") {
  const auto student =
      make_vit_student(parse_vit_config("vit"), teacher_of(vsearch_test::manifest()), 1);
  std::int64_t count = 0;
  std::map<std::string, at::Tensor> weights;
  for (const auto& [name, value] : student.module.named_parameters()) {
    count += value.numel();
    weights[name] = value;
  }
  constexpr std::int64_t kBlock = 12 * 128 * 128 + 13 * 128;  // maps, biases, two norms
  CHECK(count == 12 * kBlock + (3 * 16 * 16 + 1) * 128 + 64 * 128 + 2 * 128 + 3 * 128);
  CHECK(weights.at("network.blocks.11.attention.qkv.weight").sizes() ==
        at::IntArrayRef({384, 128}));
  CHECK(weights.at("network.blocks.0.norm1.weight").eq(1).all().item<bool>());
  CHECK(weights.at("network.blocks.0.mlp.fc1.bias").eq(0).all().item<bool>());
  const at::Tensor& drawn = weights.at("network.blocks.3.mlp.fc1.weight");
  CHECK(drawn.abs().max().item<double>() <= 0.0401);
  // A normal distribution that is cut at two deviations has 0.88 of its deviation.
  CHECK(drawn.std().item<double>() == Approx(0.02 * 0.8796).epsilon(0.02));
  CHECK(weights.at("network.patch.weight").std().item<double>() ==
        Approx(0.8796 / std::sqrt(768)).epsilon(0.02));
  CHECK_FALSE(at::equal(drawn, weights.at("network.blocks.4.mlp.fc1.weight")));

  const at::NoGradGuard no_gradients;
  const at::Tensor pixels = at::randn({3, 3, 128, 128});
  const auto call = [&](const char* method, const at::Tensor& input) {
    return student.module.get_method(method)({input}).toTensor();
  };
  CHECK(call("encode_image", pixels).sizes() == at::IntArrayRef({3, 3}));
  CHECK(call("encode_tokens", pixels).sizes() == at::IntArrayRef({3, 64, 128}));
  CHECK(at::equal(call("encode_image", pixels), call("forward", pixels)));
  CHECK(at::allclose(call("encode_image", pixels.narrow(0, 1, 1)),
                     call("encode_image", pixels).narrow(0, 1, 1), 1e-4, 1e-5));
}

TEST_CASE("a seed draws the same student, another another", "[distillation]") {
  const auto weight = [](std::uint64_t seed) {
    const auto student =
        make_vit_student(parse_vit_config("vit:width=8,depth=1,heads=1,patch=8,size=8"),
                         teacher_of(vsearch_test::manifest()), seed);
    return student.module.attr("network").toModule().attr("positions").toTensor();
  };
  CHECK(at::equal(weight(1), weight(1)));
  CHECK_FALSE(at::equal(weight(1), weight(2)));
}

TEST_CASE("a network like the exporter's gives the same embeddings", "[distillation]") {
  // The formulas of export/vit.py once more, over the drawn weights.
  const auto student =
      make_vit_student(parse_vit_config("vit:width=12,depth=2,heads=3,patch=4,size=8"),
                       teacher_of(vsearch_test::manifest()), 3);
  const at::NoGradGuard no_gradients;
  std::map<std::string, at::Tensor> w;
  for (const auto& [name, value] : student.module.named_parameters()) {
    at::Tensor drawn = value;
    if (name.ends_with("bias")) drawn.normal_(0, 0.1);
    w[name.substr(8)] = drawn;  // without "network."
  }
  const at::Tensor pixels = at::randn({2, 3, 8, 8});
  const auto linear = [&](const at::Tensor& x, const std::string& name) {
    return at::matmul(x, w.at(name + ".weight").t()) + w.at(name + ".bias");
  };
  const auto norm = [&](const at::Tensor& x, const std::string& name) {
    const at::Tensor centred = x - x.mean(-1, true);
    return centred / (centred.square().mean(-1, true) + 1e-6).sqrt() * w.at(name + ".weight") +
           w.at(name + ".bias");
  };
  at::Tensor x = at::empty({2, 4, 12});
  for (std::int64_t i = 0; i < 4; ++i) {
    const at::Tensor patch = pixels.narrow(2, i / 2 * 4, 4).narrow(3, i % 2 * 4, 4).flatten(1);
    x.select(1, i) = at::matmul(patch, w.at("patch.weight").flatten(1).t()) + w.at("patch.bias");
  }
  x = x + w.at("positions");
  for (const std::string block : {"blocks.0.", "blocks.1."}) {
    const at::Tensor qkv = linear(norm(x, block + "norm1"), block + "attention.qkv");
    std::vector<at::Tensor> heads;
    for (std::int64_t head = 0; head < 3; ++head) {
      const auto part = [&](std::int64_t which) { return qkv.narrow(2, which * 12 + head * 4, 4); };
      const at::Tensor scores = at::matmul(part(0), part(1).transpose(1, 2)) / 2.0;
      heads.push_back(at::matmul(scores.softmax(-1), part(2)));
    }
    x = x + linear(at::cat(heads, 2), block + "attention.out");
    const at::Tensor hidden = linear(norm(x, block + "norm2"), block + "mlp.fc1");
    const at::Tensor active = 0.5 * hidden * (1 + (hidden / std::sqrt(2.0)).erf());
    x = x + linear(active, block + "mlp.fc2");
  }
  const at::Tensor expected = at::matmul(norm(x, "norm").mean(1), w.at("projection.weight").t());
  const at::Tensor given = student.module.get_method("encode_image")({pixels}).toTensor();
  CHECK(at::allclose(given, expected, 1e-4, 1e-6));
}

TEST_CASE("a student's pictures are prepared as the teacher's, in its size", "[distillation]") {
  // The teacher takes 8 x 6.
  json input =
      input_for({{"edge", "shortest"}, {"size", 10}, {"interpolation", "bicubic"}}, "center");
  CHECK(input["width"] == 24);
  CHECK(input["height"] == 24);
  CHECK(input["resize"] ==
        json({{"edge", "shortest"}, {"size", 40}, {"interpolation", "bicubic"}}));
  CHECK(input["mean"] == json({0.5, 0.25, 0.125}));
  CHECK(input["std"] == json({1.0, 0.5, 0.25}));
  input = input_for({{"edge", "stretch"}, {"size", {6, 8}}, {"interpolation", "bilinear"}}, "none");
  CHECK(input["resize"]["size"] == json({24, 24}));
  CHECK(input["resize"]["interpolation"] == "bilinear");
  input =
      input_for({{"edge", "stretch"}, {"size", {9, 10}}, {"interpolation", "bicubic"}}, "center");
  CHECK(input["resize"]["size"] == json({36, 30}));
  input = input_for({{"edge", "none"}}, "none");
  CHECK(input["resize"]["edge"] == "stretch");
}

TEST_CASE("the teacher's words go with a student of its dimension", "[distillation]") {
  torch::jit::Module text("Text");
  text.register_parameter("table", at::arange(30, at::kFloat).reshape({10, 3}), false);
  text.define(
      "def forward(self, texts: List[str]):\n"
      "    rows: List[Tensor] = []\n"
      "    for text in texts:\n"
      "        rows.append(self.table[len(text)])\n"
      "    return torch.stack(rows)\n");
  json description = vsearch_test::manifest();
  description["text"] = true;
  description["golden_text"] = {{{"text", "mug"}, {"embedding", {9, 10, 11}}}};
  vsearch::encoder::Archive teacher = teacher_of(description);
  const std::string small = "vit:width=8,depth=1,heads=1,patch=8,size=8";
  const auto has_text = [&](const std::string& config) {
    const auto student = make_vit_student(parse_vit_config(config), teacher, 1);
    const auto manifest = vsearch::encoder::parse_manifest(student.manifest, "student");
    CHECK(manifest.info.has_text == student.module.find_method("encode_text").has_value());
    return manifest.info.has_text;
  };
  CHECK_FALSE(has_text(small));  // words, but not of the exporter's make
  teacher.module.register_module("text", text);
  CHECK(has_text(small));
  CHECK_FALSE(has_text(small + ",dim=4"));

  const auto student = make_vit_student(parse_vit_config(small), teacher, 1);
  const c10::List<std::string> words({"mug", "cup of"});
  const at::Tensor rows = student.module.get_method("encode_text")({words}).toTensor();
  CHECK(at::equal(rows, at::tensor({9.0F, 10.0F, 11.0F, 18.0F, 19.0F, 20.0F}).view({2, 3})));
}
