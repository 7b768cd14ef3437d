#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "catalog/item_check.h"
#include "catalog/metadata_value.h"
#include "catalog/picture_file.h"
#include "catalog/refuse.h"
#include "catalog/transfer.h"
#include "util/utf8.h"
#include "vsearch/vector_file.h"

namespace vsearch::detail {
namespace {

using nlohmann::json;

constexpr std::size_t kImportedPictures = 1000;                 // committed at a time
constexpr std::size_t kMostLineBytes = std::size_t{256} << 20;  // of items.jsonl
constexpr std::uint64_t kMostManifestBytes = std::uint64_t{1} << 20;
constexpr std::uint64_t kLinesPerProgress = 1000;

std::ifstream open(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (stream) return stream;
  std::error_code ignored;
  const bool there = std::filesystem::exists(file, ignored);
  throw Error(there ? ErrorCode::kIo : ErrorCode::kFileNotFound,
              fmt::format("cannot read {}: {}; import a folder that was exported from a catalogue",
                          file.string(), there ? "check its permissions" : "it is not there"));
}

// What a member of an object is; throws json::exception unless it is of this type.
template <typename Value>
Value member(const json& object, const char* name, Value absent) {
  const auto found = object.find(name);
  if (found == object.end()) return absent;
  return found->get<Value>();
}

// A time: of a file, it may be before 1970.
std::int64_t whole_number(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) return 0;
  constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max();
  const bool is_too_large = found->is_number_unsigned() && found->get<std::uint64_t>() > kMost;
  if (!found->is_number_integer() || is_too_large) {
    refuse(fmt::format("its {} is no whole number", name));
  }
  return found->get<std::int64_t>();
}

std::int64_t count_in(const json& object, const char* name) {
  const std::int64_t count = whole_number(object, name);
  if (count < 0) refuse(fmt::format("its {} is negative", name));
  return count;
}

// json::dump() and what it gives to others would not bear what is nested without end.
json parse_line(const std::string& line) {
  return json::parse(line, [](int depth, json::parse_event_t, const json&) {
    if (depth > kMaxMetadataDepth + 2) refuse("it is nested too deeply");
    return true;
  });
}

struct Manifest {
  std::string encoder_name;
  std::string fingerprint;
  std::uint64_t items = 0;
  std::uint64_t embeddings = 0;
};

Manifest read_manifest(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / kManifestFile;
  std::ifstream stream = open(file);
  std::string text(kMostManifestBytes, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(stream.gcount()));
  try {
    const json manifest = json::parse(text);
    if (!manifest.is_object() || member<std::string>(manifest, "format", {}) != kTransferFormat) {
      refuse(fmt::format("{} is not of an exported catalogue", file.string()));
    }
    if (const auto version = count_in(manifest, "version"); version != kTransferVersion) {
      refuse(
          fmt::format("{}: the export is of version {}, and this libvsearch reads {}; use a "
                      "newer one",
                      file.string(), version, kTransferVersion));
    }
    return {member<std::string>(manifest, "encoder_name", {}),
            manifest.at("encoder_fingerprint").get<std::string>(),
            static_cast<std::uint64_t>(count_in(manifest, "items")),
            static_cast<std::uint64_t>(count_in(manifest, "embeddings"))};
  } catch (const json::exception& e) {
    refuse(fmt::format("{} is damaged: {}", file.string(), e.what()));
  }
}

// The items of an export in their order.
class ExportReader {
 public:
  ExportReader(const std::filesystem::path& folder, const Manifest& manifest,
               const db::EditionHeader& edition)
      : file_(folder / kItemsFile), manifest_(manifest), edition_(edition), stream_(open(file_)) {
    const std::filesystem::path embeddings = folder / kEmbeddingsFile;
    open(embeddings);
    if (manifest.embeddings == 0) return;
    embeddings_.emplace(embeddings);
    if (embeddings_->rows() != manifest.embeddings || embeddings_->dim() != edition.dim ||
        embeddings_->holds_ids()) {
      refuse(
          fmt::format("{} has {} rows of {} numbers, and should have {} of {}: the files are not "
                      "of one export",
                      embeddings.string(), embeddings_->rows(), embeddings_->dim(),
                      manifest.embeddings, edition.dim));
    }
  }

