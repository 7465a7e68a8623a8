// Attention backward on Hopper (sm_90a): warpgroup matrix instructions fed by the copy engine. bf16 and fp16; head sizes 64 and 128.
//
// A block has 128 keys of one key head and goes through the heads of the group and, in each, through blocks of 64 queries. Two warpgroups
// have 64 keys each; all scores stand transposed (keys × queries), so that probabilities and their gradients are, from registers, the first
// operand of dv += Pᵀ·dy and dk += dSᵀ·q. dq = dS·k needs all 128 keys: dS goes through shared memory, each warpgroup computes half the columns.
// 5 products of 2·D FLOPs per visible pair. Bytes per step of 64×128 pairs: q and dy from L2 (2·64·D·2), dq to L2 (64·D·4).
//
// dq is summed in float32 in device memory by the copy engine, always in the order of the keys: a counter per tile of 64 queries and half says how
// many blocks of keys have added theirs, and who comes next waits for it. Blocks take jobs by number, earlier keys first and the
// longest first, so that whoever is waited for has begun; they come to a tile in the same order, one step behind each other, so that waiting is rare.
//
// A step begins with its probabilities and dy·vᵀ in registers; while dv, dq and dk are computed the next step's scores are begun, so that the
// matrix units find work during the exponentials.
//
// H200, causal, bf16, 32/8 heads of 128 (2026-11-21): 4×2048 prepare 43, main 791, finish 54 µs, 387 TFLOP/s; 1×8192 45, 3051, 53 µs, 436
// TFLOP/s. Matrix units 48% busy, shared memory 52%; a step takes 3.0 µs whatever is done about its products: the limit is the way of dq to the
// cache and back, once a step (head size 64: 2.5 µs a step, 243 and 260 TFLOP/s).
//
// -DT= bf16 or half16, -DD= 64 or 128, -DCAP=1 with a soft-cap.
#include "hopper.cuh"
#include "attention.cuh"

constexpr int PARTS = D / 64, STAGES = 2, QUERY_STAGES = 3, KEYS = 128, QUERIES = 64, COLUMNS = D / 2;

struct Memory {
  T keys[PARTS][KEYS * 64];
  T values[PARTS][KEYS * 64];
  T queries[QUERY_STAGES][PARTS][QUERIES * 64];
  T gradients[STAGES][PARTS][QUERIES * 64];
  T slopes[2][KEYS * QUERIES];          // dS, rows of keys
  float dq[2][COLUMNS / 8][128][4];     // halves of columns
  float rows[QUERY_STAGES][2][QUERIES];       // log-sums in units of log 2, pulls
  uint64 whole, queries_full[QUERY_STAGES], queries_empty[QUERY_STAGES], gradients_full[STAGES], gradients_empty[STAGES];
  int job;
};
enum { SLOPES = 1, DQ_FULL = 2, DQ_EMPTY = 4, GROUP = 6 };

