#include "cplatform_gemm.h"

#include "cplatform_parallel.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { block_k = 256 };

static float element(struct swiftlet_matrix m, size_t i, size_t j) {
  const size_t at = m.transposed ? j * m.stride + i : i * m.stride + j;
  if (m.type == SWIFTLET_F32) return ((const float *)m.data)[at];
  if (m.type == SWIFTLET_F16) return (float)((const _Float16 *)m.data)[at];
  const uint32_t word = (uint32_t)((const uint16_t *)m.data)[at] << 16;
  float value;
  memcpy(&value, &word, 4);
  return value;
}

struct task {
  struct swiftlet_matrix a, b;
  float *c;
  size_t ldc, n, k;
  float alpha;
  bool accumulate;
};

static void rows(void *context, size_t begin, size_t end) {
  const struct task *t = context;
  for (size_t i = begin; i < end; i++)
    for (size_t j = 0; j < t->n; j++) {
      float sum = t->accumulate ? t->c[i * t->ldc + j] : 0;
      for (size_t p0 = 0; p0 < t->k; p0 += block_k) {
        float block = 0;
        for (size_t p = p0; p < t->k && p < p0 + block_k; p++) block = fmaf(element(t->a, i, p), element(t->b, p, j), block);
        sum = fmaf(t->alpha, block, sum);
      }
      t->c[i * t->ldc + j] = sum;
    }
}

void swiftlet_gemm(struct swiftlet_matrix a, struct swiftlet_matrix b, float *c, size_t ldc, size_t m, size_t n, size_t k, float alpha,
                   bool accumulate) {
  struct task task = {a, b, c, ldc, n, k, alpha, accumulate};
  swiftlet_parallel_for(m, 1, rows, &task);
}
