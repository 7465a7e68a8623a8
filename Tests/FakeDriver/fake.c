// A CUDA driver, a cuBLASLt and a cuDNN without a GPU: device memory is host memory, work is done when it is queued, graphs are lists. The kernels
// are those of the platform's self-checks, by name. Good for what the host does: accounting, order, arguments, layouts, errors.
// With FAKE_IDLE in the environment it takes any kernel and computes nothing but small copies: what a whole run takes can be counted.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t word;
enum { success = 0, invalid = 1, full = 2, not_found = 500, while_capturing = 900 };

// With FAKE_REFUSAL its cuDNN knows no graph.
static int idle, refuses;
__attribute__((constructor)) static void begin(void) { idle = getenv("FAKE_IDLE") != NULL, refuses = getenv("FAKE_REFUSAL") != NULL; }

// ---- device

int cuInit(unsigned flags) { return success; }
int cuDriverGetVersion(int *version) { return *version = 13000, success; }
int cuDeviceGetCount(int *count) { return *count = 1, success; }
int cuDeviceGet(int *device, int ordinal) { return *device = ordinal, success; }
int cuDeviceGetName(char *name, int length, int device) { return strcpy(name, "Fake GPU"), success; }
int cuDeviceTotalMem_v2(size_t *bytes, int device) { return *bytes = (size_t)1 << 34, success; }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
  switch (attribute) {
  case 16: *value = 4; break;       // multiprocessors
  case 75: *value = 9; break;       // capability
  case 97: *value = 232448; break;  // shared memory of a block
  case 115: *value = 1; break;      // memory pools
  default: *value = 0;
  }
  return success;
}
int cuDeviceGetDefaultMemPool(void **pool, int device) { return *pool = "pool", success; }
int cuDevicePrimaryCtxRetain(void **context, int device) { return *context = "context", success; }
int cuCtxSetCurrent(void *context) { return success; }
int cuGetErrorName(int code, const char **text) { return *text = "CUDA_ERROR_FAKE", success; }
int cuGetErrorString(int code, const char **text) { return *text = "said by the fake", success; }

// ---- streams, events

struct operation { int kind; word arguments[8][16]; struct operation *next; };  // kind: -1 copy, -2 fill, else a kernel
struct graph { struct operation *first, *last; int count; };
static struct graph *recording;
static void *recorded_stream;
static int forbidden(void *stream) { return recording && stream == recorded_stream; }

int cuCtxSynchronize(void) { return recording ? while_capturing : success; }
int cuStreamCreate(void **stream, unsigned flags) { return *stream = malloc(1), success; }
int cuStreamDestroy_v2(void *stream) { return free(stream), success; }
int cuStreamSynchronize(void *stream) { return forbidden(stream) ? while_capturing : success; }
int cuStreamQuery(void *stream) { return success; }
int cuStreamWaitEvent(void *stream, void *event, unsigned flags) { return success; }
int cuEventCreate(void **event, unsigned flags) { return *event = malloc(1), success; }
int cuEventDestroy_v2(void *event) { return free(event), success; }
int cuEventRecord(void *event, void *stream) { return success; }
int cuEventQuery(void *event) { return success; }
int cuEventSynchronize(void *event) { return success; }
int cuEventElapsedTime(float *milliseconds, void *from, void *to) { return *milliseconds = 1, success; }

// ---- memory: fresh blocks are full of 0xcd, freed ones of 0xdd

struct block { size_t bytes; char padding[504]; };
int cuMemGetInfo_v2(size_t *available, size_t *total) { return *available = *total = (size_t)1 << 34, success; }
int cuMemAllocAsync(word *pointer, size_t bytes, void *stream) {
  if (forbidden(stream)) return while_capturing;
  if (bytes == 0) return invalid;
  if (bytes > (size_t)1 << 34) return full;
  struct block *block = aligned_alloc(512, sizeof(struct block) + (bytes + 511) / 512 * 512);
  block->bytes = bytes;
  if (!idle) memset(block + 1, 0xcd, bytes);
  return *pointer = (word)(block + 1), success;
}
int cuMemFreeAsync(word pointer, void *stream) {
  if (forbidden(stream)) return while_capturing;
  struct block *block = (struct block *)pointer - 1;
  if (!idle) memset((void *)pointer, 0xdd, block->bytes);
  return free(block), success;
}
int cuMemPoolSetAttribute(void *pool, int attribute, void *value) { return success; }
int cuMemPoolGetAttribute(void *pool, int attribute, void *value) { return *(word *)value = 0, success; }
int cuMemPoolTrimTo(void *pool, size_t keep) { return success; }
int cuMemHostAlloc(void **pointer, size_t bytes, unsigned flags) { return *pointer = aligned_alloc(4096, bytes), success; }
int cuMemFreeHost(void *pointer) { return free(pointer), success; }

