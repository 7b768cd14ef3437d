// vsx add: pictures, files or whole folders, become items.
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "catalogs.h"
#include "commands.h"
#include "console.h"
#include "failures.h"
#include "progress.h"
#include "vsearch/error.h"
#include "vsearch/source.h"

namespace vsx {
namespace {

constexpr std::size_t kShownRows = 3;

struct AddArguments {
  std::string catalog;
  std::vector<std::string> paths;
  std::string metadata_file;
  std::optional<std::string> key_column;
  ModelOptions model;
  bool quiet = false;
};

vsearch::SourceListing read_listing(const AddArguments& options) {
  vsearch::FilesSource source;
  source.paths.assign(options.paths.begin(), options.paths.end());
  source.metadata = options.metadata_file;
  source.key_column = options.key_column;
  return vsearch::list_source(source);
}

std::vector<vsearch::Item> items_of(const vsearch::SourceListing& listing) {
  std::vector<vsearch::Item> items;
  items.reserve(listing.items.size());
  for (const vsearch::SourceItem& from : listing.items) {
    vsearch::Item& item = items.emplace_back();
    item.key = from.key;
    item.metadata = from.metadata;
    for (const vsearch::SourcePicture& picture : from.pictures) {
      item.pictures.push_back({.path = picture.path});
    }
  }
  return items;
}

// Where some of the metadata file and of the pictures do not fit together: no error.
void tell_mismatch(const AddArguments& options, const vsearch::SourceListing& listing) {
  for (const std::string& problem : listing.problems) say("warning: " + problem);
  if (options.metadata_file.empty()) return;
  if (!listing.unused_rows.empty()) {
    const std::vector<std::string>& rows = listing.unused_rows;
    const auto shown =
        rows.begin() + static_cast<std::ptrdiff_t>(std::min(rows.size(), kShownRows));
    say(fmt::format("warning: {} of '{}' without a picture at the paths given: {}{}",
                    counted(rows.size(), "row"), options.metadata_file,
                    fmt::join(rows.begin(), shown, ", "), shown == rows.end() ? "" : ", ..."));
  }
  if (listing.undescribed > 0 && !options.quiet) {
    say(fmt::format("{} without a row in '{}', added without metadata",
                    counted(listing.undescribed, "picture"), options.metadata_file));
  }
}

int run(const AddArguments& options) {
  if (options.key_column && options.metadata_file.empty()) {
    throw UsageError(
        "--key-column says which column of the --metadata file holds the key; name one");
  }
  vsearch::Catalog catalog = open_catalog(options.catalog, options.quiet, options.model);
  const vsearch::SourceListing listing = read_listing(options);
  tell_mismatch(options, listing);

  const std::vector<vsearch::Item> items = items_of(listing);
  const std::uint64_t items_before = catalog.info().items;
  ProgressDisplay display("adding", "items", options.quiet);
  try {
    const vsearch::AddReport report = catalog.add(items, display.callback());
    const double seconds = display.seconds();
    show_status({});
    if (!options.quiet) tell_added("added", report, seconds);
    tell_failures("added", report.failures);
    return report.failures.empty() && listing.problems.empty() ? kDone : kPartlyDone;
  } catch (const vsearch::Error& error) {
    if (error.code() != vsearch::ErrorCode::kCancelled) throw;
    show_status({});
    say(
        fmt::format("stopped after {} of {}; the catalogue holds {} ({} before)\n"
                    "  nothing committed is lost; run the same command again to add the rest",
                    with_commas(display.done()), counted(items.size(), "item"),
                    counted(catalog.info().items, "item"), with_commas(items_before)));
    return kInterrupted;
  }
}

}  // namespace

Command add_command(CLI::App& vsx) {
  const auto options = std::make_shared<AddArguments>();
  CLI::App* app = vsx.add_subcommand(
      "add", "Add pictures to a catalogue, replacing items whose keys are there");
  add_positional(app, "CATALOG", options->catalog, "A catalogue made by vsx init");
  add_positional(app, "PATH", options->paths, "Pictures, or folders with pictures in them");
  app->add_option("--metadata", options->metadata_file,
                  "What is known of the pictures: .csv or .jsonl")
      ->type_name("FILE");
  app->add_option("--key-column", options->key_column,
                  "Which column of it holds the items' keys (default: key)")
      ->type_name("NAME");
  add_model_options(app, options->model);
  add_quiet_flag(app, options->quiet);
  app->footer(
      "The key of a picture is its path within the folder given; that of a single file is its "
      "name.\n"
      "In the metadata file the column 'path' or 'key' names a picture, the others become "
      "metadata;\n"
      "rows with one key make one item of several pictures.\n\n"
      "Examples:\n"
      "  vsx add shop.vsearch photos/\n"
      "  vsx add shop.vsearch new/shirt.jpg new/shoe.png\n"
      "  vsx add shop.vsearch fashion/ --metadata fashion/catalog.csv\n"
      "  vsx add shop.vsearch fashion/ --metadata fashion/catalog.csv --key-column sku\n\n"
      "Exit codes: 0 all added, 1 error, 2 wrong usage, 3 some pictures could not be added,\n"
      "130 stopped by Ctrl-C (what was committed stays).");
  return {app, [options] { return run(*options); }};
}

}  // namespace vsx
