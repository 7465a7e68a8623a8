// What all attention kernels share: tiles of packed sequences, who sees whom, and the form of a score.
//
// A launch is given a list of tiles, made on the host from the sequences' starts, the longest first, so that blocks need no search and a
// query's bits do not depend on what stands beside it.
#pragma once

// Queries of one sequence that one block works on. 32 bytes.
struct alignas(16) QueryTile {
  int row, count;      // the first query row and how many
  int keyRow, keys;    // the sequence's first key row, and its keys
  int position;        // key position of the first query
  int place;           // index among the tiles in order of rows
  int unused0, unused1;
};

// Keys of one sequence that one block works on. 32 bytes.
struct alignas(16) KeyTile {
  int row, count, first;   // the first key row, how many, and the position of the first in the sequence
  int queryRow, queries;   // the sequence's queries
  int offset;              // key position of the sequence's first query
  int place;               // index of the sequence's first query tile in order of rows
  int keys;                // the sequence's keys
};

// Tile `index` of one sequence whose `queries` and `keys` begin at the first row: for caches, where there is no list.
__device__ __forceinline__ QueryTile tile_of(const QueryTile *tiles, int index, int size, int queries, int keys) {
  if (tiles) return tiles[index];
  const int first = index * size;
  return QueryTile{first, min(size, queries - first), 0, keys, keys - queries + first, index, 0, 0};
}

struct Range { int begin, end; };

// The keys that a query at `position` sees. No window: a very large one, below 2³⁰.
__device__ __forceinline__ Range visible(int position, int keys, int causal, int window) {
  return causal ? Range{max(0, position - window + 1), min(position + 1, keys)} : Range{0, keys};
}
// The keys that any query of a tile sees.
__device__ __forceinline__ Range visible(const QueryTile &t, int causal, int window) {
  return Range{visible(t.position, t.keys, causal, window).begin, visible(t.position + t.count - 1, t.keys, causal, window).end};
}
// The queries that see any key of a tile.
__device__ __forceinline__ Range seeing(const KeyTile &t, int causal, int window) {
  if (!causal) return Range{0, t.count > 0 ? t.queries : 0};
  int begin = max(0, t.first - t.offset), end = min(t.queries, t.first + t.count - 1 + window - t.offset);
  return Range{begin, max(begin, end)};
}

#define LOG2E 1.4426950408889634f
#define LN2 0.6931471805599453f
#ifndef INFINITY
#define INFINITY __int_as_float(0x7f800000)
#endif

__device__ __forceinline__ float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
// tanh to about 2e-7: 1 − 2 / (e²ˣ + 1).
__device__ __forceinline__ float tanh_fast(float x) {
  float e = exp2_fast(x * (2 * LOG2E)), y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(e + 1));
  return fmaf(-2, y, 1);
}
