// Vectors of 16 floats for the row kernels (rows_kernels.h), and the loops over rows. The compiler splits a vector where the machine's are
// narrower, so that sums run in the same order everywhere.

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
