// A small, fast encoder that learns from a large one: from a model package and pictures without
// labels to another package of the same space. Needs a library built with torch; without it
// distill() throws kUnavailable.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vsearch/dataset.h"
#include "vsearch/encoder.h"
#include "vsearch/trainer.h"

namespace vsearch {

// Teacher and student see the same changed picture, each in its own size (Beyer et al., CVPR 2022,
// arXiv 2106.05237), and the student becomes what makes small
//   cosine * mean of (1 - cosine of the two embeddings of a picture)
//   + relational * how differently the pictures of a batch lie to each other (RKD-DA, Park et al.,
//     CVPR 2019, arXiv 1904.05068)
struct DistillOptions {
  // Embeddings of different dimensions have no cosine: it is 0 for them, and 1 else if not given.
  std::optional<double> cosine{};
  double relational = 1.0;

  // This share of the pictures, every k-th, is measured with instead of learned; 0 to 0.5, but at
  // most 2,000 pictures. 0: none, and the last epoch is the best.
  double held_out = 0.1;

  std::uint32_t epochs = 30;
  std::uint32_t batch_size = 64;
  std::optional<double> rate{};  // at its highest; if not given 1e-3 for a fresh student, else 1e-4
  double weight_decay = 0.05;
  double warm_up = 0.1;         // share of the steps in which rates rise; then they fall (cosine)
  double clip_gradients = 1.0;  // to this length; 0: not
  Augmentation augmentation{};
  // Of a step: kFloat32 or kBFloat16; kAuto: the faster.
  Precision precision = Precision::kAuto;
  Device device = Device::kCpu;
  std::uint32_t device_index = 0;
  std::uint64_t seed = 1;  // of all that is drawn, the weights of a fresh student too

  // A folder of the run's own for checkpoints and the log (log.jsonl); a run that was interrupted
  // goes on from there, and on a CPU ends with the same weights. Empty: none.
  std::filesystem::path work{};
};

// One pass over the pictures. What is measured is of those held out, NaN where there are none.
struct DistillEpoch {
  std::uint32_t epoch = 0;  // from 1; 0: before the first step
  double loss = 0;          // mean over the steps
  double rate = 0;          // at the end
  double seconds = 0;
  double pictures_per_second = 0;
  double held_out_cosine = 0;  // mean, to the teacher's; NaN where the dimensions differ too
  // Of the teacher's 10 nearest neighbours of a picture, how many the student has among its 10 too:
  // mean share, 0 to 1. Of fewer than 21 pictures half of the others are the neighbours; NaN if
  // there are fewer than 3.
  double held_out_overlap_at_10 = 0;
};

// One of the two encoders.
struct DistillModel {
  std::string fingerprint;
  std::uint64_t parameters = 0;  // without those of a text tower
  std::uint32_t dim = 0;
  std::uint32_t width_px = 0;  // of its input
  std::uint32_t height_px = 0;
  // Of pixels that are there already, in fp32 on the device; both measured in turn, medians.
  double pictures_per_second = 0;
};

struct DistillReport {
  DistillModel teacher;
  DistillModel student;   // as it was written
  std::string start;      // the CONFIG of a fresh student, in full, or the package's fingerprint
  bool has_text = false;  // whether the teacher's words go with the student
  std::uint64_t pictures = 0;  // that were learned from
  std::uint64_t held_out = 0;
  std::uint64_t skipped_count = 0;  // could not be read
  struct Skipped {
    std::string path;
    std::string message;
  };
  std::vector<Skipped> skipped;  // at most 50 of them
  std::vector<DistillEpoch> epochs;
  std::uint32_t best_epoch = 0;
  std::string stopped;              // why it ended before its last epoch; empty: it did not
  std::vector<std::string> lost{};  // as in TrainReport
  double seconds = 0;
  std::filesystem::path package;
  std::vector<std::string> dropped_forms;  // fast forms of the start that did not survive, and why
};

// The pictures at these paths, as FilesSource finds them: files, and all below folders. Labels are
// not needed. Throws kFileNotFound, kInvalidArgument (a folder without pictures), kIo.
Dataset pictures_at(const std::vector<std::filesystem::path>& paths);

// Teaches a student the embeddings of the package `teacher` on `pictures` and writes the package
// `output`, of the epoch with the highest overlap. The student is
//   a package, or the name of one    its weights are the start; it keeps its dimension, its input
//                                    and its fast forms, but no words: they are of its old space
//   "vit" or "vit:NAME=NUMBER,..."   a fresh vision transformer: width (128), depth (12) and heads
//                                    (4) of its blocks, patch (16) and size (128) in pixels, dim of
//                                    its embeddings (the teacher's). Its metric is the cosine; its
//                                    pictures are prepared as the teacher's are, in its size. The
//                                    teacher's text tower goes with it where the dimensions agree
//                                    and the exporter or train_text() has made it.
// `progress` is called as by train(); in epoch 0 pictures are read and the teacher encodes those
// held out. TrainState::data is null.
// Throws kInvalidArgument (no picture, fewer than two to learn from, numbers that make no sense, a
// CONFIG that cannot be, an output that is the teacher or the student), kBadImage (no picture can
// be read), kBadModel (no package; a student whose weights are constants of its graph),
// kFileNotFound, kIo, kCorrupt (a damaged checkpoint), kCancelled (asked to stop before anything
// was learned), kOutOfMemory (with advice), kUnavailable.
DistillReport distill(const std::filesystem::path& teacher, std::string_view student,
                      const std::vector<Dataset>& pictures, const std::filesystem::path& output,
                      const DistillOptions& options = {}, const TrainProgress& progress = {});

std::string to_json(const DistillReport& report);
std::string to_json(const DistillEpoch& epoch);  // in one line

}  // namespace vsearch
