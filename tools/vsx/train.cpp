// vsx train: a model learns to find better in pictures of one's own.
#include <fmt/format.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "augmentation_options.h"
#include "catalogs.h"
#include "commands.h"
#include "console.h"
#include "failures.h"
#include "measured.h"
#include "shares.h"
#include "signals.h"
#include "train_display.h"
#include "train_measures.h"
#include "vsearch/catalog_dataset.h"
#include "vsearch/encoder.h"
#include "vsearch/error.h"
#include "vsearch/labelled_queries.h"
#include "vsearch/trainer.h"

namespace vsx {
namespace {

using TrainJson = nlohmann::ordered_json;

struct TrainArguments {
  std::string model;
  std::string output;
  std::vector<std::string> datasets;
  std::vector<std::string> roots;
  std::string catalog;
  std::string queries;
  std::vector<std::string> keep_apart;
  std::vector<std::string> also;
  std::string depth{vsearch::depth_name(vsearch::TrainOptions().depth)};
  std::string loss{vsearch::loss_name(vsearch::TrainOptions().loss)};
  std::string head{vsearch::head_name(vsearch::TrainOptions().head)};
  std::string optimiser{vsearch::optimiser_name(vsearch::TrainOptions().optimiser)};
  std::string held_out = "0.2";
  AugmentationOptions augmentation;
  bool no_mix = false;
  std::string work;
  std::string cache;
  std::string json;
  std::string html;
  bool audit = false;
  bool incomplete = false;
  ModelOptions model_options;
  bool quiet = false;
  vsearch::TrainOptions how;  // what needs no translation
};

// "folder:photos/", as --also and --keep-apart take it.
vsearch::Dataset load_other(const std::string& option, const std::string& text, bool incomplete) {
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos || colon + 1 == text.size()) {
    throw UsageError(fmt::format("{} is NAME:DIR, such as folder:photos/, not '{}'", option, text));
  }
  return load_datasets({text.substr(0, colon)}, {text.substr(colon + 1)}, incomplete).front();
}

// What `find` knows by the name that was given.
template <class Find>
auto named(const char* option, const std::string& name, Find find, const char* names) {
  const auto found = find(name);
  if (!found) throw UsageError(fmt::format("{} is {}, not '{}'", option, names, name));
  return *found;
}

vsearch::TrainOptions train_options(const TrainArguments& options) {
  vsearch::TrainOptions how = options.how;
  how.depth = named("--depth", options.depth, vsearch::find_depth, "head, partial or full");
  how.loss = named("--loss", options.loss, vsearch::find_loss,
                   "arcface, subcentre, cosface, normsoftmax, proxyanchor, supcon, triplet or "
                   "multisimilarity");
  how.optimiser = named("--optimiser", options.optimiser, vsearch::find_optimiser, "adamw or sgd");
  how.head =
      named("--head", options.head, vsearch::find_head, "learned, lda, pca or pca-whitening");
  how.held_out_classes = parse_held_out(options.held_out);
  how.augmentation = augmentation_of(options.augmentation);
  how.mix_with_start = !options.no_mix;
  const vsearch::EncoderOptions where = encoder_options(options.model_options);
  how.device = where.device;
  how.device_index = where.device_index;
  how.precision = where.precision;
  how.work = options.work;
  how.cache = cache_folder(options.cache);
  return how;
}

std::string training_json(const vsearch::TrainReport& report,
                          const std::vector<BeforeAndAfter>& measured,
                          const std::optional<Audits>& audits) {
  TrainJson json = TrainJson::parse(vsearch::to_json(report));
  json["measured"] = tuning_json(measured);
  if (audits) json["audit"] = audits_json(*audits);
  return json.dump(2, ' ', false, TrainJson::error_handler_t::replace) + "\n";
}

void tell_tuned(const vsearch::TrainReport& report, bool quiet) {
  if (!report.stopped.empty()) say(report.stopped);
  tell_lost(report.lost);
  for (const std::string& form : report.dropped_forms) {
    say(fmt::format("without a fast form: {}", form));
  }
  if (quiet) return;
  const std::size_t epochs = report.epochs.empty() ? 0 : report.epochs.back().epoch;
  std::string text =
      fmt::format("wrote '{}' after {}: ", report.package.string(), seconds_text(report.seconds));
  text += report.head == vsearch::HeadKind::kLearned
              ? fmt::format("epoch {} of {}", report.best_epoch, epochs)
              : fmt::format("a head of kind {}", vsearch::head_name(report.head));
  if (report.mixture < 1) {
    text +=
        fmt::format(", its weights mixed with {:.0f} % of the start's", 100 * (1 - report.mixture));
  }
  say(text);
  if (report.best_epoch == 0 && report.held_out_map <= report.epochs.front().held_out_map) {
    say(
        fmt::format("among what is held out nothing that was learned finds better than the start; "
                    "try {}",
                    report.depth == vsearch::TrainDepth::kHead
                        ? "--depth partial"
                        : "a lower --rate, or more pictures of each class"));
  }
  const vsearch::TrainWords& words = report.words;
  if (!words.unmoved.empty()) say("words stay as they were: " + words.unmoved);
  if (words.names == 0) return;
  say(
      fmt::format("words went along: names of {} classes find their pictures among {} with mAP "
                  "{:.1f} % (before {:.1f} %, left as they were {:.1f} %)",
                  with_commas(words.names), with_commas(words.pictures), 100 * words.map_after,
                  100 * words.map_before, 100 * words.map_unaligned));
}

// Whether every picture that was to be measured with could be read.
bool tell_unreadable(const std::vector<BeforeAndAfter>& measured) {
  bool all = true;
  for (const BeforeAndAfter& one : measured) {
    tell_failures("read", one.before.skipped);
    all = all && one.before.skipped.empty();
  }
  return all;
}

void save_tuning_report(const std::string& file, const vsearch::TrainReport& report,
                        const vsearch::Dataset& learned,
                        const std::vector<BeforeAndAfter>& measured,
                        const std::optional<Audits>& audits,
                        const std::vector<vsearch::Dataset>& parts, bool quiet) {
  if (file.empty()) return;
  std::vector<vsearch::Evaluation> evaluations;
  for (const BeforeAndAfter& one : measured) evaluations.push_back(one.before);
  for (const BeforeAndAfter& one : measured) evaluations.push_back(one.after);
  vsearch::ReportInput input;
  input.evaluations = evaluations;
  input.training = &report;
  input.learned = &learned;
  if (audits) input.audit = &audits->after;
  if (parts.size() == 1) input.dataset = &parts.front();
  save_report(file, input, quiet);
}

// What is learned from. Of a catalogue, the labels in `how` are those of the data set then.
vsearch::Dataset learned_from(const TrainArguments& options, vsearch::TrainOptions& how) {
  const bool is_folder = !options.roots.empty() || !options.datasets.empty();
  if (options.catalog.empty()) {
    if (options.roots.size() != 1 || !options.queries.empty()) {
      throw UsageError(
          "training needs labelled pictures: give one --root, and --dataset; or --catalog, with "
          "--labels or --queries");
    }
    return load_datasets(options.datasets, options.roots, options.incomplete).front();
  }
  if (is_folder || how.label_fields.empty() == options.queries.empty()) {
    throw UsageError(
        "a catalogue, with --labels (fields of its metadata) or --queries (what belongs together), "
        "is all that is learned from: give either, and no --root");
  }
  // Closed again before training: the shop needs it.
  const vsearch::Catalog catalog = open_catalog(options.catalog, options.quiet);
  if (!options.queries.empty()) {
    return vsearch::catalog_dataset(catalog, vsearch::read_labelled_queries(options.queries));
  }
  return vsearch::catalog_dataset(catalog, std::exchange(how.label_fields, {}));
}

int run(const TrainArguments& options) {
  check_output(options.json, "--json");
  check_output(options.html, "--html");
  vsearch::TrainOptions how = train_options(options);
  const std::string model = vsearch::find_encoder(options.model).string();
  const vsearch::Dataset dataset = learned_from(options, how);
  for (const std::string& other : options.keep_apart) {
    how.keep_apart.push_back(load_other("--keep-apart", other, options.incomplete));
  }
  std::vector<vsearch::Dataset> parts{vsearch::held_out_part(dataset, how),
                                      vsearch::measured_part(dataset, how)};
  std::erase_if(parts, [](const vsearch::Dataset& part) { return part.pictures.empty(); });
  for (const std::string& other : options.also) {
    parts.push_back(load_other("--also", other, options.incomplete));
    how.keep_apart.push_back(parts.back());
  }
  if (parts.empty() && (!options.html.empty() || options.audit)) {
    throw UsageError(
        fmt::format("{} needs pictures that are not learned from: give --also, or --held-out "
                    "with four classes of two pictures or more",
                    options.audit ? "--audit" : "--html"));
  }

  vsearch::TrainReport report;
  {
    TrainDisplay display(dataset, options.quiet);
    report = vsearch::train(model, dataset, options.output, how, display.callback());
  }
  tell_tuned(report, options.quiet);
  // Measuring may take long, and fail.
  save_text(options.json, "--json", training_json(report, {}, {}));
  if (StopSignals::requested()) {
    say(fmt::format("not measured; vsx eval '{}' '{}' --root DIR compares it with its start",
                    options.model, options.output));
    return kInterrupted;
  }

  MeasureOptions measuring;
  measuring.model.device = options.model_options.device;
  // As what is learned behind: nothing of the start, and of a head nothing at all is encoded anew.
  measuring.model.precision = "fp32";
  measuring.cache = how.cache;
  measuring.keep_answers = !options.html.empty();
  measuring.quiet = options.quiet;
  const std::size_t wanted = parts.size();
  const std::vector<BeforeAndAfter> measured =
      measure_tuning(model, options.output, parts, measuring);
  std::optional<Audits> audits;
  save_text(options.json, "--json", training_json(report, measured, audits));
  const bool all = tell_unreadable(measured) && parts.size() == wanted;
  if (wanted == 0) {
    say("nothing was held out, so nothing tells whether it finds better; measure it with vsx eval");
  } else if (!measured.empty()) {
    print(tuning_table(measured));
  }
  save_tuning_report(options.html, report, dataset, measured, audits, parts, options.quiet);
  if (options.audit && !parts.empty()) {  // may take long, too
    audits = audit_tuning(model, options.output, parts.front(), measuring);
    save_text(options.json, "--json", training_json(report, measured, audits));
    print("\n" + audits_table(*audits));
    save_tuning_report(options.html, report, dataset, measured, audits, parts, true);
  }
  if (!options.quiet) {
    say(fmt::format("use it with: vsx reencode shop.vsearch --encoder '{}'", options.output));
  }
  return all ? kDone : kPartlyDone;
}

void add_data_options(CLI::App* app, TrainArguments& options) {
  add_dataset_options(app, options.datasets, options.roots, options.incomplete);
  app->add_option("--labels", options.how.label_fields,
                  "Learn these fields of the data set, combined, instead of its classes; of a "
                  "catalogue these fields of the metadata")
      ->type_name("FIELD[,FIELD]")
      ->delimiter(',');
  app->add_option("--catalog", options.catalog,
                  "Learn from the picture files of a catalogue, with --labels or --queries")
      ->type_name("CATALOG");
  app->add_option("--queries", options.queries,
                  "For a catalogue: what belongs together, such as what customers chose, .csv or "
                  ".jsonl: key or path, and relevant, keys with | between them")
      ->type_name("FILE");
  app->add_option("--split", options.how.split,
                  "Learn from this split; if not given from 'train' where there is one, else from "
                  "all but val, test, query and gallery")
      ->type_name("NAME");
  app->add_option("--held-out", options.held_out,
                  "Share of the classes that is measured with instead of learned, where no picture "
                  "is of split 'val'; 0: none")
      ->type_name("SHARE")
      ->capture_default_str();
  app->add_option("--keep-apart", options.keep_apart,
                  "A data set whose near-duplicates are not learned from; may be given again")
      ->type_name("NAME:DIR");
  app->add_option("--also", options.also,
                  "A data set to measure before and after, kept apart too: what was forgotten; may "
                  "be given again")
      ->type_name("NAME:DIR");
}

void add_loss_options(CLI::App* app, TrainArguments& options) {
  vsearch::TrainOptions& how = options.how;
  app->add_option("--depth", options.depth,
                  "How much changes: head (a map behind the network), partial (its last blocks), "
                  "full (all of it)")
      ->type_name("NAME")
      ->capture_default_str();
  app->add_option("--loss", options.loss,
                  "What is made small: arcface, subcentre, cosface, normsoftmax, proxyanchor, "
                  "supcon, triplet, multisimilarity")
      ->type_name("NAME")
      ->capture_default_str();
  app->add_option("--margin", how.margin,
                  "Of the loss; if not given what suits it (docs/training.md)")
      ->type_name("X");
  app->add_option("--scale", how.scale, "Likewise")->type_name("X");
  app->add_option("--sub-centres", how.sub_centres, "Centres of a class, for subcentre")
      ->type_name("N")
      ->capture_default_str();
  app->add_option("--blocks", how.blocks, "Last blocks of the network that partial tunes")
      ->type_name("N")
      ->capture_default_str();
  app->add_option("--lora-rank", how.lora_rank,
                  "Matrices of a network change by a product of this rank alone; 0: freely")
      ->type_name("N")
      ->capture_default_str();
  app->add_option("--head", options.head,
                  "What depth head puts behind the network: learned (by the loss), lda, pca, "
                  "pca-whitening (computed at once)")
      ->type_name("NAME")
      ->capture_default_str();
  app->add_option("--hidden", how.hidden,
                  "Hidden units beside the linear map of a learned head; 0: none")
      ->type_name("N")
      ->capture_default_str();
  app->add_option("--dim", how.dim, "Of the new embeddings, for head; 0: as before")
      ->type_name("N")
      ->capture_default_str();
  app->add_option("--keep-start", how.keep_start,
                  "How strongly embeddings are held near those of the start model; 0: not")
      ->type_name("X")
      ->capture_default_str();
  app->add_flag("--no-mix", options.no_mix,
                "Do not mix the weights with the start's in the end, as what is held out advises");
}

void add_step_options(CLI::App* app, TrainArguments& options) {
  vsearch::TrainOptions& how = options.how;
  app->add_option("--epochs", how.epochs,
                  "Passes over the pictures; if not given 60 for head, else 12")
      ->type_name("N");
  app->add_option("--batch-size", how.batch_size,
                  "Pictures in a step; if not given 256 for head, else 48")
      ->type_name("N");
  app->add_option(
         "--rate", how.rate,
         "Learning rate of the network, at its highest; if not given 1e-4 for partial, 6e-5 for "
         "full, 1e-3 with --lora-rank")
      ->type_name("X");
  app->add_option(
         "--head-rate", how.head_rate,
         "Learning rate of the head and of the loss; if not given 1e-3 for head, else 1e-2")
      ->type_name("X");
  app->add_option("--weight-decay", how.weight_decay, "Weight decay of AdamW")
      ->type_name("X")
      ->capture_default_str();
  app->add_option("--layer-decay", how.layer_decay,
                  "Each block towards the input learns at this rate of the next")
      ->type_name("X")
      ->capture_default_str();
  app->add_option("--warm-up", how.warm_up, "Share of the steps in which rates rise")
      ->type_name("SHARE")
      ->capture_default_str();
  app->add_option("--clip-gradients", how.clip_gradients, "To this length; 0: not")
      ->type_name("X")
      ->capture_default_str();
  app->add_option("--optimiser", options.optimiser, "Of a network: adamw, sgd")
      ->type_name("NAME")
      ->capture_default_str();
  app->add_option(
         "--accumulate", how.accumulate,
         "Batches that make one step of a network, where large ones do not fit into memory")
      ->type_name("N")
      ->capture_default_str();
  app->add_option(
         "--mean-decay", how.mean_decay,
         "Measure and write the running mean of a network's weights, such as 0.999; 0: not")
      ->type_name("X")
      ->capture_default_str();
  app->add_option("--per-class", how.per_class,
                  "Pictures of a class in a batch; 0: drawn one by one, or 4 for losses that "
                  "compare pictures")
      ->type_name("N")
      ->capture_default_str();
  app->add_flag("--balance-classes", how.balance_classes, "Rare classes as often as others");
  app->add_option("--balance-field", how.balance_field,
                  "Values of this field, or of 'domain', equally often")
      ->type_name("FIELD");
  app->add_option("--batch-field", how.batch_field,
                  "A batch is of one value of this field, or of 'domain': hard to tell apart")
      ->type_name("FIELD");
  app->add_flag("--in-turn", how.in_turn, "With --batch-field: values take turns");
  app->add_flag("--own-classifiers", how.own_classifiers,
                "With --batch-field: each value has a classifier of its own");
  app->add_option("--cut-mix", how.cut_mix,
                  "How often the pictures of a network's batch get a part of each other")
      ->type_name("SHARE")
      ->capture_default_str();
  app->add_option("--patience", how.patience,
                  "End when so many epochs in a row found no better; 0: never")
      ->type_name("N")
      ->capture_default_str();
  app->add_option("--seed", how.seed, "Of all that is drawn")
      ->type_name("N")
      ->capture_default_str();
}

}  // namespace

