// Gated activations: h = f(gate)·up with f = SiLU or GELU, or gpt-oss's clamped kind, and both gradients.
//
// A thread takes a vector of WIDTH elements; any grid works. Rows may be padded, each operand has its own row distance; a launcher that
// finds everything dense passes one long row.
// Bytes per element: forward 3 elements, backward 5, 6 with h. FLOPs 10 to 40: with 16-bit elements exponentials and quotients are the fast
// approximations (2 ulp of float32), or arithmetic would be slower than memory.
// H200, 8192×14336 bf16, 2026-11-21, every activation: forward 167 µs (4.22 TB/s), backward 277 µs (4.24 TB/s), with h 338 µs (4.17 TB/s).
//
// Defines: T, WIDTH, ACTIVATION (0: SiLU, 1: GELU by tanh, 2: GELU by erf, 3: g·σ(alpha·g)·(u + 1) with g cut at limit and u at ±limit; ALPHA
// and LIMIT are their bits).
#include "rows.cuh"

#ifndef T
#define T bf16
#endif
#ifndef WIDTH
#define WIDTH 8
#endif
#ifndef ACTIVATION
#define ACTIVATION 0
#endif
#ifndef ALPHA
#define ALPHA 0
#endif
#ifndef LIMIT
#define LIMIT 0
#endif

constexpr bool precise = sizeof(T) == 4;
__device__ __forceinline__ float exponential(float x) { return precise ? expf(x) : __expf(x); }
__device__ __forceinline__ float quotient(float x, float y) { return precise ? x / y : __fdividef(x, y); }

struct Active { float value, slope; };

// 1 / (1 + e^−x). __fdividef needs a divisor below 2^126.
__device__ __forceinline__ float sigmoid(float x) { return quotient(1.0f, 1.0f + exponential(fminf(-x, 87.0f))); }

// f(x) and f′(x).
__device__ __forceinline__ Active activate(float x) {
#if ACTIVATION == 0
  const float s = sigmoid(x);
  return {x * s, s * (1.0f + x * (1.0f - s))};
#elif ACTIVATION == 1
  // ½(1 + tanh z) is σ(2z).
  const float twice = 1.595769122f, cubic = 0.044715f;
  const float s = sigmoid(twice * (x + cubic * x * x * x));
  return {x * s, s + x * s * (1.0f - s) * twice * (1.0f + 3.0f * cubic * x * x)};
#elif ACTIVATION == 3
  // A NaN fails the comparison and stays.
  const float alpha = __int_as_float(ALPHA), limit = __int_as_float(LIMIT), g = x > limit ? limit : x;
  const float s = sigmoid(alpha * g);
  return {g * s, x > limit ? 0.0f : s * (1.0f + alpha * g * (1.0f - s))};
#else
  // The normal distribution: Φ(x), and its density from the same exponential.
  const float bell = exponential(-0.5f * x * x);
  float below;
  if (precise) {
    below = 0.5f * (1.0f + erff(x * 0.707106781f));
  } else {
    // Abramowitz and Stegun 7.1.26, absolute error 1e-7: erff alone would take longer than memory.
    const float t = quotient(1.0f, 1.0f + 0.2316418882f * fabsf(x));
    const float tail = bell * t * (0.127414796f + t * (-0.142248368f + t * (0.7107068705f + t * (-0.7265760135f + t * 0.5307027145f))));
    below = x < 0.0f ? tail : 1.0f - tail;
  }
  return {x * below, below + x * 0.39894228f * bell};
#endif
}

// What the active gate is multiplied with, and its slope.
__device__ __forceinline__ Active passed(float u) {
#if ACTIVATION == 3
  const float limit = __int_as_float(LIMIT);
  return {(u > limit ? limit : u < -limit ? -limit : u) + 1.0f, u > limit || u < -limit ? 0.0f : 1.0f};
#else
  return {u, 1.0f};
#endif
}

struct Slopes { float gate, up, value; };

// h for one element, and the gradients of both inputs for h's gradient `dh`.
__device__ __forceinline__ Slopes slopes(float gate, float up, float dh) {
  const Active f = activate(gate), factor = passed(up);
  return {dh * factor.value * f.slope, dh * f.value * factor.slope, f.value * factor.value};
}

// The element at which vector i of rows of `columns` begins, in rows `stride` apart.
__device__ __forceinline__ int64 place(int64 i, uint32 columns, int64 stride) {
  const uint32 vector = uint32(i / WIDTH), per_row = columns / WIDTH, row = vector / per_row;
  return row * stride + int64(vector - row * per_row) * WIDTH;
}

