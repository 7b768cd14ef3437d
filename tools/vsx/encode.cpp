// vsx encode: the embeddings of pictures, for other programs.
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <fstream>
#include <iostream>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "catalogs.h"
#include "commands.h"
#include "console.h"
#include "npy.h"
#include "progress.h"
#include "vsearch/error.h"

namespace vsx {
namespace {

struct EncodeArguments {
  std::string model;
  std::vector<std::string> files;
  std::string files_from;
  std::string output;
  ModelOptions how;
  bool exact = false;
  bool skip_bad = false;
  bool quiet = false;
};

// The lines of a file, or of standard input for "-"; empty ones are left out.
std::vector<std::string> read_lines(const std::string& path) {
  std::ifstream file;
  if (path != "-") file.open(path);
  std::istream& lines = path == "-" ? std::cin : file;
  std::vector<std::string> result;
  for (std::string line; std::getline(lines, line);) {
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty()) result.push_back(line);
  }
  if (!lines.eof()) {
    throw vsearch::Error(vsearch::ErrorCode::kIo,
                         fmt::format("cannot read the list of pictures '{}' (--files-from)", path));
  }
  return result;
}

std::vector<std::string> picture_files(const EncodeArguments& options) {
  if (options.files.empty() == options.files_from.empty()) {
    throw UsageError("name the pictures: either FILE... or --files-from LIST");
  }
  return options.files_from.empty() ? options.files : read_lines(options.files_from);
}

// Writes one row a picture and returns how many pictures could not be read.
std::size_t encode(const vsearch::Encoder& encoder, std::span<const std::string> files,
                   const EncodeArguments& options, NpyWriter& output) {
  ProgressDisplay display("encoding", "pictures", options.quiet);
  const std::vector<float> bad_row(encoder.info().dim, std::numeric_limits<float>::quiet_NaN());
  std::size_t next = 0;
  std::size_t bad = 0;
  const auto source = [&]() -> std::optional<vsearch::EncodeInput> {
    if (next == files.size()) return std::nullopt;
    return std::filesystem::path(files[next++]);
  };
  const auto sink = [&](std::size_t index, std::span<const float> embedding,
                        const vsearch::Error* failure) {
    if (failure != nullptr && !options.skip_bad) {
      throw vsearch::Error(
          failure->code(),
          fmt::format("{}\n  '{}' was not written; --skip-bad goes on, with a row of NaN",
                      failure->what(), options.output));
    }
    if (failure != nullptr) {
      ++bad;
      say(failure->what());
    }
    output.append(failure != nullptr ? std::span<const float>(bad_row) : embedding);
    if (display.update(index + 1, files.size())) return true;
    throw vsearch::Error(vsearch::ErrorCode::kCancelled,
                         fmt::format("stopped; '{}' was not written", options.output));
  };
  vsearch::encode_stream(encoder, source, sink, {.exact = options.exact});
  return bad;
}

int run(const EncodeArguments& options) {
  const std::vector<std::string> files = picture_files(options);
  const std::shared_ptr<vsearch::Encoder> encoder = load_model(options.model, options.how);
  NpyWriter output(options.output, files.size(), encoder->info().dim);
  const std::size_t bad = encode(*encoder, files, options, output);
  output.commit();
  if (!options.quiet) {
    say(fmt::format("wrote '{}': {} by {} float32", options.output, files.size(),
                    encoder->info().dim));
  }
  if (bad == 0) return kDone;
  say(fmt::format("{} could not be read: NaN in '{}'", counted(bad, "picture"), options.output));
  return kPartlyDone;
}

}  // namespace

Command encode_command(CLI::App& vsx) {
  const auto options = std::make_shared<EncodeArguments>();
  CLI::App* app = vsx.add_subcommand("encode", "Write the embeddings of pictures to a .npy file");
  add_positional(app, "MODEL", options->model, "A model package, or the name of one");
  app->add_option("FILE", options->files, "Pictures")->type_name("");
  app->add_option("--files-from", options->files_from,
                  "A file that names the pictures, one a line; - is standard input")
      ->type_name("LIST");
  app->add_option("-o,--output", options->output,
                  "The NumPy file to write: float32, one row a picture, in the order given")
      ->required()
      ->type_name("OUT.npy");
  app->add_flag("--skip-bad", options->skip_bad,
                "Give a picture that cannot be read a row of NaN, and go on");
  app->add_flag("--exact", options->exact,
                "Decode large JPEGs in full: slower, and nearly the same embeddings");
  add_model_options(app, options->how);
  add_quiet_flag(app, options->quiet);
  app->footer(
      "Examples:\n"
      "  vsx encode efficientnet-lite0 a.jpg b.jpg -o embeddings.npy\n"
      "  find photos -name '*.jpg' | vsx encode dinov2-small --files-from - -o all.npy "
      "--skip-bad\n\n"
      "Without --skip-bad a picture that cannot be read is an error, and nothing is written.\n"
      "Exit codes: 0 done, 1 error, 2 wrong usage, 3 some rows are NaN, 130 stopped by Ctrl-C.");
  return {app, [options] { return run(*options); }};
}

}  // namespace vsx
