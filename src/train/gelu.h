// GELU (arXiv 1606.08415) by the error function, and its gradient, for CPUs with AVX-512 and
// bfloat16: torch's gradient takes as long as a product of matrices there.
#pragma once

#include <ATen/core/Tensor.h>

namespace vsearch::training {

// Whether it runs on this machine.
bool supports_gelu();

// x Phi(x), of bfloat16 that is contiguous on the CPU.
at::Tensor gelu_values(const at::Tensor& x);

// gradient * (Phi(x) + x phi(x)), both shaped alike.
at::Tensor gelu_gradient(const at::Tensor& gradient, const at::Tensor& x);

}  // namespace vsearch::training
