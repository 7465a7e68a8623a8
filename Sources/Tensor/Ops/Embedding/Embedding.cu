// Rows of a table by token id, and the table's gradient.
//
// Forward: a thread takes 16 bytes of a row; the table may lie in mapped host memory, then the bus's
// rate counts. Bytes per element: one of the table, one of the result.
// Backward: ids are sorted with their places (blocks of 2048 bitonic in shared memory, then merges by rank), so that the first place of each
// id adds up all of that id's gradients, tokens in ascending order: no atomics, one order. Bytes: the gradient once, the rows hit twice.
// H200, 8192 tokens of 4096 bf16, 2026-11-21: forward 37.3 µs (3.60 TB/s), from pinned memory 1.23 ms (54 GB/s, the bus); backward 310 µs
// where one id has 600 of the tokens; sort of 8192 ids 29 µs, of 262144 65 µs.
//
// Defines: T (result, gradient), TABLE (table, or A of an adapter), SUM (type that is added to), WIDTH (divides columns).
#include "rows.cuh"

#ifndef T
#define T bf16
#endif
#ifndef TABLE
#define TABLE T
#endif
#ifndef SUM
#define SUM float32
#endif
#ifndef WIDTH
#define WIDTH 8
#endif

// y[t] = factor · table[ids[t]]; NaN for an id outside of the vocabulary, so that a mistake is seen.
extern "C" __global__ void __launch_bounds__(256) embed(T *y,                // [tokens, columns]
                                                        const int *ids,      // [tokens]
                                                        const TABLE *table,  // [vocabulary, columns]
                                                        float factor, int64 tokens, uint32 columns, int vocabulary) {
  for_vectors<WIDTH>(
      y, tokens * columns, [](int64 i) { return i; },
      [=](int64 i) {
        const uint32 vector = uint32(i / WIDTH), per_row = columns / WIDTH, token = vector / per_row;
        const int id = ids[token];
        if (id < 0 || id >= vocabulary) return same<WIDTH>(from_float<T>(__int_as_float(0x7fc00000)));
        const Vector<TABLE, WIDTH> x = load_vector<WIDTH>(table + int64(id) * columns + int64(vector - token * per_row) * WIDTH);
        return map_vectors<WIDTH, T>([=](float v) { return v * factor; }, x);
      });
}

// h[t, r] = a[r, ids[t]]: the columns of an adapter's A.
extern "C" __global__ void __launch_bounds__(256) pick_columns(T *h,            // [tokens, rank]
                                                               const int *ids,  // [tokens]
                                                               const TABLE *a,  // [rank, vocabulary]
                                                               int64 tokens, int rank, int vocabulary) {
  const int64 i = int64(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= tokens * rank) return;
  const int64 token = i / rank;
  const int id = ids[token];
  const bool known = id >= 0 && id < vocabulary;
  h[i] = from_float<T>(known ? to_float(a[(i - token * rank) * vocabulary + id]) : __int_as_float(0x7fc00000));
}

// Keys id·2³² + place, sorted within blocks of 2048.
extern "C" __global__ void __launch_bounds__(1024) sort_blocks(uint64 *keys,    // [count]
                                                               const int *ids,  // [count]
                                                               uint32 count) {
  __shared__ uint64 block[2048];
  const uint32 first = blockIdx.x * 2048;
  for (uint32 i = threadIdx.x; i < 2048; i += 1024) {
    block[i] = first + i < count ? uint64(uint32(ids[first + i])) << 32 | (first + i) : ~uint64(0);
  }
  for (uint32 size = 2; size <= 2048; size *= 2) {
    for (uint32 distance = size / 2; distance > 0; distance /= 2) {
      __syncthreads();
      const uint32 low = 2 * threadIdx.x - (threadIdx.x & (distance - 1)), high = low + distance;
      const bool ascending = (low & size) == 0;
      const uint64 a = block[low], b = block[high];
      if ((a > b) == ascending) {
        block[low] = b;
        block[high] = a;
      }
    }
  }
  __syncthreads();
  for (uint32 i = threadIdx.x; i < 2048; i += 1024) {
    if (first + i < count) keys[first + i] = block[i];
  }
}

// Keys below `key` in keys[from..<to].
__device__ __forceinline__ uint32 rank_of(uint64 key, const uint64 *keys, uint32 from, uint32 to) {
  uint32 low = from, high = to;
  while (low < high) {
    const uint32 middle = (low + high) / 2;
    if (keys[middle] < key)
      low = middle + 1;
    else
      high = middle;
  }
  return low - from;
}

// Merges neighbouring sorted runs of `run` keys. All keys differ, so a key's place is its place in its own run and its rank in the other.
extern "C" __global__ void __launch_bounds__(256) merge_runs(uint64 *merged,      // [count]
                                                             const uint64 *keys,  // [count]
                                                             uint32 count, uint32 run) {
  const uint32 i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const uint32 begin = i / run / 2 * 2 * run;
  const uint32 middle = begin + run < count ? begin + run : count, end = begin + 2 * run < count ? begin + 2 * run : count;
  const uint64 key = keys[i];
  const uint32 place = i < middle ? i + rank_of(key, keys, middle, end) : i - run + rank_of(key, keys, begin, middle);
  merged[place] = key;
}

// target[id] += factor · Σ dy[place] over the places of each id, ascending. Block (i, part of the columns): key i where it is its id's first.
extern "C" __global__ void __launch_bounds__(128) add_rows(SUM *target,         // [targets, columns]
                                                           const T *dy,         // [count, columns]
                                                           const uint64 *keys,  // [count], sorted
                                                           float factor, uint32 count, uint32 columns, int targets) {
  const uint32 i = blockIdx.x, id = uint32(keys[i] >> 32), column = (blockIdx.y * blockDim.x + threadIdx.x) * WIDTH;
  if (column >= columns || id >= uint32(targets) || (i > 0 && uint32(keys[i - 1] >> 32) == id)) return;
  const uint32 end = i + rank_of(uint64(id + 1) << 32, keys, i, count);
  float sum[WIDTH] = {};
#pragma unroll 8
  for (uint32 k = i; k < end; k++) {
    const Vector<T, WIDTH> row = load_vector<WIDTH>(dy + int64(uint32(keys[k])) * columns + column);
#pragma unroll
    for (int j = 0; j < WIDTH; j++) sum[j] += to_float(row.v[j]);
  }
  SUM *to = target + int64(id) * columns + column;
#pragma unroll
  for (int j = 0; j < WIDTH; j++) to[j] = from_float<SUM>(to_float(to[j]) + factor * sum[j]);
}

// target[r, id] += Σ dz[place, r] over the places of each id, ascending. Thread (key i, r).
extern "C" __global__ void __launch_bounds__(256) add_columns(float *target,       // [rank, vocabulary]
                                                              const T *dz,         // [count, rank]
                                                              const uint64 *keys,  // [count], sorted
                                                              uint32 count, uint32 rank, int vocabulary) {
  const uint32 thread = blockIdx.x * blockDim.x + threadIdx.x, i = thread / rank, r = thread - i * rank;
  if (i >= count) return;
  const uint32 id = uint32(keys[i] >> 32);
  if (id >= uint32(vocabulary) || (i > 0 && uint32(keys[i - 1] >> 32) == id)) return;
  const uint32 end = i + rank_of(uint64(id + 1) << 32, keys, i, count);
  float sum = 0;
  for (uint32 k = i; k < end; k++) sum += to_float(dz[int64(uint32(keys[k])) * rank + r]);
  target[int64(r) * vocabulary + id] += sum;
}
