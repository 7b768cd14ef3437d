#include "train/tuned_package.h"

#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string_view>
#include <utility>

#include "encoder/golden.h"
#include "encoder/manifest.h"
#include "encoder/torch_error.h"
#include "encoder/torch_fingerprint.h"
#include "encoder/torch_preprocess.h"
#include "train/text_alignment.h"
#include "train/whole_file.h"
#include "vsearch/error.h"

namespace vsearch::training {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr char kLinearHeadScript[] = R"(
def through_head(self, features: Tensor) -> Tensor:
    features = features / torch.norm(features, 2, 1, True).clamp(min=1e-12)
    return torch.linear(features, self.head_weight, self.head_bias)
)";

constexpr char kHiddenHeadScript[] = R"(
def through_head(self, features: Tensor) -> Tensor:
    features = features / torch.norm(features, 2, 1, True).clamp(min=1e-12)
    units = torch.relu(torch.linear(features, self.hidden_weight, self.hidden_bias))
    straight = torch.linear(features, self.head_weight, self.head_bias)
    return straight + torch.linear(units, self.hidden_back)
)";

constexpr char kHeadScript[] = R"(
def encode_image(self, pixels: Tensor) -> Tensor:
    return self.through_head(self.network.encode_image(pixels))
)";

constexpr char kForwardScript[] = R"(
def forward(self, pixels: Tensor) -> Tensor:
    return self.encode_image(pixels)
)";

constexpr char kTokensScript[] = R"(
def encode_tokens(self, pixels: Tensor) -> Tensor:
    return self.network.encode_tokens(pixels)
)";

constexpr char kTextScript[] = R"(
def encode_text(self, texts: List[str]) -> Tensor:
    return self.through_head(self.network.encode_text(texts))
)";

constexpr char kPrepareNetworkScript[] = R"(
def prepare_network(self, weights: Dict[str, Tensor]):
    own: Dict[str, Tensor] = {}
    for name, value in weights.items():
        if name.startswith("network."):
            own[name[8:]] = value
    self.network.prepare(own)
)";

constexpr char kPrepareHeadScript[] = R"(
def prepare(self, weights: Dict[str, Tensor]):
    self.prepare_network(weights)
    self.head_weight = weights["head_weight"]
    self.head_bias = weights["head_bias"]
)";

constexpr char kPrepareHiddenScript[] = R"(
def prepare(self, weights: Dict[str, Tensor]):
    self.prepare_network(weights)
    self.head_weight = weights["head_weight"]
    self.head_bias = weights["head_bias"]
    self.hidden_weight = weights["hidden_weight"]
    self.hidden_bias = weights["hidden_bias"]
    self.hidden_back = weights["hidden_back"]
)";

constexpr char kWithinScript[] = R"(
def encode_image(self, pixels: Tensor) -> Tensor:
    return self.network.encode_image(pixels)

def prepare(self, weights: Dict[str, Tensor]):
    self.prepare_network(weights)
)";

constexpr char kOtherForms[] = "the package has the others";

// Below these a fast form does not give the model's embeddings; the exporter holds them to the
// same.
double least_cosine(Precision precision) {
  switch (precision) {
    case Precision::kBFloat16:
      return 0.998;
    case Precision::kInt8:
      return 0.98;
    default:
      return 0.99999;
  }
}

std::string fast_file(Precision precision) {
  return fmt::format("fast_{}.pt", precision_name(precision));
}

struct GoldenPicture {
  std::uint32_t width_px, height_px;
  std::uint64_t seed;
};

// One lies and one stands; where nothing is resized both have the input's size.
std::vector<GoldenPicture> golden_sizes(const Preprocessing& input) {
  if (input.resize_edge == ResizeEdge::kNone) {
    return {{input.width_px, input.height_px, 1}, {input.width_px, input.height_px, 2}};
  }
  return {{320, 240, 1}, {240, 320, 2}};
}

// The form in `archive` inside another, which `fill` gives its methods.
std::string wrapped_form(const std::string& archive,
                         const std::function<void(torch::jit::Module&)>& fill) {
  std::istringstream input(archive);
  torch::jit::Module module("TunedFast");
  module.register_module("network", torch::jit::load(input, at::kCPU));
  module.define(kPrepareNetworkScript);
  fill(module);
  std::ostringstream output;
  module.save(output);
  return output.str();
}

// By the names that the scripts above know them by.
std::vector<std::pair<std::string, at::Tensor>> named_tensors_of(const Head& head) {
  std::vector<std::pair<std::string, at::Tensor>> named{{"head_weight", head.weight},
                                                        {"head_bias", head.bias}};
  if (head.hidden) {
    named.emplace_back("hidden_weight", head.hidden->weight);
    named.emplace_back("hidden_bias", head.hidden->bias);
    named.emplace_back("hidden_back", head.hidden->back);
  }
  return named;
}

