#include "gemm_internal.h"

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#define LANES 8
#define VECTORS 2
#define ROWS 6
#define DIRECT_ROWS 1
#define KERNELS swiftlet_gemm_avx2
#define HAS_FMA 1
#define HAS_F16C 1
#include "simd.inc.h"

#define LOW(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13)
#define HIGH(a, b) __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15)
#define LOW2(a, b) __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13)
#define HIGH2(a, b) __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15)

INLINE void transpose(vf *r) {
  vf s[8], t[8];
#pragma clang loop unroll(full)
  for (int i = 0; i < 8; i += 2) s[i] = LOW(r[i], r[i + 1]), s[i + 1] = HIGH(r[i], r[i + 1]);
#pragma clang loop unroll(full)
  for (int i = 0; i < 8; i += 4) {
    t[i] = LOW2(s[i], s[i + 2]), t[i + 1] = HIGH2(s[i], s[i + 2]);
    t[i + 2] = LOW2(s[i + 1], s[i + 3]), t[i + 3] = HIGH2(s[i + 1], s[i + 3]);
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < 4; i++) {
    r[i] = __builtin_shufflevector(t[i], t[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    r[i + 4] = __builtin_shufflevector(t[i], t[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
}

INLINE vf dot_pairs(vf sum, vf a, vf b) {
  sum = fma_v((vf)((vu)a << 16), (vf)((vu)b << 16), sum);
  return fma_v((vf)((vu)a & 0xffff0000), (vf)((vu)b & 0xffff0000), sum);
}

#include "gemm.inc.h"
#pragma clang attribute pop
#endif
