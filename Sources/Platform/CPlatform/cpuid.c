#include "cplatform_cpuid.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum swiftlet_isa swiftlet_best_isa(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq"))
    return __builtin_cpu_supports("avx512bf16") ? SWIFTLET_ISA_AVX512_BF16 : SWIFTLET_ISA_AVX512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c")) return SWIFTLET_ISA_AVX2;
#endif
  return SWIFTLET_ISA_BASELINE;
}

static enum swiftlet_isa wanted_isa(void) {
  static const char *const names[] = {"baseline", "avx2", "avx512", "avx512bf16"};
  const char *const name = getenv("SWIFTLET_ISA");
  for (int i = 0; name && i < 4; i++)
    if (!strcmp(name, names[i])) return (enum swiftlet_isa)i;
  return SWIFTLET_ISA_AVX512_BF16;
}

static _Atomic int current = -1;

void swiftlet_limit_isa(enum swiftlet_isa isa) {
  const enum swiftlet_isa best = swiftlet_best_isa();
  atomic_store_explicit(&current, isa < best ? isa : best, memory_order_relaxed);
}

enum swiftlet_isa swiftlet_current_isa(void) {
  const int isa = atomic_load_explicit(&current, memory_order_relaxed);
  if (isa >= 0) return (enum swiftlet_isa)isa;
  swiftlet_limit_isa(wanted_isa());
  return (enum swiftlet_isa)atomic_load_explicit(&current, memory_order_relaxed);
}