// ---- work

static const char *const names[] = {"affine", "every_type", "reverse", "spin", "six", "load_box"};
static const int counts[] = {5, 8, 3, 1, 6, 4};

static void run(const struct operation *o) {
  const word(*a)[16] = o->arguments;
  switch (o->kind) {
  case -1: memcpy((void *)a[0][0], (void *)a[1][0], a[2][0]); break;
  case -2: memset((void *)a[0][0], (int)a[1][0], a[2][0]); break;
  case 0: {
    float *y = (float *)a[0][0], *x = (float *)a[1][0], scale = *(float *)a[2], shift = *(float *)a[3];
    for (int i = 0; i < (int)a[4][0]; i++) y[i] = x[i] * scale + shift;
    break;
  }
  case 1: {
    const word values[8] = {a[1][0], (word)(int)a[2][0], (unsigned)a[3][0], a[4][0], a[5][0], (unsigned)a[6][0], (word)(int)a[7][0], 77};
    memcpy((void *)a[0][0], values, sizeof values);
    break;
  }
  case 2: {
    const int n = (int)a[2][0], *x = (int *)a[1][0];
    for (int i = 0; i < n; i++) ((int *)a[0][0])[i] = x[n - 1 - i];
    break;
  }
  case 5: {  // the map: address, columns, rows, bytes a row, box
    const word *map = a[1];
    const long x0 = (int)a[2][0], y0 = (int)a[3][0], columns = map[1], rows = map[2];
    uint16_t *to = (uint16_t *)a[0][0];
    for (long y = y0; y < y0 + (long)map[5]; y++)
      for (long x = x0; x < x0 + (long)map[4]; x++)
        *to++ = x < 0 || y < 0 || x >= columns || y >= rows ? 0 : *(uint16_t *)(map[0] + y * map[3] + x * 2);
  }
  }
}

static int queue(struct operation *o, void *stream) {
  if (!forbidden(stream)) return run(o), success;
  struct operation *kept = malloc(sizeof *kept);
  *kept = *o;
  kept->next = NULL;
  *(recording->last ? &recording->last->next : &recording->first) = kept;
  recording->last = kept;
  recording->count++;
  return success;
}
static int queue_copy(word to, word from, size_t bytes, void *stream) {
  return queue(&(struct operation){-1, {{to}, {from}, {bytes}}}, stream);
}
int cuMemcpyHtoDAsync_v2(word to, const void *from, size_t bytes, void *stream) { return queue_copy(to, (word)from, bytes, stream); }
int cuMemcpyDtoHAsync_v2(void *to, word from, size_t bytes, void *stream) { return queue_copy((word)to, from, bytes, stream); }
int cuMemcpyDtoDAsync_v2(word to, word from, size_t bytes, void *stream) { return queue_copy(to, from, bytes, stream); }
int cuMemsetD8Async(word to, unsigned char value, size_t bytes, void *stream) {
  return queue(&(struct operation){-2, {{to}, {value}, {bytes}}}, stream);
}

int cuModuleLoadData(void **module, const void *image) { return *module = "module", memcmp(image, "\177ELF", 4) ? invalid : success; }
int cuModuleUnload(void *module) { return success; }
int cuModuleGetFunction(void **function, void *module, const char *name) {
  for (int i = 0; i < 6; i++)
    if (!strcmp(names[i], name)) return *function = (void *)&names[i], success;
  return *function = &idle, idle ? success : not_found;
}
static int shared_limit = 48 << 10;
int cuFuncGetAttribute(int *value, int attribute, void *function) { return *value = 16, success; }
int cuFuncSetAttribute(void *function, int attribute, int value) { return attribute == 8 ? (shared_limit = value, success) : invalid; }
int cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
                   void *stream, void **arguments, void **extra) {
  if (gx == 0 || bx * by * bz > 1024 || shared > shared_limit) return invalid;
  if (function == &idle) return success;
  struct operation o = {(int)((const char *const *)function - names)};
  for (int i = 0; i < counts[o.kind]; i++) memcpy(o.arguments[i], arguments[i], o.kind == 5 && i == 1 ? 128 : 8);
  if (o.kind == 5 && (word)arguments[1] % 64) return invalid;
  return queue(&o, stream);
}

