// Kernels for AArch64, whose processors all have NEON, and for what newer ones have beyond it.
#pragma once

#include "index/kernels.h"

#if defined(__aarch64__) && defined(__GNUC__)
#define VSEARCH_NEON_KERNELS 1

namespace vsearch::index {

const Kernels& neon_kernels();
// Null where this processor cannot run them.
const Kernels* neon_dot_product_kernels();
const Kernels* neon_matrix_int8_kernels();

}  // namespace vsearch::index

#endif
