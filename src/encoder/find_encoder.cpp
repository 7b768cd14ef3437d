#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "vsearch/encoder.h"
#include "vsearch/error.h"

namespace vsearch {
namespace {

namespace fs = std::filesystem;

// Where an installation keeps its models, told from where the program or shared library with this
// code lies: PREFIX/bin, PREFIX/lib or PREFIX/lib/<machine>. An installed tree may have been moved.
void add_installed(std::vector<fs::path>& folders) {
  Dl_info self{};
  if (dladdr(reinterpret_cast<const void*>(&find_encoder), &self) == 0) return;
  std::error_code error;
  const fs::path binary = fs::canonical(self.dli_fname, error);
  if (error) return;
  const fs::path folder = binary.parent_path();
  for (const fs::path& prefix : {folder.parent_path(), folder.parent_path().parent_path()}) {
    fs::path models = prefix / "share" / "vsearch" / "models";
    if (fs::is_directory(models, error)) folders.push_back(std::move(models));
  }
}

std::vector<fs::path> given_folders() {
  std::vector<fs::path> folders;
  if (const char* given = std::getenv("VSEARCH_MODEL_PATH")) {
    const std::string_view list = given;
    for (std::size_t begin = 0; begin <= list.size();) {
      const std::size_t end = std::min(list.find(':', begin), list.size());
      if (end > begin) folders.emplace_back(list.substr(begin, end - begin));
      begin = end + 1;
    }
  }
  return folders;
}

// As the XDG Base Directory Specification has it, which ignores a relative XDG_DATA_HOME.
fs::path own_folder() {
  const char* const data = std::getenv("XDG_DATA_HOME");
  if (data != nullptr && fs::path(data).is_absolute()) return fs::path(data) / "vsearch" / "models";
  const char* const home = std::getenv("HOME");
  if (home == nullptr || *home == '\0') return {};
  return fs::path(home) / ".local" / "share" / "vsearch" / "models";
}

std::vector<fs::path> model_folders() {
  std::vector<fs::path> folders = given_folders();
  if (fs::path own = own_folder(); !own.empty()) folders.push_back(std::move(own));
  add_installed(folders);
  folders.emplace_back(VSEARCH_INSTALLED_MODELS_DIR);
  folders.emplace_back(VSEARCH_BUILT_MODELS_DIR);
  return folders;
}

}  // namespace

std::filesystem::path user_model_folder() {
  std::vector<fs::path> given = given_folders();
  return given.empty() ? own_folder() : std::move(given.front());
}

std::filesystem::path find_encoder(std::string_view name_or_path) {
  std::error_code ignored;
  fs::path given(name_or_path);
  if (fs::is_regular_file(given, ignored)) return given;
  if (fs::is_directory(given, ignored)) {
    throw Error(ErrorCode::kFileNotFound,
                fmt::format("{}: a folder, not a model package; make a package of a Hugging Face "
                            "model folder with python -m vsearch.export hf {} -o NAME.vsm.pt",
                            name_or_path, name_or_path));
  }
  std::string searched;
  // A name with a folder in it can only be meant as a path.
  if (!name_or_path.empty() && !given.has_parent_path()) {
    for (const fs::path& folder : model_folders()) {
      fs::path candidate = folder / (std::string(name_or_path) + ".vsm.pt");
      if (fs::is_regular_file(candidate, ignored)) return candidate;
      searched += (searched.empty() ? "" : ", ") + folder.string();
    }
  }
  if (searched.empty()) {
    throw Error(
        ErrorCode::kFileNotFound,
        fmt::format("{}: no such model file; check the path, or name the default encoder, {}",
                    name_or_path.empty() ? "(an empty name)" : name_or_path, kDefaultEncoder));
  }
  const std::string remedy =
      name_or_path == kDefaultEncoder
          ? "run scripts/setup, which makes it, or name a package file"
          : fmt::format("check the name, name a package file, or use the default encoder, {}",
                        kDefaultEncoder);
  throw Error(ErrorCode::kFileNotFound,
              fmt::format("{}: no file of this name and no {}.vsm.pt in {}; {}", name_or_path,
                          name_or_path, searched, remedy));
}

}  // namespace vsearch
