#ifndef SWIFTLET_CPLATFORM_MEMORY_H
#define SWIFTLET_CPLATFORM_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/// Bytes of host memory, by state.
struct swiftlet_memory_counts {
  int64_t live, peak, pooled;
};

/// Memory aligned to 64 bytes, contents undefined, counted under `part` (0 to 15); NULL where the system has none.
void *swiftlet_memory_allocate(size_t bytes, int part);

/// Gives back what `swiftlet_memory_allocate` gave for the same size and part.
void swiftlet_memory_free(void *pointer, size_t bytes, int part);

/// Live bytes of a part.
int64_t swiftlet_memory_part(int part);

/// The counts of all parts together, and the bytes that wait in the pool.
struct swiftlet_memory_counts swiftlet_memory_counts(void);

/// Starts a new peak at the present live size.
void swiftlet_memory_reset_peak(void);

/// Returns all pooled blocks to the system.
void swiftlet_memory_trim(void);

/// CRC-32C (Castagnoli) of `count` bytes, continuing from `crc` (0 to begin).
uint32_t swiftlet_crc32c(uint32_t crc, const void *bytes, size_t count);

/// The same by tables, as on processors without the instruction.
uint32_t swiftlet_crc32c_portable(uint32_t crc, const void *bytes, size_t count);

#endif
