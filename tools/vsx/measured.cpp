#include "measured.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <system_error>

#include "commands.h"
#include "console.h"
#include "vsearch/error.h"

namespace vsx {
namespace {

namespace fs = std::filesystem;

std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : "";
}

// A link, a terminal, a pipe: what nothing else may take the place of.
bool is_special(const fs::path& file) {
  std::error_code ignored;
  const fs::file_type type = fs::symlink_status(file, ignored).type();
  return type != fs::file_type::regular && type != fs::file_type::not_found &&
         type != fs::file_type::none;
}

fs::path beside(const std::string& file) {
  return fmt::format("{}.{}.tmp", file, getpid());
}

[[noreturn]] void refuse_output(const std::string& file, std::string_view option, int error) {
  throw vsearch::Error(
      vsearch::ErrorCode::kIo,
      fmt::format("cannot write '{}' ({}): {}; name a file in a folder that is there, that one may "
                  "write to, and that has room",
                  file, option, std::generic_category().message(error)));
}

}  // namespace

void add_dataset_options(CLI::App* app, std::vector<std::string>& names,
                         std::vector<std::string>& roots, bool& incomplete) {
  app->add_option("--dataset", names, "What --root holds; may be given again, with another --root")
      ->type_name("NAME");
  app->add_option("--root", roots,
                  "The folder of the data set, as it is published; of csv the file")
      ->type_name("PATH");
  app->add_flag("--incomplete", incomplete, "Take a data set that lacks pictures as it is");
}

std::string dataset_names() {
  std::string names;
  std::size_t line = 0;
  for (const vsearch::DatasetKind& kind : vsearch::dataset_kinds()) {
    if (!names.empty()) {
      const bool full = line + kind.name.size() > 85;
      names += full ? ",\n  " : ", ";
      line = full ? 0 : line;
    }
    names += kind.name;
    line += kind.name.size() + 2;
  }
  return names;
}

std::vector<vsearch::Dataset> load_datasets(const std::vector<std::string>& names,
                                            const std::vector<std::string>& roots,
                                            bool incomplete) {
  if (roots.empty()) throw UsageError("--dataset needs --root, where the data set lies");
  if (!names.empty() && names.size() != roots.size()) {
    throw UsageError(fmt::format("there are {} --dataset and {} --root; give one --root for each",
                                 names.size(), roots.size()));
  }
  vsearch::DatasetOptions options;
  options.check_counts = !incomplete;
  options.check_files = !incomplete;
  std::vector<vsearch::Dataset> datasets;
  for (std::size_t i = 0; i < roots.size(); ++i) {
    const std::string name = names.empty() ? std::string() : names[i];
    datasets.push_back(vsearch::load_dataset(name, roots[i], options));
  }
  return datasets;
}

std::filesystem::path cache_folder(const std::string& option) {
  if (option == "none") return {};
  if (!option.empty()) return option;
  if (const std::string cache = environment("XDG_CACHE_HOME"); !cache.empty()) {
    return std::filesystem::path(cache) / "vsearch" / "embeddings";
  }
  if (const std::string home = environment("HOME"); !home.empty()) {
    return std::filesystem::path(home) / ".cache" / "vsearch" / "embeddings";
  }
  return {};
}

void check_output(const std::string& file, std::string_view option) {
  if (file.empty()) return;
  std::error_code ignored;
  if (fs::is_directory(file, ignored)) refuse_output(file, option, EISDIR);
  if (is_special(file)) return;
  const fs::path trial = beside(file);
  errno = 0;
  if (!std::ofstream(trial)) refuse_output(file, option, errno);
  fs::remove(trial, ignored);
}

void save_text(const std::string& file, std::string_view option, const std::string& text) {
  if (file.empty()) return;
  const bool in_place = is_special(file);
  const fs::path place = in_place ? fs::path(file) : beside(file);
  errno = 0;
  std::ofstream out(place, std::ios::binary | std::ios::trunc);
  out << text;
  out.close();
  std::error_code failed;
  if (!out) {
    failed.assign(errno, std::generic_category());
  } else if (!in_place) {
    fs::rename(place, file, failed);
  }
  if (!failed && out) return;
  std::error_code ignored;
  if (!in_place) fs::remove(place, ignored);
  refuse_output(file, option, failed.value());
}

void save_report(const std::string& file, const vsearch::ReportInput& input, bool quiet) {
  vsearch::ReportOptions options;
  options.command = command_line();
  save_text(file, "--html", vsearch::html_report(input, options));
  if (!quiet) say(fmt::format("the report is in '{}'", file));
}

}  // namespace vsx
