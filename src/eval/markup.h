// HTML and SVG from C++. Text is escaped unless it is markup already, so none slips through.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace vsearch::report {

// Text that is HTML or SVG already.
struct Markup {
  std::string html{};

  Markup& operator+=(const Markup& more) {
    html += more.html;
    return *this;
  }
  bool empty() const { return html.empty(); }
};

// `text` for use between tags and in attributes: always well-formed UTF-8, whatever `text` is.
// Broken UTF-8 and control characters become '?'; a line feed or tab stays as it is.
std::string escape(std::string_view text);

inline void add_to(std::string& html, const Markup& markup) {
  html += markup.html;
}
inline void add_to(std::string& html, std::string_view text) {
  html += escape(text);
}

// The parts one after the other.
template <typename... Parts>
Markup join(const Parts&... parts) {
  Markup result;
  (add_to(result.html, parts), ...);
  return result;
}

struct Attribute {
  std::string_view name;
  std::string value;
};

std::string opening_tag(std::string_view name, std::initializer_list<Attribute> attributes);
bool has_no_end(std::string_view name);  // "img" and "meta"; in SVG every element ends

// An element. Attributes without a value are left out.
template <typename... Children>
Markup tag(std::string_view name, std::initializer_list<Attribute> attributes,
           const Children&... children) {
  Markup result{opening_tag(name, attributes)};
  (add_to(result.html, children), ...);
  if (!has_no_end(name)) result.html.append("</").append(name).append(">");
  return result;
}

}  // namespace vsearch::report
