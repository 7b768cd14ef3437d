// From what the user named, and the metadata file, to the items of a catalogue.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "metadata_file.h"
#include "vsearch/catalog.h"

namespace vsx {

struct ItemList {
  std::vector<vsearch::Item> items;      // in the order of the rows; then those without, by PATH
  std::uint64_t undescribed = 0;         // pictures without a row
  std::vector<std::string> unused_rows;  // what rows without a picture named
  std::vector<std::string> problems;     // folders that could not be read, and why
};

// The pictures at `paths` (find_pictures) as items. `rows`, read from `metadata_file`, describe
// them: a row is about the picture that its path, or else its key, names, as a picture's key or as
// a path relative to the metadata file. Its key becomes the item's key; without one that stays the
// picture's own. Rows with one key make one item of several pictures, in their order, with the
// metadata of the first. Throws vsearch::Error: what find_pictures() throws; kInvalidArgument (one
// key for different pictures that no row brings together, two rows about the same).
ItemList list_items(const std::vector<std::string>& paths,
                    const std::filesystem::path& metadata_file = {},
                    const std::vector<MetadataRow>& rows = {});

}  // namespace vsx
