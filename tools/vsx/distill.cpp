// vsx distill: a small, fast model learns from a large one.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "augmentation_options.h"
#include "catalogs.h"
#include "commands.h"
#include "console.h"
#include "failures.h"
#include "measured.h"
#include "shares.h"
#include "signals.h"
#include "table.h"
#include "train_display.h"
#include "vsearch/distillation.h"
#include "vsearch/encoder.h"

namespace vsx {
namespace {

struct DistillArguments {
  std::string teacher;
  std::string student = "vit";
  std::vector<std::string> pictures;
  std::string output;
  std::string held_out = "0.1";
  AugmentationOptions augmentation;
  ModelOptions model_options;
  std::string work;
  std::string json;
  bool quiet = false;
  vsearch::DistillOptions how;  // what needs no translation
};

vsearch::DistillOptions distill_options(const DistillArguments& options) {
  vsearch::DistillOptions how = options.how;
  how.held_out = parse_held_out(options.held_out);
  how.augmentation = augmentation_of(options.augmentation);
  const vsearch::EncoderOptions where = encoder_options(options.model_options);
  how.device = where.device;
  how.device_index = where.device_index;
  how.precision = where.precision;
  how.work = options.work;
  return how;
}

std::string cosine_text(double value) {
  return std::isfinite(value) ? fmt::format("{:.4f}", value) : "-";
}

const vsearch::DistillEpoch& best_of(const vsearch::DistillReport& report) {
  return *std::ranges::find(report.epochs, report.best_epoch, &vsearch::DistillEpoch::epoch);
}

// The two models, and where the student began and ended.
std::string distill_table(const vsearch::DistillReport& report) {
  Table models({{"model"}, {"parameters"}, {"input"}, {"dim"}, {"pictures/s, fp32"}});
  const auto add = [&](const char* name, const vsearch::DistillModel& model) {
    models.add_row({name, with_commas(model.parameters),
                    fmt::format("{} x {}", model.width_px, model.height_px),
                    std::to_string(model.dim), fmt::format("{:.1f}", model.pictures_per_second)});
  };
  add("teacher", report.teacher);
  add("student", report.student);
  Table epochs({{"epoch"}, {"loss"}, {"cosine to the teacher"}, {"its 10 neighbours found"}});
  const auto add_epoch = [&](const vsearch::DistillEpoch& epoch) {
    epochs.add_row({std::to_string(epoch.epoch),
                    epoch.epoch == 0 ? "-" : fmt::format("{:.4f}", epoch.loss),
                    cosine_text(epoch.held_out_cosine), share_text(epoch.held_out_overlap_at_10)});
  };
  add_epoch(report.epochs.front());
  if (report.best_epoch != 0) add_epoch(best_of(report));
  return models.text() + "\n" + epochs.text() +
         (report.held_out == 0 ? std::string("Nothing was held out to measure with.\n")
                               : fmt::format("Of {} that were not learned from.\n",
                                             counted(report.held_out, "picture")));
}

void tell_distilled(const vsearch::DistillReport& report, const DistillArguments& options) {
  if (!report.stopped.empty()) say(report.stopped);
  tell_lost(report.lost);
  if (report.skipped_count > 0) {
    std::vector<std::string> lines;
    for (const auto& skipped : report.skipped) lines.push_back(skipped.message);
    tell_list(fmt::format("{} could not be read:", counted(report.skipped_count, "picture")),
              lines);
  }
  for (const std::string& form : report.dropped_forms) {
    say(fmt::format("without a fast form: {}", form));
  }
  if (options.quiet) return;
  say(fmt::format("wrote '{}' after {}: epoch {} of {}, learned from {}{}", report.package.string(),
                  seconds_text(report.seconds), report.best_epoch, report.epochs.back().epoch,
                  counted(report.pictures, "picture"),
                  report.has_text ? ", with the teacher's words" : ""));
}

int run(const DistillArguments& options) {
  check_output(options.json, "--json");
  const vsearch::DistillOptions how = distill_options(options);
  const std::string teacher = vsearch::find_encoder(options.teacher).string();
  const vsearch::Dataset pictures =
      vsearch::pictures_at({options.pictures.begin(), options.pictures.end()});
  vsearch::DistillReport report;
  {
    TrainDisplay display(pictures, options.quiet);
    report = vsearch::distill(teacher, options.student, {pictures}, options.output, how,
                              display.callback());
  }
  tell_distilled(report, options);
  save_text(options.json, "--json", vsearch::to_json(report) + "\n");
  print(distill_table(report));
  if (!options.quiet) {
    say(
        fmt::format("see what it finds: vsx eval '{}' '{}' --root DIR; use it: vsx reencode "
                    "shop.vsearch --encoder '{}'",
                    options.teacher, options.output, options.output));
  }
  if (StopSignals::requested()) return kInterrupted;
  return report.skipped_count == 0 ? kDone : kPartlyDone;
}

void add_learning_options(CLI::App* app, DistillArguments& options) {
  vsearch::DistillOptions& how = options.how;
  app->add_option("--epochs", how.epochs, "Passes over the pictures")
      ->type_name("N")
      ->capture_default_str();
  app->add_option("--batch-size", how.batch_size, "Pictures in a step")
      ->type_name("N")
      ->capture_default_str();
  app->add_option("--rate", how.rate,
                  "Learning rate at its highest; if not given 1e-3 for a fresh student, else 1e-4")
      ->type_name("X");
  app->add_option("--cosine", how.cosine,
                  "Weight of the cosine to the teacher's embedding; if not given 1, or 0 where the "
                  "dimensions differ")
      ->type_name("X");
  app->add_option("--relational", how.relational, "Weight of how pictures lie to each other")
      ->type_name("X")
      ->capture_default_str();
  app->add_option("--held-out", options.held_out,
                  "Share of the pictures that is measured with instead of learned; 0: none")
      ->type_name("SHARE")
      ->capture_default_str();
  app->add_option("--weight-decay", how.weight_decay, "Weight decay of AdamW")
      ->type_name("X")
      ->capture_default_str();
  app->add_option("--warm-up", how.warm_up, "Share of the steps in which rates rise")
      ->type_name("SHARE")
      ->capture_default_str();
  app->add_option("--clip-gradients", how.clip_gradients, "To this length; 0: not")
      ->type_name("X")
      ->capture_default_str();
  app->add_option("--seed", how.seed, "Of all that is drawn")
      ->type_name("N")
      ->capture_default_str();
}

}  // namespace

Command distill_command(CLI::App& vsx) {
  const auto options = std::make_shared<DistillArguments>();
  CLI::App* app = vsx.add_subcommand(
      "distill", "Make a small, fast model that learns from a large one; no labels are needed");
  app->add_option("--teacher", options->teacher, "The large model: a package, or the name of one")
      ->required()
      ->type_name("MODEL");
  app->add_option("--student", options->student,
                  "What learns: a fresh vision transformer, vit or vit:NAME=NUMBER,..., of width "
                  "(128), depth (12), heads (4), patch (16), size (128) and dim (the teacher's); "
                  "or a model package to start from")
      ->type_name("CONFIG")
      ->capture_default_str();
  app->add_option("--pictures", options->pictures,
                  "Pictures, and folders with pictures in them, however deep")
      ->required()
      ->type_name("PATH...");
  app->add_option("-o,--output", options->output, "The package to write")
      ->required()
      ->type_name("OUT.vsm.pt");
  add_learning_options(app, *options);
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
  app->add_option("--json", options->json, "Write all that was found out, as JSON")
      ->type_name("FILE");
  add_quiet_flag(app, options->quiet);
  app->footer(
      "Examples:\n"
      "  vsx distill --teacher dinov2-small --student vit --pictures photos/ -o small.vsm.pt\n"
      "  vsx distill --teacher big.vsm.pt --student vit:width=192,heads=3,size=160 \\\n"
      "    --pictures photos/ more/ --epochs 100 --work run1 -o small.vsm.pt\n\n"
      "docs/training.md tells when it pays. Ctrl-C ends it and writes the best so far; with "
      "--work\n"
      "the same command goes on.\n"
      "Exit codes: 0 done, 1 error, 2 wrong usage, 3 some pictures could not be read, 130 stopped\n"
      "by Ctrl-C.");
  return {app, [options] { return run(*options); }};
}

}  // namespace vsx