// ---- graphs, tensor maps

int cuStreamBeginCapture_v2(void *stream, int mode) {
  recording = calloc(1, sizeof *recording);
  return recorded_stream = stream, success;
}
int cuStreamEndCapture(void *stream, void **graph) { return *graph = recording, recording = NULL, success; }
int cuGraphGetNodes(void *graph, void **nodes, size_t *count) { return *count = ((struct graph *)graph)->count, success; }
int cuGraphInstantiateWithFlags(void **executable, void *graph, unsigned long long flags) { return *executable = graph, success; }
int cuGraphLaunch(void *executable, void *stream) {
  for (const struct operation *o = ((struct graph *)executable)->first; o; o = o->next) run(o);
  return success;
}
int cuGraphDestroy(void *graph) { return success; }
int cuGraphExecDestroy(void *executable) { return success; }
int cuTensorMapEncodeTiled(void *map, int type, uint32_t rank, void *address, const word *sizes, const word *strides, const uint32_t *box,
                           const uint32_t *steps, int interleave, int swizzle, int promotion, int fill) {
  if (idle) return success;
  if ((word)map % 64 || rank != 2 || type != 1 || strides[0] % 16) return invalid;
  const word words[16] = {(word)address, sizes[0], sizes[1], strides[0], box[0], box[1]};
  return memcpy(map, words, sizeof words), success;
}

// ---- cuBLASLt: column-major, one element after another, sums in float64

struct layout { int type; word rows, columns; int64_t stride; };
struct product { int transposed[2], epilogue, bias_type; word bias; };

