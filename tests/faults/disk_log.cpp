#include "faults/disk_log.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <stdexcept>
#include <string_view>

namespace vsearch_test {

namespace {

using Kind = DiskEvent::Kind;

// How many of `count` changes, the first ones, survive.
std::size_t kept(Survivors::Changes changes, std::size_t count, Random& random) {
  switch (changes) {
    case Survivors::Changes::kNone:
      return 0;
    case Survivors::Changes::kAll:
      return count;
    case Survivors::Changes::kPrefix:
      break;
  }
  return random.below(count + 1);
}

// Which of `count` pieces survive.
std::vector<bool> kept(Survivors::Pieces pieces, std::size_t count, Random& random) {
  std::vector<bool> result(count, false);
  const auto share = [&](std::size_t percent) {
    for (std::size_t i = 0; i < count; ++i) result[i] = random.below(100) < percent;
  };
  switch (pieces) {
    case Survivors::Pieces::kNone:
      break;
    case Survivors::Pieces::kAll:
      result.assign(count, true);
      break;
    case Survivors::Pieces::kOnlyLast:
      if (count > 0) result.back() = true;
      break;
    case Survivors::Pieces::kAllButFirst:
      result.assign(count, true);
      if (count > 0) result.front() = false;
      break;
    case Survivors::Pieces::kPrefix:
      std::fill_n(result.begin(), random.below(count + 1), true);
      break;
    case Survivors::Pieces::kFew:
      share(15);
      break;
    case Survivors::Pieces::kHalf:
      share(50);
      break;
    case Survivors::Pieces::kMost:
      share(90);
      break;
  }
  return result;
}

void put(std::string& content, std::uint64_t offset, std::string_view bytes) {
  if (content.size() < offset + bytes.size()) content.resize(offset + bytes.size());
  content.replace(offset, bytes.size(), bytes);
}

}  // namespace

// ---- recording

std::pair<int, std::string> DiskLog::place_of(std::string_view path) const {
  int folder = 0;
  for (std::size_t slash; (slash = path.find('/')) != std::string_view::npos;) {
    folder = tree_.at({folder, std::string(path.substr(0, slash))});
    path.remove_prefix(slash + 1);
  }
  return {folder, std::string(path)};
}

int DiskLog::file_at(std::string_view path) const {
  if (path.empty()) return 0;
  const auto found = tree_.find(place_of(path));
  return found == tree_.end() ? -1 : found->second;
}

int DiskLog::make(std::string_view path, Kind kind) {
  const auto file = static_cast<int>(made_as_.size());
  const auto [folder, name] = place_of(path);
  made_as_.push_back(kind == Kind::kMakeFolder ? std::string() : name);
  tree_[{folder, name}] = file;
  events_.push_back({.kind = kind, .file = file, .folder = folder, .name = name});
  return file;
}

std::size_t DiskLog::count() const {
  const std::lock_guard lock(mutex_);
  return events_.size();
}

void DiskLog::after(const FileCall& call) noexcept {
  const std::lock_guard lock(mutex_);
  switch (call.kind) {
    case FileCall::Kind::kOpen: {
      int file = file_at(call.path);
      if (file < 0) {
        file = make(call.path, Kind::kCreate);
      } else if (call.empties) {
        events_.push_back({.kind = Kind::kResize, .file = file});
      }
      descriptors_[call.file] = file;
      break;
    }
    case FileCall::Kind::kClose:
      descriptors_.erase(call.file);
      break;
    case FileCall::Kind::kWrite:
      events_.push_back({.kind = Kind::kWrite,
                         .file = descriptors_.at(call.file),
                         .offset = call.offset,
                         .bytes = std::string(reinterpret_cast<const char*>(call.bytes.data()),
                                              call.bytes.size())});
      break;
    case FileCall::Kind::kSync:
      events_.push_back({.kind = Kind::kSync, .file = descriptors_.at(call.file)});
      break;
    case FileCall::Kind::kTruncate:
      events_.push_back(
          {.kind = Kind::kResize, .file = descriptors_.at(call.file), .offset = call.offset});
      break;
    case FileCall::Kind::kRename: {
      const auto from = place_of(call.path);
      const auto to = place_of(call.to);
      tree_[to] = tree_.at(from);
      tree_.erase(from);
      events_.push_back({.kind = Kind::kMove,
                         .folder = from.first,
                         .name = from.second,
                         .to_folder = to.first,
                         .to_name = to.second});
      break;
    }
    case FileCall::Kind::kUnlink: {
      const auto [folder, name] = place_of(call.path);
      tree_.erase({folder, name});
      events_.push_back({.kind = Kind::kRemove, .folder = folder, .name = name});
      break;
    }
    case FileCall::Kind::kMakeFolder:
      make(call.path, Kind::kMakeFolder);
      break;
  }
}

std::vector<DiskEvent> DiskLog::events_without_syncs(const std::string& name) const {
  std::vector<DiskEvent> result = events_;
  for (DiskEvent& event : result) {
    // It writes nothing instead, so that events keep their numbers.
    if (event.kind == Kind::kSync && made_as_[static_cast<std::size_t>(event.file)] == name) {
      event = {.kind = Kind::kWrite, .file = event.file};
    }
  }
  return result;
}

// ---- images

std::size_t DiskImage::hash() const {
  std::size_t result = folders.size();
  const auto mix = [&](std::string_view text) {
    result = result * 0x9E3779B97F4A7C15U + std::hash<std::string_view>()(text);
  };
  for (const std::string& path : folders) mix(path);
  for (const auto& [path, content] : files) {
    mix(path);
    mix(content);
  }
  return result;
}

void DiskImage::write_to(const std::filesystem::path& folder) const {
  for (const std::string& path : folders) std::filesystem::create_directory(folder / path);
  for (const auto& [path, content] : files) {
    std::ofstream stream(folder / path, std::ios::binary);
    stream.write(content.data(), static_cast<std::streamsize>(content.size()));
    stream.close();
    if (!stream) throw std::runtime_error("cannot write " + (folder / path).string());
  }
}

DiskImage DiskImage::read_from(const std::filesystem::path& folder) {
  DiskImage image;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    const std::string path = std::filesystem::relative(entry.path(), folder).string();
    if (entry.is_directory()) {
      image.folders.insert(path);
      continue;
    }
    std::ifstream stream(entry.path(), std::ios::binary);
    image.files[path] = std::string(std::istreambuf_iterator<char>(stream), {});
  }
  return image;
}

