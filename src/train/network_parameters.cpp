// Which parameters of a network are learned, and how fast.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <string_view>

#include "encoder/torch_archive.h"
#include "train/low_rank.h"
#include "train/network_training.h"
#include "vsearch/error.h"

namespace vsearch::training {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::vector<std::string_view> parts_of(std::string_view name) {
  std::vector<std::string_view> parts;
  for (std::size_t begin = 0; begin <= name.size();) {
    const std::size_t end = std::min(name.find('.', begin), name.size());
    parts.push_back(name.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

// Of the module that holds it: "norm" of "norm.weight".
std::string_view holder_of(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  return dot == std::string_view::npos ? std::string_view() : name.substr(0, dot);
}

// "network.blocks.11" of "network.blocks.11.experts.2.weight"; empty where no module is a number.
std::string_view block_path(std::string_view name) {
  for (const std::string_view part : parts_of(holder_of(name))) {
    if (!part.empty() && std::ranges::all_of(part, is_digit)) {
      return name.substr(0, static_cast<std::size_t>(part.data() - name.data()) + part.size());
    }
  }
  return {};
}

// norm1, pre_norm, LayerNorm, bn2, ln_post
bool is_norm_part(std::string_view part) {
  std::string lower(part);
  std::ranges::transform(lower, lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  if (lower.find("norm") != std::string::npos) return true;
  if (!lower.starts_with("bn") && !lower.starts_with("ln")) return false;
  return lower.size() == 2 || lower[2] == '_' || is_digit(lower[2]);
}

// The exporter names a text tower "text", other programs "text_model", "text_projection"; a head
// puts "network" before. encode_image() gives it no gradient.
bool is_of_text_tower(std::string_view name) {
  for (const std::string_view part : parts_of(name)) {
    if (part == "network") continue;
    return part == "text" || part.starts_with("text_");
  }
  return false;
}

// Those of heads that words go through, too: they stay as they are, as the text tower does. A head
// is a module around the network; a text tower beside the network is behind no head within.
std::set<std::string> parameters_of_shared_heads(const torch::jit::Module& network) {
  std::set<std::string> names;
  std::string path;
  torch::jit::Module level = network;
  while (level.hasattr("network") && level.find_method("encode_text") && !level.hasattr("text")) {
    for (const auto& own : level.named_parameters(false)) names.insert(path + own.name);
    level = level.attr("network").toModule();
    path += "network.";
  }
  return names;
}

struct Candidate {
  std::string name;
  at::Tensor value;
  std::optional<std::size_t> block;
  std::size_t blocks_seen = 0;  // up to it, its own too
  bool is_norm = false;
};

// What of the network encode_image() can give a gradient, in its order.
std::vector<Candidate> candidates_of(const torch::jit::Module& network, bool has_words) {
  std::set<std::string, std::less<>> batch_norms;  // traced ones may be called by a number alone
  for (const auto& buffer : network.named_buffers()) {
    if (buffer.name.ends_with(".running_mean")) batch_norms.emplace(holder_of(buffer.name));
  }
  std::vector<Candidate> candidates;
  std::map<std::string, std::size_t, std::less<>> blocks;
  const std::set<std::string> shared =
      has_words ? parameters_of_shared_heads(network) : std::set<std::string>();
  for (const auto& parameter : network.named_parameters()) {
    const std::string& name = parameter.name;
    if (!parameter.value.is_floating_point() || is_of_text_tower(name)) continue;
    if (shared.contains(name)) continue;
    Candidate candidate{name, parameter.value, {}, 0, false};
    if (const std::string_view path = block_path(name); !path.empty()) {
      candidate.block = blocks.emplace(path, blocks.size()).first->second;
    }
    candidate.blocks_seen = blocks.size();
    candidate.is_norm =
        std::ranges::any_of(parts_of(name), is_norm_part) || batch_norms.contains(holder_of(name));
    candidates.push_back(std::move(candidate));
  }
  return candidates;
}

}  // namespace

std::vector<TunedParameter> choose_parameters(const torch::jit::Module& network,
                                              const TrainOptions& options, const std::string& path,
                                              bool has_words) {
  const std::vector<Candidate> candidates = candidates_of(network, has_words);
  if (candidates.empty()) {
    throw Error(
        ErrorCode::kBadModel,
        fmt::format("{}: its weights are constants of the graph, so that nothing can be "
                    "tuned but a head behind it (--depth head); {} without torch.jit.freeze",
                    path, encoder::kExportRemedy));
  }
  const std::size_t blocks = candidates.back().blocks_seen;
  const bool is_partial = options.depth == TrainDepth::kPartial;
  const std::size_t first = is_partial && blocks > options.blocks ? blocks - options.blocks : 0;
  std::vector<TunedParameter> chosen;
  for (const Candidate& candidate : candidates) {
    if (is_partial && !candidate.is_norm) {
      const bool is_past_blocks = blocks > 0 && candidate.blocks_seen == blocks;
      if (candidate.block ? *candidate.block < first : !is_past_blocks) continue;
    }
    // How many blocks further towards the end it would have to stand to learn at the full rate.
    const std::size_t from_end =
        candidate.block ? blocks - 1 - *candidate.block : blocks - candidate.blocks_seen;
    chosen.push_back({candidate.name, candidate.value,
                      std::pow(options.layer_decay, static_cast<double>(from_end))});
  }
  if (chosen.empty()) {
    throw Error(ErrorCode::kBadModel,
                fmt::format("{}: none of its {} parameters is named as one of a block or a norm "
                            "(as \"blocks.11.mlp.weight\" is), so that its last blocks cannot be "
                            "told; take --depth full or --depth head",
                            path, candidates.size()));
  }
  return chosen;
}

std::uint64_t image_parameter_count(const torch::jit::Module& network) {
  std::uint64_t count = 0;
  constexpr bool kHasWords = false;  // heads count
  for (const Candidate& candidate : candidates_of(network, kHasWords)) {
    count += static_cast<std::uint64_t>(candidate.value.numel());
  }
  return count;
}

void check_network(const encoder::Archive& archive, const TrainOptions& options,
                   const std::string& path, bool has_words) {
  if (options.depth == TrainDepth::kHead) return;
  const std::vector<TunedParameter> chosen =
      choose_parameters(archive.module, options, path, has_words);
  const std::uint32_t highest = highest_rank(chosen);
  if (options.lora_rank <= highest) return;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("{}: lora_rank is {}; no matrix of it is large enough to have an adapter "
                          "of a rank above {}",
                          path, options.lora_rank, highest));
}

}  // namespace vsearch::training