// The network with what stands behind it.
torch::jit::Module whole_of(const TunedModel& model) {
  if (model.head) return with_head(model.network, *model.head);
  return model.text_map ? with_text_map(model.network, *model.text_map) : model.network;
}

class PackageWriting {
 public:
  PackageWriting(const encoder::Archive& start, const TunedModel& model, const fs::path& path)
      : start_(start),
        model_(model),
        path_(path),
        module_(whole_of(model)),
        old_(encoder::parse_manifest(start.manifest, path.string())),
        preparer_(old_.info.preprocessing) {
    module_.eval();
  }

  WrittenPackage run() {
    WrittenPackage written;
    Json manifest = Json::parse(start_.manifest);
    manifest["name"] = model_.name;
    if (!model_.tuning.empty()) {
      manifest["tuning"] = Json::parse(model_.tuning);
      manifest.erase("image_of");
    }
    if (!model_.text_tuning.empty()) {
      manifest["text"] = true;
      manifest["text_tuning"] = Json::parse(model_.text_tuning);
      manifest["image_of"] = encoder::fingerprint(old_.canonical, start_.module, path_.string());
    }
    if (model_.head) {
      manifest["architecture"] = manifest["architecture"].get<std::string>() + " head";
      manifest["dim"] = model_.head->weight.size(0);
      manifest["outputs"]["embedding"] = model_.head->weight.size(0);
    }
    manifest["golden"] = golden_pairs();
    if (manifest["text"].get<bool>()) manifest["golden_text"] = golden_texts();
    manifest.erase("fast");
    for (const encoder::FastForm& form : old_.fast) keep(form, manifest, written.dropped_forms);
    const std::string text = manifest.dump(1, ' ', false, Json::error_handler_t::replace);
    written.fingerprint = encoder::fingerprint(
        encoder::parse_manifest(text, path_.string()).canonical, module_, path_.string());
    save(text);
    return written;
  }

 private:
  at::Tensor pixels_of(const GoldenPicture& golden) const {
    const Image picture = encoder::golden_picture(golden.width_px, golden.height_px, golden.seed);
    const ImageView view = picture.view();
    return preparer_.prepare({&view, 1}, 0);
  }

  Json golden_pairs() {
    const c10::InferenceMode inference;
    Json pairs = Json::array();
    for (const GoldenPicture& golden : golden_sizes(old_.info.preprocessing)) {
      const at::Tensor pixels = pixels_of(golden);
      const at::Tensor row = embedding(module_.get_method("encode_image")({pixels}));
      golden_.emplace_back(pixels, row);
      pairs.push_back({{"width", golden.width_px},
                       {"height", golden.height_px},
                       {"seed", golden.seed},
                       {"embedding", numbers(row)}});
    }
    return pairs;
  }

  Json golden_texts() {
    const c10::InferenceMode inference;
    std::vector<std::string> texts = model_.golden_texts;
    if (texts.empty()) {
      for (const encoder::GoldenText& golden : old_.golden_text) texts.push_back(golden.text);
    }
    Json pairs = Json::array();
    for (const std::string& text : texts) {
      c10::List<std::string> list;
      list.push_back(text);
      const at::Tensor row = embedding(module_.get_method("encode_text")({list}));
      pairs.push_back({{"text", text}, {"embedding", numbers(row)}});
    }
    return pairs;
  }

  at::Tensor embedding(const c10::IValue& output) const {
    at::Tensor row = output.toTensor()[0].to(at::kFloat).contiguous();
    if (!row.isfinite().all().item<bool>() || row.norm().item<float>() == 0) {
      throw Error(ErrorCode::kBadModel,
                  fmt::format("{}: the tuned model gives embeddings that are zero or not finite; "
                              "train with lower rates",
                              path_.string()));
    }
    return row;
  }

  static Json numbers(const at::Tensor& row) {
    const std::vector<float> values(row.data_ptr<float>(), row.data_ptr<float>() + row.numel());
    return values;
  }

