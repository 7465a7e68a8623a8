#ifndef SWIFTLET_CPLATFORM_CONVERT_H
#define SWIFTLET_CPLATFORM_CONVERT_H

#include "cplatform_gemm.h"

#include <stddef.h>

/// `count` numbers of `type` to float32; exact.
void swiftlet_to_f32(float *out, const void *in, enum swiftlet_float type, size_t count);

/// `count` numbers of float32 to `type`, to nearest, ties to even; NaN stays NaN, what is too large becomes infinite.
void swiftlet_from_f32(void *out, enum swiftlet_float type, const float *in, size_t count);

#endif
