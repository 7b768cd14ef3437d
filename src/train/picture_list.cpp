// pictures_at(): pictures without labels. Needs no torch.
#include <utility>

#include "vsearch/distillation.h"
#include "vsearch/source.h"

namespace vsearch {

Dataset pictures_at(const std::vector<std::filesystem::path>& paths) {
  Dataset dataset;
  dataset.name = "pictures";
  for (const std::filesystem::path& path : paths) {
    FilesSource source;
    source.paths = {path};
    for (SourceItem& item : list_source(source).items) {
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
