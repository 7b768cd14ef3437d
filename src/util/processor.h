// What this processor can do beyond what every one of its architecture can: the one place that
// asks.
#pragma once

namespace vsearch::util {

// False where the processor, the system or the architecture lacks it.
struct Processor {
  // x86-64
  bool avx2 = false;         // AVX2, FMA and F16C
  bool avx512 = false;       // AVX-512 F, BW, DQ and VL, besides avx2
  bool avx512_vnni = false;  // VNNI, besides avx512
  bool avx512_bf16 = false;  // BF16, besides avx512_vnni
  // AArch64
  bool dot_product = false;  // FEAT_DotProd: SDOT
  bool matrix_int8 = false;  // FEAT_I8MM: USDOT
};

// Asked once. Threads: any.
const Processor& processor();

}  // namespace vsearch::util
