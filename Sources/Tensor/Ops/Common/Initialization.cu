// Random starts, drawn where they are used. A thread draws four words at a time, Philox as everywhere; normal numbers by Box and Muller in
// float32, so they are not the numbers that the CPU draws in float64.
//
// Defines: T.
#include "philox.cuh"

#ifndef T
#define T bf16
#endif

// kind 0: offset; 1: offset + scale · normal; 2: offset + scale · uniform in [−1, 1).
extern "C" __global__ void __launch_bounds__(256) draw(T *p,  // [count]
                                                       int kind, float offset, float scale, uint64 seed, uint64 stream, int64 count) {
  const int64 step = int64(gridDim.x) * blockDim.x;
  for (int64 group = int64(blockIdx.x) * blockDim.x + threadIdx.x; group * 4 < count; group += step) {
    float values[4] = {0, 0, 0, 0};
    if (kind != 0) {
      const uint4 words = philox(seed, stream, group);
#pragma unroll
      for (int j = 0; j < 4; j++) values[j] = uniform(word_of(words, j));
      if (kind == 1) {
#pragma unroll
        for (int j = 0; j < 4; j += 2) {
          const float radius = sqrtf(-2.0f * logf(1.0f - values[j])), angle = 6.283185307f * values[j + 1];
          values[j] = radius * cosf(angle);
          values[j + 1] = radius * sinf(angle);
        }
      } else {
#pragma unroll
        for (int j = 0; j < 4; j++) values[j] = 2.0f * values[j] - 1.0f;
      }
    }
#pragma unroll
    for (int j = 0; j < 4; j++) {
      if (group * 4 + j < count) p[group * 4 + j] = from_float<T>(offset + scale * values[j]);
    }
  }
}
