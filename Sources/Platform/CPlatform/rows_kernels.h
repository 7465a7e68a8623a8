// The row kernels: included by one source file for each instruction set, which defines ISA. All vectors have 16 lanes: the compiler splits
// them where the machine's are narrower, so that sums run in the same order everywhere.
#include "rows_table.h"

// Only inlined functions take 64-byte vectors, so no calling convention is involved.
#pragma clang diagnostic ignored "-Wpsabi"

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define NAME(f) JOIN(f, ISA)

typedef float vf __attribute__((vector_size(64)));
typedef int32_t vi __attribute__((vector_size(64)));
typedef float vfu __attribute__((vector_size(64), aligned(4), may_alias));

#define INLINE static inline __attribute__((always_inline))

INLINE vf load(const float *p) { return *(const vfu *)p; }
INLINE void store(float *p, vf v) { *(vfu *)p = v; }
INLINE vf splat(float x) { return (vf){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}; }
INLINE vf pick(vi mask, vf yes, vf no) { return (vf)((mask & (vi)yes) | (~mask & (vi)no)); }
INLINE vf larger(vf a, vf b) { return pick(a > b, a, b); }

// The first n < 16 elements, `fill` behind them.
INLINE vf load_part(const float *p, long n, float fill) {
  float part[16];
  for (long i = 0; i < 16; i++) part[i] = i < n ? p[i] : fill;
  return load(part);
}
INLINE void store_part(float *p, vf v, long n) {
  float part[16];
  store(part, v);
  for (long i = 0; i < n; i++) p[i] = part[i];
}

// Lanes i and i + 8, then i and i + 4, …
#define FOLD(v, OP)                                                                                                                        \
  do {                                                                                                                                     \
    v = OP(v, __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));                                        \
    v = OP(v, __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11));                                        \
    v = OP(v, __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));                                        \
    v = OP(v, __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14));                                        \
  } while (0)
INLINE vf plus(vf a, vf b) { return a + b; }
INLINE float sum_lanes(vf v) {
  FOLD(v, plus);
  return v[0];
}
INLINE float max_lanes(vf v) {
  FOLD(v, larger);
  return v[0];
}

// eˣ to some 1.5 units in the last place: 2ⁿ · e^r, |r| ≤ ½ ln 2; 0 below −87.3 (no denormals), 3.4e38 above 88.7; NaN stays.
INLINE vf exponential(vf x) {
  const vf low = splat(-87.3f), high = splat(88.72f);
  const vi below = x < low;
  x = pick(below, low, x);
  x = pick(x > high, high, x);
  const vf magic = splat(12582912.f);
  const vf shifted = x * splat(1.44269504f) + magic;
  const vf n = shifted - magic;
  const vf r = (x - n * splat(0.693145752f)) - n * splat(1.42860677e-6f);
  vf p = splat(1.392618171e-3f);
  p = p * r + splat(8.363178000e-3f);
  p = p * r + splat(4.166655615e-2f);
  p = p * r + splat(1.666657627e-1f);
  p = p * r + splat(0.5f);
  p = p * (r * r) + r;
  p = p + splat(1.f);
  const vf result = (vf)((vi)p + ((vi)shifted << 23));
  return pick(below, splat(0.f), result);
}

// tanh: an odd polynomial below 0.625, 1 − 2/(e²ˣ + 1) above.
INLINE vf hyperbolic_tangent(vf x) {
  const vf z = x * x;
  const vf t = (vf)((vi)x & 0x7FFFFFFF);
  vf p = splat(-6.045165006e-3f);
  p = p * z + splat(2.096132934e-2f);
  p = p * z + splat(-5.384326354e-2f);
  p = p * z + splat(1.333271861e-1f);
  p = p * z + splat(-3.333332837e-1f);
  const vf small = x + x * (z * p);
  const vf big = splat(1.f) - splat(2.f) / (exponential(t + t) + splat(1.f));
  const vf signed_big = (vf)((vi)big | ((vi)x & (int32_t)0x80000000));
  return pick(t > splat(0.625f), signed_big, small);
}

