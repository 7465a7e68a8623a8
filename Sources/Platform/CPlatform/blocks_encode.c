// The block formats of GGUF files, written: the search for scales runs on 16 parts of blocks at a time, one in each lane of a vector, so that
// sums over a part need no shuffles. See blocks_encode.inc.h.
#include "cplatform_blocks.h"
#include "cplatform_cpuid.h"

#include <string.h>

// Only inlined functions take 64-byte vectors, so no calling convention is involved.
#pragma clang diagnostic ignored "-Wpsabi"
#pragma STDC FP_CONTRACT OFF
#define INLINE static inline __attribute__((always_inline))

enum { LANES = 16, LONGEST = 32 };

typedef float vf __attribute__((ext_vector_type(16), may_alias));
typedef int32_t vi __attribute__((ext_vector_type(16), may_alias));

/// How a format's parts are coded: `x ≈ scale · code - offset`, code from `least` to `most`.
struct plan {
  int format;
  /// Numbers in a part: 16 or 32.
  int width;
  /// Parts whose scales are coded together: 1 where each has a scale of its own.
  int parts;
  int least, most;
  /// Whether there are offsets; all are at least 0.
  bool has_offset;
  /// Largest code of a scale or offset; where there are no offsets, scales go from -(scale_most + 1).
  int scale_most;
  /// Whether numbers j and j + 16 of a part share byte j: its low and its high half.
  bool is_paired;
  /// Step sizes tried for a part alone: those that put the largest number at code `outermost + first + step · k`.
  struct {
    float first, step;
    int steps;
    /// Lowest numbers tried with offsets: with few codes it pays to cut off the ends.
    int ends;
    /// Rounds of coding and solving again with the best.
    int rounds;
  } tries;
};

static const struct plan plans[] = {
    {SWIFTLET_BLOCK_Q4_0, 32, 1, -8, 7, false, 0, true, {-0.3f, 0.4f, 2, 1, 0}},
    {SWIFTLET_BLOCK_Q2_K, 16, 16, 0, 3, true, 15, false, {-0.6f, 0.15f, 14, 4, 3}},
    {SWIFTLET_BLOCK_Q3_K, 16, 16, -4, 3, false, 31, false, {-2.24f, 0.16f, 29, 1, 3}},
    {SWIFTLET_BLOCK_Q4_K, 32, 8, 0, 15, true, 63, false, {-0.9f, 0.1f, 20, 1, 3}},
    {SWIFTLET_BLOCK_Q5_K, 32, 8, 0, 31, true, 63, false, {-0.9f, 0.1f, 20, 1, 3}},
    {SWIFTLET_BLOCK_Q6_K, 16, 16, -32, 31, false, 127, false, {-1.4f, 0.1f, 29, 1, 3}},
};

/// What the search found for 16 parts.
struct coded {
  /// Of each lane: the scale and offset that all parts of its block share, the bits of halves.
  int32_t scale[LANES], least[LANES];
  int32_t scales[LANES], offsets[LANES];
  /// Counted from the plan's least code; in pairs where the plan says so.
  uint8_t codes[LANES][LONGEST];
};

static inline uint16_t half_of(float x) {
  uint32_t word;
  memcpy(&word, &x, 4);
  const uint32_t sign = word >> 16 & 0x8000, size = word & 0x7fffffff;
  if (size >= 0x47800000) return (uint16_t)(sign | (size > 0x7f800000 ? 0x7e00 : 0x7c00));
  if (size >= 0x38800000) return (uint16_t)(sign | (size - 0x38000000 + 0xfff + (size >> 13 & 1)) >> 13);
  float small;
  memcpy(&small, &size, 4);
  small += 0.5f;
  memcpy(&word, &small, 4);
  return (uint16_t)(sign | (word - 0x3f000000));
}

static inline void put_half(uint8_t *bytes, int32_t half) {
  bytes[0] = (uint8_t)half;
  bytes[1] = (uint8_t)(half >> 8);
}

#define SOURCE "blocks_encode.inc.h"
#include "levels.inc.h"

// The search of 16 parts of 16 or 32 numbers, part after part.
static void search(const struct plan *plan, const float *x, struct coded *out) {
#if defined(__x86_64__)
  const enum swiftlet_isa isa = swiftlet_current_isa();
  if (isa >= SWIFTLET_ISA_AVX512) return avx512_search(plan->format, x, out);
  if (isa >= SWIFTLET_ISA_AVX2) return avx2_search(plan->format, x, out);
#endif
  baseline_search(plan->format, x, out);
}


static void pack_q4_0(const struct coded *c, int lane, uint8_t *block) {
  put_half(block, c->scale[lane]);
  memcpy(block + 2, c->codes[lane], 16);
}