// ---- the disk

Survivors Survivors::any(std::size_t number, Random& random) {
  constexpr Pieces kPieces[] = {Pieces::kNone, Pieces::kHalf,       Pieces::kOnlyLast,
                                Pieces::kMost, Pieces::kPrefix,     Pieces::kAll,
                                Pieces::kFew,  Pieces::kAllButFirst};
  constexpr Changes kChanges[] = {Changes::kAll, Changes::kPrefix, Changes::kNone};
  Survivors result;
  result.pieces = kPieces[number % std::size(kPieces)];
  result.piece_bytes = random.below(2) == 0 ? 512 : 4096;
  result.lengths = kChanges[random.below(std::size(kChanges))];
  result.folders = kChanges[random.below(std::size(kChanges))];
  result.garbage = random.below(4) == 0;
  return result;
}

void Disk::apply_to(DiskTree& tree, const DiskEvent& event) {
  switch (event.kind) {
    case Kind::kCreate:
    case Kind::kMakeFolder:
      tree[{event.folder, event.name}] = event.file;
      break;
    case Kind::kRemove:
      tree.erase({event.folder, event.name});
      break;
    case Kind::kMove: {
      const int file = tree.at({event.folder, event.name});
      tree.erase({event.folder, event.name});
      tree[{event.to_folder, event.to_name}] = file;
      break;
    }
    case Kind::kWrite:
    case Kind::kResize:
    case Kind::kSync:
      break;
  }
}

void Disk::apply(const DiskEvent& event) {
  switch (event.kind) {
    case Kind::kMakeFolder:
      folders_.insert(event.file);
      unsynced_.push_back(&event);
      break;
    case Kind::kCreate:
      files_[event.file];
      unsynced_.push_back(&event);
      break;
    case Kind::kRemove:
    case Kind::kMove:
      unsynced_.push_back(&event);
      break;
    case Kind::kWrite:
    case Kind::kResize:
      files_[event.file].unsynced.push_back(&event);
      break;
    case Kind::kSync:
      if (folders_.contains(event.file)) {
        const auto touches = [&](const DiskEvent* change) {
          return change->folder == event.file || change->to_folder == event.file;
        };
        const auto last = std::find_if(unsynced_.rbegin(), unsynced_.rend(), touches).base();
        for (auto change = unsynced_.begin(); change != last; ++change) apply_to(tree_, **change);
        unsynced_.erase(unsynced_.begin(), last);
      } else {
        File& file = files_[event.file];
        for (const DiskEvent* change : file.unsynced) {
          if (change->kind == Kind::kResize) {
            file.synced.resize(change->offset);
          } else {
            put(file.synced, change->offset, change->bytes);
          }
        }
        file.unsynced.clear();
      }
      break;
  }
}

