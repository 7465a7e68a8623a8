// Block-wise 4-bit, row-wise 8-bit and e4m3 weights to T and back, bit for bit as the CPU computes them.
//
// dequantize_4bit: a thread turns UNROLL words of 8 codes into 8 numbers each; neighbouring threads take neighbouring words, so that a warp
// reads 128 and writes 512 bytes at a time. The 16 code values lie in 16 banks of shared memory: a lookup never waits for another. Block
// scales are decoded on the way. 2.63 bytes a number for 2-byte T: 0.5 read, 2 written, the rest scales. Memory-bound: some 5 operations
// a number leave the arithmetic units two thirds idle. H200: 14336×4096 to bf16 in 40.7 µs when the cache is full of other data to be written
// back, 39 µs when it is not (3.6 and 3.8 TB/s); pure writing reaches 3.4 TB/s there. Quantising the same takes 174 + 20 µs.
#include "chunks.cuh"

#ifndef GROUP
#define GROUP 256
#endif
#ifndef UNROLL
#define UNROLL 4
#endif

// What the scale of a 4-bit block is made of.
struct BlockScales {
  const float *absmax;        // [blocks]; null where coded
  const uint8 *codes;         // [blocks]
  const float *nested_absmax; // [blocks / 256]
  const float *map;           // [256]
  const float *offset;        // [1]
};

__device__ __forceinline__ float block_scale(const BlockScales &s, const float *map, float offset, uint32 block) {
  if (s.absmax) return s.absmax[block];
  return __fadd_rn(__fmul_rn(map[s.codes[block]], s.nested_absmax[block >> 8]), offset);
}

#ifdef DEQUANTIZE_4BIT
extern "C" __global__ void __launch_bounds__(GROUP) dequantize_4bit(
    T *__restrict__ out,                  // [rows, stride], 16-byte aligned rows
    const uint32 *__restrict__ packed,    // [chunks]: 8 codes each, the first row's first
    const float *absmax, const uint8 *__restrict__ codes, const float *__restrict__ nested_absmax, const float *__restrict__ map,
    const float *__restrict__ offset,     // BlockScales of the whole matrix
    const float *__restrict__ values,     // [16]
    const float *__restrict__ row_scale,  // [rows] or null
    uint32 chunks, uint32 first_chunk,    // rows · in / 8; chunks before the first row
    uint32 block_shift,                   // log2(block / 8)
    uint32 row_chunks, uint32 factor, uint32 shift, int64 stride) {
  __shared__ float value[16];
#if NESTED
  __shared__ float nested_map[256];
#endif
  const uint32 base = blockIdx.x * (GROUP * UNROLL) + threadIdx.x;
  uint32 words[UNROLL];
  float scales[UNROLL];
#if NESTED
  uint8 coded[UNROLL];
#endif
  // All loads first: they travel while the tables are filled.
#pragma unroll
  for (int u = 0; u < UNROLL; u++) {
    const uint32 chunk = base + u * GROUP;
    if (chunk >= chunks) continue;
    const uint32 block = (first_chunk + chunk) >> block_shift;
    words[u] = __ldcs(packed + chunk);
#if NESTED
    coded[u] = codes[block];
    scales[u] = nested_absmax[block >> 8];
#else
    scales[u] = absmax[block];
#endif
  }
  if (threadIdx.x < 16) value[threadIdx.x] = values[threadIdx.x];
#if NESTED
  for (int i = threadIdx.x; i < 256; i += GROUP) nested_map[i] = map[i];
  const float mean = *offset;
#endif
  __syncthreads();
#pragma unroll
  for (int u = 0; u < UNROLL; u++) {
    const uint32 chunk = base + u * GROUP;
    if (chunk >= chunks) break;
#if NESTED
    const float scale = __fadd_rn(__fmul_rn(nested_map[coded[u]], scales[u]), mean);
#else
    const float scale = scales[u];
#endif
    const uint32 row = divided(chunk, factor, shift), place = chunk - row * row_chunks;
    float v[8];
#pragma unroll
    for (int j = 0; j < 8; j++) {
      // The high half of a byte comes first; four times the code is an offset in the table.
      const int bit = 4 * (j ^ 1);
      const uint32 at = (bit == 0 ? words[u] << 2 : words[u] >> (bit - 2)) & 0x3c;
      v[j] = __fmul_rn(*reinterpret_cast<const float *>(reinterpret_cast<const char *>(value) + at), scale);
    }
    if (row_scale) {
      const float f = row_scale[row];
#pragma unroll
      for (int j = 0; j < 8; j++) v[j] = __fmul_rn(v[j], f);
    }
    store_8(out + row * stride + place * 8, v);
  }
}

