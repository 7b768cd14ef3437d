#include "util/processor.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace vsearch::util {
namespace {

#if defined(__x86_64__) && defined(__GNUC__)
// Clang before 16 has no name for it.
bool has_f16c() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}
#endif

Processor ask() {
  Processor found;
#if defined(__x86_64__) && defined(__GNUC__)
  __builtin_cpu_init();
  found.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
  found.avx512 = found.avx2 && __builtin_cpu_supports("avx512f") &&
                 __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                 __builtin_cpu_supports("avx512vl");
  found.avx512_vnni = found.avx512 && __builtin_cpu_supports("avx512vnni");
  found.avx512_bf16 = found.avx512_vnni && __builtin_cpu_supports("avx512bf16");
#elif defined(__aarch64__) && defined(__linux__)
  // Linux's arch/arm64/include/uapi/asm/hwcap.h; older C libraries lack the second name.
  constexpr unsigned long kDotProduct = 1UL << 20;  // HWCAP_ASIMDDP
  constexpr unsigned long kMatrixInt8 = 1UL << 13;  // HWCAP2_I8MM
  found.dot_product = (getauxval(AT_HWCAP) & kDotProduct) != 0;
  found.matrix_int8 = (getauxval(AT_HWCAP2) & kMatrixInt8) != 0;
#endif
  return found;
}

}  // namespace

const Processor& processor() {
  static const Processor found = ask();
  return found;
}

}  // namespace vsearch::util