// erf: an odd polynomial below 0.92, 1 − e^q(x) with q = log erfc above.
INLINE vf error_function(vf x) {
  const vf z = x * x;
  vf t = (vf)((vi)x & 0x7FFFFFFF);
  vf p = splat(8.212780813e-5f);
  p = p * z + splat(-8.105054731e-4f);
  p = p * z + splat(5.197684746e-3f);
  p = p * z + splat(-2.685804293e-2f);
  p = p * z + splat(1.128367111e-1f);
  p = p * z + splat(-3.761263192e-1f);
  p = p * z + splat(1.128379226e+0f);
  const vf small = x * p;
  t = pick(t > splat(4.f), splat(4.f), t);
  vf q = splat(1.643063683e-6f);
  q = q * t + splat(-4.616385922e-5f);
  q = q * t + splat(5.975857493e-4f);
  q = q * t + splat(-4.762625787e-3f);
  q = q * t + splat(2.642763779e-2f);
  q = q * t + splat(-1.100871637e-1f);
  q = q * t + splat(-6.318238974e-1f);
  q = q * t + splat(-1.130231023e+0f);
  q = q * t + splat(3.185396490e-4f);
  const vf big = splat(1.f) - exponential(q);
  const vf signed_big = (vf)((vi)big | ((vi)x & (int32_t)0x80000000));
  return pick(t > splat(0.92f), signed_big, small);
}

// Σ over j of TERM(j) in 64 lanes; TERM_PART(j, count) gives the last, zero-filled vector.
#define SUM_OF(TERM, PART)                                                                                                                 \
  vf s0 = splat(0), s1 = splat(0), s2 = splat(0), s3 = splat(0);                                                                           \
  long j = 0;                                                                                                                              \
  for (; j + 64 <= n; j += 64) {                                                                                                           \
    s0 = TERM(j, s0);                                                                                                                      \
    s1 = TERM(j + 16, s1);                                                                                                                 \
    s2 = TERM(j + 32, s2);                                                                                                                 \
    s3 = TERM(j + 48, s3);                                                                                                                 \
  }                                                                                                                                        \
  for (; j + 16 <= n; j += 16) s0 = TERM(j, s0);                                                                                           \
  if (j < n) s1 = PART(j, s1);                                                                                                             \
  return sum_lanes((s0 + s1) + (s2 + s3))

static float NAME(dot)(const float *x, const float *y, long n) {
#define TERM(j, s) load(x + (j)) * load(y + (j)) + s
#define PART(j, s) load_part(x + (j), n - (j), 0) * load_part(y + (j), n - (j), 0) + s
  SUM_OF(TERM, PART);
#undef TERM
#undef PART
}

static float NAME(sum)(const float *x, long n) {
#define TERM(j, s) load(x + (j)) + s
#define PART(j, s) load_part(x + (j), n - (j), 0) + s
  SUM_OF(TERM, PART);
#undef TERM
#undef PART
}

// Runs BODY(load function, store function, j) over whole vectors and a last part.
#define LD(p) (full ? load((p) + j) : load_part((p) + j, n - j, 0))
#define ST(p, v)                                                                                                                           \
  do {                                                                                                                                     \
    if (full)                                                                                                                              \
      store((p) + j, v);                                                                                                                   \
    else                                                                                                                                   \
      store_part((p) + j, v, n - j);                                                                                                       \
  } while (0)
#define FOR_EACH(...)                                                                                                                      \
  do {                                                                                                                                     \
    long j = 0;                                                                                                                            \
    for (; j + 16 <= n; j += 16) {                                                                                                         \
      const bool full = true;                                                                                                              \
      __VA_ARGS__                                                                                                                          \
    }                                                                                                                                      \
    if (j < n) {                                                                                                                           \
      const bool full = false;                                                                                                             \
      __VA_ARGS__                                                                                                                          \
    }                                                                                                                                      \
  } while (0)

static void NAME(rms_norm)(const float *x, const float *w, float offset, float epsilon, float *y, long n) {
  const vf r = splat(1.f / __builtin_sqrtf(NAME(dot)(x, x, n) / (float)n + epsilon));
  const vf one = splat(offset);
  FOR_EACH({ ST(y, LD(x) * r * (one + LD(w))); });
}

