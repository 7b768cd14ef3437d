// The pictures of tests/data/images.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "support/bmp.h"

namespace vsearch_test {

inline std::filesystem::path picture_path(const std::string& name) {
  return std::filesystem::path(VSEARCH_SOURCE_DIR) / "tests" / "data" / "images" / name;
}

inline std::vector<std::byte> picture_bytes(const std::string& name) {
  return read_file(picture_path(name));
}

}  // namespace vsearch_test
