#define _GNU_SOURCE
#include "cplatform_cuda.h"

#include <dlfcn.h>
#include <string.h>

struct swiftlet_cuda_pointers swiftlet_cuda;

struct row {
  const char *symbol;
  size_t place; // of the pointer in the table
  int needed;
};
#define ROW(needed, type, missing, name, symbol, parameters, arguments) {#symbol, offsetof(struct swiftlet_cuda_pointers, name), needed},
static const struct row driver_rows[] = {SWIFTLET_DRIVER(ROW)};
static const struct row nvrtc_rows[] = {SWIFTLET_NVRTC(ROW)};
static const struct row cublaslt_rows[] = {SWIFTLET_CUBLASLT(ROW)};
static const struct row cudnn_rows[] = {SWIFTLET_CUDNN(ROW)};

static const char *bind(void *library, const struct row *rows, size_t count) {
  const char *missing = NULL;
  for (size_t i = 0; i < count; i++) {
    void *address = dlsym(library, rows[i].symbol);
    if (!address && rows[i].needed && !missing) missing = rows[i].symbol;
    memcpy((char *)&swiftlet_cuda + rows[i].place, &address, sizeof(address));
  }
  return missing;
}

const char *swiftlet_cuda_bind(enum swiftlet_cuda_library which, void *library) {
#define COUNT(rows) (sizeof(rows) / sizeof(rows[0]))
  switch (which) {
  case SWIFTLET_LIBRARY_DRIVER: return bind(library, driver_rows, COUNT(driver_rows));
  case SWIFTLET_LIBRARY_NVRTC: return bind(library, nvrtc_rows, COUNT(nvrtc_rows));
  case SWIFTLET_LIBRARY_CUBLASLT: return bind(library, cublaslt_rows, COUNT(cublaslt_rows));
  case SWIFTLET_LIBRARY_CUDNN: return bind(library, cudnn_rows, COUNT(cudnn_rows));
  }
  return "library";
}

const char *swiftlet_cuda_path(void *library, const char *symbol) {
  void *address = dlsym(library, symbol);
  Dl_info info;
  return address && dladdr(address, &info) ? info.dli_fname : NULL;
}

int swiftlet_cuda_make_current(void *context) {
  static _Thread_local void *current;
  if (current == context) return 0;
  const int code = cuCtxSetCurrent(context);
  if (code == 0) current = context;
  return code;
}

int swiftlet_tensor_map(uint64_t *map, int type, uint32_t rank, uint64_t address, const uint64_t *sizes, const uint64_t *strides,
                        const uint32_t *box, const uint32_t *steps, int swizzle, int promotion) {
  // The driver wants 64 bytes of alignment, which Swift's imported types cannot have.
  _Alignas(64) uint64_t words[16] = {0};
  const int code =
      cuTensorMapEncodeTiled(words, type, rank, (void *)(uintptr_t)address, sizes, strides, box, steps, 0, swizzle, promotion, 0);
  memcpy(map, words, sizeof(words));
  return code;
}

bool swiftlet_mentions(const void *text, size_t length, const char *word) { return memmem(text, length, word, strlen(word)) != NULL; }
