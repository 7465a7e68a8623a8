// AdamW over all parameters in one launch, float32 or 8-bit block-wise moments, and the norm of all gradients before it.
//
// Work is cut into chunks of CHUNK numbers of one parameter; a table tells each chunk's parameter. A warp takes 256 numbers at a time, the
// block that shares a scale: 8 numbers a thread in registers, so that no barrier is needed between the moments and their codes. Thread
// blocks stay (they stride over chunks), because the code tables in shared memory cost 31 kB to fill. 16.03 bytes a number with 8-bit
// moments (gradient 4, parameter 8, codes 4), 28 with float32, 2 more for a 16-bit copy; some 100 operations.
// H200, 168 million parameters in 448 tensors: 0.90 ms coded, 0.96 with a copy, 1.18 float32 (4.0 TB/s); the norm before it 0.16.
#include "numbers.cuh"

#define CHUNK 16384
#define BLOCK 256

// One parameter; 80 bytes.
struct Entry {
  float *parameter;       // [count]
  const float *gradient;  // [count]; null counts as zeros
  void *m, *v;            // [count]: float32, or codes where scales are given
  float *m_scale, *v_scale; // [⌈count / 256⌉], or null
  uint16 *copy;           // [count] in 16 bits, or null
  int64 count;
  double decay;           // λ
  uint32 copy_is_half, padding;
};

// What one step is told; 104 bytes.
struct Rule {
  double rate, beta1, beta2;
  double maximum_norm;     // 0: no clipping
  double gradient_scale;   // a factor that the host knows (1 / tokens …)
  float small_gain1, small_gain2; // 1 − β of float32 moments
  float gain1, gain2;      // 1 − β of coded ones
  float epsilon;
  uint32 growth_interval;  // good steps after which the loss scale doubles; 0: it stays
  double padding[5];
};

// What lives on the device from step to step; 64 bytes.
struct State {
  double power1, power2;   // β₁ᵗ, β₂ᵗ
  double norm;             // of the gradients before clipping, without the loss scale
  float factor;            // on every gradient
  float loss_scale;        // what the loss was multiplied with
  float step_size, root;   // η / (1 − β₁ᵗ), √(1 − β₂ᵗ)
  uint32 updates, skipped; // t; steps left out since the start
  uint32 skip, good_steps; // whether this step is left out; good ones since the scale changed
  uint64 padding;
};

