// Row kernels for every instruction set from one source; the best one that may be used is chosen at each call (one load, one jump).
#include "cplatform_rows.h"

#include "cplatform_cpuid.h"
#include "rows_table.h"

static inline const struct row_kernels *kernels(void) {
#if defined(__x86_64__)
  const enum swiftlet_isa isa = swiftlet_current_isa();
  if (isa >= SWIFTLET_ISA_AVX512) return &swiftlet_rows_avx512;
  if (isa >= SWIFTLET_ISA_AVX2) return &swiftlet_rows_avx2;
#endif
  return &swiftlet_rows_baseline;
}

void swiftlet_rms_norm(const float *x, const float *w, float offset, float epsilon, float *y, long n) {
  kernels()->rms_norm(x, w, offset, epsilon, y, n);
}
void swiftlet_rms_norm_backward(const float *x, const float *w, float offset, float epsilon, const float *dy, float *dx, bool accumulate,
                                float *dw, long n) {
  kernels()->rms_norm_backward(x, w, offset, epsilon, dy, dx, accumulate, dw, n);
}
void swiftlet_gate(enum swiftlet_activation f, const float *gate, const float *up, float *y, long n) { kernels()->gate(f, gate, up, y, n); }
void swiftlet_gate_backward(enum swiftlet_activation f, const float *gate, const float *up, const float *dy, float *dgate, float *dup, long n) {
  kernels()->gate_backward(f, gate, up, dy, dgate, dup, n);
}
void swiftlet_clamped_gate(float alpha, float limit, const float *gate, const float *up, float *y, long n) {
  kernels()->clamped_gate(alpha, limit, gate, up, y, n);
}
void swiftlet_clamped_gate_backward(float alpha, float limit, const float *gate, const float *up, const float *dy, float *dgate, float *dup,
                                    long n) {
  kernels()->clamped_gate_backward(alpha, limit, gate, up, dy, dgate, dup, n);
}
float swiftlet_log_sum(const float *z, long n) { return kernels()->log_sum(z, n); }
float swiftlet_sum(const float *z, long n) { return kernels()->sum(z, n); }
void swiftlet_exponentials(float *z, float shift, float factor, long n) { kernels()->exponentials(z, shift, factor, n); }
void swiftlet_cap(float *z, float scale, float cap, long n) { kernels()->cap(z, scale, cap, n); }
void swiftlet_rope(const float *x, const float *cosines, const float *sines, float sign, long heads, long dimension, long half,
                   bool interleaved, float *y) {
  kernels()->rope(x, cosines, sines, sign, heads, dimension, half, interleaved, y);
}
void swiftlet_add(const float *x, const float *z, float *y, long n) { kernels()->add(x, z, y, n); }
void swiftlet_dropout(const float *x, uint64_t seed, uint64_t stream, uint64_t first, float probability, float keep, bool accumulate,
                      float *y, long n) {
  kernels()->dropout(x, seed, stream, first, probability, keep, accumulate, y, n);
}
void swiftlet_adamw(const struct swiftlet_adamw *o, float *p, const float *g, float *m, float *v, long n) {
  kernels()->adamw(o, p, g, m, v, n);
}
void swiftlet_small_gemm(const float *a, long a_row, long a_column, const float *b, long ldb, float *c, long ldc, long m, long n, long k,
                         bool accumulate) {
  kernels()->small_gemm(a, a_row, a_column, b, ldb, c, ldc, m, n, k, accumulate);
}
void swiftlet_transpose(const float *x, long ldx, long rows, long columns, float *t, long ldt) {
  kernels()->transpose(x, ldx, rows, columns, t, ldt);
}
float swiftlet_softmax_block(const struct swiftlet_scores *o, float *s, long n, long from, long to, float *maximum, float *total) {
  return kernels()->softmax_block(o, s, n, from, to, maximum, total);
}
void swiftlet_softmax_block_backward(const struct swiftlet_scores *o, float *s, float *dp, long n, long from, long to, float log_sum,
                                     float pull) {
  kernels()->softmax_block_backward(o, s, dp, n, from, to, log_sum, pull);
}
float swiftlet_dot(const float *x, const float *y, long n) { return kernels()->dot(x, y, n); }
void swiftlet_scale(const float *x, float factor, float *y, long n) { kernels()->scale(x, factor, y, n); }
