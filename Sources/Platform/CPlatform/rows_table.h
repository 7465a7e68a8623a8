#ifndef SWIFTLET_ROWS_TABLE_H
#define SWIFTLET_ROWS_TABLE_H

#include "cplatform_rows.h"

// The row kernels of one instruction set.
struct row_kernels {
  void (*rms_norm)(const float *, const float *, float, float, float *, long);
  void (*rms_norm_backward)(const float *, const float *, float, float, const float *, float *, bool, float *, long);
  void (*gate)(enum swiftlet_activation, const float *, const float *, float *, long);
  void (*gate_backward)(enum swiftlet_activation, const float *, const float *, const float *, float *, float *, long);
  void (*clamped_gate)(float, float, const float *, const float *, float *, long);
  void (*clamped_gate_backward)(float, float, const float *, const float *, const float *, float *, float *, long);
  float (*log_sum)(const float *, long);
  float (*sum)(const float *, long);
  void (*exponentials)(float *, float, float, long);
  void (*cap)(float *, float, float, long);
  void (*rope)(const float *, const float *, const float *, float, long, long, long, bool, float *);
  void (*add)(const float *, const float *, float *, long);
  void (*dropout)(const float *, uint64_t, uint64_t, uint64_t, float, float, bool, float *, long);
  void (*adamw)(const struct swiftlet_adamw *, float *, const float *, float *, float *, long);
  void (*small_gemm)(const float *, long, long, const float *, long, float *, long, long, long, long, bool);
  void (*transpose)(const float *, long, long, long, float *, long);
  float (*softmax_block)(const struct swiftlet_scores *, float *, long, long, long, float *, float *);
  void (*softmax_block_backward)(const struct swiftlet_scores *, float *, float *, long, long, long, float, float);
  float (*dot)(const float *, const float *, long);
  void (*scale)(const float *, float, float *, long);
};

extern const struct row_kernels swiftlet_rows_baseline, swiftlet_rows_avx2, swiftlet_rows_avx512;

#endif
