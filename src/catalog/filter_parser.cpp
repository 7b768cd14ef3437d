// Filter::parse: recursive descent over
//   expression = and_list { OR and_list }
//   and_list   = term { AND term }
//   term       = NOT term | "(" expression ")" | condition
//   condition  = field ( operator value | [NOT] IN "(" value { "," value } ")"
//                      | [NOT] BETWEEN value AND value | [NOT] LIKE value | [NOT] HAS value
//                      | IS [NOT] NULL )
#include <fmt/format.h>

#include <array>
#include <optional>
#include <utility>

#include "catalog/filter_lexer.h"
#include "catalog/filter_node.h"
#include "util/utf8.h"
#include "vsearch/error.h"

namespace vsearch {
namespace {

using detail::FilterLexer;
using detail::FilterToken;
using Kind = FilterNode::Kind;

constexpr std::array<std::pair<std::string_view, Kind>, 6> kOperators{{
    {"=", Kind::kEqual},
    {"!=", Kind::kNotEqual},
    {"<", Kind::kLess},
    {"<=", Kind::kLessEqual},
    {">", Kind::kGreater},
    {">=", Kind::kGreaterEqual},
}};

std::string describe(const FilterToken& token) {
  switch (token.kind) {
    case FilterToken::Kind::kEnd:
      return "the end";
    case FilterToken::Kind::kQuotedName:
      return fmt::format("the field \"{}\"", util::shorten(token.text));
    case FilterToken::Kind::kValue:
      return std::holds_alternative<std::string>(token.value) ? "a text" : "a number";
    default:
      return fmt::format("'{}'", util::shorten(token.text));
  }
}

class Parser {
 public:
  explicit Parser(std::string_view expression) : lexer_(expression), token_(lexer_.next()) {}

  FilterNode parse() {
    FilterNode root = expression();
    if (token_.kind != FilterToken::Kind::kEnd) expected("AND, OR or the end");
    detail::check_filter_depth(root);
    return root;
  }

 private:
  // Counts the levels of nesting that are open.
  class Level {
   public:
    explicit Level(Parser& parser) : parser_(parser) {
      if (++parser_.depth_ > detail::kMaxFilterRecursion) {
        parser_.lexer_.fail(parser_.token_.position,
                            fmt::format("more than {} nested levels", detail::kMaxFilterRecursion));
      }
    }
    ~Level() { --parser_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    Parser& parser_;
  };

  [[noreturn]] void expected(std::string_view what) const {
    lexer_.fail(token_.position, fmt::format("expected {}, found {}", what, describe(token_)));
  }
  void advance() { token_ = lexer_.next(); }
  bool accept_keyword(std::string_view keyword) {
    if (!token_.is_keyword(keyword)) return false;
    advance();
    return true;
  }
  bool accept_symbol(std::string_view symbol) {
    if (!token_.is_symbol(symbol)) return false;
    advance();
    return true;
  }

  FilterNode expression() {
    return list(Kind::kOr, "OR", [this] { return and_list(); });
  }
  FilterNode and_list() {
    return list(Kind::kAnd, "AND", [this] { return term(); });
  }

  template <typename Member>
  FilterNode list(Kind kind, std::string_view keyword, Member member) {
    std::vector<FilterNode> members;
    do {
      members.push_back(member());
    } while (accept_keyword(keyword));
    return detail::combine(kind, std::move(members));
  }

  FilterNode term() {
    if (token_.is_keyword("NOT")) {
      const Level level(*this);
      advance();
      return detail::negate(term());
    }
    if (token_.is_symbol("(")) {
      const Level level(*this);
      advance();
      FilterNode inner = expression();
      if (!accept_symbol(")")) expected("AND, OR or ')'");
      return inner;
    }
    return condition();
  }

