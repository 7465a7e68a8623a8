#ifndef SWIFTLET_CPLATFORM_QUANT_H
#define SWIFTLET_CPLATFORM_QUANT_H

#include "cplatform_gemm.h"

#include <stddef.h>
#include <stdint.h>

// Codes of quantised weights. One thread; the caller cuts the work.

/// How a number in [-1, 1] becomes one of 16 codes: `ranks[r]`, r being the number of thresholds that it exceeds.
struct swiftlet_code4 {
  float thresholds[15];
  uint8_t ranks[16];
};

/// Codes `count` numbers in blocks of `block` (a power of two, 32 to 4096), the last of which may be shorter: absmax[b] is the largest
/// magnitude of block b, packed[i] holds the codes of x[2i] · (1 / absmax) in the high and of x[2i + 1] · (1 / absmax) in the low half. A
/// block of zeros has codes of zero. An odd count is padded with the code of zero. A block that holds NaN has NaN as absmax.
void swiftlet_quantize4(const struct swiftlet_code4 *code, const void *x, enum swiftlet_float type, size_t count, size_t block,
                        float *absmax, uint8_t *packed);

/// Σ weights[i] · (x[i] − values[r] · scale)² over `count` numbers, a multiple of 16, r being the number of thresholds that x[i] · (1 / scale)
/// exceeds: what codes by rising values lose with this scale.
float swiftlet_squared_error4(const struct swiftlet_code4 *code, const float *values, const float *x, const float *weights, size_t count,
                              float scale);

/// out[i] = values[code of element first + i] · absmax of its block · factor, each product rounded to float32, then to `type`. `packed` holds
/// the code of element 0; absmax[0] belongs to the block of element `first`.
void swiftlet_dequantize4(const float *values, const uint8_t *packed, const float *absmax, size_t first, size_t count, size_t block,
                          float factor, void *out, enum swiftlet_float type);

/// The largest magnitude; NaN where there is one; 0 of nothing.
float swiftlet_absmax(const float *x, size_t count);

/// codes[i] = x[i] · (127 / absmax), to nearest, ties to even; 0 where absmax is 0.
void swiftlet_quantize_int8(const float *x, float absmax, int8_t *codes, size_t count);
/// out[i] = codes[i] · absmax / 127 · factor, each result rounded.
void swiftlet_dequantize_int8(const int8_t *codes, float absmax, float factor, float *out, size_t count);

/// codes[i] = x[i] / scale as an 8-bit float of 4 exponent and 3 mantissa bits (e4m3fn), to nearest, ties to even; at most ±448; 0 where
/// scale is 0.
void swiftlet_quantize_e4m3(const float *x, float scale, uint8_t *codes, size_t count);
/// out[i] = codes[i] · scale · factor, each product rounded.
void swiftlet_dequantize_e4m3(const uint8_t *codes, float scale, float factor, float *out, size_t count);

#endif
