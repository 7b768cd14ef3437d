#include "catalog/source_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <tuple>
#include <utility>

#include "catalog/picture_file.h"

namespace vsearch::detail {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// The scheme of a URI, in small letters; empty if `text` is a path.
std::string scheme_of(std::string_view text) {
  const std::size_t end = text.find("://");
  if (end == text.npos || end == 0 || !is_letter(text[0])) return {};
  std::string scheme(text.substr(0, end));
  for (char& c : scheme) {
    const bool allowed = is_letter(c) || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
    if (!allowed) return {};
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return scheme;
}

// "%20" becomes a space. Nothing if a '%' is not followed by two digits, or they mean 0.
std::optional<std::string> percent_decoded(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    unsigned value = 0;
    const std::string_view digits = text.substr(i + 1, 2);
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (error != std::errc() || end != digits.data() + 2 || value == 0) return std::nullopt;
    decoded += static_cast<char>(value);
    i += 2;
  }
  return decoded;
}

// The path that a file:// URI names on this machine.
std::optional<std::string> path_of_file_uri(std::string_view uri) {
  std::string_view rest = uri.substr(std::string_view("file://").size());
  constexpr std::string_view kThisMachine = "localhost";
  if (rest.starts_with(kThisMachine)) rest.remove_prefix(kThisMachine.size());
  if (!rest.starts_with('/')) return std::nullopt;
  return percent_decoded(rest);
}

// The numbers in "0 0.25 0.5 1".
std::vector<float> numbers_in_text(std::string_view text) {
  std::vector<float> numbers;
  const char* const end = text.data() + text.size();
  for (const char* at = text.data(); at != end;) {
    if (*at == ' ') {
      ++at;
      continue;
    }
    float number = 0;
    const auto [last, error] = std::from_chars(at, end, number);
    if (error != std::errc() || (last != end && *last != ' ')) return {};
    numbers.push_back(number);
    at = last;
  }
  return numbers;
}

std::vector<float> numbers_in(const Json& value) {
  if (value.is_string()) return numbers_in_text(value.get_ref<const std::string&>());
  std::vector<float> numbers;
  if (!value.is_array()) return numbers;
  for (const Json& number : value) {
    if (!number.is_number()) return {};
    numbers.push_back(number.get<float>());
  }
  return numbers;
}

std::optional<CropBox> crop_in(const Json& value) {
  const std::vector<float> n = numbers_in(value);
  if (n.size() != 4) return std::nullopt;
  const CropBox crop{n[0], n[1], n[2], n[3]};
  if (!crop_problem(crop).empty()) return std::nullopt;
  return crop;
}

auto identity(const SourcePicture& picture) {
  const CropBox& crop = picture.crop;
  return std::tie(picture.path, crop.left, crop.top, crop.right, crop.bottom);
}

}  // namespace

RowItems::RowItems(const Table& table)
    : table_(table), folder_(fs::absolute(table.file).parent_path()) {}

void RowItems::add(TableRow&& row) {
  require_utf8(table_, row.number, row.key);
  if (table_.key_column == "path") row.path = row.key;
  std::vector<SourcePicture> pictures = pictures_of(row);
  if (row.beneath.is_object()) {  // now that what is the picture's has left the columns
    row.beneath.update(row.fields);
    row.fields = std::move(row.beneath);
  }
  const auto [position, is_new] = position_.emplace(row.key, items_.size());
  if (is_new) items_.push_back({std::move(row.key), {}, metadata_text(table_, row)});
  std::vector<SourcePicture>& all = items_[position->second].pictures;
  std::ranges::move(pictures, std::back_inserter(all));
}

std::vector<SourceItem> RowItems::take() {
  for (const SourceItem& item : items_) {
    std::vector<const SourcePicture*> sorted;
    for (const SourcePicture& picture : item.pictures) sorted.push_back(&picture);
    const auto key = [](const SourcePicture* picture) { return identity(*picture); };
    std::ranges::sort(sorted, {}, key);
    const auto twice = std::ranges::adjacent_find(sorted, {}, key);
    if (twice == sorted.end()) continue;
    fail_at(table_, 0,
            fmt::format("the item '{}' has the picture '{}' twice; keep one of its rows", item.key,
                        (*twice)->path));
  }
  return std::move(items_);
}

std::vector<SourcePicture> RowItems::pictures_of(TableRow& row) const {
  std::vector<SourcePicture> pictures;
  if (table_.format == TableFormat::kJsonLines) {
    if (const auto found = row.fields.find("pictures"); found != row.fields.end()) {
      if (!row.path.empty()) {
        fail_at(table_, row.number, "there are both 'path' and 'pictures'; keep one of them");
      }
      pictures = listed_pictures(row.number, *found);
      row.fields.erase(found);
      return pictures;
    }
  }
  pictures.push_back(take_picture(row.number, row.path, row.fields));
  return pictures;
}

std::vector<SourcePicture> RowItems::listed_pictures(std::size_t row, Json& list) const {
  if (!list.is_array() || list.empty()) {
    fail_at(table_, row, "'pictures' must be an array of paths, or of objects with a path");
  }
  std::vector<SourcePicture> pictures;
  for (Json& entry : list) {
    Json fields = entry.is_string() ? Json::object({{"path", entry}}) : std::move(entry);
    if (!fields.is_object()) {
      fail_at(table_, row, "'pictures' must hold paths, or objects with a path");
    }
    const std::string path = take_text(table_, row, fields, "path");
    pictures.push_back(take_picture(row, path, fields));
    if (!fields.empty()) {
      fail_at(table_, row,
              fmt::format("a picture has path, role and crop, but no '{}'; metadata stand beside "
                          "'pictures'",
                          fields.begin().key()));
    }
  }
  return pictures;
}

SourcePicture RowItems::take_picture(std::size_t row, std::string_view path, Json& fields) const {
  if (path.empty()) {
    fail_at(table_, row, "there is no 'path', so the item has no picture; fill it in");
  }
  SourcePicture picture{locate(row, path), {}, take_text(table_, row, fields, "role")};
  require_utf8(table_, row, picture.role);
  if (const auto found = fields.find("crop"); found != fields.end()) {
    const std::optional<CropBox> crop = found->is_null() ? CropBox{} : crop_in(*found);
    if (!crop) {
      fail_at(table_, row,
              fmt::format("the crop {} is not four shares of the picture: left top right bottom, "
                          "each from 0 to 1, left < right and top < bottom",
                          found->dump(-1, ' ', false, Json::error_handler_t::replace)));
    }
    picture.crop = *crop;
    fields.erase(found);
  }
  return picture;
}

std::string RowItems::locate(std::size_t row, std::string_view path) const {
  require_utf8(table_, row, path);
  const std::string scheme = scheme_of(path);
  if (scheme.empty()) return (folder_ / path).lexically_normal().string();
  if (scheme != "file") return std::string(path);
  const std::optional<std::string> local = path_of_file_uri(path);
  if (!local) {
    fail_at(table_, row,
            fmt::format("'{}' names no file of this machine; write file:///folder/picture.jpg or "
                        "a plain path",
                        path));
  }
  return fs::path(*local).lexically_normal().string();
}

}  // namespace vsearch::detail
