#include "eval/markup.h"

#include <limits>

#include "util/utf8.h"

namespace vsearch::report {
namespace {

// `text` has no line feed or tab.
void escape_plain(std::string_view text, std::string& result) {
  for (const char c : util::shorten(text, std::numeric_limits<std::size_t>::max())) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      case '\'':
        result += "&#39;";
        break;
      default:
        result += c;
    }
  }
}

}  // namespace

std::string escape(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (std::size_t end = text.find_first_of("\n\t"); end != std::string_view::npos;
       end = text.find_first_of("\n\t")) {
    escape_plain(text.substr(0, end), result);
    result += text[end];
    text.remove_prefix(end + 1);
  }
  escape_plain(text, result);
  return result;
}

std::string opening_tag(std::string_view name, std::initializer_list<Attribute> attributes) {
  std::string result = "<";
  result += name;
  for (const Attribute& attribute : attributes) {
    if (attribute.value.empty()) continue;
    result.append(" ").append(attribute.name).append("=\"");
    result.append(escape(attribute.value)).append("\"");
  }
  return result += ">";
}

bool has_no_end(std::string_view name) {
  return name == "img" || name == "meta";
}

}  // namespace vsearch::report
