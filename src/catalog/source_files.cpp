// Items from pictures in folders, with what a metadata file says of them.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "catalog/refuse.h"
#include "catalog/source_list.h"
#include "catalog/source_table.h"
#include "catalog/source_walk.h"
#include "util/utf8.h"
#include "vsearch/error.h"

namespace vsearch::detail {
namespace fs = std::filesystem;
namespace {

// The key that a picture has without a row about it; empty: the rule gives it none.
std::string key_of(const FoundPicture& picture, KeyRule rule) {
  const std::string& relative = picture.relative;
  if (picture.named || rule == KeyRule::kPath) return relative;
  const std::size_t slash = relative.rfind('/');  // npos + 1 is 0
  if (rule == KeyRule::kStem) return relative.substr(0, relative.rfind('.'));
  if (rule == KeyRule::kName) return relative.substr(slash + 1);
  return slash == relative.npos ? std::string() : relative.substr(0, slash);
}

// What stands at all the paths; a file found twice counts once, under its first key.
Found find_all(const FilesSource& source, ReadCounter& counter) {
  if (source.paths.empty()) refuse("a source of files needs a path; name a picture or a folder");
  Found all;
  std::unordered_set<std::string> seen;
  for (const fs::path& path : source.paths) {
    Found found = find_pictures(path, counter);
    for (FoundPicture& picture : found.pictures) {
      if (seen.insert(picture.path.string()).second) all.pictures.push_back(std::move(picture));
    }
    std::ranges::move(found.problems, std::back_inserter(all.problems));
  }
  return all;
}

// Finds the picture, or the folder with KeyRule::kFolder, that a row names.
class PictureLookup {
 public:
  // The own key of picture i is keys[i].
  PictureLookup(const std::vector<FoundPicture>& pictures, const std::vector<std::string>& keys,
                const fs::path& metadata)
      : folder_(fs::absolute(metadata).parent_path()) {
    for (std::size_t i = 0; i < pictures.size(); ++i) {
      by_relative_.emplace(pictures[i].relative, i);
      by_path_.emplace(pictures[i].path.string(), i);
      if (keys[i] != pictures[i].relative) by_key_.emplace(keys[i], i);
    }
  }

  struct Match {
    std::size_t picture;  // the first, if several have the key
    bool by_key;          // an own key was named that is not where the picture lies
  };
  std::optional<Match> find(const std::string& name) const {
    const fs::path relative = fs::path(name).lexically_normal();
    const std::string text = relative.generic_string();
    if (const auto found = by_relative_.find(text); found != by_relative_.end()) {
      return Match{found->second, false};
    }
    const std::string beside = (folder_ / relative).lexically_normal().string();
    if (const auto found = by_path_.find(beside); found != by_path_.end()) {
      return Match{found->second, false};
    }
    if (const auto found = by_key_.find(text); found != by_key_.end()) {
      return Match{found->second, true};
    }
    return std::nullopt;
  }

 private:
  using Positions = std::unordered_map<std::string, std::size_t>;

  fs::path folder_;
  Positions by_relative_;
  Positions by_path_;
  Positions by_key_;
};

// Puts pictures together to items.
class ItemBuilder {
 public:
  ItemBuilder(std::vector<SourceItem>& items, KeyRule rule) : items_(items), rule_(rule) {}

  // `group`: what brings pictures together under one key. Empty: nothing does, the key is for one
  // picture. A picture that the item has already is not added again.
  void add(const std::string& key, const FoundPicture& picture, const std::string& metadata,
           const std::string& group) {
    const auto [position, is_new] = position_.emplace(key, items_.size());
    if (is_new) {
      items_.push_back({key, {}, metadata});
      groups_.push_back(group);
    } else if (group.empty() || group != groups_[position->second]) {
      refuse(fmt::format("the key '{}' would stand for two pictures: '{}' and '{}'; {}", key,
                         items_[position->second].pictures.front().path, picture.path.string(),
                         remedy()));
    }
    std::string path = picture.path.string();
    if (!group.empty() && !placed_.emplace(position->second, path).second) return;
    items_[position->second].pictures.push_back({std::move(path)});
  }

 private:
  std::string_view remedy() const {
    return rule_ == KeyRule::kPath ? "add the folder that holds both, or give them keys in a "
                                     "metadata file"
                                   : "make keys of whole paths (the rule 'path'), or give them "
                                     "keys in a metadata file";
  }

