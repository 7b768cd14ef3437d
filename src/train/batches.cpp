#include "train/batches.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <deque>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "catalog/picture_file.h"
#include "encoder/torch_error.h"
#include "encoder/torch_preprocess.h"
#include "eval/backgrounds.h"
#include "eval/saliency.h"
#include "eval/seeded.h"
#include "train/augmentation.h"
#include "train/sampler.h"
#include "train/training_set.h"
#include "util/read_ahead.h"
#include "vsearch/error.h"

namespace vsearch::training {
namespace {

// One that is learned from next and two more: enough to bridge a slow picture.
constexpr std::size_t kBatchesAhead = 3;

// Torch's operators on this thread use no other. at::set_num_threads() would say so to the whole
// process; OpenMP's own number is of each thread. Torch sets that once on each thread, in a
// function that our code and torch's have each their own copy of, so that comes first.
void compute_alone() {
  static thread_local bool is_set = false;
  if (is_set) return;
  at::internal::lazy_init_num_threads();
  at::get_num_threads();
  omp_set_num_threads(1);
  is_set = true;
}

// Some pixels of a picture, in memory of their own and averaged to that size: by torch, which takes
// a twentieth of the time that eval::resize() does.
Image shrunk(const ImageView& view, std::uint32_t width_px, std::uint32_t height_px) {
  const std::int64_t width = view.width_px;
  const std::int64_t height = view.height_px;
  const auto stride = static_cast<std::int64_t>(view.stride_bytes);
  // from_blob() knows no constant memory; nothing writes to it.
  const at::Tensor pixels =
      at::from_blob(const_cast<std::uint8_t*>(view.data), {1, 3, height, width},
                    {height * stride, 1, stride, 3}, at::kByte);
  Image result(width_px, height_px);
  at::Tensor to = at::from_blob(result.pixels.data(), {1, height_px, width_px, 3}, at::kByte)
                      .permute({0, 3, 1, 2});
  constexpr bool kAlignCorners = false;
  to.copy_(view.width_px == width_px && view.height_px == height_px
               ? pixels
               : at::_upsample_bilinear2d_aa(pixels, {height_px, width_px}, kAlignCorners));
  return result;
}

// A picture as it is kept.
struct KeptPicture {
  Image pixels;
  eval::Mask subject;  // empty if none is asked for or none could be told

  std::uint64_t bytes() const {
    return pixels.pixels.size() + subject.values.size() * sizeof(float);
  }
};

// Threads: may be used by many at once.
class PictureCache {
 public:
  PictureCache(const LabelledPictures& pictures, std::uint32_t shorter_px, bool with_subjects,
               std::uint64_t max_bytes)
      : pictures_(pictures),
        shorter_px_(shorter_px),
        with_subjects_(with_subjects),
        max_bytes_(max_bytes),
        kept_(pictures.pictures.size()) {}

  std::shared_ptr<const KeptPicture> get(std::uint32_t row) {
    {
      const std::lock_guard lock(mutex_);
      if (kept_[row]) return kept_[row];
    }
    auto read = std::make_shared<KeptPicture>();
    read->pixels = read_training_picture(*pictures_.dataset, pictures_.pictures[row], shorter_px_);
    if (with_subjects_) {
      eval::Mask subject = eval::subject_by_colour(read->pixels);
      if (eval::is_usable(subject)) read->subject = std::move(subject);
    }
    const std::lock_guard lock(mutex_);
    if (kept_[row]) return kept_[row];  // another thread was faster
    if (bytes_ + read->bytes() <= max_bytes_) {
      bytes_ += read->bytes();
      kept_[row] = read;
    }
    return read;
  }

