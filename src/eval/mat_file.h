// MATLAB's files, version 5, as far as data sets use them.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

namespace vsearch::eval {

// The variables of the file by their names. An array of numbers becomes an array of numbers (its
// columns one after the other), a cell array an array, a struct array an array of objects, a row of
// characters a text, what is none of these null.
// Throws kFileNotFound, kIo, kCorrupt (no such file, or a damaged one).
nlohmann::json read_mat_file(const std::filesystem::path& path);
// The same of a file's bytes; `name` appears in messages.
nlohmann::json parse_mat(std::string_view bytes, std::string_view name);

// Of an object the member, of anything else and where it has none null.
const nlohmann::json* member(const nlohmann::json& value, const char* name);
// A number, or the first of an array of numbers.
std::optional<double> first_number(const nlohmann::json& value);

}  // namespace vsearch::eval
