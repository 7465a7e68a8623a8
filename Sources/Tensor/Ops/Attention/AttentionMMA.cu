// Attention by warp-wide matrix instructions: bf16 and fp16 from sm_80 on, fp16 on sm_75; head sizes that are multiples of 16.
//
// A warp has 16 queries (forward, dq) or 16 keys (dk, dv) of one head. Forward: scores of BLOCK keys in the accumulators, softmax there, and
// the same registers are the next product's operand. Backward goes twice over the scores, once by queries for dq and once by keys for dk
// and dv, so nothing is summed through memory: 7 products instead of 5, no workspace, any grid. Tiles come by cp.async into rows padded by
// 16 bytes (no bank conflicts for ldmatrix); the next keys load under the product with the values and the other way round.
// FLOPs: 4·D per visible pair forward, 14·D backward; bytes: q and out once, k and v once per tile of 16·WARPS queries.
//
// H200, causal, bf16, 32/8 heads of 128 (2026-11-21): forward 743 µs at 4×2048 (185 TFLOP/s), 2734 at 1×8192 (201); backward 54 + 820 + 1387 µs
// (152) and 54 + 3005 + 5420 (162). 8 warps: 20% less, 32 keys: 7% less. Registers (255 in backward) hold it to two blocks.
//
// -DT= bf16 or half16, -DD= head size, -DWARPS= (4), -DBLOCK= (64, 32), -DPARTS= slices of the columns of dk and dv (1; 2 for 256), -DCAP=1.
#include "mma.cuh"
#include "attention.cuh"

constexpr int TILE = WARPS * 16, STRIDE = D + 8, STEPS = D / 16, WIDTH = D / PARTS;
static_assert(D % 16 == 0 && WIDTH % 16 == 0, "whole matrix steps");

// Rows from `source` to shared memory, zeros beyond `count`.
template <int ROWS> __device__ __forceinline__ void load(T *target, const T *source, int64 pitch, int count) {
  constexpr int CHUNKS = D / 8;
#pragma unroll 4
  for (int i = threadIdx.x; i < ROWS * CHUNKS; i += WARPS * 32) {
    const int r = i / CHUNKS, c = i % CHUNKS * 8;
    copy_async(shared_address(target + r * STRIDE + c), source + (r < count ? r * pitch : 0) + c, r < count);
  }
}
// The A operand: rows of this warp, features 16·step…
__device__ __forceinline__ void rows_operand(uint32 (&a)[4], const T *rows, int step) {
  const int lane = threadIdx.x % 32;
  ldmatrix(a, shared_address(rows + lane % 16 * STRIDE + step * 16 + lane / 16 * 8));
}
// c[16 × BLOCK] += rows · othersᵀ
__device__ __forceinline__ void product(float (&c)[BLOCK / 8][4], const T *rows, const T *others) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int step = 0; step < STEPS; step++) {
    uint32 a[4];
    rows_operand(a, rows, step);
#pragma unroll
    for (int n = 0; n < BLOCK / 16; n++) {
      uint32 b[4];
      ldmatrix(b, shared_address(others + (n * 16 + lane / 16 * 8 + lane % 8) * STRIDE + step * 16 + lane / 8 % 2 * 8));
      mma<T>(c[2 * n], a, b[0], b[1]);
      mma<T>(c[2 * n + 1], a, b[2], b[3]);
    }
  }
}
// c[16 × COLUMNS] += p[16 × BLOCK] · others[BLOCK × COLUMNS], p rounded to T
template <int COLUMNS>
__device__ __forceinline__ void weighted(float (&c)[COLUMNS / 8][4], const float (&p)[BLOCK / 8][4], const T *others) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int step = 0; step < BLOCK / 16; step++) {
    const uint32 a[4] = {pack_pair<T>(p[2 * step][0], p[2 * step][1]), pack_pair<T>(p[2 * step][2], p[2 * step][3]),
                         pack_pair<T>(p[2 * step + 1][0], p[2 * step + 1][1]), pack_pair<T>(p[2 * step + 1][2], p[2 * step + 1][3])};
#pragma unroll
    for (int n = 0; n < COLUMNS / 16; n++) {
      uint32 b[4];
      ldmatrix_transposed(b, shared_address(others + (step * 16 + lane % 16) * STRIDE + n * 16 + lane / 16 * 8));
      mma<T>(c[2 * n], a, b[0], b[1]);
      mma<T>(c[2 * n + 1], a, b[2], b[3]);
    }
  }
}
// Rows of this warp to device memory, times a factor each.
template <int COLUMNS>
__device__ __forceinline__ void store(T *target, int64 pitch, int first, int count, const float (&c)[COLUMNS / 8][4], float low, float high) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int half = 0; half < 2; half++) {
    const int row = first + lane / 4 + half * 8;
    const float factor = half ? high : low;
    if (row >= count) continue;
#pragma unroll
    for (int n = 0; n < COLUMNS / 8; n++)
      *reinterpret_cast<uint32 *>(target + row * pitch + n * 8 + lane % 4 * 2) = pack_pair<T>(c[n][2 * half] * factor, c[n][2 * half + 1] * factor);
  }
}
// Scores in units of log 2 from dot products: 2^score is the exponential.
__device__ __forceinline__ float score(float dot, float scale, float cap) {
#if CAP
  return cap * LOG2E * tanh_fast(dot * scale / cap);
#else
  return dot * (scale * LOG2E);
#endif
}
// d score / d (scale·dot), from the score.
__device__ __forceinline__ float slope(float score, float cap) {
#if CAP
  const float t = score / (cap * LOG2E);
  return 1 - t * t;
#else
  return 1;
#endif
}

