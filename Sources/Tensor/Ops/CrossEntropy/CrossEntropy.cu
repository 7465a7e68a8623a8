// Cross entropy over rows of logits, which their gradients replace.
//
// token_loss: a thread block takes a row and goes over it twice: first the maximum and the sum of exponentials in one pass, then exponentials
// again, now as gradients, written over the logits. Between the passes the row waits on the multiprocessor, the first KEPT packs of each
// thread in registers, then as much as fits in shared memory, so that memory sees each logit read once and written once: 4 bytes of bf16,
// up to some 149,000 logits; what is beyond is read twice. Some 12 operations a logit, two of them exponentials.
// H200: 512 × 128,256 bf16 in 89 µs, 2.9 TB/s (17 µs less than without the cache); the rest of the time the two passes wait for each other.
#include "numbers.cuh"

#ifndef GROUP
#define GROUP 1024
#endif
// Packs that a thread loads before it works on the first, and packs that it keeps in registers.
#ifndef UNROLL
#define UNROLL 3
#endif
#ifndef KEPT
#define KEPT 4
#endif

#ifdef TOKEN_LOSS
// Logits are counted in units of ln 2, so that an exponential is one instruction of the special function unit (error some 2⁻²², far below
// that of 16-bit logits); float32 logits are left as they are and take the exact functions.
template <class N> struct Unit {
  static constexpr float size = 1.4426950408889634f;
  static __device__ __forceinline__ float exponential(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
  }
};
template <> struct Unit<float> {
  static constexpr float size = 1.f;
  static __device__ __forceinline__ float exponential(float x) { return expf(x); }
};

// A logit as the loss sees it, in units. `scale` includes the unit where there is no cap.
__device__ __forceinline__ float transformed(float raw, float scale, float cap) {
#if CAP
  return cap * Unit<T>::size * tanhf(raw * scale / cap);
#else
  return raw * scale;
#endif
}

// maximum and Σ exp(z − maximum) of two parts, joined.
__device__ __forceinline__ void join(float &most, float &total, float other_most, float other_total) {
  const float top = fmaxf(most, other_most);
  total = (most == top ? total : total * Unit<T>::exponential(most - top)) +
          (other_most == top ? other_total : other_total * Unit<T>::exponential(other_most - top));
  most = top;
}