#ifdef GRADIENT_NORM
// sums[c] = Σ g² over chunk c: a thread sums four at a time in float32, the rest in float64 in a fixed order.
extern "C" __global__ void __launch_bounds__(512) gradient_squares(double *__restrict__ sums, const Entry *__restrict__ entries,
                                                                  const uint2 *__restrict__ chunks /* parameter, chunk of it */) {
  const uint2 chunk = chunks[blockIdx.x];
  const float *const g = entries[chunk.x].gradient;
  const int64 start = int64(chunk.y) * CHUNK, count = min(entries[chunk.x].count - start, int64(CHUNK));
  double sum = 0;
  if (g) {
    const int whole = int(count) / 4;
    const float4 *const packs = reinterpret_cast<const float4 *>(g + start);
#pragma unroll 8
    for (int i = threadIdx.x; i < whole; i += 512) {
      const float4 x = packs[i];
      sum += double(fmaf(x.x, x.x, x.y * x.y)) + double(fmaf(x.z, x.z, x.w * x.w));
    }
    for (int i = whole * 4 + threadIdx.x; i < count; i += 512) sum += double(g[start + i]) * double(g[start + i]);
  }
  sum = tree_sum<512>(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

// One thread block: the norm, the factor that clips, whether the step counts, and its bias corrections.
extern "C" __global__ void __launch_bounds__(1024) prepare_step(State *state, const double *__restrict__ sums, uint32 count, const Rule *__restrict__ rule) {
  double sum = 0;
  for (uint32 i = threadIdx.x; i < count; i += 1024) sum += sums[i];
  sum = tree_sum<1024>(sum);
  if (threadIdx.x != 0) return;
  const double unscale = rule->gradient_scale / double(state->loss_scale);
  const double norm = sqrt(sum) * unscale;
  state->norm = norm;
  state->skip = !isfinite(norm);
  if (state->skip) {
    state->skipped++;
    state->good_steps = 0;
    if (rule->growth_interval != 0) state->loss_scale = fmaxf(state->loss_scale * 0.5f, 1.f);
    return;
  }
  const double clip = rule->maximum_norm > 0 ? fmin(1.0, rule->maximum_norm / (norm + 1e-6)) : 1.0;
  state->factor = float(clip * unscale);
  state->updates++;
  state->power1 *= rule->beta1;
  state->power2 *= rule->beta2;
  state->step_size = float(rule->rate / (1.0 - state->power1));
  state->root = float(sqrt(1.0 - state->power2));
  if (rule->growth_interval != 0 && ++state->good_steps == rule->growth_interval) {
    state->good_steps = 0;
    state->loss_scale = fminf(state->loss_scale * 2.f, 16777216.f);
  }
}
#endif

#ifdef ADAM_UPDATE
// Places of the code table: u < 4096 steps from zero one by one, then buckets of 64 steps with one boundary at most.
#define FINE 4096
#define PLACES (FINE + (32768 - FINE) / 64)

struct Tables {
  float signed_values[256], unsigned_values[256];
  // Signed codes from zero up, 255 less signed codes from zero down, unsigned codes: code at the bucket's first step · 256 + steps that keep it.
  uint16 above[PLACES], below[PLACES], positive[PLACES];
};

// bitsandbytes codes by a table of 65,536 steps from −1 to 1; this is that table, folded. The step of x, counted from zero.
__device__ __forceinline__ int step_of(float x) {
  return __float2int_rd(__fadd_rn(__fmul_rn(__fmul_rn(__fadd_rn(x, 1.f), 0.5f), 65535.f), 0.5f)) - 32768;
}
// Fine places keep all 64 steps.
__device__ __forceinline__ uint32 looked_up(const uint16 *table, int u) {
  const uint32 entry = table[min(u < FINE ? u : FINE + ((u - FINE) >> 6), PLACES - 1)];
  return (entry >> 8) + (uint32(u & 63) >= (entry & 255u) ? 1u : 0u);
}
__device__ __forceinline__ uint32 signed_code(const Tables &t, float x) {
  const int step = step_of(x), mirror = step >> 31;
  return looked_up(mirror ? t.below : t.above, step ^ mirror) ^ (mirror & 255);
}
// x is not below zero.
__device__ __forceinline__ uint32 unsigned_code(const Tables &t, float x) { return looked_up(t.positive, max(step_of(x), 0)); }

// Four numbers from place i on of an array that ends at count. Where all are WHOLE there is no branch, so that loads travel together.
template <class N> struct alignas(sizeof(N) * 4) Four { N v[4]; };
template <bool WHOLE, class N> __device__ __forceinline__ Four<N> load_four(const N *p, int64 i, int64 count, N rest) {
  if (WHOLE || i + 4 <= count) return *reinterpret_cast<const Four<N> *>(p + i);
  Four<N> x = {{rest, rest, rest, rest}};
#pragma unroll
  for (int k = 0; k < 4; k++)
    if (i + k < count) x.v[k] = p[i + k];
  return x;
}
template <bool WHOLE, class N> __device__ __forceinline__ void store_four(N *p, int64 i, int64 count, const Four<N> &x) {
  if (WHOLE || i + 4 <= count) *reinterpret_cast<Four<N> *>(p + i) = x;
  else {
#pragma unroll
    for (int k = 0; k < 4; k++)
      if (i + k < count) p[i + k] = x.v[k];
  }
}
template <bool WHOLE> __device__ __forceinline__ void store_copy(const Entry &e, int64 i, const Four<float> &p) {
  if (!e.copy) return;
  Four<uint16> bits;
#pragma unroll
  for (int k = 0; k < 4; k++) bits.v[k] = e.copy_is_half ? from_float<half16>(p.v[k]).bits : from_float<bf16>(p.v[k]).bits;
  store_four<WHOLE>(e.copy, i, e.count, bits);
}

struct Step {
  float factor, step_size, root, root_inverse, keep, beta1, beta2, gain1, gain2, epsilon;
};

// 1 / b, nearly: what the divisions below begin with.
__device__ __forceinline__ float inverse_of(float b) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(b));
  return fmaf(y, fmaf(-b, y, 1.f), y);
}
// a / b rightly rounded, as the compiler divides, without its branch for numbers far from one: those must lie within 2^±60, or a be zero.
__device__ __forceinline__ float divide(float a, float b, float inverse) {
  const float q = __fmul_rn(a, inverse);
  const float better = __fmaf_rn(__fmaf_rn(-b, q, a), inverse, q);
  return __fmaf_rn(__fmaf_rn(-b, better, a), inverse, better);
}
// √x rightly rounded for x of zero or within 2^±100.
__device__ __forceinline__ float root_of(float x) {
  float y;
  asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  const float root = __fmul_rn(x, y);
  return x == 0.f ? 0.f : __fmaf_rn(__fmaf_rn(-root, root, x), 0.5f * y, root);
}
__device__ __noinline__ float divisor_exactly(float v, float root, float epsilon) {
  return __fadd_rn(__fdiv_rn(__fsqrt_rn(v), root), epsilon);
}
__device__ __noinline__ float quotient_exactly(float a, float b) { return __fdiv_rn(a, b); }

