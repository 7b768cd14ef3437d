#include "catalog/metadata_value.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "util/utf8.h"
#include "vsearch/error.h"

namespace vsearch::detail {
namespace {

using nlohmann::json;
using Array = MetadataValue::Array;
using Object = MetadataValue::Object;

// Takes what nlohmann's parser reads, piece by piece.
class Builder {
 public:
  explicit Builder(std::string_view name) : name_(name) {}

  MetadataValue take() { return std::move(root_); }
  const std::string& problem() const { return problem_; }

  bool null() { return append({nullptr}); }
  bool boolean(bool value) { return append({value}); }
  bool number_integer(std::int64_t value) { return append({value}); }
  bool number_unsigned(std::uint64_t value) { return append({value}); }
  bool number_float(double value, const std::string&) { return append({value}); }
  bool string(const std::string& value) {
    check_text(value);
    return append({value});
  }
  bool binary(const json::binary_t&) { return false; }  // JSON texts have none
  bool start_object(std::size_t) { return start({Object()}); }
  bool start_array(std::size_t) { return start({Array()}); }
  bool key(const std::string& name) {
    check_text(name);
    std::get<Object>(open_.back().value).push_back({name, {}});
    return true;
  }
  bool end_object() {
    Object& members = std::get<Object>(open_.back().value);
    std::ranges::stable_sort(members, {}, &MetadataMember::name);
    // Of those with one name the last stays.
    const auto gone = std::ranges::unique(members.rbegin(), members.rend(), {},
                                          [](const MetadataMember& m) { return m.name; });
    members.erase(members.begin(), gone.begin().base());
    return end();
  }
  bool end_array() { return end(); }
  bool parse_error(std::size_t, const std::string&, const json::exception& error) {
    problem_ = error.what();
    return false;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("{} {}", name_, what));
  }
  // SQLite would cut the text there.
  void check_text(const std::string& text) const {
    if (text.find('\0') == std::string::npos) return;
    fail("has a text with the character U+0000, which cannot be kept");
  }
  bool append(MetadataValue value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (auto* const array = std::get_if<Array>(&open_.back().value)) {
      array->push_back(std::move(value));
    } else {
      std::get<Object>(open_.back().value).back().value = std::move(value);
    }
    return true;
  }
  bool start(MetadataValue value) {
    if (open_.size() >= kMaxMetadataDepth) {
      fail(fmt::format("is nested more than {} levels deep", kMaxMetadataDepth));
    }
    open_.push_back(std::move(value));
    return true;
  }
  bool end() {
    MetadataValue value = std::move(open_.back());
    open_.pop_back();
    return append(std::move(value));
  }

  const std::string_view name_;
  MetadataValue root_;
  std::vector<MetadataValue> open_;  // from the outermost on
  std::string problem_;
};

struct JsonWriter {
  std::string& text;

  void operator()(std::nullptr_t) const { text += "null"; }
  void operator()(bool value) const { text += value ? "true" : "false"; }
  void operator()(std::int64_t value) const {
    fmt::format_to(std::back_inserter(text), "{}", value);
  }
  void operator()(std::uint64_t value) const {
    fmt::format_to(std::back_inserter(text), "{}", value);
  }
  void operator()(double value) const { text += to_text(value); }
  void operator()(const std::string& value) const { text += to_text(value); }
  void operator()(const Array& array) const {
    text += '[';
    for (const MetadataValue& value : array) {
      if (text.back() != '[') text += ',';
      std::visit(*this, value.value);
    }
    text += ']';
  }
  void operator()(const Object& object) const {
    text += '{';
    for (const MetadataMember& member : object) {
      if (text.back() != '{') text += ',';
      text += to_text(member.name);
      text += ':';
      std::visit(*this, member.value.value);
    }
    text += '}';
  }
};

}  // namespace

MetadataValue parse_metadata(std::string_view text, std::string_view name) {
  if (text.size() > kMaxMetadataBytes) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("{} is {} bytes long; the most is {}",
                                                         name, text.size(), kMaxMetadataBytes));
  }
  Builder builder(name);
  if (!json::sax_parse(text, &builder)) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("{} is not valid JSON ({}): {}", name,
                                                         builder.problem(), util::shorten(text)));
  }
  return builder.take();
}

std::string to_text(const MetadataValue& value) {
  std::string text;
  std::visit(JsonWriter{text}, value.value);
  return text;
}

std::string to_text(std::string_view text) {
  // Nearly all texts have nothing to escape, and nothing that could be no UTF-8.
  const bool is_plain = std::ranges::all_of(
      text, [](char c) { return c >= ' ' && c < '\x7f' && c != '"' && c != '\\'; });
  return is_plain ? fmt::format("\"{}\"", text) : json(text).dump();
}

std::string to_text(double number) {
  return json(number).dump();
}

const MetadataValue* find_value(const MetadataValue& metadata,
                                const std::vector<std::string>& path) {
  const MetadataValue* value = &metadata;
  for (const std::string& name : path) {
    const auto* const object = value->as<Object>();
    if (object == nullptr) return nullptr;
    const auto member = std::ranges::lower_bound(*object, name, {}, &MetadataMember::name);
    if (member == object->end() || member->name != name) return nullptr;
    value = &member->value;
  }
  return value->is_null() ? nullptr : value;
}

void merge_patch(MetadataValue& target, const MetadataValue& patch) {
  const auto* const changes = patch.as<Object>();
  if (changes == nullptr) {
    target = patch;
    return;
  }
  if (target.as<Object>() == nullptr) target.value = Object();
  Object& members = std::get<Object>(target.value);
  for (const MetadataMember& change : *changes) {
    auto member = std::ranges::lower_bound(members, change.name, {}, &MetadataMember::name);
    const bool is_there = member != members.end() && member->name == change.name;
    if (change.value.is_null()) {
      if (is_there) members.erase(member);
      continue;
    }
    if (!is_there) member = members.insert(member, {change.name, {}});
    merge_patch(member->value, change.value);
  }
}

}  // namespace vsearch::detail
