#ifndef SWIFTLET_CPLATFORM_GEMM_H
#define SWIFTLET_CPLATFORM_GEMM_H

#include <stdbool.h>
#include <stddef.h>

/// How numbers lie in memory.
enum swiftlet_float { SWIFTLET_F32 = 0, SWIFTLET_BF16 = 1, SWIFTLET_F16 = 2 };

/// A matrix in memory: element (i, j) is `data[i * stride + j]`, or `data[j * stride + i]` where transposed.
struct swiftlet_matrix {
  const void *data;
  size_t stride;
  enum swiftlet_float type;
  bool transposed;
};

/// C = alpha A B, or C += alpha A B, with A [m, k], B [k, n] as they are seen after transposing, C row-major float32.
///
/// Every element is summed in one order, whatever the sizes, the transposes and the threads: k is cut into blocks of 256;
/// within a block one fused multiply-add after another from zero; then C = fma(alpha, block, C) block after block.
void swiftlet_gemm(struct swiftlet_matrix a, struct swiftlet_matrix b, float *c, size_t ldc, size_t m, size_t n, size_t k, float alpha,
                   bool accumulate);

#endif
