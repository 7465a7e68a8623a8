#include "gemm_internal.h"

#if defined(__x86_64__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16"))), apply_to = function)
#define KERNELS swiftlet_gemm_avx512_bf16
#include "gemm_avx512.inc.h"

INLINE vf dot_pairs(vf sum, vf a, vf b) { return (vf)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b); }

#include "gemm.inc.h"
#pragma clang attribute pop
#endif