  void keep(const encoder::FastForm& form, Json& manifest, std::vector<std::string>& dropped) {
    const std::string name(precision_name(form.precision));
    try {
      std::string archive;
      const double cosine = encoder::run_torch(
          ErrorCode::kUnavailable, "it cannot be made here", {kOtherForms, kOtherForms}, [&] {
            const std::string& old = start_.fast.at(form.precision);
            const bool is_within = model_.text_map && text_map_wraps(model_.network);
            archive = model_.head ? fast_form_with_head(old, *model_.head)
                                  : (is_within ? fast_form_within(old) : old);
            return cosine_of(archive, form.precision);
          });
      if (!(cosine >= least_cosine(form.precision))) {
        dropped.push_back(
            fmt::format("{}: the cosine to the plain form fell to {:.5f}", name, cosine));
        return;
      }
      const double promised = std::min(0.9999, 1 - 3 * (1 - cosine));
      manifest["fast"][name] = {{"min_cosine", std::round(promised * 1e6) / 1e6}};
      fast_[form.precision] = std::move(archive);
    } catch (const Error& error) {
      dropped.push_back(fmt::format("{}: {}", name, error.what()));
    }
  }

  // The least of the golden pictures, between this form and the plain one; NaN if one is NaN.
  double cosine_of(const std::string& archive, Precision precision) const {
    const torch::jit::Module form =
        encoder::open_fast_form(archive, precision, module_, path_.string());
    const c10::InferenceMode inference;
    double least = 1;
    for (const auto& [pixels, row] : golden_) {
      const at::Tensor fast = form.get_method("encode_image")({pixels}).toTensor()[0];
      const double cosine = at::cosine_similarity(fast.to(at::kFloat), row, 0).item<double>();
      if (!(cosine >= least)) least = cosine;
      if (std::isnan(least)) break;
    }
    return least;
  }

  void save(const std::string& manifest) const {
    torch::jit::ExtraFilesMap extra{{encoder::kManifestFile, manifest}};
    for (const auto& [precision, archive] : fast_) extra[fast_file(precision)] = archive;
    std::ostringstream content;
    module_.save(content, extra);
    replace_file(path_, content.view());
  }

  const encoder::Archive& start_;
  const TunedModel& model_;
  const fs::path path_;
  torch::jit::Module module_;
  const encoder::Manifest old_;
  const encoder::PixelPreparer preparer_;
  std::vector<std::pair<at::Tensor, at::Tensor>> golden_;  // pixels and embeddings
  std::map<Precision, std::string> fast_;
};

}  // namespace

torch::jit::Module with_head(const torch::jit::Module& network, const Head& head) {
  torch::jit::Module module("Tuned");
  module.register_module("network", network);
  for (const auto& [name, tensor] : named_tensors_of(head)) {
    module.register_parameter(name, tensor, false);
  }
  module.define(head.hidden ? kHiddenHeadScript : kLinearHeadScript);
  module.define(kHeadScript);
  module.define(kForwardScript);
  if (network.find_method("encode_tokens")) module.define(kTokensScript);
  if (network.find_method("encode_text")) module.define(kTextScript);
  return module;
}

std::string fast_form_with_head(const std::string& archive, const Head& head) {
  return wrapped_form(archive, [&](torch::jit::Module& module) {
    for (const auto& [name, tensor] : named_tensors_of(head)) {
      module.register_attribute(name, c10::TensorType::get(), at::zeros({1}));
    }
    module.define(head.hidden ? kHiddenHeadScript : kLinearHeadScript);
    module.define(kHeadScript);
    module.define(head.hidden ? kPrepareHiddenScript : kPrepareHeadScript);
  });
}

std::vector<at::Tensor> tensors_of(const Head& head) {
  std::vector<at::Tensor> tensors;
  for (const auto& [name, tensor] : named_tensors_of(head)) tensors.push_back(tensor);
  return tensors;
}

Head copy_of(const Head& head) {
  const auto copy = [](const at::Tensor& tensor) { return tensor.detach().clone(); };
  Head copied{copy(head.weight), copy(head.bias)};
  if (head.hidden) {
    copied.hidden = {copy(head.hidden->weight), copy(head.hidden->bias), copy(head.hidden->back)};
  }
  return copied;
}

std::string fast_form_within(const std::string& archive) {
  return wrapped_form(archive, [](torch::jit::Module& module) { module.define(kWithinScript); });
}

void check_output(const fs::path& model, const fs::path& output, std::string_view what) {
  std::error_code ignored;
  if (fs::equivalent(model, output, ignored)) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: the new package would replace {}; name another file",
                            output.string(), what));
  }
  const fs::path folder = output.parent_path();
  if (!folder.empty() && !fs::is_directory(folder, ignored)) {
    throw Error(ErrorCode::kFileNotFound,
                fmt::format("{}: no such folder; make it first", folder.string()));
  }
}

WrittenPackage write_package(const encoder::Archive& start, const TunedModel& model,
                             const fs::path& path) {
  return encoder::run_torch(ErrorCode::kBadModel, path.string(),
                            {encoder::kExportRemedy, "free some and try again"},
                            [&] { return PackageWriting(start, model, path).run(); });
}

}  // namespace vsearch::training
