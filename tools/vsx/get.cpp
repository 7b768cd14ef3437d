// vsx get: what a catalogue holds of an item.
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "catalogs.h"
#include "commands.h"
#include "console.h"
#include "facts.h"
#include "items.h"
#include "vsearch/error.h"

namespace vsx {
namespace {

using Json = nlohmann::ordered_json;

struct GetArguments {
  std::string catalog;
  std::string key;
  bool json = false;
  bool quiet = false;
};

std::string picture_text(const vsearch::PictureInfo& picture) {
  std::string text = picture.path.empty() ? "(no path)" : picture.path;
  if (!picture.role.empty()) text += fmt::format(", {}", picture.role);
  const vsearch::CropBox& crop = picture.crop;
  if (!crop.is_whole()) {
    text += fmt::format(", crop {} {} {} {}", crop.left, crop.top, crop.right, crop.bottom);
  }
  if (picture.kept_bytes > 0) text += fmt::format(", {} kept", bytes_text(picture.kept_bytes));
  return text;
}

std::string as_table(const vsearch::ItemRecord& item) {
  Facts facts;
  for (const vsearch::PictureInfo& picture : item.pictures) {
    facts.emplace_back("picture", picture_text(picture));
  }
  const Json metadata = Json::parse(item.metadata);
  for (const auto& [name, value] : metadata.items()) {
    facts.emplace_back(printable(name),
                       value.is_string() ? value.get<std::string>() : value.dump());
  }
  return as_text(item.key, facts);
}

int run(const GetArguments& options) {
  const vsearch::Catalog catalog = open_catalog(options.catalog, options.quiet);
  const std::optional<vsearch::ItemRecord> item = catalog.get(options.key);
  if (!item) {
    throw vsearch::Error(
        vsearch::ErrorCode::kKeyNotFound,
        fmt::format("no item '{0}' in '{1}'; vsx list {1} shows the keys that there are",
                    options.key, options.catalog));
  }
  print(options.json ? item_json(*item).dump(2, ' ', false, Json::error_handler_t::replace) + "\n"
                     : as_table(*item));
  return kDone;
}

}  // namespace

Command get_command(CLI::App& vsx) {
  const auto options = std::make_shared<GetArguments>();
  CLI::App* app = vsx.add_subcommand("get", "Show an item: its pictures and its metadata");
  add_positional(app, "CATALOG", options->catalog, "A catalogue made by vsx init");
  add_positional(app, "KEY", options->key, "The key of the item");
  app->add_flag("--json", options->json, "Print JSON");
  add_quiet_flag(app, options->quiet);
  app->footer(
      "Examples:\n"
      "  vsx get shop.vsearch shirts/red.jpg\n"
      "  vsx get shop.vsearch shirts/red.jpg --json\n\n"
      "Exit codes: 0 done, 1 error or no such item, 2 wrong usage.");
  return {app, [options] { return run(*options); }};
}

}  // namespace vsx
