// Attention in float32 arithmetic for any number type and any head size: the definition on CUDA, and what everything falls back to.
//
// A block of 8 warps has 8·ROWS queries (forward, dq) or keys (dk, dv) of one head, ROWS of them a warp, and walks over the others 32 at a
// time, one a lane: scores as plain dot products from shared memory, the softmax by warp shuffles, products with the probabilities by
// broadcasting them lane by lane. FLOPs: 4·d per visible pair forward, 6·d (dq) + 8·d (dk, dv) backward; bytes: q and out once, k and v once
// per 8·ROWS queries. Bound by shared-memory reads: about (1 + 4/ROWS)/4 of a load per multiply-add.
//
// H200, causal, bf16, 32/8 heads of 128 (2026-11-21): forward 9.9 ms at 4×2048 (14 TFLOP/s).
//
// -DT= number type, -DD= features of a query and key head, -DDV= of a value head, -DROWS= rows a warp, -DCAP=1 with a soft-cap.
#include "numbers.cuh"
#include "attention.cuh"

constexpr int WARPS = 8, BLOCK = 32, TILE = WARPS * ROWS, WIDE = D > DV ? D : DV, STRIDE = WIDE + 1 - WIDE % 2;

// `count` of `rows` rows of `width` features to shared memory as float32, the rest zeros.
template <int WIDTH> __device__ __forceinline__ void load(float *target, int stride, const T *source, int64 pitch, int count, int rows) {
  for (int i = threadIdx.x; i < rows * WIDTH; i += WARPS * 32) {
    int r = i / WIDTH, c = i % WIDTH;
    target[r * stride + c] = r < count ? to_float(source[r * pitch + c]) : 0;
  }
}

// sums[r] = rows[r] · (row `lane` of others)
template <int WIDTH> __device__ __forceinline__ void dots(float (&sums)[ROWS], const float *rows, int pitch, const float *other) {
#pragma unroll
  for (int r = 0; r < ROWS; r++) sums[r] = 0;
#pragma unroll 4
  for (int d = 0; d < WIDTH; d++) {
    float x = other[d];
#pragma unroll
    for (int r = 0; r < ROWS; r++) sums[r] = fmaf(rows[r * pitch + d], x, sums[r]);
  }
}

// sums[r][c] += Σ over lanes weight[r] · others[lane][32·c + this lane]
template <int WIDTH, int PARTS>
__device__ __forceinline__ void accumulate(float (&sums)[ROWS][PARTS], const float (&weight)[ROWS], const float *others, int lane) {
  for (int j = 0; j < BLOCK; j++) {
    float w[ROWS];
#pragma unroll
    for (int r = 0; r < ROWS; r++) w[r] = __shfl_sync(0xffffffffu, weight[r], j);
#pragma unroll
    for (int c = 0; c < PARTS; c++) {
      float x = c * 32 + lane < WIDTH ? others[j * STRIDE + c * 32 + lane] : 0;
#pragma unroll
      for (int r = 0; r < ROWS; r++) sums[r][c] = fmaf(w[r], x, sums[r][c]);
    }
  }
}

__device__ __forceinline__ float score(float dot, float scale, float cap) {
#if CAP
  return cap * tanhf(scale * dot / cap);
#else
  return scale * dot;
#endif
}
// d score / d dot, from the score.
__device__ __forceinline__ float slope(float score, float scale, float cap) {
#if CAP
  float t = score / cap;
  return scale * (1 - t * t);
#else
  return scale;
#endif
}

