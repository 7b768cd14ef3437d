// vsx reencode: another encoder takes over, if it finds as much.
#include <fmt/format.h>

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "catalogs.h"
#include "commands.h"
#include "console.h"
#include "facts.h"
#include "failures.h"
#include "progress.h"
#include "shares.h"
#include "vsearch/labelled_queries.h"

namespace vsx {
namespace {

using Json = nlohmann::ordered_json;

struct ReencodeArguments {
  std::string catalog;
  std::string encoder;
  std::string queries;
  std::optional<std::string> min_overlap;
  std::optional<std::string> max_recall_loss;
  std::optional<std::string> max_missing;
  bool discard_old = false;
  std::uint32_t k = vsearch::ReencodeOptions().k;
  std::uint32_t sample = vsearch::ReencodeOptions().sample;
  bool json = false;
  ModelOptions model;
  bool quiet = false;
};

vsearch::ReencodeOptions reencode_options(const ReencodeArguments& options) {
  vsearch::ReencodeOptions how;
  if (options.k == 0) throw UsageError("-k is the number of neighbours: at least 1, not 0");
  how.k = options.k;
  how.sample = options.sample;
  how.keep_old = !options.discard_old;
  if (options.min_overlap) how.min_overlap = parse_share("--min-overlap", *options.min_overlap);
  if (options.max_missing) {
    how.max_missing_share = parse_share("--max-missing", *options.max_missing);
  }
  if (options.max_recall_loss) {
    if (options.queries.empty()) {
      throw UsageError("--max-recall-loss is measured with --queries; give a file of them");
    }
    how.max_recall_loss = parse_share("--max-recall-loss", *options.max_recall_loss);
  }
  if (!options.queries.empty()) how.queries = vsearch::read_labelled_queries(options.queries);
  return how;
}

std::string as_json(const vsearch::ReencodeReport& report) {
  Json missing = Json::array();
  for (const vsearch::ReencodeReport::Missing& picture : report.missing) {
    missing.push_back({{"key", picture.key}, {"path", picture.path}, {"message", picture.message}});
  }
  const vsearch::EditionComparison& found = report.comparison;
  const auto recall = [&](double value) { return found.labelled > 0 ? Json(value) : Json(); };
  return Json{{"switched", report.switched},
              {"refusal", report.switched ? Json() : Json(report.refusal)},
              {"edition", report.edition.id},
              {"encoder_name", report.edition.encoder_name},
              {"encoder_fingerprint", report.edition.encoder_fingerprint},
              {"encoded", report.encoded},
              {"reused", report.reused},
              {"k", found.k},
              {"sampled", found.sampled},
              {"overlap", found.overlap},
              {"labelled", found.labelled},
              {"recall_before", recall(found.recall_before)},
              {"recall_after", recall(found.recall_after)},
              {"missing", std::move(missing)}}
             .dump(2, ' ', false, Json::error_handler_t::replace) +
         "\n";
}

std::string as_table(const vsearch::ReencodeReport& report) {
  const vsearch::EditionComparison& found = report.comparison;
  Facts facts{{"encoder", report.edition.encoder_name},
              {"pictures", fmt::format("{} encoded, {} known already", with_commas(report.encoded),
                                       with_commas(report.reused))},
              {"not encoded", with_commas(report.missing.size())}};
  if (found.sampled > 0) {
    facts.emplace_back("overlap", fmt::format("{:.3f} of the {} nearest, for {}", found.overlap,
                                              found.k, counted(found.sampled, "picture")));
  }
  if (found.labelled > 0) {
    const std::string queries =
        found.labelled == 1 ? "1 query" : fmt::format("{} queries", with_commas(found.labelled));
    facts.emplace_back("recall",
                       fmt::format("{:.3f} before, {:.3f} after, at {}, of {}", found.recall_before,
                                   found.recall_after, found.k, queries));
  }
  facts.emplace_back("serves", report.switched ? "yes" : "no");
  return as_text(fmt::format("edition {}", report.edition.id), facts);
}

int run(const ReencodeArguments& options) {
  vsearch::ReencodeOptions how = reencode_options(options);
  vsearch::Catalog catalog = open_catalog(options.catalog, options.quiet, options.model);
  const std::shared_ptr<vsearch::Encoder> encoder = load_model(options.encoder, options.model);
  how.encoder_ref = vsearch::encoder_reference(options.encoder);
  ProgressDisplay display("encoding", "pictures", options.quiet);
  const vsearch::ReencodeReport report = catalog.reencode(encoder, how, display.callback());
  show_status({});
  print(options.json ? as_json(report) : as_table(report));
  tell_missing(report);
  if (!report.switched) {
    say(fmt::format("not switched, and nothing is lost: {}", report.refusal));
    return kFailed;
  }
  if (!options.quiet && how.keep_old) {
    say(fmt::format("the edition before is kept; return to it with: vsx rollback {}",
                    options.catalog));
  }
  return report.missing.empty() ? kDone : kPartlyDone;
}

}  // namespace

Command reencode_command(CLI::App& vsx) {
  const auto options = std::make_shared<ReencodeArguments>();
  CLI::App* app = vsx.add_subcommand(
      "reencode", "Let another model serve a catalogue, after a comparison with the one that does");
  add_positional(app, "CATALOG", options->catalog, "A catalogue made by vsx init");
  app->add_option("--encoder", options->encoder, "A model package, or the name of one")
      ->required()
      ->type_name("MODEL");
  app->add_option("--queries", options->queries,
                  "Queries with known answers, .csv or .jsonl: key or path, and relevant, the keys "
                  "of the answers with | between them")
      ->type_name("FILE");
  app->add_option("--min-overlap", options->min_overlap,
                  "Refuse if fewer of the nearest are the same as before, on average")
      ->type_name("SHARE");
  app->add_option("--max-recall-loss", options->max_recall_loss,
                  "Refuse if the recall of --queries falls by more")
      ->type_name("SHARE");
  app->add_option("--max-missing", options->max_missing,
                  "Let so many pictures be lost that cannot be encoded any more (default: none)")
      ->type_name("SHARE");
  app->add_flag("--discard-old", options->discard_old,
                "Delete the old embeddings after the switch: no way back");
  app->add_option("-k", options->k, "Nearest pictures that are compared")
      ->type_name("N")
      ->capture_default_str();
  app->add_option("--sample", options->sample, "Pictures that are searched for in both")
      ->type_name("N")
      ->capture_default_str();
  app->add_flag("--json", options->json, "Print JSON");
  add_model_options(app, options->model);
  add_quiet_flag(app, options->quiet);
  app->footer(
      "Examples:\n"
      "  vsx reencode shop.vsearch --encoder dinov2-small\n"
      "  vsx reencode shop.vsearch --encoder dinov2-small --queries known.csv --max-recall-loss "
      "1%\n\n"
      "A SHARE is 0.2 or 20%. Refused or interrupted, the embeddings made so far stay: the same\n"
      "command goes on with them, and vsx editions --drop deletes them.\n"
      "Exit codes: 0 switched, 1 error or refused, 2 wrong usage, 3 switched, but some pictures\n"
      "could not be encoded and are not found any more, 130 stopped by Ctrl-C.");
  return {app, [options] { return run(*options); }};
}

}  // namespace vsx
