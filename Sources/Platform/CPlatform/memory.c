// Small blocks come from malloc. Big ones are mapped, and kept for reuse by size class when freed: mapping and touching new
// pages costs more than most operations on an activation. The pool is bounded: live and pooled blocks together never exceed the
// highest need so far by more than `slack`, the least recently used block going first.
#define _GNU_SOURCE
#include "cplatform_memory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PAGE ((size_t)4096)
#define HUGE ((size_t)2 << 20)
enum { parts = 16, classes = 64 * 8 };
static const size_t big = (size_t)128 << 10, aligned_from = (size_t)4 << 20;
static const int64_t slack = (int64_t)64 << 20;

static _Atomic int64_t part_bytes[parts], live_bytes, peak_bytes;

// The head of a pooled block, in its own first bytes.
struct block {
  struct block *newer, *older;        // all blocks by time
  struct block *next, *previous;      // blocks of one class
  size_t size;
  int class;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct block *by_class[classes], *newest, *oldest;
static int64_t mapped, pooled, mapped_peak;  // bytes of big blocks in use, in the pool, the most ever in use

static size_t round_up(size_t value, size_t unit) { return (value + unit - 1) / unit * unit; }

// Eight classes between powers of two: at most an eighth is lost, and only as untouched pages.
static int class_of(size_t bytes, size_t *size) {
  const int power = 63 - __builtin_clzll(bytes);
  const size_t step = (size_t)1 << (power - 3);
  *size = round_up(round_up(bytes, step), bytes >= aligned_from ? HUGE : PAGE);
  const size_t steps = (bytes - ((size_t)1 << power) + step - 1) / step;
  return power * 8 + (int)steps;
}

static void *map(size_t size) {
  const size_t extra = size >= aligned_from ? HUGE : 0;
  char *const start = mmap(NULL, size + extra, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED) return NULL;
  if (!extra) return start;
  char *const aligned = (char *)round_up((size_t)start, HUGE);
  if (aligned > start) munmap(start, (size_t)(aligned - start));
  if (aligned < start + extra) munmap(aligned + size, (size_t)(start + extra - aligned));
#ifdef MADV_HUGEPAGE
  madvise(aligned, size, MADV_HUGEPAGE);
#endif
  return aligned;
}

static void unlink_block(struct block *b) {
  if (b->newer) b->newer->older = b->older; else newest = b->older;
  if (b->older) b->older->newer = b->newer; else oldest = b->newer;
  if (b->next) b->next->previous = b->previous;
  if (b->previous) b->previous->next = b->next; else by_class[b->class] = b->next;
  pooled -= (int64_t)b->size;
}

static void link_block(struct block *b, size_t size, int class) {
  *b = (struct block){.older = newest, .next = by_class[class], .size = size, .class = class};
  if (newest) newest->newer = b; else oldest = b;
  newest = b;
  if (b->next) b->next->previous = b;
  by_class[class] = b;
  pooled += (int64_t)size;
}

static void shrink_pool(int64_t limit) {
  while (oldest && mapped + pooled > limit) {
    struct block *const b = oldest;
    unlink_block(b);
    munmap(b, b->size);
  }
}

static void *allocate_big(size_t bytes) {
  size_t size;
  const int class = class_of(bytes, &size);
  pthread_mutex_lock(&lock);
  void *result = by_class[class];
  if (result) unlink_block(result);
  mapped += (int64_t)size;
  if (mapped > mapped_peak) mapped_peak = mapped;
  if (!result) {
    shrink_pool(mapped_peak + slack);
    result = map(size);
    if (!result) {
      shrink_pool(0);
      result = map(size);
    }
    if (!result) mapped -= (int64_t)size;
  }
  pthread_mutex_unlock(&lock);
  return result;
}

static void free_big(void *pointer, size_t bytes) {
  size_t size;
  const int class = class_of(bytes, &size);
  pthread_mutex_lock(&lock);
  mapped -= (int64_t)size;
  link_block(pointer, size, class);
  shrink_pool(mapped_peak + slack);
  pthread_mutex_unlock(&lock);
}

static void count(int64_t bytes, int part) {
  atomic_fetch_add_explicit(&part_bytes[part & (parts - 1)], bytes, memory_order_relaxed);
  const int64_t now = atomic_fetch_add_explicit(&live_bytes, bytes, memory_order_relaxed) + bytes;
  int64_t peak = atomic_load_explicit(&peak_bytes, memory_order_relaxed);
  while (now > peak && !atomic_compare_exchange_weak_explicit(&peak_bytes, &peak, now, memory_order_relaxed, memory_order_relaxed)) {}
}

void *swiftlet_memory_allocate(size_t bytes, int part) {
  if (bytes > SIZE_MAX / 4) return NULL;
  void *result = NULL;
  if (bytes >= big) result = allocate_big(bytes);
  else if (posix_memalign(&result, 64, bytes ? bytes : 1)) return NULL;
  if (result) count((int64_t)bytes, part);
  return result;
}

void swiftlet_memory_free(void *pointer, size_t bytes, int part) {
  if (!pointer) return;
  count(-(int64_t)bytes, part);
  if (bytes >= big) free_big(pointer, bytes);
  else free(pointer);
}

int64_t swiftlet_memory_part(int part) { return atomic_load_explicit(&part_bytes[part & (parts - 1)], memory_order_relaxed); }

struct swiftlet_memory_counts swiftlet_memory_counts(void) {
  pthread_mutex_lock(&lock);
  const int64_t waiting = pooled;
  pthread_mutex_unlock(&lock);
  return (struct swiftlet_memory_counts){
      .live = atomic_load_explicit(&live_bytes, memory_order_relaxed),
      .peak = atomic_load_explicit(&peak_bytes, memory_order_relaxed),
      .pooled = waiting,
  };
}

void swiftlet_memory_reset_peak(void) { atomic_store(&peak_bytes, atomic_load(&live_bytes)); }

void swiftlet_memory_trim(void) {
  pthread_mutex_lock(&lock);
  shrink_pool(0);
  mapped_peak = mapped;
  pthread_mutex_unlock(&lock);
}