extern "C" __global__ void __launch_bounds__(GROUP) token_loss(
    T *__restrict__ logits,            // [rows, stride]
    float *__restrict__ losses,        // by `places`: the loss times `loss_factor`
    const int *__restrict__ targets,   // by `places`; −100: no loss, no gradient
    const int *__restrict__ places,    // [rows]: row of the stream; null: the row itself
    const float *__restrict__ seeds,   // by `places`: factors on the gradients; null: ones
    float loss_factor, float seed_factor, uint32 columns, int64 stride, float scale, float cap, float smoothing, float z_loss,
    uint32 dynamic, uint32 gradient,
    uint32 cached /* packs of a row that wait in registers or dynamic shared memory, at least KEPT · GROUP */) {
  constexpr int N = Pack<T>::count;
  constexpr float unit = Unit<T>::size;
  const float factor_of_raw = CAP ? scale : scale * unit;
  const int place = places ? places[blockIdx.x] : int(blockIdx.x);
  const int target = targets[place];
  T *const start = logits + int64(blockIdx.x) * stride;
  // Numbers before the first 16-byte boundary and behind the last whole pack are taken singly.
  const uint32 lead = min(columns, uint32(-reinterpret_cast<uint64>(start) & 15) / uint32(sizeof(T)));
  const uint32 packs = (columns - lead) / N, rest = columns - packs * N;
  T *const row = start + lead;
  const auto single = [=](uint32 i) { return i < lead ? i : i + packs * N; };
  extern __shared__ uint4 dynamic_memory[];
  Pack<T> *const shared_row = reinterpret_cast<Pack<T> *>(dynamic_memory);
  __shared__ float maxima[GROUP / 32], totals[GROUP / 32], sums[GROUP / 32];

  float most = -__int_as_float(0x7f800000), total = 0, sum = 0;
  const auto take = [&](const Pack<T> &pack) {
    float z[N], top = most;
#pragma unroll
    for (int k = 0; k < N; k++) {
      z[k] = transformed(to_float(pack.v[k]), factor_of_raw, cap);
      top = fmaxf(top, z[k]);
#if SMOOTH
      sum += z[k];
#endif
    }
    if (top > most) {
      total *= Unit<T>::exponential(most - top);
      most = top;
    }
#pragma unroll
    for (int k = 0; k < N; k++) total += Unit<T>::exponential(z[k] - most);
  };
  Pack<T> kept[KEPT];
#pragma unroll
  for (int u = 0; u < KEPT; u++)
    if (threadIdx.x + u * GROUP < packs) kept[u] = load_pack(row + (threadIdx.x + u * GROUP) * N);
#pragma unroll
  for (int u = 0; u < KEPT; u++)
    if (threadIdx.x + u * GROUP < packs) take(kept[u]);
  for (uint32 base = KEPT * GROUP + threadIdx.x; base < packs; base += GROUP * UNROLL) {
    Pack<T> pack[UNROLL];
#pragma unroll
    for (int u = 0; u < UNROLL; u++)
      if (base + u * GROUP < packs) pack[u] = load_pack(row + (base + u * GROUP) * N);
#pragma unroll
    for (int u = 0; u < UNROLL; u++) {
      const uint32 p = base + u * GROUP;
      if (p >= packs) break;
      if (p < cached) shared_row[p - KEPT * GROUP] = pack[u];
      take(pack[u]);
    }
  }
  for (uint32 i = threadIdx.x; i < rest; i += GROUP) {
    const float z = transformed(to_float(start[single(i)]), factor_of_raw, cap);
    sum += z;
    join(most, total, z, 1.f);
  }
#pragma unroll
  for (int step = 16; step > 0; step /= 2) {
    const float other_most = __shfl_xor_sync(0xffffffffu, most, step), other_total = __shfl_xor_sync(0xffffffffu, total, step);
    join(most, total, other_most, other_total);
  }
  sum = warp_sum(sum);
  if (threadIdx.x % 32 == 0) {
    maxima[threadIdx.x / 32] = most;
    totals[threadIdx.x / 32] = total;
    sums[threadIdx.x / 32] = sum;
  }
  const float at_target = target >= 0 ? transformed(to_float(start[target]), factor_of_raw, cap) : 0.f;
  __syncthreads();
  most = maxima[0], total = totals[0], sum = sums[0];
#pragma unroll 4
  for (int i = 1; i < GROUP / 32; i++) {
    join(most, total, maxima[i], totals[i]);
    sum += sums[i];
  }

  const float log_total = most + unit * logf(total), log_sum = log_total / unit;
  const float log_probability = (at_target - log_total) / unit;
  const float weight = dynamic ? expf(log_probability) : 1.f;
  if (threadIdx.x == 0) {
    float loss = -log_probability;
#if SMOOTH
    loss = (1.f - smoothing) * loss + smoothing * (log_sum - sum / (unit * float(columns)));
#endif
    losses[place] = target < 0 ? 0.f : loss_factor * (weight * loss + z_loss * log_sum * log_sum);
  }
  if (!gradient) return;

  const float seed = target < 0 ? 0.f : seed_factor * (seeds ? seeds[place] : 1.f) * scale;
  const float factor = seed * (weight + 2.f * z_loss * log_sum);
  const float hit = seed * weight * (1.f - smoothing);
#if SMOOTH
  const float share = seed * weight * smoothing / float(columns);
#endif
  // Of the raw logit, from the transformed one. A row without a target may hold anything: its gradient is zero all the same.
  const auto gradient_of = [=](float z, float hit) {
    float g = factor * Unit<T>::exponential(z - log_total) - hit;
#if SMOOTH
    g -= share;
#endif
#if CAP
    g *= 1.f - (z / (cap * unit)) * (z / (cap * unit));
#endif
    return seed == 0.f ? 0.f : g;
  };
  const auto put = [&](Pack<T> pack, uint32 p) {
#pragma unroll
    for (int k = 0; k < N; k++) pack.v[k] = from_float<T>(gradient_of(transformed(to_float(pack.v[k]), factor_of_raw, cap), 0.f));
    // The target's own number is put right by the thread that holds it, from its float32 value.
    const uint32 inside = uint32(target) - lead;
    if (inside / N == p) {
#pragma unroll
      for (int k = 0; k < N; k++)
        if (inside == p * N + k) pack.v[k] = from_float<T>(gradient_of(at_target, hit));
    }
    store_pack(row + p * N, pack);
  };
#pragma unroll
  for (int u = 0; u < KEPT; u++)
    if (threadIdx.x + u * GROUP < packs) put(kept[u], threadIdx.x + u * GROUP);
#pragma unroll UNROLL
  for (uint32 p = KEPT * GROUP + threadIdx.x; p < packs; p += GROUP) put(p < cached ? shared_row[p - KEPT * GROUP] : load_pack(row + p * N), p);
  for (uint32 i = threadIdx.x; i < rest; i += GROUP) {
    const uint32 j = single(i);
    const float z = transformed(to_float(start[j]), factor_of_raw, cap);
    start[j] = from_float<T>(gradient_of(z, uint32(target) == j ? hit : 0.f));
  }
}
#endif

