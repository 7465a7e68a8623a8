// Chunks of eight numbers, and the rows that they lie in: what kernels that write quantised matrices out as numbers share.
#pragma once
#include "numbers.cuh"

// Eight numbers to memory aligned to 16 bytes.
template <class N> __device__ __forceinline__ void store_8(N *p, const float *v) {
  *reinterpret_cast<uint4 *>(p) = uint4{pack_pair<N>(v[0], v[1]), pack_pair<N>(v[2], v[3]), pack_pair<N>(v[4], v[5]), pack_pair<N>(v[6], v[7])};
}
template <> __device__ __forceinline__ void store_8<float>(float *p, const float *v) {
  *reinterpret_cast<float4 *>(p) = float4{v[0], v[1], v[2], v[3]};
  *reinterpret_cast<float4 *>(p + 4) = float4{v[4], v[5], v[6], v[7]};
}
template <class N> __device__ __forceinline__ void load_8(const N *p, float *v) {
#pragma unroll
  for (int part = 0; part < 8; part += Pack<N>::count) {
    const Pack<N> pack = load_pack(p + part);
#pragma unroll
    for (int j = 0; j < Pack<N>::count; j++) v[part + j] = to_float(pack.v[j]);
  }
}

// n / d for n < 2³¹, with factor = ⌈2^(31 + l) / d⌉ and shift = l − 1, l = ⌈log2 d⌉ (d = 1: factor 0).
__device__ __forceinline__ uint32 divided(uint32 n, uint32 factor, uint32 shift) { return factor == 0 ? n : __umulhi(n, factor) >> shift; }