// out [tokens, heads·D], sums [heads, tokens]: log-sums; q [tokens, heads·D], k, v; sinks [heads] or null; tiles or null: then all tokens are one
// sequence with `keys_of_one` keys. Grid (tiles, heads).
extern "C" __global__ void __launch_bounds__(WARPS * 32) attention_forward(
    T *out, float *sums, const T *q, const T *k, const T *v, const float *sinks, const QueryTile *tiles, int out_stride, int q_stride,
    int k_stride, int v_stride, int tokens, int keys_of_one, int group, int causal, int window, float scale, float cap) {
  extern __shared__ __align__(16) unsigned char memory[];
  T *queries = reinterpret_cast<T *>(memory), *keys = queries + TILE * STRIDE, *values = keys + BLOCK * STRIDE;
  const QueryTile tile = tile_of(tiles, blockIdx.x, TILE, tokens, keys_of_one);
  const int head = blockIdx.y, lane = threadIdx.x % 32, first = threadIdx.x / 32 * 16;
  k += int64(tile.keyRow) * k_stride + head / group * D;
  v += int64(tile.keyRow) * v_stride + head / group * D;
  const Range all = visible(tile, causal, window);
  int key = all.begin / BLOCK * BLOCK;
  load<TILE>(queries, q + int64(tile.row) * q_stride + head * D, q_stride, tile.count);
  if (key < all.end) load<BLOCK>(keys, k + int64(key) * k_stride, k_stride, tile.keys - key);
  copy_commit();
  float o[D / 8][4] = {}, top[2], total[2];
  Range mine[2];
#pragma unroll
  for (int i = 0; i < 2; i++) {
    top[i] = sinks ? sinks[head] * LOG2E : -INFINITY;
    total[i] = sinks && lane % 4 == 0 ? 1 : 0;
    mine[i] = visible(tile.position + first + lane / 4 + 8 * i, tile.keys, causal, window);
  }
  for (; key < all.end; key += BLOCK) {
    load<BLOCK>(values, v + int64(key) * v_stride, v_stride, tile.keys - key);
    copy_commit();
    copy_wait<1>();
    __syncthreads();
    float s[BLOCK / 8][4] = {};
    product(s, queries + first * STRIDE, keys);
    __syncthreads();
    if (key + BLOCK < all.end) load<BLOCK>(keys, k + int64(key + BLOCK) * k_stride, k_stride, tile.keys - key - BLOCK);
    copy_commit();
    const bool whole = key >= visible(tile.position + first + 15, tile.keys, causal, window).begin &&
                       key + BLOCK <= visible(tile.position + first, tile.keys, causal, window).end;
    float best[2] = {top[0], top[1]}, base[2], factor[2];
#pragma unroll
    for (int n = 0; n < BLOCK / 8; n++)
#pragma unroll
      for (int e = 0; e < 4; e++) {
        const int place = key + n * 8 + lane % 4 * 2 + e % 2;
        s[n][e] = whole || (place >= mine[e / 2].begin && place < mine[e / 2].end) ? score(s[n][e], scale, cap) : -INFINITY;
        best[e / 2] = fmaxf(best[e / 2], s[n][e]);
      }
#pragma unroll
    for (int i = 0; i < 2; i++) {
      best[i] = fmaxf(best[i], __shfl_xor_sync(0xffffffffu, best[i], 1));
      best[i] = fmaxf(best[i], __shfl_xor_sync(0xffffffffu, best[i], 2));
      base[i] = best[i] == -INFINITY ? 0 : best[i];
      factor[i] = exp2_fast(top[i] - base[i]);
      total[i] *= factor[i];
      top[i] = best[i];
    }
#pragma unroll
    for (int n = 0; n < BLOCK / 8; n++)
#pragma unroll
      for (int e = 0; e < 4; e++) total[e / 2] += s[n][e] = exp2_fast(s[n][e] - base[e / 2]);
#pragma unroll
    for (int n = 0; n < D / 8; n++)
#pragma unroll
      for (int e = 0; e < 4; e++) o[n][e] *= factor[e / 2];
    copy_wait<1>();
    __syncthreads();
    weighted<D>(o, s, values);
    __syncthreads();
  }
  float factor[2];
#pragma unroll
  for (int i = 0; i < 2; i++) {
    total[i] += __shfl_xor_sync(0xffffffffu, total[i], 1);
    total[i] += __shfl_xor_sync(0xffffffffu, total[i], 2);
    factor[i] = total[i] > 0 ? 1 / total[i] : 0;
    const int row = first + lane / 4 + 8 * i;
    if (lane % 4 == 0 && row < tile.count) sums[int64(head) * tokens + tile.row + row] = top[i] * LN2 + logf(total[i]);
  }
  store<D>(out + int64(tile.row) * out_stride + head * D, out_stride, first, tile.count, o, factor[0], factor[1]);
}

