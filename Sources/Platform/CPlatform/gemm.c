// Blocking around the kernels. A is packed once for a region of up to `region_numbers` words, at most `region_k` in a row; then
// tasks of some panels of B by some rows pack their B into a buffer of their own, block of k after block of k, and run tiles over it.
#include "gemm_internal.h"

#include "cplatform_cpuid.h"
#include "cplatform_memory.h"
#include "cplatform_parallel.h"

#include <stdio.h>
#include <stdlib.h>

enum { region_k = 8 * gemm_block, region_numbers = 4 << 20, resident_panels = 16, few_columns = 32, workspace_part = 6 };
static const size_t worth_threads = 1u << 17;  // multiply-adds

struct gemm {
  const struct gemm_kernels *kernels;
  struct gemm_source a, b;  // lanes are rows of A, columns of B
  float *c;
  size_t ldc, m, n, k, unit;  // unit: numbers in a word
  float alpha;
  bool accumulate, pairs;
  // The region at work; mr: rows of its panels
  float *packed;
  size_t mr, row, rows, from_k, size_k, panel_size;
  // Its tasks
  size_t panels_per_task, column_tasks, rows_per_task;
};

static size_t least(size_t a, size_t b) { return a < b ? a : b; }
static size_t parts(size_t count, size_t size) { return (count + size - 1) / size; }

static struct gemm_source at(struct gemm_source from, size_t lane, size_t k) {
  from.data = (const char *)from.data + (lane * from.lane_step + k * from.k_step) * (from.type == SWIFTLET_F32 ? 4 : 2);
  return from;
}

static void *workspace(size_t bytes) {
  void *const result = swiftlet_memory_allocate(bytes, workspace_part);
  if (result) return result;
  fprintf(stderr, "out of memory: matmul wanted %zu bytes of workspace\n", bytes);
  abort();
}

static const struct gemm_kernels *kernels(void) {
#if defined(__x86_64__)
  switch (swiftlet_current_isa()) {
    case SWIFTLET_ISA_AVX512_BF16: return &swiftlet_gemm_avx512_bf16;
    case SWIFTLET_ISA_AVX512: return &swiftlet_gemm_avx512;
    case SWIFTLET_ISA_AVX2: return &swiftlet_gemm_avx2;
    case SWIFTLET_ISA_BASELINE: break;
  }
#endif
  return &swiftlet_gemm_baseline;
}

static void pack(const struct gemm *g, float *out, size_t width, size_t lanes, struct gemm_source from, size_t k) {
  (g->pairs ? g->kernels->pack_pairs : g->kernels->pack)(out, width, lanes, from, k);
}

static void pack_rows(void *context, size_t begin, size_t end) {
  const struct gemm *g = context;
  for (size_t panel = begin; panel < end; panel++) {
    const size_t row = panel * g->mr, rows = least(g->mr, g->rows - row);
    pack(g, g->packed + panel * g->panel_size, rows, rows, at(g->a, g->row + row, g->from_k), g->size_k);
  }
}

// Tiles of rows [row, end) of the region with the packed panels of one block of k.
static void tiles(const struct gemm *g, const float *b, size_t column, size_t panels, size_t row, size_t end, size_t word, size_t words) {
  const size_t mr = g->mr, nr = g->kernels->nr;
  const bool add = g->accumulate || g->from_k > 0 || word > 0;
  void (*const tile)(size_t, size_t, size_t, const float *, const float *, float, float *, size_t, bool) =
      g->pairs ? g->kernels->tile_pairs : g->kernels->tile;
  // Some panels of A stay in the second-level cache while all panels of B pass through the first.
  for (size_t some = row; some < end; some += resident_panels * mr) {
    const size_t some_end = least(end, some + resident_panels * mr);
    for (size_t j = 0; j < panels; j++) {
      const size_t first = column + j * nr, columns = least(nr, g->n - first);
      for (size_t i = some; i < some_end; i += mr) {
        const size_t rows = least(mr, g->rows - i);
        tile(rows, columns, words, g->packed + i / mr * g->panel_size + word * rows, b + j * nr * gemm_block, g->alpha,
             g->c + (g->row + i) * g->ldc + first, g->ldc, add);
      }
    }
  }
}

