#include "train/vit_student.h"

#include <fmt/format.h>
#include <torch/script.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "encoder/golden.h"
#include "encoder/manifest.h"
#include "eval/seeded.h"
#include "train/sampler.h"
#include "vsearch/error.h"

namespace vsearch::training {
namespace {

using Json = nlohmann::json;
using torch::jit::Module;

constexpr std::string_view kVit = "vit";
constexpr std::int64_t kHiddenFactor = 4;  // of the perceptron in a block
constexpr double kLinearDeviation = 0.02;

struct VitWord {
  std::string_view name;
  std::uint32_t VitConfig::*value;
  std::uint32_t least;
  std::uint32_t most;
};
constexpr std::array<VitWord, 6> kVitWords{{{"width", &VitConfig::width, 8, 4096},
                                            {"depth", &VitConfig::depth, 1, 64},
                                            {"heads", &VitConfig::heads, 1, 64},
                                            {"patch", &VitConfig::patch, 2, 128},
                                            {"size", &VitConfig::size, 8, 1024},
                                            {"dim", &VitConfig::dim, 1, 8192}}};

[[noreturn]] void refuse_config(std::string_view text, const std::string& fault) {
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("the student '{}': {}; give something like "
                          "vit:width=128,depth=12,heads=4,patch=16,size=128",
                          text, fault));
}

// The nearest multiple of `divisor` below and above, as a remedy.
void check_divides(std::string_view text, std::string_view what, std::uint32_t value,
                   std::string_view divisor_name, std::uint32_t divisor) {
  if (value % divisor == 0) return;
  const std::uint32_t below = value / divisor * divisor;
  const std::string remedy =
      below > 0 ? fmt::format("{} or {}", below, below + divisor) : std::to_string(divisor);
  refuse_config(text, fmt::format("{} is {}, no multiple of {}, which is {}; {} would be", what,
                                  value, divisor_name, divisor, remedy));
}

// A module that is made here is no callable, so that its method is named.
constexpr char kLinearScript[] = R"(
def forward(self, x: Tensor) -> Tensor:
    return torch.linear(x, self.weight, self.bias)
)";
constexpr char kProjectionScript[] = R"(
def forward(self, x: Tensor) -> Tensor:
    return torch.linear(x, self.weight)
)";
constexpr char kNormScript[] = R"(
def forward(self, x: Tensor) -> Tensor:
    return torch.layer_norm(x, [x.size(-1)], self.weight, self.bias, 1e-6)
)";
constexpr char kPatchScript[] = R"(
def forward(self, pixels: Tensor) -> Tensor:
    return torch.conv2d(pixels, self.weight, self.bias, [{0}, {0}])
)";
constexpr char kAttentionScript[] = R"(
def forward(self, x: Tensor) -> Tensor:
    batch, count, width = x.size(0), x.size(1), x.size(2)
    split = self.qkv.forward(x).reshape([batch, count, 3, {0}, width // {0}])
    q, k, v = split.permute([2, 0, 3, 1, 4]).unbind(0)
    mixed = torch.scaled_dot_product_attention(q, k, v)
    return self.out.forward(mixed.transpose(1, 2).reshape([batch, count, width]))
)";
constexpr char kMlpScript[] = R"(
def forward(self, x: Tensor) -> Tensor:
    return self.fc2.forward(torch.gelu(self.fc1.forward(x)))
)";
constexpr char kBlockScript[] = R"(
def forward(self, x: Tensor) -> Tensor:
    x = x + self.attention.forward(self.norm1.forward(x))
    return x + self.mlp.forward(self.norm2.forward(x))
)";
constexpr char kNetworkScript[] = R"(
def tokens(self, pixels: Tensor) -> Tensor:
    patches = self.patch.forward(pixels).flatten(2).transpose(1, 2)
    return self.norm.forward(self.blocks.forward(patches + self.positions))
def forward(self, pixels: Tensor) -> Tensor:
    return self.projection.forward(self.tokens(pixels).mean([1]))
)";
constexpr char kStudentScript[] = R"(
def encode_image(self, pixels: Tensor) -> Tensor:
    return self.network.forward(pixels)
def encode_tokens(self, pixels: Tensor) -> Tensor:
    return self.network.tokens(pixels)
def forward(self, pixels: Tensor) -> Tensor:
    return self.network.forward(pixels)
)";
// The exporter's towers are called; those of train_text() have a method.
constexpr char kStudentTextScript[] = R"(
def encode_text(self, texts: List[str]) -> Tensor:
    return self.text.{}(texts)
)";

// With a weight of this shape and, if it has `outputs`, a bias: all 0.
Module weighted(const char* name, std::vector<std::int64_t> shape, std::int64_t outputs,
                const std::string& source) {
  Module module(name);
  module.register_parameter("weight", at::zeros(shape), false);
  if (outputs > 0) module.register_parameter("bias", at::zeros({outputs}), false);
  module.define(source);
  return module;
}

