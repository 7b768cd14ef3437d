// pictures_at(): pictures without labels. Needs no torch.
#include <fmt/format.h>

#include <utility>

#include "vsearch/distillation.h"
#include "vsearch/error.h"
#include "vsearch/source.h"

namespace vsearch {

Dataset pictures_at(const std::vector<std::filesystem::path>& paths) {
  Dataset dataset;
  dataset.name = "pictures";
  for (const std::filesystem::path& path : paths) {
    FilesSource source;
    source.paths = {path};
    SourceListing listing = list_source(source);
    if (!listing.problems.empty()) {
      throw Error(ErrorCode::kIo,
                  fmt::format("not all pictures at '{}' can be found: {}{}; make it readable, or "
                              "name the folders that are",
                              path.string(), listing.problems.front(),
                              listing.problems.size() > 1
                                  ? fmt::format(" (and {} more)", listing.problems.size() - 1)
                                  : ""));
    }
    for (SourceItem& item : listing.items) {
      for (SourcePicture& found : item.pictures) {
        DatasetPicture& picture = dataset.pictures.emplace_back();
        picture.path = std::move(found.path);
        picture.crop = found.crop;
      }
    }
  }
  return dataset;
}

}  // namespace vsearch
