#include "train/whole_file.h"

#include <fmt/format.h>

#include <system_error>

#include "catalog/output_file.h"
#include "vsearch/error.h"

namespace vsearch::training {
namespace {

std::filesystem::path unfinished_of(const std::filesystem::path& path) {
  return path.string() + ".unfinished";
}

}  // namespace

void replace_file(const std::filesystem::path& path, std::string_view content) {
  const std::filesystem::path unfinished = unfinished_of(path);
  try {
    detail::OutputFile file(unfinished);
    file.write(content);
    file.sync();
    file.close();
    std::filesystem::rename(unfinished, path);
  } catch (const std::exception& error) {
    std::error_code ignored;
    std::filesystem::remove(unfinished, ignored);
    throw Error(ErrorCode::kIo, fmt::format("{} cannot be written: {}; is there room on the disk, "
                                            "and a folder one may write to?",
                                            path.string(), error.what()));
  }
}

void check_writable(const std::filesystem::path& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: a folder; name a file in it", path.string()));
  }
  if (std::filesystem::exists(path, ignored) && !std::filesystem::is_regular_file(path, ignored)) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: a device or a pipe, which a file would take the place of; name a "
                            "file",
                            path.string()));
  }
  const std::filesystem::path unfinished = unfinished_of(path);
  try {
    detail::OutputFile(unfinished).close();
  } catch (const Error& error) {
    throw Error(ErrorCode::kIo,
                fmt::format("{} cannot be written: {}; name a file in a folder that is there and "
                            "that one may write to",
                            path.string(), error.what()));
  }
  std::filesystem::remove(unfinished, ignored);
}

}  // namespace vsearch::training