// What a launch knows. Pointers to device memory.
struct Work {
  T *dk, *dv;
  float *dq;              // [heads of the launch, query tiles, 2, COLUMNS / 8, 128, 4]
  int *counters;          // [heads, query tiles, 2], then one for the jobs; zeros
  const float *rows;      // [heads, query tiles, 2, 64]
  const KeyTile *tiles;
  int dk_stride, dv_stride, places, first_head, key_heads, group, causal, window;
  float scale, cap;
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
// The blocks of queries that see a tile's keys, for one head of the group after the other.
struct Steps {
  int begin, end, block, head, last, index = 0;
  __device__ __forceinline__ Steps(const KeyTile &tile, const Work &work, int key_head) {
    const Range all = seeing(tile, work.causal, work.window);
    begin = all.begin / QUERIES;
    end = all.end > all.begin ? (all.end + QUERIES - 1) / QUERIES : begin;
    block = begin;
    head = key_head * work.group;
    last = begin < end ? head + work.group - 1 : head - 1;
  }
  __device__ __forceinline__ bool more() const { return head <= last; }
  __device__ __forceinline__ void next() {
    index++;
    if (++block == end) { block = begin; head++; }
  }
  __device__ __forceinline__ int stage() const { return index % STAGES; }
  __device__ __forceinline__ int phase() const { return index / STAGES % 2; }
  __device__ __forceinline__ int query_stage(int ahead = 0) const { return (index + ahead) % QUERY_STAGES; }
  __device__ __forceinline__ int query_phase(int ahead = 0) const { return (index + ahead) / QUERY_STAGES % 2; }
};

__device__ __forceinline__ void produce(Memory &m, const TensorMap *q_map, const TensorMap *k_map, const TensorMap *v_map, const TensorMap *dy_map, const Work &work, const KeyTile &tile, int key_head) {
  barrier_expect(&m.whole, 2 * KEYS * D * sizeof(T));
  for (int p = 0; p < PARTS; p++) {
    copy_box(m.keys[p], k_map, &m.whole, p * 64, key_head, tile.row);
    copy_box(m.values[p], v_map, &m.whole, p * 64, key_head, tile.row);
  }
  for (Steps at(tile, work, key_head); at.more(); at.next()) {
    const int stage = at.stage(), phase = at.phase(), head = at.head, block = at.block, query_stage = at.query_stage();
    barrier_wait(&m.queries_empty[query_stage], at.query_phase() ^ 1);
    barrier_expect(&m.queries_full[query_stage], QUERIES * D * sizeof(T) + 2 * QUERIES * sizeof(float));
    for (int p = 0; p < PARTS; p++)
      copy_box(m.queries[query_stage][p], q_map, &m.queries_full[query_stage], p * 64, head, tile.queryRow + block * QUERIES);
    copy_bytes(m.rows[query_stage], work.rows + (int64(head) * work.places + tile.place + block) * (2 * QUERIES), 2 * QUERIES * sizeof(float), &m.queries_full[query_stage]);
    barrier_wait(&m.gradients_empty[stage], phase ^ 1);
    barrier_expect(&m.gradients_full[stage], QUERIES * D * sizeof(T));
    for (int p = 0; p < PARTS; p++)
      copy_box(m.gradients[stage][p], dy_map, &m.gradients_full[stage], p * 64, head, tile.queryRow + block * QUERIES);
  }
}

__device__ __forceinline__ int load_acquire(const int *p) {
  int x;
  asm volatile("ld.acquire.gpu.global.b32 %0, [%1];" : "=r"(x) : "l"(p) : "memory");
  return x;
}
__device__ __forceinline__ void store_release(int *p, int x) { asm volatile("st.release.gpu.global.b32 [%0], %1;" ::"l"(p), "r"(x) : "memory"); }

// One warp adds one half of dq, in the order of the keys.
__device__ __forceinline__ void add_queries(Memory &m, const Work &work, const KeyTile &tile, int key_head, int half) {
  for (Steps at(tile, work, key_head); at.more(); at.next()) {
    const int head = at.head, block = at.block;
    const int64 place = int64(head - work.first_head) * work.places + tile.place + block;
    int *counter = work.counters + (int64(head) * work.places + tile.place + block) * 2 + half;
    const int order = (tile.first - visible(tile.offset + block * QUERIES, tile.keys, work.causal, work.window).begin / KEYS * KEYS) / KEYS;
    named_sync(DQ_FULL + half, 160);
    if (threadIdx.x % 32 == 0) {
      float *target = work.dq + (place * 2 + half) * (QUERIES * COLUMNS);
      if (order > 0) {
        while (load_acquire(counter) < order) {}
        fence_async();
        bulk_add(target, m.dq[half], QUERIES * COLUMNS * sizeof(float));
      } else {
        bulk_store(target, m.dq[half], QUERIES * COLUMNS * sizeof(float));
      }
      bulk_commit();
      bulk_wait_read<0>();
    }
    __syncwarp();
    named_arrive(DQ_EMPTY + half, 160);
    if (threadIdx.x % 32 == 0) {
      bulk_wait<0>();
      fence_async();
      store_release(counter, order + 1);
    }
  }
}

// s[64 keys × 64 queries] = rows of this warpgroup · othersᵀ
__device__ __forceinline__ void scores(float (&s)[QUERIES / 2], const T (&rows)[PARTS][KEYS * 64], int half, const T (&others)[PARTS][QUERIES * 64]) {
#pragma unroll
  for (int k = 0; k < D / 16; k++) {
    if (k == 0)
      Wgmma<QUERIES>::first<0, 0>(s, descriptor(rows[k / 4] + half * 64 * 64) + k % 4 * 2, descriptor(others[k / 4]) + k % 4 * 2);
    else
      Wgmma<QUERIES>::next<0, 0>(s, descriptor(rows[k / 4] + half * 64 * 64) + k % 4 * 2, descriptor(others[k / 4]) + k % 4 * 2);
  }
}
__device__ __forceinline__ void weighted(float (&d)[D / 2], const uint32 (&p)[QUERIES / 4], const T (&others)[PARTS][QUERIES * 64]) {
#pragma unroll
  for (int k = 0; k < QUERIES / 16; k++)
    Wgmma<D>::next<1>(d, p[4 * k], p[4 * k + 1], p[4 * k + 2], p[4 * k + 3], descriptor(others[0], QUERIES * 128) + k * 128);
}
__device__ __forceinline__ void pack(uint32 (&p)[QUERIES / 4], const float (&s)[QUERIES / 2]) {
#pragma unroll
  for (int i = 0; i < QUERIES / 4; i++) p[i] = pack_pair<T>(s[2 * i], s[2 * i + 1]);
}
// Scores of this thread's keys and the 64 queries from `position` on to probabilities, in place.
__device__ __forceinline__ void probabilities(
    float (&s)[QUERIES / 2], const float (&sums)[QUERIES], const Work &work, const KeyTile &tile, int position, int half
#if CAP
    , float (&bend)[QUERIES / 2]
#endif
) {
  const int lane = threadIdx.x % 32, first = tile.first + half * 64, mine = first + threadIdx.x % 128 / 32 * 16 + lane / 4;
#if !CAP
  const float unit = work.scale * LOG2E;
#endif
#pragma unroll
  for (int n = 0; n < QUERIES / 8; n++) {
    const float2 sum = *reinterpret_cast<const float2 *>(&sums[n * 8 + lane % 4 * 2]);
#pragma unroll
    for (int e = 0; e < 4; e++) {
      float &x = s[4 * n + e];
#if CAP
      const float t = tanh_fast(x * (work.scale / work.cap));
      bend[4 * n + e] = 1 - t * t;
      x = exp2_fast(fmaf(t, work.cap * LOG2E, -(e % 2 ? sum.y : sum.x)));
#else
      x = exp2_fast(fmaf(x, unit, -(e % 2 ? sum.y : sum.x)));
#endif
    }
  }
  // Whether all 64 queries see all of these 64 keys.
  const bool open = work.causal ? first + 63 <= position && first > position + QUERIES - 1 - work.window : half * 64 + 64 <= tile.count;
  if (!open) {
#pragma unroll
    for (int j = 0; j < QUERIES / 2; j++) {
      const Range seen = visible(position + j / 4 * 8 + lane % 4 * 2 + j % 2, tile.keys, work.causal, work.window);
      const int key = mine + j / 2 % 2 * 8;
      if (key < seen.begin || key >= seen.end) s[j] = 0;
    }
  }
}

// A fragment of 16 rows × 16 columns of a warp, columns 16·k…, into a swizzled tile.
__device__ __forceinline__ void put(T *tile, int k, uint32 a, uint32 b, uint32 c, uint32 d) {
  const int lane = threadIdx.x % 32, row = threadIdx.x % 128 / 32 * 16 + lane % 16, chunk = 2 * k + lane / 16;
  stmatrix(shared_address(tile) + row * 128 + (chunk ^ row % 8) * 16, a, b, c, d);
}

__device__ __forceinline__ void finish(Memory &m, T *target, int stride, const KeyTile &tile, int half, const float (&d)[D / 2], float factor) {
  const int thread = threadIdx.x % 128;
  named_sync(GROUP + half, 128);
#pragma unroll
  for (int k = 0; k < D / 16; k++) {
    const float *x = d + 8 * k;
    put(m.values[k / 4] + half * 64 * 64, k % 4, pack_pair<T>(x[0] * factor, x[1] * factor), pack_pair<T>(x[2] * factor, x[3] * factor),
        pack_pair<T>(x[4] * factor, x[5] * factor), pack_pair<T>(x[6] * factor, x[7] * factor));
  }
  named_sync(GROUP + half, 128);
  target += int64(tile.row + half * 64) * stride;
#pragma unroll
  for (int i = thread; i < 64 * D / 8; i += 128) {
    const int row = i / (D / 8), chunk = i % (D / 8);
    if (half * 64 + row < tile.count)
      store_pack(target + int64(row) * stride + chunk * 8, load_pack(m.values[chunk / 8] + half * 64 * 64 + row * 64 + (chunk % 8 ^ row % 8) * 8));
  }
}

__device__ __forceinline__ void consume(Memory &m, const Work &work, const KeyTile &tile, int key_head) {
  const int thread = threadIdx.x % 128, lane = threadIdx.x % 32, half = threadIdx.x / 128 - 1;
  float dk[D / 2], dv[D / 2];
#pragma unroll
  for (int i = 0; i < D / 2; i++) dk[i] = dv[i] = 0;
  hold(dk);
  hold(dv);
  barrier_wait(&m.whole, 0);
  Steps at(tile, work, key_head);
  float s[QUERIES / 2], ds[QUERIES / 2];
  uint32 p[QUERIES / 4], slopes[QUERIES / 4];
#if CAP
  float bend[QUERIES / 2];
#define BEND , bend
#else
#define BEND
#endif
  if (at.more()) {
    barrier_wait(&m.queries_full[0], 0);
    wgmma_fence();
    scores(s, m.keys, half, m.queries[0]);
    wgmma_commit();
    barrier_wait(&m.gradients_full[0], 0);
    wgmma_fence();
    scores(ds, m.values, half, m.gradients[0]);
    wgmma_commit();
    wgmma_wait<1>();
    hold(s);
    probabilities(s, m.rows[0][0], work, tile, tile.offset + at.block * QUERIES, half BEND);
    pack(p, s);
    wgmma_wait<0>();
    hold(ds);
  }
  // A step begins with its probabilities and dy·vᵀ in registers, nothing under way, and ends with the next one's: after the last step those
  // of whatever lies in shared memory, for nothing.
  while (at.more()) {
    const int stage = at.stage(), query_stage = at.query_stage();
    hold(p);
    hold(dv);
    wgmma_fence();
    weighted(dv, p, m.gradients[stage]);
    wgmma_commit();
#pragma unroll
    for (int n = 0; n < QUERIES / 8; n++) {
      const float2 pull = *reinterpret_cast<const float2 *>(&m.rows[query_stage][1][n * 8 + lane % 4 * 2]);
#pragma unroll
      for (int e = 0; e < 4; e++) {
        ds[4 * n + e] = s[4 * n + e] * (ds[4 * n + e] - (e % 2 ? pull.y : pull.x));
#if CAP
        ds[4 * n + e] *= bend[4 * n + e];
#endif
      }
    }
    pack(slopes, ds);
    T *shared_slopes = m.slopes[at.index % 2];
#pragma unroll
    for (int k = 0; k < QUERIES / 16; k++) put(shared_slopes + half * 64 * 64, k, slopes[4 * k], slopes[4 * k + 1], slopes[4 * k + 2], slopes[4 * k + 3]);
    fence_async_shared();
    named_sync(SLOPES, 256);
    wgmma_wait<0>();
    hold(dv);
    hold(p);
    if (lane == 0) barrier_arrive(&m.gradients_empty[stage]);
    float dq[COLUMNS / 2];
    hold(slopes);
    hold(dk);
    wgmma_fence();
#pragma unroll
    for (int k = 0; k < KEYS / 16; k++) {
      const uint64 a = descriptor(shared_slopes) + k * 128, b = descriptor(m.keys[half * COLUMNS / 64]) + half * COLUMNS % 64 / 8 + k * 128;
      if (k == 0)
        Wgmma<COLUMNS>::first<1, 1>(dq, a, b);
      else
        Wgmma<COLUMNS>::next<1, 1>(dq, a, b);
    }
    wgmma_commit();
    weighted(dk, slopes, m.queries[query_stage]);
    wgmma_commit();
    const bool is_first = at.index == 0;
    at.next();
    const int next_stage = at.stage(), next_query_stage = at.query_stage();
    if (at.more()) barrier_wait(&m.queries_full[next_query_stage], at.query_phase());
    wgmma_fence();
    scores(s, m.keys, half, m.queries[next_query_stage]);
    wgmma_commit();
    wgmma_wait<2>();
    hold(dq);
    if (!is_first) named_sync(DQ_EMPTY + half, 160);
#pragma unroll
    for (int c = 0; c < COLUMNS / 8; c++)
      *reinterpret_cast<float4 *>(m.dq[half][c][thread]) = float4{dq[4 * c], dq[4 * c + 1], dq[4 * c + 2], dq[4 * c + 3]};
    fence_async_shared();
    named_arrive(DQ_FULL + half, 160);
    if (at.more()) barrier_wait(&m.gradients_full[next_stage], at.phase());
    wgmma_fence();
    scores(ds, m.values, half, m.gradients[next_stage]);
    wgmma_commit();
    wgmma_wait<1>();
    hold(s);
    hold(dk);
    hold(slopes);
    if (lane == 0) barrier_arrive(&m.queries_empty[query_stage]);
    probabilities(s, m.rows[next_query_stage][0], work, tile, tile.offset + at.block * QUERIES, half BEND);
    pack(p, s);
    wgmma_wait<0>();
    hold(ds);
  }
  // As many arrivals as waits: the barriers are left even.
  if (at.index > 0) named_sync(DQ_EMPTY + half, 160);
  finish(m, work.dv + key_head * D, work.dv_stride, tile, half, dv, 1);
  finish(m, work.dk + key_head * D, work.dk_stride, tile, half, dk, work.scale);
}
#endif

// dk like k, dv like v: sums over the heads of the group; maps of q, dy ([tokens, heads, D], boxes of 64 features and rows), k, v (boxes of 128
// rows). Grid: key tiles · key heads of the launch. Shared memory: sizeof(Memory) + 1024.
extern "C" __global__ void __launch_bounds__(384, 1) attention_backward_hopper(
    const __grid_constant__ TensorMap q_map, const __grid_constant__ TensorMap k_map, const __grid_constant__ TensorMap v_map,
    const __grid_constant__ TensorMap dy_map, T *dk, T *dv, float *dq, int *counters, const float *rows, const KeyTile *tiles, int dk_stride,
    int dv_stride, int places, int heads, int first_key_head, int key_heads, int group, int causal, int window, float scale, float cap) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ unsigned char raw[];
  Memory &m = *reinterpret_cast<Memory *>(raw + (1024 - shared_address(raw) % 1024) % 1024);
  if (threadIdx.x == 0) {
    barrier_init(&m.whole, 1);
    for (int i = 0; i < STAGES; i++) {
      barrier_init(&m.gradients_full[i], 1);
      barrier_init(&m.gradients_empty[i], 8);
    }
    for (int i = 0; i < QUERY_STAGES; i++) {
      barrier_init(&m.queries_full[i], 1);
      barrier_init(&m.queries_empty[i], 8);
    }
    fence_async();
    m.job = atomicAdd(counters + int64(heads) * places * 2 + first_key_head, 1);
  }
  __syncthreads();
  const Work work{dk, dv, dq, counters, rows, tiles, dk_stride, dv_stride, places, first_key_head * group, key_heads, group, causal, window, scale, cap};
  const KeyTile tile = tiles[m.job / key_heads];
  const int key_head = first_key_head + m.job % key_heads;
  if (threadIdx.x < 128) {
    registers_down<24>();
    const int warp = threadIdx.x / 32;
    if (warp == 0) {
      if (threadIdx.x == 0) produce(m, &q_map, &k_map, &v_map, &dy_map, work, tile, key_head);
    } else if (warp <= 2) {
      add_queries(m, work, tile, key_head, warp - 1);
    }
  } else {
    registers_up<240>();
    consume(m, work, tile, key_head);
  }
#endif
}

