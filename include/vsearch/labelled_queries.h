// Queries whose right answers are known, from a file.
#pragma once

#include <filesystem>
#include <vector>

#include "vsearch/edition.h"

namespace vsearch {

// Reads a CSV (.csv) or JSON lines file (.jsonl, .ndjson), UTF-8. A row names an item in the column
// "key", or a picture in the column "path", absolute, relative to the folder of the file, or a URI;
// and in "relevant" the keys of the right answers, with '|' between them, in JSON also as an array.
// Rows about one item or picture make one query; other columns say nothing. The order is that of
// the first rows. Throws kFileNotFound, kIo, kInvalidArgument (what is wrong, with the line).
std::vector<LabelledQuery> read_labelled_queries(const std::filesystem::path& file);

}  // namespace vsearch
