// LayerNorm: y = n·w + b, n = (x − mean)·r, r = 1/√(variance + ε), and its gradients.
//
// Threads and rows as in RMSNorm.cu: GROUP threads hold a row in registers and reduce it three times at most: mean, variance about it, and in
// backward the two sums over the gradient. Mean and r are computed anew in backward.
// Bytes per element: forward 2 elements, backward 3, with an arrived gradient 4. FLOPs: 7 and 14; memory's rate counts.
//
// Defines: T (rows), W (weight and bias), COLUMNS, WIDTH (divides COLUMNS), GROUP (power of two up to 32, or THREADS), THREADS; in backward
// ARRIVED (1: add to a gradient that has come before), PARAMETERS (1: also the parameters' gradients, by partial sums of blocks).
#include "rows.cuh"

#ifndef T
#define T bf16
#endif
#ifndef W
#define W T
#endif
#ifndef COLUMNS
#define COLUMNS 4096
#endif
#ifndef WIDTH
#define WIDTH 8
#endif
#ifndef THREADS
#define THREADS 256
#endif
#ifndef GROUP
#define GROUP THREADS
#endif
#ifndef ARRIVED
#define ARRIVED 0
#endif
#ifndef PARAMETERS
#define PARAMETERS 0
#endif

using Shape = RowShape<COLUMNS, GROUP, WIDTH>;
constexpr int groups = THREADS / GROUP;

struct Moments { float mean, r; };

// Mean, and 1 / √(variance + ε), of the row that the group holds.
__device__ __forceinline__ Moments moments(const Shape::Part<T> &x, float epsilon, int &turn) {
  float sum[1] = {0};
  Shape::each([&](int i, int j) { sum[0] += x(i, j); });
  group_sums<GROUP, THREADS>(sum, turn++);
  const float mean = sum[0] / COLUMNS;
  float squares[1] = {0};
  Shape::each([&](int i, int j) {
    const float from_mean = x(i, j) - mean;
    if (Shape::holds(i)) squares[0] += from_mean * from_mean;
  });
  group_sums<GROUP, THREADS>(squares, turn++);
  return {mean, 1.0f / sqrtf(squares[0] / COLUMNS + epsilon)};
}

extern "C" __global__ void __launch_bounds__(THREADS) layer_norm_forward(T *y,        // [rows, COLUMNS]
                                                                         const T *x,  // [rows, COLUMNS]
                                                                         const W *w,  // [COLUMNS]; ones where null
                                                                         const W *b,  // [COLUMNS]; zeros where null
                                                                         float epsilon, int64 rows) {
  Shape::Part<W> weight, bias;
  if (w) weight.load(w, true); else weight.fill(1);
  bias.load(b, b != nullptr);
  const int64 step = int64(gridDim.x) * groups, first = int64(blockIdx.x) * groups, group = threadIdx.x / GROUP;
  Shape::Part<T> next;
  next.load(x + (first + group) * COLUMNS, first + group < rows);
  int turn = 0;
  for (int64 base = first; base < rows; base += step) {
    const int64 row = base + group;
    const Shape::Part<T> now = next;
    next.load(x + (row + step) * COLUMNS, row + step < rows);
    const Moments m = moments(now, epsilon, turn);
    if (row >= rows) continue;
    Shape::store(y + row * COLUMNS, [&](int i, int j) { return (now(i, j) - m.mean) * m.r * weight(i, j) + bias(i, j); });
  }
}

// dx = r·(g − mean(g) − n·mean(g·n)) with g = dy·w; dw = Σ dy·n, db = Σ dy.
extern "C" __global__ void __launch_bounds__(THREADS) layer_norm_backward(
    T *dx,             // [rows, COLUMNS]; may be dy or arrived; null where only the parameters' gradients are wanted
    const T *dy,       // [rows, COLUMNS]
    const T *x,        // [rows, COLUMNS]
    const W *w,        // [COLUMNS]; ones where null
    const T *arrived,  // [rows, COLUMNS], added to dx (ARRIVED)
    float *partials,   // [2, grid, COLUMNS], each block's Σ dy·n, then each block's Σ dy (PARAMETERS)
    float epsilon, int64 rows) {
  Shape::Part<W> weight;
  if (w) weight.load(w, true); else weight.fill(1);
  const int64 step = int64(gridDim.x) * groups, first = int64(blockIdx.x) * groups, group = threadIdx.x / GROUP;
  Shape::Part<T> next_x, next_dy, next_before;
  const auto fetch = [&](int64 row) {
    next_x.load(x + row * COLUMNS, row < rows);
    next_dy.load(dy + row * COLUMNS, row < rows);
    if (ARRIVED) next_before.load(arrived + row * COLUMNS, row < rows);
  };
  fetch(first + group);
  float dw[Shape::packs][WIDTH] = {}, db[Shape::packs][WIDTH] = {};
  int turn = 0;
  for (int64 base = first; base < rows; base += step) {
    const int64 row = base + group;
    const Shape::Part<T> now = next_x, dy_now = next_dy, before = next_before;
    fetch(row + step);
    const Moments m = moments(now, epsilon, turn);
    const auto n = [&](int i, int j) { return (now(i, j) - m.mean) * m.r; };
    const auto g = [&](int i, int j) { return dy_now(i, j) * weight(i, j); };
    float sums[2] = {0, 0};
    Shape::each([&](int i, int j) {
      sums[0] += g(i, j);
      sums[1] += g(i, j) * n(i, j);
    });
    group_sums<GROUP, THREADS>(sums, turn++);
    const float shift = sums[0] / COLUMNS, pull = sums[1] / COLUMNS;
    if (PARAMETERS) {
      Shape::each([&](int i, int j) {
        dw[i][j] += dy_now(i, j) * n(i, j);
        db[i][j] += dy_now(i, j);
      });
    }
    if (row >= rows || !dx) continue;
    Shape::store(dx + row * COLUMNS, [&](int i, int j) {
      const float slope = m.r * (g(i, j) - shift - n(i, j) * pull);
      return ARRIVED ? before(i, j) + slope : slope;
    });
  }
#if PARAMETERS
  __shared__ float scratch[groups > 1 ? COLUMNS : 1];
  Shape::add_groups<groups>(partials + int64(blockIdx.x) * COLUMNS, dw, scratch);
  Shape::add_groups<groups>(partials + int64(gridDim.x + blockIdx.x) * COLUMNS, db, scratch);
#endif
}