  FilterNode condition() {
    if (++conditions_ > detail::kMaxFilterConditions) {
      lexer_.fail(token_.position,
                  fmt::format("more than {} conditions", detail::kMaxFilterConditions));
    }
    FilterNode leaf;
    leaf.field = field();
    const std::size_t position = token_.position;
    const bool negated = comparison(leaf);
    if (const std::string problem = detail::filter_problem(leaf); !problem.empty()) {
      lexer_.fail(position, problem);
    }
    return negated ? detail::negate(std::move(leaf)) : leaf;
  }

  std::vector<std::string> field() {
    std::vector<std::string> names;
    do {
      const bool word = token_.kind == FilterToken::Kind::kWord && !token_.is_any_keyword();
      if (!word && token_.kind != FilterToken::Kind::kQuotedName) {
        expected(names.empty() ? "a field name, NOT or '('" : "a field name after '.'");
      }
      names.push_back(token_.text);
      advance();
    } while (accept_symbol("."));
    return names;
  }

  // Reads what follows the field into `leaf`; returns whether a NOT belongs to it.
  bool comparison(FilterNode& leaf) {
    for (const auto& [symbol, kind] : kOperators) {
      if (accept_symbol(symbol)) {
        leaf.kind = kind;
        leaf.values.push_back(value());
        return false;
      }
    }
    if (accept_keyword("IS")) {
      const bool negated = accept_keyword("NOT");
      if (!accept_keyword("NULL")) expected(negated ? "NULL" : "NULL or NOT NULL");
      leaf.kind = Kind::kIsNull;
      return negated;
    }
    const bool negated = accept_keyword("NOT");
    if (accept_keyword("IN")) {
      leaf.kind = Kind::kIn;
      if (!accept_symbol("(")) expected("'(' and the values");
      do {
        leaf.values.push_back(value());
      } while (accept_symbol(","));
      if (!accept_symbol(")")) expected("',' or ')'");
    } else if (accept_keyword("BETWEEN")) {
      leaf.kind = Kind::kBetween;
      leaf.values.push_back(value());
      if (!accept_keyword("AND")) expected("AND and the upper end");
      leaf.values.push_back(value());
    } else if (accept_keyword("LIKE")) {
      leaf.kind = Kind::kLike;
      leaf.values.push_back(value());
    } else if (accept_keyword("HAS")) {
      leaf.kind = Kind::kHas;
      leaf.values.push_back(value());
    } else {
      expected(negated ? "IN, BETWEEN, LIKE or HAS"
                       : "one of = != < <= > >= IN BETWEEN LIKE HAS IS after the field");
    }
    return negated;
  }

  FilterValue value() {
    if (token_.kind == FilterToken::Kind::kValue) {
      FilterValue result = std::move(token_.value);
      advance();
      return result;
    }
    if (accept_keyword("TRUE")) return true;
    if (accept_keyword("FALSE")) return false;
    if (token_.is_keyword("NULL")) {
      expected("a value (whether a field is missing is asked with IS NULL)");
    }
    if (token_.kind == FilterToken::Kind::kQuotedName ||
        (token_.kind == FilterToken::Kind::kWord && !token_.is_any_keyword())) {
      expected("a value (a text is written in single quotes)");
    }
    expected("a value: a text in single quotes, a number, true or false");
  }

  FilterLexer lexer_;
  FilterToken token_;
  int depth_ = 0;
  int conditions_ = 0;
};

}  // namespace

Filter Filter::parse(std::string_view expression) {
  if (expression.size() > detail::kMaxFilterBytes) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("the filter is {} bytes long; the most is {}", expression.size(),
                            detail::kMaxFilterBytes));
  }
  if (!util::is_utf8(expression) || expression.find('\0') != std::string_view::npos) {
    throw Error(ErrorCode::kInvalidArgument,
                "the filter is not UTF-8 text: " + util::shorten(expression));
  }
  return Filter(std::make_shared<const FilterNode>(Parser(expression).parse()));
}

}  // namespace vsearch
