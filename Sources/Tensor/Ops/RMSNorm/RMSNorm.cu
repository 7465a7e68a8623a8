// RMSNorm: y = x·r·(offset + w), r = 1/√(mean(x²) + ε), and its gradients.
//
// GROUP threads hold one row in registers (vectors of WIDTH elements, some four each); a block of THREADS serves THREADS/GROUP rows. Sums
// over a row: shuffles, and above a warp one barrier. r is computed anew in backward: the row is read anyway, and one more number in the
// same reduction costs nothing. A block a row: the SM's other blocks hide a row's latency; blocks that stride over rows and fetch the next
// one ahead were slower (42 to 60 µs and more). Only the weight's gradient makes blocks stride, so that there are few partial sums.
// Bytes per element: forward 2 elements, backward 3, with an arrived gradient 4. FLOPs: 4 and 9; memory's rate counts.
// H200, 8192×4096 bf16, 2026-11-21: forward 37.8 µs (3.55 TB/s; a plain copy takes 36.8), backward 54.2 µs (3.71 TB/s); 8192×8192: 70.9
// and 101.5; 262144×128: 37.7 and 53.5; 8192×4096 float32: 71 and 100.
//
// Defines: T (rows), W (weight), COLUMNS, WIDTH (divides COLUMNS), GROUP (power of two up to 32, or THREADS), THREADS; in backward ARRIVED
// (1: add to a gradient that has come before), PARAMETERS (1: also the weight's gradient, by partial sums of blocks).
#include "norm.cuh"

extern "C" __global__ void __launch_bounds__(THREADS) rms_norm_forward(T *y,        // [rows, COLUMNS], rows y_stride apart
                                                                       const T *x,  // [rows, COLUMNS]
                                                                       const W *w,  // [COLUMNS]
                                                                       float offset, float epsilon, int64 rows, int64 y_stride) {
  Shape::Part<W> weight;
  weight.load(w, true);
  const int64 step = int64(gridDim.x) * groups, first = int64(blockIdx.x) * groups, group = threadIdx.x / GROUP;
  int turn = 0;
  for (int64 base = first; base < rows; base += step) {
    const int64 row = base + group;
    Shape::Part<T> now;
    now.load(x + row * COLUMNS, row < rows);
    float sums[1] = {0};
    Shape::each([&](int i, int j) { sums[0] += now(i, j) * now(i, j); });
    group_sums<GROUP, THREADS>(sums, turn++);
    if (row >= rows) continue;
    const float r = inverse_root<T>(sums[0] * (1.0f / COLUMNS) + epsilon);
    Shape::store(y + row * y_stride, [&](int i, int j) { return now(i, j) * r * (offset + weight(i, j)); });
  }
}

// dx = r·(g − n·mean(g·n)) with n = x·r, g = dy·(offset + w); dw = Σ dy·n.
extern "C" __global__ void __launch_bounds__(THREADS) rms_norm_backward(
    T *dx,             // [rows, COLUMNS]; may be dy or arrived; null where only the weight's gradient is wanted
    const T *dy,       // [rows, COLUMNS]
    const T *x,        // [rows, COLUMNS]
    const W *w,        // [COLUMNS]
    const T *arrived,  // [rows, COLUMNS], added to dx (ARRIVED)
    float *partials,   // [grid, COLUMNS], each block's Σ dy·n (PARAMETERS)
    float offset, float epsilon, int64 rows) {
  Shape::Part<W> weight;
  weight.load(w, true);
  const int64 step = int64(gridDim.x) * groups, first = int64(blockIdx.x) * groups, group = threadIdx.x / GROUP;
  float dw[Shape::packs][WIDTH] = {};
  int turn = 0;
  for (int64 base = first; base < rows; base += step) {
    const int64 row = base + group;
    Shape::Part<T> n, g, before;
    n.load(x + row * COLUMNS, row < rows);
    g.load(dy + row * COLUMNS, row < rows);
    if (ARRIVED) before.load(arrived + row * COLUMNS, row < rows);
    float sums[2] = {0, 0};
    Shape::each([&](int i, int j) {
      sums[0] += n(i, j) * n(i, j);
      sums[1] += g(i, j) * (offset + weight(i, j)) * n(i, j);
    });
    group_sums<GROUP, THREADS>(sums, turn++);
    const float r = inverse_root<T>(sums[0] * (1.0f / COLUMNS) + epsilon), pull = sums[1] * r * r * (1.0f / COLUMNS);
    if (PARAMETERS) Shape::each([&](int i, int j) { dw[i][j] += g(i, j) * (n(i, j) * r); });
    if (row >= rows || !dx) continue;
    Shape::store(dx + row * COLUMNS, [&](int i, int j) {
      const float slope = r * (g(i, j) * (offset + weight(i, j)) - n(i, j) * pull);
      return ARRIVED ? before(i, j) + slope : slope;
    });
  }
#if PARAMETERS
  __shared__ float scratch[groups > 1 ? COLUMNS : 1];
  Shape::add_groups<groups>(partials + int64(blockIdx.x) * COLUMNS, dw, scratch);
#endif
}