// out [tokens, heads·DV], sums [heads, tokens]: log-sums; q [tokens, heads·D], k, v; sinks [heads] or null; tiles or null: then all tokens are one
// sequence with `keys_of_one` keys. Grid (tiles, heads).
extern "C" __global__ void __launch_bounds__(WARPS * 32) attention_forward(
    T *out, float *sums, const T *q, const T *k, const T *v, const float *sinks, const QueryTile *tiles, int out_stride, int q_stride,
    int k_stride, int v_stride, int tokens, int keys_of_one, int group, int causal, int window, float scale, float cap) {
  extern __shared__ float memory[];
  float *queries = memory, *others = memory + TILE * D;
  const QueryTile tile = tile_of(tiles, blockIdx.x, TILE, tokens, keys_of_one);
  const int head = blockIdx.y, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  load<D>(queries, D, q + int64(tile.row) * q_stride + head * D, q_stride, tile.count, TILE);
  k += int64(tile.keyRow) * k_stride + head / group * D;
  v += int64(tile.keyRow) * v_stride + head / group * DV;
  float o[ROWS][(DV + 31) / 32] = {}, top[ROWS], total[ROWS];
#pragma unroll
  for (int r = 0; r < ROWS; r++) {
    top[r] = sinks ? sinks[head] : -INFINITY;
    total[r] = sinks ? 1 : 0;
  }
  const Range keys = visible(tile, causal, window);
  for (int key = keys.begin / BLOCK * BLOCK; key < keys.end; key += BLOCK) {
    const int count = min(BLOCK, tile.keys - key);
    __syncthreads();
    load<D>(others, STRIDE, k + int64(key) * k_stride, k_stride, count, BLOCK);
    __syncthreads();
    float p[ROWS];
    dots<D>(p, queries + warp * ROWS * D, D, others + lane * STRIDE);
    __syncthreads();
    load<DV>(others, STRIDE, v + int64(key) * v_stride, v_stride, count, BLOCK);
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
      const Range mine = visible(tile.position + warp * ROWS + r, tile.keys, causal, window);
      const bool seen = key + lane >= mine.begin && key + lane < mine.end;
      float s = seen ? score(p[r], scale, cap) : -INFINITY;
      float best = fmaxf(top[r], warp_max(s)), base = best == -INFINITY ? 0 : best;
      float factor = expf(top[r] - base);
      p[r] = expf(s - base);
      total[r] = total[r] * factor + warp_sum(p[r]);
      top[r] = best;
#pragma unroll
      for (int c = 0; c < (DV + 31) / 32; c++) o[r][c] *= factor;
    }
    __syncthreads();
    accumulate<DV>(o, p, others, lane);
  }
#pragma unroll
  for (int r = 0; r < ROWS; r++) {
    const int row = warp * ROWS + r;
    if (row >= tile.count) break;
    const float factor = total[r] > 0 ? 1 / total[r] : 0;
#pragma unroll
    for (int c = 0; c < (DV + 31) / 32; c++)
      if (c * 32 + lane < DV) out[int64(tile.row + row) * out_stride + head * DV + c * 32 + lane] = from_float<T>(o[r][c] * factor);
    if (lane == 0) sums[int64(head) * tokens + tile.row + row] = top[r] + logf(total[r]);
  }
}

// dq like q; gradient like out; grid (tiles, heads).
extern "C" __global__ void __launch_bounds__(WARPS * 32) attention_dq(
    T *dq, const T *q, const T *k, const T *v, const T *gradient, const float *sums, const float *pulls, const QueryTile *tiles,
    int dq_stride, int q_stride, int k_stride, int v_stride, int gradient_stride, int tokens, int group, int causal, int window, float scale,
    float cap) {
  extern __shared__ float memory[];
  float *queries = memory, *slopes = queries + TILE * D, *others = slopes + TILE * DV;
  const QueryTile tile = tiles[blockIdx.x];
  const int head = blockIdx.y, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  load<D>(queries, D, q + int64(tile.row) * q_stride + head * D, q_stride, tile.count, TILE);
  load<DV>(slopes, DV, gradient + int64(tile.row) * gradient_stride + head * DV, gradient_stride, tile.count, TILE);
  k += int64(tile.keyRow) * k_stride + head / group * D;
  v += int64(tile.keyRow) * v_stride + head / group * DV;
  float result[ROWS][(D + 31) / 32] = {}, sum[ROWS], pull[ROWS];
#pragma unroll
  for (int r = 0; r < ROWS; r++) {
    const bool there = warp * ROWS + r < tile.count;
    const int64 place = int64(head) * tokens + tile.row + warp * ROWS + r;
    sum[r] = there ? sums[place] : INFINITY;
    pull[r] = there ? pulls[place] : 0;
  }
  const Range keys = visible(tile, causal, window);
  for (int key = keys.begin / BLOCK * BLOCK; key < keys.end; key += BLOCK) {
    const int count = min(BLOCK, tile.keys - key);
    float s[ROWS], ds[ROWS];
    __syncthreads();
    load<DV>(others, STRIDE, v + int64(key) * v_stride, v_stride, count, BLOCK);
    __syncthreads();
    dots<DV>(ds, slopes + warp * ROWS * DV, DV, others + lane * STRIDE);
    __syncthreads();
    load<D>(others, STRIDE, k + int64(key) * k_stride, k_stride, count, BLOCK);
    __syncthreads();
    dots<D>(s, queries + warp * ROWS * D, D, others + lane * STRIDE);
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
      const Range mine = visible(tile.position + warp * ROWS + r, tile.keys, causal, window);
      const bool seen = key + lane >= mine.begin && key + lane < mine.end;
      const float x = score(s[r], scale, cap);
      ds[r] = seen ? expf(x - sum[r]) * (ds[r] - pull[r]) * slope(x, scale, cap) : 0;
    }
    accumulate<D>(result, ds, others, lane);
  }
