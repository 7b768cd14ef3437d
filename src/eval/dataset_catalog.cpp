// The pictures of a catalogue as a data set.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "catalog/filter_node.h"
#include "catalog/metadata_value.h"
#include "catalog/picture_file.h"
#include "eval/dataset_builder.h"
#include "util/utf8.h"
#include "vsearch/audit.h"
#include "vsearch/error.h"

namespace vsearch {
namespace {

using detail::MetadataValue;

// A label, or nothing if the value cannot be one.
std::string label_of(const MetadataValue* value) {
  if (value == nullptr) return {};
  if (const auto* const text = value->as<std::string>()) return *text;
  const bool is_list =
      value->as<MetadataValue::Array>() != nullptr || value->as<MetadataValue::Object>() != nullptr;
  return is_list ? std::string() : detail::to_text(*value);
}

}  // namespace

Dataset catalog_dataset(const Catalog& catalog, std::string_view label_field) {
  const auto path = detail::split_field(label_field);
  if (!path) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("'{}' is no field of metadata; write it as in a filter",
                            util::shorten(label_field)));
  }
  const CatalogInfo info = catalog.info();
  DatasetOptions options;
  options.check_files = false;  // what is gone since is told as it is read
  options.check_counts = false;
  eval::DatasetBuilder builder(info.path.filename().string(), "/", options);
  std::map<std::string, std::size_t, std::less<>> fields;
  std::map<std::string, std::uint64_t> labels;
  catalog.for_each([&](const ItemRecord& item) {
    const MetadataValue metadata = detail::parse_metadata(item.metadata, "the metadata");
    const std::string label = label_of(detail::find_value(metadata, *path));
    for (const PictureInfo& picture : item.pictures) {
      if (picture.path.empty() || detail::is_uri(picture.path)) continue;
      const std::uint32_t number =
          builder.add(std::filesystem::absolute(picture.path).string(), label);
      builder.set_crop(number, picture.crop);
      if (!label.empty()) ++labels[label];
      for (const detail::MetadataMember& member : *metadata.as<MetadataValue::Object>()) {
        const auto* const text = member.value.as<std::string>();
        if (text == nullptr || member.name == label_field) continue;
        auto field = fields.find(member.name);
        if (field == fields.end()) {
          field = fields.emplace(member.name, builder.add_field(member.name)).first;
        }
        builder.set_field(field->second, number, *text);
      }
    }
    return true;
  });
  const auto several = std::ranges::count_if(labels, [](const auto& l) { return l.second > 1; });
  if (several < 2) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("the field '{}' of {} gives fewer than two labels that two picture files "
                    "share; name a field such as the category",
                    util::shorten(label_field), info.path.string()));
  }
  std::vector<std::uint32_t> all = builder.in_splits({});
  builder.add_leave_one_out("leave one out", std::move(all),
                            eval::DatasetBuilder::Answers::kAsTheyCome);
  return builder.finish();
}

}  // namespace vsearch
