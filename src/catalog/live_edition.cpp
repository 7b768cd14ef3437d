#include "catalog/live_edition.h"

#include <fmt/format.h>

#include <utility>

#include "catalog/snapshot.h"

namespace vsearch {

std::string_view edition_state_name(EditionState state) {
  switch (state) {
    case EditionState::kServing:
      return "serving";
    case EditionState::kBuilding:
      return "building";
    case EditionState::kKept:
      return "kept";
  }
  return "unknown";
}

namespace detail {

void throw_encoder_mismatch(const std::filesystem::path& directory,
                            const db::EditionHeader& edition, const EncoderInfo& encoder) {
  throw Error(
      ErrorCode::kEncoderMismatch,
      fmt::format("the catalogue {} was made with the encoder {} (fingerprint {}), not with "
                  "{} (fingerprint {}); give it that encoder, re-encode it with the other "
                  "one, or make a new catalogue",
                  directory.string(), edition.encoder_name, edition.encoder_fingerprint,
                  encoder.name, encoder.fingerprint));
}

LiveEdition::LiveEdition(db::EditionHeader header, Index index, std::filesystem::path directory,
                         std::shared_ptr<Encoder> encoder, EncoderLoader loader)
    : header_(std::move(header)),
      index_(std::move(index)),
      directory_(std::move(directory)),
      loader_(std::move(loader)),
      encoder_(std::move(encoder)) {
  if (encoder_) check_encoder(*encoder_);
}

LiveEdition::LiveEdition(const LiveEdition& edition, Index index)
    : header_(edition.header_),
      index_(std::move(index)),
      directory_(edition.directory_),
      loader_(edition.loader_),
      encoder_(edition.loaded_encoder()) {}

std::shared_ptr<Encoder> LiveEdition::loaded_encoder() const {
  const std::lock_guard lock(encoder_mutex_);
  return encoder_;
}

void LiveEdition::check_encoder(const Encoder& encoder) const {
  if (encoder.info().fingerprint != header_.encoder_fingerprint) {
    throw_encoder_mismatch(directory_, header_, encoder.info());
  }
}

Encoder& LiveEdition::encoder() const {
  const std::lock_guard lock(encoder_mutex_);
  if (!encoder_) {
    if (!loader_) {
      throw Error(ErrorCode::kUnavailable,
                  fmt::format("the catalogue {} needs its encoder {} to look at pictures; give an "
                              "encoder or an encoder_loader in CatalogOptions",
                              directory_.string(), header_.encoder_ref));
    }
    std::shared_ptr<Encoder> loaded = loader_(header_.encoder_ref);
    if (!loaded) {
      throw Error(ErrorCode::kUnavailable,
                  fmt::format("the encoder_loader gave no encoder for {}", header_.encoder_ref));
    }
    check_encoder(*loaded);
    encoder_ = std::move(loaded);
  }
  return *encoder_;
}

void LiveEdition::fail_damaged(const Error& error) const {
  std::error_code gone;
  std::filesystem::remove(snapshot_path(directory_, header_.id, true), gone);
  throw Error(ErrorCode::kCorrupt,
              fmt::format("the index of the catalogue {} cannot be used: {}. Open the catalogue "
                          "again: it builds its index anew, and nothing is lost",
                          directory_.string(), error.what()));
}

std::string LiveEdition::drop(std::span<const Id> ids) {
  leftovers_.insert(leftovers_.end(), ids.begin(), ids.end());
  if (leftovers_.empty()) return {};
  try {
    drop_leftovers();
    return {};
  } catch (const std::exception& e) {
    return e.what();
  }
}

void LiveEdition::drop_leftovers() {
  with_index([&] { return index_.remove(leftovers_); });
  leftovers_.clear();
}

}  // namespace detail
}  // namespace vsearch
