// vsx patch: changes metadata of items.
#include <fmt/format.h>

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "catalogs.h"
#include "commands.h"
#include "console.h"
#include "vsearch/source.h"

namespace vsx {
namespace {

struct PatchArguments {
  std::string catalog;
  std::string key;
  std::string changes;
  std::string metadata;
  std::optional<std::string> key_column;
  bool quiet = false;
};

std::vector<vsearch::MetadataPatch> patches_of(const PatchArguments& options) {
  if (options.metadata.empty() == options.key.empty()) {
    throw UsageError("give either KEY and CHANGES or --metadata");
  }
  if (!options.key.empty()) {
    if (options.changes.empty()) throw UsageError("CHANGES are missing");
    if (options.key_column) throw UsageError("--key-column is of the --metadata file; name one");
    return {{options.key, options.changes}};
  }
  return vsearch::read_patches(options.metadata, options.key_column.value_or("key"));
}

int run(const PatchArguments& options) {
  const std::vector<vsearch::MetadataPatch> patches = patches_of(options);
  vsearch::Catalog catalog = open_catalog(options.catalog, options.quiet);
  const std::vector<std::string> unknown = catalog.patch(patches);
  std::set<std::string_view> distinct;
  for (const vsearch::MetadataPatch& patch : patches) distinct.insert(patch.key);
  if (!options.quiet) {
    say("changed the metadata of " + counted(distinct.size() - unknown.size(), "item"));
  }
  return report_unknown(options.catalog, unknown);
}

}  // namespace

Command patch_command(CLI::App& vsx) {
  const auto options = std::make_shared<PatchArguments>();
  CLI::App* app = vsx.add_subcommand("patch", "Change metadata of items, without their pictures");
  add_positional(app, "CATALOG", options->catalog, "A catalogue made by vsx init");
  app->add_option("KEY", options->key, "The key of an item")->type_name("");
  app->add_option("CHANGES", options->changes,
                  "A JSON object: what it names is set, and removed where it is null")
      ->type_name("");
  app->add_option("--metadata", options->metadata,
                  "A .csv or .jsonl file of keys and what to change in the other columns; an empty "
                  "cell changes nothing")
      ->type_name("FILE");
  app->add_option("--key-column", options->key_column,
                  "The column of that file with the keys (default: key)")
      ->type_name("NAME");
  add_quiet_flag(app, options->quiet);
  app->footer(
      "Examples:\n"
      "  vsx patch shop.vsearch shirts/red.jpg '{\"price\": 18, \"sale\": null}'\n"
      "  vsx patch shop.vsearch --metadata prices.csv\n\n"
      "All items are changed, or none. Exit codes: 0 all changed, 1 error, 2 wrong usage, 3 some "
      "keys "
      "were unknown (the others are changed).");
  return {app, [options] { return run(*options); }};
}

}  // namespace vsx