static float NAME(weighted_dot)(const float *x, const float *y, const float *w, float offset, long n) {
  const vf one = splat(offset);
#define TERM(j, s) load(x + (j)) * load(y + (j)) * (one + load(w + (j))) + s
#define PART(j, s) load_part(x + (j), n - (j), 0) * load_part(y + (j), n - (j), 0) * (one + load_part(w + (j), n - (j), 0)) + s
  SUM_OF(TERM, PART);
#undef TERM
#undef PART
}

static void NAME(rms_norm_backward)(const float *x, const float *w, float offset, float epsilon, const float *dy, float *dx,
                                    bool accumulate, float *dw, long n) {
  const float r = 1.f / __builtin_sqrtf(NAME(dot)(x, x, n) / (float)n + epsilon);
  const vf root = splat(r), one = splat(offset);
  if (dw) FOR_EACH({ ST(dw, LD(dy) * (LD(x) * root) + LD(dw)); });
  if (!dx) return;
  const vf pull = splat(NAME(weighted_dot)(x, dy, w, offset, n) * r * r / (float)n);
  if (accumulate)
    FOR_EACH({ ST(dx, LD(dx) + root * (LD(dy) * (one + LD(w)) - LD(x) * pull)); });
  else
    FOR_EACH({ ST(dx, root * (LD(dy) * (one + LD(w)) - LD(x) * pull)); });
}

INLINE void activate(enum swiftlet_activation f, vf x, vf *value, vf *slope) {
  const vf one = splat(1.f), half = splat(0.5f);
  if (f == SWIFTLET_SILU) {
    const vf s = one / (one + exponential(-x));
    *value = x * s;
    *slope = s * (one + x * (one - s));
  } else if (f == SWIFTLET_GELU_TANH) {
    const vf c = splat(0.797884561f), cubic = splat(0.044715f);
    const vf t = hyperbolic_tangent(c * (x + cubic * x * x * x));
    *value = half * x * (one + t);
    *slope = half * (one + t) + half * x * (one - t * t) * c * (one + splat(3 * 0.044715f) * x * x);
  } else {
    const vf cumulative = half * (one + error_function(x * splat(0.707106781f)));
    *value = x * cumulative;
    *slope = cumulative + x * splat(0.39894228f) * exponential(-half * x * x);
  }
}

INLINE void gate_rows(enum swiftlet_activation f, const float *gate, const float *up, float *y, long n) {
  vf value, slope;
  FOR_EACH({
    activate(f, LD(gate), &value, &slope);
    ST(y, value * LD(up));
  });
}

static void NAME(gate)(enum swiftlet_activation f, const float *gate, const float *up, float *y, long n) {
  switch (f) {
  case SWIFTLET_SILU: return gate_rows(SWIFTLET_SILU, gate, up, y, n);
  case SWIFTLET_GELU_TANH: return gate_rows(SWIFTLET_GELU_TANH, gate, up, y, n);
  case SWIFTLET_GELU_ERF: return gate_rows(SWIFTLET_GELU_ERF, gate, up, y, n);
  }
}

INLINE void gate_rows_backward(enum swiftlet_activation f, const float *gate, const float *up, const float *dy, float *dgate, float *dup,
                               long n) {
  vf value, slope;
  FOR_EACH({
    const vf g = LD(dy);
    const vf u = LD(up);
    activate(f, LD(gate), &value, &slope);
    ST(dgate, g * u * slope);
    ST(dup, g * value);
  });
}

static void NAME(gate_backward)(enum swiftlet_activation f, const float *gate, const float *up, const float *dy, float *dgate, float *dup,
                                long n) {
  switch (f) {
  case SWIFTLET_SILU: return gate_rows_backward(SWIFTLET_SILU, gate, up, dy, dgate, dup, n);
  case SWIFTLET_GELU_TANH: return gate_rows_backward(SWIFTLET_GELU_TANH, gate, up, dy, dgate, dup, n);
  case SWIFTLET_GELU_ERF: return gate_rows_backward(SWIFTLET_GELU_ERF, gate, up, dy, dgate, dup, n);
  }
}

