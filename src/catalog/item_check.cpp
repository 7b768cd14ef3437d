#include "catalog/item_check.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "catalog/picture_file.h"
#include "index/vectors.h"
#include "util/utf8.h"

namespace vsearch::detail {
namespace {

using nlohmann::json;

[[noreturn]] void fail(const std::string& message) {
  throw Error(ErrorCode::kInvalidArgument, message);
}

void check_length(std::size_t bytes, std::string_view name) {
  if (bytes <= kMaxMetadataBytes) return;
  fail(fmt::format("{} is {} bytes long; the most is {}", name, bytes, kMaxMetadataBytes));
}

// `name`: of the text, in messages.
json parse_object(const std::string& text, std::string_view name) {
  check_length(text.size(), name);
  const auto check = [&](int depth, json::parse_event_t, const json& value) {
    if (depth > kMaxMetadataDepth) {
      fail(fmt::format("{} is nested more than {} levels deep", name, kMaxMetadataDepth));
    }
    // Keys come here as texts too. SQLite would cut the text there.
    if (value.is_string() && value.get_ref<const std::string&>().find('\0') != std::string::npos) {
      fail(fmt::format("{} has a text with the character U+0000, which cannot be kept", name));
    }
    return true;
  };
  try {
    json parsed = json::parse(text, check);
    if (!parsed.is_object()) {
      fail(fmt::format("{} must be a JSON object such as {{\"colour\": \"red\"}}, not {}", name,
                       util::shorten(text)));
    }
    return parsed;
  } catch (const json::exception& e) {
    fail(fmt::format("{} is not valid JSON ({}): {}", name, e.what(), util::shorten(text)));
  }
}

std::string dump(const json& object) {
  std::string text = object.dump();
  check_length(text.size(), "the metadata");
  return text;
}

}  // namespace

std::string normalise_metadata(const std::string& metadata) {
  return dump(parse_object(metadata, "the metadata"));
}

std::string merged_metadata(const std::string& metadata, const MetadataPatch& patch) {
  json merged = json::parse(metadata, nullptr, false);
  if (!merged.is_object()) {
    throw Error(ErrorCode::kCorrupt,
                fmt::format("the metadata of item {} are damaged; add the item anew",
                            util::shorten(patch.key)));
  }
  try {
    merged.merge_patch(parse_object(patch.changes, "a patch"));
    return dump(merged);
  } catch (const Error& e) {
    throw Error(e.code(), fmt::format("item {}: {}", util::shorten(patch.key), e.what()));
  }
}

std::string embedding_problem(std::span<const float> embedding, std::uint32_t dim, Metric metric) {
  if (embedding.size() != dim) {
    return fmt::format("has {} numbers where the catalogue has {}", embedding.size(), dim);
  }
  return index::vector_defect(embedding, metric);
}

void check_item(const Item& item) {
  if (item.key.empty()) fail("the key is empty");
  if (item.key.size() > kMaxKeyBytes) {
    fail(fmt::format("the key is {} bytes long; the most is {}: {}", item.key.size(), kMaxKeyBytes,
                     util::shorten(item.key)));
  }
  if (!util::is_utf8(item.key))
    fail(fmt::format("the key is not UTF-8: {}", util::shorten(item.key)));
  if (util::has_control_characters(item.key)) {
    fail(fmt::format("the key has a control character: {}", util::shorten(item.key)));
  }
  if (item.pictures.empty()) fail("the item has no picture");
  for (const Picture& picture : item.pictures) {
    if (!util::is_utf8(picture.path) || picture.path.find('\0') != std::string::npos) {
      fail(fmt::format("the path of a picture is not UTF-8, rename the file: {}",
                       util::shorten(picture.path, 1000)));
    }
    if (picture.embedding.empty() && picture.bytes.empty() && picture.path.empty()) {
      fail("a picture has no path, no bytes and no embedding");
    }
    if (const std::string problem = crop_problem(picture.crop); !problem.empty()) fail(problem);
    if (picture.role.size() > kMaxRoleBytes || !util::is_utf8(picture.role) ||
        util::has_control_characters(picture.role)) {
      fail(
          fmt::format("the role of a picture must be at most {} bytes of UTF-8 without control "
                      "characters: {}",
                      kMaxRoleBytes, util::shorten(picture.role)));
    }
  }
}

}  // namespace vsearch::detail
