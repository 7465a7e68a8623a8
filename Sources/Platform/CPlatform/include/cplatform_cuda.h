#ifndef SWIFTLET_CPLATFORM_CUDA_H
#define SWIFTLET_CPLATFORM_CUDA_H

// The CUDA driver, NVRTC, cuBLASLt and cuDNN as far as they are used here: own declarations, no header of CUDA. Each table row is
//   F(needed, type of result, result where the symbol is missing, name, symbol in the library, parameters, arguments)
// and yields a function pointer, a row for the binder and a function of that name that calls through the pointer.
// Handles are `void *`, addresses on the device `uint64_t`, status codes `int` with 0 for success.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SWIFTLET_DRIVER(F)                                                                                                                 \
  F(1, int, 500, cuInit, cuInit, (unsigned flags), (flags))                                                                                \
  F(1, int, 500, cuDriverGetVersion, cuDriverGetVersion, (int *version), (version))                                                       \
  F(1, int, 500, cuDeviceGetCount, cuDeviceGetCount, (int *count), (count))                                                               \
  F(1, int, 500, cuDeviceGet, cuDeviceGet, (int *device, int ordinal), (device, ordinal))                                                 \
  F(1, int, 500, cuDeviceGetName, cuDeviceGetName, (char *name, int length, int device), (name, length, device))                          \
  F(1, int, 500, cuDeviceTotalMem, cuDeviceTotalMem_v2, (size_t *bytes, int device), (bytes, device))                                     \
  F(1, int, 500, cuDeviceGetAttribute, cuDeviceGetAttribute, (int *value, int attribute, int device), (value, attribute, device))         \
  F(1, int, 500, cuDeviceGetDefaultMemPool, cuDeviceGetDefaultMemPool, (void **pool, int device), (pool, device))                         \
  F(1, int, 500, cuDevicePrimaryCtxRetain, cuDevicePrimaryCtxRetain, (void **context, int device), (context, device))                     \
  F(1, int, 500, cuCtxSetCurrent, cuCtxSetCurrent, (void *context), (context))                                                            \
  F(1, int, 500, cuCtxSynchronize, cuCtxSynchronize, (void), ())                                                                          \
  F(1, int, 500, cuGetErrorName, cuGetErrorName, (int code, const char **text), (code, text))                                             \
  F(1, int, 500, cuGetErrorString, cuGetErrorString, (int code, const char **text), (code, text))                                         \
  F(1, int, 500, cuMemGetInfo, cuMemGetInfo_v2, (size_t *available, size_t *total), (available, total))                                   \
  F(1, int, 500, cuMemAllocAsync, cuMemAllocAsync, (uint64_t *pointer, size_t bytes, void *stream), (pointer, bytes, stream))             \
  F(1, int, 500, cuMemFreeAsync, cuMemFreeAsync, (uint64_t pointer, void *stream), (pointer, stream))                                     \
  F(1, int, 500, cuMemPoolSetAttribute, cuMemPoolSetAttribute, (void *pool, int attribute, void *value), (pool, attribute, value))        \
  F(1, int, 500, cuMemPoolGetAttribute, cuMemPoolGetAttribute, (void *pool, int attribute, void *value), (pool, attribute, value))        \
  F(1, int, 500, cuMemPoolTrimTo, cuMemPoolTrimTo, (void *pool, size_t keep), (pool, keep))                                               \
  F(1, int, 500, cuMemHostAlloc, cuMemHostAlloc, (void **pointer, size_t bytes, unsigned flags), (pointer, bytes, flags))                 \
  F(1, int, 500, cuMemFreeHost, cuMemFreeHost, (void *pointer), (pointer))                                                                \
  F(1, int, 500, cuMemcpyHtoDAsync, cuMemcpyHtoDAsync_v2, (uint64_t to, const void *from, size_t bytes, void *stream),                    \
    (to, from, bytes, stream))                                                                                                             \
  F(1, int, 500, cuMemcpyDtoHAsync, cuMemcpyDtoHAsync_v2, (void *to, uint64_t from, size_t bytes, void *stream),                          \
    (to, from, bytes, stream))                                                                                                             \
  F(1, int, 500, cuMemcpyDtoDAsync, cuMemcpyDtoDAsync_v2, (uint64_t to, uint64_t from, size_t bytes, void *stream),                       \
    (to, from, bytes, stream))                                                                                                             \
  F(1, int, 500, cuMemsetD8Async, cuMemsetD8Async, (uint64_t to, unsigned char value, size_t bytes, void *stream),                        \
    (to, value, bytes, stream))                                                                                                            \
  F(1, int, 500, cuStreamCreate, cuStreamCreate, (void **stream, unsigned flags), (stream, flags))                                        \
  F(1, int, 500, cuStreamDestroy, cuStreamDestroy_v2, (void *stream), (stream))                                                           \
  F(1, int, 500, cuStreamSynchronize, cuStreamSynchronize, (void *stream), (stream))                                                      \
  F(1, int, 500, cuStreamQuery, cuStreamQuery, (void *stream), (stream))                                                                  \
  F(1, int, 500, cuStreamWaitEvent, cuStreamWaitEvent, (void *stream, void *event, unsigned flags), (stream, event, flags))               \
  F(1, int, 500, cuEventCreate, cuEventCreate, (void **event, unsigned flags), (event, flags))                                            \
  F(1, int, 500, cuEventDestroy, cuEventDestroy_v2, (void *event), (event))                                                               \
  F(1, int, 500, cuEventRecord, cuEventRecord, (void *event, void *stream), (event, stream))                                              \
  F(1, int, 500, cuEventQuery, cuEventQuery, (void *event), (event))                                                                      \
  F(1, int, 500, cuEventSynchronize, cuEventSynchronize, (void *event), (event))                                                          \
  F(1, int, 500, cuEventElapsedTime, cuEventElapsedTime, (float *milliseconds, void *from, void *to), (milliseconds, from, to))           \
  F(1, int, 500, cuModuleLoadData, cuModuleLoadData, (void **module, const void *image), (module, image))                                 \
  F(1, int, 500, cuModuleUnload, cuModuleUnload, (void *module), (module))                                                                \
  F(1, int, 500, cuModuleGetFunction, cuModuleGetFunction, (void **function, void *module, const char *name), (function, module, name))   \
  F(1, int, 500, cuFuncGetAttribute, cuFuncGetAttribute, (int *value, int attribute, void *function), (value, attribute, function))       \
  F(1, int, 500, cuFuncSetAttribute, cuFuncSetAttribute, (void *function, int attribute, int value), (function, attribute, value))        \
  F(1, int, 500, cuLaunchKernel, cuLaunchKernel,                                                                                          \
    (void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, void *stream,         \
     void **arguments, void **extra),                                                                                                      \
    (function, gx, gy, gz, bx, by, bz, shared, stream, arguments, extra))                                                                 \
  F(0, int, 500, cuOccupancyMaxActiveBlocksPerMultiprocessor, cuOccupancyMaxActiveBlocksPerMultiprocessor,                                \
    (int *blocks, void *function, int threads, size_t shared), (blocks, function, threads, shared))                                       \
  F(0, int, 500, cuStreamBeginCapture, cuStreamBeginCapture_v2, (void *stream, int mode), (stream, mode))                                 \
  F(0, int, 500, cuStreamEndCapture, cuStreamEndCapture, (void *stream, void **graph), (stream, graph))                                   \
  F(0, int, 500, cuGraphGetNodes, cuGraphGetNodes, (void *graph, void **nodes, size_t *count), (graph, nodes, count))                     \
  F(0, int, 500, cuGraphInstantiate, cuGraphInstantiateWithFlags, (void **executable, void *graph, unsigned long long flags),             \
    (executable, graph, flags))                                                                                                            \
  F(0, int, 500, cuGraphLaunch, cuGraphLaunch, (void *executable, void *stream), (executable, stream))                                    \
  F(0, int, 500, cuGraphDestroy, cuGraphDestroy, (void *graph), (graph))                                                                  \
  F(0, int, 500, cuGraphExecDestroy, cuGraphExecDestroy, (void *executable), (executable))                                                \
  F(0, int, 500, cuTensorMapEncodeTiled, cuTensorMapEncodeTiled,                                                                          \
    (void *map, int type, uint32_t rank, void *address, const uint64_t *sizes, const uint64_t *strides, const uint32_t *box,              \
     const uint32_t *steps, int interleave, int swizzle, int promotion, int fill),                                                        \
    (map, type, rank, address, sizes, strides, box, steps, interleave, swizzle, promotion, fill))