Command train_command(CLI::App& vsx) {
  const auto options = std::make_shared<TrainArguments>();
  CLI::App* app =
      vsx.add_subcommand("train", "Tune a model on labelled pictures so that it finds better");
  add_positional(app, "MODEL", options->model, "The start: a model package, or the name of one");
  app->add_option("-o,--output", options->output, "The package to write")
      ->required()
      ->type_name("OUT.vsm.pt");
  add_data_options(app, *options);
  add_loss_options(app, *options);
  add_step_options(app, *options);
  add_augmentation_options(app, options->augmentation);
  app->add_option("--precision", options->model_options.precision,
                  "In which numbers a step is computed: auto (the faster here), fp32, bf16")
      ->type_name("NAME")
      ->capture_default_str();
  app->add_option("--device", options->model_options.device,
                  "Where it computes: cpu, cuda, cuda:1, ...")
      ->type_name("NAME")
      ->capture_default_str();
  app->add_option("--work", options->work,
                  "A folder for checkpoints and the log; the same command goes on from there")
      ->type_name("DIR");
  app->add_option("--cache", options->cache, "Where embeddings are kept; 'none': nowhere")
      ->type_name("DIR");
  app->add_flag("--audit", options->audit,
                "Also audit both models for background, colour and collapse, on the first of what "
                "is measured");
  app->add_option("--json", options->json, "Write all that was found out, as JSON")
      ->type_name("FILE");
  app->add_option("--html", options->html, "Write a report that compares both models")
      ->type_name("FILE");
  add_quiet_flag(app, options->quiet);
  app->footer(
      "Examples:\n"
      "  vsx train efficientnet-lite0 --dataset folder --root photos/ -o tuned.vsm.pt\n"
      "  vsx train dinov2-small --dataset grocery --root GroceryStoreDataset/ --depth partial \\\n"
      "    --also gpr1200:GPR1200/ --work run1 -o tuned.vsm.pt\n"
      "  vsx train efficientnet-lite0 --catalog shop.vsearch --queries clicks.csv -o "
      "tuned.vsm.pt\n\n"
      "docs/training.md tells which depth and loss suit what. Ctrl-C ends training and writes the\n"
      "best so far; with --work the same command goes on.\n"
      "Exit codes: 0 done, 1 error, 2 wrong usage, 3 some pictures could not be measured with, "
      "130\n"
      "stopped by Ctrl-C.");
  return {app, [options] { return run(*options); }};
}

}  // namespace vsx
