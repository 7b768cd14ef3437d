// What is known of training pictures, as tensors.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "vsearch/types.h"

namespace vsearch::training {

// float32 [rows, cols] on the CPU: the same memory, which nothing may write to.
at::Tensor borrowed(MatrixView rows);
// The way back: of contiguous float32 [rows, cols] on the CPU.
MatrixView view_of_rows(const at::Tensor& rows);
// float32 [pictures, dim] on the CPU: rows of `embeddings`.
at::Tensor rows_of(const Matrix& embeddings, const std::vector<std::uint32_t>& pictures);
// int64 [labels] on the CPU.
at::Tensor tensor_of(const std::vector<std::int32_t>& labels);
// Of each set of classes which they are: bool [count] on the device.
std::vector<at::Tensor> class_masks(const std::vector<std::vector<std::int32_t>>& sets,
                                    std::int64_t count, at::Device device);

}  // namespace vsearch::training