#define SWIFTLET_NVRTC(F)                                                                                                                  \
  F(1, int, 11, nvrtcVersion, nvrtcVersion, (int *major, int *minor), (major, minor))                                                     \
  F(1, const char *, "unknown", nvrtcGetErrorString, nvrtcGetErrorString, (int code), (code))                                             \
  F(1, int, 11, nvrtcCreateProgram, nvrtcCreateProgram,                                                                                   \
    (void **program, const char *source, const char *name, int count, const char *const *headers, const char *const *names),              \
    (program, source, name, count, headers, names))                                                                                       \
  F(1, int, 11, nvrtcDestroyProgram, nvrtcDestroyProgram, (void **program), (program))                                                    \
  F(1, int, 11, nvrtcCompileProgram, nvrtcCompileProgram, (void *program, int count, const char *const *options),                         \
    (program, count, options))                                                                                                             \
  F(1, int, 11, nvrtcGetCUBINSize, nvrtcGetCUBINSize, (void *program, size_t *bytes), (program, bytes))                                   \
  F(1, int, 11, nvrtcGetCUBIN, nvrtcGetCUBIN, (void *program, char *bytes), (program, bytes))                                             \
  F(1, int, 11, nvrtcGetPTXSize, nvrtcGetPTXSize, (void *program, size_t *bytes), (program, bytes))                                       \
  F(1, int, 11, nvrtcGetPTX, nvrtcGetPTX, (void *program, char *bytes), (program, bytes))                                                 \
  F(1, int, 11, nvrtcGetProgramLogSize, nvrtcGetProgramLogSize, (void *program, size_t *bytes), (program, bytes))                         \
  F(1, int, 11, nvrtcGetProgramLog, nvrtcGetProgramLog, (void *program, char *bytes), (program, bytes))                                   \
  F(1, int, 11, nvrtcGetNumSupportedArchs, nvrtcGetNumSupportedArchs, (int *count), (count))                                              \
  F(1, int, 11, nvrtcGetSupportedArchs, nvrtcGetSupportedArchs, (int *architectures), (architectures))

