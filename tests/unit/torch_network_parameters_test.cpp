// Which parameters of a network are tuned, by the names of well-known families; and where a tuned
// package may be written.
#include <torch/script.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "support/errors.h"
#include "support/temp_dir.h"
#include "train/network_training.h"
#include "train/whole_file.h"

namespace fs = std::filesystem;
using Catch::Matchers::Contains;
using vsearch::ErrorCode;
using vsearch::TrainDepth;
using vsearch::TrainOptions;
using vsearch::training::TunedParameter;
using vsearch_test::error_message;

namespace {

using Strings = std::vector<std::string>;

// A module with parameters of these names, in this order, each of one number; what is called
// running_mean is a buffer.
torch::jit::Module module_with(const Strings& names) {
  torch::jit::Module module("Module");
  std::vector<std::pair<std::string, Strings>> children;  // in the order in which they come
  for (const std::string& name : names) {
    const std::size_t dot = name.find('.');
    const std::string first = name.substr(0, dot);
    if (dot == std::string::npos) {
      if (name == "running_mean") {
        module.register_buffer(name, torch::zeros({1}));
      } else {
        module.register_parameter(name, torch::zeros({1}), false);
      }
      continue;
    }
    auto child = std::ranges::find(children, first, &std::pair<std::string, Strings>::first);
    if (child == children.end()) child = children.insert(child, {first, {}});
    child->second.push_back(name.substr(dot + 1));
  }
  for (const auto& [name, below] : children) module.register_module(name, module_with(below));
  return module;
}

std::vector<TunedParameter> choose(const Strings& names, TrainDepth depth, std::uint32_t blocks) {
  TrainOptions options;
  options.depth = depth;
  options.blocks = blocks;
  options.layer_decay = 0.5;
  return vsearch::training::choose_parameters(module_with(names), options, "some.vsm.pt", false);
}

Strings partial(const Strings& names, std::uint32_t blocks) {
  Strings chosen;
  for (const TunedParameter& parameter : choose(names, TrainDepth::kPartial, blocks)) {
    chosen.push_back(parameter.name);
  }
  return chosen;
}

// So many blocks below the fastest.
std::map<std::string, int> blocks_below(const Strings& names) {
  std::map<std::string, int> below;
  for (const TunedParameter& parameter : choose(names, TrainDepth::kFull, 1)) {
    below[parameter.name] = static_cast<int>(std::lround(-std::log2(parameter.rate_factor)));
  }
  return below;
}

using Below = std::map<std::string, int>;

}  // namespace

TEST_CASE("blocks of vision transformers are told by their names", "[trainer]") {
  const Strings names{"network.stem.weight",           "network.pre_norm.weight",
                      "network.blocks.0.norm1.weight", "network.blocks.0.mlp.weight",
                      "network.blocks.1.norm1.weight", "network.blocks.1.mlp.experts.7.weight",
                      "network.blocks.2.ln_2.weight",  "network.blocks.2.mlp.weight",
                      "network.norm.weight",           "network.projection.weight"};
  CHECK(partial(names, 1) == Strings{"network.pre_norm.weight", "network.blocks.0.norm1.weight",
                                     "network.blocks.1.norm1.weight",
                                     "network.blocks.2.ln_2.weight", "network.blocks.2.mlp.weight",
                                     "network.norm.weight", "network.projection.weight"});
  CHECK(partial(names, 2).size() == 8);
  CHECK(partial(names, 9).size() == 9);  // all but the stem
  CHECK(blocks_below(names) == Below{{"network.stem.weight", 3},
                                     {"network.pre_norm.weight", 3},
                                     {"network.blocks.0.norm1.weight", 2},
                                     {"network.blocks.0.mlp.weight", 2},
                                     {"network.blocks.1.norm1.weight", 1},
                                     {"network.blocks.1.mlp.experts.7.weight", 1},
                                     {"network.blocks.2.ln_2.weight", 0},
                                     {"network.blocks.2.mlp.weight", 0},
                                     {"network.norm.weight", 0},
                                     {"network.projection.weight", 0}});
}

