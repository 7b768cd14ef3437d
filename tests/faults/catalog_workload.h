// A deterministic life of a catalogue, and what must be in it at every moment: for tests that put
// faults into it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "support/vectors.h"
#include "vsearch/catalog.h"

namespace vsearch_test {

// What an item must be. A picture is a number, which its colours come from; no two look the same.
struct ExpectedItem {
  std::string metadata;  // JSON, its fields in alphabetical order
  std::vector<std::uint64_t> pictures;
  bool operator==(const ExpectedItem&) const = default;
};

struct Expectation {
  std::map<std::string, ExpectedItem> items{};  // by key
  std::size_t encoder = 0;                      // each encodes in its own way
  bool operator==(const Expectation&) const = default;
};

// The embedding of a picture by an encoder, of unit length.
std::vector<float> embedding_of(std::uint64_t picture, std::size_t encoder);

// A catalogue that is opened and closed.
class Shop {
 public:
  // `snapshot_changes`: as CatalogOptions has it, from the first time on that it is opened.
  explicit Shop(std::filesystem::path path, std::uint64_t snapshot_changes = 0);

  const std::filesystem::path& path() const { return path_; }
  // Makes it, or opens what an attempt that failed late has made.
  void create();
  void open();  // if it is not open
  void close() { catalog_.reset(); }
  bool is_open() const { return catalog_.has_value(); }
  bool exists() const { return std::filesystem::exists(path_); }
  vsearch::Catalog& catalog() { return catalog_.value(); }

 private:
  const std::filesystem::path path_;
  const std::uint64_t snapshot_changes_;
  vsearch::CatalogCreateOptions create_;  // ready beforehand, too
  std::optional<vsearch::Catalog> catalog_;
};

// One call, or a few that are one to the user. Its writes are one transaction.
struct WorkloadStep {
  std::string name;
  std::function<void(Shop&)> run;  // may be run again after it has failed
  Expectation after;               // what is there when it has returned
};

// Composes a workload, step by step.
class Workload {
 public:
  explicit Workload(std::uint64_t seed);  // its first step makes the catalogue

  static std::vector<std::string_view> kinds();  // all but making it
  void add(std::string_view kind);
  void add_random();  // the frequent kinds more often
  const std::vector<WorkloadStep>& steps() const { return steps_; }

  // For the kinds: they change `now` and return what does the same to a catalogue.
  Random random;
  Expectation now;
  std::vector<std::string> some_keys(std::size_t most);  // of items that are there, each once
  std::string new_key() { return "item " + std::to_string(next_key_++); }
  ExpectedItem new_item();

 private:
  std::vector<WorkloadStep> steps_;
  std::uint64_t next_key_ = 0;
  std::uint64_t next_picture_ = 0;
};

// How a catalogue differs from what it must be.
struct Difference {
  std::size_t lost = 0;   // items that are not there, or not as they must be
  std::size_t back = 0;   // items that must not be there
  std::size_t other = 0;  // what the catalogue says of itself is not true
  std::string first;      // in words; empty if there is none
  bool none() const { return lost + back + other == 0; }
};

// Looks at every item, its metadata and its embeddings, and searches for `searches` of them.
Difference difference(const vsearch::Catalog& catalog, const Expectation& expected,
                      std::size_t searches);

// What SQLite says of the sanity of a closed catalogue's database: "ok" if all is well.
std::string integrity(const std::filesystem::path& catalog);

}  // namespace vsearch_test
