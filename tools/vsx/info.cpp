// vsx info: what a catalogue or a model package is.
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "catalogs.h"
#include "commands.h"
#include "console.h"
#include "facts.h"

namespace vsx {
namespace {

using Json = nlohmann::ordered_json;

struct InfoArguments {
  std::string subject;
  ModelOptions model;
  bool json = false;
  bool quiet = false;
};

void print_catalog(const vsearch::Catalog& catalog, bool json) {
  const vsearch::CatalogInfo info = catalog.info();
  const std::size_t editions = catalog.editions().size();
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
               {"snapshot_generation", info.snapshot_generation},
               {"editions", editions},
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
       {"editions", with_commas(editions)},
       {"generation", fmt::format("{}, {} in the index snapshot", with_commas(info.generation),
                                  with_commas(info.snapshot_generation))}}));
}

int run(const InfoArguments& options) {
  if (std::filesystem::is_directory(options.subject)) {
    print_catalog(open_catalog(options.subject, options.quiet), options.json);
    return kDone;
  }
  return show_model(options.subject, options.model, options.json);
}

}  // namespace

Command info_command(CLI::App& vsx) {
  const auto options = std::make_shared<InfoArguments>();
  CLI::App* app = vsx.add_subcommand("info", "Show what a catalogue or a model package is");
  add_positional(app, "SUBJECT", options->subject,
                 "A catalogue (a folder), a model package (a file), or the name of a model");
  app->add_flag("--json", options->json, "Print JSON");
  add_model_options(app, options->model);
  add_quiet_flag(app, options->quiet);
  app->footer(
      "Examples:\n"
      "  vsx info shop.vsearch\n"
      "  vsx info efficientnet-lite0 --json");
  return {app, [options] { return run(*options); }};
}

}  // namespace vsx
