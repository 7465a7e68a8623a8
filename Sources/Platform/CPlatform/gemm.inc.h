// The matrix kernels of one instruction set. Needs LANES, VECTORS (of a tile's row), ROWS (of a tile), KERNELS (name of the
// table), DIRECT_ROWS, simd.inc.h, `transpose(vf[LANES])` and `dot_pairs(acc, a, b)`.
enum { width = LANES * VECTORS, direct_ahead = 256 };

// --- packing: numbers whose k is consecutive are transposed, LANES by LANES ---

INLINE void store_words(float *out, size_t step, const vf *r, size_t count) {
  if (count == LANES) {
#pragma clang loop unroll(full)
    for (int j = 0; j < LANES; j++) store(out + j * step, r[j]);
  } else
    for (size_t j = 0; j < count; j++) store(out + j * step, r[j]);
}

INLINE void load_rows(vf *r, size_t lanes, const void *data, size_t stride, size_t at, size_t count, int type) {
  if (lanes == LANES && count == LANES) {
#pragma clang loop unroll(full)
    for (int i = 0; i < LANES; i++) r[i] = load_as(data, at + i * stride, type);
    return;
  }
  for (size_t i = 0; i < LANES; i++)
    r[i] = i >= lanes ? splat(0) : count == LANES ? load_as(data, at + i * stride, type) : load_part(data, at + i * stride, count, type);
}

INLINE void pack_transposing(float *out, size_t step, size_t lanes, struct gemm_source from, size_t k, int type) {
  for (size_t p = 0; p < k; p += LANES) {
    vf r[LANES];
    const size_t count = k - p < LANES ? k - p : LANES;
    load_rows(r, lanes, from.data, from.lane_step, p, count, type);
    transpose(r);
    store_words(out + p * step, step, r, count);
  }
}

// Rows of bfloat16 as rows of pairs: half the shuffles, and already the words of `tile_pairs`.
INLINE void load_pairs(vf *r, size_t lanes, const uint16_t *data, size_t stride, size_t at, size_t count) {
  if (lanes == LANES && count == 2 * LANES) {
#pragma clang loop unroll(full)
    for (int i = 0; i < LANES; i++) r[i] = load((const float *)(data + at + i * stride));
    return;
  }
  for (size_t i = 0; i < LANES; i++) {
    r[i] = splat(0);
    if (i < lanes) memcpy(&r[i], data + at + i * stride, count * 2);
  }
}

INLINE void pack_transposing_bf16(float *out, size_t step, size_t lanes, struct gemm_source from, size_t k, bool keep_pairs) {
  for (size_t p = 0; p < k; p += 2 * LANES) {
    vf r[LANES];
    const size_t count = k - p < 2 * LANES ? k - p : 2 * LANES;
    load_pairs(r, lanes, from.data, from.lane_step, p, count);
    transpose(r);
    if (keep_pairs) {
      store_words(out + p / 2 * step, step, r, (count + 1) / 2);
      continue;
    }
    float *const to = out + p * step;
    for (size_t j = 0; j < count; j += 2) {
      store(to + j * step, (vf)((vu)r[j / 2] << 16));
      if (j + 1 < count) store(to + (j + 1) * step, (vf)((vu)r[j / 2] & 0xffff0000));
    }
  }
}

// All rows but the last may be read beyond their lanes where rows are long enough: the numbers belong to the matrix, and what they
// become is overwritten by the next word or thrown away with the columns that are not there.
INLINE void pack_copying(float *out, size_t step, size_t lanes, struct gemm_source from, size_t k, int type) {
  const size_t whole = lanes == LANES ? k : from.k_step >= LANES ? k - 1 : 0;
  for (size_t p = 0; p < whole; p++) store(out + p * step, load_as(from.data, p * from.k_step, type));
  for (size_t p = whole; p < k; p++) store(out + p * step, load_part(from.data, p * from.k_step, lanes, type));
}

INLINE vu halves(const void *data, size_t at, size_t lanes) {
  vh h = {0};
  memcpy(&h, (const uint16_t *)data + at, lanes * 2);
  return __builtin_convertvector(h, vu);
}

static void pack_group(float *out, size_t step, size_t lanes, struct gemm_source from, size_t k) {
  const bool words = from.k_step == 1;
  switch (from.type) {
    case SWIFTLET_F32:
      if (words) pack_transposing(out, step, lanes, from, k, SWIFTLET_F32);
      else pack_copying(out, step, lanes, from, k, SWIFTLET_F32);
      return;
    case SWIFTLET_BF16:
      if (words) pack_transposing_bf16(out, step, lanes, from, k, false);
      else pack_copying(out, step, lanes, from, k, SWIFTLET_BF16);
      return;
    case SWIFTLET_F16:
      if (words) pack_transposing(out, step, lanes, from, k, SWIFTLET_F16);
      else pack_copying(out, step, lanes, from, k, SWIFTLET_F16);
      return;
  }
}

