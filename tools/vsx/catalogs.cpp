#include "catalogs.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>

#include "commands.h"
#include "console.h"
#include "progress.h"
#include "vsearch/error.h"

namespace vsx {

void add_model_options(CLI::App* app, ModelOptions& options) {
  app->add_option("--precision", options.precision,
                  "In which numbers the model computes: auto (the fastest here), fp32, bf16, fp16, "
                  "int8")
      ->type_name("NAME")
      ->capture_default_str();
  app->add_option("--device", options.device, "Where it computes: cpu, cuda, cuda:1, ...")
      ->type_name("NAME")
      ->capture_default_str();
}

vsearch::EncoderOptions encoder_options(const ModelOptions& options) {
  vsearch::EncoderOptions wanted;
  const std::optional<vsearch::Precision> precision = vsearch::find_precision(options.precision);
  if (!precision) {
    throw UsageError(
        fmt::format("--precision is auto, fp32, bf16, fp16 or int8, not '{}'", options.precision));
  }
  wanted.precision = *precision;
  if (options.device == "cpu") return wanted;
  wanted.device = vsearch::Device::kCuda;
  if (options.device == "cuda") return wanted;
  const std::string_view device = options.device;
  constexpr std::string_view kNumbered = "cuda:";
  const char* const end = device.data() + device.size();
  const char* const number = device.data() + std::min(kNumbered.size(), device.size());
  const auto [stopped, error] = std::from_chars(number, end, wanted.device_index);
  if (!device.starts_with(kNumbered) || error != std::errc() || stopped != end) {
    throw UsageError(fmt::format("--device is cpu, cuda or cuda:N, not '{}'", options.device));
  }
  return wanted;
}

std::shared_ptr<vsearch::Encoder> load_model(const std::string& name_or_path,
                                             const ModelOptions& options) {
  const vsearch::EncoderOptions wanted = encoder_options(options);
  return vsearch::load_encoder(vsearch::find_encoder(name_or_path), wanted);
}

vsearch::Catalog open_catalog(const std::string& path, bool quiet, const ModelOptions& options) {
  const vsearch::EncoderOptions wanted = encoder_options(options);
  if (!std::filesystem::exists(path)) {
    throw vsearch::Error(
        vsearch::ErrorCode::kFileNotFound,
        fmt::format("there is no catalogue at '{0}'; make one with: vsx init {0}", path));
  }
  std::optional<ProgressDisplay> display;
  const auto rebuild_progress = [&](std::uint64_t done, std::uint64_t total) {
    if (!display) display.emplace("rebuilding the index", "pictures", quiet);
    return display->update(done, total);
  };
  const auto load = [wanted](const std::string& name_or_path) {
    return vsearch::load_encoder(vsearch::find_encoder(name_or_path), wanted);
  };
  return vsearch::Catalog::open(
      path, {.encoder_loader = load, .log = show_log, .progress = rebuild_progress});
}

std::optional<vsearch::Filter> parse_where(const std::optional<std::string>& where) {
  if (!where) return std::nullopt;
  try {
    return vsearch::Filter::parse(*where);
  } catch (const vsearch::Error& error) {
    throw UsageError(fmt::format("--where: {}", error.what()));
  }
}

int report_unknown(const std::string& catalog, const std::vector<std::string>& keys) {
  if (keys.empty()) return kDone;
  say(fmt::format("no items with these keys in '{}': '{}'; vsx list shows the keys there are",
                  catalog, fmt::join(keys, "', '")));
  return kPartlyDone;
}

}  // namespace vsx
