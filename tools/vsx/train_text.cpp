// vsx train-text: search by words for a catalogue whose items have titles.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include "catalogs.h"
#include "commands.h"
#include "console.h"
#include "measured.h"
#include "progress.h"
#include "shares.h"
#include "signals.h"
#include "vsearch/text_trainer.h"

namespace vsx {
namespace {

struct TrainTextArguments {
  std::string catalog;
  std::string output;
  std::string model;
  std::string held_out = "0.1";
  std::string json;
  bool quiet = false;
  vsearch::TextTrainOptions how;  // what needs no translation
};

// A bar while titles are read, one while a sentence encoder encodes them, then one over all steps.
class TextTrainDisplay {
 public:
  explicit TextTrainDisplay(bool quiet) : quiet_(quiet) { show("reading", "items"); }

  bool update(const vsearch::TextTrainState& state) {
    if (state.epoch == 0) {
      // Texts are encoded after all items are read, each of them twice.
      const bool is_anew = state.step < seen_.step || state.steps != seen_.steps;
      if (seen_.steps > 0 && is_anew) show("encoding", "texts");
      seen_ = state;
      return bar_->update(state.step, state.steps);
    }
    if (!is_learning_) show("learning", "steps");
    is_learning_ = true;
    return bar_->update((std::uint64_t{state.epoch} - 1) * state.steps + state.step,
                        std::uint64_t{state.epochs} * state.steps);
  }

 private:
  void show(const char* verb, const char* things) { bar_.emplace(verb, things, quiet_); }

  bool quiet_;
  vsearch::TextTrainState seen_;  // last, of epoch 0
  bool is_learning_ = false;
  std::optional<ProgressDisplay> bar_;
};

void print_examples(const vsearch::TextTrainReport& report) {
  if (report.examples.empty()) return;
  std::string text = "\ntexts that were not learned, and what they find first:\n";
  for (const vsearch::TextExample& example : report.examples) {
    text += fmt::format("  {}  (its own: place {})\n", printable(example.text),
                        with_commas(example.place));
    for (std::size_t i = 0; i < std::min<std::size_t>(example.found.size(), 3); ++i) {
      text += fmt::format("    {}. {}\n", i + 1, printable(example.found[i].text));
    }
  }
  print(text);
}

int run(const TrainTextArguments& options) {
  check_output(options.json, "--json");
  vsearch::TextTrainOptions how = options.how;
  how.held_out = parse_held_out(options.held_out);
  if (!options.model.empty()) how.model = vsearch::find_encoder(options.model);
  const vsearch::Catalog catalog = open_catalog(options.catalog, options.quiet);
  vsearch::TextTrainReport report;
  {
    TextTrainDisplay display(options.quiet);
    report = vsearch::train_text(
        catalog, options.output, how,
        [&](const vsearch::TextTrainState& state) { return display.update(state); });
  }
  save_text(options.json, "--json", vsearch::to_json(report) + "\n");
  if (!report.stopped.empty()) say(report.stopped);
  if (report.without_text > 0) {
    say(fmt::format("left out: {} without words in these fields",
                    counted(report.without_text, "item")));
  }
  if (!options.quiet) {
    const std::string known =
        how.sentence.empty()
            ? fmt::format("it knows {} pieces of words", with_commas(report.pieces))
            : fmt::format("behind '{}'", how.sentence.string());
    say(fmt::format("wrote '{}' after {}: epoch {} of {}; {}", report.package.string(),
                    seconds_text(report.seconds), report.best_epoch, report.epochs.back().epoch,
                    known));
  }
  if (report.held_out > 0) {
    const vsearch::TextTrainEpoch& best = report.epochs[report.best_epoch - 1];
    print(fmt::format("{} learned; of texts not learned, among {}: R@1 {}, R@10 {} (chance {})\n",
                      counted(report.pairs, "pair"), counted(report.held_out, "picture"),
                      share_text(best.recall_at_1), share_text(best.recall_at_10),
                      share_text(report.chance_at_10)));
    if (!options.quiet) print_examples(report);
  } else {
    say("nothing was held out, so nothing tells how well it finds");
  }
  if (!options.quiet) {
    say(fmt::format("use it with: vsx reencode '{}' --encoder '{}'", options.catalog,
                    options.output));
  }
  return StopSignals::requested() ? kInterrupted : kDone;
}

}  // namespace

Command train_text_command(CLI::App& vsx) {
  const auto options = std::make_shared<TrainTextArguments>();
  vsearch::TextTrainOptions& how = options->how;
  CLI::App* app = vsx.add_subcommand(
      "train-text", "Learn search by words from the titles that a catalogue's items have");
  add_positional(app, "CATALOG", options->catalog, "The catalogue to learn from");
  app->add_option("-o,--output", options->output, "The package to write: the model, with words")
      ->required()
      ->type_name("OUT.vsm.pt");
  app->add_option("--fields", how.fields, "Metadata with words, joined")
      ->type_name("FIELD[,FIELD]")
      ->delimiter(',')
      ->capture_default_str();
  app->add_option("--model", options->model,
                  "The model of the catalogue's embeddings, where it is not found by its name")
      ->type_name("MODEL");
  app->add_option("--sentence", how.sentence,
                  "A sentence encoder to stand behind, so that words that no title has mean "
                  "something: vsx model export sentence makes one")
      ->type_name("FILE.vst.pt");
  app->add_option("--held-out", options->held_out,
                  "Share of the different texts that is measured with instead of learned; 0: none")
      ->type_name("SHARE")
      ->capture_default_str();
  app->add_option("--epochs", how.epochs, "Passes over the pairs of text and picture")
      ->type_name("N")
      ->capture_default_str();
  app->add_option("--batch-size", how.batch_size, "Pairs in a step")
      ->type_name("N")
      ->capture_default_str();
  app->add_option("--rate", how.rate, "Learning rate, at its highest")
      ->type_name("X")
      ->capture_default_str();
  app->add_option("--weight-decay", how.weight_decay, "Weight decay of AdamW")
      ->type_name("X")
      ->capture_default_str();
  app->add_option("--width", how.width, "Numbers that a piece of a word is known by")
      ->type_name("N")
      ->capture_default_str();
  app->add_option("--most-pieces", how.most_pieces, "Pieces of words that are known at most")
      ->type_name("N")
      ->capture_default_str();
  app->add_option("--patience", how.patience,
                  "End when so many epochs in a row found no better; 0: never")
      ->type_name("N")
      ->capture_default_str();
  app->add_option("--seed", how.seed, "Of all that is drawn")
      ->type_name("N")
      ->capture_default_str();
  app->add_option("--json", options->json, "Write all that was found out, as JSON")
      ->type_name("FILE");
  add_quiet_flag(app, options->quiet);
  app->footer(
      "Examples:\n"
      "  vsx train-text shop.vsearch --fields title,colour -o words.vsm.pt\n"
      "  vsx reencode shop.vsearch --encoder words.vsm.pt\n"
      "  vsx search shop.vsearch --text 'red running shoes'\n\n"
      "Embeddings of pictures stay as they are, so that the second command encodes none anew.\n"
      "Ctrl-C ends training and writes the best so far.\n"
      "Exit codes: 0 done, 1 error, 2 wrong usage, 130 stopped by Ctrl-C.");
  return {app, [options] { return run(*options); }};
}

}  // namespace vsx