static void pack_pairs_group(float *out, size_t step, size_t lanes, struct gemm_source from, size_t k) {
  if (from.k_step == 1) return pack_transposing_bf16(out, step, lanes, from, k, true);
  for (size_t p = 0; p < k; p += 2) {
    const vu low = halves(from.data, p * from.k_step, lanes);
    const vu high = p + 1 < k ? halves(from.data, (p + 1) * from.k_step, lanes) : (vu){0};
    store(out + p / 2 * step, (vf)(low | high << 16));
  }
}

INLINE struct gemm_source from_lane(struct gemm_source from, size_t lane) {
  const size_t size = from.type == SWIFTLET_F32 ? 4 : 2;
  from.data = (const char *)from.data + lane * from.lane_step * size;
  return from;
}

// A panel of A (up to ROWS lanes, as wide as it has lanes) is one group; one of B is VECTORS groups, zero beyond its lanes.
typedef void (*group_packer)(float *, size_t, size_t, struct gemm_source, size_t);
INLINE void pack_groups(float *out, size_t step, size_t lanes, struct gemm_source from, size_t k, size_t words, group_packer group) {
  if (step < width) return group(out, step, lanes, from, k);
  for (size_t lane = 0; lane < width; lane += LANES) {
    if (lane >= lanes)
      for (size_t p = 0; p < words; p++) store(out + lane + p * step, splat(0));
    else group(out + lane, step, lanes - lane < LANES ? lanes - lane : LANES, from_lane(from, lane), k);
  }
}

static void pack(float *out, size_t step, size_t lanes, struct gemm_source from, size_t k) {
  pack_groups(out, step, lanes, from, k, k, pack_group);
}

static void pack_pairs(float *out, size_t step, size_t lanes, struct gemm_source from, size_t k) {
  pack_groups(out, step, lanes, from, k, (k + 1) / 2, pack_pairs_group);
}

// --- tiles: ROWS by VECTORS accumulators stay in registers ---

INLINE void finish(const vf *sums, size_t columns, float alpha, float *c, bool add) {
  const vf scale = splat(alpha);
  float edge[width];
  float *const to = columns == width ? c : edge;
  if (columns != width && add) memcpy(edge, c, columns * 4);
#pragma clang loop unroll(full)
  for (int v = 0; v < VECTORS; v++) {
    const vf sum = sums[v];
    store(to + v * LANES, add ? fma_v(scale, sum, load(to + v * LANES)) : scale * sum);
  }
  if (columns != width) memcpy(c, edge, columns * 4);
}

INLINE void tile_rows(const int rows, size_t columns, size_t k, const float *a, const float *b, float alpha, float *c, size_t ldc,
                      bool add, const bool pairs) {
  vf sums[ROWS][VECTORS];
#pragma clang loop unroll(full)
  for (int i = 0; i < rows; i++) {
    __builtin_prefetch(c + i * ldc, 1);
#pragma clang loop unroll(full)
    for (int v = 0; v < VECTORS; v++) sums[i][v] = splat(0);
  }
#pragma clang loop unroll(disable)
  for (size_t p = 0; p < k; p++, a += rows, b += width) {
    __builtin_prefetch(a + 48 * rows);  // panels of A come from the second level: 154 became 213 GFLOP/s
    vf columns_of_b[VECTORS];
#pragma clang loop unroll(full)
    for (int v = 0; v < VECTORS; v++) columns_of_b[v] = load(b + v * LANES);
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
      const vf x = splat(a[i]);
#pragma clang loop unroll(full)
      for (int v = 0; v < VECTORS; v++)
        sums[i][v] = pairs ? dot_pairs(sums[i][v], x, columns_of_b[v]) : fma_v(x, columns_of_b[v], sums[i][v]);
    }
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < rows; i++) finish(sums[i], columns, alpha, c + i * ldc, add);
}

#define TILE(R) case R: tile_rows(R <= ROWS ? R : ROWS, columns, k, a, b, alpha, c, ldc, add, PAIRS); return;
#define TILES switch (rows) { \
    TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6) TILE(7) TILE(8) TILE(9) TILE(10) TILE(11) TILE(12) TILE(13) TILE(14) }

static void tile(size_t rows, size_t columns, size_t k, const float *a, const float *b, float alpha, float *c, size_t ldc, bool add) {
#define PAIRS false
  TILES
#undef PAIRS
}

static void tile_pairs(size_t rows, size_t columns, size_t k, const float *a, const float *b, float alpha, float *c, size_t ldc,
                       bool add) {
#define PAIRS true
  TILES
#undef PAIRS
}

