// What tests of sources have in common.
#pragma once

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "vsearch/source.h"

namespace vsearch_test {

// Writes a text, and the folders it lies in.
inline std::filesystem::path write_text(const std::filesystem::path& path, std::string_view text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

// Nothing that lists pictures opens them.
inline void touch(const std::filesystem::path& folder, const std::vector<std::string>& names) {
  for (const std::string& name : names) write_text(folder / name, "x");
}

// The paths of the pictures of each item, relative to `folder` if they lie in it.
using Pictures = std::map<std::string, std::vector<std::string>>;
inline Pictures pictures_in(const vsearch::SourceListing& listing,
                            const std::filesystem::path& folder) {
  Pictures pictures;
  const std::string inside = folder.string() + "/";
  for (const vsearch::SourceItem& item : listing.items) {
    for (const vsearch::SourcePicture& picture : item.pictures) {
      const bool is_inside = picture.path.starts_with(inside);
      pictures[item.key].push_back(picture.path.substr(is_inside ? inside.size() : 0));
    }
  }
  return pictures;
}

inline std::map<std::string, std::string> metadata_in(const vsearch::SourceListing& listing) {
  std::map<std::string, std::string> metadata;
  for (const vsearch::SourceItem& item : listing.items) metadata[item.key] = item.metadata;
  return metadata;
}

inline std::vector<std::string> keys_in(const vsearch::SourceListing& listing) {
  std::vector<std::string> keys;
  for (const vsearch::SourceItem& item : listing.items) keys.push_back(item.key);
  return keys;
}

}  // namespace vsearch_test
