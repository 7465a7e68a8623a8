// Mixture of experts: which experts a token goes to, and the sums of what they return.
//
// Routing: a warp per token; a lane keeps every 32nd expert's score and a bit for each already chosen; `top` rounds of a warp's maximum, at
// equal scores the lower expert. Sums over slots: a block per token (or slot), vectors of WIDTH; rows of experts are found through the
// experts' base addresses. Bytes: each row once; routing is a few kilobytes a token.
// H200, 8192 tokens of 2048 bf16 to 8 of 128 experts, 2026-11-21: routing 26 µs, sum of slots 95 µs (3.17 TB/s), its backward 158 µs
// (3.62 TB/s).
//
// Defines: T (activations, logits), WIDTH (divides columns), SIGMOID (1: scores by sigmoid, 0: softmax over all experts), GROUPS (1: only
// experts of the best groups are chosen).
#include "rows.cuh"

#ifndef T
#define T bf16
#endif
#ifndef WIDTH
#define WIDTH 8
#endif
#ifndef SIGMOID
#define SIGMOID 0
#endif
#ifndef GROUPS
#define GROUPS 0
#endif
#define THREADS 128

constexpr float lowest = -3.4028235e38f;

// What the choice goes by; what is not a number comes last.
__device__ __forceinline__ float order_of(float score, const float *bias, int e) {
  const float x = bias ? score + bias[e] : score;
  return x > lowest ? x : lowest;
}

// The greatest x of a warp and its place, at equal x the lowest; a place of `none` counts for nothing.
__device__ __forceinline__ void warp_best(float &x, int &place, int none) {
#pragma unroll
  for (int step = 16; step > 0; step >>= 1) {
    const float other = __shfl_xor_sync(0xffffffffu, x, step);
    const int at = __shfl_xor_sync(0xffffffffu, place, step);
    if (at < none && (place == none || other > x || (other == x && at < place))) {
      x = other;
      place = at;
    }
  }
}

// The groups whose experts may be chosen, a bit each (at most 64 groups): those whose two best experts have the greatest sums. Lane l holds
// the sums of groups l and l + 32.
__device__ __forceinline__ uint64 best_groups(const float *scores, const float *bias, int experts, int groups, int kept, int lane) {
  const int size = experts / groups;
  float sums[2] = {lowest, lowest};
  for (int group = 0; group < groups; group++) {
    float sum = 0;
    int first = experts;
    for (int round = 0; round < (size < 2 ? size : 2); round++) {
      float best = lowest;
      int choice = experts;
      for (int e = group * size + lane; e < (group + 1) * size; e += 32) {
        const float x = order_of(scores[e], bias, e);
        if (e != first && (choice == experts || x > best)) {
          best = x;
          choice = e;
        }
      }
      warp_best(best, choice, experts);
      first = choice;
      sum += best;
    }
    if (group % 32 == lane) sums[group / 32] = sum;
  }
  uint64 allowed = 0;
  for (int k = 0; k < kept; k++) {
    float best = lowest;
    int choice = groups;
    for (int i = 0; i < 2; i++) {
      const int group = lane + 32 * i;
      if (group < groups && !(allowed >> group & 1) && (choice == groups || sums[i] > best)) {
        best = sums[i];
        choice = group;
      }
    }
    warp_best(best, choice, groups);
    allowed |= uint64(1) << choice;
  }
  return allowed;
}

extern "C" __global__ void __launch_bounds__(THREADS) route_forward(float *scores,       // [rows, experts]
                                                                    int *chosen,         // [rows, top]
                                                                    float *weights,      // [rows, top]
                                                                    const T *logits,     // [rows, experts], experts ≤ 2048
                                                                    const float *bias,   // [experts], for the choice only; may be null
                                                                    float factor, int64 rows, int experts, int top, int normalize,
                                                                    int groups, int kept) {
  const int lane = threadIdx.x % 32;
  const int64 row = int64(blockIdx.x) * (THREADS / 32) + threadIdx.x / 32;
  if (row >= rows) return;
  scores += row * experts;
  logits += row * experts;
  if (SIGMOID) {
    for (int e = lane; e < experts; e += 32) scores[e] = 1.0f / (1.0f + expf(-to_float(logits[e])));
  } else {
    float most = -__int_as_float(0x7f800000), total = 0;
    for (int e = lane; e < experts; e += 32) most = fmaxf(most, to_float(logits[e]));
    most = warp_max(most);
    for (int e = lane; e < experts; e += 32) total += expf(to_float(logits[e]) - most);
    total = warp_sum(total);
    for (int e = lane; e < experts; e += 32) scores[e] = expf(to_float(logits[e]) - most) / total;
  }
  uint64 taken = 0;
  if (GROUPS) {
    const uint64 allowed = best_groups(scores, bias, experts, groups, kept, lane);
    for (int e = lane, i = 0; e < experts; e += 32, i++) {
      if (!(allowed >> (e / (experts / groups)) & 1)) taken |= uint64(1) << i;
    }
  }
  float sum = 0;
  for (int k = 0; k < top; k++) {
    float best = lowest;
    int choice = experts;
    for (int e = lane, i = 0; e < experts; e += 32, i++) {
      const float x = order_of(scores[e], bias, e);
      if (!(taken >> i & 1) && (choice == experts || x > best)) {
        best = x;
        choice = e;
      }
    }
    warp_best(best, choice, experts);
    if (choice % 32 == lane) {
      taken |= uint64(1) << (choice / 32);
      chosen[row * top + k] = choice;
      weights[row * top + k] = scores[choice];
    }
    __syncwarp();
    sum += weights[row * top + k];
  }
  for (int k = lane; k < top; k += 32) weights[row * top + k] *= normalize ? factor / sum : factor;
}

