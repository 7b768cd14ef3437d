// What is in a folder. libstdc++'s directory_iterator makes paths in functions that may not throw,
// and so ends the process where there is no memory; this does not.
#pragma once

#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

namespace vsearch::util {

// But for "." and "..", in no order. If the folder cannot be read `error` says why, and what was
// read until then is returned.
std::vector<std::string> names_in(const std::filesystem::path& folder, std::error_code& error);

// Deletes the folder and the files in it, as far as it can; folders in it stay. Needs no memory.
void remove_flat_folder(const std::filesystem::path& folder) noexcept;

}  // namespace vsearch::util
