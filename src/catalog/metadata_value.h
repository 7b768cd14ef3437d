// JSON metadata in memory. nlohmann's own tree needs memory to be destroyed, in a destructor, and
// so ends the process where there is none; this one does not, and is told the catalogue's limits.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace vsearch::detail {

// Metadata may be this long and this deeply nested; deeper would be refused by SQLite's JSON
// functions sooner or later.
inline constexpr std::size_t kMaxMetadataBytes = std::size_t{1} << 20;
inline constexpr int kMaxMetadataDepth = 100;

struct MetadataMember;

struct MetadataValue {
  using Array = std::vector<MetadataValue>;
  using Object = std::vector<MetadataMember>;  // sorted by name, each name once

  std::variant<std::nullptr_t, bool, std::int64_t, std::uint64_t, double, std::string, Array,
               Object>
      value = nullptr;

  template <typename T>
  const T* as() const {
    return std::get_if<T>(&value);
  }
  bool is_null() const { return as<std::nullptr_t>() != nullptr; }
};

struct MetadataMember {
  std::string name;
  MetadataValue value;
};

// Of a repeated name the last counts. `name`: of the text, in messages. Throws kInvalidArgument:
// not JSON, too long, too deep, a text with U+0000.
MetadataValue parse_metadata(std::string_view text, std::string_view name);

// Compact JSON.
std::string to_text(const MetadataValue& value);
std::string to_text(std::string_view text);
std::string to_text(double number);

// What is at `path` in nested objects; null if nothing is, or a null.
const MetadataValue* find_value(const MetadataValue& metadata,
                                const std::vector<std::string>& path);

// RFC 7386.
void merge_patch(MetadataValue& target, const MetadataValue& patch);

}  // namespace vsearch::detail