extern "C" __global__ void __launch_bounds__(256) gate_forward(T *h,           // [rows, columns], rows h_stride apart
                                                               const T *gate,  // [rows, columns], rows gate_stride apart
                                                               const T *up,    // [rows, columns], rows up_stride apart
                                                               int64 rows, uint32 columns, int64 h_stride, int64 gate_stride,
                                                               int64 up_stride) {
  for_vectors<WIDTH>(
      h, rows * columns, [=](int64 i) { return place(i, columns, h_stride); },
      [=](int64 i) {
        return map_vectors<WIDTH, T>([](float g, float u) { return activate(g).value * passed(u).value; },
                                     load_vector<WIDTH>(gate + place(i, columns, gate_stride)),
                                     load_vector<WIDTH>(up + place(i, columns, up_stride)));
      });
}

// dgate = dh·up·f′(gate), dup = dh·f(gate) (of the clamped kind 0 where cut), and h where wanted.
extern "C" __global__ void __launch_bounds__(256) gate_backward(
    T *dgate,       // [rows, columns], rows dgate_stride apart; may be gate
    T *dup,         // [rows, columns], rows dup_stride apart; may be up
    T *h,           // [rows, columns], rows h_stride apart; may be dh; null where not wanted
    const T *dh,    // [rows, columns], rows dh_stride apart
    const T *gate,  // [rows, columns], rows gate_stride apart
    const T *up,    // [rows, columns], rows up_stride apart
    int64 rows, uint32 columns, int64 dgate_stride, int64 dup_stride, int64 h_stride, int64 dh_stride, int64 gate_stride,
    int64 up_stride) {
  const int64 vectors = rows * columns / WIDTH, step = int64(gridDim.x) * blockDim.x;
#pragma unroll 1
  for (int64 v = int64(blockIdx.x) * blockDim.x + threadIdx.x; v < vectors; v += step) {
    const int64 i = v * WIDTH;
    const Vector<T, WIDTH> g = load_vector<WIDTH>(gate + place(i, columns, gate_stride));
    const Vector<T, WIDTH> u = load_vector<WIDTH>(up + place(i, columns, up_stride));
    const Vector<T, WIDTH> d = load_vector<WIDTH>(dh + place(i, columns, dh_stride));
    Vector<T, WIDTH> to_gate, to_up, product;
#pragma unroll
    for (int j = 0; j < WIDTH; j++) {
      const Slopes slope = slopes(to_float(g.v[j]), to_float(u.v[j]), to_float(d.v[j]));
      to_gate.v[j] = from_float<T>(slope.gate);
      to_up.v[j] = from_float<T>(slope.up);
      product.v[j] = from_float<T>(slope.value);
    }
    store_vector(dgate + place(i, columns, dgate_stride), to_gate);
    store_vector(dup + place(i, columns, dup_stride), to_up);
    if (h) store_vector(h + place(i, columns, h_stride), product);
  }
}

// Both again for gate and up that are first multiplied by a factor for each column, DoRA's magnitude / norm. A thread takes WIDTH columns and
// walks down some rows, so that the factors stay in registers and the sums of a column need no other thread.

// What gate or up is multiplied with, 1 without a magnitude, and what is added then.
struct Factors {
  float v[WIDTH], bias[WIDTH];
  __device__ __forceinline__ Factors(const float *magnitude, const float *norms, const T *biases, uint32 column) {
#pragma unroll
    for (int j = 0; j < WIDTH; j++) {
      v[j] = magnitude ? magnitude[column + j] / norms[column + j] : 1.0f;
      bias[j] = biases ? to_float(biases[column + j]) : 0.0f;
    }
  }
  __device__ __forceinline__ float operator()(int j, float x) const { return v[j] * x + bias[j]; }
};

