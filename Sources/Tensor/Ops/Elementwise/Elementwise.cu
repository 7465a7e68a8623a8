// Sums, factors, conversions, columns and rows of matrices: one pass over memory each.
//
// A thread takes 16 bytes; any grid works: blocks stride. Arithmetic is float32, results are rounded once, to nearest.
// FLOPs per element: one or none; bytes per element: as noted. Nothing but the memory's rate counts.
// H200, 8192×4096 bf16, 2026-11-21: add 52.8 µs (3.81 TB/s), add_into 51.8, scale 36.3 (3.70), float32 to bf16 54.8 (3.68), fill 18.0;
// a plain copy takes 36.8 (3.65).
//
// Defines: T (add, scale, fill); TO, FROM (cast); FACTOR (type of column factors); WIDTH (elements a vector of the kernels with rows: all
// row strides, column counts and addresses are multiples of it).
#include "rows.cuh"

#ifndef T
#define T float32
#endif
#ifndef TO
#define TO T
#endif
#ifndef FROM
#define FROM T
#endif
#ifndef FACTOR
#define FACTOR T
#endif
#ifndef WIDTH
#define WIDTH 1
#endif

// 3 elements of memory traffic.
extern "C" __global__ void __launch_bounds__(256) add_into(T *into,        // [count]
                                                           const T *from,  // [count]
                                                           int64 count) {
  map_elements(into, count, [](float x, float y) { return x + y; }, into, from);
}

// 3 elements of memory traffic.
extern "C" __global__ void __launch_bounds__(256) add(T *y,        // [count]; may be a or b
                                                      const T *a,  // [count]
                                                      const T *b,  // [count]
                                                      int64 count) {
  map_elements(y, count, [](float x, float y) { return x + y; }, a, b);
}

extern "C" __global__ void __launch_bounds__(256) scale(T *y,        // [count]; may be x
                                                        const T *x,  // [count]
                                                        float factor, int64 count) {
  map_elements(y, count, [=](float x) { return x * factor; }, x);
}

extern "C" __global__ void __launch_bounds__(256) fill_value(T *p,  // [count]
                                                             float value, int64 count) {
  map_elements(p, count, [=]() { return value; });
}

// Rounds to nearest, ties to even; widening is exact.
extern "C" __global__ void __launch_bounds__(256) cast(TO *to,            // [count]
                                                       const FROM *from,  // [count]
                                                       int64 count) {
  map_elements(to, count, [](float x) { return x; }, from);
}

// to[row, column] = factor · from[row, column], other type and row distance; also the copy of a block of columns.
extern "C" __global__ void __launch_bounds__(256) cast_rows(TO *to,            // [rows, columns], rows to_stride apart
                                                            const FROM *from,  // [rows, columns], rows from_stride apart
                                                            float factor, int64 rows, uint32 columns, int64 to_stride,
                                                            int64 from_stride) {
  for_vectors<WIDTH>(
      to, rows * columns,
      [=](int64 i) {
        const uint32 vector = uint32(i / WIDTH), per_row = columns / WIDTH, row = vector / per_row;
        return row * to_stride + int64(vector - row * per_row) * WIDTH;
      },
      [=](int64 i) {
        const uint32 vector = uint32(i / WIDTH), per_row = columns / WIDTH, row = vector / per_row;
        const Vector<FROM, WIDTH> x = load_vector<WIDTH>(from + row * from_stride + int64(vector - row * per_row) * WIDTH);
        return map_vectors<WIDTH, TO>([=](float x) { return x * factor; }, x);
      });
}

// y[row, column] = x[row, column] · factors[column]
extern "C" __global__ void __launch_bounds__(256) scale_columns(T *y,                   // [rows, columns]; may be x
                                                                const T *x,             // [rows, columns]
                                                                const FACTOR *factors,  // [columns]
                                                                int64 rows, uint32 columns) {
  for_vectors<WIDTH>(
      y, rows * columns, [](int64 i) { return i; },
      [=](int64 i) {
        const uint32 column = uint32(i / WIDTH) % (columns / WIDTH) * WIDTH;
        return map_vectors<WIDTH, T>([](float x, float f) { return x * f; }, load_vector<WIDTH>(x + i), load_vector<WIDTH>(factors + column));
      });
}

// y[i] = x[rows[i]]
extern "C" __global__ void __launch_bounds__(256) select_rows(T *y,             // [count, columns]
                                                              const T *x,       // [any, columns]
                                                              const int *rows,  // [count]
                                                              int64 count, uint32 columns) {
  for_vectors<WIDTH>(
      y, count * columns, [](int64 i) { return i; },
      [=](int64 i) {
        const uint32 vector = uint32(i / WIDTH), per_row = columns / WIDTH, row = vector / per_row;
        return load_vector<WIDTH>(x + int64(rows[row]) * columns + int64(vector - row * per_row) * WIDTH);
      });
}

