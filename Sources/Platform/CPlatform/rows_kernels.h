// The row kernels: included by one source file for each instruction set, which defines ISA.
#include "rows_table.h"
#include "rows_vectors.h"

#include "rows_functions.h"
#include "rows_norms.h"
#include "rows_pointwise.h"
#include "rows_training.h"
#include "rows_attention.h"

const struct row_kernels JOIN(swiftlet_rows, ISA) = {
    NAME(rms_norm),     NAME(rms_norm_backward), NAME(gate), NAME(gate_backward), NAME(clamped_gate), NAME(clamped_gate_backward),
    NAME(log_sum),      NAME(sum),
    NAME(exponentials), NAME(cap),               NAME(rope), NAME(add),           NAME(dropout),       NAME(adamw),
    NAME(small_gemm),   NAME(transpose),         NAME(softmax_block),             NAME(softmax_block_backward),
    NAME(dot),          NAME(scale),
};
