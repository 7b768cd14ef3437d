// vsx encode: the embeddings of pictures, for other programs.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "catalogs.h"
#include "commands.h"
#include "console.h"
#include "npy.h"
#include "progress.h"
#include "vsearch/error.h"
#include "vsearch/image.h"

namespace vsx {
namespace {

// Pictures decoded at a time: enough to fill the encoder's batches, few enough to fit in memory.
constexpr std::size_t kChunk = 32;

struct Options {
  std::string model;
  std::vector<std::string> files;
  std::string output;
  bool quiet = false;
};

vsearch::Matrix encode_files(const vsearch::Encoder& encoder, std::span<const std::string> files) {
  std::vector<vsearch::Image> images;
  std::vector<vsearch::ImageView> views;
  for (const std::string& file : files) images.push_back(vsearch::read_image(file));
  for (const vsearch::Image& image : images) views.push_back(image.view());
  return encoder.encode(views);
}

int run(const Options& options) {
  const std::shared_ptr<vsearch::Encoder> encoder = load_model(options.model);
  const std::span<const std::string> files = options.files;
  NpyWriter output(options.output, files.size(), encoder->info().dim);
  ProgressDisplay display("encoding", "pictures", options.quiet);
  for (std::size_t begin = 0; begin < files.size(); begin += kChunk) {
    if (!display.update(begin, files.size())) {
      throw vsearch::Error(vsearch::ErrorCode::kCancelled,
                           fmt::format("stopped; '{}' was not written", options.output));
    }
    const auto chunk = files.subspan(begin, std::min(kChunk, files.size() - begin));
    output.append(encode_files(*encoder, chunk).data);
  }
  output.commit();
  show_status({});
  if (!options.quiet) {
    say(fmt::format("wrote '{}': {} by {} float32", options.output, files.size(),
                    encoder->info().dim));
  }
  return kDone;
}

}  // namespace

Command encode_command(CLI::App& vsx) {
  const auto options = std::make_shared<Options>();
  CLI::App* app = vsx.add_subcommand("encode", "Write the embeddings of pictures to a .npy file");
  add_positional(app, "MODEL", options->model, "A model package, or the name of one");
  add_positional(app, "FILE", options->files, "Pictures");
  app->add_option("-o,--output", options->output,
                  "The NumPy file to write: float32, one row a picture, in the order given")
      ->required()
      ->type_name("OUT.npy");
  add_quiet_flag(app, options->quiet);
  app->footer(
      "Examples:\n"
      "  vsx encode efficientnet-lite0 a.jpg b.jpg -o embeddings.npy\n\n"
      "A picture that cannot be read is an error, and nothing is written.");
  return {app, [options] { return run(*options); }};
}

}  // namespace vsx