#pragma unroll
  for (int r = 0; r < ROWS; r++) {
    const int row = warp * ROWS + r;
    if (row >= tile.count) break;
#pragma unroll
    for (int c = 0; c < (D + 31) / 32; c++)
      if (c * 32 + lane < D) dq[int64(tile.row + row) * dq_stride + head * D + c * 32 + lane] = from_float<T>(result[r][c]);
  }
}

// dk like k, dv like v, summed over the heads of the group in ascending order; grid (tiles, key heads).
extern "C" __global__ void __launch_bounds__(WARPS * 32) attention_dkv(
    T *dk, T *dv, const T *q, const T *k, const T *v, const T *gradient, const float *sums, const float *pulls, const KeyTile *tiles,
    int dk_stride, int dv_stride, int q_stride, int k_stride, int v_stride, int gradient_stride, int tokens, int group, int causal,
    int window, float scale, float cap) {
  extern __shared__ float memory[];
  float *keys = memory, *values = keys + TILE * D, *others = values + TILE * DV;
  const KeyTile tile = tiles[blockIdx.x];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  load<D>(keys, D, k + int64(tile.row) * k_stride + blockIdx.y * D, k_stride, tile.count, TILE);
  load<DV>(values, DV, v + int64(tile.row) * v_stride + blockIdx.y * DV, v_stride, tile.count, TILE);
  float result_k[ROWS][(D + 31) / 32] = {}, result_v[ROWS][(DV + 31) / 32] = {};
  const Range all = seeing(tile, causal, window);
  for (int head = blockIdx.y * group; head < (blockIdx.y + 1) * group; head++)
    for (int query = all.begin / BLOCK * BLOCK; query < all.end; query += BLOCK) {
      const int count = min(BLOCK, tile.queries - query);
      const int64 row = tile.queryRow + query;
      float p[ROWS], ds[ROWS];
      __syncthreads();
      load<D>(others, STRIDE, q + row * q_stride + head * D, q_stride, count, BLOCK);
      __syncthreads();
      dots<D>(p, keys + warp * ROWS * D, D, others + lane * STRIDE);
      __syncthreads();
      load<DV>(others, STRIDE, gradient + row * gradient_stride + head * DV, gradient_stride, count, BLOCK);
      __syncthreads();
      dots<DV>(ds, values + warp * ROWS * DV, DV, others + lane * STRIDE);
      const float sum = lane < count ? sums[int64(head) * tokens + row + lane] : INFINITY;
      const float pull = lane < count ? pulls[int64(head) * tokens + row + lane] : 0;
      const Range mine = visible(tile.offset + query + lane, tile.keys, causal, window);
#pragma unroll
      for (int r = 0; r < ROWS; r++) {
        const int key = tile.first + warp * ROWS + r;
        const bool seen = lane < count && key >= mine.begin && key < mine.end;
        const float x = score(p[r], scale, cap);
        p[r] = seen ? expf(x - sum) : 0;
        ds[r] = p[r] * (ds[r] - pull) * slope(x, scale, cap);
      }
      accumulate<DV>(result_v, p, others, lane);
      __syncthreads();
      load<D>(others, STRIDE, q + row * q_stride + head * D, q_stride, count, BLOCK);
      __syncthreads();
      accumulate<D>(result_k, ds, others, lane);
    }
#pragma unroll
  for (int r = 0; r < ROWS; r++) {
    const int row = warp * ROWS + r;
    if (row >= tile.count) break;
#pragma unroll
    for (int c = 0; c < (D + 31) / 32; c++)
      if (c * 32 + lane < D) dk[int64(tile.row + row) * dk_stride + blockIdx.y * D + c * 32 + lane] = from_float<T>(result_k[r][c]);
#pragma unroll
    for (int c = 0; c < (DV + 31) / 32; c++)
      if (c * 32 + lane < DV) dv[int64(tile.row + row) * dv_stride + blockIdx.y * DV + c * 32 + lane] = from_float<T>(result_v[r][c]);
  }
}
