// vsx search: what looks like a picture, or like an item.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
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
#include "vsearch/error.h"
#include "vsearch/filter.h"
#include "vsearch/image.h"
#include "vsearch/searcher.h"

namespace vsx {
namespace {

using Json = nlohmann::ordered_json;

struct SearchArguments {
  std::string catalog;
  std::optional<std::string> image;
  std::optional<std::string> like;
  std::optional<std::string> text;
  std::optional<std::string> where;
  std::uint32_t k = vsearch::QueryOptions().k;
  std::uint32_t breadth = vsearch::QueryOptions().breadth;
  bool exact = false;
  bool json = false;
  ModelOptions model;
  bool quiet = false;
};

// Everything that can be wrong with the command line itself, before anything is opened.
vsearch::QueryOptions query_options(const SearchArguments& options) {
  if (options.image.has_value() + options.like.has_value() + options.text.has_value() != 1) {
    throw UsageError("say what to look for: one of --image FILE, --like KEY and --text WORDS");
  }
  if (options.k == 0) throw UsageError("-k is the number of hits wanted: at least 1, not 0");
  if (options.breadth == 0) throw UsageError("--breadth must be at least 1, not 0");
  return {.k = options.k,
          .breadth = options.breadth,
          .where = parse_where(options.where),
          .exact = options.exact};
}

std::string as_json(const std::vector<vsearch::Hit>& hits) {
  Json list = Json::array();
  for (const vsearch::Hit& hit : hits) {
    list.push_back({{"key", hit.key},
                    {"score", shortest(hit.score)},
                    {"distance", shortest(hit.distance)},
                    {"path", hit.path},
                    {"metadata", Json::parse(hit.metadata)}});
  }
  // A path may hold bytes that are no UTF-8, which JSON cannot: they become U+FFFD.
  return Json{{"hits", std::move(list)}}.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

// {"colour": "red", "price": 9.5} -> "colour=red price=9.5".
std::string metadata_words(const std::string& metadata) {
  std::string words;
  const Json fields = Json::parse(metadata);
  for (const auto& [name, value] : fields.items()) {
    if (!words.empty()) words += "  ";
    words += name + "=" + (value.is_string() ? value.get<std::string>() : value.dump());
  }
  return words;
}

// As one would type it from here.
std::string shown_path(const std::string& path) {
  const std::filesystem::path relative =
      std::filesystem::path(path).lexically_relative(std::filesystem::current_path());
  return relative.empty() || relative.native().starts_with("..") ? path : relative.string();
}

std::string as_table(const std::vector<vsearch::Hit>& hits) {
  Table table(
      {{"rank"}, {"score"}, {"key"}, {"path", Shorten::kBeginning}, {"metadata", Shorten::kEnd}});
  for (std::size_t i = 0; i < hits.size(); ++i) {
    table.add_row({std::to_string(i + 1), fmt::format("{:.3f}", hits[i].score), hits[i].key,
                   shown_path(hits[i].path), metadata_words(hits[i].metadata)});
  }
  return is_terminal(STDOUT_FILENO) ? table.text(terminal_width(STDOUT_FILENO)) : table.text();
}

std::vector<vsearch::Hit> search(const vsearch::Catalog& catalog, const SearchArguments& options,
                                 const vsearch::QueryOptions& query) {
  const vsearch::Searcher searcher(catalog);
  if (options.like) return searcher.search(vsearch::Query::like(*options.like), query);
  if (options.text) return searcher.search(vsearch::Query::text(*options.text), query);
  return searcher.search(vsearch::Query::file(*options.image), query);
}

int run(const SearchArguments& options) {
  const vsearch::QueryOptions query = query_options(options);
  const vsearch::Catalog catalog = open_catalog(options.catalog, options.quiet, options.model);
  const std::vector<vsearch::Hit> hits = search(catalog, options, query);
  if (options.json) {
    print(as_json(hits));
  } else if (!hits.empty()) {
    print(as_table(hits));
  } else if (!options.quiet) {
    say(options.where ? "no items match --where" : "the catalogue has no items to compare with");
  }
  return kDone;
}

}  // namespace

Command search_command(CLI::App& vsx) {
  const auto options = std::make_shared<SearchArguments>();
  CLI::App* app =
      vsx.add_subcommand("search", "Find the items that look like a picture, an item or words");
  add_positional(app, "CATALOG", options->catalog, "A catalogue made by vsx init");
  app->add_option("--image", options->image, "Look for what is like this picture")
      ->type_name("FILE");
  app->add_option("--like", options->like, "Look for what is like this item, itself left out")
      ->type_name("KEY");
  app->add_option("--text", options->text,
                  "Look for what these words say, where the model understands words")
      ->type_name("WORDS");
  app->add_option("-k", options->k, "Hits wanted, at most")->type_name("N")->capture_default_str();
  app->add_option("--where", options->where, "Only items whose metadata meet this condition")
      ->type_name("EXPR");
  app->add_flag("--json", options->json, "Print {\"hits\": [...]} instead of a table");
  app->add_flag("--exact", options->exact, "Compare with every picture: slower, never misses one");
  app->add_option("--breadth", options->breadth,
                  "How far the index looks around: more finds more and takes longer")
      ->type_name("N")
      ->capture_default_str();
  add_model_options(app, options->model);
  add_quiet_flag(app, options->quiet);
  app->footer(
      "Examples:\n"
      "  vsx search shop.vsearch --image photo.jpg\n"
      "  vsx search shop.vsearch --like shirts/red.jpg -k 5\n"
      "  vsx search shop.vsearch --image photo.jpg --where \"colour = 'red' AND price < 50\"\n"
      "  vsx search shop.vsearch --text 'red running shoes'\n"
      "  vsx search shop.vsearch --image photo.jpg --json\n\n"
      "Conditions: = != < <= > >= IN BETWEEN LIKE HAS, IS NULL, IS NOT NULL, AND OR NOT, "
      "parentheses.");
  return {app, [options] { return run(*options); }};
}

}  // namespace vsx
