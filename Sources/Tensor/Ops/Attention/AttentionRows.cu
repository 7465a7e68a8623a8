// What attention's backward pass needs of rows: Σ dy·y of each row and head, and the sinks' gradient.
//
// Σ dy·y: a warp a row and head, one after the other; reads each number once, 2·D·sizeof(T) bytes and 2·D FLOPs a row and head.
// Sinks: a block a head, a few bytes a row.
//
// -DT= number type, -DD= features of a value head.
#include "numbers.cuh"

// pulls [heads, tokens] = Σ dy·y per row and head. A warp a row and head; grid ⌈tokens·heads / 8⌉.
extern "C" __global__ void __launch_bounds__(256)
    attention_pulls(float *pulls, const T *out, const T *gradient, int out_stride, int gradient_stride, int tokens, int heads) {
  const int64 index = int64(blockIdx.x) * 8 + threadIdx.x / 32;
  if (index >= int64(tokens) * heads) return;
  const int row = int(index / heads), head = int(index % heads);
  const T *y = out + int64(row) * out_stride + head * D, *dy = gradient + int64(row) * gradient_stride + head * D;
  float sum = 0;
  for (int c = threadIdx.x % 32; c < D; c += 32) sum = fmaf(to_float(y[c]), to_float(dy[c]), sum);
  sum = warp_sum(sum);
  if (threadIdx.x % 32 == 0) pulls[int64(head) * tokens + row] = sum;
}

// dsinks [heads] = −Σ exp(sink − log-sum)·pull over rows. A block a head.
extern "C" __global__ void __launch_bounds__(256)
    attention_sinks(float *dsinks, const float *sinks, const float *sums, const float *pulls, int tokens) {
  const int head = blockIdx.x;
  float sum = 0;
  for (int row = threadIdx.x; row < tokens; row += 256)
    sum -= expf(sinks[head] - sums[int64(head) * tokens + row]) * pulls[int64(head) * tokens + row];
  sum = block_sum<256>(sum);
  if (threadIdx.x == 0) dsinks[head] = sum;
}