  // Nothing after the last.
  std::optional<ReadyItem> next() {
    std::string line;
    if (!read_line(line)) {
      if (lines_ != manifest_.items || rows_ != manifest_.embeddings) {
        refuse(
            fmt::format("{} ends after {} items with {} embeddings, and should have {} with {}: "
                        "it is cut off, or not of one export with the other files",
                        file_.string(), lines_, rows_, manifest_.items, manifest_.embeddings));
      }
      return std::nullopt;
    }
    try {
      return item_of(parse_line(line));
    } catch (const json::exception& e) {
      fail(e.what());
    } catch (const Error& e) {
      if (e.code() != ErrorCode::kInvalidArgument && e.code() != ErrorCode::kCorrupt) throw;
      fail(e.what());
    }
  }
  std::uint64_t lines() const { return lines_; }

 private:
  bool read_line(std::string& line) {
    std::streambuf& buffer = *stream_.rdbuf();
    int next = buffer.sbumpc();
    if (next == EOF) return false;
    ++lines_;
    for (; next != EOF && next != '\n'; next = buffer.sbumpc()) {
      line += static_cast<char>(next);
      if (line.size() > kMostLineBytes) fail("it is longer than 256 MiB");
    }
    return true;
  }

  ReadyItem item_of(const json& line) {
    if (!line.is_object()) refuse("it is no JSON object");
    Item item{line.at("key").get<std::string>(), {}, {}};
    ReadyItem ready{item.key, normalise_metadata(line.at("metadata").dump()), {}};
    const json& pictures = line.at("pictures");
    if (!pictures.is_array()) refuse("its pictures are no list");
    for (const json& picture : pictures) ready.pictures.push_back(picture_of(picture));
    // The rules of what add() takes are about what it is given.
    static constexpr float kGiven = 1;
    for (const ReadyPicture& picture : ready.pictures) {
      Picture& given = item.pictures.emplace_back();
      given.path = picture.picture.path;
      given.role = picture.picture.role;
      given.embedding = {&kGiven, 1};
    }
    check_item(item);
    return ready;
  }

  ReadyPicture picture_of(const json& object) {
    if (!object.is_object()) refuse("a picture is no JSON object");
    ReadyPicture ready;
    db::StoredPicture& picture = ready.picture;
    picture.path = member<std::string>(object, "path", {});
    picture.role = member<std::string>(object, "role", {});
    picture.content_hash = member<std::string>(object, "content_hash", {});
    const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
    if (!picture.content_hash.empty() && (picture.content_hash.size() != 64 ||
                                          !std::ranges::all_of(picture.content_hash, is_digit))) {
      refuse("a picture's content_hash is not 64 hexadecimal digits");
    }
    picture.stamp = {count_in(object, "file_bytes"), whole_number(object, "file_mtime_ns")};
    if (const auto crop = object.find("crop"); crop != object.end()) {
      const auto sides = crop->get<std::vector<float>>();
      if (sides.size() != 4) refuse("a picture's crop is not 4 numbers");
      const CropBox box{sides[0], sides[1], sides[2], sides[3]};
      if (const std::string problem = crop_problem(box); !problem.empty()) refuse(problem);
      picture.crop = crop_text(box);
    }
    if (member(object, "embedding", true)) {
      ready.embeddings.push_back({edition_.id, next_embedding()});
    }
    return ready;
  }

