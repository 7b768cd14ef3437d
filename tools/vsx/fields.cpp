// vsx fields: which fields of the metadata are indexed.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "catalogs.h"
#include "commands.h"
#include "console.h"
#include "table.h"
#include "vsearch/field.h"

namespace vsx {
namespace {

using Json = nlohmann::ordered_json;

struct FieldsArguments {
  std::string catalog;
  std::vector<std::string> declare;
  std::vector<std::string> drop;
  bool json = false;
  bool quiet = false;
};

vsearch::Field parse_field(const std::string& text) {
  const std::size_t colon = text.rfind(':');  // a name may hold one
  if (colon == text.npos || colon == 0) {
    throw UsageError(
        fmt::format("--declare wants NAME:TYPE, such as price:number, not '{}'", text));
  }
  const std::optional<vsearch::FieldType> type = vsearch::find_field_type(text.substr(colon + 1));
  if (type) return {text.substr(0, colon), *type};
  throw UsageError(fmt::format("the type in --declare is text, number, boolean or tags, not '{}'",
                               text.substr(colon + 1)));
}

std::string as_json(const std::vector<vsearch::Field>& fields) {
  Json list = Json::array();
  for (const vsearch::Field& field : fields) {
    list.push_back({{"name", field.name}, {"type", field_type_name(field.type)}});
  }
  return Json{{"fields", std::move(list)}}.dump(2) + "\n";
}

std::string as_table(const std::vector<vsearch::Field>& fields) {
  Table table({{"name"}, {"type"}});
  for (const vsearch::Field& field : fields) {
    table.add_row({field.name, std::string(field_type_name(field.type))});
  }
  return table.text();
}

// All fields are changed or none.
void bring_back(vsearch::Catalog& catalog, const std::vector<vsearch::Field>& before) {
  for (const vsearch::Field& field : catalog.fields()) {
    if (std::ranges::find(before, field) == before.end()) catalog.drop_field(field.name);
  }
  for (const vsearch::Field& field : before) catalog.declare_field(field);
}

int run(const FieldsArguments& options) {
  std::vector<vsearch::Field> wanted;
  for (const std::string& text : options.declare) wanted.push_back(parse_field(text));
  vsearch::Catalog catalog = open_catalog(options.catalog, options.quiet);
  const std::vector<vsearch::Field> before = catalog.fields();
  try {
    // In this order a field can be given another type.
    for (const std::string& name : options.drop) catalog.drop_field(name);
    for (const vsearch::Field& field : wanted) catalog.declare_field(field);
  } catch (...) {
    bring_back(catalog, before);
    throw;
  }
  const std::vector<vsearch::Field> fields = catalog.fields();
  if (options.json) {
    print(as_json(fields));
  } else if (!fields.empty()) {
    print(as_table(fields));
  } else if (!options.quiet) {
    say("no fields are declared; filters look at the metadata of every item");
  }
  return kDone;
}

}  // namespace

Command fields_command(CLI::App& vsx) {
  const auto options = std::make_shared<FieldsArguments>();
  CLI::App* app = vsx.add_subcommand("fields", "Show or change which metadata fields are indexed");
  add_positional(app, "CATALOG", options->catalog, "A catalogue made by vsx init");
  app->add_option("--declare", options->declare,
                  "Index a field from now on; TYPE is text, number, boolean or tags")
      ->type_name("NAME:TYPE")
      ->allow_extra_args(false);
  app->add_option("--drop", options->drop, "Index it no longer; the metadata stay")
      ->type_name("NAME")
      ->allow_extra_args(false);
  app->add_flag("--json", options->json, "Print JSON");
  add_quiet_flag(app, options->quiet);
  app->footer(
      "Examples:\n"
      "  vsx fields shop.vsearch\n"
      "  vsx fields shop.vsearch --declare price:number --declare tags:tags\n"
      "  vsx fields shop.vsearch --drop price --declare price:text\n\n"
      "Conditions on an indexed field (vsx search --where) do not look at every item. Its values\n"
      "must all be of its type, now and later.");
  return {app, [options] { return run(*options); }};
}

}  // namespace vsx
