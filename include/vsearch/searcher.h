// Queries over a catalogue.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "vsearch/catalog.h"
#include "vsearch/filter.h"
#include "vsearch/image.h"
#include "vsearch/types.h"

namespace vsearch {

// What is looked for. Borrowed parts (pixels, bytes, floats) must live until search() returns.
class Query {
 public:
  // The items that look like this picture: pixels, a file, or an encoded file in memory. Files are
  // decoded as the catalogue decodes its own, so that a picture that is in it is found at once.
  static Query image(ImageView image) { return Query(image); }
  static Query file(std::filesystem::path path) { return Query(std::move(path)); }
  // `name` is the picture's in error messages.
  static Query encoded(std::span<const std::byte> bytes, std::string name = "the query's picture") {
    return Query(Encoded{bytes, std::move(name)});
  }
  // The items that look like the item `key`, itself left out.
  static Query like(std::string key) { return Query(std::move(key)); }
  // The items whose pictures show what these words say (UTF-8), by the text tower of the
  // catalogue's encoder; kUnavailable where it has none.
  static Query text(std::string words) { return Query(Words{std::move(words)}); }
  // The items near this embedding [dim].
  static Query vector(std::span<const float> embedding) { return Query(embedding); }

  struct Encoded {
    std::span<const std::byte> bytes;
    std::string name;
  };
  struct Words {
    std::string text;
  };
  using Value = std::variant<ImageView, std::filesystem::path, Encoded, std::string, Words,
                             std::span<const float>>;
  const Value& value() const { return value_; }

 private:
  explicit Query(Value value) : value_(std::move(value)) {}
  Value value_;
};

struct QueryOptions {
  std::uint32_t k = 10;           // items wanted, at least 1
  std::uint32_t breadth = 64;     // of the index walk, see SearchOptions
  std::optional<Filter> where{};  // only items whose metadata match
  bool exact = false;             // compare with every picture
};

struct Hit {
  std::string key;
  float score = 0.0F;     // in [0, 1], 1 is the same: see score_from_distance()
  float distance = 0.0F;  // of the item's nearest picture, see Metric
  std::string path;       // of that picture
  std::string metadata;   // a JSON object
  std::string role;       // of that picture
};

// The score of a distance, in [0, 1], monotone: 1 - d / 2 for kCosine (so (1 + cosine) / 2),
// 1 / (1 + d) for kL2, 1 / (1 + exp(d - 1)) for kInnerProduct (so the logistic of <q, x>).
float score_from_distance(Metric metric, float distance);

// Answers queries over one catalogue, which must outlive it.
// Threads: search() may be called from many threads, beside writers of the catalogue. It never
// shows an item that was removed before it began. Without a filter it does not miss an item for
// being replaced meanwhile; with one it may.
class Searcher {
 public:
  explicit Searcher(const Catalog& catalog) : catalog_(&catalog) {}

  // At most options.k items, nearest first, each once; fewer only if fewer match.
  // For Query::like of an item with several pictures, an item is as near as the nearest pair.
  // Throws kInvalidArgument (k = 0, a vector of another dimension), kKeyNotFound, and what
  // read_image() and the encoder throw.
  std::vector<Hit> search(const Query& query, const QueryOptions& options = {}) const;

 private:
  const Catalog* catalog_;
};

}  // namespace vsearch
