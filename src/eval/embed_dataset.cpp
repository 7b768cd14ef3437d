// From the pictures of a data set to embeddings.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <memory>
#include <utility>

#include "catalog/picture_file.h"
#include "eval/embedding_cache.h"
#include "vsearch/error.h"
#include "vsearch/evaluator.h"

namespace vsearch {
namespace {

constexpr std::uint32_t kFlushEvery = 64;  // pictures that an interruption may lose

Image part_of(const Image& image, const CropBox& crop) {
  const ImageView view = detail::cropped(image, crop);
  Image part(view.width_px, view.height_px);
  const std::size_t bytes = std::size_t{view.width_px} * 3;
  for (std::uint32_t y = 0; y < view.height_px; ++y) {
    std::copy_n(view.row(y), bytes, part.pixels.begin() + static_cast<std::ptrdiff_t>(y * bytes));
  }
  return part;
}

class Embedding {
 public:
  Embedding(const Encoder& encoder, const Dataset& dataset, const EvaluationOptions& options)
      : encoder_(encoder),
        dataset_(dataset),
        options_(options),
        known_(dataset.pictures.size(), false) {
    result_.rows = Matrix(dataset.pictures.size(), encoder.info().dim);
  }

  DatasetEmbeddings run() {
    if (!options_.cache.empty()) {
      const EncoderInfo& info = encoder_.info();
      cache_ = std::make_unique<eval::EmbeddingCache>(
          options_.cache,
          eval::name_in_cache(info.fingerprint, info.precision, options_.exact_decoding),
          eval::keys_of_pictures(dataset_), result_.rows, known_);
    }
    result_.from_cache = static_cast<std::uint64_t>(std::ranges::count(known_, true));
    done_ = result_.from_cache;
    const auto began = std::chrono::steady_clock::now();
    EncodeOptions encode;
    encode.exact = options_.exact_decoding;
    encode.go_on = [&] { return go_on(); };
    try {
      encode_stream(
          encoder_, [&] { return next(); },
          [&](std::size_t, std::span<const float> row, const Error* failure) {
            return take(row, failure);
          },
          encode);
    } catch (...) {
      if (cache_) cache_->flush();
      throw;
    }
    if (cache_) cache_->flush();
    result_.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    if (result_.skipped.size() == dataset_.pictures.size()) {
      throw Error(
          ErrorCode::kBadImage,
          fmt::format("no picture of {} could be read; the first: {}", dataset_.name,
                      result_.skipped.empty() ? "there is none" : result_.skipped.front().message));
    }
    return std::move(result_);
  }

 private:
  std::optional<EncodeInput> next() {
    while (next_ < dataset_.pictures.size() && known_[next_]) ++next_;
    if (next_ == dataset_.pictures.size()) return std::nullopt;
    const auto number = static_cast<std::uint32_t>(next_++);
    asked_.push_back(number);
    const DatasetPicture& picture = dataset_.pictures[number];
    const std::filesystem::path path = dataset_.root / picture.path;
    if (picture.crop.is_whole()) return path;
    try {
      return part_of(read_image(path), picture.crop);
    } catch (const Error&) {
      return path;  // the stream will say what is wrong with it
    }
  }

  bool take(std::span<const float> row, const Error* failure) {
    const std::uint32_t picture = asked_[taken_++];
    std::span<float> to = result_.rows.row(picture);
    if (failure != nullptr) {
      std::ranges::fill(to, std::numeric_limits<float>::quiet_NaN());
      result_.skipped.push_back({picture, failure->what()});
    } else {
      std::ranges::copy(row, to.begin());
      if (cache_) {
        cache_->add(picture, row);
        if (taken_ % kFlushEvery == 0) cache_->flush();
      }
    }
    ++done_;
    return go_on();
  }

  bool go_on() const {
    return !options_.progress || options_.progress(done_, dataset_.pictures.size());
  }

  const Encoder& encoder_;
  const Dataset& dataset_;
  const EvaluationOptions& options_;
  std::vector<bool> known_;
  std::unique_ptr<eval::EmbeddingCache> cache_;
  DatasetEmbeddings result_;
  std::size_t next_ = 0;
  std::vector<std::uint32_t> asked_;  // pictures, in the order in which they were given out
  std::size_t taken_ = 0;
  std::uint64_t done_ = 0;
};

}  // namespace

DatasetEmbeddings embed_dataset(const Encoder& encoder, const Dataset& dataset,
                                const EvaluationOptions& options) {
  for (const std::string& protocol : options.protocols) dataset.protocol(protocol);
  return Embedding(encoder, dataset, options).run();
}

}  // namespace vsearch
