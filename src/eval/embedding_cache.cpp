#include "eval/embedding_cache.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <system_error>
#include <unordered_map>
#include <utility>

#include "vsearch/error.h"

namespace vsearch::eval {
namespace {

constexpr char kMagic[] = "vsearch embeddings 2\n";

struct KeyHash {
  std::size_t operator()(const PictureKey& key) const { return key.low; }
};

std::uint64_t checksum(const PictureKey& key, std::span<const float> values) {
  return XXH3_64bits_withSeed(values.data(), values.size_bytes(), key.low ^ key.high);
}

template <typename Value>
void append(std::string& to, const Value* values, std::size_t count) {
  to.append(reinterpret_cast<const char*>(values), count * sizeof(Value));
}

}  // namespace

PictureKey key_of_picture(const Dataset& dataset, const DatasetPicture& picture) {
  const std::filesystem::path path = dataset.root / picture.path;
  std::error_code gone;
  const auto size = std::filesystem::file_size(path, gone);
  const auto time = std::filesystem::last_write_time(path, gone).time_since_epoch();
  const CropBox& crop = picture.crop;
  const std::string text =
      fmt::format("{}\n{} {}\n{} {} {} {}", picture.path, gone ? 0 : size,
                  gone ? 0 : std::chrono::duration_cast<std::chrono::nanoseconds>(time).count(),
                  crop.left, crop.top, crop.right, crop.bottom);
  const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  return {hash.low64, hash.high64};
}

std::vector<PictureKey> keys_of_pictures(const Dataset& dataset) {
  std::vector<PictureKey> keys;
  keys.reserve(dataset.pictures.size());
  for (const DatasetPicture& picture : dataset.pictures) {
    keys.push_back(key_of_picture(dataset, picture));
  }
  return keys;
}

std::string name_in_cache(const std::string& fingerprint, Precision precision,
                          bool exact_decoding) {
  return fmt::format("{}-{}{}", fingerprint.substr(0, 32), precision_name(precision),
                     exact_decoding ? "-exact" : "");
}

EmbeddingCache::EmbeddingCache(const std::filesystem::path& folder, const std::string& encoder,
                               std::vector<PictureKey> keys, Matrix& rows, std::vector<bool>& known)
    : path_(folder / (encoder + ".embeddings")), keys_(std::move(keys)) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  lock_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (lock_ < 0) fail("be written");
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    ::close(std::exchange(lock_, -1));
  }
  const std::uint64_t whole = read(rows, known);
  if (lock_ < 0) return;
  std::filesystem::resize_file(path_, whole, error);
  if (error) fail("be cut");
  file_.open(path_, std::ios::binary | std::ios::app);
  if (whole == 0) file_.write(kMagic, sizeof kMagic - 1);
  flush();
}

EmbeddingCache::~EmbeddingCache() {
  file_.close();
  if (lock_ >= 0) ::close(lock_);
}

// A record: the picture's key (16 bytes), its embedding, and a checksum of both (8 bytes).
std::uint64_t EmbeddingCache::read(Matrix& rows, std::vector<bool>& known) {
  std::unordered_multimap<PictureKey, std::uint32_t, KeyHash> pictures;
  for (std::uint32_t i = 0; i < keys_.size(); ++i) pictures.emplace(keys_[i], i);
  std::ifstream file(path_, std::ios::binary);
  std::string magic(sizeof kMagic - 1, '\0');
  if (!file.read(magic.data(), static_cast<std::streamsize>(magic.size())) || magic != kMagic) {
    return 0;
  }
  std::uint64_t whole = magic.size();
  std::string record(sizeof(PictureKey) + rows.cols * sizeof(float) + sizeof(std::uint64_t), '\0');
  std::vector<float> values(rows.cols);
  while (file.read(record.data(), static_cast<std::streamsize>(record.size()))) {
    PictureKey key;
    std::uint64_t sum = 0;
    std::memcpy(&key, record.data(), sizeof key);
    std::memcpy(values.data(), record.data() + sizeof key, rows.cols * sizeof(float));
    std::memcpy(&sum, record.data() + record.size() - sizeof sum, sizeof sum);
    if (checksum(key, values) != sum) break;
    const auto [first, last] = pictures.equal_range(key);
    for (auto picture = first; picture != last; ++picture) {
      std::ranges::copy(values, rows.row(picture->second).begin());
      known[picture->second] = true;
    }
    whole += record.size();
  }
  return whole;
}

void EmbeddingCache::add(std::uint32_t picture, std::span<const float> embedding) {
  if (lock_ < 0) return;
  const PictureKey& key = keys_[picture];
  const std::uint64_t sum = checksum(key, embedding);
  std::string record;
  append(record, &key, 1);
  append(record, embedding.data(), embedding.size());
  append(record, &sum, 1);
  file_.write(record.data(), static_cast<std::streamsize>(record.size()));
}

void EmbeddingCache::flush() {
  if (lock_ >= 0 && !file_.flush()) fail("be written");
}

void EmbeddingCache::fail(const char* what) const {
  throw Error(ErrorCode::kIo, fmt::format("the embedding cache {} cannot {}; check the permissions "
                                          "and the space on the disk, or evaluate without a cache",
                                          path_.string(), what));
}

void keep_embeddings(const std::filesystem::path& folder, const std::string& encoder,
                     const std::vector<PictureKey>& keys, const Matrix& rows) {
  Matrix there(rows.rows, rows.cols);
  std::vector<bool> known(rows.rows, false);
  EmbeddingCache cache(folder, encoder, keys, there, known);
  for (std::uint32_t i = 0; i < rows.rows; ++i) {
    const std::span<const float> row = rows.row(i);
    const bool finite = std::ranges::all_of(row, [](float value) { return std::isfinite(value); });
    if (finite && !known[i]) cache.add(i, row);
  }
  cache.flush();
}

}  // namespace vsearch::eval
