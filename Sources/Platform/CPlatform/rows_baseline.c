#define ISA baseline
#include "rows_kernels.h"
