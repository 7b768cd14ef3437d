// A folder that comes into being as a whole.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

namespace vsearch::detail {

// Makes the folder `path`, which must not exist or be empty, and the folders above it. `fill` makes
// its files in a folder beside it, which is then flushed to the disk and renamed: a crash leaves
// the whole folder or none, and perhaps the one beside it, ".NAME.creating-...", which may be
// deleted. `purpose` ("create the catalogue") is for messages.
// Throws kAlreadyExists, kIo, and what `fill` throws.
void make_folder(const std::filesystem::path& path, const std::string& purpose,
                 const std::function<void(const std::filesystem::path& scratch)>& fill);

}  // namespace vsearch::detail
