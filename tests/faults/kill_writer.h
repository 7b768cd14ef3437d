// The process that is killed: a writer that does this and that to a shop's catalogue, and says
// through a pipe what it is about to do and when that was acknowledged.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "faults/kill_shop.h"
#include "support/vectors.h"
#include "vsearch/catalog.h"

namespace vsearch_test {

// What must be in the catalogue.
struct ShopState {
  std::vector<ItemState> items;
  std::uint32_t last_version = 0;  // that was ever given to an item
  std::size_t encoder = 0;         // whose embeddings serve
};

// One call, and what comes of it.
struct Call {
  struct Change {
    std::size_t item;
    ItemState after;
  };
  std::string name;
  std::vector<Change> changes;           // each item once, in the order in which they are given
  std::optional<std::size_t> encoder{};  // that serves afterwards, if that changes

  bool writes() const { return !changes.empty() || encoder; }

  // "name item:look:version ... @encoder ;"
  std::string text() const {
    std::ostringstream out;
    out << name;
    for (const Change& change : changes) {
      out << ' ' << change.item << ':' << change.after.look << ':' << change.after.version;
    }
    if (encoder) out << " @" << *encoder;
    out << " ;";
    return out.str();
  }
  // Nothing if `text` is only the beginning of one: the call was not made.
  static std::optional<Call> parse(const std::string& text) {
    std::istringstream words(text);
    Call call;
    words >> call.name;
    for (std::string word; words >> word;) {
      if (word == ";") return call;
      std::istringstream numbers(word);
      char separator = 0;
      if (word[0] == '@') {
        numbers >> separator >> call.encoder.emplace();
      } else {
        Change& change = call.changes.emplace_back();
        numbers >> change.item >> separator >> change.after.look >> separator >>
            change.after.version;
      }
    }
    return std::nullopt;
  }
};

inline void apply(const Call& call, ShopState& state) {
  for (const Call::Change& change : call.changes) {
    state.items[change.item] = change.after;
    state.last_version = std::max(state.last_version, change.after.version);
  }
  if (call.encoder) state.encoder = *call.encoder;
}

// ---- What the writer does: planned before it is said, done after it was said.

namespace kill_writer {

// Up to `most` items that are there, or are not.
inline std::vector<std::size_t> some(const ShopState& state, bool present, std::size_t most,
                                     Random& random) {
  std::vector<std::size_t> result;
  for (std::size_t i = 0; i < state.items.size(); ++i) {
    if (state.items[i].present() == present) result.push_back(i);
  }
  const std::size_t count = std::min(result.size(), 1 + random.below(most));
  for (std::size_t i = 0; i < count; ++i) {
    std::swap(result[i], result[i + random.below(result.size() - i)]);
  }
  result.resize(count);
  return result;
}

inline Call put(const std::vector<std::size_t>& items, const ShopState& state, Random& random) {
  Call call;
  std::uint32_t version = state.last_version;
  for (const std::size_t item : items) {
    const auto look = static_cast<std::uint32_t>(1 + random.below(KillShop::kLooks));
    call.changes.push_back({item, {look, ++version}});
  }
  return call;
}
inline Call put_new(const ShopState& state, Random& random) {
  return put(some(state, false, 20, random), state, random);
}
inline Call replace(const ShopState& state, Random& random) {
  return put(some(state, true, 20, random), state, random);
}
// More than is committed at once.
inline Call put_many(const ShopState& state, Random& random) {
  std::vector<std::size_t> items = some(state, false, 150, random);
  const std::vector<std::size_t> present = some(state, true, 150, random);
  items.insert(items.end(), present.begin(), present.end());
  return put(items, state, random);
}
inline Call patch(const ShopState& state, Random& random) {
  Call call;
  std::uint32_t version = state.last_version;
  for (const std::size_t item : some(state, true, 20, random)) {
    call.changes.push_back({item, {state.items[item].look, ++version}});
  }
  return call;
}
inline Call remove(const ShopState& state, Random& random) {
  Call call;
  for (const std::size_t item : some(state, true, 30, random)) call.changes.push_back({item, {}});
  return call;
}
inline Call change_nothing(const ShopState&, Random&) {
  return {};
}

inline Call change_encoder(const ShopState& state, Random&) {
  Call call;
  call.encoder = 1 - state.encoder;
  return call;
}

inline void run_add(vsearch::Catalog& catalog, const KillShop& shop, const Call& call) {
  std::vector<vsearch::Item> items;
  for (const Call::Change& change : call.changes) {
    items.push_back(shop.item(change.item, change.after));
  }
  const vsearch::AddReport report = catalog.add(items);
  if (!report.failures.empty()) throw std::runtime_error(report.failures[0].message);
}
inline void run_patch(vsearch::Catalog& catalog, const KillShop&, const Call& call) {
  std::vector<vsearch::MetadataPatch> patches;
  for (const Call::Change& change : call.changes) {
    patches.push_back({KillShop::key(change.item), KillShop::patch(change.after)});
  }
  if (!catalog.patch(patches).empty()) throw std::runtime_error("an item to patch is not there");
}
inline void run_remove(vsearch::Catalog& catalog, const KillShop&, const Call& call) {
  std::vector<std::string> keys;
  for (const Call::Change& change : call.changes) keys.push_back(KillShop::key(change.item));
  if (!catalog.remove(keys).empty()) throw std::runtime_error("an item to remove is not there");
}
inline void run_snapshot(vsearch::Catalog& catalog, const KillShop&, const Call&) {
  catalog.save_snapshot();
}
inline void run_reencode(vsearch::Catalog& catalog, const KillShop& shop, const Call& call) {
  vsearch::ReencodeOptions options;
  options.encoder_ref = shop.encoder(*call.encoder)->info().name;
  options.sample = 5;
  const auto report = catalog.reencode(shop.encoder(*call.encoder), options);
  if (!report.switched) throw std::runtime_error("not switched: " + report.refusal);
}
inline void run_compact(vsearch::Catalog& catalog, const KillShop&, const Call&) {
  catalog.compact();
}

struct Operation {
  const char* name;
  std::size_t weight;
  bool at_once;  // in one transaction; else the items of the call are done one after the other, and
                 // it may have come to any of them
  Call (*plan)(const ShopState&, Random&);
  void (*run)(vsearch::Catalog&, const KillShop&, const Call&);
};

inline constexpr Operation kOperations[] = {
    {"put", 20, true, put_new, run_add},
    {"replace", 20, true, replace, run_add},
    {"put-many", 5, false, put_many, run_add},
    {"patch", 20, true, patch, run_patch},
    {"remove", 20, true, remove, run_remove},
    {"snapshot", 10, true, change_nothing, run_snapshot},
    {"reencode", 4, true, change_encoder, run_reencode},
    {"compact", 4, true, change_nothing, run_compact},
};

}  // namespace kill_writer

inline const kill_writer::Operation& operation(std::string_view name) {
  const auto* const found = std::ranges::find(
      kill_writer::kOperations, name, [](const auto& one) -> std::string_view { return one.name; });
  if (found == std::end(kill_writer::kOperations)) throw std::out_of_range("no such operation");
  return *found;
}

inline vsearch::Catalog open_shop(const KillShop& shop, const std::filesystem::path& path) {
  vsearch::CatalogOptions options;
  options.encoder_loader = [&shop](const std::string& name) -> std::shared_ptr<vsearch::Encoder> {
    for (std::size_t i = 0; i < KillShop::kEncoders; ++i) {
      if (shop.encoder(i)->info().name == name) return shop.encoder(i);
    }
    return nullptr;
  };
  return vsearch::Catalog::open(path, options);
}

// Changes the catalogue at `path`, in which `state` is, for ever. Writes to `pipe` each call, and a
// new line when it has returned. Exits by itself only if something failed, and says what.
[[noreturn]] inline void write_for_ever(const KillShop& shop, const std::filesystem::path& path,
                                        ShopState state, std::uint64_t seed, int pipe) {
  const auto say = [&](const std::string& text) {
    if (write(pipe, text.data(), text.size()) != static_cast<ssize_t>(text.size())) _exit(3);
  };
  try {
    vsearch::Catalog catalog = open_shop(shop, path);
    Random random(seed);
    std::size_t weights = 0;
    for (const auto& one : kill_writer::kOperations) weights += one.weight;
    while (true) {
      std::size_t dice = random.below(weights);
      const kill_writer::Operation* one = kill_writer::kOperations;
      for (; dice >= one->weight; ++one) dice -= one->weight;
      Call call = one->plan(state, random);
      call.name = one->name;
      say(call.text());
      one->run(catalog, shop, call);
      say("\n");
      apply(call, state);
    }
  } catch (const std::exception& e) {
    say(std::string("\nfailed: ") + e.what());
    _exit(2);
  }
}

}  // namespace vsearch_test
