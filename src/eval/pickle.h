// Python's pickles, as far as lists of data sets use them: nothing that is in one is executed.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>

namespace vsearch::eval {

// Dictionaries with texts as keys, lists, tuples, texts, numbers, None and NumPy's arrays of
// numbers (flat), in protocols 0 to 5. Everything else is refused: a pickle may name any function
// of Python's, and here none is called.
// Throws kFileNotFound, kIo, kCorrupt (a damaged pickle, or one that holds something else).
nlohmann::json read_pickle(const std::filesystem::path& path);
// The same of a file's bytes; `name` appears in messages.
nlohmann::json parse_pickle(std::string_view bytes, std::string_view name);

}  // namespace vsearch::eval
