// Vectors of LANES floats for one instruction set, by the compiler's vector extension. Included once a file, after LANES and
// HAS_FMA are defined and the target attribute is pushed.
#include <stdint.h>
#include <string.h>

#pragma STDC FP_CONTRACT OFF
#define INLINE static inline __attribute__((always_inline))

typedef float vf __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef uint32_t vu __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef int32_t vi __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef uint16_t vh __attribute__((vector_size(LANES * 2), aligned(2), may_alias));

INLINE vf load(const float *p) { return *(const vf *)p; }
INLINE void store(float *p, vf v) { *(vf *)p = v; }
// x - 0 is x for every x, -0 too, and compiles to a broadcast.
INLINE vf splat(float x) { return x - (vf){}; }

#if HAS_FMA
INLINE vf fma_v(vf a, vf b, vf c) { return __builtin_elementwise_fma(a, b, c); }
#else
INLINE vf fma_v(vf a, vf b, vf c) { return a * b + c; }
#endif

INLINE vf widen_bf16(vh h) { return (vf)(__builtin_convertvector(h, vu) << 16); }

#if HAS_F16C
typedef _Float16 vhf __attribute__((vector_size(LANES * 2), aligned(2), may_alias));
INLINE vf widen_f16(vh h) { return __builtin_convertvector((vhf)h, vf); }
#else
// Shifting puts the number 2^112 too low; multiplying back is exact, for subnormal ones too.
INLINE vf widen_f16(vh h) {
  const vu bits = __builtin_convertvector(h, vu);
  const vf value = (vf)((bits & 0x7fff) << 13) * 0x1p112f;
  const vu special = (vu)((bits & 0x7c00) == 0x7c00) & 0x7f800000;
  return (vf)((vu)value | special | (bits & 0x8000) << 16);
}
#endif

// `type` is a constant wherever this is inlined.
INLINE vf load_as(const void *data, size_t at, int type) {
  if (type == SWIFTLET_F32) return load((const float *)data + at);
  const vh h = *(const vh *)((const uint16_t *)data + at);
  return type == SWIFTLET_BF16 ? widen_bf16(h) : widen_f16(h);
}

// The first `count` lanes, the others zero; reads nothing else.
INLINE vf load_part(const void *data, size_t at, size_t count, int type) {
  uint32_t lanes[LANES] = {0};
  if (type == SWIFTLET_F32) memcpy(lanes, (const float *)data + at, count * 4);
  else memcpy(lanes, (const uint16_t *)data + at, count * 2);
  return load_as(lanes, 0, type);
}