// What the backward pass reads of rows, tile by tile: rows [heads, tiles, 2, 64] = log-sums in units of log 2 (∞ where there is no row) and
// pulls Σ dy·y; also pulls [heads, tokens] unless null; counters [heads, tiles, 2] and `heads` more become 0. 8 lanes a row; grid (tiles, heads).
extern "C" __global__ void __launch_bounds__(128) attention_prepare(
    float *rows, float *pulls, int *counters, const T *out, const T *gradient, const float *sums, const QueryTile *tiles, int out_stride,
    int gradient_stride, int tokens, int heads) {
  const QueryTile tile = tiles[blockIdx.x];
  const int head = blockIdx.y, lane = threadIdx.x % 8;
  const int64 place = int64(head) * gridDim.x + tile.place;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const int row = i * 16 + threadIdx.x / 8;
    float sum = 0;
    if (row < tile.count)
#pragma unroll
      for (int c = lane * 8; c < D; c += 64) {
        const Pack<T> y = load_pack(out + int64(tile.row + row) * out_stride + head * D + c);
        const Pack<T> dy = load_pack(gradient + int64(tile.row + row) * gradient_stride + head * D + c);
#pragma unroll
        for (int j = 0; j < 8; j++) sum = fmaf(to_float(y.v[j]), to_float(dy.v[j]), sum);
      }
    sum += __shfl_xor_sync(0xffffffffu, sum, 1);
    sum += __shfl_xor_sync(0xffffffffu, sum, 2);
    sum += __shfl_xor_sync(0xffffffffu, sum, 4);
    if (lane == 0) {
      rows[place * 128 + row] = row < tile.count ? sums[int64(head) * tokens + tile.row + row] * LOG2E : INFINITY;
      rows[place * 128 + 64 + row] = sum;
      if (pulls && row < tile.count) pulls[int64(head) * tokens + tile.row + row] = sum;
    }
  }
  if (threadIdx.x < 2) counters[place * 2 + threadIdx.x] = 0;
  if (blockIdx.x == 0 && threadIdx.x == 0) counters[int64(heads) * gridDim.x * 2 + head] = 0;
}

