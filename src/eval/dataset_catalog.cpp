// The pictures of a catalogue as a data set.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "catalog/filter_node.h"
#include "catalog/metadata_value.h"
#include "catalog/picture_file.h"
#include "eval/dataset_builder.h"
#include "util/utf8.h"
#include "vsearch/catalog_dataset.h"
#include "vsearch/error.h"

namespace vsearch {
namespace {

using detail::MetadataValue;

// One label of more than half of so many pictures is no label.
constexpr std::uint64_t kManyPictures = 100;

// A label, or nothing if the value cannot be one.
std::string label_of(const MetadataValue* value) {
  if (value == nullptr) return {};
  if (const auto* const text = value->as<std::string>()) return *text;
  const bool is_list =
      value->as<MetadataValue::Array>() != nullptr || value->as<MetadataValue::Object>() != nullptr;
  return is_list ? std::string() : detail::to_text(*value);
}

// Puts the pictures of a catalogue's items into a data set.
class CatalogDataset {
 public:
  explicit CatalogDataset(const Catalog& catalog)
      : catalog_(catalog),
        path_(catalog.info().path),
        builder_(path_.filename().string(), "/", options()) {}

  const std::filesystem::path& catalog_path() const { return path_; }
  const std::map<std::string, std::uint64_t, std::less<>>& labels() const { return labels_; }

  // `label` of an item and its metadata; those of `no_fields` become no fields.
  void add_items(
      const std::function<std::string(const ItemRecord&, const MetadataValue&)>& label_of_item,
      const std::set<std::string, std::less<>>& no_fields, std::string_view domain = {}) {
    catalog_.for_each([&](const ItemRecord& item) {
      const MetadataValue metadata = detail::parse_metadata(item.metadata, "the metadata");
      const std::string label = label_of_item(item, metadata);
      for (const PictureInfo& picture : item.pictures) {
        const auto number = add_picture(picture.path, label, domain);
        if (!number) continue;
        builder_.set_crop(*number, picture.crop);
        for (const detail::MetadataMember& member : *metadata.as<MetadataValue::Object>()) {
          const auto* const text = member.value.as<std::string>();
          if (text == nullptr || no_fields.contains(member.name)) continue;
          auto field = fields_.find(member.name);
          if (field == fields_.end()) {
            field = fields_.emplace(member.name, builder_.add_field(member.name)).first;
          }
          builder_.set_field(field->second, *number, *text);
        }
      }
      return true;
    });
  }

  // Its number; none if there is no file of its own.
  std::optional<std::uint32_t> add_picture(const std::string& path, const std::string& label,
                                           std::string_view domain) {
    if (path.empty() || detail::is_uri(path)) return std::nullopt;
    if (!label.empty()) ++labels_[label];
    return builder_.add(std::filesystem::absolute(path).string(), label, {}, domain);
  }

  bool has_two_labels() const {
    return std::ranges::count_if(labels_, [](const auto& label) { return label.second > 1; }) > 1;
  }

  Dataset finish() {
    std::vector<std::uint32_t> all = builder_.in_splits({});
    builder_.add_leave_one_out("leave one out", std::move(all),
                               eval::DatasetBuilder::Answers::kAsTheyCome);
    return builder_.finish();
  }

 private:
  static const DatasetOptions& options() {
    // What is gone since is told as it is read.
    static const DatasetOptions unchecked{.check_files = false, .check_counts = false};
    return unchecked;
  }

  const Catalog& catalog_;
  std::filesystem::path path_;
  eval::DatasetBuilder builder_;
  std::map<std::string, std::size_t, std::less<>> fields_;
  std::map<std::string, std::uint64_t, std::less<>> labels_;  // and how many pictures they have
};

// Sets of texts that belong together, each named by one of them.
class Together {
 public:
  // A set that grows is named as `other`'s is.
  void join(const std::string& one, const std::string& other) {
    const std::size_t number = find(number_of(one));
    parents_[number] = find(number_of(other));
  }
  // Empty: `text` was never joined with anything.
  std::string name_of(const std::string& text) {
    const auto known = numbers_.find(text);
    return known == numbers_.end() ? std::string() : *texts_[find(known->second)];
  }

