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

# hnswlib is header-only and must be 0.8.0: scripts/setup unpacks its sdist into .deps/.
set(VSEARCH_HNSWLIB_DIR "" CACHE PATH "Folder that holds hnswlib/hnswlib.h of hnswlib 0.8.0")
find_path(HNSWLIB_INCLUDE_DIR hnswlib/hnswlib.h
  HINTS ${VSEARCH_HNSWLIB_DIR} ${PROJECT_SOURCE_DIR}/.deps/hnswlib-0.8.0
  NO_DEFAULT_PATH)
if(NOT HNSWLIB_INCLUDE_DIR)
  message(STATUS "hnswlib 0.8.0 not found in .deps: fetching its release tag")
  include(FetchContent)
  FetchContent_Declare(hnswlib
    GIT_REPOSITORY https://github.com/nmslib/hnswlib.git
    GIT_TAG v0.8.0)
  FetchContent_GetProperties(hnswlib)
  if(NOT hnswlib_POPULATED)
    FetchContent_Populate(hnswlib)
  endif()
  set(HNSWLIB_INCLUDE_DIR ${hnswlib_SOURCE_DIR} CACHE PATH "" FORCE)
endif()
add_library(vsearch_hnswlib INTERFACE)
target_include_directories(vsearch_hnswlib SYSTEM INTERFACE ${HNSWLIB_INCLUDE_DIR})

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
