// Files that are there whole or as they were before.
#pragma once

#include <filesystem>
#include <string_view>

namespace vsearch::training {

// Puts a file with this content in the place of `path`, by way of PATH.unfinished. Throws kIo, with
// `path` as it was. (Torch writes to a string first: where a disk is full its own writer ends the
// process.)
void replace_file(const std::filesystem::path& path, std::string_view content);

// That replace_file() may write there, but for the room: to be known before hours of work. Makes
// PATH.unfinished and takes it away again; `path` stays as it is. Throws kInvalidArgument (a
// folder, a device), kIo (a folder that is not there, or that one may not write to).
void check_writable(const std::filesystem::path& path);

}  // namespace vsearch::training
