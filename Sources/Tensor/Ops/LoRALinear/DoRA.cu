// What DoRA adds to a linear map: lengths of the adapted weight's rows, the factor per output, the magnitude's gradient.
// All memory-bound, one pass each; ratio[j] = magnitude[j] / norms[j].
//
// Defines: T.
#include "numbers.cuh"

#ifndef T
#define T bf16
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

// y = ratio · u (+ x − d) (+ bias) (+ residual); x and d are the products with the input and with the dropped input.
extern "C" __global__ void __launch_bounds__(256) dora_output(T *y,                    // [rows, columns]; may be u
                                                              const T *u,              // [rows, columns]
                                                              const T *x, const T *d,  // [rows, columns]; null without dropout
                                                              const T *bias,           // [columns]; null for none
                                                              const T *residual,       // [rows, columns]; null for none
                                                              const float *magnitude, const float *norms, int64 rows, int columns) {
  const int64 count = rows * columns;
  for (int64 i = int64(blockIdx.x) * 256 + threadIdx.x; i < count; i += int64(gridDim.x) * 256) {
    const int j = int(i % columns);
    float value = magnitude[j] / norms[j] * to_float(u[i]);
    if (x) value += to_float(x[i]) - to_float(d[i]);
    if (bias) value += to_float(bias[j]);
    if (residual) value += to_float(residual[i]);
    y[i] = from_float<T>(value);
  }
}

// y = (ratio − minus) · dy
extern "C" __global__ void __launch_bounds__(256) dora_gradient(T *y,         // [rows, columns]
                                                                const T *dy,  // [rows, columns]
                                                                const float *magnitude, const float *norms, float minus, int64 rows,
                                                                int columns) {
  const int64 count = rows * columns;
  for (int64 i = int64(blockIdx.x) * 256 + threadIdx.x; i < count; i += int64(gridDim.x) * 256) {
    const int j = int(i % columns);
    y[i] = from_float<T>((magnitude[j] / norms[j] - minus) * to_float(dy[i]));
  }
}

// dm[j] += Σ dy[·, j] · u[·, j] / norms[j]: a block has 32 columns and 8 slices of the rows, added in order.
extern "C" __global__ void __launch_bounds__(256) dora_magnitude_gradient(float *dm,              // [columns]
                                                                          const T *dy, const T *u,  // [rows, columns]
                                                                          const float *norms, int64 rows, int columns) {
  __shared__ float parts[8][32];
  const int lane = threadIdx.x % 32, slice = threadIdx.x / 32, column = blockIdx.x * 32 + lane;
  float sum = 0;
  if (column < columns) {
    for (int64 row = slice; row < rows; row += 8) sum += to_float(dy[row * columns + column]) * to_float(u[row * columns + column]);
  }
  parts[slice][lane] = sum;
  __syncthreads();
  if (slice != 0 || column >= columns) return;
  float total = 0;
#pragma unroll
  for (int s = 0; s < 8; s++) total += parts[s][lane];
  dm[column] += total / norms[column];
}
