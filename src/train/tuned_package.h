// The package that training makes: the start's script over other weights, with a linear map behind
// it if one was learned.
#pragma once

#include <torch/script.h>

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "encoder/torch_archive.h"
#include "train/whole_file.h"  // check_writable(), before a model is tuned

namespace vsearch::training {

// Beside a head's linear map, of x with length 1: back · relu(weight · x + bias).
struct HiddenUnits {
  at::Tensor weight;  // float32 [units, dim before]
  at::Tensor bias;    // float32 [units]
  at::Tensor back;    // float32 [dim, units]
};

// What stands behind a network: y = weight · x / |x| + bias, and what hidden units add.
struct Head {
  at::Tensor weight;  // float32 [dim, dim before]
  at::Tensor bias;    // float32 [dim]
  std::optional<HiddenUnits> hidden{};
};

// Its tensors, as they are; and a head of copies that require no gradient.
std::vector<at::Tensor> tensors_of(const Head& head);
Head copy_of(const Head& head);

// The methods of `network` that a package has, each followed by `head` but for encode_tokens(),
// whose tokens stay as they are. The network's parameters are named "network.NAME", the head's
// "head_weight", "head_bias" and, of hidden units, "hidden_weight", "hidden_bias", "hidden_back".
// Shares the tensors of `network` and `head`.
torch::jit::Module with_head(const torch::jit::Module& network, const Head& head);

// The fast form in `archive`, likewise: it prepares itself from the parameters of with_head().
std::string fast_form_with_head(const std::string& archive, const Head& head);
// The same without a head: from parameters that are named "network.NAME".
std::string fast_form_within(const std::string& archive);

// A tuned model as it is to be written.
struct TunedModel {
  torch::jit::Module network;  // on the CPU, float32, in evaluation mode
  std::optional<Head> head;
  std::optional<at::Tensor> text_map{};  // behind its words, see text_alignment.h; without a head
  std::string name;
  std::string tuning;  // JSON: what it was tuned on and how, for the manifest; empty: as the start
  // Of one whose text tower alone is new: JSON likewise, and texts to check it with. Its manifest
  // says that its embeddings of pictures are those of the start ("image_of").
  std::string text_tuning{};
  std::vector<std::string> golden_texts{};
};

struct WrittenPackage {
  std::string fingerprint;
  std::vector<std::string> dropped_forms;  // "int8: ..."
};

// Throws kInvalidArgument (it is `model`, which is `what`), kFileNotFound (no such folder).
void check_output(const std::filesystem::path& model, const std::filesystem::path& output,
                  std::string_view what = "its start");

// Writes `model`, which was tuned from `start`, to `path`: a new manifest with golden pairs of its
// own, and those fast forms that still give its embeddings; one that fails in any way is dropped.
// The file is there whole or not at all. Bytes of a name that are no UTF-8 become U+FFFD.
// Throws kIo, kBadModel (embeddings that are not finite), kOutOfMemory.
WrittenPackage write_package(const encoder::Archive& start, const TunedModel& model,
                             const std::filesystem::path& path);

}  // namespace vsearch::training
