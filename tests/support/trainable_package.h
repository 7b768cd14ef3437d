// A small network that training can change, and pictures it can learn from.
#pragma once

#include <torch/script.h>

#include <cmath>
#include <filesystem>
#include <string>

#include "support/bmp.h"
#include "support/temp_dir.h"
#include "support/torch_package.h"
#include "vsearch/dataset.h"

namespace vsearch_test {

inline constexpr char kBlocks[] =
    "def encode_image(self, x):\n"
    "    x = x.reshape([x.size(0), 3, 2, 3, 2, 4]).mean([3, 5]).flatten(1)\n"
    "    return self.norm.encode(self.blocks.encode(self.stem.encode(x)))\n";

inline torch::jit::Module linear(const std::string& name, std::int64_t in, std::int64_t out,
                                 const std::string& formula) {
  torch::jit::Module module(name);
  module.register_parameter("weight", torch::randn({out, in}) / std::sqrt(in), false);
  module.register_parameter("bias", torch::zeros({out}), false);
  module.define("def encode(self, x):\n    return " + formula + "\n");
  return module;
}

// Means of the four quarters through stem, blocks.0, blocks.1, norm: 12 numbers to 8. Its
// parameters are named as those of a ViT are.
inline torch::jit::Module network_of_blocks() {
  torch::manual_seed(3);
  torch::jit::Module blocks("Blocks");
  const std::string step = "x + torch.tanh(torch.linear(x, self.weight, self.bias))";
  blocks.register_module("0", linear("Block0", 16, 16, step));
  blocks.register_module("1", linear("Block1", 16, 16, step));
  blocks.define(
      "def encode(self, x):\n"
      "    return getattr(self, '1').encode(getattr(self, '0').encode(x))\n");
  torch::jit::Module network("Network");
  network.register_module("stem",
                          linear("Stem", 12, 16, "torch.linear(x, self.weight, self.bias)"));
  network.register_module("blocks", blocks);
  network.register_module("norm", linear("Norm", 16, 8, "torch.linear(x, self.weight, self.bias)"));
  network.define(kBlocks);
  return network;
}

inline std::filesystem::path save_trainable_package(const std::filesystem::path& path) {
  const torch::jit::Module network = network_of_blocks();
  nlohmann::json description = manifest();
  description["dim"] = 8;
  description["outputs"] = {{"embedding", 8}};
  return save_with_golden_pairs(path, network, description);
}

// A folder of classes, 24 by 20 pixels. A class is where the bright quarter lies and whether it is
// greenish; what differs within a class, and by far more, is how bright everything is.
inline vsearch::Dataset bright_quarters(const TempDir& folder, std::uint32_t classes,
                                        std::uint32_t pictures_of_each) {
  for (std::uint32_t c = 0; c < classes; ++c) {
    const std::filesystem::path place = folder / ("class-" + std::to_string(c));
    std::filesystem::create_directories(place);
    for (std::uint32_t i = 0; i < pictures_of_each; ++i) {
      const std::uint32_t base = 20 + (i * 67 + c * 31) % 150;
      write_file(place / (std::to_string(i) + ".bmp"),
                 bmp(24, 20, [=](std::uint32_t x, std::uint32_t y) {
                   const bool is_here = (x / 12 + 2 * (y / 10)) == c % 4;
                   const auto noise = (x * 7 + y * 13 + i * 29) % 11;
                   const auto shade = static_cast<std::uint8_t>(base + noise + (is_here ? 30 : 0));
                   const auto green = static_cast<std::uint8_t>(shade + (c / 4 * 14) % 50);
                   return Rgb{shade, green, shade};
                 }));
    }
  }
  return vsearch::load_dataset("folder", folder.path());
}

}  // namespace vsearch_test