// p = p · keep − η · m / (√v / root + ε) for 8 numbers. One branch looks after numbers that are too far from one for the short divisions:
// a branch for each would keep the eight from running beside each other.
__device__ __forceinline__ void apply(Four<float> (&p)[2], const float *m, const float *v, const Step &s) {
  float divisors[8], low = 1.f, high = 1.f;
  uint32 least = 0xffffffffu;
#pragma unroll
  for (int k = 0; k < 8; k++) {
    divisors[k] = __fadd_rn(divide(root_of(v[k]), s.root, s.root_inverse), s.epsilon);
    low = fminf(low, divisors[k]);
    high = fmaxf(high, fmaxf(fabsf(m[k]), v[k]));
    // Zero is in order, and becomes the largest.
    least = min(least, min((__float_as_uint(m[k]) & 0x7fffffffu) - 1u, __float_as_uint(v[k]) - 1u));
  }
  // 2⁻⁶⁰ and 2⁶⁰; NaN fails.
  const bool near = least >= 0x217fffffu && low >= 0x1p-60f && high <= 0x1p60f;
  float quotients[8];
#pragma unroll
  for (int k = 0; k < 8; k++) quotients[k] = divide(m[k], divisors[k], inverse_of(divisors[k]));
  if (!near) {
#pragma unroll
    for (int k = 0; k < 8; k++) quotients[k] = quotient_exactly(m[k], divisor_exactly(v[k], s.root, s.epsilon));
  }
#pragma unroll
  for (int k = 0; k < 8; k++) {
    float &x = p[k / 4].v[k % 4];
    x = __fsub_rn(__fmul_rn(x, s.keep), __fmul_rn(s.step_size, quotients[k]));
  }
}

// 256 numbers from `start` on with coded moments: thread i has numbers 4i… and 128 + 4i….
template <bool WHOLE> __device__ __forceinline__ void update_coded(const Entry &e, const Tables &t, const Step &s, int64 start) {
  const int lane = threadIdx.x % 32;
  const int64 block = start / BLOCK;
  uint8 *const m_codes = static_cast<uint8 *>(e.m), *const v_codes = static_cast<uint8 *>(e.v);
  Four<float> p[2], g[2];
  Four<uint8> mc[2], vc[2];
#pragma unroll
  for (int h = 0; h < 2; h++) {
    const int64 i = start + 128 * h + 4 * lane;
    p[h] = load_four<WHOLE, float>(e.parameter, i, e.count, 0.f);
    // Without a gradient something else is read and not used: a branch would hold up the other loads.
    g[h] = load_four<WHOLE, float>(e.gradient ? e.gradient : e.parameter, i, e.count, 0.f);
    // What stands for nothing decodes to zero.
    mc[h] = load_four<WHOLE, uint8>(m_codes, i, e.count, 127);
    vc[h] = load_four<WHOLE, uint8>(v_codes, i, e.count, 0);
  }
  const float m_scale = e.m_scale[block], v_scale = e.v_scale[block];
  float m[8], v[8], m_most = 0, v_most = 0;
#pragma unroll
  for (int k = 0; k < 8; k++) {
    const float slope = __fmul_rn(g[k / 4].v[k % 4], s.factor);
    const float gradient = e.gradient && isfinite(slope) ? slope : 0.f;
    m[k] = __fadd_rn(__fmul_rn(s.beta1, __fmul_rn(t.signed_values[mc[k / 4].v[k % 4]], m_scale)), __fmul_rn(s.gain1, gradient));
    v[k] = __fadd_rn(
        __fmul_rn(s.beta2, __fmul_rn(t.unsigned_values[vc[k / 4].v[k % 4]], v_scale)), __fmul_rn(__fmul_rn(s.gain2, gradient), gradient));
    m_most = fmaxf(m_most, fabsf(m[k]));
    v_most = fmaxf(v_most, v[k]);
  }
  apply(p, m, v, s);
  m_most = warp_max(m_most);
  v_most = warp_max(v_most);
  const float m_inverse = m_most > 0.f ? __frcp_rn(m_most) : 0.f, v_inverse = v_most > 0.f ? __frcp_rn(v_most) : 0.f;
#pragma unroll
  for (int h = 0; h < 2; h++) {
    const int64 i = start + 128 * h + 4 * lane;
    store_four<WHOLE>(e.parameter, i, e.count, p[h]);
    store_copy<WHOLE>(e, i, p[h]);
#pragma unroll
    for (int k = 0; k < 4; k++) {
      mc[h].v[k] = uint8(signed_code(t, __fmul_rn(m[4 * h + k], m_inverse)));
      vc[h].v[k] = uint8(unsigned_code(t, __fmul_rn(v[4 * h + k], v_inverse)));
    }
    store_four<WHOLE>(m_codes, i, e.count, mc[h]);
    store_four<WHOLE>(v_codes, i, e.count, vc[h]);
  }
  if (lane == 0) {
    e.m_scale[block] = m_most;
    e.v_scale[block] = v_most;
  }
}

