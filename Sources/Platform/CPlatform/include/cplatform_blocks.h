#ifndef SWIFTLET_CPLATFORM_BLOCKS_H
#define SWIFTLET_CPLATFORM_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The block formats of GGUF files. One thread; the caller cuts the work. Numbers are float32; codes are bytes as they stand in the file.

/// Block formats, by their numbers in GGUF files.
enum swiftlet_block {
  SWIFTLET_BLOCK_Q4_0 = 2,
  SWIFTLET_BLOCK_Q4_1 = 3,
  SWIFTLET_BLOCK_Q5_0 = 6,
  SWIFTLET_BLOCK_Q5_1 = 7,
  SWIFTLET_BLOCK_Q8_0 = 8,
  SWIFTLET_BLOCK_Q2_K = 10,
  SWIFTLET_BLOCK_Q3_K = 11,
  SWIFTLET_BLOCK_Q4_K = 12,
  SWIFTLET_BLOCK_Q5_K = 13,
  SWIFTLET_BLOCK_Q6_K = 14,
  SWIFTLET_BLOCK_MXFP4 = 39,
};

/// Numbers in a block; 0 for a format that is not known.
size_t swiftlet_block_numbers(int format);
/// Bytes of a block; 0 for a format that is not known.
size_t swiftlet_block_bytes(int format);

/// Writes the numbers of `blocks` blocks. False for a format that is not known.
bool swiftlet_decode_blocks(int format, const uint8_t *codes, size_t blocks, float *out);

/// Codes `blocks` blocks of finite numbers with the smallest squared error that the search finds. Writes the same bytes with every
/// instruction set. False for a format that cannot be written.
bool swiftlet_encode_blocks(int format, const float *x, size_t blocks, uint8_t *codes);

#endif
