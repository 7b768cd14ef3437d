#include "catalog/picture_reader.h"

#include <fmt/format.h>

#include <cstddef>
#include <span>
#include <utility>

#include "util/sha256.h"
#include "util/utf8.h"

namespace vsearch::detail {
namespace {

constexpr std::size_t kAhead = 128;                             // pictures decoded ahead
constexpr std::uint64_t kAheadBytes = std::uint64_t{64} << 20;  // of pixels

}  // namespace

PictureReader::PictureReader(std::vector<PictureJob> jobs, FindStored find_stored,
                             FindOptions find_options)
    : jobs_(std::move(jobs)),
      find_stored_(std::move(find_stored)),
      find_options_(std::move(find_options)),
      ahead_(0, kAheadBytes, [this](const PictureJob& job) { return read(job); }) {
  fill();
}

void PictureReader::fill() {
  while (pushed_ < jobs_.size() && ahead_.pending() < kAhead) ahead_.push(jobs_[pushed_++]);
}

PictureResult PictureReader::take() {
  PictureResult result = ahead_.take();
  fill();
  return result;
}

PictureResult PictureReader::read(const PictureJob& job) const {
  PictureResult result;
  std::vector<std::byte> file;
  std::span<const std::byte> bytes = job.picture->bytes;
  const std::string name = !job.picture->path.empty()
                               ? job.picture->path
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
    reading([&] { file = read_image_file(job.picture->path); });
    bytes = file;
  }
  if (result.failure) return result;
  result.content_hash = util::sha256_hex(bytes);
  result.stored = find_stored_(*job.key, result.content_hash);
  if (!result.stored.empty()) return result;
  const DecodeOptions options = find_options_();
  reading([&] { result.image = decode_image(bytes, name.c_str(), options); });
  return result;
}

}  // namespace vsearch::detail
