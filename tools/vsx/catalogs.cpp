#include "catalogs.h"

#include <fmt/format.h>

#include <filesystem>
#include <optional>

#include "console.h"
#include "progress.h"
#include "vsearch/error.h"

namespace vsx {

std::shared_ptr<vsearch::Encoder> load_model(const std::string& name_or_path) {
  return vsearch::load_encoder(vsearch::find_encoder(name_or_path));
}

vsearch::Catalog open_catalog(const std::string& path, bool quiet) {
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
  return vsearch::Catalog::open(
      path, {.encoder_loader = load_model, .log = show_log, .progress = rebuild_progress});
}

}  // namespace vsx
