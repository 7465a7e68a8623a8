// Attention forward on Hopper (sm_90a): warpgroup matrix instructions fed by the copy engine. bf16 and fp16.
//
// One block a multiprocessor, going through its share of the jobs (tiles of 128 queries × heads, longest first). One warp copies: the queries,
// then keys and values through two stages each, the next job's under this one's end. Two warpgroups have 64 queries each: scores
// of BLOCK keys in registers, and while they are turned into probabilities the matrix units work on the previous block's product with
// the values and on the other warpgroup, which is held half a step apart. Keys go from the last block to the first, so only the first steps mask.
// FLOPs: 4·D per visible pair; bytes: q and out once, k and v once per 128 queries, from L2.
//
// H200, causal, bf16, 32/8 heads of 128 (2026-11-21): 4×2048 260 µs, 530 TFLOP/s; 1×8192 851 µs, 646 TFLOP/s; head size 64: 355 and 431.
// Matrix units 60% busy at 1.72 GHz, issue slots 36%: what is left is the exponentials and, at 2048, the diagonal (8.5 steps for 8).
// Without the half step apart (no barriers 1 and 2): the same at 2048, 1% less at 8192. 96 keys a step: 7% less.
//
// -DT= bf16 or half16, -DD= head size (a multiple of 16), -DBLOCK= keys a step, -DCAP=1 with a soft-cap.
#include "hopper.cuh"
#include "attention.cuh"

constexpr int PARTS = (D + 63) / 64, STAGES = 2, PITCH = D + 8;

struct Memory {
  T queries[2][PARTS][64 * 64];
  T keys[STAGES][PARTS][BLOCK * 64];
  T values[STAGES][PARTS][BLOCK * 64];
  T out[2][64 * PITCH];
  uint64 queries_full, queries_empty, keys_full[STAGES], keys_empty[STAGES], values_full[STAGES], values_empty[STAGES];
};

// Job `round` of this block: there and back, so that nobody always has the longer ones.
__device__ __forceinline__ int job_of(int round) {
  return round * gridDim.x + (round % 2 ? gridDim.x - 1 - blockIdx.x : blockIdx.x);
}

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
struct Softmax {
  float top[2], total[2];

  // Scores to exponentials in place; returns the factors on what was summed before.
  template <bool FIRST>
  __device__ __forceinline__ void step(float (&s)[BLOCK / 2], float unit, float scale, float cap, int key, bool whole, const Range (&mine)[2], float (&factor)[2]) {
    const int lane = threadIdx.x % 32;
#if CAP
#pragma unroll
    for (int i = 0; i < BLOCK / 2; i++) s[i] = cap * LOG2E * tanh_fast(s[i] * (scale / cap));
#endif
    if (!whole) {
#pragma unroll
      for (int i = 0; i < BLOCK / 2; i++) {
        const int place = key + i / 4 * 8 + lane % 4 * 2 + i % 2;
        if (place < mine[i / 2 % 2].begin || place >= mine[i / 2 % 2].end) s[i] = -INFINITY;
      }
    }
    float base[2];
#pragma unroll
    for (int r = 0; r < 2; r++) {
      float best = fmaxf(s[2 * r], s[2 * r + 1]);
#pragma unroll
      for (int n = 1; n < BLOCK / 8; n++) best = fmaxf(best, fmaxf(s[4 * n + 2 * r], s[4 * n + 2 * r + 1]));
      best = fmaxf(best, __shfl_xor_sync(0xffffffffu, best, 1));
      best = fmaxf(best, __shfl_xor_sync(0xffffffffu, best, 2));
      best = fmaxf(best, top[r]);
      base[r] = best == -INFINITY ? 0 : best * unit;
      factor[r] = exp2_fast(top[r] * unit - base[r]);
      total[r] *= factor[r];
      top[r] = best;
    }
#pragma unroll
    for (int i = 0; i < BLOCK / 2; i++) {
      s[i] = exp2_fast(fmaf(s[i], unit, -base[i / 2 % 2]));
      total[i / 2 % 2] += s[i];
    }
  }
};

