#include "console.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdio>
#include <iterator>
#include <mutex>

#include "vsearch/error.h"

namespace vsx {
namespace {

// Carriage return, then "erase to the end of the line" (ECMA-48).
constexpr std::string_view kEraseLine = "\r\033[K";

std::mutex console_mutex;
std::string status_line;  // what the terminal's last line shows
std::string called_as;    // written once, before there are threads

void write_stderr(std::string_view text) {
  // Nothing can be said about a standard error that cannot be written to.
  (void)std::fwrite(text.data(), 1, text.size(), stderr);
}

}  // namespace

void say(std::string_view text) {
  const std::lock_guard lock(console_mutex);
  if (!status_line.empty()) write_stderr(kEraseLine);
  write_stderr("vsx: " + printable(text, true) + "\n");
  write_stderr(status_line);
}

void show_status(std::string_view line) {
  const std::lock_guard lock(console_mutex);
  if (line.empty() && status_line.empty()) return;
  status_line = line;
  write_stderr(std::string(kEraseLine) + status_line);
}

void print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    throw vsearch::Error(vsearch::ErrorCode::kIo,
                         "cannot write to standard output; is the disk full?");
  }
}

void show_log(vsearch::LogLevel level, std::string_view text) {
  if (level == vsearch::LogLevel::kInfo) return;
  say(fmt::format("{}: {}", level == vsearch::LogLevel::kWarning ? "warning" : "error", text));
}

void note_command_line(int argc, char** argv) {
  constexpr std::string_view kPlain = "-_./:,=+@%";
  called_as.clear();
  for (int i = 0; i < argc; ++i) {
    const std::string_view word = argv[i];
    const bool plain = !word.empty() && std::ranges::all_of(word, [&](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) != 0 || kPlain.find(c) != kPlain.npos;
    });
    if (i > 0) called_as += ' ';
    if (plain) {
      called_as += i == 0 ? word.substr(word.rfind('/') + 1) : word;
      continue;
    }
    called_as += '\'';
    for (const char c : word) called_as += c == '\'' ? std::string("'\\''") : std::string(1, c);
    called_as += '\'';
  }
}

std::string command_line() {
  return called_as;
}

bool is_terminal(int descriptor) {
  return isatty(descriptor) == 1;
}

std::size_t terminal_width(int descriptor) {
  winsize size{};
  if (ioctl(descriptor, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

std::string with_commas(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t left = digits.size(); left > 3;) {
    left -= 3;
    digits.insert(left, 1, ',');
  }
  return digits;
}

std::string counted(std::uint64_t number, std::string_view noun) {
  return fmt::format("{} {}{}", with_commas(number), noun, number == 1 ? "" : "s");
}

std::string clock_time(double seconds) {
  const auto whole = static_cast<std::uint64_t>(seconds < 0 ? 0 : seconds + 0.5);
  const std::uint64_t hours = whole / 3600;
  const std::uint64_t minutes = whole / 60 % 60;
  if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, minutes, whole % 60);
  return fmt::format("{}:{:02}", minutes, whole % 60);
}

std::string seconds_text(double seconds) {
  return seconds < 10 ? fmt::format("{:.1f} s", seconds) : fmt::format("{:.0f} s", seconds);
}

std::string rate_text(double per_second, std::string_view unit) {
  return fmt::format("{:.{}f}{}{}/s", per_second, per_second < 10 ? 1 : 0, unit.empty() ? "" : " ",
                     unit);
}

std::string bytes_text(std::uint64_t bytes) {
  constexpr std::string_view kUnits[] = {"kB", "MB", "GB", "TB"};
  if (bytes < 1000) return fmt::format("{} bytes", bytes);
  double value = static_cast<double>(bytes) / 1000;
  std::size_t unit = 0;
  for (; value >= 1000 && unit + 1 < std::size(kUnits); ++unit) value /= 1000;
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

double shortest(float value) {
  const std::string text = fmt::format("{}", value);
  double result = 0;
  std::from_chars(text.data(), text.data() + text.size(), result);
  return result;
}

std::string printable(std::string_view text, bool keep_lines) {
  std::string result(text);
  for (char& c : result) {
    const bool control = static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
    if (control && !(keep_lines && c == '\n')) c = '?';
  }
  return result;
}

}  // namespace vsx
