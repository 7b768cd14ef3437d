#include "items.h"

#include <utility>

#include "console.h"

namespace vsx {

using Json = nlohmann::ordered_json;

Json item_json(const vsearch::ItemRecord& item) {
  Json pictures = Json::array();
  for (const vsearch::PictureInfo& picture : item.pictures) {
    const vsearch::CropBox& crop = picture.crop;
    pictures.push_back(
        {{"path", picture.path},
         {"role", picture.role},
         {"crop",
          {shortest(crop.left), shortest(crop.top), shortest(crop.right), shortest(crop.bottom)}},
         {"content_hash", picture.content_hash},
         {"kept_bytes", picture.kept_bytes}});
  }
  return {{"key", item.key},
          {"metadata", Json::parse(item.metadata)},
          {"pictures", std::move(pictures)}};
}

}  // namespace vsx