__device__ __forceinline__ void produce(Memory &m, const TensorMap *q_map, const TensorMap *k_map, const TensorMap *v_map, const QueryTile *tiles, int jobs, int heads, int group, int causal, int window) {
  int stage = 0, phase = 0, queries_phase = 0;
  for (int round = 0; round * int(gridDim.x) < jobs; round++) {
    const int job = job_of(round);
    if (job >= jobs) continue;
    const QueryTile tile = tiles[job / heads];
    const int head = job % heads, key_head = head / group;
    const Range all = visible(tile, causal, window);
    const int first = all.begin / BLOCK, last = (all.end + BLOCK - 1) / BLOCK - 1;
    barrier_wait(&m.queries_empty, queries_phase ^ 1);
    queries_phase ^= 1;
    barrier_expect(&m.queries_full, 128 * PARTS * 64 * sizeof(T));
    for (int g = 0; g < 2; g++)
      for (int p = 0; p < PARTS; p++) copy_box(m.queries[g][p], q_map, &m.queries_full, p * 64, head, tile.row + g * 64);
    for (int block = last; block >= first; block--) {
      barrier_wait(&m.keys_empty[stage], phase ^ 1);
      barrier_expect(&m.keys_full[stage], BLOCK * PARTS * 64 * sizeof(T));
      for (int p = 0; p < PARTS; p++) copy_box(m.keys[stage][p], k_map, &m.keys_full[stage], p * 64, key_head, tile.keyRow + block * BLOCK);
      barrier_wait(&m.values_empty[stage], phase ^ 1);
      barrier_expect(&m.values_full[stage], BLOCK * PARTS * 64 * sizeof(T));
      for (int p = 0; p < PARTS; p++) copy_box(m.values[stage][p], v_map, &m.values_full[stage], p * 64, key_head, tile.keyRow + block * BLOCK);
      if (++stage == STAGES) { stage = 0; phase ^= 1; }
    }
  }
}

__device__ __forceinline__ void scores(float (&s)[BLOCK / 2], const T (&queries)[PARTS][64 * 64], const T (&keys)[PARTS][BLOCK * 64]) {
#pragma unroll
  for (int k = 0; k < D / 16; k++) {
    if (k == 0)
      Wgmma<BLOCK>::first<0, 0>(s, descriptor(queries[k / 4]) + k % 4 * 2, descriptor(keys[k / 4]) + k % 4 * 2);
    else
      Wgmma<BLOCK>::next<0, 0>(s, descriptor(queries[k / 4]) + k % 4 * 2, descriptor(keys[k / 4]) + k % 4 * 2);
  }
}
__device__ __forceinline__ void weighted(float (&o)[D / 2], const uint32 (&p)[BLOCK / 4], const T (&values)[PARTS][BLOCK * 64]) {
#pragma unroll
  for (int k = 0; k < BLOCK / 16; k++)
    Wgmma<D>::next<1>(o, p[4 * k], p[4 * k + 1], p[4 * k + 2], p[4 * k + 3], descriptor(values[0], BLOCK * 128) + k * 128);
}
__device__ __forceinline__ void pack(uint32 (&p)[BLOCK / 4], const float (&s)[BLOCK / 2]) {
#pragma unroll
  for (int i = 0; i < BLOCK / 4; i++) p[i] = pack_pair<T>(s[2 * i], s[2 * i + 1]);
}

