// vsx sync: a catalogue is brought in step with what a shop has.
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalogs.h"
#include "commands.h"
#include "console.h"
#include "failures.h"
#include "progress.h"
#include "shares.h"
#include "signals.h"
#include "sync_report.h"
#include "vsearch/error.h"
#include "vsearch/source.h"

namespace vsx {
namespace {

namespace fs = std::filesystem;

struct SyncArguments {
  std::string catalog;
  std::vector<std::string> sources;
  std::string database;
  std::string query;
  std::optional<std::string> keys;
  std::string metadata;
  std::optional<std::string> key_column;
  std::string prefix;
  std::optional<std::string> max_removed;
  bool no_remove = false;
  std::string duplicates = "keep";
  std::optional<float> duplicate_distance;
  bool dry_run = false;
  bool watch = false;
  bool verbose = false;
  bool json = false;
  ModelOptions model;
  bool quiet = false;
};

bool is_manifest(const std::string& source) {
  std::string ending = fs::path(source).extension().string();
  std::ranges::transform(ending, ending.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return (ending == ".csv" || ending == ".jsonl" || ending == ".ndjson") &&
         !fs::is_directory(source);
}

vsearch::KeyRule key_rule(const SyncArguments& options) {
  if (!options.keys) return vsearch::KeyRule::kPath;
  const std::optional<vsearch::KeyRule> rule = vsearch::find_key_rule(*options.keys);
  if (rule) return *rule;
  throw UsageError(fmt::format("--keys is path, stem, name or folder, not '{}'", *options.keys));
}

vsearch::FilesSource files_source(const SyncArguments& options) {
  vsearch::FilesSource source;
  source.paths.assign(options.sources.begin(), options.sources.end());
  source.keys = key_rule(options);
  source.metadata = options.metadata;
  source.key_column = options.key_column;
  if (options.key_column && options.metadata.empty()) {
    throw UsageError(
        "--key-column says which column of the --metadata file holds the key; name one");
  }
  return source;
}

vsearch::Source source_of(const SyncArguments& options) {
  if (options.sources.empty() == options.database.empty()) {
    throw UsageError("say what to follow: either SOURCE... or --sqlite DB with --query");
  }
  if (options.database.empty() != options.query.empty()) {
    throw UsageError("--sqlite names a database and --query asks it: give both, or neither");
  }
  const bool manifest = std::ranges::any_of(options.sources, is_manifest);
  if (manifest && options.sources.size() > 1) {
    throw UsageError(
        "a .csv or .jsonl file is a source of its own; what is known of pictures in folders "
        "goes to --metadata");
  }
  if (!manifest && options.database.empty()) return files_source(options);
  if (options.keys || !options.metadata.empty()) {
    throw UsageError("--keys and --metadata are about folders and pictures; this source has rows");
  }
  const std::string key_column = options.key_column.value_or("key");
  if (manifest) return vsearch::ManifestSource{options.sources.front(), key_column};
  return vsearch::SqlSource{options.database, options.query, key_column};
}

vsearch::SyncOptions sync_options(const SyncArguments& options) {
  vsearch::SyncOptions sync;
  sync.dry_run = options.dry_run;
  sync.remove_missing = !options.no_remove;
  sync.key_prefix = options.prefix;
  if (options.duplicate_distance) {
    if (options.duplicates == "keep") {
      throw UsageError("--duplicate-distance says what duplicates are: give --duplicates too");
    }
    sync.duplicate_distance = *options.duplicate_distance;
  }
  if (options.max_removed) {
    sync.max_removed_share = parse_share("--max-removed", *options.max_removed);
  }
  if (options.duplicates == "skip") {
    sync.duplicates = vsearch::Duplicates::kSkip;
  } else if (options.duplicates == "link") {
    sync.duplicates = vsearch::Duplicates::kLink;
  } else if (options.duplicates != "keep") {
    throw UsageError(
        fmt::format("--duplicates is keep, skip or link, not '{}'", options.duplicates));
  }
  return sync;
}

// The refusal in the words of the command line.
std::string told(const vsearch::Error& error) {
  std::string text = error.what();
  if (error.code() == vsearch::ErrorCode::kRefused) {
    text +=
        "\n  with --max-removed 100% all may go; add --dry-run to see which; --no-remove keeps all";
  }
  return text;
}

// Tells one run; returns the exit code.
int tell(const vsearch::SyncReport& report, const SyncArguments& options,
         std::optional<double> seconds) {
  const SyncTelling how{options.dry_run, options.verbose, seconds};
  show_status({});
  if (options.json) {
    print(as_json(report, how, options.watch ? -1 : 2));
  } else if (options.dry_run || options.verbose) {
    print(changes_text(report, how));
  }
  if (!options.quiet) say(summary_of(report, how));
  for (const std::string& problem : report.problems) say("warning: " + problem);
  if (!report.problems.empty()) say("warning: nothing was removed, since not all could be read");
  tell_failures("taken", report.failures);
  return report.failures.empty() && report.problems.empty() ? kDone : kPartlyDone;
}

int watch(vsearch::Catalog& catalog, const vsearch::FilesSource& source,
          const SyncArguments& options, const vsearch::SyncOptions& how) {
  ProgressDisplay display("synchronising", "items", options.quiet);
  const auto progress = [&](std::uint64_t done, std::uint64_t total) {
    // Nothing is under way, or the folders are being read.
    if (total == 0) return !StopSignals::requested();
    return display.update(done, total);
  };
  bool first = true;
  const auto report = [&](const vsearch::SyncReport& result) {
    if (first || !result.changes.empty() || !result.failures.empty() || !result.problems.empty()) {
      tell(result, options, {});
    }
    first = false;
    return !StopSignals::requested();
  };
  const auto trouble = [&](const vsearch::Error& error) {
    show_status({});
    say(told(error) + "\n  it is tried again with the next change");
  };
  if (!options.quiet) {
    say(fmt::format("following {}; Ctrl-C ends it", fmt::join(options.sources, ", ")));
  }
  catalog.watch(source, how, {}, report, trouble, progress);
  return kInterrupted;
}

int run(const SyncArguments& options) {
  const vsearch::Source source = source_of(options);
  const vsearch::SyncOptions how = sync_options(options);
  const auto* const files = std::get_if<vsearch::FilesSource>(&source);
  if (options.watch && files == nullptr) throw UsageError("--watch follows folders only");
  if (options.watch && options.dry_run) {
    throw UsageError("--dry-run changes nothing, so there is nothing to --watch for");
  }
  vsearch::Catalog catalog = open_catalog(options.catalog, options.quiet, options.model);
  if (options.watch) return watch(catalog, *files, options, how);
  ProgressDisplay display(options.dry_run ? "comparing" : "synchronising", "items", options.quiet);
  try {
    const vsearch::SyncReport report = catalog.sync(source, how, display.callback());
    return tell(report, options, display.seconds());
  } catch (const vsearch::Error& error) {
    if (error.code() != vsearch::ErrorCode::kRefused) throw;
    throw vsearch::Error(error.code(), told(error));
  }
}

void add_source_options(CLI::App* app, SyncArguments& options) {
  app->add_option("SOURCE", options.sources,
                  "Folders and pictures; or one table of items, .csv or .jsonl")
      ->type_name("");
  app->add_option("--sqlite", options.database, "Instead: an SQLite database, only read")
      ->type_name("DB");
  app->add_option("--query", options.query,
                  "What it is asked: a SELECT with the columns key and path; the others become "
                  "metadata")
      ->type_name("SELECT");
  app->add_option("--keys", options.keys,
                  "How the key of an item follows from where its picture lies: path (the default), "
                  "stem, name, folder")
      ->type_name("RULE");
  app->add_option("--metadata", options.metadata,
                  "What is known of the pictures in folders: .csv or .jsonl")
      ->type_name("FILE");
  app->add_option("--key-column", options.key_column,
                  "Which column holds the items' keys (default: key)")
      ->type_name("NAME");
  app->add_option("--prefix", options.prefix,
                  "Put before every key; items without it are left alone")
      ->type_name("TEXT");
}

}  // namespace

Command sync_command(CLI::App& vsx) {
  const auto options = std::make_shared<SyncArguments>();
  CLI::App* app = vsx.add_subcommand(
      "sync", "Bring a catalogue in step with folders, a table or a query: add, replace, remove");
  add_positional(app, "CATALOG", options->catalog, "A catalogue made by vsx init");
  add_source_options(app, *options);
  app->add_flag("--dry-run", options->dry_run, "Only show what would be done");
  app->add_flag("--watch", options->watch, "Go on with every change in the folders, until Ctrl-C");
  app->add_option("--max-removed", options->max_removed,
                  "Refuse to remove more than this share of the items: 0.2 or 20% (the default)")
      ->type_name("SHARE");
  app->add_flag("--no-remove", options->no_remove, "Keep items that the source does not list");
  app->add_option("--duplicates", options->duplicates,
                  "New items that look like one that is there: keep, skip, or link (duplicate_of "
                  "in their metadata)")
      ->type_name("NAME")
      ->capture_default_str();
  app->add_option("--duplicate-distance", options->duplicate_distance,
                  fmt::format("Items this near are duplicates (default: {})",
                              vsearch::SyncOptions().duplicate_distance))
      ->type_name("D")
      ->check(CLI::NonNegativeNumber);
  app->add_flag("-v,--verbose", options->verbose, "Show every change");
  app->add_flag("--json", options->json, "Print JSON; with --watch a line for each run");
  add_model_options(app, options->model);
  add_quiet_flag(app, options->quiet);
  app->footer(
      "Examples:\n"
      "  vsx sync shop.vsearch photos/ --dry-run\n"
      "  vsx sync shop.vsearch photos/ --watch\n"
      "  vsx sync shop.vsearch photos/ --keys folder --metadata photos/products.csv\n"
      "  vsx sync shop.vsearch products.jsonl --key-column sku\n"
      "  vsx sync shop.vsearch --sqlite shop.db --query \"SELECT sku AS key, photo AS path, price "
      "FROM products\"\n\n"
      "Only what has changed is encoded. Interrupted at any point, the next run goes on there.\n"
      "Exit codes: 0 done, 1 error or too many would be removed, 2 wrong usage, 3 some pictures "
      "or\n"
      "folders could not be read (their items are as they were), 130 stopped by Ctrl-C.");
  return {app, [options] { return run(*options); }};
}

}  // namespace vsx
