// A run of training that takes a moment: a small network, pictures in classes, few steps.
#pragma once

#include <filesystem>
#include <string>

#include "support/temp_dir.h"
#include "support/trainable_package.h"
#include "vsearch/dataset.h"
#include "vsearch/trainer.h"

namespace vsearch_test {

struct TuningBench {
  TuningBench()
      : start(save_trainable_package(folder / "start.vsm.pt")),
        dataset(bright_quarters(pictures, 8, 9)) {}

  vsearch::TrainReport tune(const std::string& name, const vsearch::TrainOptions& options,
                            const vsearch::TrainProgress& progress = {}) const {
    return vsearch::train(start, dataset, folder / name, options, progress);
  }
  vsearch::TrainReport tune(const vsearch::TrainOptions& options,
                            const vsearch::TrainProgress& progress = {}) const {
    return tune("tuned.vsm.pt", options, progress);
  }

  TempDir folder;
  TempDir pictures;
  std::filesystem::path start;
  vsearch::Dataset dataset;
};

inline vsearch::TrainOptions quick_tuning(vsearch::TrainDepth depth) {
  vsearch::TrainOptions options;
  options.depth = depth;
  options.epochs = 6;
  options.batch_size = 12;
  if (depth != vsearch::TrainDepth::kHead) options.rate = 0.01;
  options.held_out_classes = 0.25;
  options.augmentation = {false, false, 0, 0, 0, 0};
  options.precision = vsearch::Precision::kFloat32;
  return options;
}

}  // namespace vsearch_test
