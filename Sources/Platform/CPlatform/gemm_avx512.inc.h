// The part that both AVX-512 files share: 14 rows by two vectors use 28 of the 32 registers.
#define LANES 16
#define VECTORS 2
#define ROWS 14
#define DIRECT_ROWS 8
#define HAS_FMA 1
#define HAS_F16C 1
#include "simd.inc.h"

#define FOURS(a, b, c, d) a, b, c, d, a + 4, b + 4, c + 4, d + 4, a + 8, b + 8, c + 8, d + 8, a + 12, b + 12, c + 12, d + 12
#define LOW(a, b) __builtin_shufflevector(a, b, FOURS(0, 16, 1, 17))
#define HIGH(a, b) __builtin_shufflevector(a, b, FOURS(2, 18, 3, 19))
#define LOW2(a, b) __builtin_shufflevector(a, b, FOURS(0, 1, 16, 17))
#define HIGH2(a, b) __builtin_shufflevector(a, b, FOURS(2, 3, 18, 19))
#define QUADS(a, b, w, x, y, z) \
  __builtin_shufflevector(a, b, w, w + 1, w + 2, w + 3, x, x + 1, x + 2, x + 3, y, y + 1, y + 2, y + 3, z, z + 1, z + 2, z + 3)

INLINE void transpose(vf *r) {
  vf s[16], t[16];
#pragma clang loop unroll(full)
  for (int i = 0; i < 16; i += 2) s[i] = LOW(r[i], r[i + 1]), s[i + 1] = HIGH(r[i], r[i + 1]);
#pragma clang loop unroll(full)
  for (int i = 0; i < 16; i += 4) {
    t[i] = LOW2(s[i], s[i + 2]), t[i + 1] = HIGH2(s[i], s[i + 2]);
    t[i + 2] = LOW2(s[i + 1], s[i + 3]), t[i + 3] = HIGH2(s[i + 1], s[i + 3]);
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < 4; i++) {
    const vf a = QUADS(t[i], t[i + 4], 0, 8, 16, 24), b = QUADS(t[i], t[i + 4], 4, 12, 20, 28);
    const vf c = QUADS(t[i + 8], t[i + 12], 0, 8, 16, 24), d = QUADS(t[i + 8], t[i + 12], 4, 12, 20, 28);
    r[i] = QUADS(a, c, 0, 8, 16, 24);
    r[i + 8] = QUADS(a, c, 4, 12, 20, 28);
    r[i + 4] = QUADS(b, d, 0, 8, 16, 24);
    r[i + 12] = QUADS(b, d, 4, 12, 20, 28);
  }
}
