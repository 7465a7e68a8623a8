// RMSNorm: y = x·r·(offset + w), r = 1/√(mean(x²) + ε), and its gradients.
//
// GROUP threads hold one row in registers (vectors of WIDTH elements); a block of THREADS serves THREADS/GROUP rows at a time and
// strides over the rest, the next row's loads on their way while it reduces this one. Sums over a row: shuffles, and above a warp one
// barrier. r is computed anew in backward: the row is read anyway, and one more number in the same reduction costs nothing.
// Bytes per element: forward 2 elements, backward 3, with an arrived gradient 4. FLOPs: 4 and 9; memory's rate counts.
//
// Defines: T (rows), W (weight), COLUMNS, WIDTH (divides COLUMNS), GROUP (power of two up to 32, or THREADS), THREADS; in backward ARRIVED
// (1: add to a gradient that has come before), PARAMETERS (1: also the weight's gradient, by partial sums of blocks).
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
#ifndef MIN_BLOCKS
#define MIN_BLOCKS 1
#endif
#ifndef PREFETCH
#define PREFETCH 1
#endif
#ifndef ARRIVED
#define ARRIVED 0
#endif
#ifndef PARAMETERS
#define PARAMETERS 0
#endif

using Shape = RowShape<COLUMNS, GROUP, WIDTH>;
constexpr int groups = THREADS / GROUP;

extern "C" __global__ void __launch_bounds__(THREADS, MIN_BLOCKS) rms_norm_forward(T *y,        // [rows, COLUMNS]
                                                                       const T *x,  // [rows, COLUMNS]
                                                                       const W *w,  // [COLUMNS]
                                                                       float offset, float epsilon, int64 rows) {
  Shape::Part<W> weight;
  weight.load(w, true);
  const int64 step = int64(gridDim.x) * groups, first = int64(blockIdx.x) * groups, group = threadIdx.x / GROUP;
  Shape::Part<T> next;
  if (PREFETCH) next.load(x + (first + group) * COLUMNS, first + group < rows);
  int turn = 0;
  for (int64 base = first; base < rows; base += step) {
    const int64 row = base + group;
    if (!PREFETCH) next.load(x + row * COLUMNS, row < rows);
    const Shape::Part<T> now = next;
    if (PREFETCH) next.load(x + (row + step) * COLUMNS, row + step < rows);
    float sums[1] = {0};
    Shape::each([&](int i, int j) { sums[0] += now(i, j) * now(i, j); });
    group_sums<GROUP, THREADS>(sums, turn++);
    if (row >= rows) continue;
    const float r = inverse_root<T>(sums[0] * (1.0f / COLUMNS) + epsilon);
    Shape::store(y + row * COLUMNS, [&](int i, int j) { return now(i, j) * r * (offset + weight(i, j)); });
  }
}

// dx = r·(g − n·mean(g·n)) with n = x·r, g = dy·(offset + w); dw = Σ dy·n.
extern "C" __global__ void __launch_bounds__(THREADS, MIN_BLOCKS) rms_norm_backward(
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
  Shape::Part<T> next_x, next_dy, next_before;
  const auto fetch = [&](int64 row) {
    next_x.load(x + row * COLUMNS, row < rows);
    next_dy.load(dy + row * COLUMNS, row < rows);
    if (ARRIVED) next_before.load(arrived + row * COLUMNS, row < rows);
  };
  if (PREFETCH) fetch(first + group);
  float dw[Shape::packs][WIDTH] = {};
  int turn = 0;
  for (int64 base = first; base < rows; base += step) {
    const int64 row = base + group;
    if (!PREFETCH) fetch(row);
    const Shape::Part<T> n = next_x, g = next_dy, before = next_before;
    if (PREFETCH) fetch(row + step);
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
