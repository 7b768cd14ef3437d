#include "catalog/item_check.h"

#include <fmt/format.h>

#include "catalog/metadata_value.h"
#include "catalog/picture_file.h"
#include "catalog/refuse.h"
#include "index/vectors.h"
#include "util/utf8.h"

namespace vsearch::detail {
namespace {

std::string stored(const MetadataValue& metadata) {
  std::string text = to_text(metadata);
  if (text.size() > kMaxMetadataBytes) {
    refuse(fmt::format("the metadata is {} bytes long; the most is {}", text.size(),
                       kMaxMetadataBytes));
  }
  return text;
}

// `name`: of the text, in messages.
MetadataValue parse_object(const std::string& text, std::string_view name) {
  MetadataValue parsed = parse_metadata(text, name);
  if (parsed.as<MetadataValue::Object>() == nullptr) {
    refuse(fmt::format("{} must be a JSON object such as {{\"colour\": \"red\"}}, not {}", name,
                       util::shorten(text)));
  }
  return parsed;
}

}  // namespace

std::string normalise_metadata(const std::string& metadata) {
  return stored(parse_object(metadata, "the metadata"));
}

MetadataValue stored_metadata(const std::string& metadata, const std::string& key) {
  try {
    return parse_object(metadata, "what is stored");
  } catch (const Error&) {
    throw Error(
        ErrorCode::kCorrupt,
        fmt::format("the metadata of item {} are damaged; add the item anew", util::shorten(key)));
  }
}

std::string merge(MetadataValue& metadata, const MetadataPatch& patch) {
  try {
    merge_patch(metadata, parse_object(patch.changes, "a patch"));
    return stored(metadata);
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
  if (item.key.empty()) refuse("the key is empty");
  if (item.key.size() > kMaxKeyBytes) {
    refuse(fmt::format("the key is {} bytes long; the most is {}: {}", item.key.size(),
                       kMaxKeyBytes, util::shorten(item.key)));
  }
  if (!util::is_utf8(item.key))
    refuse(fmt::format("the key is not UTF-8: {}", util::shorten(item.key)));
  if (util::has_control_characters(item.key)) {
    refuse(fmt::format("the key has a control character: {}", util::shorten(item.key)));
  }
  if (item.pictures.empty()) refuse("the item has no picture");
  for (const Picture& picture : item.pictures) {
    if (!util::is_utf8(picture.path) || picture.path.find('\0') != std::string::npos) {
      refuse(fmt::format("the path of a picture is not UTF-8, rename the file: {}",
                         util::shorten(picture.path, 1000)));
    }
    if (picture.embedding.empty() && picture.bytes.empty() && picture.path.empty()) {
      refuse("a picture has no path, no bytes and no embedding");
    }
    if (const std::string problem = crop_problem(picture.crop); !problem.empty()) refuse(problem);
    if (picture.role.size() > kMaxRoleBytes || !util::is_utf8(picture.role) ||
        util::has_control_characters(picture.role)) {
      refuse(
          fmt::format("the role of a picture must be at most {} bytes of UTF-8 without control "
                      "characters: {}",
                      kMaxRoleBytes, util::shorten(picture.role)));
    }
  }
}

}  // namespace vsearch::detail
