// Fields of the metadata that a catalogue keeps an index of.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace vsearch {

// What the values of a field are. The names are stored on disk and never change.
enum class FieldType {
  kText,
  kNumber,  // integers and fractions
  kBoolean,
  kTags,  // an array of texts, for HAS
};
// "text", "number", "boolean", "tags".
std::string_view field_type_name(FieldType type);
std::optional<FieldType> find_field_type(std::string_view name);

// A field whose values are of one type in all items that have it (others lack it or have null
// there), and are indexed: a Filter on it is answered without looking at metadata.
struct Field {
  std::string name;  // as in a filter expression: a top-level name; a.b reaches into objects
  FieldType type = FieldType::kText;

  friend bool operator==(const Field&, const Field&) = default;
};

}  // namespace vsearch
