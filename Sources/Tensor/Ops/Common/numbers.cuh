// Number formats, 16-byte packs and reductions that all kernels share. NVRTC has no CUDA headers here, so bf16 and fp16 are bit patterns.
#pragma once

typedef unsigned char uint8;
typedef unsigned short uint16;
typedef unsigned int uint32;
typedef unsigned long long uint64;
typedef long long int64;
typedef int int32;
typedef signed char int8;
// Names of element types are no keywords, and template parameters of headers are written in lower case: kernels get -DT=… and the like,
// and NVRTC's own headers have `template <typename T>`.
typedef float float32;

struct alignas(2) bf16 { uint16 bits; };
struct alignas(2) half16 { uint16 bits; };

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(bf16 x) { return __uint_as_float(uint32(x.bits) << 16); }
__device__ __forceinline__ float to_float(half16 x) {
  float y;
  asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
  return y;
}

template <class T> __device__ __forceinline__ T from_float(float x);
template <> __device__ __forceinline__ float from_float<float>(float x) { return x; }
template <> __device__ __forceinline__ bf16 from_float<bf16>(float x) {
#if __CUDA_ARCH__ >= 800
  bf16 y;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
  return y;
#else
  uint32 word = __float_as_uint(x);
  bool is_nan = (word & 0x7fffffffu) > 0x7f800000u;
  return bf16{uint16(is_nan ? (word >> 16) | 0x40u : (word + 0x7fffu + ((word >> 16) & 1u)) >> 16)};
#endif
}
template <> __device__ __forceinline__ half16 from_float<half16>(float x) {
  half16 y;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
  return y;
}

// Two numbers in one register, the first in the low half.
template <class T> __device__ __forceinline__ uint32 pack_pair(float low, float high) {
  return uint32(from_float<T>(low).bits) | uint32(from_float<T>(high).bits) << 16;
}
#if __CUDA_ARCH__ >= 800
template <> __device__ __forceinline__ uint32 pack_pair<bf16>(float low, float high) {
  uint32 y;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
  return y;
}
template <> __device__ __forceinline__ uint32 pack_pair<half16>(float low, float high) {
  uint32 y;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
  return y;
}
#endif

// 16 bytes of T, moved by one instruction.
template <class T> struct alignas(16) Pack {
  static constexpr int count = 16 / sizeof(T);
  T v[count];
};
template <class T> __device__ __forceinline__ Pack<T> load_pack(const T *p) { return *reinterpret_cast<const Pack<T> *>(p); }
template <class T> __device__ __forceinline__ void store_pack(T *p, const Pack<T> &x) { *reinterpret_cast<Pack<T> *>(p) = x; }

// How numbers are put together.
struct Sum { static __device__ __forceinline__ float of(float a, float b) { return a + b; } };
struct Most { static __device__ __forceinline__ float of(float a, float b) { return fmaxf(a, b); } };

// Over a warp, the same bits in every lane.
template <class how> __device__ __forceinline__ float warp_reduce(float x) {
#pragma unroll
  for (int step = 16; step > 0; step >>= 1) x = how::of(x, __shfl_xor_sync(0xffffffffu, x, step));
  return x;
}
__device__ __forceinline__ float warp_sum(float x) { return warp_reduce<Sum>(x); }
__device__ __forceinline__ float warp_max(float x) { return warp_reduce<Most>(x); }

// Over a block of `threads` threads, the same bits in every thread. All threads call it.
template <int threads, class how> __device__ __forceinline__ float block_reduce(float x) {
  static_assert(threads % 32 == 0, "whole warps");
  __shared__ float parts[threads / 32];
  x = warp_reduce<how>(x);
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = x;
  __syncthreads();
  float all = parts[0];
#pragma unroll
  for (int i = 1; i < threads / 32; i++) all = how::of(all, parts[i]);
  __syncthreads();
  return all;
}
template <int threads> __device__ __forceinline__ float block_sum(float x) { return block_reduce<threads, Sum>(x); }
template <int threads> __device__ __forceinline__ float block_max(float x) { return block_reduce<threads, Most>(x); }

// The float64 sum over a block of `threads` threads (a power of two) in a tree: i + threads/2, i + threads/4, … Only thread 0 may read it.
template <int threads> __device__ __forceinline__ double tree_sum(double x) {
  __shared__ double parts[threads];
  parts[threadIdx.x] = x;
  for (int step = threads / 2; step > 0; step /= 2) {
    __syncthreads();
    if (threadIdx.x < step) parts[threadIdx.x] += parts[threadIdx.x + step];
  }
  return parts[0];
}
