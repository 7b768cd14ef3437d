// What a catalogue accepts as an item.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "vsearch/catalog.h"

namespace vsearch::detail {

struct MetadataValue;

inline constexpr std::size_t kMaxKeyBytes = 1024;
inline constexpr std::size_t kMaxRoleBytes = 256;

// `metadata` in the one way it is stored: compact, names sorted, of a repeated name the last.
// Throws kInvalidArgument, without the name of the item.
std::string normalise_metadata(const std::string& metadata);

// The metadata that are stored of item `key`. Throws kCorrupt, which names it: they are no object.
MetadataValue stored_metadata(const std::string& metadata, const std::string& key);

// Merges `patch` into metadata of its item and returns them as normalise_metadata() does. Throws
// kInvalidArgument, which names the item.
std::string merge(MetadataValue& metadata, const MetadataPatch& patch);

// Why the index would not take `embedding` ("is all zeros"), or an empty text.
std::string embedding_problem(std::span<const float> embedding, std::uint32_t dim, Metric metric);

// Throws kInvalidArgument if anything but the metadata and what the pictures hold is wrong.
void check_item(const Item& item);

}  // namespace vsearch::detail
