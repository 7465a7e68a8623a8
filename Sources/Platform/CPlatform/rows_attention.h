// Small matrices and masked softmax, for blocks of an attention.

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
