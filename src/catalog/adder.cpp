#include "catalog/adder.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "catalog/item_check.h"
#include "catalog/picture_file.h"
#include "util/utf8.h"

namespace vsearch::detail {
namespace {

constexpr std::size_t kEncodePictures = 64;  // encoded at a time
constexpr std::uint64_t kEncodeBytes = std::uint64_t{64} << 20;
// Committed at a time: so many were encoded, or so many in all. A search waits no longer than that.
constexpr std::size_t kBatchEncoded = 64;
constexpr std::size_t kBatchPictures = 1000;

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
  for (const std::size_t position : last_of_each_key()) {
    const Item& item = items_[position];
    try {
      check_item(item);
      std::string metadata = normalise_metadata(item.metadata);
      core_.check_fields(metadata);
      sound.push_back({position, std::move(metadata)});
    } catch (const Error& e) {
      failures_.push_back({position,
                           {item.key,
                            {},
                            e.code(),
                            fmt::format("item {}: {}", util::shorten(item.key), e.what())}});
      continue;
    }
    for (const Picture& picture : item.pictures) {
      if (is_file(picture)) jobs.push_back({&item.key, &picture});
    }
  }
  PictureReader reader(core_, std::move(jobs));
  for (Sound& next : sound) {
    if (!editions_) {
      editions_.emplace(core_.keep_editions());
      live_ = core_.live();
    }
    add_item(next.position, std::move(next.metadata), reader);
    if (batch_encoded_ < kBatchEncoded && batch_pictures_ < kBatchPictures) {
      // Pictures that are known take long to read, too.
      if (batch_pictures_ % kBatchEncoded == 0 && !go_on()) fail_cancelled();
      continue;
    }
    commit();
    done_ = next.position + 1;
    if (!go_on() && done_ < items_.size()) fail_cancelled();
  }
  commit();
  done_ = items_.size();
  go_on();  // everything is there: too late to cancel
  std::ranges::stable_sort(failures_, {}, [](const auto& failure) { return failure.first; });
  for (auto& [position, failure] : failures_) report_.failures.push_back(std::move(failure));
  return std::move(report_);
}

void Adder::add_item(std::size_t position, std::string metadata, PictureReader& reader) {
  const Item& item = items_[position];
  const std::size_t index = drafts_.size();
  drafts_.push_back({position, {item.key, std::move(metadata), {}}, false});
  for (std::size_t i = 0; i < item.pictures.size(); ++i) {
    const Picture& picture = item.pictures[i];
    ReadyPicture& ready = drafts_[index].item.pictures.emplace_back();
    ready.picture.path = picture.path;
    ready.picture.role = picture.role;
    ready.picture.crop = crop_text(picture.crop);
    if (!is_file(picture)) {
      take_given(ready, picture, drafts_[index]);
      continue;
    }
    PictureResult result = reader.take(live_);
    if (result.failure) {
      fail(drafts_[index], picture.path, *result.failure);
      continue;
    }
    ready.picture.content_hash = std::move(result.content_hash);
    ready.picture.stamp = result.stamp;
    ready.kept_bytes = std::move(result.kept_bytes);
    ready.embeddings = std::move(result.stored);
    if (result.image.pixels.empty() || drafts_[index].failed) continue;
    ready.embeddings.clear();  // what is known is only of the edition that does not serve
    ++batch_encoded_;
    pending_bytes_ += result.image.pixels.size();
    pending_.push_back({index, i, std::move(result.image), picture.crop});
    if (pending_.size() >= kEncodePictures || pending_bytes_ >= kEncodeBytes) encode_pending();
  }
  batch_pictures_ += item.pictures.size();
}

// An embedding in the place of a picture.
void Adder::take_given(ReadyPicture& ready, const Picture& picture, Draft& draft) {
  const db::EditionHeader& serving = live_.serving->header();
  const auto named = [&](const std::string& what) {
    return fmt::format("item {}: the embedding given for a picture {}",
                       util::shorten(draft.item.key), what);
  };
  const std::string problem = embedding_problem(picture.embedding, serving.dim, serving.metric);
  if (!problem.empty()) {
    fail(draft, {}, Error(ErrorCode::kInvalidArgument, named(problem)));
  } else if (!picture.embedding_fingerprint.empty() &&
             picture.embedding_fingerprint != serving.encoder_fingerprint) {
    fail(draft, {},
         Error(ErrorCode::kEncoderMismatch,
               named(fmt::format("was made by an encoder with the fingerprint {}, and the "
                                 "catalogue is served by {} ({}); encode the picture with that one",
                                 picture.embedding_fingerprint, serving.encoder_name,
                                 serving.encoder_fingerprint))));
  } else {
    ready.embeddings.push_back({serving.id, {picture.embedding.begin(), picture.embedding.end()}});
  }
}

void Adder::fail(Draft& draft, const std::string& path, const Error& error) {
  draft.failed = true;
  failures_.push_back({draft.position, {draft.item.key, path, error.code(), error.what()}});
}

void Adder::encode_pending() {
  encode_pending_for(*live_.serving);
  if (live_.building) encode_pending_for(*live_.building);
  pending_.clear();
  pending_bytes_ = 0;
}

void Adder::encode_pending_for(const LiveEdition& edition) {
  std::erase_if(pending_, [&](const Pending& pending) { return drafts_[pending.draft].failed; });
  if (pending_.empty()) return;
  std::vector<ImageView> views;
  for (const Pending& pending : pending_) views.push_back(cropped(pending.image, pending.crop));
  const Progress progress = [this](std::uint64_t, std::uint64_t) { return go_on(); };
  const auto sink = [&](std::size_t i, std::span<const float> embedding, const Error* failure) {
    if (failure == nullptr) {
      take_embedding(edition, pending_[i], embedding);
    } else {
      Draft& draft = drafts_[pending_[i].draft];
      const std::string& path = draft.item.pictures[pending_[i].picture].picture.path;
      fail(draft, path, Error(failure->code(), fmt::format("{}: {}", path, failure->what())));
    }
    return true;
  };
  try {
    encode_each(edition.encoder(), views, sink, progress);
  } catch (const Error& e) {
    if (e.code() == ErrorCode::kCancelled) fail_cancelled();
    throw;
  }
  if (&edition == live_.serving.get()) report_.encoded += pending_.size();
}

void Adder::take_embedding(const LiveEdition& edition, const Pending& pending,
                           std::span<const float> embedding) {
  Draft& draft = drafts_[pending.draft];
  ReadyPicture& picture = draft.item.pictures[pending.picture];
  const db::EditionHeader& header = edition.header();
  const std::string problem = embedding_problem(embedding, header.dim, header.metric);
  if (!problem.empty()) {
    fail(draft, picture.picture.path,
         Error(ErrorCode::kBadModel,
               fmt::format("{}: the embedding that the encoder {} gave {}", picture.picture.path,
                           header.encoder_name, problem)));
    return;
  }
  picture.embeddings.push_back({header.id, {embedding.begin(), embedding.end()}});
}

void Adder::commit() {
  if (!editions_) return;
  encode_pending();
  std::vector<ReadyItem> ready;
  for (Draft& draft : drafts_) {
    if (!draft.failed) ready.push_back(std::move(draft.item));
  }
  drafts_.clear();
  batch_pictures_ = 0;
  batch_encoded_ = 0;
  if (!ready.empty() && screen_) screen_(ready, live_);
  if (!ready.empty()) {
    const CommitCounts counts = core_.commit(ready, live_);
    report_.added += counts.added;
    report_.replaced += counts.replaced;
  }
  editions_.reset();
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
