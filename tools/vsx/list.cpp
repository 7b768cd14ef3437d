// vsx list: the items of a catalogue.
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "catalogs.h"
#include "commands.h"
#include "console.h"
#include "items.h"
#include "vsearch/filter.h"

namespace vsx {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kPrintedAtATime = std::size_t{1} << 16;  // bytes

struct ListArguments {
  std::string catalog;
  std::optional<std::string> where;
  bool json = false;
  bool quiet = false;
};

int run(const ListArguments& options) {
  const std::optional<vsearch::Filter> where = parse_where(options.where);
  const vsearch::Catalog catalog = open_catalog(options.catalog, options.quiet);
  std::optional<vsearch::IdFilter> wanted;
  if (where) wanted = catalog.match(*where);
  std::string text;
  catalog.for_each([&](const vsearch::ItemRecord& item) {
    const auto is_wanted = [&](const vsearch::PictureInfo& picture) {
      return wanted->contains(picture.id);
    };
    if (wanted && std::ranges::none_of(item.pictures, is_wanted)) return true;
    text += options.json ? item_json(item).dump(-1, ' ', false, Json::error_handler_t::replace)
                         : printable(item.key);
    text += '\n';
    if (text.size() < kPrintedAtATime) return true;
    print(text);
    text.clear();
    return true;
  });
  print(text);
  return kDone;
}

}  // namespace

Command list_command(CLI::App& vsx) {
  const auto options = std::make_shared<ListArguments>();
  CLI::App* app = vsx.add_subcommand("list", "List the keys of items, or all there is of them");
  add_positional(app, "CATALOG", options->catalog, "A catalogue made by vsx init");
  app->add_option("--where", options->where, "Only items whose metadata meet this condition")
      ->type_name("EXPR");
  app->add_flag("--json", options->json, "Print a JSON object for every item, one a line");
  add_quiet_flag(app, options->quiet);
  app->footer(
      "Examples:\n"
      "  vsx list shop.vsearch\n"
      "  vsx list shop.vsearch --where \"price < 50\" --json\n\n"
      "In ascending order of the keys.");
  return {app, [options] { return run(*options); }};
}

}  // namespace vsx
