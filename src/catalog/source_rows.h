// Rows that are items: what manifests and queries have in common.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "catalog/source_table.h"
#include "vsearch/source.h"

namespace vsearch::detail {

// Puts rows together to items: rows with one key are one item, see ManifestSource.
class RowItems {
 public:
  // `table` is borrowed. Relative paths begin at its folder.
  explicit RowItems(const Table& table);

  // Throws kInvalidArgument (a row without a picture, a bad crop, ...).
  void add(TableRow&& row);
  // All items, in the order of their first rows. Throws kInvalidArgument (an item has the same
  // picture twice).
  std::vector<SourceItem> take();

 private:
  std::vector<SourcePicture> pictures_of(TableRow& row) const;
  std::vector<SourcePicture> listed_pictures(std::size_t row, nlohmann::json& list) const;
  SourcePicture take_picture(std::size_t row, std::string_view path, nlohmann::json& fields) const;
  std::string locate(std::size_t row, std::string_view path) const;

  const Table& table_;
  std::filesystem::path folder_;
  std::vector<SourceItem> items_;
  std::unordered_map<std::string, std::size_t> position_;
};

}  // namespace vsearch::detail
