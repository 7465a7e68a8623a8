#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#define ISA avx2
#include "rows_kernels.h"
#pragma clang attribute pop
#endif