 private:
  const LabelledPictures& pictures_;
  const std::uint32_t shorter_px_;
  const bool with_subjects_;
  const std::uint64_t max_bytes_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<const KeptPicture>> kept_;  // of each row
  std::uint64_t bytes_ = 0;
};

Image background_of(const KeptPicture& picture) {
  if (picture.subject.values.empty()) return picture.pixels;
  const Image& pixels = picture.pixels;
  return eval::fill_subject(pixels,
                            eval::resize(picture.subject, pixels.width_px, pixels.height_px));
}

// A batch that is being made. Each thread fills places of its own.
struct OpenBatch {
  Batch batch;
  float* pixels = nullptr;  // of batch.pixels
  float* also = nullptr;    // of batch.also
  std::int64_t* labels = nullptr;
  std::atomic<std::size_t> lost = 0;  // places whose own picture cannot be read
};

struct PlaceJob {
  std::shared_ptr<OpenBatch> batch;
  std::size_t place = 0;
  std::uint64_t seed = 0;
};

// The pixels are in the batch.
struct PlaceDone {
  static std::uint64_t bytes() { return 0; }
};

}  // namespace

Image read_training_picture(const Dataset& dataset, std::uint32_t picture,
                            std::uint32_t shorter_px) {
  const DatasetPicture& wanted = dataset.pictures[picture];
  DecodeOptions options;
  options.cover_width_px = shorter_px;
  options.cover_height_px = shorter_px;
  Image image =
      read_image(dataset.root / wanted.path, detail::for_crop(std::move(options), wanted.crop));
  const ImageView view = detail::cropped(image, wanted.crop);
  const std::uint32_t shorter = std::min(view.width_px, view.height_px);
  if (shorter_px == 0 || shorter <= shorter_px) {
    return wanted.crop.is_whole() ? std::move(image) : shrunk(view, view.width_px, view.height_px);
  }
  const auto side = [&](std::uint32_t px) {
    return static_cast<std::uint32_t>((std::uint64_t{px} * shorter_px + shorter / 2) / shorter);
  };
  return shrunk(view, side(view.width_px), side(view.height_px));
}

std::uint32_t kept_shorter_px(const Preprocessing& preprocessing,
                              const Augmentation& augmentation) {
  std::uint32_t edge = preprocessing.resize_height_px;
  if (preprocessing.resize_edge == ResizeEdge::kStretch) {
    edge = std::max(edge, preprocessing.resize_width_px);
  } else if (preprocessing.resize_edge == ResizeEdge::kNone) {
    if (!augmentation.random_crop) return 0;
    edge = std::max(preprocessing.width_px, preprocessing.height_px);
  }
  return (edge * 115 + 99) / 100;
}

Preprocessing augmented_preprocessing(const Preprocessing& preprocessing,
                                      const Augmentation& augmentation) {
  Preprocessing result = preprocessing;
  if (!augmentation.random_crop) return result;
  result.resize_edge = ResizeEdge::kStretch;
  result.resize_width_px = result.width_px;
  result.resize_height_px = result.height_px;
  result.centre_crop = false;
  return result;
}

std::uint32_t kept_shorter_px(const Preprocessing& one, const Preprocessing& other,
                              const Augmentation& augmentation) {
  const std::uint32_t of_one = kept_shorter_px(one, augmentation);
  const std::uint32_t of_other = kept_shorter_px(other, augmentation);
  return of_one == 0 || of_other == 0 ? 0 : std::max(of_one, of_other);
}

namespace {

float* new_pixels(at::Tensor& pixels, std::int64_t count, const Preprocessing& input) {
  pixels = at::empty({count, 3, input.height_px, input.width_px}, at::kFloat);
  return pixels.mutable_data_ptr<float>();
}

}  // namespace

class BatchLoader::Impl {
 public:
  Impl(LabelledPictures pictures, const Preprocessing& preprocessing, const BatchSettings& settings)
      : pictures_(std::move(pictures)),
        preprocessing_(augmented_preprocessing(preprocessing, settings.augmentation)),
        settings_(settings),
        preparer_(preprocessing_),
        cache_(pictures_,
               kept_shorter_px(preprocessing, settings.also.value_or(preprocessing),
                               settings.augmentation),
               settings.augmentation.new_background > 0, settings.cache_bytes) {
    if (settings_.also) {
      settings_.also = augmented_preprocessing(*settings_.also, settings_.augmentation);
      also_preparer_.emplace(*settings_.also);
    }
    check_augmentation(settings.augmentation);
    if (pictures_.labels.size() == pictures_.pictures.size()) return;
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{} labels for {} training pictures; give one for each",
                            pictures_.labels.size(), pictures_.pictures.size()));
  }

  void start(std::uint32_t epoch, std::vector<std::vector<std::uint32_t>> batches) {
    check(batches);
    stop();
    batches_ = std::move(batches);
    epoch_seed_ = derived_seed(settings_.seed, epoch);
    const std::size_t threads = settings_.threads > 0
                                    ? settings_.threads
                                    : std::max(1U, std::thread::hardware_concurrency());
    constexpr std::uint64_t kNoLimit = 1;  // results hold nothing
    reader_.emplace(threads, kNoLimit, [this](PlaceJob& job) {
      fill(job);
      return PlaceDone{};
    });
    while (open_.size() < kBatchesAhead && begun_ < batches_.size()) begin_batch();
  }

  std::vector<std::string> lost() const {
    const std::lock_guard lock(lost_mutex_);
    return {lost_.begin(), lost_.end()};
  }

  std::optional<Batch> next() {
    if (open_.empty()) return std::nullopt;
    try {
      const std::size_t size = open_.front()->batch.rows.size();
      for (std::size_t i = 0; i < size; ++i) reader_->take();
      Batch batch = std::move(open_.front()->batch);
      open_.pop_front();
      if (begun_ < batches_.size()) begin_batch();
      return batch;
    } catch (...) {
      stop();
      throw;
    }
  }

 private:
  void check(const std::vector<std::vector<std::uint32_t>>& batches) const {
    for (const std::vector<std::uint32_t>& rows : batches) {
      if (rows.empty()) {
        throw Error(ErrorCode::kInvalidArgument, "a batch is empty; leave it out");
      }
      const std::uint32_t highest = std::ranges::max(rows);
      if (highest >= pictures_.pictures.size()) {
        throw Error(ErrorCode::kInvalidArgument,
                    fmt::format("a batch names row {}, but there are {} training pictures; rows "
                                "count from 0",
                                highest, pictures_.pictures.size()));
      }
    }
  }

  void stop() {
    reader_.reset();
    open_.clear();
    batches_.clear();
    begun_ = 0;
    position_ = 0;
  }

  void begin_batch() {
    auto open = std::make_shared<OpenBatch>();
    Batch& batch = open->batch;
    batch.rows = std::move(batches_[begun_++]);
    const auto count = static_cast<std::int64_t>(batch.rows.size());
    encoder::run_torch(ErrorCode::kInternal, fmt::format("a batch of {} pictures", count),
                       {"please report this", settings_.memory_remedy}, [&] {
                         open->pixels = new_pixels(batch.pixels, count, preprocessing_);
                         if (settings_.also)
                           open->also = new_pixels(batch.also, count, *settings_.also);
                         batch.labels = at::empty({count}, at::kLong);
                       });
    open->labels = batch.labels.mutable_data_ptr<std::int64_t>();
    for (std::size_t i = 0; i < batch.rows.size(); ++i) {
      reader_->push({open, i, derived_seed(epoch_seed_, position_++)});
    }
    open_.push_back(std::move(open));
  }

  // On one of the reader's threads.
  void fill(const PlaceJob& job) {
    compute_alone();
    const auto [row, image] = read(job);
    job.batch->labels[job.place] = pictures_.labels[row];
    const std::uint32_t picture = pictures_.pictures[row];
    const std::string name =
        (pictures_.dataset->root / pictures_.dataset->pictures[picture].path).string();
    const ImageView view = image.view();
    const auto prepare = [&](const encoder::PixelPreparer& preparer, float* to) {
      const at::Tensor prepared = encoder::run_torch(
          ErrorCode::kInternal, name,
          {"leave the picture out of the training pictures", settings_.memory_remedy}, [&] {
            try {
              return preparer.prepare({&view, 1}, 0);
            } catch (const Error& error) {  // which knows no name
              throw Error(error.code(), fmt::format("{}: {}", name, error.what()));
            }
          });
      const auto values = static_cast<std::size_t>(prepared.numel());
      std::copy_n(prepared.const_data_ptr<float>(), values, to + job.place * values);
    };
    prepare(preparer_, job.batch->pixels);
    if (also_preparer_) prepare(*also_preparer_, job.batch->also);
  }

  // The picture that belongs there, else the next of the batch that can be read; and its row.
  std::pair<std::uint32_t, Image> read(const PlaceJob& job) {
    const std::vector<std::uint32_t>& rows = job.batch->batch.rows;
    for (std::size_t tried = 0;; ++tried) {
      const std::uint32_t row = rows[(job.place + tried) % rows.size()];
      try {
        return {row, augmented(row, job.seed)};
      } catch (const Error& error) {
        const bool is_of_file = error.code() == ErrorCode::kFileNotFound ||
                                error.code() == ErrorCode::kBadImage ||
                                error.code() == ErrorCode::kIo;
        if (!is_of_file || tried + 1 == rows.size()) throw;
        // Few that are left must not be learned by heart.
        if (tried == 0 && 2 * ++job.batch->lost > rows.size()) throw;
        const std::lock_guard lock(lost_mutex_);
        if (lost_.size() < kListed) lost_.emplace(error.what());
      }
    }
  }

  Image augmented(std::uint32_t row, std::uint64_t seed) {
    const std::shared_ptr<const KeptPicture> picture = cache_.get(row);
    const Augmentation& augmentation = settings_.augmentation;
    if (picture->subject.values.empty() || pictures_.pictures.size() < 2 ||
        !wants_new_background(augmentation, seed)) {
      return augment(picture->pixels.view(), augmentation, seed);
    }
    constexpr std::uint64_t kOther = 100;  // of the seed's parts, one that augment() has not
    eval::Seeded random(derived_seed(seed, kOther));
    const std::size_t count = pictures_.pictures.size();
    const std::size_t other = (row + 1 + random.below(count - 1)) % count;
    const Image background = background_of(*cache_.get(static_cast<std::uint32_t>(other)));
    const NewBackground behind{picture->subject, background.view()};
    return augment(picture->pixels.view(), augmentation, seed, &behind);
  }

  const LabelledPictures pictures_;
  const Preprocessing preprocessing_;
  BatchSettings settings_;
  const encoder::PixelPreparer preparer_;
  std::optional<encoder::PixelPreparer> also_preparer_;
  PictureCache cache_;
  std::vector<std::vector<std::uint32_t>> batches_;  // of the epoch
  std::uint64_t epoch_seed_ = 0;
  std::size_t begun_ = 0;       // of batches_
  std::uint64_t position_ = 0;  // in the epoch, of the next picture to be begun
  std::deque<std::shared_ptr<OpenBatch>> open_;
  mutable std::mutex lost_mutex_;
  std::set<std::string> lost_;
  // Its threads use all of the above, so it goes first.
  std::optional<util::ReadAhead<PlaceJob, PlaceDone>> reader_;
};

BatchLoader::BatchLoader(LabelledPictures pictures, const Preprocessing& preprocessing,
                         const BatchSettings& settings)
    : impl_(std::make_unique<Impl>(std::move(pictures), preprocessing, settings)) {}
BatchLoader::~BatchLoader() = default;

void BatchLoader::start(std::uint32_t epoch, std::vector<std::vector<std::uint32_t>> batches) {
  impl_->start(epoch, std::move(batches));
}

std::optional<Batch> BatchLoader::next() {
  return impl_->next();
}

std::vector<std::string> BatchLoader::lost() const {
  return impl_->lost();
}

}  // namespace vsearch::training
