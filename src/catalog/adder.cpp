#include "catalog/adder.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "catalog/item_check.h"
#include "util/utf8.h"

namespace vsearch::detail {
namespace {

constexpr std::size_t kEncodePictures = 64;  // encoded at a time
constexpr std::uint64_t kEncodeBytes = std::uint64_t{64} << 20;
constexpr std::size_t kBatchPictures =
    64;  // committed at a time: a search waits no longer than that

bool is_file(const Picture& picture) {
  return picture.embedding.empty();
}

}  // namespace

Adder::Adder(CatalogCore& core, std::span<const Item> items, const Progress& progress)
    : core_(core), items_(items), progress_(progress) {}

std::vector<std::size_t> Adder::last_of_each_key() const {
  std::unordered_map<std::string_view, std::size_t> last;
  for (std::size_t i = 0; i < items_.size(); ++i) last[items_[i].key] = i;
  std::vector<std::size_t> result;
  for (std::size_t i = 0; i < items_.size(); ++i) {
    if (last[items_[i].key] == i) result.push_back(i);
  }
  return result;
}

AddReport Adder::run() {
  struct Sound {
    std::size_t position;
    std::string metadata;
  };
  std::vector<Sound> sound;
  std::vector<PictureJob> jobs;
  const db::StoreHeader& header = core_.header();
  for (const std::size_t position : last_of_each_key()) {
    const Item& item = items_[position];
    try {
      check_item(item, header.dim, header.metric);
      sound.push_back({position, normalise_metadata(item.metadata)});
    } catch (const Error& e) {
      report_.failures.push_back(
          {item.key, {}, e.code(), fmt::format("item {}: {}", util::shorten(item.key), e.what())});
      continue;
    }
    for (const Picture& picture : item.pictures) {
      if (is_file(picture)) jobs.push_back({&item.key, &picture});
    }
  }
  const auto find_stored = [this](const std::string& key, const std::string& hash) {
    return core_.in_store([&](db::Store& store) { return store.embedding_of_content(key, hash); });
  };
  const auto find_options = [this] { return decode_options(core_.encoder().info().preprocessing); };
  PictureReader reader(std::move(jobs), find_stored, find_options);
  for (Sound& next : sound) {
    add_item(items_[next.position], std::move(next.metadata), reader);
    if (batch_pictures_ < kBatchPictures) continue;
    commit();
    done_ = next.position + 1;
    if (!go_on() && done_ < items_.size()) fail_cancelled();
  }
  commit();
  done_ = items_.size();
  go_on();  // everything is there: too late to cancel
  return std::move(report_);
}

void Adder::add_item(const Item& item, std::string metadata, PictureReader& reader) {
  const std::size_t index = drafts_.size();
  drafts_.push_back({{item.key, std::move(metadata), {}}, false});
  for (std::size_t i = 0; i < item.pictures.size(); ++i) {
    const Picture& picture = item.pictures[i];
    ReadyPicture& ready = drafts_[index].item.pictures.emplace_back();
    ready.path = picture.path;
    if (!is_file(picture)) {
      ready.embedding.assign(picture.embedding.begin(), picture.embedding.end());
      continue;
    }
    PictureResult result = reader.take();
    if (result.failure) {
      fail(drafts_[index], picture.path, *result.failure);
      continue;
    }
    ready.content_hash = std::move(result.content_hash);
    ready.embedding = std::move(result.stored);
    if (!ready.embedding.empty() || drafts_[index].failed) continue;
    pending_bytes_ += result.image.pixels.size();
    pending_.push_back({index, i, std::move(result.image)});
    if (pending_.size() >= kEncodePictures || pending_bytes_ >= kEncodeBytes) encode_pending();
  }
  batch_pictures_ += item.pictures.size();
}

void Adder::fail(Draft& draft, const std::string& path, const Error& error) {
  draft.failed = true;
  report_.failures.push_back({draft.item.key, path, error.code(), error.what()});
}

void Adder::encode_pending() {
  std::erase_if(pending_, [&](const Pending& pending) { return drafts_[pending.draft].failed; });
  if (!pending_.empty()) {
    std::vector<ImageView> views;
    for (const Pending& pending : pending_) views.push_back(pending.image.view());
    const Progress progress = [this](std::uint64_t, std::uint64_t) { return go_on(); };
    const auto sink = [this](std::size_t i, std::span<const float> embedding,
                             const Error* failure) {
      if (failure == nullptr) {
        take_embedding(pending_[i], embedding);
      } else {
        Draft& draft = drafts_[pending_[i].draft];
        const std::string& path = draft.item.pictures[pending_[i].picture].path;
        fail(draft, path, Error(failure->code(), fmt::format("{}: {}", path, failure->what())));
      }
      return true;
    };
    try {
      encode_each(core_.encoder(), views, sink, progress);
    } catch (const Error& e) {
      if (e.code() == ErrorCode::kCancelled) fail_cancelled();
      throw;
    }
  }
  pending_.clear();
  pending_bytes_ = 0;
}

void Adder::take_embedding(const Pending& pending, std::span<const float> embedding) {
  Draft& draft = drafts_[pending.draft];
  ReadyPicture& picture = draft.item.pictures[pending.picture];
  const db::StoreHeader& header = core_.header();
  const std::string problem = embedding_problem(embedding, header.dim, header.metric);
  if (!problem.empty()) {
    fail(draft, picture.path,
         Error(ErrorCode::kBadModel, fmt::format("{}: the embedding that the encoder {} gave {}",
                                                 picture.path, header.encoder_name, problem)));
    return;
  }
  picture.embedding.assign(embedding.begin(), embedding.end());
}

void Adder::commit() {
  encode_pending();
  std::vector<ReadyItem> ready;
  for (Draft& draft : drafts_) {
    if (!draft.failed) ready.push_back(std::move(draft.item));
  }
  drafts_.clear();
  batch_pictures_ = 0;
  if (ready.empty()) return;
  const CommitCounts counts = core_.commit(ready);
  report_.added += counts.added;
  report_.replaced += counts.replaced;
}

bool Adder::go_on() const {
  return !progress_ || progress_(done_, items_.size());
}

void Adder::fail_cancelled() const {
  throw Error(ErrorCode::kCancelled,
              fmt::format("adding was cancelled: {} of {} items are done and stay; add again to go "
                          "on",
                          done_, items_.size()));
}

}  // namespace vsearch::detail
