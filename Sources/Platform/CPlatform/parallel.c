// One pool for the process. A job is published by writing its fields and then opening a new generation of `state`;
// workers enter an open job by counting themselves in, so the caller never waits for a worker that has not woken up.
#define _GNU_SOURCE
#include "cplatform_parallel.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { max_threads = 1024, spin_nanoseconds = 20000 };
#define JOB_OPEN (UINT64_C(1) << 31)
#define JOB_WORKERS (JOB_OPEN - 1)

// state: generation in the upper half, open flag, number of workers inside.
static _Atomic uint64_t state;
static _Atomic size_t next_item;
static _Atomic int threads;
static _Atomic int sleepers;
static _Atomic bool caller_sleeps;
static struct { swiftlet_parallel_body body; void *context; size_t count, chunk; } job;

static pthread_mutex_t one_job = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t opened = PTHREAD_COND_INITIALIZER, left = PTHREAD_COND_INITIALIZER;
static int created;
static _Thread_local bool inside;

static inline void relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static uint64_t nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool may_enter(uint64_t s, uint32_t last) { return (s & JOB_OPEN) && (uint32_t)(s >> 32) != last; }

static void run_chunks(void) {
  const size_t count = job.count, chunk = job.chunk;
  for (;;) {
    const size_t begin = atomic_fetch_add_explicit(&next_item, chunk, memory_order_relaxed);
    if (begin >= count) return;
    job.body(job.context, begin, count - begin < chunk ? count : begin + chunk);
  }
}

static void leave_job(void) {
  const uint64_t before = atomic_fetch_sub(&state, 1);
  if (!(before & JOB_OPEN) && (before & JOB_WORKERS) == 1 && atomic_load(&caller_sleeps)) {
    pthread_mutex_lock(&lock);
    pthread_cond_signal(&left);
    pthread_mutex_unlock(&lock);
  }
}

static void wait_for_job(uint32_t last) {
  const uint64_t deadline = nanoseconds() + spin_nanoseconds;
  do {
    for (int i = 0; i < 16; i++) {
      if (may_enter(atomic_load_explicit(&state, memory_order_acquire), last)) return;
      relax();
    }
  } while (nanoseconds() < deadline);
  pthread_mutex_lock(&lock);
  atomic_fetch_add(&sleepers, 1);
  while (!may_enter(atomic_load(&state), last)) pthread_cond_wait(&opened, &lock);
  atomic_fetch_sub(&sleepers, 1);
  pthread_mutex_unlock(&lock);
}

static void *worker(void *argument) {
  const int index = (int)(intptr_t)argument;
  uint32_t last = 0;
  inside = true;
  for (;;) {
    wait_for_job(last);
    uint64_t s = atomic_load(&state);
    if (!may_enter(s, last)) continue;
    if (index >= atomic_load(&threads)) {
      last = (uint32_t)(s >> 32);
      continue;
    }
    if (!atomic_compare_exchange_strong(&state, &s, s + 1)) continue;
    last = (uint32_t)(s >> 32);
    run_chunks();
    leave_job();
  }
  return NULL;
}

static int default_threads(void) {
  const char *const wanted = getenv("SWIFTLET_THREADS");
  const long asked = wanted ? strtol(wanted, NULL, 10) : 0;
  if (asked >= 1) return asked < max_threads ? (int)asked : max_threads;
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
  const long online = sysconf(_SC_NPROCESSORS_ONLN);
  return online >= 1 ? (int)online : 1;
}

int swiftlet_thread_count(void) {
  const int now = atomic_load_explicit(&threads, memory_order_relaxed);
  if (now) return now;
  int unset = 0;
  atomic_compare_exchange_strong(&threads, &unset, default_threads());
  return atomic_load(&threads);
}

void swiftlet_set_thread_count(int count) {
  atomic_store(&threads, count < 1 ? 1 : count > max_threads ? max_threads : count);
}

// Threads that cannot be made are done without: the caller takes all chunks that nobody else takes.
static void create_workers(int wanted) {
  while (created < wanted - 1) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, worker, (void *)(intptr_t)(created + 1))) return;
    pthread_detach(thread);
    created++;
  }
}

static void open_job(void) {
  const uint64_t generation = (atomic_load(&state) >> 32) + 1;
  atomic_store(&state, (generation & UINT32_MAX ? generation : 1) << 32 | JOB_OPEN);
  if (atomic_load(&sleepers)) {
    pthread_mutex_lock(&lock);
    pthread_cond_broadcast(&opened);
    pthread_mutex_unlock(&lock);
  }
}

static bool workers_inside(void) { return atomic_load(&state) & JOB_WORKERS; }

static void close_job(void) {
  atomic_fetch_and(&state, ~JOB_OPEN);
  if (!workers_inside()) return;
  const uint64_t deadline = nanoseconds() + spin_nanoseconds;
  do {
    for (int i = 0; i < 16; i++) {
      if (!workers_inside()) return;
      relax();
    }
  } while (nanoseconds() < deadline);
  pthread_mutex_lock(&lock);
  atomic_store(&caller_sleeps, true);
  while (workers_inside()) pthread_cond_wait(&left, &lock);
  atomic_store(&caller_sleeps, false);
  pthread_mutex_unlock(&lock);
}

static void run_alone(size_t count, size_t chunk, swiftlet_parallel_body body, void *context) {
  for (size_t begin = 0; begin < count; begin += chunk) body(context, begin, count - begin < chunk ? count : begin + chunk);
}

void swiftlet_parallel_for(size_t count, size_t chunk, swiftlet_parallel_body body, void *context) {
  if (!chunk) chunk = 1;
  const int wanted = swiftlet_thread_count();
  if (inside || wanted == 1 || count <= chunk || pthread_mutex_trylock(&one_job)) {
    run_alone(count, chunk, body, context);
    return;
  }
  create_workers(wanted);
  job.body = body;
  job.context = context;
  job.count = count;
  job.chunk = chunk;
  atomic_store(&next_item, 0);
  inside = true;
  open_job();
  run_chunks();
  close_job();
  inside = false;
  pthread_mutex_unlock(&one_job);
}
