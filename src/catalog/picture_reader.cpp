#include "catalog/picture_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "catalog/utf8.h"
#include "util/sha256.h"

namespace vsearch::detail {
namespace {

constexpr std::size_t kAhead = 128;  // pictures decoded ahead
constexpr std::uint64_t kAheadBytes = std::uint64_t{256}
                                      << 20;  // of pixels; one more may exceed it

}  // namespace

PictureReader::PictureReader(std::vector<PictureJob> jobs, FindStored find_stored)
    : jobs_(std::move(jobs)), find_stored_(std::move(find_stored)), slots_(kAhead) {
  const std::size_t wanted =
      std::min<std::size_t>(jobs_.size(), std::clamp(std::thread::hardware_concurrency(), 2U, 4U));
  threads_.reserve(wanted);
  try {
    while (threads_.size() < wanted) threads_.emplace_back([this] { work(); });
  } catch (const std::system_error& e) {
    if (!threads_.empty()) return;  // fewer will do
    throw Error(ErrorCode::kUnavailable,
                fmt::format("cannot start a thread to read pictures: {}", e.what()));
  }
}

PictureReader::~PictureReader() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

bool PictureReader::may_start() const {
  if (started_ == taken_) return true;  // the one that is waited for
  return started_ < taken_ + slots_.size() && held_bytes_ < kAheadBytes;
}

void PictureReader::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopped_ || started_ == jobs_.size() || may_start(); });
    if (stopped_ || started_ == jobs_.size()) return;
    const std::size_t job = started_++;
    lock.unlock();
    PictureResult result = read(jobs_[job]);
    lock.lock();
    held_bytes_ += result.image.pixels.size();
    slots_[job % slots_.size()] = std::move(result);
    changed_.notify_all();
  }
}

PictureResult PictureReader::take() {
  std::unique_lock lock(mutex_);
  std::optional<PictureResult>& slot = slots_[taken_ % slots_.size()];
  changed_.wait(lock, [&] { return slot.has_value(); });
  PictureResult result = *std::move(slot);
  slot.reset();
  ++taken_;
  held_bytes_ -= result.image.pixels.size();
  changed_.notify_all();
  return result;
}

PictureResult PictureReader::read(const PictureJob& job) const {
  PictureResult result;
  try {
    std::vector<std::byte> file;
    std::span<const std::byte> bytes = job.picture->bytes;
    const std::string name = !job.picture->path.empty()
                                 ? job.picture->path
                                 : fmt::format("a picture of item {}", shorten(*job.key));
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
    if (result.stored.empty()) reading([&] { result.image = decode_image(bytes, name.c_str()); });
  } catch (...) {
    result.fatal = std::current_exception();
  }
  return result;
}

}  // namespace vsearch::detail
