#include "cplatform.h"

enum swiftlet_isa swiftlet_best_isa(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq"))
    return __builtin_cpu_supports("avx512bf16") ? SWIFTLET_ISA_AVX512_BF16 : SWIFTLET_ISA_AVX512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return SWIFTLET_ISA_AVX2;
#endif
  return SWIFTLET_ISA_BASELINE;
}