  std::vector<float> next_embedding() {
    if (rows_ == manifest_.embeddings) {
      refuse(fmt::format("its pictures need more than the {} rows of {}", rows_, kEmbeddingsFile));
    }
    std::vector<float> row(edition_.dim);
    embeddings_->read(rows_, row);
    const std::string problem = embedding_problem(row, edition_.dim, edition_.metric);
    if (!problem.empty()) refuse(fmt::format("row {} of {} {}", rows_, kEmbeddingsFile, problem));
    ++rows_;
    return row;
  }

  [[noreturn]] void fail(const std::string& reason) const {
    refuse(fmt::format("{}, line {}: {}", file_.string(), lines_, util::shorten(reason, 1000)));
  }

  const std::filesystem::path file_;
  const Manifest& manifest_;
  const db::EditionHeader& edition_;
  std::ifstream stream_;
  std::optional<VectorFile> embeddings_;
  std::uint64_t lines_ = 0;
  std::uint64_t rows_ = 0;
};

class Importing {
 public:
  Importing(CatalogCore& core, const std::filesystem::path& folder, const Progress& progress)
      : core_(core),
        folder_(folder),
        progress_(progress),
        edition_(core.serving()->header()),
        manifest_(read_manifest(folder)) {
    if (manifest_.fingerprint != edition_.encoder_fingerprint) {
      throw Error(
          ErrorCode::kEncoderMismatch,
          fmt::format("{} was exported with embeddings of the encoder {} (fingerprint {}), "
                      "and the catalogue {} is served by {} (fingerprint {}); import it "
                      "into a catalogue of that encoder, or add the pictures themselves",
                      folder.string(), manifest_.encoder_name, manifest_.fingerprint,
                      core.path().string(), edition_.encoder_name, edition_.encoder_fingerprint));
    }
  }

  AddReport run() {
    // All of it is looked at before anything is changed.
    ExportReader first(folder_, manifest_, edition_);
    while (const std::optional<ReadyItem> item = first.next()) {
      try {
        core_.check_fields(item->metadata);
      } catch (const Error& e) {
        throw Error(e.code(), fmt::format("item {}: {}", util::shorten(item->key), e.what()));
      }
      if (first.lines() % kLinesPerProgress == 0) go_on();
    }
    ExportReader reader(folder_, manifest_, edition_);
    while (std::optional<ReadyItem> item = reader.next()) {
      // Of a key that stands there twice the last item counts.
      if (keys_.contains(item->key)) commit();
      keys_.insert(item->key);
      pictures_ += item->pictures.size();
      batch_.push_back(*std::move(item));
      if (pictures_ < kImportedPictures) continue;
      commit();
      done_ = reader.lines();
      if (done_ < manifest_.items) go_on();
    }
    commit();
    done_ = manifest_.items;
    if (progress_) progress_(done_, done_);  // everything is there: too late to cancel
    return std::move(report_);
  }

 private:
  void commit() {
    if (batch_.empty()) return;
    const auto editions = core_.keep_editions();
    // Only work of which one at a time may run makes another edition serve.
    const CommitCounts counts = core_.commit(batch_, core_.live());
    report_.added += counts.added;
    report_.replaced += counts.replaced;
    batch_.clear();
    keys_.clear();
    pictures_ = 0;
  }

  void go_on() const {
    if (!progress_ || progress_(done_, manifest_.items)) return;
    throw Error(ErrorCode::kCancelled,
                fmt::format("the import was cancelled: {} of {} items are done and stay; import "
                            "again to go on",
                            done_, manifest_.items));
  }

  CatalogCore& core_;
  const std::filesystem::path& folder_;
  const Progress& progress_;
  const db::EditionHeader edition_;
  const Manifest manifest_;
  AddReport report_;
  std::vector<ReadyItem> batch_;
  std::unordered_set<std::string> keys_;  // of the batch
  std::size_t pictures_ = 0;              // in the batch
  std::uint64_t done_ = 0;
};

}  // namespace

AddReport import_from(CatalogCore& core, const std::filesystem::path& path,
                      const Progress& progress) {
  const auto turn = core.take_turn();
  return Importing(core, path, progress).run();
}

}  // namespace vsearch::detail
