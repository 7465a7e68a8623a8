// Quantisation kernels for every instruction set from one source; see quant.inc.h.
#include "cplatform_quant.h"

#include "cplatform_convert.h"
#include "cplatform_cpuid.h"

#include <string.h>

// Only inlined functions take 64-byte vectors, so no calling convention is involved.
#pragma clang diagnostic ignored "-Wpsabi"
#pragma STDC FP_CONTRACT OFF
#define INLINE static inline __attribute__((always_inline))

// Numbers that are converted to float32 at a time; a multiple of every block size.
enum { PIECE = 4096 };

typedef float vf __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t vi __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint8_t vb __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint16_t vh __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint8_t vb8 __attribute__((vector_size(8), aligned(1), may_alias));

INLINE uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  return bits;
}
INLINE float float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, 4);
  return x;
}

#define SOURCE "quant.inc.h"
#include "levels.inc.h"
#if defined(__x86_64__)
#define CALL(f, ...)                                                                                                                       \
  (swiftlet_current_isa() >= SWIFTLET_ISA_AVX512  ? avx512_##f(__VA_ARGS__)                                                                \
   : swiftlet_current_isa() >= SWIFTLET_ISA_AVX2 ? avx2_##f(__VA_ARGS__)                                                                   \
                                                 : baseline_##f(__VA_ARGS__))
#else
#define CALL(f, ...) baseline_##f(__VA_ARGS__)
#endif

void swiftlet_quantize4(const struct swiftlet_code4 *code, const void *x, enum swiftlet_float type, size_t count, size_t block,
                        float *absmax, uint8_t *packed) {
  const size_t size = type == SWIFTLET_F32 ? 4 : 2;
  float numbers[PIECE];
  for (size_t start = 0; start < count; start += PIECE) {
    const size_t piece = count - start < PIECE ? count - start : PIECE;
    swiftlet_to_f32(numbers, (const char *)x + start * size, type, piece);
    // Whole vectors are read, and zeros count for nothing.
    for (size_t i = piece; i < PIECE && i % 32 != 0; i++) numbers[i] = 0;
    CALL(quantize4, code, numbers, piece, block, absmax + start / block, packed + start / 2);
  }
}

float swiftlet_squared_error4(const struct swiftlet_code4 *code, const float *values, const float *x, const float *weights, size_t count,
                              float scale) {
  return CALL(squared_error4, code, values, x, weights, count, scale);
}

void swiftlet_dequantize4(const float *values, const uint8_t *packed, const float *absmax, size_t first, size_t count, size_t block,
                          float factor, void *out, enum swiftlet_float type) {
  const size_t size = type == SWIFTLET_F32 ? 4 : 2, first_block = first / block;
  float numbers[PIECE];
  for (size_t done = 0; done < count;) {
    const size_t piece = count - done < PIECE ? count - done : PIECE, at = first + done;
    float *const target = type == SWIFTLET_F32 ? (float *)out + done : numbers;
    CALL(dequantize4, values, packed, absmax + (at / block - first_block), at, piece, block, factor, target);
    if (type != SWIFTLET_F32) swiftlet_from_f32((char *)out + done * size, type, numbers, piece);
    done += piece;
  }
}

float swiftlet_absmax(const float *x, size_t count) { return CALL(absmax, x, count); }
void swiftlet_quantize_int8(const float *x, float absmax, int8_t *codes, size_t count) { CALL(quantize_int8, x, absmax, codes, count); }
void swiftlet_dequantize_int8(const int8_t *codes, float absmax, float factor, float *out, size_t count) {
  CALL(dequantize_int8, codes, absmax, factor, out, count);
}
void swiftlet_quantize_e4m3(const float *x, float scale, uint8_t *codes, size_t count) { CALL(quantize_e4m3, x, scale, codes, count); }
void swiftlet_dequantize_e4m3(const uint8_t *codes, float scale, float factor, float *out, size_t count) {
  CALL(dequantize_e4m3, codes, scale, factor, out, count);
}
