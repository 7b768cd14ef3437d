// Training pictures on their way into the network: read, changed by chance and prepared ahead of
// the step that learns from them.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "vsearch/dataset.h"
#include "vsearch/encoder.h"
#include "vsearch/image.h"
#include "vsearch/trainer.h"

namespace vsearch::training {

// Pictures with their labels: row i is picture pictures[i] of the data set, of class labels[i].
struct LabelledPictures {
  const Dataset* dataset = nullptr;
  std::vector<std::uint32_t> pictures;
  std::vector<std::int32_t> labels;
};

// What pictures are read as: what is meant of the picture (DatasetPicture::crop), with a shorter
// side of at most `shorter_px`; 0: of any size. Throws what read_image() throws.
Image read_training_picture(const Dataset& dataset, std::uint32_t picture,
                            std::uint32_t shorter_px);
// The `shorter_px` for a network: 1.15 times what the shorter side would become, so that there is
// something to crop. 0 where nothing may be resized.
std::uint32_t kept_shorter_px(const Preprocessing& preprocessing, const Augmentation& augmentation);
// For two, so that each has something to crop.
std::uint32_t kept_shorter_px(const Preprocessing& one, const Preprocessing& other,
                              const Augmentation& augmentation);
// How what augment() makes becomes input: a random crop is stretched to the input size; without
// random_crop `preprocessing` as it is.
Preprocessing augmented_preprocessing(const Preprocessing& preprocessing,
                                      const Augmentation& augmentation);

struct BatchSettings {
  Augmentation augmentation{};
  std::uint64_t seed = 1;     // of the augmentation
  std::uint32_t threads = 0;  // that read and change pictures; 0: one for each processor
  // Pictures are kept as they were read up to so many bytes; the others are read again each time.
  std::uint64_t cache_bytes = std::uint64_t{1} << 30;
  // Another network sees the same changed pictures, prepared like this.
  std::optional<Preprocessing> also{};
  const char* memory_remedy = "take a smaller batch";
};

struct Batch {
  at::Tensor pixels;                // float32 [B, 3, height_px, width_px] on the CPU
  at::Tensor also;                  // likewise, of BatchSettings::also; undefined without it
  at::Tensor labels;                // int64 [B] on the CPU
  std::vector<std::uint32_t> rows;  // [B] of LabelledPictures
};

// Gives the batches of an epoch in order, and works on the next two while one is learned from. A
// picture's change depends on the seed, the epoch and its place in it alone, not on the number of
// threads. One that cannot be read, any more, leaves its place to the next of its batch that can.
// A new background (Augmentation::new_background) is that of another of the pictures, its subject
// filled in; subjects are told by their colour (eval/saliency.h), and a picture without one that
// can be told keeps its background.
// Threads: used by one. It has threads of its own, each of which computes alone; the destructor
// waits for the pictures that they work on, one each.
class BatchLoader {
 public:
  // `pictures.dataset` outlives the loader. Throws kInvalidArgument: settings that make no sense;
  // as many labels as pictures are needed.
  BatchLoader(LabelledPictures pictures, const Preprocessing& preprocessing,
              const BatchSettings& settings);
  ~BatchLoader();
  BatchLoader(const BatchLoader&) = delete;
  BatchLoader& operator=(const BatchLoader&) = delete;

  // Begins an epoch with these batches of rows; what is left of another is dropped. Throws
  // kInvalidArgument (a row that is not there, an empty batch), kUnavailable (no thread),
  // kOutOfMemory.
  void start(std::uint32_t epoch, std::vector<std::vector<std::uint32_t>> batches);
  // The next batch, or nothing after the last. Waits for it.
  // Throws, where more than half of its pictures cannot be read, what reading one of them throws,
  // which names the file, and what preparing them throws; then the epoch is over. kOutOfMemory.
  std::optional<Batch> next();

  // Why pictures could not be read, with their files, each once, and 50 at most.
  std::vector<std::string> lost() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace vsearch::training
