#include "items.h"

#include <fmt/format.h>

#include <map>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "vsearch/error.h"
#include "walk.h"

namespace vsx {
namespace fs = std::filesystem;
namespace {

using Positions = std::unordered_map<std::string, std::size_t>;

[[noreturn]] void fail(const std::string& message) {
  throw vsearch::Error(vsearch::ErrorCode::kInvalidArgument, message);
}

// What stands at all the paths; a file found twice counts once, under its first key.
Found find_all(const std::vector<std::string>& paths) {
  Found all;
  std::unordered_set<std::string> seen;
  for (const std::string& path : paths) {
    Found found = find_pictures(path);
    for (FoundPicture& picture : found.pictures) {
      if (seen.insert(picture.path.string()).second) all.pictures.push_back(std::move(picture));
    }
    all.problems.insert(all.problems.end(), found.problems.begin(), found.problems.end());
  }
  return all;
}

// Finds the picture that a row is about.
class PictureLookup {
 public:
  PictureLookup(const std::vector<FoundPicture>& pictures, const fs::path& metadata_file)
      : folder_((fs::current_path() / metadata_file).parent_path()) {
    for (std::size_t i = 0; i < pictures.size(); ++i) {
      by_key_.emplace(pictures[i].key, i);
      by_path_.emplace(pictures[i].path.string(), i);
    }
  }

  std::optional<std::size_t> find(const std::string& name) const {
    const fs::path relative = fs::path(name).lexically_normal();
    if (const auto found = by_key_.find(relative.generic_string()); found != by_key_.end()) {
      return found->second;
    }
    const fs::path beside = (folder_ / relative).lexically_normal();
    if (const auto found = by_path_.find(beside.string()); found != by_path_.end()) {
      return found->second;
    }
    return std::nullopt;
  }

 private:
  fs::path folder_;
  Positions by_key_;
  Positions by_path_;
};

// Puts pictures together to items.
class ItemBuilder {
 public:
  explicit ItemBuilder(std::vector<vsearch::Item>& items) : items_(items) {}

  // `grouped`: a row says that the picture is one of the item `key`, which may have others.
  void add(const std::string& key, const FoundPicture& picture, const std::string& metadata,
           bool grouped) {
    const auto [position, is_new] = position_.emplace(key, items_.size());
    if (is_new) {
      items_.push_back({.key = key, .metadata = metadata});
      grouped_.push_back(grouped);
    } else if (!grouped || !grouped_[position->second]) {
      fail(
          fmt::format("the key '{}' would stand for two pictures: '{}' and '{}'; add the folder "
                      "that holds both, or give them keys in a metadata file",
                      key, items_[position->second].pictures.front().path, picture.path.string()));
    }
    items_[position->second].pictures.push_back({.path = picture.path.string()});
  }

 private:
  std::vector<vsearch::Item>& items_;
  std::vector<bool> grouped_;
  Positions position_;
};

}  // namespace

ItemList list_items(const std::vector<std::string>& paths, const fs::path& metadata_file,
                    const std::vector<MetadataRow>& rows) {
  const Found found = find_all(paths);
  const PictureLookup lookup(found.pictures, metadata_file);
  ItemList list;
  list.problems = found.problems;
  ItemBuilder builder(list.items);

  std::map<std::pair<std::size_t, std::string>, std::size_t> line_about;  // picture and key
  std::vector<bool> described(found.pictures.size());
  for (const MetadataRow& row : rows) {
    const std::string& name = row.path.empty() ? row.key : row.path;
    const std::optional<std::size_t> position = lookup.find(name);
    if (!position) {
      list.unused_rows.push_back(name);
      continue;
    }
    const FoundPicture& picture = found.pictures[*position];
    const std::string& key = row.key.empty() ? picture.key : row.key;
    const auto [other, is_new] = line_about.emplace(std::pair(*position, key), row.line);
    if (!is_new) {
      fail(fmt::format("'{}': lines {} and {} are both about '{}'; keep one of them",
                       metadata_file.string(), other->second, row.line, name));
    }
    builder.add(key, picture, row.metadata, !row.key.empty());
    described[*position] = true;
  }
  for (std::size_t i = 0; i < found.pictures.size(); ++i) {
    if (described[i]) continue;
    builder.add(found.pictures[i].key, found.pictures[i], "{}", false);
    ++list.undescribed;
  }
  return list;
}

}  // namespace vsx
