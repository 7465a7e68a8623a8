// What every processor of the architecture has: SSE2 on x86-64, NEON on AArch64.
#include "gemm_internal.h"

#define LANES 4
#define VECTORS 2
#define ROWS 4
#define DIRECT_ROWS 1
#define KERNELS swiftlet_gemm_baseline
#if defined(__aarch64__)
#define HAS_FMA 1
#else
#define HAS_FMA 0
#endif
#define HAS_F16C 0
#include "simd.inc.h"

INLINE void transpose(vf *r) {
  const vf a = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5), b = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7);
  const vf c = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5), d = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
  r[0] = __builtin_shufflevector(a, c, 0, 1, 4, 5);
  r[1] = __builtin_shufflevector(a, c, 2, 3, 6, 7);
  r[2] = __builtin_shufflevector(b, d, 0, 1, 4, 5);
  r[3] = __builtin_shufflevector(b, d, 2, 3, 6, 7);
}

INLINE vf dot_pairs(vf sum, vf a, vf b) {
  sum = fma_v((vf)((vu)a << 16), (vf)((vu)b << 16), sum);
  return fma_v((vf)((vu)a & 0xffff0000), (vf)((vu)b & 0xffff0000), sum);
}

#include "gemm.inc.h"
