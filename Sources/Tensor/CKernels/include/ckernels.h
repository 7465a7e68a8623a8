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

/// File `index` of the sources (`.cu`) and the headers that they include (`.cuh`).
const swiftlet_kernel_file *swiftlet_kernel_file_at(size_t index);
/// How many there are.
size_t swiftlet_kernel_file_count(void);