TEST_CASE("blocks of layers are counted through, as in torchvision's ResNet", "[trainer]") {
  const Strings names{"conv1.weight",          "bn1.weight",
                      "layer1.0.conv1.weight", "layer1.0.bn1.weight",
                      "layer1.1.conv1.weight", "layer2.0.conv1.weight",
                      "layer2.0.bn2.weight",   "layer2.0.downsample.0.weight",
                      "layer2.1.conv1.weight", "fc.weight"};
  CHECK(partial(names, 2) == Strings{"bn1.weight", "layer1.0.bn1.weight", "layer2.0.conv1.weight",
                                     "layer2.0.bn2.weight", "layer2.0.downsample.0.weight",
                                     "layer2.1.conv1.weight", "fc.weight"});
  const Below below = blocks_below(names);
  CHECK(below.at("conv1.weight") == 4);
  CHECK(below.at("layer1.0.conv1.weight") == 3);
  CHECK(below.at("layer1.1.conv1.weight") == 2);
  CHECK(below.at("layer2.0.downsample.0.weight") == 1);
  CHECK(below.at("layer2.1.conv1.weight") == 0);
  CHECK(below.at("fc.weight") == 0);
}

TEST_CASE("the outermost number is the block's, as in torchvision's EfficientNet", "[trainer]") {
  const Strings names{"features.0.0.weight",         "features.0.1.weight",
                      "features.0.1.running_mean",   "features.1.0.block.0.0.weight",
                      "features.1.5.block.3.weight", "features.2.0.weight",
                      "features.2.1.weight",         "features.2.1.running_mean"};
  // features.0.1 is a norm by its buffer alone.
  CHECK(partial(names, 1) ==
        Strings{"features.0.1.weight", "features.2.0.weight", "features.2.1.weight"});
  const Below below = blocks_below(names);
  CHECK(below.at("features.0.0.weight") == 2);
  CHECK(below.at("features.1.0.block.0.0.weight") == 1);
  CHECK(below.at("features.1.5.block.3.weight") == 1);
  CHECK(below.at("features.2.0.weight") == 0);
}

TEST_CASE("a text tower is not tuned and moves no block", "[trainer]") {
  for (const std::string& before : Strings{"", "network."}) {
    INFO(before);
    Strings names{"network.stem.weight", "network.blocks.0.weight", "network.blocks.1.weight",
                  "network.texture.weight"};
    Strings both = names;
    both.insert(both.end(), {"text.blocks.0.norm1.weight", "text.blocks.1.weight",
                             "text.blocks.2.weight", "text_projection.weight"});
    for (std::string& name : names) name.insert(0, before);
    for (std::string& name : both) name.insert(0, before);
    CHECK(blocks_below(both) == blocks_below(names));
    CHECK(partial(both, 1) ==
          Strings{before + "network.blocks.1.weight", before + "network.texture.weight"});
  }
}

TEST_CASE("a network in which nothing can be tuned is told from one without blocks", "[trainer]") {
  const auto refused = [](const Strings& names, TrainDepth depth) {
    return error_message(ErrorCode::kBadModel, [&] { choose(names, depth, 4); });
  };
  CHECK_THAT(refused({}, TrainDepth::kFull), Contains("some.vsm.pt") && Contains("constants"));
  CHECK_THAT(refused({"text.blocks.0.weight"}, TrainDepth::kPartial), Contains("constants"));
  const Strings nameless{"first.weight", "second.weight"};
  CHECK_THAT(refused(nameless, TrainDepth::kPartial), Contains("some.vsm.pt") &&
                                                          Contains("none of its 2 parameters") &&
                                                          Contains("--depth full"));
  CHECK(choose(nameless, TrainDepth::kFull, 4).size() == 2);

  // Known before anything is encoded; a head asks nothing of the network.
  vsearch::encoder::Archive archive;
  archive.module = module_with(nameless);
  TrainOptions options;
  CHECK_NOTHROW(vsearch::training::check_network(archive, options, "some.vsm.pt", false));
  options.depth = TrainDepth::kPartial;
  CHECK_THAT(error_message(
                 ErrorCode::kBadModel,
                 [&] { vsearch::training::check_network(archive, options, "some.vsm.pt", false); }),
             Contains("none of its 2 parameters"));
}

TEST_CASE("a place that cannot be written to is known before", "[trainer]") {
  const vsearch_test::TempDir dir;
  const auto refused = [](ErrorCode code, const fs::path& path) {
    return error_message(code, [&] { vsearch::training::check_writable(path); });
  };
  CHECK_THAT(refused(ErrorCode::kInvalidArgument, dir.path()), Contains("a folder; name a file"));
  CHECK_THAT(refused(ErrorCode::kIo, dir / "nowhere" / "tuned.vsm.pt"),
             Contains("tuned.vsm.pt cannot be written"));
  vsearch::training::replace_file(dir / "tuned.vsm.pt", "before");
  vsearch::training::check_writable(dir / "tuned.vsm.pt");
  CHECK(fs::file_size(dir / "tuned.vsm.pt") == 6);
  CHECK_FALSE(fs::exists(dir / "tuned.vsm.pt.unfinished"));
}