#ifdef HEAD_ROWS
// out[r] = x[places[r]], a thread block a row.
extern "C" __global__ void __launch_bounds__(256) gather_rows(T *__restrict__ out /* [rows, columns] */, const T *__restrict__ x,
                                                              const int *__restrict__ places, int64 columns) {
  const T *const from = x + int64(places[blockIdx.x]) * columns;
  T *const to = out + int64(blockIdx.x) * columns;
  for (int64 j = threadIdx.x; j < columns; j += 256) to[j] = from[j];
}
// out[places[r]] = x[r], converted from float32 where S says so; places null: the row itself.
extern "C" __global__ void __launch_bounds__(256) scatter_rows(T *__restrict__ out, const S *__restrict__ x /* [rows, columns] */, const int *__restrict__ places,
                                        int64 columns) {
  T *const to = out + int64(places ? places[blockIdx.x] : int(blockIdx.x)) * columns;
  const S *const from = x + int64(blockIdx.x) * columns;
  for (int64 j = threadIdx.x; j < columns; j += 256) to[j] = from_float<T>(to_float(from[j]));
}
// x = cap · tanh(scale · x / cap): logits for the eye.
extern "C" __global__ void __launch_bounds__(256) cap_logits(T *x, int64 count, float scale, float cap) {
  const int64 i = int64(blockIdx.x) * 256 + threadIdx.x;
  if (i >= count) return;
  const float z = to_float(x[i]) * scale;
  x[i] = from_float<T>(cap > 0.f ? cap * tanhf(z / cap) : z);
}
// x *= *factor, 8 numbers a thread (a number a thread at the end).
extern "C" __global__ void __launch_bounds__(256) scale_by(T *__restrict__ x, const float *__restrict__ factor, int64 count) {
  constexpr int N = Pack<T>::count;
  const int64 at = (int64(blockIdx.x) * 256 + threadIdx.x) * N;
  const float f = *factor;
  if (at + N <= count) {
    Pack<T> pack = load_pack(x + at);
#pragma unroll
    for (int k = 0; k < N; k++) pack.v[k] = from_float<T>(to_float(pack.v[k]) * f);
    store_pack(x + at, pack);
  } else {
    for (int64 i = at; i < count; i++) x[i] = from_float<T>(to_float(x[i]) * f);
  }
}
#endif

#ifdef SUM_LOSSES
// One thread block sums in float64: thread t takes t, t + 1024, …; then a tree.
extern "C" __global__ void __launch_bounds__(1024) sum_losses(float *out /* [1] */, const float *losses /* [count] */, int64 count) {
  double sum = 0;
  for (int64 i = threadIdx.x; i < count; i += 1024) sum += losses[i];
  sum = tree_sum<1024>(sum);
  if (threadIdx.x == 0) *out = float(sum);
}
#endif
