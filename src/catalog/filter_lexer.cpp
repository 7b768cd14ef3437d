#include "catalog/filter_lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "util/utf8.h"
#include "vsearch/error.h"

namespace vsearch::detail {
namespace {

// Locale-independent, unlike <cctype>.
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
char upper(char c) {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}
bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
bool starts_word(char c) {
  return (upper(c) >= 'A' && upper(c) <= 'Z') || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}
bool continues_word(char c) {
  return starts_word(c) || is_digit(c);
}

bool equals_in_capitals(std::string_view word, std::string_view capitals) {
  return word.size() == capitals.size() && std::equal(word.begin(), word.end(), capitals.begin(),
                                                      [](char a, char b) { return upper(a) == b; });
}

constexpr std::array<std::string_view, 11> kKeywords{"AND", "OR", "NOT",  "IN",   "BETWEEN", "LIKE",
                                                     "HAS", "IS", "NULL", "TRUE", "FALSE"};

}  // namespace

bool FilterToken::is_keyword(std::string_view keyword) const {
  return kind == FilterToken::Kind::kWord && equals_in_capitals(text, keyword);
}

bool FilterToken::is_any_keyword() const {
  return std::any_of(kKeywords.begin(), kKeywords.end(),
                     [&](std::string_view keyword) { return is_keyword(keyword); });
}

void FilterLexer::fail(std::size_t position, std::string_view what) const {
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("filter, position {}: {}; the filter is: {}",
                          util::count_characters(expression_.substr(0, position)) + 1, what,
                          expression_.empty() ? "(empty)" : util::shorten(expression_)));
}

FilterToken FilterLexer::next() {
  while (at_ < expression_.size() && is_space(expression_[at_])) ++at_;
  const std::size_t start = at_;
  if (start == expression_.size()) return {FilterToken::Kind::kEnd, start, {}, {}};
  const char c = expression_[start];
  const char following = start + 1 < expression_.size() ? expression_[start + 1] : '\0';
  if (c == '\'') return text(start);
  if (c == '"') return quoted_name(start);
  if (is_digit(c) || (c == '-' && (is_digit(following) || following == '.'))) return number(start);
  if (starts_word(c)) {
    while (at_ < expression_.size() && continues_word(expression_[at_])) ++at_;
    return {
        FilterToken::Kind::kWord, start, std::string(expression_.substr(start, at_ - start)), {}};
  }
  if ((c == '=' && following == '=') || (c == '<' && following == '>')) {
    fail(start, c == '=' ? "equality is written =, not ==" : "inequality is written !=, not <>");
  }
  std::size_t length = 0;
  if ((c == '!' || c == '<' || c == '>') && following == '=') {
    length = 2;
  } else if (c == '=' || c == '<' || c == '>' || c == '(' || c == ')' || c == ',' || c == '.') {
    length = 1;
  } else {
    fail(start, fmt::format("the character '{}' has no meaning here", util::shorten({&c, 1})));
  }
  at_ += length;
  return {FilterToken::Kind::kSymbol, start, std::string(expression_.substr(start, length)), {}};
}

std::string FilterLexer::quoted(std::size_t start, char quote, std::string_view what) {
  std::string result;
  at_ = start + 1;
  while (true) {
    const std::size_t end = expression_.find(quote, at_);
    if (end == std::string_view::npos) {
      fail(start, fmt::format("{} is opened here and never closed", what));
    }
    result += expression_.substr(at_, end - at_);
    at_ = end + 1;
    if (at_ == expression_.size() || expression_[at_] != quote) return result;
    result += quote;
    ++at_;
  }
}

FilterToken FilterLexer::text(std::size_t start) {
  return {FilterToken::Kind::kValue, start, {}, quoted(start, '\'', "a text")};
}

FilterToken FilterLexer::quoted_name(std::size_t start) {
  std::string name = quoted(start, '"', "a field name");
  if (const std::string problem = filter_name_problem(name); !problem.empty()) {
    fail(start, problem);
  }
  return {FilterToken::Kind::kQuotedName, start, std::move(name), {}};
}

FilterToken FilterLexer::number(std::size_t start) {
  const auto digits = [&] {
    while (at_ < expression_.size() && is_digit(expression_[at_])) ++at_;
  };
  const auto take = [&](std::string_view any_of) {
    if (at_ == expression_.size() || any_of.find(expression_[at_]) == any_of.npos) return false;
    ++at_;
    return true;
  };
  take("-");
  digits();
  bool integral = true;
  if (take(".")) {
    integral = false;
    digits();
  }
  if (take("eE")) {
    integral = false;
    take("+-");
    digits();
  }
  const char* const first = expression_.data() + start;
  const char* const last = expression_.data() + at_;
  const bool ended = at_ == expression_.size() || !continues_word(expression_[at_]);
  if (integral && ended) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(first, last, value);
    if (error == std::errc() && end == last) return {FilterToken::Kind::kValue, start, {}, value};
  }
  double value = 0;
  const auto [end, error] = std::from_chars(first, last, value);
  if (error == std::errc::result_out_of_range) fail(start, "this number is out of range");
  if (error != std::errc() || end != last || !ended) fail(start, "this is no number");
  return {FilterToken::Kind::kValue, start, {}, value};
}

}  // namespace vsearch::detail
