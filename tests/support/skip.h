// Skipping a test whose data are not on this machine; Catch2 2 has no such thing of its own.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

// ctest reads this line (SKIP_REGULAR_EXPRESSION in tests/CMakeLists.txt).
#define VSEARCH_SKIP(why)                                   \
  do {                                                      \
    std::printf("SKIPPED: %s\n", std::string(why).c_str()); \
    return;                                                 \
  } while (false)

namespace vsearch_test {

// The folder of real pictures and models that is not part of the project, or an empty path.
inline std::filesystem::path shared_dir() {
  const char* given = std::getenv("VSEARCH_SHARED");
  const std::filesystem::path dir =
      given != nullptr ? std::filesystem::path(given)
                       : std::filesystem::path(VSEARCH_SOURCE_DIR) / ".." / "shared";
  return std::filesystem::exists(dir / "data") ? dir : std::filesystem::path();
}

}  // namespace vsearch_test
