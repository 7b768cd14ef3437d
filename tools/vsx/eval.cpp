// vsx eval: how good models, or a catalogue, are at finding.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "catalogs.h"
#include "commands.h"
#include "console.h"
#include "facts.h"
#include "failures.h"
#include "measured.h"
#include "progress.h"
#include "table.h"
#include "vsearch/evaluator.h"
#include "vsearch/labelled_queries.h"
#include "vsearch/report.h"

namespace vsx {
namespace {

struct EvalArguments {
  std::vector<std::string> subjects;  // models, or one catalogue
  std::vector<std::string> datasets;
  std::vector<std::string> roots;
  std::vector<std::string> protocols;
  std::vector<std::string> reranks;
  std::string queries;
  std::string html;
  std::string cache;
  std::uint32_t bootstrap = vsearch::EvaluationOptions().bootstrap;
  bool incomplete = false;
  bool every_query = false;
  bool exact = false;
  bool json = false;
  ModelOptions model;
  bool quiet = false;
};

// 0.5484 -> "54.8".
std::string percent(double share) {
  return std::isfinite(share) ? fmt::format("{:.1f}", 100 * share) : "-";
}

std::string with_interval(const vsearch::Estimate& estimate) {
  return fmt::format("{} ({}–{})", percent(estimate.mean), percent(estimate.low),
                     percent(estimate.high));
}

// What a table shows; JSON and the page have all.
bool is_shown(const std::string& metric) {
  return metric.starts_with("R@") || metric == "mAP" || metric == "R-Prec";
}

std::string system_of(const vsearch::Evaluation& evaluation) {
  return evaluation.rerank == "none" ? evaluation.encoder_name
                                     : evaluation.encoder_name + " + " + evaluation.rerank;
}

// The mAP of a query, of all queries of a protocol.
std::vector<float> precisions(const vsearch::ProtocolResult& result) {
  const std::size_t column = result.scores.column("mAP");
  std::vector<float> values;
  for (std::size_t q = 0; q < result.scores.values.rows; ++q) {
    values.push_back(result.scores.values.row(q)[column]);
  }
  return values;
}

// What each system gains over the first one on the same queries.
std::string comparisons(const std::vector<vsearch::Evaluation>& evaluations) {
  Table table({{"mAP against " + system_of(evaluations.front()), Shorten::kEnd},
               {"data set"},
               {"protocol"},
               {"gain"},
               {"p"},
               {"better"},
               {"worse"}});
  bool any = false;
  for (const vsearch::Evaluation& evaluation : evaluations) {
    const auto first = std::ranges::find(evaluations, evaluation.dataset_fingerprint,
                                         &vsearch::Evaluation::dataset_fingerprint);
    if (&*first == &evaluation || system_of(*first) != system_of(evaluations.front())) continue;
    for (std::size_t i = 0; i < evaluation.protocols.size(); ++i) {
      const vsearch::ProtocolResult& result = evaluation.protocols[i];
      if (first->protocols[i].pictures != result.pictures) continue;  // other ones were skipped
      const vsearch::PairedComparison found =
          vsearch::compare_paired(precisions(first->protocols[i]), precisions(result));
      table.add_row({system_of(evaluation), evaluation.dataset, result.protocol,
                     fmt::format("{:+.1f} ({:+.1f} to {:+.1f})", 100 * found.difference.mean,
                                 100 * found.difference.low, 100 * found.difference.high),
                     fmt::format("{:.4f}", found.p_value), with_commas(found.better),
                     with_commas(found.worse)});
      any = true;
    }
  }
  return any ? "\n" + table.text() + "Points of mAP on the same queries; p by a permutation test.\n"
             : std::string();
}

std::string as_table(const std::vector<vsearch::Evaluation>& evaluations) {
  std::vector<Column> columns{
      {"model", Shorten::kEnd}, {"re-ranking"}, {"data set"}, {"protocol"}, {"queries"}};
  const std::vector<std::string>& metrics = evaluations.front().protocols.front().metrics;
  for (const std::string& metric : metrics) {
    if (is_shown(metric)) columns.push_back({metric});
  }
  Table table(std::move(columns));
  const auto add = [&](const vsearch::Evaluation& evaluation, const std::string& protocol,
                       std::uint64_t queries, const std::vector<vsearch::Estimate>& estimates) {
    std::vector<std::string> cells{evaluation.encoder_name,
                                   evaluation.rerank == "none" ? "" : evaluation.rerank,
                                   evaluation.dataset, protocol, with_commas(queries)};
    for (std::size_t i = 0; i < metrics.size(); ++i) {
      if (is_shown(metrics[i])) cells.push_back(with_interval(estimates[i]));
    }
    table.add_row(std::move(cells));
  };
  for (const vsearch::Evaluation& evaluation : evaluations) {
    for (const vsearch::ProtocolResult& result : evaluation.protocols) {
      add(evaluation, result.protocol, result.queries - result.without_answer, result.estimates);
      if (result.across_domains) {
        add(evaluation, result.protocol + ", other domain", result.across_domains->front().count,
            *result.across_domains);
      }
    }
  }
  return table.text() + "Percent, with 95 % confidence intervals.\n" + comparisons(evaluations);
}

std::string as_table(const vsearch::CatalogEvaluation& evaluation) {
  Table table({{"metric"}, {"as customers find it"}, {"compared with every picture"}});
  for (std::size_t i = 0; i < evaluation.metrics.size(); ++i) {
    table.add_row({evaluation.metrics[i], with_interval(evaluation.estimates[i]),
                   with_interval(evaluation.exact_estimates[i])});
  }
  return fmt::format("{} queries over {}\n", with_commas(evaluation.queries),
                     counted(evaluation.items, "item")) +
         table.text() + "Percent, with 95 % confidence intervals.\n";
}

int evaluate_catalog(const EvalArguments& options) {
  if (options.queries.empty()) {
    throw UsageError(
        "a catalogue is measured with --queries FILE; a model with --root DIR, and --dataset NAME "
        "where the layout of DIR does not tell it");
  }
  if (!options.protocols.empty() || !options.reranks.empty() || !options.cache.empty() ||
      options.incomplete || options.every_query) {
    throw UsageError(
        "--protocol, --rerank, --cache, --incomplete and --every-query are for models that are "
        "measured on a data set, not for a catalogue");
  }
  const std::vector<vsearch::LabelledQuery> queries =
      vsearch::read_labelled_queries(options.queries);
  const vsearch::Catalog catalog =
      open_catalog(options.subjects.front(), options.quiet, options.model);
  ProgressDisplay display("asking", "queries", options.quiet);
  vsearch::CatalogEvaluationOptions how;
  how.bootstrap = options.bootstrap;
  how.exact = options.exact;
  how.progress = display.callback();
  const vsearch::CatalogEvaluation evaluation = vsearch::evaluate(catalog, queries, how);
  show_status({});
  std::vector<std::string> failed;
  for (const auto& query : evaluation.failed) {
    failed.push_back(fmt::format("{}: {}", query.query, query.message));
  }
  if (!failed.empty()) {
    tell_list(fmt::format("{} queries could not be asked:", with_commas(failed.size())), failed);
  }
  print(options.json ? vsearch::to_json(evaluation) + "\n" : as_table(evaluation));
  if (!options.html.empty()) {
    vsearch::ReportInput input;
    input.catalog = &evaluation;
    save_report(options.html, input, options.quiet);
  }
  return failed.empty() ? kDone : kPartlyDone;
}

std::vector<vsearch::RerankOptions> reranks_of(const EvalArguments& options) {
  std::vector<vsearch::RerankOptions> reranks;
  try {
    for (const std::string& text : options.reranks) reranks.push_back(vsearch::parse_rerank(text));
  } catch (const vsearch::Error& error) {
    throw UsageError(error.what());
  }
  if (reranks.empty()) reranks.emplace_back();
  return reranks;
}

int evaluate_models(const EvalArguments& options) {
  if (options.exact) throw UsageError("--exact is for a catalogue; models are compared exactly");
  if (options.every_query && !options.json) {
    throw UsageError("--every-query says what --json has of each query: give both");
  }
  const std::vector<vsearch::RerankOptions> reranks = reranks_of(options);
  const std::vector<vsearch::Dataset> datasets =
      load_datasets(options.datasets, options.roots, options.incomplete);
  vsearch::EvaluationOptions how;
  how.protocols = options.protocols;
  how.bootstrap = options.bootstrap;
  how.retrieval.keep_answers = options.html.empty() ? 0 : vsearch::kReportAnswers;
  how.cache = cache_folder(options.cache);
  for (const vsearch::Dataset& dataset : datasets) {  // before anything is encoded
    for (const std::string& protocol : options.protocols) dataset.protocol(protocol);
  }
  std::vector<vsearch::Evaluation> evaluations;
  bool all = true;
  for (const std::string& model : options.subjects) {
    const std::shared_ptr<vsearch::Encoder> encoder = load_model(model, options.model);
    for (const vsearch::Dataset& dataset : datasets) {
      ProgressDisplay display(
          fmt::format("encoding {} with {}", dataset.name, encoder->info().name), "pictures",
          options.quiet);
      how.progress = display.callback();
      const vsearch::DatasetEmbeddings embeddings = vsearch::embed_dataset(*encoder, dataset, how);
      show_status({});
      tell_failures("read", embeddings.skipped);
      all = all && embeddings.skipped.empty();
      for (const vsearch::RerankOptions& rerank : reranks) {
        how.rerank = rerank;
        evaluations.push_back(vsearch::evaluate(embeddings, encoder->info(), dataset, how));
      }
    }
  }
  if (options.json) {
    std::string text = "[\n";
    for (std::size_t i = 0; i < evaluations.size(); ++i) {
      text += (i > 0 ? ",\n" : "") + vsearch::to_json(evaluations[i], options.every_query);
    }
    print(text + "\n]\n");
  } else {
    print(as_table(evaluations));
  }
  if (!options.html.empty()) {
    vsearch::ReportInput input;
    input.evaluations = evaluations;
    if (datasets.size() == 1) input.dataset = &datasets.front();
    save_report(options.html, input, options.quiet);
  }
  return all ? kDone : kPartlyDone;
}

int run(const EvalArguments& options) {
  check_output(options.html, "--html");
  if (options.datasets.empty() && options.roots.empty()) {
    if (options.subjects.size() > 1) {
      throw UsageError("several models are compared on a data set: give --dataset and --root");
    }
    return evaluate_catalog(options);
  }
  if (!options.queries.empty()) {
    throw UsageError("--queries are for a catalogue, --dataset and --root for models: give either");
  }
  return evaluate_models(options);
}

}  // namespace

Command eval_command(CLI::App& vsx) {
  const auto options = std::make_shared<EvalArguments>();
  CLI::App* app =
      vsx.add_subcommand("eval", "Measure how good models or a catalogue are at finding");
  add_positional(app, "MODEL|CATALOG", options->subjects,
                 "Models, by path or name, or one catalogue");
  add_dataset_options(app, options->datasets, options->roots, options->incomplete);
  app->add_option("--protocol", options->protocols,
                  "Only this one of the data set's; may be given again")
      ->type_name("NAME");
  app->add_option(
         "--rerank", options->reranks,
         "none, qe:N[:ALPHA] (expand queries), dba:N (expand the gallery), qe:N+dba:N; may "
         "be given again to compare")
      ->type_name("HOW");
  app->add_option("--queries", options->queries,
                  "For a catalogue: queries with known answers, .csv or .jsonl: key or path, and "
                  "relevant, the keys of the answers with | between them")
      ->type_name("FILE");
  app->add_option("--html", options->html, "Write a report to look at")->type_name("FILE");
  app->add_option("--cache", options->cache, "Where embeddings are kept; 'none': nowhere")
      ->type_name("DIR");
  app->add_option("--bootstrap", options->bootstrap, "Resamples behind the confidence intervals")
      ->type_name("N")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app->add_flag("--exact", options->exact, "For a catalogue: compare with every picture");
  app->add_flag("--json", options->json, "Print JSON");
  app->add_flag("--every-query", options->every_query,
                "With --json: the figures of each query too");
  add_model_options(app, options->model);
  add_quiet_flag(app, options->quiet);
  app->footer(
      "Examples:\n"
      "  vsx eval efficientnet-lite0 --dataset folder --root photos/ --html report.html\n"
      "  vsx eval dinov2-small clip-vit-base-patch16 --dataset gpr1200 --root GPR1200/ --rerank "
      "none --rerank qe:10\n"
      "  vsx eval shop.vsearch --queries known.csv\n\n"
      "Data sets, as they are published (docs/datasets.md):\n  " +
      dataset_names() +
      "\n"
      "A run that was stopped goes on where it was: embeddings are kept in --cache, by default in\n"
      "vsearch/embeddings of the user's cache folder.\n"
      "Exit codes: 0 done, 1 error, 2 wrong usage, 3 some pictures or queries were left out, 130\n"
      "stopped by Ctrl-C.");
  return {app, [options] { return run(*options); }};
}

}  // namespace vsx
