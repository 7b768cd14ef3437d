#include "catalog/picture_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>

#include "catalog/picture_file.h"
#include "util/sha256.h"
#include "util/utf8.h"

namespace vsearch::detail {
namespace {

constexpr std::size_t kAhead = 128;                             // pictures decoded ahead
constexpr std::uint64_t kAheadBytes = std::uint64_t{64} << 20;  // of pixels

}  // namespace

std::vector<EditionVector> known_embeddings(const CatalogCore& core, const LiveEditions& live,
                                            const std::string& content_hash,
                                            const std::string& crop) {
  std::vector<EditionVector> known;
  core.in_store([&](db::Store& store) {
    for (const auto& edition : {live.serving, live.building}) {
      if (!edition || !store.has_edition(edition->id())) continue;
      std::vector<float> found = store.embedding_of_content(edition->header(), content_hash, crop);
      if (!found.empty()) known.push_back({edition->id(), std::move(found)});
    }
  });
  return known;
}

DecodeOptions decode_options(const LiveEditions& live, const CropBox& crop) {
  DecodeOptions options = vsearch::decode_options(live.serving->encoder().info().preprocessing);
  if (live.building) {
    const DecodeOptions other =
        vsearch::decode_options(live.building->encoder().info().preprocessing);
    // 0 wants the full size.
    const bool full = options.cover_width_px == 0 || other.cover_width_px == 0;
    options.cover_width_px = full ? 0 : std::max(options.cover_width_px, other.cover_width_px);
    options.cover_height_px = full ? 0 : std::max(options.cover_height_px, other.cover_height_px);
  }
  return for_crop(options, crop);
}

PictureReader::PictureReader(const CatalogCore& core, std::vector<PictureJob> jobs)
    : core_(core),
      jobs_(std::move(jobs)),
      ahead_(0, kAheadBytes, [this](const PictureJob& job) { return read(job, core_.live()); }) {
  fill();
}

void PictureReader::fill() {
  while (pushed_ < jobs_.size() && ahead_.pending() < kAhead) ahead_.push(jobs_[pushed_++]);
}

PictureResult PictureReader::take(const LiveEditions& live) {
  PictureResult result = ahead_.take();
  const PictureJob& job = jobs_[taken_++];
  fill();
  // Read for editions that were live before: rare enough to be done again, here.
  if (result.epoch != live.epoch) result = read(job, live);
  return result;
}

PictureResult PictureReader::read(const PictureJob& job, const LiveEditions& live) const {
  PictureResult result;
  result.epoch = live.epoch;
  const Picture& picture = *job.picture;
  std::vector<std::byte> file;
  std::span<const std::byte> bytes = picture.bytes;
  const std::string name = !picture.path.empty()
                               ? picture.path
                               : fmt::format("a picture of item {}", util::shorten(*job.key));
  const auto reading = [&](const auto& step) {
    try {
      step();
    } catch (const Error& e) {
      if (e.code() == ErrorCode::kOutOfMemory || e.code() == ErrorCode::kInternal) throw;
      result.failure = e;
    }
  };
  if (bytes.empty()) {
    // Looked at before the content: a change in between makes the next look find a difference.
    if (const auto stamp = stamp_of(picture.path)) result.stamp = *stamp;
    reading([&] { file = read_picture_file(picture.path, core_.fetch()); });
    bytes = file;
  }
  if (result.failure) return result;
  result.content_hash = util::sha256_hex(bytes);
  result.stored = known_embeddings(core_, live, result.content_hash, crop_text(picture.crop));
  const auto is_serving = [&](const EditionVector& known) {
    return known.edition == live.serving->id();
  };
  if (std::ranges::none_of(result.stored, is_serving)) {
    const DecodeOptions options = decode_options(live, picture.crop);
    reading([&] { result.image = decode_image(bytes, name.c_str(), options); });
  }
  if (picture.keep_bytes && !result.failure) result.kept_bytes.assign(bytes.begin(), bytes.end());
  return result;
}

}  // namespace vsearch::detail
