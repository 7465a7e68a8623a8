#ifndef SWIFTLET_CPLATFORM_CPUID_H
#define SWIFTLET_CPLATFORM_CPUID_H

/// Instruction sets that the kernels of this module are compiled for, in ascending order of preference.
enum swiftlet_isa { SWIFTLET_ISA_BASELINE = 0, SWIFTLET_ISA_AVX2 = 1, SWIFTLET_ISA_AVX512 = 2, SWIFTLET_ISA_AVX512_BF16 = 3 };

/// The best instruction set of this machine's processor.
enum swiftlet_isa swiftlet_best_isa(void);

/// The instruction set that the kernels use: the best one, unless the variable SWIFTLET_ISA (baseline, avx2, avx512,
/// avx512bf16) or `swiftlet_limit_isa` asks for a lesser one.
enum swiftlet_isa swiftlet_current_isa(void);

/// Makes the kernels use at most `isa` from now on. For tests; not while kernels run.
void swiftlet_limit_isa(enum swiftlet_isa isa);

#endif
