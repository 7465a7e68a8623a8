// What DoRA adds to a linear map: lengths of the adapted weight's rows, the factor per output, the magnitude's gradient.
// All memory-bound, one pass each; ratio[j] = magnitude[j] / norms[j]. Over activations a thread takes WIDTH columns and walks down some
// rows, so that factors stay in registers and the sums of a column need no other thread.
//
// Defines: T, WIDTH.
#include "rows.cuh"

#ifndef T
#define T bf16
#endif
#ifndef WIDTH
#define WIDTH 8
#endif

// A block sums one row's squares.
extern "C" __global__ void __launch_bounds__(256) row_norms(float *norms,  // [rows]
                                                            const T *v,    // [rows, columns]
                                                            int columns) {
  const T *row = v + int64(blockIdx.x) * columns;
  float sum = 0;
  for (int j = threadIdx.x; j < columns; j += 256) sum += to_float(row[j]) * to_float(row[j]);
  sum = block_sum<256>(sum);
  if (threadIdx.x == 0) norms[blockIdx.x] = sqrtf(sum);
}

// value += sign · from
__device__ __forceinline__ void add_vector(float (&value)[WIDTH], const T *from, float sign) {
  const Vector<T, WIDTH> x = load_vector<WIDTH>(from);
#pragma unroll
  for (int j = 0; j < WIDTH; j++) value[j] += sign * to_float(x.v[j]);
}

// y = ratio · u (+ x − d) (+ bias) (+ residual); x and d are the products with the input and with the dropped input.
extern "C" __global__ void __launch_bounds__(128) dora_output(T *y,                    // [rows, columns]; may be u
                                                              const T *u,              // [rows, columns]
                                                              const T *x, const T *d,  // [rows, columns]; null without dropout
                                                              const T *bias,           // [columns]; null for none
                                                              const T *residual,       // [rows, columns]; null for none
                                                              const float *magnitude, const float *norms,  // [columns]
                                                              int64 rows, uint32 columns, uint32 block_rows) {
  const uint32 column = (blockIdx.x * 128 + threadIdx.x) * WIDTH;
  if (column >= columns) return;
  float ratio[WIDTH];
#pragma unroll
  for (int j = 0; j < WIDTH; j++) ratio[j] = magnitude[column + j] / norms[column + j];
  const int64 first = int64(blockIdx.y) * block_rows, end = first + block_rows < rows ? first + block_rows : rows;
#pragma unroll 1
  for (int64 row = first; row < end; row++) {
    const int64 i = row * columns + column;
    const Vector<T, WIDTH> from = load_vector<WIDTH>(u + i);
    float value[WIDTH];
#pragma unroll
    for (int j = 0; j < WIDTH; j++) value[j] = ratio[j] * to_float(from.v[j]);
    if (x) add_vector(value, x + i, 1.0f);
    if (x) add_vector(value, d + i, -1.0f);
    if (bias) add_vector(value, bias + column, 1.0f);
    if (residual) add_vector(value, residual + i, 1.0f);
    Vector<T, WIDTH> to;
#pragma unroll
    for (int j = 0; j < WIDTH; j++) to.v[j] = from_float<T>(value[j]);
    store_vector(y + i, to);
  }
}

// y = (ratio − minus) · dy, and over the block's rows sums[j] = Σ dy · u / norms[j], a part of the magnitude's gradient.
extern "C" __global__ void __launch_bounds__(128) dora_gradient(T *y,         // [rows, columns], rows y_stride apart; may be dy
                                                                float *sums,  // [blocks, columns]; null where not wanted
                                                                const T *dy,  // [rows, columns]
                                                                const T *u,   // [rows, columns]; null where no sums are wanted
                                                                const float *magnitude, const float *norms,  // [columns]
                                                                float minus, int64 rows, uint32 columns, int64 y_stride,
                                                                uint32 block_rows) {
  const uint32 column = (blockIdx.x * 128 + threadIdx.x) * WIDTH;
  if (column >= columns) return;
  float factor[WIDTH], sum[WIDTH];
#pragma unroll
  for (int j = 0; j < WIDTH; j++) {
    factor[j] = magnitude[column + j] / norms[column + j] - minus;
    sum[j] = 0;
  }
  const int64 first = int64(blockIdx.y) * block_rows, end = first + block_rows < rows ? first + block_rows : rows;
#pragma unroll 1
  for (int64 row = first; row < end; row++) {
    const Vector<T, WIDTH> from = load_vector<WIDTH>(dy + row * columns + column);
    if (u) {
      const Vector<T, WIDTH> other = load_vector<WIDTH>(u + row * columns + column);
#pragma unroll
      for (int j = 0; j < WIDTH; j++) sum[j] += to_float(from.v[j]) * to_float(other.v[j]);
    }
    Vector<T, WIDTH> to;
#pragma unroll
    for (int j = 0; j < WIDTH; j++) to.v[j] = from_float<T>(factor[j] * to_float(from.v[j]));
    store_vector(y + row * y_stride + column, to);
  }
  if (!sums) return;
#pragma unroll
  for (int j = 0; j < WIDTH; j++) sums[int64(blockIdx.y) * columns + column + j] = sum[j] / norms[column + j];
}
