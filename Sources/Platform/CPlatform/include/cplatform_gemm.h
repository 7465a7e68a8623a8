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

/// The same for A and B of bfloat16, on the processor's bfloat16 units where it has them: products of pairs of neighbours in k are
/// summed first, subnormal numbers may count as zero. Blocks are of 512. Also one order for every size and number of threads, but not
/// the same bits as `swiftlet_gemm` nor on every processor.
void swiftlet_gemm_bf16(struct swiftlet_matrix a, struct swiftlet_matrix b, float *c, size_t ldc, size_t m, size_t n, size_t k,
                        float alpha, bool accumulate);

/// The arguments of `swiftlet_gemm`.
struct swiftlet_product {
  struct swiftlet_matrix a, b;
  float *c;
  size_t ldc, m, n, k;
  float alpha;
  bool accumulate;
};

/// Independent products (heads of an attention, experts of a mixture), with the bits of `swiftlet_gemm` on each.
void swiftlet_gemm_batch(const struct swiftlet_product *products, size_t count);

#endif