__device__ __forceinline__ void consume(Memory &m, T *out, float *sums, const float *sinks, const QueryTile *tiles, int jobs, int heads, int group, int out_stride, int tokens, int causal, int window, float scale, float cap) {
  const int thread = threadIdx.x % 128, lane = threadIdx.x % 32, half = threadIdx.x / 128 - 1;
  const int mine_row = half * 64 + thread / 32 * 16 + lane / 4;
#if CAP
  const float unit = 1;
#else
  const float unit = scale * LOG2E;
#endif
  int stage = 0, phase = 0, queries_phase = 0;
  if (half == 1) named_arrive(1, 256);
  for (int round = 0; round * int(gridDim.x) < jobs; round++) {
    const int job = job_of(round);
    if (job >= jobs) continue;
    const QueryTile tile = tiles[job / heads];
    const int head = job % heads;
    const Range all = visible(tile, causal, window);
    const int first = all.begin / BLOCK, last = (all.end + BLOCK - 1) / BLOCK - 1;
    const Range mine[2] = {visible(tile.position + mine_row, tile.keys, causal, window), visible(tile.position + mine_row + 8, tile.keys, causal, window)};
    // All of these 64 queries see keys from `open` on and before `shut`.
    const int open = visible(tile.position + half * 64 + 63, tile.keys, causal, window).begin;
    const int shut = visible(tile.position + half * 64, tile.keys, causal, window).end;
    Softmax softmax;
#pragma unroll
    for (int r = 0; r < 2; r++) {
      softmax.top[r] = sinks ? sinks[head] * (LOG2E / unit) : -INFINITY;
      softmax.total[r] = sinks && lane % 4 == 0 ? 1 : 0;
    }
    float o[D / 2], s[BLOCK / 2], factor[2];
    uint32 p[BLOCK / 4];
#pragma unroll
    for (int i = 0; i < D / 2; i++) o[i] = 0;
    barrier_wait(&m.queries_full, queries_phase);
    queries_phase ^= 1;
    if (last >= first) {
      barrier_wait(&m.keys_full[stage], phase);
      wgmma_fence();
      scores(s, m.queries[half], m.keys[stage]);
      wgmma_commit();
      wgmma_wait<0>();
      hold(s);
      if (lane == 0) barrier_arrive(&m.keys_empty[stage]);
      softmax.step<true>(s, unit, scale, cap, last * BLOCK, last * BLOCK >= open && last * BLOCK + BLOCK <= shut, mine, factor);
      pack(p, s);
      for (int block = last - 1; block >= first; block--) {
        const int before = stage, before_phase = phase;
        if (++stage == STAGES) { stage = 0; phase ^= 1; }
        barrier_wait(&m.keys_full[stage], phase);
        named_sync(1 + half, 256);
        hold(o);
        hold(p);
        wgmma_fence();
        scores(s, m.queries[half], m.keys[stage]);
        wgmma_commit();
        barrier_wait(&m.values_full[before], before_phase);
        weighted(o, p, m.values[before]);
        wgmma_commit();
        named_arrive(2 - half, 256);
        wgmma_wait<1>();
        hold(s);
        if (lane == 0) barrier_arrive(&m.keys_empty[stage]);
        softmax.step<false>(s, unit, scale, cap, block * BLOCK, block * BLOCK >= open && block * BLOCK + BLOCK <= shut, mine, factor);
        wgmma_wait<0>();
        hold(o);
        hold(p);
        if (lane == 0) barrier_arrive(&m.values_empty[before]);
        pack(p, s);
#pragma unroll
        for (int i = 0; i < D / 2; i++) o[i] *= factor[i / 2 % 2];
      }
      if (lane == 0) barrier_arrive(&m.queries_empty);
      barrier_wait(&m.values_full[stage], phase);
      hold(o);
      hold(p);
      wgmma_fence();
      weighted(o, p, m.values[stage]);
      wgmma_commit();
      wgmma_wait<0>();
      hold(o);
      if (lane == 0) barrier_arrive(&m.values_empty[stage]);
      if (++stage == STAGES) { stage = 0; phase ^= 1; }
    } else if (lane == 0) {
      barrier_arrive(&m.queries_empty);
    }
    T *mine_out = m.out[half];
    named_sync(3 + half, 128);
#pragma unroll
    for (int r = 0; r < 2; r++) {
      float total = softmax.total[r];
      total += __shfl_xor_sync(0xffffffffu, total, 1);
      total += __shfl_xor_sync(0xffffffffu, total, 2);
      const float norm = total > 0 ? 1 / total : 0;
      if (lane % 4 == 0 && mine_row + 8 * r < tile.count)
        sums[int64(head) * tokens + tile.row + mine_row + 8 * r] = softmax.top[r] * unit * LN2 + logf(total);
#pragma unroll
      for (int n = 0; n < D / 8; n++)
        *reinterpret_cast<uint32 *>(mine_out + (thread / 32 * 16 + lane / 4 + 8 * r) * PITCH + n * 8 + lane % 4 * 2) =
            pack_pair<T>(o[4 * n + 2 * r] * norm, o[4 * n + 2 * r + 1] * norm);
    }
    named_sync(3 + half, 128);
    T *target = out + int64(tile.row + half * 64) * out_stride + head * D;
#pragma unroll
    for (int i = thread; i < 64 * D / 8; i += 128) {
      const int row = i / (D / 8), column = i % (D / 8) * 8;
      if (half * 64 + row < tile.count) store_pack(target + int64(row) * out_stride + column, load_pack(mine_out + row * PITCH + column));
    }
  }
}
#endif

// out [tokens, heads·D], sums [heads, tokens]: log-sums; maps of q, k, v as [tokens, heads, D] with boxes of 64 features and 64 rows (q) or
// BLOCK rows (k, v); sinks [heads] or null. Grid: as many blocks as multiprocessors. Shared memory: sizeof(Memory) + 1024.
extern "C" __global__ void __launch_bounds__(384, 1) attention_forward_hopper(
    T *out, float *sums, const __grid_constant__ TensorMap q_map, const __grid_constant__ TensorMap k_map, const __grid_constant__ TensorMap v_map,
    const float *sinks, const QueryTile *tiles, int jobs, int heads, int group, int out_stride, int tokens, int causal, int window, float scale,
    float cap) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ unsigned char raw[];
  Memory &m = *reinterpret_cast<Memory *>(raw + (1024 - shared_address(raw) % 1024) % 1024);
  if (threadIdx.x == 0) {
    barrier_init(&m.queries_full, 1);
    barrier_init(&m.queries_empty, 8);
    for (int i = 0; i < STAGES; i++) {
      barrier_init(&m.keys_full[i], 1);
      barrier_init(&m.keys_empty[i], 8);
      barrier_init(&m.values_full[i], 1);
      barrier_init(&m.values_empty[i], 8);
    }
    fence_async();
  }
  __syncthreads();
  if (threadIdx.x < 128) {
    registers_down<24>();
    if (threadIdx.x == 0) produce(m, &q_map, &k_map, &v_map, tiles, jobs, heads, group, causal, window);
  } else {
    registers_up<240>();
    consume(m, out, sums, sinks, tiles, jobs, heads, group, out_stride, tokens, causal, window, scale, cap);
  }
#endif
}
