// Weights in the blocks of GGUF files to T, bit for bit the numbers that swiftlet_decode_blocks gives, rounded once.
//
// A thread block turns a tile of 8,192 numbers (256 blocks of 32 numbers, or 32 of 256) from bytes to numbers. Blocks of 18, 34, 84, 110 or 210
// bytes begin anywhere, so a tile's bytes, 3 to 9 kB, first come to shared memory as they lie, 16 a thread and each once; words of any place are
// then made of two aligned ones. A thread decodes 8 numbers four times: neighbouring threads take neighbouring ones and write 16 bytes of a 2-byte
// T beside each other; a warp shares one block of 256, so that its scales are read by all lanes at once. A code becomes a float as the low byte
// of 2²³ + code, less 2²³ and the format's zero, which is exact and costs no conversion. Every product and sum rounds by itself, as on the CPU.
// Bytes a number for 2-byte T: 2 written, 0.33 (Q2_K) to 1.06 (Q8_0) read; 10 to 14 instructions a number (of PTX). H200, [14336, 4096] to bf16
// (2026-11-22): Q4_0 48.8 µs, Q8_0 56.0, Q2_K 49.3, Q3_K 52.5, Q4_K 55.6, Q5_K 61.6, Q6_K 57.3: 60 to 76% of the memory's speed, where NF4 has 82.
//
// Defines: T, BLOCK (the format's number in GGUF files).
#include "chunks.cuh"

#ifndef T
#define T bf16
#endif
#ifndef BLOCK
#define BLOCK 12
#endif

#if BLOCK == 2 // Q4_0: scale; 16 bytes of codes
#define BYTES 18
#elif BLOCK == 3 // Q4_1: scale, offset; 16
#define BYTES 20
#elif BLOCK == 6 // Q5_0: scale; fifth bits; 16
#define BYTES 22
#elif BLOCK == 7 // Q5_1: scale, offset; fifth bits; 16
#define BYTES 24
#elif BLOCK == 8 // Q8_0: scale; 32
#define BYTES 34
#elif BLOCK == 10 // Q2_K: 16 scales with offsets; 64; shared scale, shared offset
#define BYTES 84
#elif BLOCK == 11 // Q3_K: 32 bytes of third bits; 64; 12 of scales; shared scale
#define BYTES 110
#elif BLOCK == 12 // Q4_K: shared scale, shared offset; 12 of scales and offsets; 128
#define BYTES 144
#elif BLOCK == 13 // Q5_K: the same; 32 of fifth bits; 128
#define BYTES 176
#elif BLOCK == 14 // Q6_K: 128 of low, 64 of high bits; 16 scales; shared scale
#define BYTES 210
#elif BLOCK == 39 // MXFP4: power of two; 16
#define BYTES 17
#endif

// Chunks of 8 numbers in a block, in a tile; blocks and bytes of a tile.
#if BLOCK >= 10 && BLOCK <= 14
#define CHUNKS 32
#else
#define CHUNKS 4
#endif
#define TILE 1024
#define TILE_BYTES (TILE / CHUNKS * BYTES)

// Bytes in shared memory, at any place of it. Behind the last one wanted there is room for a word.
struct Bytes {
  const uint32 *words;
  __device__ __forceinline__ uint32 byte(uint32 at) const { return reinterpret_cast<const uint8 *>(words)[at]; }
  __device__ __forceinline__ uint32 word(uint32 at) const {
    const uint32 *const w = words + (at >> 2);
    return __funnelshift_r(w[0], w[1], at << 3);
  }
  __device__ __forceinline__ uint2 octet(uint32 at) const {
    const uint32 *const w = words + (at >> 2);
    const uint32 middle = w[1];
    return uint2{__funnelshift_r(w[0], middle, at << 3), __funnelshift_r(middle, w[2], at << 3)};
  }
};

// The half in the low 16 bits.
__device__ __forceinline__ float half_of(uint32 bits) { return to_float(half16{uint16(bits)}); }
// `mask` of every byte after a shift to the right.
__device__ __forceinline__ uint2 part_of(uint2 x, uint32 shift, uint32 mask) { return uint2{x.x >> shift & mask, x.y >> shift & mask}; }
__device__ __forceinline__ uint2 together(uint2 low, uint2 high, uint32 shift) { return uint2{low.x | high.x << shift, low.y | high.y << shift}; }
// Byte i of eight, less `zero`, as a number.
__device__ __forceinline__ float number(uint2 codes, int i, float zero) {
  const uint32 bits = __byte_perm(i < 4 ? codes.x : codes.y, 0x4b000000u, 0x7540u | (i & 3));
  return __fsub_rn(__uint_as_float(bits), 8388608.f + zero);
}

// v = (codes − zero) · scale.
__device__ __forceinline__ void scaled(float *v, uint2 codes, float zero, float scale) {
#pragma unroll
  for (int i = 0; i < 8; i++) v[i] = __fmul_rn(number(codes, i, zero), scale);
}
// The same and `offset` more, as the CPU adds it where it is 0: it turns −0 to 0.
__device__ __forceinline__ void scaled(float *v, uint2 codes, float zero, float scale, float offset) {
#pragma unroll
  for (int i = 0; i < 8; i++) v[i] = __fadd_rn(__fmul_rn(number(codes, i, zero), scale), offset);
}