  std::vector<SourceItem>& items_;
  KeyRule rule_;
  std::vector<std::string> groups_;  // of items_
  std::unordered_map<std::string, std::size_t> position_;
  std::set<std::pair<std::size_t, std::string>> placed_;
};

// What brings pictures together: a row, or their folder.
const std::string kByRow = "row";

class FilesLister {
 public:
  FilesLister(const FilesSource& source, Found found)
      : source_(source),
        pictures_(std::move(found.pictures)),
        described_(pictures_.size()),
        builder_(listing_.items, source.keys) {
    listing_.problems = std::move(found.problems);
    for (const FoundPicture& picture : pictures_) {
      keys_.push_back(key_of(picture, source.keys));
      if (gathers(picture)) folders_[folder_of(picture)].push_back(keys_.size() - 1);
    }
  }

  SourceListing run(ReadCounter& counter) {
    if (!source_.metadata.empty()) read_metadata(counter);
    for (std::size_t i = 0; i < pictures_.size(); ++i) {
      if (described_[i]) continue;
      builder_.add(own_key(i), pictures_[i], "{}", folder_of(pictures_[i]));
      ++listing_.undescribed;
    }
    if (!source_.metadata.empty() && !pictures_.empty()) require_match();
    return std::move(listing_);
  }

 private:
  // A file that describes no picture is another shop's, or names them from another folder; a sync
  // by it would empty the metadata of all items.
  void require_match() const {
    if (listing_.undescribed < pictures_.size()) return;
    refuse(
        fmt::format("the metadata file '{}' describes none of the {} pictures: {}; name "
                    "pictures by their keys, such as '{}', or by paths relative to the file",
                    source_.metadata.string(), pictures_.size(),
                    listing_.unused_rows.empty()
                        ? "it has no rows"
                        : fmt::format("it names '{}'", util::shorten(listing_.unused_rows.front())),
                    util::shorten(listing_.items.front().key)));
  }

  bool gathers(const FoundPicture& picture) const {
    return source_.keys == KeyRule::kFolder && !picture.named;
  }

  // The folder whose pictures are one item; empty: the picture is one by itself.
  std::string folder_of(const FoundPicture& picture) const {
    return gathers(picture) ? picture.path.parent_path().string() : std::string();
  }

  const std::string& own_key(std::size_t i) const {
    if (!keys_[i].empty()) return keys_[i];
    refuse(
        fmt::format("'{}' lies in no folder below the one that was named, so the rule 'folder' "
                    "gives it no key; move it into a folder, or give it a key in a metadata file",
                    pictures_[i].path.string()));
  }

  void read_metadata(ReadCounter& counter) {
    const PictureLookup lookup(pictures_, keys_, source_.metadata);
    const Table table =
        open_table(source_.metadata, "metadata file", source_.key_column.value_or("key"),
                   source_.key_column ? RowNeeds::kKey : RowNeeds::kName);
    read_rows(table, [&](TableRow&& row) {
      counter.check();
      const std::string metadata = metadata_text(table, row);
      const std::string& name = row.path.empty() ? row.key : row.path;
      if (const auto match = lookup.find(name)) {
        describe(*match, row, name, metadata);
      } else {
        listing_.unused_rows.push_back(name);
      }
    });
  }

  void describe(const PictureLookup::Match& match, const TableRow& row, const std::string& name,
                const std::string& metadata) {
    const std::size_t named = match.picture;
    const std::string key = row.key.empty() ? own_key(named) : row.key;
    // A row about a folder is not one about its first picture.
    const std::size_t subject = match.by_key ? pictures_.size() + named : named;
    const auto [other, is_new] = line_about_.emplace(std::pair(subject, key), row.number);
    if (!is_new) {
      refuse(fmt::format("'{}': lines {} and {} are both about '{}'; keep one of them",
                         source_.metadata.string(), other->second, row.number, name));
    }
    const std::string folder = folder_of(pictures_[named]);
    const bool whole = !folder.empty() && (match.by_key || key == keys_[named]);
    if (!whole) {
      add_described(named, key, metadata, row.key.empty() ? "" : kByRow);
      return;
    }
    for (const std::size_t picture : folders_.at(folder)) {
      add_described(picture, key, metadata, key == keys_[named] ? folder : kByRow);
    }
  }

  void add_described(std::size_t picture, const std::string& key, const std::string& metadata,
                     const std::string& group) {
    builder_.add(key, pictures_[picture], metadata, group);
    described_[picture] = true;
  }

  const FilesSource& source_;
  std::vector<FoundPicture> pictures_;
  std::vector<std::string> keys_;                                          // of pictures_
  std::unordered_map<std::string, std::vector<std::size_t>> folders_;      // pictures of one item
  std::map<std::pair<std::size_t, std::string>, std::size_t> line_about_;  // subject and key
  std::vector<bool> described_;
  SourceListing listing_;
  ItemBuilder builder_;
};

}  // namespace

SourceListing list(const FilesSource& source, ReadCounter& counter) {
  return FilesLister(source, find_all(source, counter)).run(counter);
}

}  // namespace vsearch::detail
