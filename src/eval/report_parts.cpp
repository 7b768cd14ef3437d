#include "eval/report_parts.h"

#include <fmt/format.h>

#include <algorithm>

#include "eval/report_numbers.h"
#include "util/utf8.h"

namespace vsearch::report {
namespace {

// Below this a picture is shown larger by whole pixels, not smoothed.
constexpr std::uint32_t kTinyPx = 64;

struct FrameLook {
  const char* kind;
  const char* sign;
  const char* words;  // what a screen reader says before the name
};

FrameLook look_of(Shot::Frame frame) {
  switch (frame) {
    case Shot::Frame::kNone:
      return {"", "", ""};
    case Shot::Frame::kQuery:
      return {"query", "", "query: "};
    case Shot::Frame::kRight:
      return {"right", "✓", "right: "};
    case Shot::Frame::kWrong:
      return {"wrong", "✗", "wrong: "};
    case Shot::Frame::kWanted:
      return {"wanted", "✓", "would be right: "};
  }
  return {"", "", ""};
}

Markup picture_of(const Shot& shot, const FrameLook& look) {
  if (shot.picture.uri.empty()) {
    return tag("div", {{"class", "no-picture"}}, short_name(shot.name));
  }
  const bool tiny = std::max(shot.picture.width_px, shot.picture.height_px) <= kTinyPx;
  return tag("img", {{"src", shot.picture.uri},
                     {"width", std::to_string(shot.picture.width_px)},
                     {"height", std::to_string(shot.picture.height_px)},
                     {"class", tiny ? "tiny" : ""},
                     {"alt", look.words + short_name(shot.caption)}});
}

Markup shot_html(const Shot& shot) {
  const FrameLook look = look_of(shot.frame);
  const Markup sign = *look.sign == '\0' ? Markup{}
                                         : tag("span", {{"class", "sign"}, {"aria-hidden", "true"}},
                                               std::string_view(look.sign));
  const Markup note =
      shot.note.empty() ? Markup{} : tag("span", {{"class", "note"}}, short_name(shot.note));
  return tag("figure",
             {{"class", *look.kind == '\0' ? "shot" : fmt::format("shot {}", look.kind)},
              {"title", short_name(shot.name)}},
             tag("div", {{"class", "frame"}}, picture_of(shot, look), sign),
             tag("figcaption", {}, short_name(shot.caption), note));
}

// The first cell is the head of its row, in the head of a table of its column.
Markup row_of(const std::vector<Markup>& cells, bool head) {
  Markup result;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (head || i == 0) {
      result += tag("th", {{"scope", head ? "col" : "row"}}, cells[i]);
    } else {
      result += tag("td", {}, cells[i]);
    }
  }
  return tag("tr", {}, result);
}

}  // namespace

std::string short_name(std::string_view name) {
  constexpr std::size_t kLongest = 200;
  return util::shorten(name, kLongest);
}

Markup table(const Table& table) {
  Markup rows;
  const std::size_t shown = std::min(table.rows.size(), table.most_rows);
  for (std::size_t i = 0; i < shown; ++i) rows += row_of(table.rows[i], false);
  Markup left_out;
  if (shown < table.rows.size()) {
    left_out =
        remark(fmt::format("Shown are {} of {} rows.", shown, with_commas(table.rows.size())));
  }
  return join(
      tag("div",
          {{"class", "scroll"},
           {"tabindex", "0"},
           {"role", "region"},
           {"aria-label", short_name(table.caption)}},
          tag("table", {{"class", table.kind}}, tag("caption", {}, short_name(table.caption)),
              tag("thead", {}, row_of(table.head, true)), tag("tbody", {}, rows))),
      left_out);
}

Markup text_cell(std::string_view text) {
  return join(short_name(text));
}

Markup percent_cell(const Estimate& e, bool best) {
  const std::string mean = percent(e.mean);
  return join(best ? tag("strong", {}, mean) : join(mean),
              tag("span", {{"class", "note"}}, percent_interval(e)));
}

Markup tiles(const std::vector<Tile>& tiles) {
  Markup result;
  for (const Tile& tile : tiles) {
    result += tag("div", {{"class", "figure"}}, tag("dt", {}, short_name(tile.name)),
                  tag("dd", {}, short_name(tile.value),
                      tag("span", {{"class", "note"}}, short_name(tile.note))));
  }
  return tag("dl", {{"class", "figures"}}, result);
}

Markup picture_row(std::string_view title, const Shot& query, const std::vector<Shot>& shots) {
  Markup results;
  for (const Shot& shot : shots) results += shot_html(shot);
  const bool apart = query.frame != Shot::Frame::kNone;
  return tag("div", {{"class", apart ? "row" : "row whole"}},
             title.empty() ? Markup{} : tag("p", {{"class", "row-title"}}, title),
             apart ? shot_html(query) : Markup{}, tag("div", {{"class", "results"}}, results));
}

Markup figure(std::string_view title, std::string_view how_to_read, const Markup& plot) {
  return tag("figure", {{"class", "panel"}},
             tag("figcaption", {}, tag("strong", {}, title),
                 tag("span", {{"class", "note"}}, how_to_read)),
             plot);
}

Markup section(std::string_view id, std::string_view title, const Markup& content) {
  return tag("section", {{"id", std::string(id)}}, tag("h2", {}, title), content);
}

Markup paragraph(std::string_view text) {
  return tag("p", {}, text);
}

Markup remark(std::string_view text) {
  return tag("p", {{"class", "remark"}}, text);
}

Markup badge(Verdict verdict) {
  const auto of = [](const char* kind, const char* sign, const char* word) {
    return tag("span", {{"class", fmt::format("badge {}", kind)}},
               tag("span", {{"aria-hidden", "true"}}, std::string_view(sign)),
               std::string_view(word));
  };
  switch (verdict) {
    case Verdict::kSound:
      return of("sound", "✓", "sound");
    case Verdict::kNoteworthy:
      return of("noteworthy", "!", "noteworthy");
    case Verdict::kFault:
      return of("fault", "✗", "fault");
    case Verdict::kNotMeasured:
      return of("unmeasured", "–", "not measured");
  }
  return {};
}

}  // namespace vsearch::report