static float NAME(maximum)(const float *z, long n) {
  const float least = -__builtin_inff();
  vf m0 = splat(least), m1 = m0;
  long j = 0;
  for (; j + 32 <= n; j += 32) {
    m0 = larger(load(z + j), m0);
    m1 = larger(load(z + j + 16), m1);
  }
  for (; j + 16 <= n; j += 16) m0 = larger(load(z + j), m0);
  if (j < n) m1 = larger(load_part(z + j, n - j, least), m1);
  return max_lanes(larger(m0, m1));
}

static float NAME(log_sum)(const float *z, long n) {
  const float most = NAME(maximum)(z, n);
  if (most == -__builtin_inff()) return most;
  const vf shift = splat(most);
  vf s0 = splat(0), s1 = s0;
  long j = 0;
  for (; j + 32 <= n; j += 32) {
    s0 += exponential(load(z + j) - shift);
    s1 += exponential(load(z + j + 16) - shift);
  }
  for (; j + 16 <= n; j += 16) s0 += exponential(load(z + j) - shift);
  if (j < n) s1 += exponential(load_part(z + j, n - j, -__builtin_inff()) - shift);
  return most + __builtin_logf(sum_lanes(s0 + s1));
}

static void NAME(exponentials)(float *z, float shift, float factor, long n) {
  const vf s = splat(shift), f = splat(factor);
  FOR_EACH({ ST(z, f * exponential(LD(z) - s)); });
}

static void NAME(cap)(float *z, float scale, float cap, long n) {
  const vf s = splat(scale), c = splat(cap), inverse = splat(1.f / cap);
  if (cap > 0)
    FOR_EACH({ ST(z, c * hyperbolic_tangent(LD(z) * s * inverse)); });
  else
    FOR_EACH({ ST(z, LD(z) * s); });
}

static void NAME(rope)(const float *x, const float *cosines, const float *sines, float sign, long heads, long dimension, long half,
                       bool interleaved, float *y) {
  for (long head = 0; head < heads; head++, x += dimension, y += dimension) {
    long i = 0;
    if (!interleaved)
      for (; i + 16 <= half; i += 16) {
        const vf a = load(x + i), b = load(x + i + half), c = load(cosines + i), s = splat(sign) * load(sines + i);
        store(y + i, a * c - b * s);
        store(y + i + half, b * c + a * s);
      }
    for (; i < half; i++) {
      const long first = interleaved ? 2 * i : i, second = interleaved ? 2 * i + 1 : i + half;
      const float a = x[first], b = x[second], c = cosines[i], s = sign * sines[i];
      y[first] = a * c - b * s;
      y[second] = b * c + a * s;
    }
    if (x != y)
      for (long d = 2 * half; d < dimension; d++) y[d] = x[d];
  }
}

static void NAME(add)(const float *x, const float *z, float *y, long n) { FOR_EACH({ ST(y, LD(x) + LD(z)); }); }
static void NAME(scale)(const float *x, float factor, float *y, long n) {
  const vf f = splat(factor);
  FOR_EACH({ ST(y, LD(x) * f); });
}

static void NAME(adamw)(const struct swiftlet_adamw *o, float *p, const float *g, float *m, float *v, long n) {
  const vf scale = splat(o->gradient_scale), l2 = splat(o->l2), gain1 = splat(o->gain1), beta2 = splat(o->beta2), gain2 = splat(o->gain2),
           keep = splat(o->keep), rate = splat(o->rate), root2 = splat(o->root2), epsilon = splat(o->epsilon);
  FOR_EACH({
    const vf old = LD(p);
    const vf slope = LD(g) * scale + l2 * old;
    const vf first = LD(m) + gain1 * (slope - LD(m));
    const vf second = beta2 * LD(v) + gain2 * slope * slope;
    ST(m, first);
    ST(v, second);
    ST(p, old * keep - rate * first / (__builtin_elementwise_sqrt(second) / root2 + epsilon));
  });
}

