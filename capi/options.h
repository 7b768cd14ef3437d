// Options that a C program gives as JSON.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "vsearch/error.h"

namespace vsearch::capi {

// What `text` says; an empty object for NULL. Throws kInvalidArgument.
inline nlohmann::json parse_options(const char* text) {
  if (text == nullptr) return nlohmann::json::object();
  nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (json.is_discarded()) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("options is no JSON: '{}'; give an object, such as {{\"epochs\": 8}}", text));
  }
  return json;
}

// Takes the values of a JSON object one by one. What is missing or null is left as it is.
// Every member throws kInvalidArgument, which names the value and what it must be.
class OptionReader {
 public:
  using Json = nlohmann::json;

  OptionReader(const Json& object, std::string name) : object_(object), name_(std::move(name)) {
    if (!object_.is_object()) fail_of(name_, object_, "an object, such as {\"epochs\": 8}");
  }

  void take(const char* key, bool& value) {
    const Json* const given = find(key);
    if (given == nullptr) return;
    if (!given->is_boolean()) fail(key, *given, "true or false");
    value = given->get<bool>();
  }
  void take(const char* key, double& value) {
    const Json* const given = find(key);
    if (given == nullptr) return;
    if (!given->is_number()) fail(key, *given, "a number");
    value = given->get<double>();
  }
  void take(const char* key, std::uint32_t& value) {
    std::uint64_t wide = value;
    take_whole(key, wide, std::numeric_limits<std::uint32_t>::max());
    value = static_cast<std::uint32_t>(wide);
  }
  void take(const char* key, std::uint64_t& value) {
    take_whole(key, value, std::numeric_limits<std::uint64_t>::max());
  }
  void take(const char* key, std::string& value) {
    const Json* const given = find(key);
    if (given == nullptr) return;
    if (!given->is_string()) fail(key, *given, "a text");
    value = given->get<std::string>();
  }
  void take(const char* key, std::filesystem::path& value) {
    std::string text = value.string();
    take(key, text);
    value = text;
  }
  void take(const char* key, std::vector<std::string>& value) {
    const Json* const given = find(key);
    if (given == nullptr) return;
    value.clear();
    if (!given->is_array()) fail(key, *given, "a list of texts");
    for (const Json& text : *given) {
      if (!text.is_string()) fail(key, *given, "a list of texts");
      value.push_back(text.get<std::string>());
    }
  }
  template <class T>
  void take(const char* key, std::optional<T>& value) {
    if (find(key) == nullptr) return;
    T given{};
    take(key, given);
    value = given;
  }
  // One of the names that `find_name` knows.
  template <class T, class Find>
  void take_name(const char* key, T& value, const Find& find_name, const char* names) {
    std::string name;
    take(key, name);
    if (find(key) == nullptr) return;
    const std::optional<T> found = find_name(name);
    if (!found) fail(key, name, names);
    value = *found;
  }
  const Json* object(const char* key) { return find(key); }
  std::string name_of(const char* key) const { return name_ + '.' + key; }

  // Nothing was given but what was asked for.
  void finish() const {
    for (const auto& [key, value] : object_.items()) {
      if (std::ranges::find(known_, key) != known_.end()) continue;
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("{} has no '{}'; it has: {}", name_, key, fmt::join(known_, ", ")));
    }
  }

  [[noreturn]] void fail(const char* key, const Json& given, std::string_view wanted) const {
    fail_of(name_of(key), given, wanted);
  }

 private:
  const Json* find(const char* key) {
    if (std::ranges::find(known_, key) == known_.end()) known_.emplace_back(key);
    const auto found = object_.find(key);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }

  void take_whole(const char* key, std::uint64_t& value, std::uint64_t most) {
    const Json* const given = find(key);
    if (given == nullptr) return;
    if (!given->is_number_unsigned() || given->get<std::uint64_t>() > most) {
      fail(key, *given, fmt::format("a whole number from 0 to {}", most));
    }
    value = given->get<std::uint64_t>();
  }

  [[noreturn]] static void fail_of(const std::string& name, const Json& given,
                                   std::string_view wanted) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{} is {}; it must be {}", name,
                            given.dump(-1, ' ', false, Json::error_handler_t::replace), wanted));
  }

  const Json& object_;
  std::string name_;
  std::vector<std::string> known_;
};

}  // namespace vsearch::capi