bool Disk::all_synced() const {
  return unsynced_.empty() &&
         std::ranges::all_of(files_, [](const auto& file) { return file.second.unsynced.empty(); });
}

std::string Disk::content(const File& file, const Survivors& survivors, Random& random) const {
  const auto lengthens = [](const DiskEvent& change, std::uint64_t length) {
    return !change.bytes.empty() && change.offset + change.bytes.size() > length;
  };
  const auto piece_at = [&](const DiskEvent& change, std::size_t from) {
    const std::uint64_t offset = change.offset + from;
    return std::string_view(change.bytes)
        .substr(from, survivors.piece_bytes - offset % survivors.piece_bytes);
  };
  std::size_t pieces = 0;
  std::size_t lengths = 0;
  std::uint64_t length = file.synced.size();
  for (const DiskEvent* change : file.unsynced) {
    for (std::size_t at = 0; at < change->bytes.size(); at += piece_at(*change, at).size()) {
      ++pieces;
    }
    if (change->kind == Kind::kResize || lengthens(*change, length)) {
      length = change->offset + change->bytes.size();
      ++lengths;
    }
  }
  const std::vector<bool> survives = kept(survivors.pieces, pieces, random);
  std::size_t lengths_left = kept(survivors.lengths, lengths, random);

  std::string filler(4096, '\0');
  if (survivors.garbage) {
    std::ranges::generate(filler, [&] { return static_cast<char>(random.bits()); });
  }
  std::string result = file.synced;
  const auto resize = [&](std::uint64_t to) {
    if (lengths_left == 0) return;
    --lengths_left;
    while (result.size() < to) {
      result.append(filler, 0, std::min<std::size_t>(filler.size(), to - result.size()));
    }
    result.resize(to);
  };
  auto survived = survives.begin();
  for (const DiskEvent* change : file.unsynced) {
    if (change->kind == Kind::kResize) resize(change->offset);
    if (lengthens(*change, result.size())) resize(change->offset + change->bytes.size());
    for (std::size_t at = 0; at < change->bytes.size(); ++survived) {
      const std::string_view piece = piece_at(*change, at);
      const std::uint64_t offset = change->offset + at;
      if (*survived && offset < result.size()) {
        const std::size_t count = std::min<std::size_t>(piece.size(), result.size() - offset);
        result.replace(offset, count, piece.substr(0, count));
      }
      at += piece.size();
    }
  }
  return result;
}

template <typename Content>
DiskImage Disk::image(const DiskTree& tree, Content content_of) const {
  DiskImage result;
  const std::function<void(int, const std::string&)> visit = [&](int folder,
                                                                 const std::string& path) {
    for (auto entry = tree.lower_bound({folder, {}});
         entry != tree.end() && entry->first.first == folder; ++entry) {
      const std::string name = path + entry->first.second;
      if (folders_.contains(entry->second)) {
        result.folders.insert(name);
        visit(entry->second, name + "/");
      } else {
        result.files[name] = content_of(files_.at(entry->second));
      }
    }
  };
  visit(0, {});
  return result;
}

DiskImage Disk::now() const {
  DiskTree tree = tree_;
  for (const DiskEvent* change : unsynced_) apply_to(tree, *change);
  Random random(0);
  return image(tree, [&](const File& file) { return content(file, {}, random); });
}

DiskImage Disk::after_power_loss(const Survivors& survivors, Random& random) const {
  DiskTree tree = tree_;
  const std::size_t changes = kept(survivors.folders, unsynced_.size(), random);
  for (std::size_t i = 0; i < changes; ++i) apply_to(tree, *unsynced_[i]);
  return image(tree, [&](const File& file) { return content(file, survivors, random); });
}

}  // namespace vsearch_test
