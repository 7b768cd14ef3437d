// Kernels for x86-64 beyond what every such processor has.
#pragma once

#include "index/kernels.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define VSEARCH_X86_KERNELS 1

namespace vsearch::index {

// Null where this processor cannot run them.
const Kernels* avx512_kernels();  // with VNNI
const Kernels* avx2_kernels();    // with FMA and F16C

}  // namespace vsearch::index

#endif
