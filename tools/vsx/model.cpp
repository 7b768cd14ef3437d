// vsx model: the encoders there are, what they are, and whether they are sound.
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "catalogs.h"
#include "commands.h"
#include "console.h"
#include "exporter.h"
#include "facts.h"
#include "known_models.h"
#include "table.h"
#include "verify.h"
#include "vsearch/encoder.h"
#include "vsearch/error.h"

namespace vsx {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct ModelArguments {
  std::string model;
  ModelOptions how;
  bool json = false;
  bool quiet = false;
};

std::optional<fs::path> installed(std::string_view name) {
  try {
    return vsearch::find_encoder(name);
  } catch (const vsearch::Error& error) {
    if (error.code() != vsearch::ErrorCode::kFileNotFound) throw;
    return std::nullopt;
  }
}

int list(const ModelArguments& options) {
  Table table({{"name"}, {"dim"}, {"input"}, {"params"}, {"licence"}, {"words"}, {"installed"}});
  Json models = Json::array();
  for (const KnownModel& model : known_models()) {
    const std::optional<fs::path> path = installed(model.name);
    table.add_row({std::string(model.name), std::to_string(model.dim),
                   fmt::format("{} px", model.input_px), fmt::format("{} M", model.parameters_m),
                   std::string(model.licence), model.text ? "yes" : "no",
                   path ? path->string() : "no"});
    models.push_back({{"name", model.name},
                      {"repository", model.repository.empty() ? Json() : Json(model.repository)},
                      {"dim", model.dim},
                      {"input_px", model.input_px},
                      {"parameters_m", model.parameters_m},
                      {"license", model.licence},
                      {"has_text", model.text},
                      {"path", path ? Json(path->string()) : Json()}});
  }
  if (options.json) {
    print(Json{{"models", std::move(models)}}.dump(2, ' ', false, Json::error_handler_t::replace) +
          "\n");
    return kDone;
  }
  print(table.text());
  return kDone;
}

fs::path place_for(const KnownModel& model) {
  const fs::path folder = vsearch::user_model_folder();
  if (folder.empty()) {
    throw vsearch::Error(vsearch::ErrorCode::kFileNotFound,
                         "there is no folder for models: set HOME, or VSEARCH_MODEL_PATH to one");
  }
  return folder / fmt::format("{}.vsm.pt", model.name);
}

int pull(const ModelArguments& options) {
  const KnownModel* const model = find_known_model(options.model);
  if (model == nullptr) {
    throw vsearch::Error(
        vsearch::ErrorCode::kInvalidArgument,
        fmt::format("'{0}' is no known name; see: vsx model list; a model of Hugging Face comes "
                    "with: vsx model export hf OWNER/NAME -o NAME.vsm.pt",
                    options.model));
  }
  if (const std::optional<fs::path> path = installed(model->name)) {
    if (!options.quiet) say(fmt::format("'{}' is here already: {}", model->name, path->string()));
    return kDone;
  }
  if (model->repository.empty()) {
    throw vsearch::Error(
        vsearch::ErrorCode::kUnavailable,
        fmt::format("'{}' comes with the library and is not here; scripts/setup makes it",
                    model->name));
  }
  const fs::path place = place_for(*model);
  const int code =
      run_exporter({"hf", std::string(model->repository), "-o", place.string(), "--name",
                    std::string(model->name), "--license", std::string(model->licence), "--source",
                    fmt::format("Hugging Face, {}", model->repository)});
  if (code != 0) {
    throw vsearch::Error(
        vsearch::ErrorCode::kUnavailable,
        fmt::format("could not get {0}; without a network, fetch {1} of Hugging Face elsewhere and "
                    "run: vsx model export hf FOLDER -o '{2}'",
                    model->name, model->repository, place.string()));
  }
  if (!options.quiet) {
    say(fmt::format("use it with: vsx init shop.vsearch --encoder {}", model->name));
  }
  return kDone;
}

Command list_command(CLI::App& model, const std::shared_ptr<ModelArguments>& options) {
  CLI::App* app = model.add_subcommand("list", "Show the models that vsx knows by name");
  app->add_flag("--json", options->json, "Print JSON");
  app->footer("Examples:\n  vsx model list");
  return {app, [options] { return list(*options); }};
}

Command pull_command(CLI::App& model, const std::shared_ptr<ModelArguments>& options) {
  CLI::App* app = model.add_subcommand("pull", "Get a model by its name, from Hugging Face");
  add_positional(app, "NAME", options->model, "A name that vsx model list shows");
  add_quiet_flag(app, options->quiet);
  app->footer(
      "Examples:\n"
      "  vsx model pull dinov2-small\n\n"
      "The package goes to the first folder of VSEARCH_MODEL_PATH, else to the user's own\n"
      "(~/.local/share/vsearch/models). Needs a network and Python with libvsearch, torch,\n"
      "transformers and safetensors.");
  return {app, [options] { return pull(*options); }};
}

Command info_command_of_models(CLI::App& model, const std::shared_ptr<ModelArguments>& options) {
  CLI::App* app = model.add_subcommand("info", "Show what a model package is, as vsx info does");
  add_positional(app, "MODEL", options->model, "A model package, or the name of one");
  app->add_flag("--json", options->json, "Print JSON");
  add_model_options(app, options->how);
  app->footer("Examples:\n  vsx model info efficientnet-lite0");
  return {app, [options] { return show_model(options->model, options->how, options->json); }};
}

Command verify_command(CLI::App& model, const std::shared_ptr<ModelArguments>& options) {
  CLI::App* app = model.add_subcommand(
      "verify", "Check that a model gives what it promises, in every precision it has");
  add_positional(app, "MODEL", options->model, "A model package, or the name of one");
  add_model_options(app, options->how);
  app->footer(
      "Examples:\n"
      "  vsx model verify efficientnet-lite0\n"
      "  vsx model verify my.vsm.pt --precision int8\n\n"
      "Exit codes: 0 PASS, 1 FAIL, and the reason on standard error.");
  return {app, [options] { return verify_model(options->model, options->how); }};
}

Command export_command_of_models(CLI::App& model) {
  CLI::App* app =
      model.add_subcommand("export", "Make a package of a model: python3 -m vsearch.export");
  app->prefix_command();
  app->footer(
      "Examples:\n"
      "  vsx model export hf path/to/folder -o my.vsm.pt\n"
      "  vsx model export hf --help\n\n"
      "Runs the Python that VSEARCH_PYTHON names, else that of .venv beside vsx, else python3.");
  return {app, [app] { return run_exporter(app->remaining()); }};
}

}  // namespace

Command model_command(CLI::App& vsx) {
  const auto options = std::make_shared<ModelArguments>();
  CLI::App* app = vsx.add_subcommand("model", "List, get, check and make models");
  app->require_subcommand(1);
  const std::vector<Command> commands = {list_command(*app, options), pull_command(*app, options),
                                         info_command_of_models(*app, options),
                                         verify_command(*app, options),
                                         export_command_of_models(*app)};
  app->footer(
      "Examples:\n"
      "  vsx model list\n"
      "  vsx model pull dinov2-small\n"
      "  vsx model verify dinov2-small");
  return {app, [commands] {
            for (const Command& command : commands) {
              if (command.app->parsed()) return command.run();
            }
            return static_cast<int>(kWrongUsage);
          }};
}

}  // namespace vsx
