#include "table.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "console.h"

namespace vsx {
namespace {

constexpr std::size_t kGap = 2;
constexpr std::size_t kNarrowest = 16;  // of a shortened column

bool starts_character(char c) {
  return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
}

// Characters of UTF-8 text: near enough to columns of the terminal.
std::size_t text_width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), starts_character));
}

// Where the character number `index` begins.
std::size_t character_at(std::string_view text, std::size_t index) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (starts_character(text[i]) && index-- == 0) return i;
  }
  return text.size();
}

std::string fitted(const std::string& text, std::size_t width, Shorten shorten) {
  const std::size_t characters = text_width(text);
  if (characters <= width) return text;
  if (shorten == Shorten::kEnd) return text.substr(0, character_at(text, width - 1)) + "…";
  return "…" + text.substr(character_at(text, characters - width + 1));
}

}  // namespace

Table::Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

void Table::add_row(std::vector<std::string> cells) {
  for (std::string& cell : cells) cell = printable(cell);
  rows_.push_back(std::move(cells));
}

// 0: the column is left out.
std::vector<std::size_t> Table::column_widths(std::size_t width) const {
  std::vector<std::size_t> widths(columns_.size());
  std::size_t total = 0;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    for (const auto& row : rows_) widths[i] = std::max(widths[i], text_width(row[i]));
    if (widths[i] == 0) continue;
    widths[i] = std::max(widths[i], text_width(columns_[i].name));
    total += widths[i] + (total > 0 ? kGap : 0);
  }
  for (; width > 0 && total > width; --total) {
    std::size_t* widest = nullptr;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      if (columns_[i].shorten == Shorten::kNever || widths[i] <= kNarrowest) continue;
      if (widest == nullptr || widths[i] > *widest) widest = &widths[i];
    }
    if (widest == nullptr) break;
    --*widest;
  }
  return widths;
}

std::string Table::text(std::size_t width) const {
  const std::vector<std::size_t> widths = column_widths(width);
  std::string result;
  const auto add_line = [&](const auto& cell_of) {
    std::string line;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      if (widths[i] == 0) continue;
      if (!line.empty()) line.append(kGap, ' ');
      const std::string cell = fitted(cell_of(i), widths[i], columns_[i].shorten);
      line += cell + std::string(widths[i] - text_width(cell), ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    result += line + "\n";
  };
  add_line([&](std::size_t i) { return columns_[i].name; });
  for (const auto& row : rows_) add_line([&](std::size_t i) { return row[i]; });
  return result;
}

}  // namespace vsx
