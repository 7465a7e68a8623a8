// How far two rows of logits are apart: what LogitDivergence.swift defines, for each row.
//
// A block takes a row and reads it twice: first both maxima and their places, then everything else, exponentials and sums in float64, as what is
// measured may be 10⁻⁶ of what is summed. Sums are trees of one shape: the same bits on every run. Bytes: each logit twice.
#include "numbers.cuh"

#define THREADS 256

// The greater of two numbers and its place, at equal ones the lower place.
__device__ __forceinline__ void keep_greater(float &x, uint32 &place, float other, uint32 at) {
  if (other > x || (other == x && at < place)) {
    x = other;
    place = at;
  }
}

// The greatest number of a row and its place, in all threads.
__device__ __forceinline__ float greatest(const float *row, uint32 columns, uint32 &place) {
  __shared__ float numbers[THREADS];
  __shared__ uint32 places[THREADS];
  float most = -__int_as_float(0x7f800000);
  place = 0xffffffffu;
  for (uint32 i = threadIdx.x; i < columns; i += THREADS) keep_greater(most, place, row[i], i);
  __syncthreads();
  numbers[threadIdx.x] = most;
  places[threadIdx.x] = place;
  for (uint32 step = THREADS / 2; step > 0; step /= 2) {
    __syncthreads();
    if (threadIdx.x < step) keep_greater(numbers[threadIdx.x], places[threadIdx.x], numbers[threadIdx.x + step], places[threadIdx.x + step]);
  }
  __syncthreads();
  place = places[0];
  return numbers[0];
}

extern "C" __global__ void __launch_bounds__(THREADS) logit_divergence(
    double *__restrict__ results,  // [rows, 4]: divergence, Σ |difference|, largest |difference|, 1 where the likeliest is the same
    const float *__restrict__ reference, const float *__restrict__ other /* [rows, columns] */, uint32 columns) {
  const float *const p = reference + int64(blockIdx.x) * columns, *const q = other + int64(blockIdx.x) * columns;
  uint32 place_p, place_q;
  const double most_p = greatest(p, columns, place_p), most_q = greatest(q, columns, place_q);
  double total_p = 0, total_q = 0, moved = 0, absolute = 0;
  float largest = 0;
  for (uint32 i = threadIdx.x; i < columns; i += THREADS) {
    const double a = double(p[i]) - most_p, b = double(q[i]) - most_q, weight = exp(a);
    const float difference = fabsf(p[i] - q[i]);
    total_p += weight;
    total_q += exp(b);
    moved += weight * (a - b);
    absolute += double(difference);
    largest = difference == difference ? fmaxf(largest, difference) : __int_as_float(0x7f800000);
  }
  largest = block_max<THREADS>(largest);
  double sums[4] = {total_p, total_q, moved, absolute};
#pragma unroll
  for (int k = 0; k < 4; k++) {
    sums[k] = tree_sum<THREADS>(sums[k]);
    __syncthreads();
  }
  if (threadIdx.x != 0) return;
  double *const result = results + int64(blockIdx.x) * 4;
  result[0] = sums[2] / sums[0] - log(sums[0]) + log(sums[1]);
  result[1] = sums[3];
  result[2] = double(largest);
  result[3] = place_p == place_q ? 1 : 0;
}
