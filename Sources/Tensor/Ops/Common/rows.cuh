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

// Sums x[0..<count] over the `lanes` threads of one row: part of a warp, or the whole block of `threads`. All threads of the block call
// it; `turn` alternates between calls, so that one barrier is enough. Every thread of the group gets the same bits.
template <int lanes, int threads, int count> __device__ __forceinline__ void group_sums(float (&x)[count], int turn) {
  static_assert(lanes == threads || lanes <= 32, "a group is part of a warp or the block");
#pragma unroll
  for (int step = (lanes < 32 ? lanes : 32) / 2; step > 0; step >>= 1) {
#pragma unroll
    for (int i = 0; i < count; i++) x[i] += __shfl_xor_sync(0xffffffffu, x[i], step);
  }
  if (lanes <= 32) return;
  constexpr int warps = lanes <= 32 ? 1 : threads / 32;
  __shared__ float parts[2][count][warps];
  if (threadIdx.x % 32 == 0) {
#pragma unroll
    for (int i = 0; i < count; i++) parts[turn & 1][i][threadIdx.x / 32] = x[i];
  }
  __syncthreads();
#pragma unroll
  for (int i = 0; i < count; i++) {
    x[i] = 0;
#pragma unroll
    for (int w = 0; w < warps; w++) x[i] += parts[turn & 1][i][w];
  }
}

// 1 / √x: exact to the last place or so for float32 rows, the fast approximation (2 ulp) for 16-bit ones.
template <class E> __device__ __forceinline__ float inverse_root(float x) { return sizeof(E) == 4 ? 1.0f / sqrtf(x) : rsqrtf(x); }

// What one thread holds of a row of `columns` elements that `lanes` threads share: every lanes-th vector of `width` elements.
template <int columns, int lanes, int width> struct RowShape {
  static constexpr int packs = (columns + lanes * width - 1) / (lanes * width);
  static constexpr bool is_whole = columns % (lanes * width) == 0;
  // The first column of this thread's vector i.
  static __device__ __forceinline__ int column(int i) { return (i * lanes + int(threadIdx.x % lanes)) * width; }
  static __device__ __forceinline__ bool holds(int i) { return is_whole || column(i) < columns; }

  // The numbers themselves; zero behind the row's end.
  template <class E> struct Part {
    Vector<E, width> vectors[packs];
    __device__ __forceinline__ void load(const E *row, bool present) {
#pragma unroll
      for (int i = 0; i < packs; i++) {
        vectors[i] = Vector<E, width>();
        if (present && holds(i)) vectors[i] = load_vector<width>(row + column(i));
      }
    }
    __device__ __forceinline__ void fill(float value) {
#pragma unroll
      for (int i = 0; i < packs; i++) vectors[i] = same<width>(from_float<E>(value));
    }
    __device__ __forceinline__ float operator()(int i, int j) const { return to_float(vectors[i].v[j]); }
  };

  // row[column] = value(i, j) for this thread's columns.
  template <class E, class Value> static __device__ __forceinline__ void store(E *row, Value value) {
#pragma unroll
    for (int i = 0; i < packs; i++) {
      if (!holds(i)) continue;
      Vector<E, width> out;
#pragma unroll
      for (int j = 0; j < width; j++) out.v[j] = from_float<E>(value(i, j));
      store_vector(row + column(i), out);
    }
  }
  template <class Body> static __device__ __forceinline__ void each(Body body) {
#pragma unroll
    for (int i = 0; i < packs; i++) {
#pragma unroll
      for (int j = 0; j < width; j++) body(i, j);
    }
  }

  // into[column] = Σ over the block's groups of sums[i][j], the groups one after the other, so that the order is fixed. All threads call it;
  // `scratch` has `columns` floats where there are several groups.
  template <int groups> static __device__ __forceinline__ void add_groups(float *into, float (&sums)[packs][width], float *scratch) {
    const int group = threadIdx.x / lanes;
#pragma unroll 1
    for (int turn = 0; turn < groups; turn++) {
      if (group == turn) {
#pragma unroll
        for (int i = 0; i < packs; i++) {
          if (!holds(i)) continue;
#pragma unroll
          for (int j = 0; j < width; j++) {
            const float value = turn > 0 ? scratch[column(i) + j] + sums[i][j] : sums[i][j];
            (turn == groups - 1 ? into : scratch)[column(i) + j] = value;
          }
        }
      }
      if (groups > 1) __syncthreads();
    }
  }
};

// y[place(i)] = value(i) for all i < count, in vectors of N: a vector a thread, neighbours side by side; several vectors a thread were slower
// (H200). `place` and `value` get the number of the vector's first element; count is a multiple of N. Any grid works: blocks stride.
template <int N, class Y, class Place, class Value>
__device__ __forceinline__ void for_vectors(Y *y, int64 count, Place place, Value value) {
  const int64 vectors = count / N, step = int64(gridDim.x) * blockDim.x;
  for (int64 i = int64(blockIdx.x) * blockDim.x + threadIdx.x; i < vectors; i += step) store_vector(y + place(i * N), value(i * N));
}

template <class Y, class... Inputs> constexpr int widest = sizeof(Y);
template <class Y, class A, class... Inputs>
constexpr int widest<Y, A, Inputs...> = sizeof(Y) > widest<A, Inputs...> ? sizeof(Y) : widest<A, Inputs...>;

// y[i] = f(a[i], …) for i < count. 16 bytes at a time where all addresses allow it; what is left over singly.
template <class Y, class F, class... Inputs>
__device__ __forceinline__ void map_elements(Y *y, int64 count, F f, const Inputs *...inputs) {
  constexpr int N = 16 / widest<Y, Inputs...>;
  const int64 whole = (aligned(y) && ... && aligned(inputs)) ? count / N * N : 0;
  const auto same_place = [](int64 i) { return i; };
  for_vectors<N>(y, whole, same_place, [=](int64 i) { return map_vectors<N, Y>(f, load_vector<N>(inputs + i)...); });
  for_vectors<1>(y + whole, count - whole, same_place, [=](int64 i) {
    return map_vectors<1, Y>(f, load_vector<1>(inputs + whole + i)...);
  });
}
