// UTF-8, as far as keys, paths and filters need it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace vsearch::util {

// Whether `text` is well-formed UTF-8 (Unicode 15, table 3-7: no overlong forms, no surrogates).
bool is_utf8(std::string_view text);

// Whether `text` holds a control character: U+0000 to U+001F, U+007F to U+009F. `text` is UTF-8.
bool has_control_characters(std::string_view text);

// The number of characters of UTF-8 that begin within `text`.
std::size_t count_characters(std::string_view text);

// The beginning of `text`, which is UTF-8, in at most `max_bytes` bytes: cut between characters.
std::string_view beginning(std::string_view text, std::size_t max_bytes);

// `text` in one line of at most `max_bytes` bytes for an error message: cut between characters,
// with "..." where it was cut; control characters and broken UTF-8 as '?'.
std::string shorten(std::string_view text, std::size_t max_bytes = 100);

}  // namespace vsearch::util
