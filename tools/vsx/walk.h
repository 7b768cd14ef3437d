// From what the user named to pictures.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace vsx {

struct FoundPicture {
  std::string key;             // relative to the folder given, '/' between parts; a file's name
  std::filesystem::path path;  // absolute, lexically normal
};

struct Found {
  std::vector<FoundPicture> pictures;  // ascending by key
  std::vector<std::string> problems;   // folders that could not be read, and why
};

// The pictures at `given`: the file itself, whatever its name; or those below the folder whose
// names end like pictures (vsearch::has_image_extension). Hidden files and folders are left out.
// Symbolic links are followed, but every folder is read once, under its own name if it has one
// there. Throws vsearch::Error (kFileNotFound; kInvalidArgument: a folder without pictures).
Found find_pictures(const std::filesystem::path& given);

}  // namespace vsx