Module vit_linear(const char* name, std::int64_t in, std::int64_t out) {
  return weighted(name, {out, in}, out, kLinearScript);
}

Module vit_norm(const char* name, std::int64_t width) {
  return weighted(name, {width}, width, kNormScript);
}

Module vit_block(const VitConfig& config) {
  const std::int64_t width = config.width;
  Module attention("Attention");
  attention.register_module("qkv", vit_linear("Qkv", width, 3 * width));
  attention.register_module("out", vit_linear("Out", width, width));
  attention.define(fmt::format(kAttentionScript, config.heads));
  Module mlp("Mlp");
  mlp.register_module("fc1", vit_linear("Fc1", width, kHiddenFactor * width));
  mlp.register_module("fc2", vit_linear("Fc2", kHiddenFactor * width, width));
  mlp.define(kMlpScript);
  Module block("Block");
  block.register_module("norm1", vit_norm("Norm1", width));
  block.register_module("attention", attention);
  block.register_module("norm2", vit_norm("Norm2", width));
  block.register_module("mlp", mlp);
  block.define(kBlockScript);
  return block;
}

// Copies of one block, which share its script.
Module vit_blocks(const VitConfig& config) {
  const Module block = vit_block(config);
  Module blocks("Blocks");
  std::string source = "def forward(self, x: Tensor) -> Tensor:\n";
  for (std::uint32_t i = 0; i < config.depth; ++i) {
    blocks.register_module(std::to_string(i), block.deepcopy());
    source += fmt::format("    x = getattr(self, '{}').forward(x)\n", i);
  }
  blocks.define(source + "    return x\n");
  return blocks;
}

Module vit_network(const VitConfig& config) {
  const std::int64_t width = config.width;
  const std::int64_t patch = config.patch;
  const std::int64_t side = config.size / config.patch;
  Module network("VisionTransformer");
  network.register_module("patch", weighted("Patch", {width, 3, patch, patch}, width,
                                            fmt::format(kPatchScript, config.patch)));
  network.register_parameter("positions", at::zeros({side * side, width}), false);
  network.register_module("blocks", vit_blocks(config));
  network.register_module("norm", vit_norm("Norm", width));
  network.register_module("projection",
                          weighted("Projection", {config.dim, width}, 0, kProjectionScript));
  network.define(kNetworkScript);
  return network;
}

void draw_normal(at::Tensor& values, double deviation, std::uint64_t seed) {
  eval::Seeded random(seed);
  constexpr float kCut = 2.0F;  // deviations
  float* const data = values.data_ptr<float>();
  for (std::int64_t i = 0; i < values.numel(); ++i) {
    float value = random.normal();
    while (std::abs(value) > kCut) value = random.normal();
    data[i] = value * static_cast<float>(deviation);
  }
}

void draw_weights(const Module& network, std::uint64_t seed) {
  const at::NoGradGuard no_gradients;
  std::uint64_t number = 0;
  for (const auto& parameter : network.named_parameters()) {
    at::Tensor value = parameter.value;
    const std::uint64_t own_seed = derived_seed(seed, number++);
    if (parameter.name.ends_with("bias")) continue;  // 0 from the beginning
    if (value.dim() == 1) {
      value.fill_(1);  // a norm
    } else if (value.dim() == 4) {
      const auto inputs = static_cast<double>(value.numel() / value.size(0));
      draw_normal(value, 1 / std::sqrt(inputs), own_seed);
    } else {
      draw_normal(value, kLinearDeviation, own_seed);
    }
  }
}

struct TextTower {
  Module module;
  std::string method;  // what encode_text() is
};

// What the exporter and train_text() call "text", or nothing.
std::optional<TextTower> text_tower_of(const encoder::Archive& teacher, const EncoderInfo& info) {
  if (!info.has_text || !teacher.module.hasattr("text")) return std::nullopt;
  const c10::IValue tower = teacher.module.attr("text");
  if (!tower.isModule()) return std::nullopt;
  for (const char* const method : {"encode_text", "forward"}) {
    if (tower.toModule().find_method(method)) return TextTower{tower.toModule(), method};
  }
  return std::nullopt;
}

std::uint32_t scaled(std::uint32_t px, std::uint32_t from, std::uint32_t to) {
  return std::max(to, static_cast<std::uint32_t>((std::uint64_t{px} * to + from / 2) / from));
}

