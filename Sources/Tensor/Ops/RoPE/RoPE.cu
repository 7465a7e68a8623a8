// Rotary position embedding: each head's pairs of features turn by the angle whose cosine and sine stand in tables, in place or not.
//
// A block is (vectors of pairs, lanes of heads, tokens): a thread keeps WIDTH cosines and sines in registers and turns the same pairs of every
// head lane it serves, HEADS heads' loads on their way at a time.
// Bytes per element: 2 elements, and 8 bytes of tables per pair and token for all heads. FLOPs: 3; memory's rate counts.
// H200, 8192 tokens of 32 heads of 128, bf16, in place, 2026-11-21: 38.0 µs (3.64 TB/s); of 8 heads 13.9 µs (2.71 TB/s).
//
// Defines: T, WIDTH (elements a vector; divides the head's vectors as the launcher chooses), INTERLEAVED (1: pairs are neighbours).
#include "rows.cuh"

#ifndef T
#define T bf16
#endif
#ifndef WIDTH
#define WIDTH 8
#endif
#ifndef INTERLEAVED
#define INTERLEAVED 0
#endif
#define HEADS 2

// Pairs that a thread turns in one head, and the vectors that hold them.
constexpr int pairs = INTERLEAVED ? WIDTH / 2 : WIDTH;
constexpr int halves = INTERLEAVED ? 1 : 2;

struct Turned { Vector<T, WIDTH> part[halves]; };

__device__ __forceinline__ Turned turned(const Turned &x, const Vector<float, pairs> &c, const Vector<float, pairs> &s) {
  Turned y;
#pragma unroll
  for (int i = 0; i < pairs; i++) {
    const float a = to_float(INTERLEAVED ? x.part[0].v[2 * i] : x.part[0].v[i]);
    const float b = to_float(INTERLEAVED ? x.part[0].v[2 * i + 1] : x.part[halves - 1].v[i]);
    const T first = from_float<T>(a * c.v[i] - b * s.v[i]), second = from_float<T>(b * c.v[i] + a * s.v[i]);
    if (INTERLEAVED) {
      y.part[0].v[2 * i] = first;
      y.part[0].v[2 * i + 1] = second;
    } else {
      y.part[0].v[i] = first;
      y.part[halves - 1].v[i] = second;
    }
  }
  return y;
}

extern "C" __global__ void __launch_bounds__(256) rope(T *y,                    // [rows, heads · dimension], rows y_stride apart; may be x
                                                       const T *x,              // [rows, heads · dimension], rows x_stride apart
                                                       const float *cosines,    // [rows, half]
                                                       const float *sines,      // [rows, half]
                                                       float sign, int64 rows, int heads, int dimension, int half, int64 y_stride,
                                                       int64 x_stride) {
  const int64 row = int64(blockIdx.x) * blockDim.z + threadIdx.z;
  if (row >= rows) return;
  x += row * x_stride;
  y += row * y_stride;
  for (int pair = threadIdx.x * pairs; pair < half; pair += blockDim.x * pairs) {
    const Vector<float, pairs> c = load_vector<pairs>(cosines + row * half + pair);
    Vector<float, pairs> s = load_vector<pairs>(sines + row * half + pair);
#pragma unroll
    for (int i = 0; i < pairs; i++) s.v[i] *= sign;
    const int place = INTERLEAVED ? 2 * pair : pair;
    for (int first = threadIdx.y; first < heads; first += blockDim.y * HEADS) {
      Turned part[HEADS];
#pragma unroll
      for (int h = 0; h < HEADS; h++) {
        const int head = first + h * blockDim.y;
#pragma unroll
        for (int k = 0; k < halves; k++) {
          if (head < heads) part[h].part[k] = load_vector<WIDTH>(x + head * dimension + place + k * half);
        }
      }
#pragma unroll
      for (int h = 0; h < HEADS; h++) {
        const int head = first + h * blockDim.y;
        if (head >= heads) continue;
        const Turned out = turned(part[h], c, s);
#pragma unroll
        for (int k = 0; k < halves; k++) store_vector(y + head * dimension + place + k * half, out.part[k]);
      }
    }
  }
  if (x == y) return;
  // What does not turn.
  for (int head = threadIdx.y; head < heads; head += blockDim.y) {
    for (int d = 2 * half + threadIdx.x; d < dimension; d += blockDim.x) y[head * dimension + d] = x[head * dimension + d];
  }
}