static double get(int type, word address, word place) {
  if (type == 0) return ((float *)address)[place];
  if (type == 2) return ((_Float16 *)address)[place];
  const uint32_t bits = (uint32_t)((uint16_t *)address)[place] << 16;
  float x;
  return memcpy(&x, &bits, 4), x;
}
static void put(int type, word address, word place, double value) {
  const float x = (float)value;
  uint32_t bits;
  memcpy(&bits, &x, 4);
  if (type == 0) ((float *)address)[place] = x;
  else if (type == 2) ((_Float16 *)address)[place] = (_Float16)x;
  else ((uint16_t *)address)[place] = (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

size_t cublasLtGetVersion(void) { return 130000; }
const char *cublasLtGetStatusString(int status) { return "said by the fake"; }
int cublasLtCreate(void **handle) { return *handle = "handle", success; }
int cublasLtDestroy(void *handle) { return success; }
int cublasLtMatmulDescCreate(void **product, int compute, int scale) { return *product = calloc(1, sizeof(struct product)), success; }
int cublasLtMatmulDescDestroy(void *product) { return free(product), success; }
int cublasLtMatmulDescSetAttribute(struct product *product, int attribute, const void *value, size_t bytes) {
  switch (attribute) {
  case 3: memcpy(&product->transposed[0], value, bytes); break;
  case 4: memcpy(&product->transposed[1], value, bytes); break;
  case 7: memcpy(&product->epilogue, value, bytes); break;
  case 8: memcpy(&product->bias, value, bytes); break;
  case 26: memcpy(&product->bias_type, value, bytes); break;
  default: return invalid;
  }
  return success;
}
int cublasLtMatrixLayoutCreate(void **layout, int type, word rows, word columns, int64_t stride) {
  if (stride < (int64_t)rows) return invalid;
  struct layout *made = malloc(sizeof *made);
  *made = (struct layout){type, rows, columns, stride};
  return *layout = made, success;
}
int cublasLtMatrixLayoutDestroy(void *layout) { return free(layout), success; }
int cublasLtMatmulPreferenceCreate(void **preference) { return *preference = "preference", success; }
int cublasLtMatmulPreferenceDestroy(void *preference) { return success; }
int cublasLtMatmulPreferenceSetAttribute(void *preference, int attribute, const void *value, size_t bytes) { return success; }
int cublasLtMatmulAlgoGetHeuristic(void *handle, struct product *product, struct layout *a, struct layout *b, struct layout *c,
                                   struct layout *d, void *preference, int wanted, void *choices, int *found) {
  return memset(choices, 0, 96), *found = 1, a->type == b->type && c->type == d->type ? success : 15;
}
int cublasLtMatmul(void *handle, struct product *product, const float *alpha, word a, struct layout *al, word b, struct layout *bl,
                   const float *beta, word c, struct layout *cl, word d, struct layout *dl, const word *algorithm, word workspace,
                   size_t workspace_bytes, void *stream) {
  const int at = product->transposed[0], bt = product->transposed[1];
  const word m = dl->rows, n = dl->columns, k = at ? al->rows : al->columns;
  if (m != (at ? al->columns : al->rows) || k != (bt ? bl->columns : bl->rows) || n != (bt ? bl->rows : bl->columns)) return 7;
  if (m * n * k > (idle ? 0 : 5000000)) return success;  // no check compares such a one, some queue thousands
  for (word i = 0; i < m; i++)
    for (word j = 0; j < n; j++) {
      double sum = 0;
      for (word p = 0; p < k; p++)
        sum += get(al->type, a, at ? i * al->stride + p : p * al->stride + i) * get(bl->type, b, bt ? p * bl->stride + j : j * bl->stride + p);
      sum *= *alpha;
      if (*beta != 0) sum += *beta * get(cl->type, c, j * cl->stride + i);
      if (product->epilogue == 4) sum += get(product->bias_type, product->bias, i);
      put(dl->type, d, j * dl->stride + i, sum);
    }
  return success;
}

// ---- cuDNN: descriptors with attributes, each set once before it is finished; what they say is not computed

struct attribute { int number, type; int64_t count; word values[32]; };
struct descriptor { int kind, finished, used; struct attribute attributes[16]; };
static const size_t sizes_of[] = {8, 4, 1, 8, 4, 8, 8, 4, 4, 4, 4, 4, 4, 4, 4, 8, 4, 4, 4};

static struct attribute *find(struct descriptor *d, int number) {
  for (int i = 0; i < d->used; i++)
    if (d->attributes[i].number == number) return &d->attributes[i];
  return NULL;
}
size_t cudnnGetVersion(void) { return 91400; }
const char *cudnnGetErrorString(int status) { return "said by the fake"; }
int cudnnCreate(void **handle) { return *handle = "handle", success; }
int cudnnSetStream(void *handle, void *stream) { return success; }
int cudnnBackendCreateDescriptor(int kind, struct descriptor **made) {
  *made = calloc(1, sizeof **made);
  (*made)->kind = kind;
  return success;
}
int cudnnBackendDestroyDescriptor(struct descriptor *d) { return free(d), success; }
int cudnnBackendSetAttribute(struct descriptor *d, int number, int type, int64_t count, const void *values) {
  if (d->finished || d->used == 16 || count > 32 || find(d, number)) return invalid;
  struct attribute *a = &d->attributes[d->used++];
  *a = (struct attribute){number, type, count};
  for (int64_t i = 0; i < count; i++) memcpy(&a->values[i], (const char *)values + i * sizes_of[type], sizes_of[type]);
  for (int64_t i = 0; type == 15 && i < count; i++)
    if (!((struct descriptor *)a->values[i])->finished) return invalid;
  return success;
}
int cudnnBackendFinalize(struct descriptor *d) {
  // How many attributes a kind cannot do without, and which.
  static const int needed[32][5] = {[0] = {2, 0, 1},
                                  [4] = {2, 200, 201},
                                  [5] = {2, 400, 401},
                                  [13] = {3, 750, 751, 753},
                                  [15] = {2, 800, 801},
                                  [16] = {3, 1000, 1001, 1003},
                                  [17] = {4, 901, 902, 903, 906},
                                  [18] = {1, 1500},
                                  [19] = {4, 1520, 1521, 1522, 1523}};
  for (int i = 1; i <= needed[d->kind][0]; i++)
    if (!find(d, needed[d->kind][i])) return invalid;
  if (refuses && d->kind == 15) return not_found;
  return d->finished = 1, success;
}
int cudnnBackendGetAttribute(struct descriptor *d, int number, int type, int64_t wanted, int64_t *found, void *values) {
  if (!d->finished) return invalid;
  *found = 1;
  if (number == 402) return *(int64_t *)values = 512, success;
  struct descriptor *proposal = *(struct descriptor **)values;
  if (number != 202 || proposal->kind != 3 || proposal->used) return invalid;
  const int code = cudnnBackendSetAttribute(proposal, 201, 15, 1, find(d, 201)->values);
  return proposal->finished = 1, code;
}
int cudnnBackendExecute(void *handle, struct descriptor *plan, struct descriptor *pack) {
  const int isWhole = plan->finished && pack->finished && find(pack, 1000)->count == find(pack, 1001)->count;
  return isWhole ? success : invalid;
}
