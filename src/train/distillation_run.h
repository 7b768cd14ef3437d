// A student learns a teacher's embeddings.
#pragma once

#include <torch/script.h>

#include <string>
#include <vector>

#include "encoder/torch_archive.h"
#include "vsearch/dataset.h"
#include "vsearch/distillation.h"
#include "vsearch/encoder.h"

namespace vsearch::training {

// All borrowed.
struct DistillRun {
  const encoder::Archive& teacher;
  const EncoderInfo& teacher_info;
  std::string teacher_path;
  const encoder::Archive& student;
  const EncoderInfo& student_info;
  std::string student_name;  // a path, or what it is made of; begins errors
  double rate = 0;           // at its highest
  double cosine = 0;         // of the loss
  const Dataset& pictures;
  std::vector<std::uint32_t> learned;   // of `pictures`
  std::vector<std::uint32_t> held_out;  // likewise
  const Matrix& held_out_rows;          // their embeddings by the teacher
};

// Throws kBadModel unless some weights of `student`, which errors call `name`, can learn.
void check_student(const encoder::Archive& student, const std::string& name);

// The student, on the CPU, of the epoch with the highest overlap. Adds to report.epochs,
// .best_epoch and .stopped. The teacher computes in the type of the step, by its fast form for it
// where this CPU has what that needs.
// Throws kCancelled (asked to stop before the first epoch's end), kCorrupt (a damaged checkpoint),
// kIo, kOutOfMemory, kBadModel.
torch::jit::Module run_distillation(const DistillRun& run, const DistillOptions& options,
                                    const TrainProgress& progress, DistillReport& report);

}  // namespace vsearch::training
