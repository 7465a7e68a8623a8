#include "ckernels.h"

#pragma clang diagnostic ignored "-Wc23-extensions"

// One line a file, and its row in the table below.
static const unsigned char numbers_cuh[] = {
#embed "../Ops/Common/numbers.cuh"
};
static const unsigned char rows_cuh[] = {
#embed "../Ops/Common/rows.cuh"
};
static const unsigned char Elementwise_cu[] = {
#embed "../Ops/Elementwise/Elementwise.cu"
};

#define ROW(name, text) {name, text, sizeof(text)}
static const swiftlet_kernel_file files[] = {
    ROW("numbers.cuh", numbers_cuh),
    ROW("rows.cuh", rows_cuh),
    ROW("Elementwise.cu", Elementwise_cu),
};

const swiftlet_kernel_file *swiftlet_kernel_file_at(size_t index) { return &files[index]; }
size_t swiftlet_kernel_file_count(void) { return sizeof(files) / sizeof(files[0]); }