// dq like q; gradient like out; pulls [heads, tokens] = Σ dy·y; grid (tiles, heads).
extern "C" __global__ void __launch_bounds__(WARPS * 32) attention_dq(
    T *dq, const T *q, const T *k, const T *v, const T *gradient, const float *sums, const float *pulls, const QueryTile *tiles,
    int dq_stride, int q_stride, int k_stride, int v_stride, int gradient_stride, int tokens, int group, int causal, int window, float scale,
    float cap) {
  extern __shared__ __align__(16) unsigned char memory[];
  T *queries = reinterpret_cast<T *>(memory), *slopes = queries + TILE * STRIDE, *keys = slopes + TILE * STRIDE,
    *values = keys + BLOCK * STRIDE;
  const QueryTile tile = tiles[blockIdx.x];
  const int head = blockIdx.y, lane = threadIdx.x % 32, first = threadIdx.x / 32 * 16;
  k += int64(tile.keyRow) * k_stride + head / group * D;
  v += int64(tile.keyRow) * v_stride + head / group * D;
  const Range all = visible(tile, causal, window);
  int key = all.begin / BLOCK * BLOCK;
  load<TILE>(queries, q + int64(tile.row) * q_stride + head * D, q_stride, tile.count);
  load<TILE>(slopes, gradient + int64(tile.row) * gradient_stride + head * D, gradient_stride, tile.count);
  if (key < all.end) load<BLOCK>(keys, k + int64(key) * k_stride, k_stride, tile.keys - key);
  copy_commit();
  float result[D / 8][4] = {}, sum[2], pull[2];
  Range mine[2];
#pragma unroll
  for (int i = 0; i < 2; i++) {
    const int row = first + lane / 4 + 8 * i;
    const int64 place = int64(head) * tokens + tile.row + row;
    sum[i] = row < tile.count ? sums[place] * LOG2E : INFINITY;
    pull[i] = row < tile.count ? pulls[place] : 0;
    mine[i] = visible(tile.position + row, tile.keys, causal, window);
  }
  for (; key < all.end; key += BLOCK) {
    load<BLOCK>(values, v + int64(key) * v_stride, v_stride, tile.keys - key);
    copy_commit();
    copy_wait<1>();
    __syncthreads();
    float s[BLOCK / 8][4] = {}, ds[BLOCK / 8][4] = {};
    product(s, queries + first * STRIDE, keys);
    copy_wait<0>();
    __syncthreads();
    product(ds, slopes + first * STRIDE, values);
#pragma unroll
    for (int n = 0; n < BLOCK / 8; n++)
#pragma unroll
      for (int e = 0; e < 4; e++) {
        const int place = key + n * 8 + lane % 4 * 2 + e % 2;
        const float x = score(s[n][e], scale, cap);
        const float p = place >= mine[e / 2].begin && place < mine[e / 2].end ? exp2_fast(x - sum[e / 2]) : 0;
        ds[n][e] = p * (ds[n][e] - pull[e / 2]) * slope(x, cap);
      }
    weighted<D>(result, ds, keys);
    __syncthreads();
    if (key + BLOCK < all.end) load<BLOCK>(keys, k + int64(key + BLOCK) * k_stride, k_stride, tile.keys - key - BLOCK);
    copy_commit();
  }
  store<D>(dq + int64(tile.row) * dq_stride + head * D, dq_stride, first, tile.count, result, scale, scale);
}

