#ifndef SWIFTLET_GEMM_INTERNAL_H
#define SWIFTLET_GEMM_INTERNAL_H

#include "cplatform_gemm.h"

#include <stdint.h>
#include <string.h>

// Words of k in a block; part of the summation order that cplatform_gemm.h promises. A word is one number, or two of bfloat16.
enum { gemm_block = 256, gemm_pad = 16 };

/// Where the numbers of a panel come from: lane i, word p. `lane_step` or `k_step` is 1, the other one a row stride, in elements.
struct gemm_source {
  const void *data;
  size_t lane_step, k_step;
  enum swiftlet_float type;
};

/// The kernels of one instruction set. Panels lie word after word, the lanes of a word side by side.
struct gemm_kernels {
  size_t mr, nr;         // rows and columns of a tile
  size_t direct_rows;    // up to this many rows `direct` may be used
  // Packs `lanes` lanes into a panel `width` lanes wide, the rest zero where width > mr. Writes up to `gemm_pad` words more.
  void (*pack)(float *out, size_t width, size_t lanes, struct gemm_source from, size_t k);
  // The same for words that are pairs of bfloat16; k counts single numbers, a missing last one is zero.
  void (*pack_pairs)(float *out, size_t width, size_t lanes, struct gemm_source from, size_t k);
  // One tile and one block: C = alpha A B, or += where `add`.
  void (*tile)(size_t rows, size_t columns, size_t k, const float *a, const float *b, float alpha, float *c, size_t ldc, bool add);
  void (*tile_pairs)(size_t rows, size_t columns, size_t k, const float *a, const float *b, float alpha, float *c, size_t ldc, bool add);
  // Few rows by nr lanes whose words are consecutive in memory, unpacked; all blocks of k.
  void (*direct)(size_t rows, size_t columns, size_t k, const float *a, struct gemm_source b, float alpha, float *c, size_t ldc, bool add);
};

extern const struct gemm_kernels swiftlet_gemm_baseline;
#if defined(__x86_64__)
extern const struct gemm_kernels swiftlet_gemm_avx2, swiftlet_gemm_avx512, swiftlet_gemm_avx512_bf16;
#endif

#endif