// w = factor·p/Σp ⇒ dp = factor·(dw − Σ dw·p/Σp)/Σp; then through the score function.
extern "C" __global__ void __launch_bounds__(THREADS) route_backward(T *dlogits,             // [rows, experts]
                                                                     const float *dweights,  // [rows, top]
                                                                     const float *scores,    // [rows, experts]
                                                                     const int *chosen,      // [rows, top]
                                                                     float factor, int64 rows, int experts, int top, int normalize) {
  const int64 row = int64(blockIdx.x) * (THREADS / 32) + threadIdx.x / 32;
  if (row >= rows) return;
  const float *p = scores + row * experts, *dw = dweights + row * top;
  const int *picks = chosen + row * top;
  float sum = 0, pull = 0, dot = 0;
  for (int k = 0; k < top; k++) {
    sum += p[picks[k]];
    pull += dw[k] * p[picks[k]];
  }
  pull /= sum;
  for (int k = 0; k < top; k++) dot += p[picks[k]] * factor * (normalize ? (dw[k] - pull) / sum : dw[k]);
  for (int e = threadIdx.x % 32; e < experts; e += 32) {
    float dp = 0;
    for (int k = 0; k < top; k++) {
      if (picks[k] == e) dp = factor * (normalize ? (dw[k] - pull) / sum : dw[k]);
    }
    dlogits[row * experts + e] = from_float<T>(SIGMOID ? dp * p[e] * (1.0f - p[e]) : p[e] * (dp - dot));
  }
}

// Where the rows of the experts lie: slot s goes to expert experts[s], and is row places[s] − offsets[expert] of its matrix.
__device__ __forceinline__ const T *row_of(int64 slot, const uint64 *bases, const int *experts, const int *places, const int *offsets,
                                           uint32 columns) {
  const int expert = experts[slot];
  const T *base = reinterpret_cast<const T *>(bases[expert]);
  return base ? base + int64(places[slot] - offsets[expert]) * columns : nullptr;
}

// y[t] = Σ over the token's slots of weight · row, slots in order; weights 1 where null; a missing matrix (base 0) counts as zero.
extern "C" __global__ void __launch_bounds__(THREADS) sum_slots(T *y,                  // [tokens, columns]
                                                                const float *weights,  // [tokens, top]; may be null
                                                                const uint64 *bases,   // [experts], addresses of [its rows, columns]
                                                                const int *experts,    // [tokens · top]
                                                                const int *places,     // [tokens · top]
                                                                const int *offsets,    // [experts + 1]
                                                                uint32 columns, int top) {
  const int64 token = blockIdx.x;
  for (uint32 column = threadIdx.x * WIDTH; column < columns; column += THREADS * WIDTH) {
    float sum[WIDTH] = {};
#pragma unroll 2
    for (int64 slot = token * top; slot < (token + 1) * top; slot++) {
      const T *row = row_of(slot, bases, experts, places, offsets, columns);
      if (!row) continue;
      const float weight = weights ? weights[slot] : 1.0f;
      const Vector<T, WIDTH> x = load_vector<WIDTH>(row + column);
#pragma unroll
      for (int j = 0; j < WIDTH; j++) sum[j] += weight * to_float(x.v[j]);
    }
    Vector<T, WIDTH> out;
#pragma unroll
    for (int j = 0; j < WIDTH; j++) out.v[j] = from_float<T>(sum[j]);
    store_vector(y + token * columns + column, out);
  }
}

// Of y = Σ weight · row: dweight = row · dy, drow = weight · dy. A block per slot.
extern "C" __global__ void __launch_bounds__(THREADS) sum_slots_backward(T *drows,              // [tokens · top, columns], by place; may be null
                                                                         float *dweights,       // [tokens, top]
                                                                         const T *dy,           // [tokens, columns]
                                                                         const float *weights,  // [tokens, top]
                                                                         const uint64 *bases, const int *experts, const int *places,
                                                                         const int *offsets, uint32 columns, int top) {
  const int64 slot = blockIdx.x, token = slot / top;
  const T *row = row_of(slot, bases, experts, places, offsets, columns);
  const float weight = weights[slot];
  float dot = 0;
  for (uint32 column = threadIdx.x * WIDTH; column < columns; column += THREADS * WIDTH) {
    const Vector<T, WIDTH> slope = load_vector<WIDTH>(dy + token * columns + column);
    Vector<T, WIDTH> x = Vector<T, WIDTH>(), out;
    if (row) x = load_vector<WIDTH>(row + column);
#pragma unroll
    for (int j = 0; j < WIDTH; j++) {
      dot += to_float(x.v[j]) * to_float(slope.v[j]);
      out.v[j] = from_float<T>(weight * to_float(slope.v[j]));
    }
    if (drows) store_vector(drows + int64(places[slot]) * columns + column, out);
  }
  dot = block_sum<THREADS>(dot);
  if (threadIdx.x == 0) dweights[slot] = dot;
}