// Any width and place: a thread a number.
extern "C" __global__ void dequantize_4bit_any(
    T *__restrict__ out,                 // [rows, stride]
    const uint8 *__restrict__ packed,    // the whole matrix
    const float *absmax, const uint8 *codes, const float *nested_absmax, const float *map, const float *offset,
    const float *__restrict__ values, const float *__restrict__ row_scale, int64 count, int64 first, uint32 block_shift, uint32 columns,
    int64 stride) {
  const int64 i = int64(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const BlockScales scales = {absmax, codes, nested_absmax, map, offset};
  const int64 at = first + i;
  const uint8 byte = packed[at >> 1];
  const float scale = block_scale(scales, map, absmax ? 0.f : *offset, uint32(at >> (block_shift + 3)));
  const int64 row = i / columns;
  float v = __fmul_rn(values[at & 1 ? byte & 15 : byte >> 4], scale);
  if (row_scale) v = __fmul_rn(v, row_scale[row]);
  out[row * stride + (i - row * columns)] = from_float<T>(v);
}
#endif

#ifdef QUANTIZE_4BIT
// A thread codes 8 numbers, BLOCK / 8 threads a block of them; 512 threads a thread block. 2.56 bytes a number of 2-byte T.
extern "C" __global__ void __launch_bounds__(512) quantize_4bit(
    uint8 *__restrict__ packed,             // [⌈count / 2⌉]
    float *__restrict__ absmax,             // [⌈count / BLOCK⌉]
    const T *__restrict__ x,                // [count], 16-byte aligned
    const float *__restrict__ thresholds,   // [15]
    uint64 ranks,                           // code of rank r in bits 4r…
    int64 count) {
  const int64 at = (int64(blockIdx.x) * 512 + threadIdx.x) * 8;
  float v[8];
  if (at + 8 <= count) {
    load_8(x + at, v);
  } else {
#pragma unroll
    for (int j = 0; j < 8; j++) v[j] = at + j < count ? to_float(x[at + j]) : 0.f;
  }
  // Magnitudes compare as integers; NaN is above all.
  uint32 most = 0;
#pragma unroll
  for (int j = 0; j < 8; j++) most = max(most, __float_as_uint(v[j]) & 0x7fffffffu);
#pragma unroll
  for (int step = 1; step < (BLOCK < 256 ? BLOCK / 8 : 32); step *= 2) most = max(most, __shfl_xor_sync(0xffffffffu, most, step));
#if BLOCK > 256
  __shared__ float parts[16];
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = __uint_as_float(most);
  __syncthreads();
  const int first = threadIdx.x / (BLOCK / 8) * (BLOCK / 256);
#pragma unroll
  for (int i = 0; i < BLOCK / 256; i++) most = max(most, __float_as_uint(parts[first + i]));
#endif
  if (at >= count) return;
  const float largest = __uint_as_float(most);
  if (threadIdx.x % (BLOCK / 8) == 0) absmax[at / BLOCK] = largest;
  const float inverse = largest > 0.f ? __frcp_rn(largest) : 0.f;
  uint32 word = 0;
#pragma unroll
  for (int j = 0; j < 8; j++) {
    const float y = __fmul_rn(v[j], inverse);
    uint32 rank = 0;
#pragma unroll
    for (int t = 0; t < 15; t++) rank += y > thresholds[t];
    word |= (uint32(ranks >> (4 * rank)) & 15u) << (4 * (j ^ 1));
  }
  if (at + 8 <= count) *reinterpret_cast<uint32 *>(packed + at / 2) = word;
  else
    for (int j = 0; at + 2 * j < count; j++) packed[at / 2 + j] = uint8(word >> (8 * j));
}
#endif

#ifdef NESTED_SCALES
// A thread block of 256 sums 256 scales.
extern "C" __global__ void __launch_bounds__(256) absmax_sums(double *sums /* [⌈blocks / 256⌉] */, const float *absmax /* [blocks] */, int64 blocks) {
  const int64 i = int64(blockIdx.x) * 256 + threadIdx.x;
  const double sum = tree_sum<256>(i < blocks ? double(absmax[i]) : 0.0);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}
// One thread block: the mean.
extern "C" __global__ void __launch_bounds__(256) absmax_mean(float *offset /* [1] */, const double *sums /* [count] */, int64 count, int64 blocks) {
  double sum = 0;
  for (int64 i = threadIdx.x; i < count; i += 256) sum += sums[i];
  sum = tree_sum<256>(sum);
  if (threadIdx.x == 0) *offset = float(sum / double(blocks));
}
// A thread block of 256 codes 256 scales less their mean.
extern "C" __global__ void __launch_bounds__(256) quantize_absmax(
    uint8 *codes /* [blocks] */, float *nested_absmax /* [⌈blocks / 256⌉] */, const float *absmax /* [blocks] */, const float *offset /* [1] */,
    const uint8 *steps /* [65536] */, int64 blocks) {
  const int64 i = int64(blockIdx.x) * 256 + threadIdx.x;
  const float x = i < blocks ? __fsub_rn(absmax[i], *offset) : 0.f;
  const float most = block_max<256>(fabsf(x));
  if (threadIdx.x == 0) nested_absmax[blockIdx.x] = most;
  if (i >= blocks) return;
  const float y = __fmul_rn(x, most > 0.f ? __frcp_rn(most) : 0.f);
  const float step = floorf(__fadd_rn(__fmul_rn(__fmul_rn(__fadd_rn(y, 1.f), 0.5f), 65535.f), 0.5f));
  codes[i] = steps[int(fmaxf(0.f, fminf(65535.f, step)))];
}
#endif

#ifdef BYTE_CODES
// 8-bit codes. FORMAT 0: int8 rows; 1: e4m3 rows; 2: e4m3 in blocks of 128×128.
__device__ __forceinline__ float from_code(uint8 code) {
#if FORMAT == 0
  return float(static_cast<signed char>(code));
#else
  // Below 2⁻⁶ steps are even.
  const uint32 size = code & 0x7f, sign = uint32(code & 0x80) << 24;
  const float number = size < 8 ? float(size) * 0x1p-9f : __uint_as_float((size << 20) + 0x3c000000u);
  return size == 0x7f ? __uint_as_float(0x7fc00000u) : __uint_as_float(__float_as_uint(number) | sign);
#endif
}
__device__ __forceinline__ float scaled(float x, float scale) {
  const float product = __fmul_rn(x, scale);
#if FORMAT == 0
  // x / 127, rightly rounded: the remainder of the quotient by multiplication corrects it.
  const float quotient = __fmul_rn(product, 1.f / 127.f);
  const float better = __fmaf_rn(__fmaf_rn(-127.f, quotient, product), 1.f / 127.f, quotient);
  return isfinite(quotient) ? better : quotient;
#else
  return product;
#endif
}
__device__ __forceinline__ uint8 to_code(float x, float scale) {
#if FORMAT == 0
  return uint8(__float_as_uint(__fadd_rn(__fmul_rn(x, scale > 0.f ? __fdiv_rn(127.f, scale) : 0.f), 12582912.f)) - 0x4b400000u);
#else
  const float y = scale > 0.f ? __fdiv_rn(x, scale) : 0.f;
  const uint32 word = __float_as_uint(y), size = word & 0x7fffffffu;
  const uint32 most = min(size, 0x43e00000u);
  const uint32 normal = ((most + 0x7ffffu + (most >> 20 & 1u)) >> 20) - 960u;
  const uint32 small = __float_as_uint(__fadd_rn(__uint_as_float(most), 16384.f)) - 0x46800000u;
  return uint8((word >> 24 & 0x80u) | (size > 0x7f800000u ? 0x7fu : most >= 0x3c800000u ? normal : small));
#endif
}
__device__ __forceinline__ float scale_at(const float *scales, int64 row, uint32 column, uint32 columns) {
#if FORMAT == 2
  return scales[row / 128 * ((columns + 127) / 128) + column / 128];
#else
  return scales[row];
#endif
}

// A thread takes 8 numbers of a row; columns are a multiple of 8.
extern "C" __global__ void __launch_bounds__(256) dequantize_bytes(
    T *__restrict__ out,                 // [rows, stride], 16-byte aligned rows
    const uint64 *__restrict__ codes,    // [chunks], from the first row on
    const float *__restrict__ scales,    // of the whole matrix
    const float *__restrict__ row_scale, // [rows] or null
    uint32 chunks, int64 first_row, uint32 row_chunks, uint32 factor, uint32 shift, int64 stride) {
  uint64 words[UNROLL];
  const uint32 base = blockIdx.x * (256 * UNROLL) + threadIdx.x;
#pragma unroll
  for (int u = 0; u < UNROLL; u++)
    if (base + u * 256 < chunks) words[u] = __ldcs(codes + base + u * 256);
#pragma unroll
  for (int u = 0; u < UNROLL; u++) {
    const uint32 chunk = base + u * 256;
    if (chunk >= chunks) break;
    const uint32 row = divided(chunk, factor, shift), place = chunk - row * row_chunks;
    const float scale = scale_at(scales, first_row + row, place * 8, row_chunks * 8);
    float v[8];
#pragma unroll
    for (int j = 0; j < 8; j++) v[j] = scaled(from_code(uint8(words[u] >> (8 * j))), scale);
    if (row_scale) {
      const float f = row_scale[row];
#pragma unroll
      for (int j = 0; j < 8; j++) v[j] = __fmul_rn(v[j], f);
    }
    store_8(out + row * stride + place * 8, v);
  }
}

// Any width: a thread a number.
extern "C" __global__ void dequantize_bytes_any(
    T *__restrict__ out, const uint8 *__restrict__ codes /* from the first row on */, const float *__restrict__ scales,
    const float *__restrict__ row_scale, int64 count, int64 first_row, uint32 columns, int64 stride) {
  const int64 i = int64(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const int64 row = i / columns;
  const uint32 column = uint32(i - row * columns);
  float v = scaled(from_code(codes[i]), scale_at(scales, first_row + row, column, columns));
  if (row_scale) v = __fmul_rn(v, row_scale[row]);
  out[row * stride + column] = from_float<T>(v);
}

// A thread block of 256 codes a row, or a block of 128×128: first the largest magnitude, then the codes.
extern "C" __global__ void __launch_bounds__(256) quantize_bytes(
    uint8 *__restrict__ codes,  // [rows, columns]
    float *__restrict__ scales, // [rows], or [⌈rows / 128⌉, ⌈columns / 128⌉]
    const T *__restrict__ x,    // [rows, columns]
    int64 rows, int64 columns) {
#if FORMAT == 2
  const int64 across = (columns + 127) / 128;
  const int64 row = blockIdx.x / across * 128, column = blockIdx.x % across * 128;
  const int64 height = min(rows - row, int64(128)), width = min(columns - column, int64(128));
#else
  const int64 row = blockIdx.x, column = 0, height = 1, width = columns;
#endif
  const int64 start = row * columns + column;
  uint32 most = 0;
  for (int64 i = threadIdx.x; i < height * width; i += 256)
    most = max(most, __float_as_uint(to_float(x[start + i / width * columns + i % width])) & 0x7fffffffu);
  __shared__ uint32 parts[8];
#pragma unroll
  for (int step = 16; step > 0; step /= 2) most = max(most, __shfl_xor_sync(0xffffffffu, most, step));
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = most;
  __syncthreads();
#pragma unroll
  for (int i = 0; i < 8; i++) most = max(most, parts[i]);
  const float scale = FORMAT == 0 ? __uint_as_float(most) : __fdiv_rn(__uint_as_float(most), 448.f);
  if (threadIdx.x == 0) scales[blockIdx.x] = scale;
  for (int64 i = threadIdx.x; i < height * width; i += 256) {
    const int64 at = start + i / width * columns + i % width;
    codes[at] = to_code(to_float(x[at]), scale);
  }
}
#endif

#ifdef PLACE_MATRIX
// target[r, c] = scale · row_scale[r] · source[r, c] where the source has such a place, 0 in the rest of the region: LoRA's B beside a weight,
// A below it. A thread a number; reads 4 bytes and writes sizeof(T).
extern "C" __global__ void place_matrix(
    T *__restrict__ target,              // [region_rows, stride]
    const float *__restrict__ source,    // [rows, columns]
    const float *__restrict__ row_scale, // [rows] or null
    float scale, uint32 rows, uint32 columns, uint32 region_rows, uint32 region_columns, int64 stride) {
  const uint32 i = blockIdx.x * blockDim.x + threadIdx.x;
  const uint32 row = i / region_columns, column = i - row * region_columns;
  if (row >= region_rows) return;
  float v = 0;
  if (row < rows && column < columns) {
    v = scale * source[int64(row) * columns + column];
    if (row_scale) v *= row_scale[row];
  }
  target[row * stride + column] = from_float<T>(v);
}
#endif
