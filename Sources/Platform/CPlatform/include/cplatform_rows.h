#ifndef SWIFTLET_CPLATFORM_ROWS_H
#define SWIFTLET_CPLATFORM_ROWS_H

#include <stdbool.h>
#include <stdint.h>

// Row kernels: one thread, float32, vectors of 16 lanes in every instruction set; sums run over 16 (or 64) lanes that are added in a fixed
// order at the end. `n` is the number of elements. Pointers need no alignment. Outputs may be inputs where a comment says so.

/// y = x · r · (offset + w) with r = 1 / sqrt(mean(x²) + epsilon). y may be x.
void swiftlet_rms_norm(const float *x, const float *w, float offset, float epsilon, float *y, long n);
/// dx (added to where `accumulate`) from dy; dw += dy · x · r where dw is not null. dx may be dy.
void swiftlet_rms_norm_backward(const float *x, const float *w, float offset, float epsilon, const float *dy, float *dx, bool accumulate,
                                float *dw, long n);

/// Activation of gated units.
enum swiftlet_activation { SWIFTLET_SILU = 0, SWIFTLET_GELU_TANH = 1, SWIFTLET_GELU_ERF = 2 };
/// y = f(gate) · up. y may be either.
void swiftlet_gate(enum swiftlet_activation f, const float *gate, const float *up, float *y, long n);
/// dgate = dy · up · f'(gate), dup = dy · f(gate). Outputs may be any inputs, each another one.
void swiftlet_gate_backward(enum swiftlet_activation f, const float *gate, const float *up, const float *dy, float *dgate, float *dup, long n);

/// y = g · σ(alpha · g) · (u + 1) with g = min(gate, limit) and u = up cut to ±limit. y may be either.
void swiftlet_clamped_gate(float alpha, float limit, const float *gate, const float *up, float *y, long n);
/// Its gradients, zero where an input was cut. Outputs may be any inputs, each another one.
void swiftlet_clamped_gate_backward(float alpha, float limit, const float *gate, const float *up, const float *dy, float *dgate, float *dup,
                                    long n);

/// log Σ exp(z)
float swiftlet_log_sum(const float *z, long n);
/// Σ z
float swiftlet_sum(const float *z, long n);
/// z = factor · exp(z − shift)
void swiftlet_exponentials(float *z, float shift, float factor, long n);
/// z = scale · z, then cap · tanh(z / cap) where cap > 0.
void swiftlet_cap(float *z, float scale, float cap, long n);

/// Turns pairs (i, i + half), or (2i, 2i + 1) where `interleaved`, of `heads` heads of `dimension`; the rest is copied. y may be x.
void swiftlet_rope(const float *x, const float *cosines, const float *sines, float sign, long heads, long dimension, long half,
                   bool interleaved, float *y);

/// y = x + z. y may be either.
void swiftlet_add(const float *x, const float *z, float *y, long n);
/// y = x where the word at place first + i of the Philox stream is at least `threshold` · 2²⁴ as a uniform number, else 0; times `keep`;
/// added to y where `accumulate`.
void swiftlet_dropout(const float *x, uint64_t seed, uint64_t stream, uint64_t first, float probability, float keep, bool accumulate,
                      float *y, long n);

/// One AdamW step; see AdamW.swift.
struct swiftlet_adamw {
  float gradient_scale, l2, gain1, beta2, gain2, keep, rate, root2, epsilon;
};
void swiftlet_adamw(const struct swiftlet_adamw *o, float *p, const float *g, float *m, float *v, long n);

/// c[m, n] (+)= a · b: element (i, p) of a is a[i · a_row + p · a_column]; b [k, ldb] and c [m, ldc] have rows, n a multiple of 16.
/// Each element is one chain of fused multiply-adds over p, starting from c (accumulate) or 0.
void swiftlet_small_gemm(const float *a, long a_row, long a_column, const float *b, long ldb, float *c, long ldc, long m, long n, long k,
                         bool accumulate);
/// t[columns, ldt] = x[rows, ldx] transposed; columns of t from `rows` up to `ldt` are zero. ldt is a multiple of 16.
void swiftlet_transpose(const float *x, long ldx, long rows, long columns, float *t, long ldt);

/// What a row of scores goes through in attention.
struct swiftlet_scores {
  float scale, cap;   // cap 0: none
};
/// One row of a block of scores in forward: s[0, n) = raw dot products become exp(score − new maximum) for columns in [from, to), 0 elsewhere.
/// `maximum` and `total` are those of the blocks before; returns the factor that brings what was summed before to the new maximum.
float swiftlet_softmax_block(const struct swiftlet_scores *o, float *s, long n, long from, long to, float *maximum, float *total);
/// One row of a block in backward: s (raw dot products) becomes the probabilities exp(score − log_sum), dp (dy · vᵀ) becomes the gradient of the
/// raw dot products, p · (dp − pull) · scale, both 0 outside of [from, to).
void swiftlet_softmax_block_backward(const struct swiftlet_scores *o, float *s, float *dp, long n, long from, long to, float log_sum,
                                     float pull);
/// Σ x · y
float swiftlet_dot(const float *x, const float *y, long n);
/// y = x · factor. y may be x.
void swiftlet_scale(const float *x, float factor, float *y, long n);

#endif
