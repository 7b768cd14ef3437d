// The words of a filter expression.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "catalog/filter_node.h"

namespace vsearch::detail {

struct FilterToken {
  enum class Kind {
    kEnd,
    kWord,        // a plain field name or a keyword; `text` as it stands
    kQuotedName,  // "unit price"; `text` without the quotes
    kValue,       // a text or a number, in `value`
    kSymbol,      // = != < <= > >= ( ) , .
  };
  Kind kind = Kind::kEnd;
  std::size_t position = 0;  // byte offset in the expression
  std::string text;
  FilterValue value;

  bool is_symbol(std::string_view symbol) const { return kind == Kind::kSymbol && text == symbol; }
  // `keyword` in capitals; the expression may write it in any case.
  bool is_keyword(std::string_view keyword) const;
  // Whether it is any keyword of the language, so that it cannot be a plain field name.
  bool is_any_keyword() const;
};

class FilterLexer {
 public:
  // `expression` must be UTF-8 and outlive the lexer.
  explicit FilterLexer(std::string_view expression) : expression_(expression) {}

  FilterToken next();

  // Throws the error that `expected` should stand at the byte offset `position` and `found` does.
  [[noreturn]] void fail(std::size_t position, std::string_view what) const;

 private:
  FilterToken text(std::size_t start);
  FilterToken quoted_name(std::size_t start);
  FilterToken number(std::size_t start);
  // What stands between the quotes that open at `start`; a doubled quote is one.
  std::string quoted(std::size_t start, char quote, std::string_view what);

  std::string_view expression_;
  std::size_t at_ = 0;
};

}  // namespace vsearch::detail