/// What cuBLASLt proposes for a product.
struct swiftlet_blas_choice {
  /// The algorithm, opaque.
  uint64_t algorithm[8];
  /// Bytes of workspace that it needs.
  size_t workspace;
  /// 0 where it can run.
  int status;
  /// Waves of blocks over the device.
  float waves;
  int reserved[4];
};

#define SWIFTLET_CUBLASLT(F)                                                                                                               \
  F(1, size_t, 0, cublasLtGetVersion, cublasLtGetVersion, (void), ())                                                                     \
  F(0, const char *, "unknown", cublasLtGetStatusString, cublasLtGetStatusString, (int status), (status))                                 \
  F(1, int, 15, cublasLtCreate, cublasLtCreate, (void **handle), (handle))                                                                \
  F(1, int, 15, cublasLtDestroy, cublasLtDestroy, (void *handle), (handle))                                                               \
  F(1, int, 15, cublasLtMatmulDescCreate, cublasLtMatmulDescCreate, (void **product, int compute, int scale), (product, compute, scale))  \
  F(1, int, 15, cublasLtMatmulDescDestroy, cublasLtMatmulDescDestroy, (void *product), (product))                                         \
  F(1, int, 15, cublasLtMatmulDescSetAttribute, cublasLtMatmulDescSetAttribute,                                                           \
    (void *product, int attribute, const void *value, size_t bytes), (product, attribute, value, bytes))                                  \
  F(1, int, 15, cublasLtMatrixLayoutCreate, cublasLtMatrixLayoutCreate,                                                                   \
    (void **layout, int type, uint64_t rows, uint64_t columns, int64_t stride), (layout, type, rows, columns, stride))                    \
  F(1, int, 15, cublasLtMatrixLayoutDestroy, cublasLtMatrixLayoutDestroy, (void *layout), (layout))                                       \
  F(1, int, 15, cublasLtMatmulPreferenceCreate, cublasLtMatmulPreferenceCreate, (void **preference), (preference))                        \
  F(1, int, 15, cublasLtMatmulPreferenceDestroy, cublasLtMatmulPreferenceDestroy, (void *preference), (preference))                       \
  F(1, int, 15, cublasLtMatmulPreferenceSetAttribute, cublasLtMatmulPreferenceSetAttribute,                                               \
    (void *preference, int attribute, const void *value, size_t bytes), (preference, attribute, value, bytes))                            \
  F(1, int, 15, cublasLtMatmulAlgoGetHeuristic, cublasLtMatmulAlgoGetHeuristic,                                                           \
    (void *handle, void *product, void *a, void *b, void *c, void *d, void *preference, int wanted, struct swiftlet_blas_choice *choices, \
     int *found),                                                                                                                          \
    (handle, product, a, b, c, d, preference, wanted, choices, found))                                                                    \
  F(1, int, 15, cublasLtMatmul, cublasLtMatmul,                                                                                           \
    (void *handle, void *product, const void *alpha, uint64_t a, void *a_layout, uint64_t b, void *b_layout, const void *beta,            \
     uint64_t c, void *c_layout, uint64_t d, void *d_layout, const uint64_t *algorithm, uint64_t workspace, size_t workspace_bytes,       \
     void *stream),                                                                                                                        \
    (handle, product, alpha, a, a_layout, b, b_layout, beta, c, c_layout, d, d_layout, algorithm, workspace, workspace_bytes, stream))