// The teacher's "input" in the student's size.
Json student_input(Json input, const Preprocessing& teacher, std::uint32_t size) {
  input["width"] = size;
  input["height"] = size;
  Json& resize = input["resize"];
  switch (teacher.resize_edge) {
    case ResizeEdge::kShortest:
      resize["size"] =
          scaled(teacher.resize_height_px, std::min(teacher.width_px, teacher.height_px), size);
      break;
    case ResizeEdge::kStretch:
      resize["size"] = {scaled(teacher.resize_height_px, teacher.height_px, size),
                        scaled(teacher.resize_width_px, teacher.width_px, size)};
      break;
    case ResizeEdge::kNone:
      resize = {{"edge", "stretch"}, {"size", {size, size}}, {"interpolation", "bicubic"}};
      input["crop"] = "none";
      break;
  }
  return input;
}

Json student_manifest(const VitConfig& config, const encoder::Archive& teacher,
                      const encoder::Manifest& taught, bool has_text) {
  const Json of_teacher = Json::parse(teacher.manifest);
  Json manifest = {
      {"format_version", of_teacher["format_version"]},
      {"name", "student"},
      {"license", taught.info.license},
      {"source", fmt::format("learned from {}", taught.info.name)},
      {"architecture",
       fmt::format("vit patch{} heads{} gelu eps1e-06 mean projected", config.patch, config.heads)},
      {"dim", config.dim},
      {"metric", "cosine"},
      {"input", student_input(of_teacher["input"], taught.info.preprocessing, config.size)},
      {"outputs", {{"embedding", config.dim}, {"tokens", config.width}}},
      {"text", has_text}};
  const std::vector<float> any(config.dim, 1.0F);
  for (const std::uint64_t seed : {1U, 2U}) {
    manifest["golden"].push_back(
        {{"width", config.size}, {"height", config.size}, {"seed", seed}, {"embedding", any}});
  }
  if (has_text) manifest["golden_text"] = of_teacher["golden_text"];
  return manifest;
}

}  // namespace

bool is_vit_config(std::string_view student) {
  return student == kVit || student.starts_with("vit:");
}

VitConfig parse_vit_config(std::string_view text) {
  VitConfig config;
  std::vector<std::string_view> given;
  std::string_view rest = text.substr(std::min(text.size(), kVit.size() + 1));
  if (rest.empty() && text != kVit) refuse_config(text, "nothing follows the colon");
  while (!rest.empty()) {
    const std::string_view word = rest.substr(0, rest.find(','));
    if (word.size() + 1 == rest.size()) refuse_config(text, "nothing follows the last comma");
    rest.remove_prefix(std::min(rest.size(), word.size() + 1));
    const std::size_t sign = word.find('=');
    const std::string_view name = word.substr(0, sign);
    const auto* const known = std::ranges::find(kVitWords, name, &VitWord::name);
    if (known == kVitWords.end()) {
      refuse_config(
          text, fmt::format("there is no '{}', but width, depth, heads, patch, size, dim", name));
    }
    if (std::ranges::find(given, name) != given.end()) {
      refuse_config(text, fmt::format("{} is given twice", name));
    }
    given.push_back(name);
    const std::string_view number =
        sign == std::string_view::npos ? std::string_view() : word.substr(sign + 1);
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
    if (error != std::errc() || end != number.data() + number.size() || value < known->least ||
        value > known->most) {
      refuse_config(text, fmt::format("{} is '{}', not a whole number from {} to {}", name, number,
                                      known->least, known->most));
    }
    config.*known->value = value;
  }
  check_divides(text, "width", config.width, "heads", config.heads);
  check_divides(text, "size", config.size, "patch", config.patch);
  return config;
}

std::string to_string(const VitConfig& config) {
  std::string text = "vit";
  for (const VitWord& word : kVitWords) {
    if (const std::uint32_t value = config.*word.value; value > 0) {
      text += fmt::format("{}{}={}", text == kVit ? ":" : ",", word.name, value);
    }
  }
  return text;
}

encoder::Archive make_vit_student(const VitConfig& config, const encoder::Archive& teacher,
                                  std::uint64_t seed) {
  const encoder::Manifest taught = encoder::parse_manifest(teacher.manifest, "the teacher");
  VitConfig whole = config;
  if (whole.dim == 0) whole.dim = taught.info.dim;
  std::optional<TextTower> text;
  if (whole.dim == taught.info.dim) text = text_tower_of(teacher, taught.info);

  const Module network = vit_network(whole);
  draw_weights(network, seed);
  encoder::Archive student;
  student.module = Module("Student");
  student.module.register_module("network", network);
  student.module.define(kStudentScript);
  if (text) {
    student.module.register_module("text", text->module);
    student.module.define(fmt::format(kStudentTextScript, text->method));
  }
  student.module.eval();
  student.manifest = student_manifest(whole, teacher, taught, text.has_value()).dump();
  return student;
}

}  // namespace vsearch::training
