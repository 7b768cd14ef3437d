// What the sections of the report are built of: tables, tiles, rows of pictures.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "eval/markup.h"
#include "eval/report_pictures.h"
#include "vsearch/audit.h"

namespace vsearch::report {

// A name from elsewhere, cut where it would break the page.
std::string short_name(std::string_view name);

// A table that scrolls in a box of its own where it is wider than the page. The first cell of each
// row names it. Beyond `most_rows` rows a line says how many were left out.
struct Table {
  std::string caption;
  std::vector<Markup> head;
  std::vector<std::vector<Markup>> rows;
  std::string kind{};  // a class of the style sheet: "text" if the cells are words
  std::size_t most_rows = 40;
};
Markup table(const Table& table);

Markup text_cell(std::string_view text);  // escaped
// A mean with its interval below; `best` stands out.
Markup percent_cell(const Estimate& e, bool best = false);

// A headline figure.
struct Tile {
  std::string name;
  std::string value;
  std::string note;
};
Markup tiles(const std::vector<Tile>& tiles);

// A picture with what stands below it.
struct Shot {
  enum class Frame { kNone, kQuery, kRight, kWrong, kWanted };
  Thumbnail picture{};
  std::string name{};  // shown in place of a picture that is not there
  std::string caption{};
  std::string note{};
  Frame frame = Frame::kNone;
};
// `query`, if it has a frame, stands apart from the others.
Markup picture_row(std::string_view title, const Shot& query, const std::vector<Shot>& shots);

// A plot and how to read it.
Markup figure(std::string_view title, std::string_view how_to_read, const Markup& plot);

Markup section(std::string_view id, std::string_view title, const Markup& content);
Markup paragraph(std::string_view text);
// A paragraph that is less important than the others.
Markup remark(std::string_view text);

// The verdict in words, with a sign of its own.
Markup badge(Verdict verdict);

}  // namespace vsearch::report