extern "C" __global__ void __launch_bounds__(128) gate_forward_scaled(
    T *h,                                                  // [rows, columns], rows h_stride apart
    const T *gate,                                         // [rows, columns], rows gate_stride apart
    const T *up,                                           // [rows, columns], rows up_stride apart
    const float *gate_magnitude, const float *gate_norms,  // [columns]; null where gate has no factor
    const float *up_magnitude, const float *up_norms,      // [columns]; null where up has none
    const T *gate_bias, const T *up_bias,                  // [columns], behind the factors; null for none
    int64 rows, uint32 columns, int64 h_stride, int64 gate_stride, int64 up_stride, uint32 block_rows) {
  const uint32 column = (blockIdx.x * 128 + threadIdx.x) * WIDTH;
  if (column >= columns) return;
  const Factors gate_factors(gate_magnitude, gate_norms, gate_bias, column), up_factors(up_magnitude, up_norms, up_bias, column);
  const int64 first = int64(blockIdx.y) * block_rows, end = first + block_rows < rows ? first + block_rows : rows;
#pragma unroll 1
  for (int64 row = first; row < end; row++) {
    const Vector<T, WIDTH> g = load_vector<WIDTH>(gate + row * gate_stride + column);
    const Vector<T, WIDTH> u = load_vector<WIDTH>(up + row * up_stride + column);
    Vector<T, WIDTH> product;
#pragma unroll
    for (int j = 0; j < WIDTH; j++) {
      product.v[j] = from_float<T>(activate(gate_factors(j, to_float(g.v[j]))).value * passed(up_factors(j, to_float(u.v[j]))).value);
    }
    store_vector(h + row * h_stride + column, product);
  }
}

// Over gate and up their gradients as they were before the factors, over dh the output h, and over the block's rows the parts of the magnitudes'
// gradients: sums of the gradients behind the factors times gate or up, divided by the norms. Without a number of blocks in its bounds the
// compiler saves registers for more of them, and spills.
extern "C" __global__ void __launch_bounds__(128, 4) gate_backward_scaled(
    T *gate,                                               // [rows, columns], rows gate_stride apart
    T *up,                                                 // [rows, columns], rows up_stride apart
    T *dh,                                                 // [rows, columns], rows dh_stride apart
    float *gate_sums, float *up_sums,                      // [blocks, columns]; null where not wanted
    const float *gate_magnitude, const float *gate_norms,  // [columns]; null where gate has no factor
    const float *up_magnitude, const float *up_norms,      // [columns]; null where up has none
    const T *gate_bias, const T *up_bias,                  // [columns], behind the factors; null for none
    int64 rows, uint32 columns, int64 gate_stride, int64 up_stride, int64 dh_stride, uint32 block_rows) {
  const uint32 column = (blockIdx.x * 128 + threadIdx.x) * WIDTH;
  if (column >= columns) return;
  const Factors gate_factors(gate_magnitude, gate_norms, gate_bias, column), up_factors(up_magnitude, up_norms, up_bias, column);
  float gate_sum[WIDTH], up_sum[WIDTH];
#pragma unroll
  for (int j = 0; j < WIDTH; j++) gate_sum[j] = up_sum[j] = 0;
  const int64 first = int64(blockIdx.y) * block_rows, end = first + block_rows < rows ? first + block_rows : rows;
#pragma unroll 1
  for (int64 row = first; row < end; row++) {
    const Vector<T, WIDTH> g = load_vector<WIDTH>(gate + row * gate_stride + column);
    const Vector<T, WIDTH> u = load_vector<WIDTH>(up + row * up_stride + column);
    const Vector<T, WIDTH> d = load_vector<WIDTH>(dh + row * dh_stride + column);
    Vector<T, WIDTH> to_gate, to_up, product;
#pragma unroll
    for (int j = 0; j < WIDTH; j++) {
      const float from_gate = to_float(g.v[j]), from_up = to_float(u.v[j]);
      const Slopes slope = slopes(gate_factors(j, from_gate), up_factors(j, from_up), to_float(d.v[j]));
      gate_sum[j] += slope.gate * from_gate;
      up_sum[j] += slope.up * from_up;
      to_gate.v[j] = from_float<T>(gate_factors.v[j] * slope.gate);
      to_up.v[j] = from_float<T>(up_factors.v[j] * slope.up);
      product.v[j] = from_float<T>(slope.value);
    }
    store_vector(gate + row * gate_stride + column, to_gate);
    store_vector(up + row * up_stride + column, to_up);
    store_vector(dh + row * dh_stride + column, product);
  }
  const int64 place = int64(blockIdx.y) * columns + column;
#pragma unroll
  for (int j = 0; j < WIDTH; j++) {
    if (gate_sums) gate_sums[place + j] = gate_sum[j] / gate_norms[column + j];
    if (up_sums) up_sums[place + j] = up_sum[j] / up_norms[column + j];
  }
}
