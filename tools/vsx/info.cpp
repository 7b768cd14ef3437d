// vsx info: what a catalogue or a model package is.
#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalogs.h"
#include "commands.h"
#include "console.h"

namespace vsx {
namespace {

using Json = nlohmann::ordered_json;
using Facts = std::vector<std::pair<std::string, std::string>>;

struct Options {
  std::string subject;
  bool json = false;
  bool quiet = false;
};

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

std::string as_text(const std::string& title, const Facts& facts) {
  std::string text = printable(title) + "\n";
  for (const auto& [name, value] : facts) {
    text += fmt::format("  {:<14}{}\n", name, value.empty() ? "-" : printable(value));
  }
  return text;
}

void print_catalog(const vsearch::CatalogInfo& info, bool json) {
  if (json) {
    print(Json{{"kind", "catalog"},
               {"path", info.path.string()},
               {"items", info.items},
               {"pictures", info.pictures},
               {"encoder", info.encoder},
               {"encoder_name", info.encoder_name},
               {"encoder_fingerprint", info.encoder_fingerprint},
               {"dim", info.dim},
               {"metric", metric_name(info.metric)},
               {"generation", info.generation},
               {"disk_bytes", info.disk_bytes},
               {"index",
                {{"size", info.index.size},
                 {"removed", info.index.removed},
                 {"capacity", info.index.capacity},
                 {"memory_bytes", info.index.memory_bytes}}}}
              .dump(2, ' ', false, Json::error_handler_t::replace) +
          "\n");
    return;
  }
  const std::string encoder = info.encoder == info.encoder_name
                                  ? info.encoder
                                  : fmt::format("{} ({})", info.encoder_name, info.encoder);
  print(as_text(
      "catalogue " + info.path.string(),
      {{"items", with_commas(info.items)},
       {"pictures", with_commas(info.pictures)},
       {"encoder", encoder},
       {"fingerprint", info.encoder_fingerprint},
       {"embeddings", fmt::format("{} x float32, {}", info.dim, metric_name(info.metric))},
       {"index", fmt::format("{}, {} removed, {} in memory", counted(info.index.size, "vector"),
                             with_commas(info.index.removed), bytes_text(info.index.memory_bytes))},
       {"on disk", bytes_text(info.disk_bytes)},
       {"generation", with_commas(info.generation)}}));
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
  print(
      as_text("model " + path.string(),
              {{"name", info.name},
               {"licence", info.license},
               {"source", info.source},
               {"fingerprint", info.fingerprint},
               {"embeddings", fmt::format("{} x float32, {}", info.dim, metric_name(info.metric))},
               {"input", fmt::format("{} x {} px, {}", input.width_px, input.height_px,
                                     order_name(input.colour_order))},
               {"resize", resize_text(input)},
               {"crop", input.centre_crop ? "centre" : "none"},
               {"mean", channels(input.mean)},
               {"std", channels(input.stddev)},
               {"golden pairs", "match"}}));
}

int run(const Options& options) {
  if (std::filesystem::is_directory(options.subject)) {
    print_catalog(open_catalog(options.subject, options.quiet).info(), options.json);
    return kDone;
  }
  const std::filesystem::path path = vsearch::find_encoder(options.subject);
  print_model(path, vsearch::load_encoder(path)->info(), options.json);
  return kDone;
}

}  // namespace

Command info_command(CLI::App& vsx) {
  const auto options = std::make_shared<Options>();
  CLI::App* app = vsx.add_subcommand("info", "Show what a catalogue or a model package is");
  add_positional(app, "SUBJECT", options->subject,
                 "A catalogue (a folder), a model package (a file), or the name of a model");
  app->add_flag("--json", options->json, "Print JSON");
  add_quiet_flag(app, options->quiet);
  app->footer(
      "Examples:\n"
      "  vsx info shop.vsearch\n"
      "  vsx info efficientnet-lite0 --json");
  return {app, [options] { return run(*options); }};
}

}  // namespace vsx
