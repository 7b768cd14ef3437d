// Miniature data sets in their published layouts.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "support/bmp.h"
#include "support/errors.h"
#include "support/sources.h"
#include "support/temp_dir.h"
#include "vsearch/dataset.h"

namespace vsearch_test {

// Not whole, so their counts are not checked.
inline vsearch::DatasetOptions part() {
  vsearch::DatasetOptions options;
  options.check_counts = false;
  return options;
}

// Lists alone: neither pictures nor counts are checked.
inline vsearch::DatasetOptions lists_alone() {
  vsearch::DatasetOptions options = part();
  options.check_files = false;
  return options;
}

inline std::filesystem::path dataset_file(const std::string& name) {
  return std::filesystem::path(VSEARCH_SOURCE_DIR) / "tests" / "data" / "datasets" / name;
}

inline void copy_dataset_file(const std::string& name, const std::filesystem::path& to) {
  std::filesystem::create_directories(to.parent_path());
  std::filesystem::copy_file(dataset_file(name), to);
}

// What loading throws, with the code checked.
inline std::string load_error(vsearch::ErrorCode code, const std::string& kind,
                              const std::filesystem::path& root,
                              const vsearch::DatasetOptions& options = {}) {
  return error_message(code, [&] { vsearch::load_dataset(kind, root, options); });
}

using Paths = std::vector<std::string>;

inline Paths paths_of(const vsearch::Dataset& dataset, const std::vector<std::uint32_t>& numbers) {
  Paths paths;
  for (const std::uint32_t number : numbers) paths.push_back(dataset.pictures.at(number).path);
  return paths;
}

inline Paths all_paths(const vsearch::Dataset& dataset) {
  Paths paths;
  for (const vsearch::DatasetPicture& picture : dataset.pictures) paths.push_back(picture.path);
  return paths;
}

inline Paths masks_of(const vsearch::Dataset& dataset) {
  Paths paths;
  for (const vsearch::DatasetPicture& picture : dataset.pictures) paths.push_back(picture.mask);
  return paths;
}

// The class of each picture, "-" for none.
inline Paths classes_of(const vsearch::Dataset& dataset) {
  Paths names;
  for (const vsearch::DatasetPicture& picture : dataset.pictures) {
    names.push_back(
        picture.label < 0 ? "-" : dataset.classes.at(static_cast<std::size_t>(picture.label)));
  }
  return names;
}

// The value of a field of each picture, "-" for none.
inline Paths field_of(const vsearch::Dataset& dataset, const std::string& name) {
  const auto field = std::ranges::find(dataset.fields, name, &vsearch::DatasetField::name);
  REQUIRE(field != dataset.fields.end());
  REQUIRE(field->of_picture.size() == dataset.pictures.size());
  Paths values;
  for (const std::int32_t value : field->of_picture) {
    values.push_back(value < 0 ? "-" : field->values.at(static_cast<std::size_t>(value)));
  }
  return values;
}

inline Paths protocol_names(const vsearch::Dataset& dataset) {
  Paths names;
  for (const vsearch::Protocol& protocol : dataset.protocols) names.push_back(protocol.name);
  return names;
}

// A picture of that size in every place.
inline void draw(const std::filesystem::path& folder, const Paths& names, std::uint32_t width,
                 std::uint32_t height) {
  const std::vector<std::byte> picture = bmp(width, height, [](std::uint32_t, std::uint32_t) {
    return Rgb{10, 20, 30};
  });
  for (const std::string& name : names) {
    std::filesystem::create_directories((folder / name).parent_path());
    write_file(folder / name, picture);
  }
}

}  // namespace vsearch_test