// cuDNN's graphs are made of descriptors with numbered attributes: `type` says what `values` are.
#define SWIFTLET_CUDNN(F)                                                                                                                  \
  F(1, size_t, 0, cudnnGetVersion, cudnnGetVersion, (void), ())                                                                           \
  F(0, const char *, "unknown", cudnnGetErrorString, cudnnGetErrorString, (int status), (status))                                         \
  F(1, int, 1, cudnnCreate, cudnnCreate, (void **handle), (handle))                                                                       \
  F(1, int, 1, cudnnSetStream, cudnnSetStream, (void *handle, void *stream), (handle, stream))                                            \
  F(1, int, 1, cudnnBackendCreateDescriptor, cudnnBackendCreateDescriptor, (int kind, void **descriptor), (kind, descriptor))             \
  F(1, int, 1, cudnnBackendDestroyDescriptor, cudnnBackendDestroyDescriptor, (void *descriptor), (descriptor))                            \
  F(1, int, 1, cudnnBackendSetAttribute, cudnnBackendSetAttribute,                                                                        \
    (void *descriptor, int attribute, int type, int64_t count, const void *values), (descriptor, attribute, type, count, values))         \
  F(1, int, 1, cudnnBackendGetAttribute, cudnnBackendGetAttribute,                                                                        \
    (void *descriptor, int attribute, int type, int64_t wanted, int64_t *found, void *values),                                            \
    (descriptor, attribute, type, wanted, found, values))                                                                                  \
  F(1, int, 1, cudnnBackendFinalize, cudnnBackendFinalize, (void *descriptor), (descriptor))                                              \
  F(1, int, 1, cudnnBackendExecute, cudnnBackendExecute, (void *handle, void *plan, void *pack), (handle, plan, pack))

#define SWIFTLET_POINTER(needed, type, missing, name, symbol, parameters, arguments) type(*name) parameters;
struct swiftlet_cuda_pointers {
  SWIFTLET_DRIVER(SWIFTLET_POINTER)
  SWIFTLET_NVRTC(SWIFTLET_POINTER)
  SWIFTLET_CUBLASLT(SWIFTLET_POINTER)
  SWIFTLET_CUDNN(SWIFTLET_POINTER)
};
#undef SWIFTLET_POINTER
/// Filled by `swiftlet_cuda_bind`.
extern struct swiftlet_cuda_pointers swiftlet_cuda;

#define SWIFTLET_WRAPPER(needed, type, missing, name, symbol, parameters, arguments)                                                      \
  static inline type name parameters { return swiftlet_cuda.name ? swiftlet_cuda.name arguments : missing; }
SWIFTLET_DRIVER(SWIFTLET_WRAPPER)
SWIFTLET_NVRTC(SWIFTLET_WRAPPER)
SWIFTLET_CUBLASLT(SWIFTLET_WRAPPER)
SWIFTLET_CUDNN(SWIFTLET_WRAPPER)
#undef SWIFTLET_WRAPPER

enum swiftlet_cuda_library {
  SWIFTLET_LIBRARY_DRIVER = 0,
  SWIFTLET_LIBRARY_NVRTC = 1,
  SWIFTLET_LIBRARY_CUBLASLT = 2,
  SWIFTLET_LIBRARY_CUDNN = 3,
};

/// Finds the functions of a library that dlopen gave. Returns the name of the first needed one that it lacks, NULL where it has all.
const char *swiftlet_cuda_bind(enum swiftlet_cuda_library which, void *library);

/// The path of the file that holds `symbol` of a library that dlopen gave; NULL where there is none.
const char *swiftlet_cuda_path(void *library, const char *symbol);

/// Makes `context` the calling thread's current one; free of a driver call where it is already.
int swiftlet_cuda_make_current(void *context);

/// cuTensorMapEncodeTiled into 16 words that need no alignment.
int swiftlet_tensor_map(uint64_t *map, int type, uint32_t rank, uint64_t address, const uint64_t *sizes, const uint64_t *strides,
                        const uint32_t *box, const uint32_t *steps, int swizzle, int promotion);

/// Whether `word` is in a text.
bool swiftlet_mentions(const void *text, size_t length, const char *word);

#endif
