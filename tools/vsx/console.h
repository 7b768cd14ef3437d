// What vsx says to people. Results go to standard output, everything else through here to standard
// error, so that `vsx search --json > hits.json` holds nothing but JSON.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "vsearch/types.h"

namespace vsx {

// Prints "vsx: `text`" and a line break. A status line on the terminal stays below it. Control
// characters, which a file name may hold, become '?'.
// Threads: may be called from any.
void say(std::string_view text);

// Replaces the status line, the last line of the terminal; an empty one takes it away.
void show_status(std::string_view line);

// Writes `text` to standard output. Throws vsearch::Error (kIo).
void print(std::string_view text);

// Shows the library's warnings and errors.
void show_log(vsearch::LogLevel level, std::string_view text);

// Keeps how vsx was called, for reports.
void note_command_line(int argc, char** argv);
// As a shell would take it again; paths as they were given.
std::string command_line();

bool is_terminal(int descriptor);
// Columns of the terminal behind `descriptor`; 80 if it does not say.
std::size_t terminal_width(int descriptor);

// 9998 -> "9,998".
std::string with_commas(std::uint64_t number);
// (1, "item") -> "1 item"; (9998, "item") -> "9,998 items".
std::string counted(std::uint64_t number, std::string_view noun);
// 75 -> "1:15"; 3675 -> "1:01:15".
std::string clock_time(double seconds);
// 75.2 -> "75 s"; 0.31 -> "0.3 s".
std::string seconds_text(double seconds);
// (158.4, "items") -> "158 items/s"; (3.14, "") -> "3.1/s".
std::string rate_text(double per_second, std::string_view unit = {});
// 2340000 -> "2.3 MB".
std::string bytes_text(std::uint64_t bytes);
// The double that is written with as few digits as the float: 0.9, not 0.8999999761581421.
double shortest(float value);
// `text` with control characters replaced by '?'; line breaks too unless `keep_lines`.
std::string printable(std::string_view text, bool keep_lines = false);

}  // namespace vsx