 private:
  std::size_t number_of(const std::string& text) {
    const auto [known, is_new] = numbers_.try_emplace(text, parents_.size());
    if (is_new) {
      parents_.push_back(parents_.size());
      texts_.push_back(&known->first);
    }
    return known->second;
  }
  std::size_t find(std::size_t number) {
    while (parents_[number] != number) {
      parents_[number] = parents_[parents_[number]];
      number = parents_[number];
    }
    return number;
  }

  std::map<std::string, std::size_t> numbers_;
  std::vector<std::size_t> parents_;
  std::vector<const std::string*> texts_;
};

}  // namespace

Dataset catalog_dataset(const Catalog& catalog, const std::vector<std::string>& label_fields) {
  std::vector<std::vector<std::string>> paths;
  std::set<std::string, std::less<>> no_fields;
  for (const std::string& name : label_fields) {
    auto path = detail::split_field(name);
    if (!path) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("'{}' is no field of metadata; write it as in a filter",
                              util::shorten(name)));
    }
    if (label_fields.size() == 1 && path->size() == 1) no_fields.insert(path->front());
    paths.push_back(std::move(*path));
  }
  CatalogDataset pictures(catalog);
  const auto label_of_item = [&](const ItemRecord&, const MetadataValue& metadata) {
    std::string label;
    for (const std::vector<std::string>& path : paths) {
      std::string part = label_of(detail::find_value(metadata, path));
      if (part.empty()) return part;
      label += label.empty() ? part : " / " + part;
    }
    return label;
  };
  pictures.add_items(label_of_item, no_fields);
  if (!pictures.has_two_labels()) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("the field '{}' of {} gives fewer than two labels that two picture files "
                    "share; name a field such as the category",
                    util::shorten(fmt::to_string(fmt::join(label_fields, "' with '"))),
                    pictures.catalog_path().string()));
  }
  return pictures.finish();
}

Dataset catalog_dataset(const Catalog& catalog, std::span<const LabelledQuery> queries) {
  // What tells a path from a key; sets are named by keys, as every query has one for an answer.
  const auto path_node = [](const std::string& path) { return "p" + path; };
  const auto key_node = [](const std::string& key) { return "k" + key; };
  // What the shop no longer has joins nothing.
  std::set<std::string, std::less<>> keys;
  catalog.for_each([&](const ItemRecord& item) {
    keys.insert(item.key);
    return true;
  });
  Together together;
  const auto label = [&](const std::string& node) {
    const std::string name = together.name_of(node);
    return name.empty() ? name : name.substr(1);
  };
  bool pictures_ask = false;
  for (const LabelledQuery& query : queries) {
    if (!query.key.empty() && !keys.contains(query.key)) continue;
    const std::string asks = query.key.empty() ? path_node(query.path) : key_node(query.key);
    for (const std::string& key : query.relevant) {
      if (keys.contains(key)) together.join(asks, key_node(key));
    }
    pictures_ask = pictures_ask || query.key.empty();
  }
  CatalogDataset pictures(catalog);
  pictures.add_items(
      [&](const ItemRecord& item, const MetadataValue&) { return label(key_node(item.key)); }, {},
      pictures_ask ? "catalogue" : "");
  std::set<std::string, std::less<>> asked;
  for (const LabelledQuery& query : queries) {
    if (!query.key.empty() || !asked.insert(query.path).second) continue;
    pictures.add_picture(query.path, label(path_node(query.path)), "query");
  }
  if (!pictures.has_two_labels()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("the {} queries say of fewer than two groups of picture files of {} "
                            "that they belong together; check that their keys are the catalogue's",
                            queries.size(), pictures.catalog_path().string()));
  }
  std::uint64_t all = 0;
  std::uint64_t most = 0;
  for (const auto& labelled : pictures.labels()) {
    all += labelled.second;
    most = std::max(most, labelled.second);
  }
  if (all > kManyPictures && most > all / 2) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("the queries chain {} of {} pictures into one group, which says nothing; leave "
                    "out answers that few customers chose",
                    most, all));
  }
  return pictures.finish();
}

}  // namespace vsearch
