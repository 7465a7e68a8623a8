#ifndef SWIFTLET_CPLATFORM_H
#define SWIFTLET_CPLATFORM_H

/// Instruction sets that the kernels of this module are compiled for, in ascending order of preference.
enum swiftlet_isa { SWIFTLET_ISA_BASELINE = 0, SWIFTLET_ISA_AVX2 = 1, SWIFTLET_ISA_AVX512 = 2, SWIFTLET_ISA_AVX512_BF16 = 3 };

/// The best instruction set of this machine's processor.
enum swiftlet_isa swiftlet_best_isa(void);

#endif
