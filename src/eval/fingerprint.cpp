#include "eval/fingerprint.h"

#include <fmt/format.h>

#include <filesystem>
#include <system_error>

#include "util/sha256.h"

namespace vsearch::eval {

std::string fingerprint_of(const Dataset& dataset) {
  // Of its own: so that fingerprints in reports stay what they were.
  util::Sha256 pictures;
  for (const DatasetPicture& picture : dataset.pictures) {
    std::error_code gone;
    const auto size = std::filesystem::file_size(dataset.root / picture.path, gone);
    const CropBox& crop = picture.crop;
    pictures.update(fmt::format("{}\n{}\n{} {} {} {}\n", picture.path, gone ? 0 : size, crop.left,
                                crop.top, crop.right, crop.bottom));
  }
  util::Sha256 hash;
  hash.update(pictures.hex());
  for (const DatasetPicture& picture : dataset.pictures) {
    hash.update(fmt::format("{} {}\n", picture.label, picture.domain));
  }
  for (const DatasetField& field : dataset.fields) {
    hash.update(fmt::format("{}\n", field.name));
    for (const std::int32_t value : field.of_picture) hash.update(fmt::format("{} ", value));
  }
  for (const Protocol& protocol : dataset.protocols) {
    hash.update(fmt::format("{}\n", protocol.name));
    for (const std::uint32_t picture : protocol.queries) hash.update(fmt::format("{} ", picture));
    hash.update("\n");
    for (const std::uint32_t picture : protocol.gallery) hash.update(fmt::format("{} ", picture));
    hash.update("\n");
    for (const auto* lists : {&protocol.positives, &protocol.ignored}) {
      for (const auto& list : *lists) {
        for (const std::uint32_t picture : list) hash.update(fmt::format("{} ", picture));
        hash.update("\n");
      }
    }
  }
  return hash.hex();
}

}  // namespace vsearch::eval
