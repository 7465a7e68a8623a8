// The block formats of GGUF files, read. Layouts: a block holds its scales first or last and its codes in planes, as llama.cpp defines them.
#include "cplatform_blocks.h"
#include "cplatform_cpuid.h"

#include <string.h>

#pragma STDC FP_CONTRACT OFF

size_t swiftlet_block_numbers(int format) {
  switch (format) {
  case SWIFTLET_BLOCK_Q4_0:
  case SWIFTLET_BLOCK_Q4_1:
  case SWIFTLET_BLOCK_Q5_0:
  case SWIFTLET_BLOCK_Q5_1:
  case SWIFTLET_BLOCK_Q8_0:
  case SWIFTLET_BLOCK_MXFP4: return 32;
  case SWIFTLET_BLOCK_Q2_K:
  case SWIFTLET_BLOCK_Q3_K:
  case SWIFTLET_BLOCK_Q4_K:
  case SWIFTLET_BLOCK_Q5_K:
  case SWIFTLET_BLOCK_Q6_K: return 256;
  default: return 0;
  }
}

size_t swiftlet_block_bytes(int format) {
  switch (format) {
  case SWIFTLET_BLOCK_Q4_0: return 18;
  case SWIFTLET_BLOCK_Q4_1: return 20;
  case SWIFTLET_BLOCK_Q5_0: return 22;
  case SWIFTLET_BLOCK_Q5_1: return 24;
  case SWIFTLET_BLOCK_Q8_0: return 34;
  case SWIFTLET_BLOCK_MXFP4: return 17;
  case SWIFTLET_BLOCK_Q2_K: return 84;
  case SWIFTLET_BLOCK_Q3_K: return 110;
  case SWIFTLET_BLOCK_Q4_K: return 144;
  case SWIFTLET_BLOCK_Q5_K: return 176;
  case SWIFTLET_BLOCK_Q6_K: return 210;
  default: return 0;
  }
}

#define SOURCE "blocks_decode.inc.h"
#include "levels.inc.h"

bool swiftlet_decode_blocks(int format, const uint8_t *codes, size_t blocks, float *out) {
  if (swiftlet_block_bytes(format) == 0) return false;
#if defined(__x86_64__)
  const enum swiftlet_isa isa = swiftlet_current_isa();
  if (isa >= SWIFTLET_ISA_AVX512) avx512_decode(format, codes, blocks, out);
  else if (isa >= SWIFTLET_ISA_AVX2) avx2_decode(format, codes, blocks, out);
  else baseline_decode(format, codes, blocks, out);
#else
  baseline_decode(format, codes, blocks, out);
#endif
  return true;
}
