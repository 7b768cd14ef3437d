// The --metadata file of `vsx add`; docs/vsx.md describes both formats.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace vsx {

// One row of a CSV file or one line of a JSONL file.
struct MetadataRow {
  std::size_t line = 0;  // where it begins, from 1
  std::string key;       // may be empty if path is not
  std::string path;      // may be empty if key is not
  std::string metadata;  // the other columns as a JSON object
};

// Reads a .csv or a .jsonl (.ndjson) file. The path of a picture is in the column (field) "path",
// the key in `key_column`, which every row must then have; without it in "key", which rows may
// lack. Throws vsearch::Error: kFileNotFound, kIo, kInvalidArgument (what is wrong, with the line).
std::vector<MetadataRow> read_metadata_file(const std::filesystem::path& file,
                                            const std::optional<std::string>& key_column = {});

}  // namespace vsx