static void pack_q45_k(const struct coded *c, int lane, bool has_high, uint8_t *block) {
  put_half(block, c->scale[lane]);
  put_half(block + 2, c->least[lane]);
  uint8_t *const packed = block + 4, *const high = block + 16, *const low = block + (has_high ? 48 : 16);
  memset(packed, 0, 12);
  for (int j = 0; j < 8; j++) {
    const int s = c->scales[lane + j], m = c->offsets[lane + j];
    if (j < 4) {
      packed[j] |= (uint8_t)s;
      packed[j + 4] |= (uint8_t)m;
    } else {
      packed[j + 4] |= (uint8_t)((s & 15) | (m & 15) << 4);
      packed[j - 4] |= (uint8_t)(s >> 4 << 6);
      packed[j] |= (uint8_t)(m >> 4 << 6);
    }
  }
  if (has_high) memset(high, 0, 32);
  for (int j = 0; j < 8; j += 2)
    for (int l = 0; l < 32; l++) {
      const uint8_t a = c->codes[lane + j][l], b = c->codes[lane + j + 1][l];
      low[j * 16 + l] = (uint8_t)((a & 15) | (b & 15) << 4);
      if (has_high) high[l] |= (uint8_t)(a >> 4 << j | b >> 4 << (j + 1));
    }
}

static void pack_q6_k(const struct coded *c, uint8_t *block) {
  memset(block, 0, 192);
  for (int part = 0; part < 16; part++) {
    block[192 + part] = (uint8_t)c->scales[part];
    for (int l = 0; l < 16; l++) {
      const int code = c->codes[part][l], place = part % 2 * 16 + l, plane = part / 2;
      block[plane / 4 * 64 + plane % 2 * 32 + place] |= (uint8_t)((code & 15) << (plane % 4 / 2 * 4));
      block[128 + plane / 4 * 32 + place] |= (uint8_t)(code >> 4 << (plane % 4 * 2));
    }
  }
  put_half(block + 208, c->scale[0]);
}

static void pack_q2_k(const struct coded *c, uint8_t *block) {
  memset(block, 0, 80);
  for (int part = 0; part < 16; part++) {
    block[part] = (uint8_t)(c->scales[part] | c->offsets[part] << 4);
    uint8_t *const codes = block + 16 + part / 8 * 32 + part % 2 * 16;
    for (int l = 0; l < 16; l++) codes[l] |= (uint8_t)(c->codes[part][l] << (part % 8 / 2 * 2));
  }
  put_half(block + 80, c->scale[0]);
  put_half(block + 82, c->least[0]);
}

static void pack_q3_k(const struct coded *c, uint8_t *block) {
  memset(block, 0, 108);
  uint8_t *const packed = block + 96;
  for (int part = 0; part < 16; part++) {
    const int scale = c->scales[part] + 32;
    packed[part % 8] |= (uint8_t)((scale & 15) << (part / 8 * 4));
    packed[8 + part % 4] |= (uint8_t)(scale >> 4 << (part / 4 * 2));
    uint8_t *const codes = block + 32 + part / 8 * 32 + part % 2 * 16, *const high = block + part % 2 * 16;
    for (int l = 0; l < 16; l++) {
      const int code = c->codes[part][l];
      codes[l] |= (uint8_t)((code & 3) << (part % 8 / 2 * 2));
      high[l] |= (uint8_t)(code >> 2 << (part / 2));
    }
  }
  put_half(block + 108, c->scale[0]);
}

static void pack(const struct plan *plan, const struct coded *c, size_t block, uint8_t *out) {
  switch (plan->format) {
  case SWIFTLET_BLOCK_Q4_0: return pack_q4_0(c, (int)block, out);
  case SWIFTLET_BLOCK_Q4_K: return pack_q45_k(c, (int)block * 8, false, out);
  case SWIFTLET_BLOCK_Q5_K: return pack_q45_k(c, (int)block * 8, true, out);
  case SWIFTLET_BLOCK_Q2_K: return pack_q2_k(c, out);
  case SWIFTLET_BLOCK_Q3_K: return pack_q3_k(c, out);
  default: return pack_q6_k(c, out);
  }
}

// The largest magnitude gets 127; halves round away from zero, as llama.cpp has it.
static void q8_0(const float *x, uint8_t *block) {
  float most = 0;
  for (int j = 0; j < 32; j++) most = __builtin_fabsf(x[j]) > most ? __builtin_fabsf(x[j]) : most;
  const float scale = most / 127, inverse = scale > 0 ? 1 / scale : 0;
  put_half(block, half_of(scale));
  for (int j = 0; j < 32; j++) {
    const float y = x[j] * inverse;
    block[2 + j] = (uint8_t)(int8_t)(y + (y < 0 ? -0.5f : 0.5f));
  }
}

bool swiftlet_encode_blocks(int format, const float *x, size_t blocks, uint8_t *codes) {
  if (format == SWIFTLET_BLOCK_Q8_0) {
    for (size_t i = 0; i < blocks; i++) q8_0(x + i * 32, codes + i * 34);
    return true;
  }
  const struct plan *plan = NULL;
  for (size_t i = 0; i < sizeof plans / sizeof *plans; i++)
    if (plans[i].format == format) plan = plans + i;
  if (!plan) return false;
  const size_t bytes = swiftlet_block_bytes(format), numbers = swiftlet_block_numbers(format), together = (size_t)(LANES / plan->parts);
  struct coded found;
  float padded[LANES * LONGEST];
  for (size_t i = 0; i < blocks; i += together) {
    const size_t here = blocks - i < together ? blocks - i : together;
    const float *from = x + i * numbers;
    if (here < together) {
      memset(padded, 0, sizeof padded);
      memcpy(padded, from, here * numbers * sizeof(float));
      from = padded;
    }
    search(plan, from, &found);
    for (size_t b = 0; b < here; b++) pack(plan, &found, b, codes + (i + b) * bytes);
  }
  return true;
}
