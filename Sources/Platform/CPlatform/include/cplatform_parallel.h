#ifndef SWIFTLET_CPLATFORM_PARALLEL_H
#define SWIFTLET_CPLATFORM_PARALLEL_H

#include <stddef.h>

/// Work on the items from `begin` up to `end`.
typedef void (*swiftlet_parallel_body)(void *context, size_t begin, size_t end);

/// Calls `body` for the chunks [0, chunk), [chunk, 2 chunk), … of `count` items, on the threads of the pool and the
/// caller, and returns when all are done. Chunks are the same whatever the number of threads. A call from inside a
/// chunk, or while another thread's call is under way, runs its chunks on the calling thread.
void swiftlet_parallel_for(size_t count, size_t chunk, swiftlet_parallel_body body, void *context);

/// Threads in use, the caller's included: SWIFTLET_THREADS, else the processors this process may run on.
int swiftlet_thread_count(void);

/// Changes the number of threads, 1 to 1024.
void swiftlet_set_thread_count(int count);

#endif
