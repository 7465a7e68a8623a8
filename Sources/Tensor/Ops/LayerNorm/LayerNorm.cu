// LayerNorm: y = n·w + b, n = (x − mean)·r, r = 1/√(variance + ε), and its gradients.
//
// Threads and rows as in RMSNorm.cu: GROUP threads hold a row in registers and reduce it twice: mean, and variance about it; the sums over the
// gradient go with them. Mean and r are computed anew in backward.
// Bytes per element: forward 2 elements, backward 3, with an arrived gradient 4. FLOPs: 7 and 14; memory's rate counts.
// H200, 8192×4096 bf16, 2026-11-21: forward 44.4 µs (3.02 TB/s: two barriers a row), backward 55.4 µs (3.63 TB/s).
//
// Defines: T (rows), W (weight and bias), COLUMNS, WIDTH (divides COLUMNS), GROUP (power of two up to 32, or THREADS), THREADS; in backward
// ARRIVED (1: add to a gradient that has come before), PARAMETERS (1: also the parameters' gradients, by partial sums of blocks).
#include "norm.cuh"

extern "C" __global__ void __launch_bounds__(THREADS) layer_norm_forward(T *y,        // [rows, COLUMNS]
                                                                         const T *x,  // [rows, COLUMNS]
                                                                         const W *w,  // [COLUMNS]; ones where null
                                                                         const W *b,  // [COLUMNS]; zeros where null
                                                                         float epsilon, int64 rows) {
  Shape::Part<W> weight, bias;
  if (w) weight.load(w, true); else weight.fill(1);
  bias.load(b, b != nullptr);
  const int64 step = int64(gridDim.x) * groups, first = int64(blockIdx.x) * groups, group = threadIdx.x / GROUP;
  int turn = 0;
  for (int64 base = first; base < rows; base += step) {
    const int64 row = base + group;
    Shape::Part<T> now;
    now.load(x + row * COLUMNS, row < rows);
    float sum[1] = {0}, squares[1] = {0};
    Shape::each([&](int i, int j) { sum[0] += now(i, j); });
    group_sums<GROUP, THREADS>(sum, turn++);
    const float mean = sum[0] * (1.0f / COLUMNS);
    Shape::each([&](int i, int j) {
      const float from_mean = now(i, j) - mean;
      if (Shape::holds(i)) squares[0] += from_mean * from_mean;
    });
    group_sums<GROUP, THREADS>(squares, turn++);
    if (row >= rows) continue;
    const float r = inverse_root<T>(squares[0] * (1.0f / COLUMNS) + epsilon);
    Shape::store(y + row * COLUMNS, [&](int i, int j) { return (now(i, j) - mean) * r * weight(i, j) + bias(i, j); });
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
  float dw[Shape::packs][WIDTH] = {}, db[Shape::packs][WIDTH] = {};
  int turn = 0;
  for (int64 base = first; base < rows; base += step) {
    const int64 row = base + group;
    Shape::Part<T> now, dy_now, before;
    now.load(x + row * COLUMNS, row < rows);
    dy_now.load(dy + row * COLUMNS, row < rows);
    if (ARRIVED) before.load(arrived + row * COLUMNS, row < rows);
    const auto g = [&](int i, int j) { return dy_now(i, j) * weight(i, j); };
    float first_sums[2] = {0, 0};
    Shape::each([&](int i, int j) {
      first_sums[0] += now(i, j);
      first_sums[1] += g(i, j);
    });
    group_sums<GROUP, THREADS>(first_sums, turn++);
    const float mean = first_sums[0] * (1.0f / COLUMNS), shift = first_sums[1] * (1.0f / COLUMNS);
    // Σ (x − mean)² and Σ g·(x − mean); behind the row's end g is 0.
    float sums[2] = {0, 0};
    Shape::each([&](int i, int j) {
      const float from_mean = now(i, j) - mean;
      if (Shape::holds(i)) sums[0] += from_mean * from_mean;
      sums[1] += g(i, j) * from_mean;
    });
    group_sums<GROUP, THREADS>(sums, turn++);
    const float r = inverse_root<T>(sums[0] * (1.0f / COLUMNS) + epsilon), pull = sums[1] * r * (1.0f / COLUMNS);
    const auto n = [&](int i, int j) { return (now(i, j) - mean) * r; };
    if (PARAMETERS) {
      Shape::each([&](int i, int j) {
        dw[i][j] += dy_now(i, j) * n(i, j);
        db[i][j] += dy_now(i, j);
      });
    }
    if (row >= rows || !dx) continue;
    Shape::store(dx + row * COLUMNS, [&](int i, int j) {
      const float slope = r * (g(i, j) - shift - n(i, j) * pull);
      return ARRIVED ? before(i, j) + slope : slope;
    });
  }
#if PARAMETERS
  __shared__ float scratch[groups > 1 ? COLUMNS : 1];
  Shape::add_groups<groups>(partials + int64(blockIdx.x) * COLUMNS, dw, scratch);
  Shape::add_groups<groups>(partials + int64(gridDim.x + blockIdx.x) * COLUMNS, db, scratch);
#endif
}
