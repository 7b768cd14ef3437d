// Catalog::add: from files to committed items.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "catalog/core.h"
#include "catalog/picture_reader.h"
#include "vsearch/catalog.h"

namespace vsearch::detail {

// One call of add(). Pictures are read and decoded on other threads while those before them are
// encoded here, for every edition that is live; items are committed in batches.
class Adder {
 public:
  Adder(CatalogCore& core, std::span<const Item> items, const Progress& progress);

  // Looks at items that are encoded, before they are committed: may change their metadata, and
  // leave some out.
  using Screen = std::function<void(std::vector<ReadyItem>& items, const LiveEditions& live)>;
  void screen(Screen screen) { screen_ = std::move(screen); }

  AddReport run();

 private:
  struct Draft {           // an item of the batch at hand
    std::size_t position;  // in items_
    ReadyItem item;
    bool failed = false;
  };
  struct Pending {  // a decoded picture that waits to be encoded
    std::size_t draft;
    std::size_t picture;
    Image image;
    CropBox crop;
  };

  std::vector<std::size_t> last_of_each_key() const;
  void add_item(std::size_t position, std::string metadata, PictureReader& reader);
  void fail(Draft& draft, const std::string& path, const Error& error);
  void take_given(ReadyPicture& ready, const Picture& picture, Draft& draft);
  void encode_pending();
  void encode_pending_for(const LiveEdition& edition);
  void take_embedding(const LiveEdition& edition, const Pending& pending,
                      std::span<const float> embedding);
  void commit();
  bool go_on() const;
  [[noreturn]] void fail_cancelled() const;

  CatalogCore& core_;
  const std::span<const Item> items_;
  const Progress& progress_;
  Screen screen_;
  AddReport report_;
  std::vector<std::pair<std::size_t, AddFailure>> failures_;  // by position in items_
  // Of the batch at hand, from its first item until it is committed.
  std::optional<std::shared_lock<index::FairSharedMutex>> editions_;
  LiveEditions live_;
  std::vector<Draft> drafts_;
  std::vector<Pending> pending_;
  std::uint64_t pending_bytes_ = 0;
  std::size_t batch_pictures_ = 0;
  std::size_t batch_encoded_ = 0;
  std::size_t done_ = 0;  // items committed, failed, or overtaken by a later one with their key
};

}  // namespace vsearch::detail