// to[row, column] = from[row / times, column], rows of the result to_stride apart: each row `times` times.
extern "C" __global__ void __launch_bounds__(256) spread_rows(T *to,          // [rows, columns], rows to_stride apart
                                                              const T *from,  // [rows / times, columns]
                                                              int64 rows, uint32 columns, uint32 times, int64 to_stride) {
  for_vectors<WIDTH>(
      to, rows * columns,
      [=](int64 i) {
        const uint32 vector = uint32(i / WIDTH), per_row = columns / WIDTH, row = vector / per_row;
        return row * to_stride + int64(vector - row * per_row) * WIDTH;
      },
      [=](int64 i) {
        const uint32 vector = uint32(i / WIDTH), per_row = columns / WIDTH, row = vector / per_row;
        return load_vector<WIDTH>(from + int64(row / times) * columns + int64(vector - row * per_row) * WIDTH);
      });
}

// to[row, column] = Σ over k < times of from[row · times + k, column], k in order: what spread_rows does backwards.
extern "C" __global__ void __launch_bounds__(256) sum_row_groups(T *to,          // [rows, columns]
                                                                 const T *from,  // [rows · times, columns], rows from_stride apart
                                                                 int64 rows, uint32 columns, uint32 times, int64 from_stride) {
  for_vectors<WIDTH>(
      to, rows * columns, [](int64 i) { return i; },
      [=](int64 i) {
        const uint32 vector = uint32(i / WIDTH), per_row = columns / WIDTH, row = vector / per_row;
        const T *first = from + int64(row) * times * from_stride + int64(vector - row * per_row) * WIDTH;
        float sum[WIDTH] = {};
#pragma unroll 4
        for (uint32 k = 0; k < times; k++) {
          const Vector<T, WIDTH> x = load_vector<WIDTH>(first + k * from_stride);
#pragma unroll
          for (int j = 0; j < WIDTH; j++) sum[j] += to_float(x.v[j]);
        }
        Vector<T, WIDTH> out;
#pragma unroll
        for (int j = 0; j < WIDTH; j++) out.v[j] = from_float<T>(sum[j]);
        return out;
      });
}

// Σ over rows of a·b, by blocks of rows: block (x, y) sums its `block_rows` rows of 32 columns. sum_partials adds the blocks up.
extern "C" __global__ void __launch_bounds__(256) column_sums(float *partials,  // [blocks, columns]
                                                              const T *a,       // [rows, columns]
                                                              const T *b,       // [rows, columns]; ones where null
                                                              int64 rows, uint32 columns, uint32 block_rows) {
  __shared__ float parts[8][32];
  const uint32 lane = threadIdx.x % 32, slice = threadIdx.x / 32, column = blockIdx.x * 32 + lane;
  const int64 first = int64(blockIdx.y) * block_rows, end = first + block_rows < rows ? first + block_rows : rows;
  float sum = 0;
  if (column < columns) {
#pragma unroll 4
    for (int64 row = first + slice; row < end; row += 8) {
      const float p = to_float(a[row * columns + column]);
      sum += b ? p * to_float(b[row * columns + column]) : p;
    }
  }
  parts[slice][lane] = sum;
  __syncthreads();
  if (slice != 0 || column >= columns) return;
  for (int s = 1; s < 8; s++) sum += parts[s][lane];
  partials[int64(blockIdx.y) * columns + column] = sum;
}

// out[column] (+)= Σ over blocks of partials[block, column], in an order that depends on the number of blocks alone.
extern "C" __global__ void __launch_bounds__(1024) sum_partials(float *out,             // [columns]
                                                                const float *partials,  // [blocks, columns]
                                                                uint32 blocks, uint32 columns, int accumulate) {
  __shared__ float parts[32][33];
  const uint32 lane = threadIdx.x % 32, slice = threadIdx.x / 32, column = blockIdx.x * 32 + lane;
  float sum = 0;
  if (column < columns) {
#pragma unroll 8
    for (uint32 block = slice; block < blocks; block += 32) sum += partials[int64(block) * columns + column];
  }
  parts[slice][lane] = sum;
  __syncthreads();
  // Warp `slice` adds up the 32 parts of column `slice` of this block.
  const float total = warp_sum(parts[lane][slice]);
  const uint32 own = blockIdx.x * 32 + slice;
  if (lane == 0 && own < columns) out[own] = accumulate ? out[own] + total : total;
}
