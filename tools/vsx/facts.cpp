#include "facts.h"

#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "console.h"

namespace vsx {
namespace {

using Json = nlohmann::ordered_json;

// The words of the manifest, docs/models.md.
std::string_view edge_name(vsearch::ResizeEdge edge) {
  switch (edge) {
    case vsearch::ResizeEdge::kShortest:
      return "shortest";
    case vsearch::ResizeEdge::kStretch:
      return "stretch";
    case vsearch::ResizeEdge::kNone:
      return "none";
  }
  return "unknown";
}

std::string_view interpolation_name(vsearch::Interpolation interpolation) {
  return interpolation == vsearch::Interpolation::kBicubic ? "bicubic" : "bilinear";
}

std::string_view order_name(vsearch::ColourOrder order) {
  return order == vsearch::ColourOrder::kRgb ? "rgb" : "bgr";
}

std::string resize_text(const vsearch::Preprocessing& input) {
  const std::string_view how = interpolation_name(input.interpolation);
  switch (input.resize_edge) {
    case vsearch::ResizeEdge::kShortest:
      return fmt::format("short edge to {} px, {}", input.resize_height_px, how);
    case vsearch::ResizeEdge::kStretch:
      return fmt::format("stretch to {} x {} px, {}", input.resize_width_px, input.resize_height_px,
                         how);
    case vsearch::ResizeEdge::kNone:
      return "none";
  }
  return "unknown";
}

std::string channels(const std::array<float, 3>& values) {
  return fmt::format("{}, {}, {}", values[0], values[1], values[2]);
}

Json channels_json(const std::array<float, 3>& values) {
  return {shortest(values[0]), shortest(values[1]), shortest(values[2])};
}

std::vector<std::string> fast_forms(const vsearch::EncoderInfo& info) {
  std::vector<std::string> names;
  for (const vsearch::Precision form : info.fast_forms) {
    names.emplace_back(vsearch::precision_name(form));
  }
  return names;
}

void print_model(const std::filesystem::path& path, const vsearch::EncoderInfo& info, bool json) {
  const vsearch::Preprocessing& input = info.preprocessing;
  if (json) {
    print(Json{{"kind", "model"},
               {"path", path.string()},
               {"name", info.name},
               {"license", info.license},
               {"source", info.source},
               {"fingerprint", info.fingerprint},
               {"dim", info.dim},
               {"metric", metric_name(info.metric)},
               {"token_dim", info.token_dim},
               {"has_text", info.has_text},
               {"precision", vsearch::precision_name(info.precision)},
               {"fast_forms", fast_forms(info)},
               {"preprocessing",
                {{"width_px", input.width_px},
                 {"height_px", input.height_px},
                 {"resize_edge", edge_name(input.resize_edge)},
                 {"resize_width_px", input.resize_width_px},
                 {"resize_height_px", input.resize_height_px},
                 {"interpolation", interpolation_name(input.interpolation)},
                 {"centre_crop", input.centre_crop},
                 {"mean", channels_json(input.mean)},
                 {"stddev", channels_json(input.stddev)},
                 {"colour_order", order_name(input.colour_order)}}}}
              .dump(2, ' ', false, Json::error_handler_t::replace) +
          "\n");
    return;
  }
  print(as_text(
      "model " + path.string(),
      {{"name", info.name},
       {"licence", info.license},
       {"source", info.source},
       {"fingerprint", info.fingerprint},
       {"embeddings", fmt::format("{} x float32, {}", info.dim, metric_name(info.metric))},
       {"tokens", info.token_dim > 0 ? fmt::format("{} x float32", info.token_dim) : "none"},
       {"words", info.has_text ? "yes" : "no"},
       {"precision", std::string(vsearch::precision_name(info.precision))},
       {"fast forms", fmt::format("{}", fmt::join(fast_forms(info), ", "))},
       {"input", fmt::format("{} x {} px, {}", input.width_px, input.height_px,
                             order_name(input.colour_order))},
       {"resize", resize_text(input)},
       {"crop", input.centre_crop ? "centre" : "none"},
       {"mean", channels(input.mean)},
       {"std", channels(input.stddev)},
       {"golden pairs", "match"}}));
}

}  // namespace

std::string_view metric_name(vsearch::Metric metric) {
  switch (metric) {
    case vsearch::Metric::kCosine:
      return "cosine";
    case vsearch::Metric::kInnerProduct:
      return "inner_product";
    case vsearch::Metric::kL2:
      return "l2";
  }
  return "unknown";
}

std::string as_text(const std::string& title, const Facts& facts) {
  std::string text = printable(title) + "\n";
  for (const auto& [name, value] : facts) {
    text += fmt::format("  {:<13} {}\n", name, value.empty() ? "-" : printable(value));
  }
  return text;
}

int show_model(const std::string& name_or_path, const ModelOptions& options, bool json) {
  const vsearch::EncoderOptions wanted = encoder_options(options);
  const std::filesystem::path path = vsearch::find_encoder(name_or_path);
  print_model(path, vsearch::load_encoder(path, wanted)->info(), json);
  return kDone;
}

}  // namespace vsx
