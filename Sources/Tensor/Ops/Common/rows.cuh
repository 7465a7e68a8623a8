// What the memory-bound kernels share: vectors, sums over the threads that serve one row, and one loop over elements.
#pragma once
#include "numbers.cuh"

// N elements, moved in pieces of at most 16 bytes. A pointer to them is aligned to the whole vector or to 16 bytes.
template <class T, int N> struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) Vector { T v[N]; };
template <int N, class T> __device__ __forceinline__ Vector<T, N> load_vector(const T *p) {
  return *reinterpret_cast<const Vector<T, N> *>(p);
}
template <class T, int N> __device__ __forceinline__ void store_vector(T *p, const Vector<T, N> &x) {
  *reinterpret_cast<Vector<T, N> *>(p) = x;
}
template <int N, class T> __device__ __forceinline__ Vector<T, N> same(T x) {
  Vector<T, N> y;
#pragma unroll
  for (int i = 0; i < N; i++) y.v[i] = x;
  return y;
}

// f of vectors, element by element in float32, rounded to Y.
template <int N, class Y, class F, class... Inputs>
__device__ __forceinline__ Vector<Y, N> map_vectors(F f, const Inputs &...inputs) {
  Vector<Y, N> y;
#pragma unroll
  for (int i = 0; i < N; i++) y.v[i] = from_float<Y>(f(to_float(inputs.v[i])...));
  return y;
}

// Whether a pointer may be read in 16-byte pieces.
__device__ __forceinline__ bool aligned(const void *p) { return (reinterpret_cast<uint64>(p) & 15) == 0; }

// Sums x[0..<COUNT] over the GROUP threads of one row: part of a warp, or the whole block of THREADS. All threads of the block call it;
// `turn` alternates between calls, so that one barrier is enough. Every thread of the group gets the same bits.
template <int GROUP, int THREADS, int COUNT> __device__ __forceinline__ void group_sums(float (&x)[COUNT], int turn) {
  static_assert(GROUP == THREADS || GROUP <= 32, "a group is part of a warp or the block");
#pragma unroll
  for (int step = (GROUP < 32 ? GROUP : 32) / 2; step > 0; step >>= 1) {
#pragma unroll
    for (int i = 0; i < COUNT; i++) x[i] += __shfl_xor_sync(0xffffffffu, x[i], step);
  }
  if (GROUP <= 32) return;
  constexpr int WARPS = GROUP <= 32 ? 1 : THREADS / 32;
  __shared__ float parts[2][COUNT][WARPS];
  if (threadIdx.x % 32 == 0) {
#pragma unroll
    for (int i = 0; i < COUNT; i++) parts[turn & 1][i][threadIdx.x / 32] = x[i];
  }
  __syncthreads();
#pragma unroll
  for (int i = 0; i < COUNT; i++) {
    x[i] = 0;
#pragma unroll
    for (int w = 0; w < WARPS; w++) x[i] += parts[turn & 1][i][w];
  }
}

// y[place(i)] = value(i) for all i < count, in vectors of N. A thread makes UNROLL vectors at a time and stores them after all its loads.
// `place` and `value` get the number of the vector's first element; count is a multiple of N. Any grid works: blocks stride.
template <int N, int UNROLL, class Y, class Place, class Value>
__device__ __forceinline__ void for_vectors(Y *y, int64 count, Place place, Value value) {
  const int64 vectors = count / N, step = int64(gridDim.x) * blockDim.x * UNROLL;
  for (int64 first = int64(blockIdx.x) * blockDim.x * UNROLL + threadIdx.x; first < vectors; first += step) {
    Vector<Y, N> made[UNROLL];
#pragma unroll
    for (int u = 0; u < UNROLL; u++) {
      const int64 i = first + int64(u) * blockDim.x;
      if (i < vectors) made[u] = value(i * N);
    }
#pragma unroll
    for (int u = 0; u < UNROLL; u++) {
      const int64 i = first + int64(u) * blockDim.x;
      if (i < vectors) store_vector(y + place(i * N), made[u]);
    }
  }
}

template <class Y, class... Inputs> constexpr int widest = sizeof(Y);
template <class Y, class A, class... Inputs>
constexpr int widest<Y, A, Inputs...> = sizeof(Y) > widest<A, Inputs...> ? sizeof(Y) : widest<A, Inputs...>;

// y[i] = f(a[i], …) for i < count. 16 bytes at a time where all addresses allow it; what is left over singly.
template <int UNROLL, class Y, class F, class... Inputs>
__device__ __forceinline__ void map_elements(Y *y, int64 count, F f, const Inputs *...inputs) {
  constexpr int N = 16 / widest<Y, Inputs...>;
  const int64 whole = (aligned(y) && ... && aligned(inputs)) ? count / N * N : 0;
  const auto same_place = [](int64 i) { return i; };
  for_vectors<N, UNROLL>(y, whole, same_place, [=](int64 i) { return map_vectors<N, Y>(f, load_vector<N>(inputs + i)...); });
  for_vectors<1, UNROLL>(y + whole, count - whole, same_place, [=](int64 i) {
    return map_vectors<1, Y>(f, load_vector<1>(inputs + whole + i)...);
  });
}