// --- few rows: transposed in registers and used at once, so that weights are read once and nothing is written ---

INLINE vf word(const vf *r, size_t j, const int type) {
  if (type != SWIFTLET_BF16) return r[j];
  return j % 2 ? (vf)((vu)r[j / 2] & 0xffff0000) : (vf)((vu)r[j / 2] << 16);
}

// Adds up to `step` words of LANES columns to the sums of every row. `whole` promises all lanes and a full step.
// What will be needed is asked for into the second level: 32 rows that lie a power of two apart would drive each other out of the
// first. After its end a row goes on as the row that the next tile begins with. Together 21 became 29 GB/s of 29.
INLINE void direct_step(const int rows, vf (*sums)[VECTORS], const int v, const float *x, struct gemm_source b, size_t lanes, size_t at,
                        size_t count, size_t k, const int type, const bool whole) {
  const size_t step = type == SWIFTLET_BF16 ? 2 * LANES : LANES;
  vf r[LANES];
  if (type == SWIFTLET_BF16) load_pairs(r, whole ? LANES : lanes, b.data, b.lane_step, at, whole ? step : count);
  else load_rows(r, whole ? LANES : lanes, b.data, b.lane_step, at, whole ? step : count, type);
  if (whole) {
    const size_t size = type == SWIFTLET_F32 ? 4 : 2, next = at + direct_ahead / size;
    const char *const ahead = (const char *)b.data + size * (next < k ? next : next - k + width * b.lane_step);
#pragma clang loop unroll(full)
    for (int i = 0; i < LANES; i++) __builtin_prefetch(ahead + i * b.lane_step * size, 0, 2);
  }
  transpose(r);
  if (whole) {
#pragma clang loop unroll(full)
    for (size_t j = 0; j < step; j++)
#pragma clang loop unroll(full)
      for (int i = 0; i < rows; i++) sums[i][v] = fma_v(splat(x[j * rows + i]), word(r, j, type), sums[i][v]);
    return;
  }
  for (size_t j = 0; j < count; j++)
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) sums[i][v] = fma_v(splat(x[j * rows + i]), word(r, j, type), sums[i][v]);
}

INLINE void direct_rows(const int rows, size_t columns, size_t k, const float *a, struct gemm_source b, float alpha, float *c, size_t ldc,
                        bool add, const int type) {
  const size_t step = type == SWIFTLET_BF16 ? 2 * LANES : LANES;
  for (size_t begin = 0; begin < k; begin += gemm_block, add = true) {
    const size_t end = k - begin < gemm_block ? k : begin + gemm_block;
    vf sums[DIRECT_ROWS][VECTORS];
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
      for (int v = 0; v < VECTORS; v++) sums[i][v] = splat(0);
    // Few rows need the sums of all vectors in flight to hide the latency; many would not find registers for them.
    const int together = rows < 4 ? VECTORS : 1;
#pragma clang loop unroll(full)
    for (int first = 0; first < VECTORS; first += together) {
      size_t p = begin;
      if (columns == width)
        for (; p + step <= end; p += step)
#pragma clang loop unroll(full)
          for (int v = first; v < first + together; v++)
            direct_step(rows, sums, v, a + p * rows, from_lane(b, v * LANES), LANES, p, step, k, type, true);
      for (; p < end; p += step)
#pragma clang loop unroll(full)
        for (int v = first; v < first + together; v++) {
          const size_t lanes = columns <= (size_t)v * LANES ? 0 : columns - v * LANES < LANES ? columns - v * LANES : LANES;
          direct_step(rows, sums, v, a + p * rows, from_lane(b, v * LANES), lanes, p, end - p < step ? end - p : step, k, type, false);
        }
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) finish(sums[i], columns, alpha, c + i * ldc, add);
  }
}

#define DIRECT(R, T) case (R) * 4 + T: direct_rows(R, columns, k, a, b, alpha, c, ldc, add, T); return;
#define DIRECTS(R) DIRECT(R, SWIFTLET_F32) DIRECT(R, SWIFTLET_BF16) DIRECT(R, SWIFTLET_F16)

static void direct(size_t rows, size_t columns, size_t k, const float *a, struct gemm_source b, float alpha, float *c, size_t ldc,
                   bool add) {
  switch (rows * 4 + b.type) {
    DIRECTS(1)
#if DIRECT_ROWS >= 4
    DIRECTS(2) DIRECTS(3) DIRECTS(4)
#endif
#if DIRECT_ROWS >= 8
    DIRECTS(5) DIRECTS(6) DIRECTS(7) DIRECTS(8)
#endif
  }
}

const struct gemm_kernels KERNELS = {ROWS, width, DIRECT_ROWS, pack, pack_pairs, tile, tile_pairs, direct};
