// Tiny model packages, made here.
#pragma once

#include <torch/script.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "encoder/golden.h"
#include "vsearch/encoder.h"
#include "vsearch/image.h"

namespace vsearch_test {

// The mean of each channel, times a weight.
inline constexpr char kMeanColour[] =
    "def encode_image(self, x):\n"
    "    return x.mean([2, 3]) * self.weight\n";

inline nlohmann::json manifest() {
  return {{"format_version", 1},
          {"name", "tiny"},
          {"license", "MIT"},
          {"source", "a test"},
          {"architecture", "mean colour"},
          {"dim", 3},
          {"metric", "cosine"},
          {"input",
           {{"width", 8},
            {"height", 6},
            {"resize", {{"edge", "shortest"}, {"size", 10}, {"interpolation", "bicubic"}}},
            {"crop", "center"},
            {"mean", {0.5, 0.25, 0.125}},
            {"std", {1.0, 0.5, 0.25}},
            {"colour_order", "rgb"}}},
          {"outputs", {{"embedding", 3}}},
          {"text", false},
          {"golden",
           {{{"width", 20}, {"height", 15}, {"seed", 1}, {"embedding", {1, 2, 3}}},
            {{"width", 15}, {"height", 20}, {"seed", 2}, {"embedding", {1, 2, 3}}}}}};
}

inline torch::jit::Module script(const std::string& source) {
  torch::jit::Module module("tiny");
  module.register_parameter("weight", torch::tensor({1.0F, 2.0F, 4.0F}), false);
  module.define(source);
  return module;
}

inline void save_package(const std::filesystem::path& path, const std::string& source,
                         const nlohmann::json& description) {
  script(source).save(path.string(), {{"vsearch.json", description.dump()}});
}

inline vsearch::EncoderOptions unverified() {
  vsearch::EncoderOptions options;
  options.verify = false;
  return options;
}

// `description` with golden pairs that hold what `module` gives.
inline std::filesystem::path save_with_golden_pairs(const std::filesystem::path& path,
                                                    const torch::jit::Module& module,
                                                    nlohmann::json description) {
  for (nlohmann::json& pair : description["golden"]) {
    pair["embedding"] = std::vector<float>(description["dim"].get<std::size_t>(), 1.0F);
  }
  module.save(path.string(), {{"vsearch.json", description.dump()}});
  const auto encoder = vsearch::load_encoder(path, unverified());
  for (nlohmann::json& pair : description["golden"]) {
    const vsearch::Image picture =
        vsearch::encoder::golden_picture(pair["width"], pair["height"], pair["seed"]);
    const vsearch::ImageView view = picture.view();
    pair["embedding"] = encoder->encode({&view, 1}).data;
  }
  module.save(path.string(), {{"vsearch.json", description.dump()}});
  return path;
}

inline std::filesystem::path save_sound_package(const std::filesystem::path& path) {
  return save_with_golden_pairs(path, script(kMeanColour), manifest());
}

// Pictures of different sizes and contents, and views of them.
struct Pictures {
  explicit Pictures(std::size_t count) {
    for (std::uint32_t i = 0; i < count; ++i) {
      images.push_back(vsearch::encoder::golden_picture(12 + 7 * i, 40 - i, i));
    }
    for (const vsearch::Image& image : images) views.push_back(image.view());
  }
  std::vector<vsearch::Image> images;
  std::vector<vsearch::ImageView> views;
};

}  // namespace vsearch_test