// dk like k, dv like v, summed over the heads of the group in ascending order; grid (tiles, key heads, PARTS).
extern "C" __global__ void __launch_bounds__(WARPS * 32) attention_dkv(
    T *dk, T *dv, const T *q, const T *k, const T *v, const T *gradient, const float *sums, const float *pulls, const KeyTile *tiles,
    int dk_stride, int dv_stride, int q_stride, int k_stride, int v_stride, int gradient_stride, int tokens, int group, int causal,
    int window, float scale, float cap) {
  extern __shared__ __align__(16) unsigned char memory[];
  T *keys = reinterpret_cast<T *>(memory), *values = keys + TILE * STRIDE, *queries = values + TILE * STRIDE,
    *slopes = queries + BLOCK * STRIDE;
  const KeyTile tile = tiles[blockIdx.x];
  const int lane = threadIdx.x % 32, first = threadIdx.x / 32 * 16;
  load<TILE>(keys, k + int64(tile.row) * k_stride + blockIdx.y * D, k_stride, tile.count);
  load<TILE>(values, v + int64(tile.row) * v_stride + blockIdx.y * D, v_stride, tile.count);
  float result_k[WIDTH / 8][4] = {}, result_v[WIDTH / 8][4] = {};
  const Range all = seeing(tile, causal, window);
  const int begin = all.begin / BLOCK, blocks = max(0, (all.end + BLOCK - 1) / BLOCK - begin), column = blockIdx.z * WIDTH;
  // Step i has head i / blocks of the group and queries BLOCK·(begin + i % blocks)…
  auto row = [&](int i) { return int64(tile.queryRow) + (begin + i % blocks) * BLOCK; };
  auto head = [&](int i) { return int(blockIdx.y) * group + i / blocks; };
  auto left = [&](int i) { return tile.queries - (begin + i % blocks) * BLOCK; };
  if (blocks > 0) load<BLOCK>(queries, q + row(0) * q_stride + head(0) * D, q_stride, left(0));
  copy_commit();
  for (int i = 0; i < blocks * group; i++) {
    const int query = (begin + i % blocks) * BLOCK;
    load<BLOCK>(slopes, gradient + row(i) * gradient_stride + head(i) * D, gradient_stride, left(i));
    copy_commit();
    copy_wait<1>();
    __syncthreads();
    float p[BLOCK / 8][4] = {}, ds[BLOCK / 8][4] = {};
    product(p, keys + first * STRIDE, queries);
    copy_wait<0>();
    __syncthreads();
    product(ds, values + first * STRIDE, slopes);
    const float *sum = sums + int64(head(i)) * tokens + row(i), *pull = pulls + int64(head(i)) * tokens + row(i);
#pragma unroll
    for (int n = 0; n < BLOCK / 8; n++)
#pragma unroll
      for (int c = 0; c < 2; c++) {
        const int place = n * 8 + lane % 4 * 2 + c;
        const bool there = place < left(i);
        const float sum_here = there ? sum[place] * LOG2E : INFINITY, pull_here = there ? pull[place] : 0;
        const Range mine = visible(tile.offset + query + place, tile.keys, causal, window);
#pragma unroll
        for (int half = 0; half < 2; half++) {
          const int key = tile.first + first + lane / 4 + 8 * half, e = 2 * half + c;
          const float x = score(p[n][e], scale, cap);
          p[n][e] = key >= mine.begin && key < mine.end ? exp2_fast(x - sum_here) : 0;
          ds[n][e] = p[n][e] * (ds[n][e] - pull_here) * slope(x, cap);
        }
      }
    weighted<WIDTH>(result_v, p, slopes + column);
    weighted<WIDTH>(result_k, ds, queries + column);
    __syncthreads();
    if (i + 1 < blocks * group) load<BLOCK>(queries, q + row(i + 1) * q_stride + head(i + 1) * D, q_stride, left(i + 1));
    copy_commit();
  }
  copy_wait<0>();
  store<WIDTH>(dk + int64(tile.row) * dk_stride + blockIdx.y * D + column, dk_stride, first, tile.count, result_k, scale, scale);
  store<WIDTH>(dv + int64(tile.row) * dv_stride + blockIdx.y * D + column, dv_stride, first, tile.count, result_v, 1, 1);
}