// Chunk `chunk` of the block at byte `at`.
__device__ __forceinline__ void decode(float *v, Bytes bytes, uint32 at, uint32 chunk) {
#if BLOCK == 2 || BLOCK == 3 || BLOCK == 6 || BLOCK == 7
  const bool has_offset = BLOCK == 3 || BLOCK == 7, has_high = BLOCK == 6 || BLOCK == 7;
  const uint32 head = has_offset ? 4 : 2;
  uint2 codes = part_of(bytes.octet(at + head + (has_high ? 4 : 0) + chunk % 2 * 8), chunk / 2 * 4, 0x0f0f0f0fu);
  if (has_high) {
    // Bit i to the lowest one of byte i.
    const uint32 high = bytes.byte(at + head + chunk);
    codes = together(codes, uint2{(high & 15) * 0x00204081u & 0x01010101u, (high >> 4) * 0x00204081u & 0x01010101u}, 4);
  }
  const uint32 halves = bytes.word(at);
  scaled(v, codes, has_offset ? 0 : BLOCK == 2 ? 8 : 16, half_of(halves), has_offset ? half_of(halves >> 16) : 0.f);
#elif BLOCK == 8
  // A signed byte with its sign turned over counts from −128.
  const uint2 codes = bytes.octet(at + 2 + chunk * 8);
  scaled(v, uint2{codes.x ^ 0x80808080u, codes.y ^ 0x80808080u}, 128, half_of(bytes.word(at)));
#elif BLOCK == 10
  const uint32 part = chunk / 2, halves = bytes.word(at + 80), scales = bytes.byte(at + part);
  const uint2 codes = part_of(bytes.octet(at + 16 + part / 8 * 32 + chunk % 4 * 8), part % 8 / 2 * 2, 0x03030303u);
  scaled(v, codes, 0, __fmul_rn(half_of(halves), float(scales & 15)), -__fmul_rn(half_of(halves >> 16), float(scales >> 4)));
#elif BLOCK == 11
  const uint32 part = chunk / 2;
  const uint32 four = bytes.byte(at + 96 + part % 8) >> (part / 8 * 4) & 15, two = bytes.byte(at + 104 + part % 4) >> (part / 4 * 2) & 3;
  const uint2 low = part_of(bytes.octet(at + 32 + part / 8 * 32 + chunk % 4 * 8), part % 8 / 2 * 2, 0x03030303u);
  const uint2 high = part_of(bytes.octet(at + chunk % 4 * 8), part / 2, 0x01010101u);
  const float shared = half_of(bytes.byte(at + 108) | bytes.byte(at + 109) << 8);
  scaled(v, together(low, high, 2), 4, __fmul_rn(shared, float(int32(four | two << 4) - 32)));
#elif BLOCK == 12 || BLOCK == 13
  const uint32 part = chunk / 4, halves = bytes.word(at), place = at + 4 + part % 4;
  const uint32 a = bytes.byte(place), b = bytes.byte(place + 4), c = bytes.byte(place + 8);
  const uint32 scale = part < 4 ? a & 63 : (c & 15) | a >> 6 << 4, offset = part < 4 ? b & 63 : c >> 4 | b >> 6 << 4;
  const uint32 low = at + (BLOCK == 13 ? 48 : 16) + part / 2 * 32 + chunk % 4 * 8;
  uint2 codes = part_of(bytes.octet(low), part % 2 * 4, 0x0f0f0f0fu);
  if (BLOCK == 13) codes = together(codes, part_of(bytes.octet(at + 16 + chunk % 4 * 8), part, 0x01010101u), 4);
  scaled(v, codes, 0, __fmul_rn(half_of(halves), float(scale)), -__fmul_rn(half_of(halves >> 16), float(offset)));
#elif BLOCK == 14
  const uint32 plane = chunk / 4, place = chunk % 4 * 8;
  const uint2 low = part_of(bytes.octet(at + plane / 4 * 64 + plane % 2 * 32 + place), plane % 4 / 2 * 4, 0x0f0f0f0fu);
  const uint2 high = part_of(bytes.octet(at + 128 + plane / 4 * 32 + place), plane % 4 * 2, 0x03030303u);
  const float shared = half_of(bytes.byte(at + 208) | bytes.byte(at + 209) << 8);
  scaled(v, together(low, high, 4), 32, __fmul_rn(shared, float(static_cast<signed char>(bytes.byte(at + 192 + chunk / 2)))));
#else
  const uint32 exponent = bytes.byte(at);
  const float scale = __uint_as_float(exponent == 0 ? 0x00400000u : exponent << 23);
  const uint2 codes = part_of(bytes.octet(at + 1 + chunk % 2 * 8), chunk / 2 * 4, 0x0f0f0f0fu);
#pragma unroll
  for (int i = 0; i < 8; i++) {
    // Twice the number is 0, 1, 2, 3, 4, 6, 8 or 12; there is no −0.
    const uint32 code = (i < 4 ? codes.x : codes.y) >> (8 * (i & 3)) & 15;
    const float size = __fmul_rn(float(0xc8643210u >> (4 * (code & 7)) & 15), 0.5f);
    v[i] = __fmul_rn(code > 8 ? -size : size, scale);
  }
#endif
}

