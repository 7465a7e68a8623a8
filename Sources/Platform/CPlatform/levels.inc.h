// Includes SOURCE once for each instruction set; NAME(x) in it is x with the set's name before it.
#define NAME(x) baseline_##x
#include SOURCE
#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#define NAME(x) avx2_##x
#include SOURCE
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))), apply_to = function)
#define NAME(x) avx512_##x
#include SOURCE
#pragma clang attribute pop
#endif
#undef SOURCE
