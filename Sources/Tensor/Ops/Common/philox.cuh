// Philox4x32-10 (Salmon et al., 2011), the numbers of `Random` bit for bit.
#pragma once
#include "numbers.cuh"

// The four 32-bit words at place `counter` of a stream.
__device__ __forceinline__ uint4 philox(uint64 seed, uint64 stream, uint64 counter) {
  uint32 c0 = uint32(counter), c1 = uint32(counter >> 32), c2 = uint32(stream), c3 = uint32(stream >> 32);
  uint32 k0 = uint32(seed), k1 = uint32(seed >> 32);
#pragma unroll
  for (int round = 0; round < 10; round++) {
    const uint64 p0 = uint64(c0) * 0xD2511F53u, p1 = uint64(c2) * 0xCD9E8D57u;
    const uint32 n0 = uint32(p1 >> 32) ^ c1 ^ k0, n2 = uint32(p0 >> 32) ^ c3 ^ k1;
    c1 = uint32(p1);
    c3 = uint32(p0);
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {c0, c1, c2, c3};
}

// Word j of four.
__device__ __forceinline__ uint32 word_of(const uint4 &words, int j) { return j == 0 ? words.x : j == 1 ? words.y : j == 2 ? words.z : words.w; }

// A number in [0, 1) with 24 random bits, as `Random.uniform`.
__device__ __forceinline__ float uniform(uint32 word) { return float(word >> 8) * 0x1p-24f; }

// The words below which `uniform` is below `probability` (< 1): comparing integers spares the slow conversion.
__device__ __forceinline__ uint32 dropout_threshold(float probability) { return uint32(ceilf(probability * 0x1p24f)) << 8; }

// What inverted dropout multiplies the elements at places `place`, …, place + N − 1 of its stream by: 0, or keep = 1/(1 − probability).
// `place` is a multiple of 4 where N is.
template <int N>
__device__ __forceinline__ void dropout_factors(float (&factors)[N], uint64 seed, uint64 stream, uint64 place, uint32 threshold, float keep) {
  static_assert(N == 1 || N % 4 == 0, "one element, or whole blocks of four words");
  if constexpr (N == 1) {
    factors[0] = word_of(philox(seed, stream, place >> 2), int(place & 3)) < threshold ? 0.0f : keep;
  } else {
#pragma unroll
    for (int first = 0; first < N; first += 4) {
      const uint4 words = philox(seed, stream, (place + first) >> 2);
#pragma unroll
      for (int j = 0; j < 4; j++) factors[first + j] = word_of(words, j) < threshold ? 0.0f : keep;
    }
  }
}