static void task(const struct gemm *g, size_t index, float *buffer) {
  const size_t nr = g->kernels->nr, unit = g->unit;
  const size_t column = index % g->column_tasks * g->panels_per_task * nr;
  const size_t panels = least(g->panels_per_task, parts(g->n - column, nr));
  const size_t row = index / g->column_tasks * g->rows_per_task, end = least(g->rows, row + g->rows_per_task);
  for (size_t k = 0; k < g->size_k; k += gemm_block * unit) {
    const size_t size = least(g->size_k - k, gemm_block * unit);
    for (size_t j = 0; j < panels; j++) {
      const size_t first = column + j * nr;
      pack(g, buffer + j * nr * gemm_block, nr, least(nr, g->n - first), at(g->b, first, g->from_k + k), size);
    }
    tiles(g, buffer, column, panels, row, end, k / unit, parts(size, unit));
  }
}

static void tasks(void *context, size_t begin, size_t end) {
  const struct gemm *g = context;
  const size_t bytes = g->panels_per_task * g->kernels->nr * gemm_block * sizeof(float);
  float *const buffer = workspace(bytes);
  for (size_t i = begin; i < end; i++) task(g, i, buffer);
  swiftlet_memory_free(buffer, bytes, workspace_part);
}

// Enough tasks to keep all threads busy to the end, as large as they may be.
static void plan_tasks(struct gemm *g) {
  const size_t wanted = 4 * (size_t)swiftlet_thread_count(), mr = g->mr;
  const size_t panels = parts(g->n, g->kernels->nr);
  g->rows_per_task = parts(g->rows, mr) * mr;
  g->panels_per_task = g->rows > 4 * mr ? 8 : 1;
  while (g->panels_per_task > 1 && parts(panels, g->panels_per_task) < wanted) g->panels_per_task /= 2;
  g->column_tasks = parts(panels, g->panels_per_task);
  while (g->rows_per_task >= 16 * mr && g->column_tasks * parts(g->rows, g->rows_per_task) < wanted)
    g->rows_per_task = parts(g->rows_per_task / mr, 2) * mr;
}

static size_t chunk_for(const struct gemm *g, size_t multiply_adds, size_t count) {
  if (multiply_adds < worth_threads) return count;
  const size_t wanted = 16 * (size_t)swiftlet_thread_count();
  return g->rows > 4 * g->mr ? 1 : parts(count, wanted);
}

static void region(struct gemm *g) {
  // Panels of nearly equal height: 16 rows are two of 8, not 14 and 2.
  const size_t mr = parts(g->rows, parts(g->rows, g->kernels->mr)), panels = parts(g->rows, mr), work = g->rows * g->n * g->size_k;
  g->mr = mr;
  g->panel_size = parts(g->size_k, g->unit) * mr + gemm_pad;
  const size_t bytes = panels * g->panel_size * sizeof(float);
  g->packed = workspace(bytes);
  swiftlet_parallel_for(panels, g->rows * g->size_k < worth_threads ? panels : 1, pack_rows, g);
  plan_tasks(g);
  const size_t count = g->column_tasks * parts(g->rows, g->rows_per_task);
  swiftlet_parallel_for(count, chunk_for(g, work, count), tasks, g);
  swiftlet_memory_free(g->packed, bytes, workspace_part);
}

static void direct_panels(void *context, size_t begin, size_t end) {
  const struct gemm *g = context;
  const size_t nr = g->kernels->nr;
  for (size_t j = begin; j < end; j++)
    g->kernels->direct(g->m, least(nr, g->n - j * nr), g->k, g->packed, at(g->b, j * nr, 0), g->alpha, g->c + j * nr, g->ldc,
                       g->accumulate);
}

static void direct(struct gemm *g) {
  const size_t bytes = (g->m * g->k + gemm_pad) * sizeof(float), panels = parts(g->n, g->kernels->nr);
  g->packed = workspace(bytes);
  g->kernels->pack(g->packed, g->m, g->m, g->a, g->k);
  g->rows = g->m;
  g->mr = g->kernels->mr;
  swiftlet_parallel_for(panels, chunk_for(g, g->m * g->n * g->k, panels), direct_panels, g);
  swiftlet_memory_free(g->packed, bytes, workspace_part);
}

static void empty_sum(const struct gemm *g) {
  for (size_t i = 0; i < g->m && !g->accumulate; i++) memset(g->c + i * g->ldc, 0, g->n * sizeof(float));
}

static struct gemm_source source(struct swiftlet_matrix x, bool lanes_are_rows) {
  const bool consecutive_words = lanes_are_rows != x.transposed;
  return (struct gemm_source){x.data, consecutive_words ? x.stride : 1, consecutive_words ? 1 : x.stride, x.type};
}