// Brings `count` bytes, at most a tile's, to shared memory. Returns where the first one lies there.
__device__ __forceinline__ uint32 load_tile(uint4 *to, const uint8 *from, uint32 count) {
  const uint32 lead = uint32(reinterpret_cast<uint64>(from)) & 15;
  for (uint32 i = threadIdx.x; i * 16 < lead + count; i += 256) {
    const uint32 first = i * 16;
    if (first >= lead && first + 16 <= lead + count) {
      to[i] = __ldcs(reinterpret_cast<const uint4 *>(from + (int64(first) - lead)));
      continue;
    }
    // At the ends: what lies beside the tile may be nobody's.
    for (uint32 at = max(first, lead); at < min(first + 16, lead + count); at++) reinterpret_cast<uint8 *>(to)[at] = from[at - lead];
  }
  __syncthreads();
  return lead;
}

// Room for a tile that begins in the middle of 16 bytes, and for a word behind it.
#define TILE_ROOM (TILE_BYTES / 16 + 2)

__device__ __forceinline__ void multiply(float *v, float factor) {
#pragma unroll
  for (int i = 0; i < 8; i++) v[i] = __fmul_rn(v[i], factor);
}

// Rows that follow each other, a tile a thread block.
extern "C" __global__ void __launch_bounds__(256) dequantize_blocks(
    T *__restrict__ out,                 // [rows, stride]
    const uint8 *__restrict__ codes,     // [rows, bytes of a row], from the first row on
    const float *__restrict__ row_scale, // [rows] or null
    uint32 chunks, uint32 row_chunks,    // rows · in / 8; in / 8
    uint32 factor, uint32 shift,         // to divide by row_chunks
    int64 stride, uint32 is_aligned) {   // whether all rows begin at multiples of 16 bytes
  __shared__ uint4 tile[TILE_ROOM];
  const uint32 first = blockIdx.x * TILE, count = min(chunks - first, uint32(TILE));
  const uint32 lead = load_tile(tile, codes + int64(blockIdx.x) * TILE_BYTES, count / CHUNKS * BYTES);
  const Bytes bytes = {reinterpret_cast<const uint32 *>(tile)};
#pragma unroll
  for (uint32 local = threadIdx.x; local < TILE; local += 256) {
    if (local >= count) break;
    float v[8];
    decode(v, bytes, lead + local / CHUNKS * BYTES, local % CHUNKS);
    const uint32 row = divided(first + local, factor, shift), place = first + local - row * row_chunks;
    if (row_scale) multiply(v, row_scale[row]);
    T *const target = out + row * stride + place * 8;
    if (is_aligned) {
      store_8(target, v);
    } else {
#pragma unroll
      for (int i = 0; i < 8; i++) target[i] = from_float<T>(v[i]);
    }
  }
}

// Rows by token id times a factor, as a token table gives them: thread block (x, y) writes tile y of the row of token x. NaN for an id outside of
// the vocabulary, so that a mistake is seen. The table may lie in mapped host memory.
extern "C" __global__ void __launch_bounds__(256) embed_blocks(
    T *__restrict__ out,              // [tokens, columns], 16-byte aligned
    const int *__restrict__ ids,      // [tokens]
    const uint8 *__restrict__ codes,  // [vocabulary, columns / 8 / CHUNKS · BYTES]
    float factor, uint32 row_chunks,  // columns / 8
    int vocabulary) {
  __shared__ uint4 tile[TILE_ROOM];
  const uint32 first = blockIdx.y * TILE, count = min(row_chunks - first, uint32(TILE));
  const int id = ids[blockIdx.x];
  const bool is_known = id >= 0 && id < vocabulary;
  const int64 place = int64(is_known ? id : 0) * (row_chunks / CHUNKS * BYTES) + int64(blockIdx.y) * TILE_BYTES;
  const uint32 lead = load_tile(tile, codes + place, is_known ? count / CHUNKS * BYTES : 0);
  const Bytes bytes = {reinterpret_cast<const uint32 *>(tile)};
  T *const target = out + (int64(blockIdx.x) * row_chunks + first) * 8;
  for (uint32 local = threadIdx.x; local < count; local += 256) {
    float v[8];
    if (is_known) {
      decode(v, bytes, lead + local / CHUNKS * BYTES, local % CHUNKS);
      multiply(v, factor);
    } else {
#pragma unroll
      for (int i = 0; i < 8; i++) v[i] = __int_as_float(0x7fc00000);
    }
    store_8(target + local * 8, v);
  }
}