// dq [tokens, heads·D] = scale · the float32 sums, rounded; it may lie over q, which nobody reads any more; grid (tiles, heads of the launch).
extern "C" __global__ void __launch_bounds__(128) attention_finish(
    T *dq, const float *sums, const QueryTile *tiles, int dq_stride, int first_head, float scale) {
  __shared__ T memory[64][D + 8];
  const QueryTile tile = tiles[blockIdx.x];
  const int thread = threadIdx.x, lane = thread % 32, row = thread / 32 * 16 + lane / 4;
  const float4 *source = reinterpret_cast<const float4 *>(sums) + (int64(blockIdx.y) * gridDim.x + tile.place) * (64 * D / 4);
#pragma unroll
  for (int c = 0; c < D / 8; c++) {
    const float4 x = tile.keys > 0 ? source[c * 128 + thread] : float4{0, 0, 0, 0};
    *reinterpret_cast<uint32 *>(&memory[row][c * 8 + lane % 4 * 2]) = pack_pair<T>(x.x * scale, x.y * scale);
    *reinterpret_cast<uint32 *>(&memory[row + 8][c * 8 + lane % 4 * 2]) = pack_pair<T>(x.z * scale, x.w * scale);
  }
  __syncthreads();
  T *target = dq + int64(tile.row) * dq_stride + (first_head + blockIdx.y) * D;
#pragma unroll
  for (int i = thread; i < 64 * D / 8; i += 128) {
    const int r = i / (D / 8), c = i % (D / 8) * 8;
    if (r < tile.count) store_pack(target + int64(r) * dq_stride + c, load_pack(&memory[r][c]));
  }
}