// Sixteen Philox4x32-10 blocks with counters counter…counter + 15: words[w][lane].
INLINE void philox16(uint64_t seed, uint64_t stream, uint64_t counter, uint32_t words[4][16]) {
  uint32_t c0[16], c1[16], c2[16], c3[16];
  uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
  for (int i = 0; i < 16; i++) {
    c0[i] = (uint32_t)(counter + i);
    c1[i] = (uint32_t)((counter + i) >> 32);
    c2[i] = (uint32_t)stream;
    c3[i] = (uint32_t)(stream >> 32);
  }
  for (int round = 0; round < 10; round++) {
    for (int i = 0; i < 16; i++) {
      const uint64_t p0 = (uint64_t)c0[i] * 0xD2511F53u, p1 = (uint64_t)c2[i] * 0xCD9E8D57u;
      const uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1[i] ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3[i] ^ k1;
      c1[i] = (uint32_t)p1;
      c3[i] = (uint32_t)p0;
      c0[i] = n0;
      c2[i] = n2;
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  for (int i = 0; i < 16; i++) {
    words[0][i] = c0[i];
    words[1][i] = c1[i];
    words[2][i] = c2[i];
    words[3][i] = c3[i];
  }
}

static void NAME(dropout)(const float *x, uint64_t seed, uint64_t stream, uint64_t first, float probability, float keep, bool accumulate,
                          float *y, long n) {
  const uint64_t end = first + (uint64_t)n;
  uint32_t words[4][16];
  for (uint64_t base = first & ~UINT64_C(63); base < end; base += 64) {
    philox16(seed, stream, base >> 2, words);
    const uint64_t from = base < first ? first : base, to = base + 64 < end ? base + 64 : end;
    for (uint64_t place = from; place < to; place++) {
      const uint64_t i = place - first;
      const float uniform = (float)(words[place & 3][(place - base) >> 2] >> 8) * 0x1p-24f;
      const float value = uniform < probability ? 0 : x[i] * keep;
      y[i] = accumulate ? y[i] + value : value;
    }
  }
}

// --- small matrices, for attention ---

#define TILE(ROWS, VECTORS)                                                                                                                \
  static void NAME(tile_##ROWS##_##VECTORS)(const float *a, long a_row, long a_column, const float *b, long ldb, float *c, long ldc,       \
                                            long k, bool accumulate) {                                                                     \
    vf t[ROWS][VECTORS];                                                                                                                   \
    for (int i = 0; i < ROWS; i++)                                                                                                         \
      for (int v = 0; v < VECTORS; v++) t[i][v] = accumulate ? load(c + i * ldc + 16 * v) : splat(0);                                      \
    for (long p = 0; p < k; p++) {                                                                                                         \
      vf row[VECTORS];                                                                                                                     \
      for (int v = 0; v < VECTORS; v++) row[v] = load(b + p * ldb + 16 * v);                                                               \
      for (int i = 0; i < ROWS; i++) {                                                                                                     \
        const vf x = splat(a[i * a_row + p * a_column]);                                                                                   \
        for (int v = 0; v < VECTORS; v++) t[i][v] = x * row[v] + t[i][v];                                                                  \
      }                                                                                                                                    \
    }                                                                                                                                      \
    for (int i = 0; i < ROWS; i++)                                                                                                         \
      for (int v = 0; v < VECTORS; v++) store(c + i * ldc + 16 * v, t[i][v]);                                                              \
  }
TILE(6, 4)
TILE(4, 4)
TILE(2, 4)
TILE(1, 4)
TILE(8, 1)
TILE(4, 1)
TILE(1, 1)


static void NAME(small_gemm)(const float *a, long a_row, long a_column, const float *b, long ldb, float *c, long ldc, long m, long n,
                             long k, bool accumulate) {
  long j = 0;
#define COLUMN(ROWS, VECTORS) NAME(tile_##ROWS##_##VECTORS)(a + i * a_row, a_row, a_column, b + j, ldb, c + i * ldc + j, ldc, k, accumulate)
  for (; j + 64 <= n; j += 64) {
    long i = 0;
    for (; i + 6 <= m; i += 6) COLUMN(6, 4);
    if (i + 4 <= m) COLUMN(4, 4), i += 4;
    if (i + 2 <= m) COLUMN(2, 4), i += 2;
    if (i < m) COLUMN(1, 4);
  }
  for (; j < n; j += 16) {
    long i = 0;
    for (; i + 8 <= m; i += 8) COLUMN(8, 1);
    if (i + 4 <= m) COLUMN(4, 1), i += 4;
    for (; i < m; i++) COLUMN(1, 1);
  }

}

#define ZIP_LOW(a, b) __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define ZIP_HIGH(a, b) __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)

// Four rounds of a perfect shuffle transpose 16 × 16.
INLINE void transpose16(vf r[16]) {
  for (int round = 0; round < 4; round++) {
    vf s[16];
    for (int i = 0; i < 8; i++) {
      s[2 * i] = ZIP_LOW(r[i], r[i + 8]);
      s[2 * i + 1] = ZIP_HIGH(r[i], r[i + 8]);
    }
    for (int i = 0; i < 16; i++) r[i] = s[i];
  }
}

static void NAME(transpose)(const float *x, long ldx, long rows, long columns, float *t, long ldt) {
  for (long i = 0; i < ldt; i += 16)
    for (long j = 0; j < columns; j += 16) {
      vf r[16];
      const long width = columns - j;
      for (int k = 0; k < 16; k++) {
        const float *from = x + (i + k) * ldx + j;
        r[k] = i + k >= rows ? splat(0) : width >= 16 ? load(from) : load_part(from, width, 0);
      }
      transpose16(r);
      for (int k = 0; k < 16 && k < width; k++) store(t + (j + k) * ldt + i, r[k]);
    }
}

// Lanes of the block from column j on that lie in [from, to).
INLINE vi inside(long j, long from, long to) {
  const vi lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const int32_t a = (int32_t)(from - j), b = (int32_t)(to - j);
  return (lane >= a) & (lane < b);
}

INLINE vf score(const struct swiftlet_scores *o, vf s) {
  const vf x = s * splat(o->scale);
  return o->cap > 0 ? splat(o->cap) * hyperbolic_tangent(x * splat(1.f / o->cap)) : x;
}

static float NAME(softmax_block)(const struct swiftlet_scores *o, float *s, long n, long from, long to, float *maximum, float *total) {
  const vf least = splat(-__builtin_inff());
  vf most = least;
  for (long j = 0; j < n; j += 16) {
    const vf x = pick(inside(j, from, to), score(o, load(s + j)), least);
    store(s + j, x);
    most = larger(x, most);
  }
  const float block = max_lanes(most), before = *maximum;
  if (block == -__builtin_inff()) {
    for (long j = 0; j < n; j += 16) store(s + j, splat(0));
    return 1.f;
  }
  const float after = block > before ? block : before;
  const vf shift = splat(after);
  vf sum = splat(0);
  for (long j = 0; j < n; j += 16) {
    const vf p = exponential(load(s + j) - shift);
    store(s + j, p);
    sum += p;
  }
  float factor = 1.f;
  if (after != before) {
    float lanes[16];
    store(lanes, exponential(splat(before - after)));
    factor = lanes[0];
  }
  *maximum = after;
  *total = *total * factor + sum_lanes(sum);
  return factor;
}

static void NAME(softmax_block_backward)(const struct swiftlet_scores *o, float *s, float *dp, long n, long from, long to, float log_sum,
                                         float pull) {
  const vf shift = splat(log_sum), d = splat(pull), scale = splat(o->scale), zero = splat(0);
  for (long j = 0; j < n; j += 16) {
    const vi mask = inside(j, from, to);
    const vf x = score(o, load(s + j));
    const vf p = pick(mask, exponential(x - shift), zero);
    vf g = p * (load(dp + j) - d) * scale;
    if (o->cap > 0) {
      const vf t = x * splat(1.f / o->cap);
      g *= splat(1.f) - t * t;
    }
    store(s + j, p);
    store(dp + j, pick(mask, g, zero));
  }
}

const struct row_kernels JOIN(swiftlet_rows, ISA) = {
    NAME(rms_norm),     NAME(rms_norm_backward), NAME(gate), NAME(gate_backward), NAME(log_sum),       NAME(sum),
    NAME(exponentials), NAME(cap),               NAME(rope), NAME(add),           NAME(dropout),       NAME(adamw),
    NAME(small_gemm),   NAME(transpose),         NAME(softmax_block),             NAME(softmax_block_backward),
    NAME(dot),          NAME(scale),
};
