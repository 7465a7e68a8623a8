#ifndef SWIFTLET_CPLATFORM_H
#define SWIFTLET_CPLATFORM_H

#include "cplatform_blocks.h"
#include "cplatform_convert.h"
#include "cplatform_cpuid.h"
#include "cplatform_cuda.h"
#include "cplatform_gemm.h"
#include "cplatform_memory.h"
#include "cplatform_parallel.h"
#include "cplatform_quant.h"
#include "cplatform_rows.h"

#endif
