# Third-party libraries. All of them are linked PRIVATE: none shows in a public header.

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
pkg_check_modules(jpeg REQUIRED IMPORTED_TARGET libjpeg)
pkg_check_modules(png REQUIRED IMPORTED_TARGET libpng zlib)
pkg_check_modules(webp REQUIRED IMPORTED_TARGET libwebpdemux libwebp)
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET libxxhash)
find_package(roaring REQUIRED)

find_path(STB_INCLUDE_DIR stb/stb_image.h)
if(NOT STB_INCLUDE_DIR)
  message(FATAL_ERROR "stb/stb_image.h not found: install libstb-dev (see scripts/setup)")
endif()
add_library(vsearch_stb INTERFACE)
target_include_directories(vsearch_stb SYSTEM INTERFACE ${STB_INCLUDE_DIR})

if(VSEARCH_WITH_TORCH)
  if(NOT Torch_DIR)
    # The virtual environment that scripts/setup makes, unless the caller names another libtorch.
    file(GLOB _venv_torch
      ${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch/share/cmake/Torch)
    if(_venv_torch)
      list(GET _venv_torch 0 Torch_DIR)
    endif()
  endif()
  find_package(Torch 2.4 REQUIRED)
  # at::parallel_for() is a template: what is compiled without OpenMP runs it on one thread, silently.
  find_package(OpenMP REQUIRED COMPONENTS CXX)
endif()

if(VSEARCH_BUILD_TOOLS)
  find_package(CLI11 REQUIRED)
endif()
if(VSEARCH_BUILD_TESTS)
  find_package(Catch2 2.13 REQUIRED)
endif()
