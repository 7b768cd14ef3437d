// vsx editions: the embeddings that a catalogue has, by which encoder.
#include <fmt/format.h>

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "catalogs.h"
#include "commands.h"
#include "console.h"
#include "facts.h"
#include "table.h"

namespace vsx {
namespace {

using Json = nlohmann::ordered_json;

struct EditionsArguments {
  std::string catalog;
  std::optional<std::int64_t> drop;
  bool json = false;
  bool quiet = false;
};

std::string as_json(const std::vector<vsearch::EditionInfo>& editions) {
  Json list = Json::array();
  for (const vsearch::EditionInfo& edition : editions) {
    list.push_back({{"id", edition.id},
                    {"state", edition_state_name(edition.state)},
                    {"encoder", edition.encoder},
                    {"encoder_name", edition.encoder_name},
                    {"encoder_fingerprint", edition.encoder_fingerprint},
                    {"dim", edition.dim},
                    {"metric", metric_name(edition.metric)},
                    {"embeddings", edition.embeddings}});
  }
  return Json{{"editions", std::move(list)}}.dump(2, ' ', false, Json::error_handler_t::replace) +
         "\n";
}

std::string as_table(const std::vector<vsearch::EditionInfo>& editions) {
  Table table({{"id"}, {"state"}, {"embeddings"}, {"dim"}, {"metric"}, {"encoder"}, {"from"}});
  for (const vsearch::EditionInfo& edition : editions) {
    table.add_row({std::to_string(edition.id), std::string(edition_state_name(edition.state)),
                   with_commas(edition.embeddings), std::to_string(edition.dim),
                   std::string(metric_name(edition.metric)), edition.encoder_name,
                   edition.encoder == edition.encoder_name ? "" : edition.encoder});
  }
  return table.text();
}

int run(const EditionsArguments& options) {
  vsearch::Catalog catalog = open_catalog(options.catalog, options.quiet);
  if (options.drop) {
    catalog.drop_edition(*options.drop);
    if (!options.quiet) say(fmt::format("deleted edition {}", *options.drop));
    if (!options.json) return kDone;
  }
  const std::vector<vsearch::EditionInfo> editions = catalog.editions();
  print(options.json ? as_json(editions) : as_table(editions));
  return kDone;
}

}  // namespace

Command editions_command(CLI::App& vsx) {
  const auto options = std::make_shared<EditionsArguments>();
  CLI::App* app =
      vsx.add_subcommand("editions", "Show the embeddings of a catalogue, by model; delete some");
  add_positional(app, "CATALOG", options->catalog, "A catalogue made by vsx init");
  app->add_option("--drop", options->drop, "Delete this edition, which must not be serving")
      ->type_name("ID");
  app->add_flag("--json", options->json, "Print JSON");
  add_quiet_flag(app, options->quiet);
  app->footer(
      "Examples:\n"
      "  vsx editions shop.vsearch\n"
      "  vsx editions shop.vsearch --drop 1\n\n"
      "One edition serves; vsx reencode makes others. vsx compact gives the room of what was\n"
      "deleted back.");
  return {app, [options] { return run(*options); }};
}

}  // namespace vsx