static void multiply_as_it_is(struct gemm *g) {
  if (!g->pairs && g->m <= g->kernels->direct_rows && g->b.k_step == 1 && g->n > 1) return direct(g);
  const size_t region_size = region_k * g->unit, most = region_numbers / parts(least(g->k, region_size), g->unit);
  const size_t region_rows = parts(g->m, parts(g->m, most));
  for (g->from_k = 0; g->from_k < g->k; g->from_k += region_size)
    for (g->row = 0; g->row < g->m; g->row += region_rows) {
      g->size_k = least(region_size, g->k - g->from_k);
      g->rows = least(region_rows, g->m - g->row);
      region(g);
    }
}

static void read_transposed(void *context, size_t begin, size_t end) {
  const struct gemm *g = context;
  for (size_t i = begin; i < end; i++)
    for (size_t j = 0; j < g->n; j++) g->packed[j * g->m + i] = g->c[i * g->ldc + j];
}

static void write_transposed(void *context, size_t begin, size_t end) {
  const struct gemm *g = context;
  for (size_t i = begin; i < end; i++)
    for (size_t j = 0; j < g->n; j++) g->c[i * g->ldc + j] = g->packed[j * g->m + i];
}

// Many rows by a few columns (the down-projection of an adapter, a router) as the transposed product: what is large is then packed
// in the first-level cache, block by block, and never written to memory. The sums are the same.
static void multiply_transposed(struct gemm *g) {
  const size_t bytes = g->m * g->n * sizeof(float), chunk = parts(g->m, 16);
  g->packed = workspace(bytes);
  if (g->accumulate) swiftlet_parallel_for(g->m, chunk, read_transposed, g);
  struct gemm t = *g;
  t.a = g->b, t.b = g->a, t.m = g->n, t.n = g->m, t.c = g->packed, t.ldc = g->m;
  multiply_as_it_is(&t);
  swiftlet_parallel_for(g->m, chunk, write_transposed, g);
  swiftlet_memory_free(g->packed, bytes, workspace_part);
}

static void multiply(struct gemm *g) {
  if (!g->m || !g->n) return;
  if (!g->k) return empty_sum(g);
  if (g->n <= few_columns && g->m >= 8 * g->n) multiply_transposed(g);
  else multiply_as_it_is(g);
}

void swiftlet_gemm(struct swiftlet_matrix a, struct swiftlet_matrix b, float *c, size_t ldc, size_t m, size_t n, size_t k, float alpha,
                   bool accumulate) {
  struct gemm g = {.kernels = kernels(), .a = source(a, true), .b = source(b, false), .c = c, .ldc = ldc, .m = m, .n = n, .k = k,
                   .unit = 1, .alpha = alpha, .accumulate = accumulate};
  multiply(&g);
}

void swiftlet_gemm_bf16(struct swiftlet_matrix a, struct swiftlet_matrix b, float *c, size_t ldc, size_t m, size_t n, size_t k,
                        float alpha, bool accumulate) {
  struct gemm g = {.kernels = kernels(), .a = source(a, true), .b = source(b, false), .c = c, .ldc = ldc, .m = m, .n = n, .k = k,
                   .unit = 2, .alpha = alpha, .accumulate = accumulate, .pairs = true};
  multiply(&g);
}

struct batch {
  const struct swiftlet_product *products;
};

static void run_products(void *context, size_t begin, size_t end) {
  const struct batch *batch = context;
  for (size_t i = begin; i < end; i++) {
    const struct swiftlet_product *p = &batch->products[i];
    swiftlet_gemm(p->a, p->b, p->c, p->ldc, p->m, p->n, p->k, p->alpha, p->accumulate);
  }
}

void swiftlet_gemm_batch(const struct swiftlet_product *products, size_t count) {
  size_t total = 0, largest = 0;
  for (size_t i = 0; i < count; i++) {
    const size_t work = products[i].m * products[i].n * products[i].k;
    total += work;
    if (work > largest) largest = work;
  }
  struct batch batch = {products};
  // One product a thread where none of them is so large that others would wait for it; else each on all threads.
  const bool apart = total < worth_threads || largest * 2 * (size_t)swiftlet_thread_count() <= total;
  if (apart) swiftlet_parallel_for(count, total < worth_threads ? count : 1, run_products, &batch);
  else run_products(&batch, 0, count);
}
