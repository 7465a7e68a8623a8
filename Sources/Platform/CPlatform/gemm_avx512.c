#include "gemm_internal.h"

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq"))), apply_to = function)
#define KERNELS swiftlet_gemm_avx512
#include "gemm_avx512.inc.h"

INLINE vf dot_pairs(vf sum, vf a, vf b) {
  sum = fma_v((vf)((vu)a << 16), (vf)((vu)b << 16), sum);
  return fma_v((vf)((vu)a & 0xffff0000), (vf)((vu)b & 0xffff0000), sum);
}

#include "gemm.inc.h"
#pragma clang attribute pop
#endif