// The same numbers with float32 moments.
template <bool WHOLE> __device__ __forceinline__ void update_full(const Entry &e, const Step &s, int64 start) {
  float *const ms = static_cast<float *>(e.m), *const vs = static_cast<float *>(e.v);
  Four<float> p[2], g[2], m[2], v[2];
#pragma unroll
  for (int h = 0; h < 2; h++) {
    const int64 i = start + 128 * h + 4 * (threadIdx.x % 32);
    p[h] = load_four<WHOLE, float>(e.parameter, i, e.count, 0.f);
    g[h] = load_four<WHOLE, float>(e.gradient ? e.gradient : e.parameter, i, e.count, 0.f);
    m[h] = load_four<WHOLE, float>(ms, i, e.count, 0.f);
    v[h] = load_four<WHOLE, float>(vs, i, e.count, 0.f);
  }
  float first[8], second[8];
#pragma unroll
  for (int k = 0; k < 8; k++) {
    const float slope = e.gradient ? __fmul_rn(g[k / 4].v[k % 4], s.factor) : 0.f;
    const float old = m[k / 4].v[k % 4];
    m[k / 4].v[k % 4] = first[k] = __fadd_rn(old, __fmul_rn(s.gain1, __fsub_rn(slope, old)));
    v[k / 4].v[k % 4] = second[k] = __fadd_rn(__fmul_rn(s.beta2, v[k / 4].v[k % 4]), __fmul_rn(__fmul_rn(s.gain2, slope), slope));
  }
  apply(p, first, second, s);
#pragma unroll
  for (int h = 0; h < 2; h++) {
    const int64 i = start + 128 * h + 4 * (threadIdx.x % 32);
    store_four<WHOLE>(e.parameter, i, e.count, p[h]);
    store_copy<WHOLE>(e, i, p[h]);
    store_four<WHOLE>(ms, i, e.count, m[h]);
    store_four<WHOLE>(vs, i, e.count, v[h]);
  }
}

extern "C" __global__ void __launch_bounds__(GROUP, RESIDENT) adam_update(
    const Entry *__restrict__ entries, const uint2 *__restrict__ chunks, uint32 count, const State *__restrict__ state,
    const Rule *__restrict__ rule, const Tables *__restrict__ tables) {
#if CODED
  __shared__ Tables t;
  for (int i = threadIdx.x; i < int(sizeof(Tables) / 4); i += GROUP) reinterpret_cast<uint32 *>(&t)[i] = reinterpret_cast<const uint32 *>(tables)[i];
  __syncthreads();
#endif
  if (state->skip) return;
  Step s;
  s.factor = state->factor, s.step_size = state->step_size, s.root = state->root;
  s.root_inverse = inverse_of(s.root);
  s.beta1 = float(rule->beta1), s.beta2 = float(rule->beta2), s.epsilon = rule->epsilon;
  const double rate = rule->rate;
  for (uint32 c = blockIdx.x; c < count; c += gridDim.x) {
    const uint2 chunk = chunks[c];
    const Entry e = entries[chunk.x];
    s.keep = float(1.0 - __dmul_rn(rate, e.decay));
    const bool coded = e.m_scale != nullptr;
    s.gain1 = coded ? rule->gain1 : rule->small_gain1, s.gain2 = coded ? rule->gain2 : rule->small_gain2;
    const int64 first = int64(chunk.y) * CHUNK, end = min(first + CHUNK, e.count);
    for (int64 start = first + threadIdx.x / 32 * BLOCK; start < end; start += GROUP / 32 * BLOCK) {
#if CODED
      if (coded) {
        if (start + BLOCK <= e.count) update_coded<true>(e, t, s, start);
        else update_coded<false>(e, t, s, start);
        continue;
      }
#endif
      if (start + BLOCK <= e.count) update_full<true>(e, s, start);
      else update_full<false>(e, s, start);
    }
  }
}
#endif
