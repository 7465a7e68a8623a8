/// The CUDA sources of all op rooms, embedded byte for byte: one relocatable program, no files beside it.
#pragma once
#include <stddef.h>

/// One file.
typedef struct {
  /// `RMSNorm.cu`
  const char *name;
  /// The text, not terminated.
  const unsigned char *text;
  /// Bytes of it.
  size_t length;
} swiftlet_kernel_file;

/// Sources (`.cu`) and the headers that they include (`.cuh`).
extern const swiftlet_kernel_file swiftlet_kernel_files[];
/// How many there are.
extern const size_t swiftlet_kernel_file_count;
