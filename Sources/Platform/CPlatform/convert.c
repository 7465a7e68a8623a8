#include "cplatform_convert.h"

#include "cplatform_cpuid.h"

#include <stdint.h>
#include <string.h>

static inline uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  return bits;
}

static inline float float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, 4);
  return x;
}

// Shifting puts the number 2^112 too low; multiplying back is exact, for subnormal ones too.
static inline float half_to_float(uint16_t half) {
  const uint32_t special = (half & 0x7c00) == 0x7c00 ? 0x7f800000 : 0;
  return float_of(bits_of(float_of((uint32_t)(half & 0x7fff) << 13) * 0x1p112f) | special | (uint32_t)(half & 0x8000) << 16);
}

// Normal halves round in the integer; subnormal ones by adding 0.5, whose last place is theirs.
static inline uint16_t float_to_half(float x) {
  const uint32_t word = bits_of(x), sign = word >> 16 & 0x8000, size = word & 0x7fffffff;
  const uint32_t normal = (size - 0x38000000 + 0xfff + (size >> 13 & 1)) >> 13;
  const uint32_t subnormal = bits_of(float_of(size) + 0.5f) - 0x3f000000;
  const uint32_t special = size > 0x7f800000 ? 0x7e00 | (size >> 13 & 0x3ff) : 0x7c00;
  return (uint16_t)(sign | (size >= 0x47800000 ? special : size < 0x38800000 ? subnormal : normal));
}

#define NAME(x) baseline_##x
#define HALF_TO_FLOAT(h) half_to_float(h)
#define FLOAT_TO_HALF(x) float_to_half(x)
#include "convert.inc.h"

#if defined(__x86_64__)
static inline _Float16 as_half(uint16_t bits) {
  _Float16 half;
  memcpy(&half, &bits, 2);
  return half;
}

static inline uint16_t half_bits(_Float16 half) {
  uint16_t bits;
  memcpy(&bits, &half, 2);
  return bits;
}

#pragma clang attribute push(__attribute__((target("avx2,f16c"))), apply_to = function)
#define NAME(x) avx2_##x
#define HALF_TO_FLOAT(h) (float)as_half(h)
#define FLOAT_TO_HALF(x) half_bits((_Float16)(x))
#include "convert.inc.h"
#pragma clang attribute pop
#endif

void swiftlet_to_f32(float *out, const void *in, enum swiftlet_float type, size_t count) {
#if defined(__x86_64__)
  if (swiftlet_current_isa() >= SWIFTLET_ISA_AVX2) return avx2_to_f32(out, in, type, count);
#endif
  baseline_to_f32(out, in, type, count);
}

void swiftlet_from_f32(void *out, enum swiftlet_float type, const float *in, size_t count) {
#if defined(__x86_64__)
  if (swiftlet_current_isa() >= SWIFTLET_ISA_AVX2) return avx2_from_f32(out, type, in, count);
#endif
  baseline_from_f32(out, type, in, count);
}
