// From a path that the user named to pictures.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "catalog/source_list.h"

namespace vsearch::detail {

struct FoundPicture {
  std::string relative;        // to the folder given, '/' between parts; a file's name
  std::filesystem::path path;  // absolute, lexically normal
  bool named = false;          // it was given itself, not found in a folder
};

struct Found {
  std::vector<FoundPicture> pictures;  // ascending by `relative`
  std::vector<std::string> problems;   // folders that could not be read, and why
};

// The pictures at `given`: the file itself, whatever its name; or those below the folder whose
// names end like pictures (has_image_extension). Hidden files and folders are left out. Symbolic
// links are followed, but every folder is read once, under its own name if it has one there.
// Throws kFileNotFound; kInvalidArgument (a folder without pictures, with what could not be read);
// kCancelled.
Found find_pictures(const std::filesystem::path& given, ReadCounter& counter);

}  // namespace vsearch::detail
