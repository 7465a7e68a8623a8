#include "ckernels.h"

#pragma clang diagnostic ignored "-Wc23-extensions"

// One line a file, and its row in the table below.
static const unsigned char numbers_cuh[] = {
#embed "../Ops/Common/numbers.cuh"
};
static const unsigned char chunks_cuh[] = {
#embed "../Ops/Common/chunks.cuh"
};
static const unsigned char norm_cuh[] = {
#embed "../Ops/Common/norm.cuh"
};
static const unsigned char rows_cuh[] = {
#embed "../Ops/Common/rows.cuh"
};
static const unsigned char Elementwise_cu[] = {
#embed "../Ops/Elementwise/Elementwise.cu"
};
static const unsigned char philox_cuh[] = {
#embed "../Ops/Common/philox.cuh"
};
static const unsigned char Dropout_cu[] = {
#embed "../Ops/Common/Dropout.cu"
};
static const unsigned char Embedding_cu[] = {
#embed "../Ops/Embedding/Embedding.cu"
};
static const unsigned char GatedActivation_cu[] = {
#embed "../Ops/GatedActivation/GatedActivation.cu"
};
static const unsigned char LayerNorm_cu[] = {
#embed "../Ops/LayerNorm/LayerNorm.cu"
};
static const unsigned char RMSNorm_cu[] = {
#embed "../Ops/RMSNorm/RMSNorm.cu"
};
static const unsigned char RoPE_cu[] = {
#embed "../Ops/RoPE/RoPE.cu"
};
static const unsigned char Routing_cu[] = {
#embed "../Ops/Routing/Routing.cu"
};
static const unsigned char Quantization_cu[] = {
#embed "../Ops/Quantization/Quantization.cu"
};
static const unsigned char Blocks_cu[] = {
#embed "../Ops/Quantization/Blocks.cu"
};
static const unsigned char CrossEntropy_cu[] = {
#embed "../Ops/CrossEntropy/CrossEntropy.cu"
};
static const unsigned char LogitDivergence_cu[] = {
#embed "../Ops/LogitLosses/LogitDivergence.cu"
};
static const unsigned char Optimizers_cu[] = {
#embed "../Ops/Optimizers/Optimizers.cu"
};
static const unsigned char Initialization_cu[] = {
#embed "../Ops/Common/Initialization.cu"
};
static const unsigned char DoRA_cu[] = {
#embed "../Ops/LoRALinear/DoRA.cu"
};
static const unsigned char mma_cuh[] = {
#embed "../Ops/Common/mma.cuh"
};
static const unsigned char hopper_cuh[] = {
#embed "../Ops/Common/hopper.cuh"
};
static const unsigned char attention_cuh[] = {
#embed "../Ops/Attention/attention.cuh"
};
static const unsigned char Attention_cu[] = {
#embed "../Ops/Attention/Attention.cu"
};
static const unsigned char AttentionMMA_cu[] = {
#embed "../Ops/Attention/AttentionMMA.cu"
};
static const unsigned char AttentionRows_cu[] = {
#embed "../Ops/Attention/AttentionRows.cu"
};
static const unsigned char AttentionHopper_cu[] = {
#embed "../Ops/Attention/AttentionHopper.cu"
};
static const unsigned char AttentionHopperBackward_cu[] = {
#embed "../Ops/Attention/AttentionHopperBackward.cu"
};

#define ROW(name, text) {name, text, sizeof(text)}
static const swiftlet_kernel_file files[] = {
    ROW("numbers.cuh", numbers_cuh),
    ROW("chunks.cuh", chunks_cuh),
    ROW("norm.cuh", norm_cuh),
    ROW("rows.cuh", rows_cuh),
    ROW("Elementwise.cu", Elementwise_cu),
    ROW("philox.cuh", philox_cuh),
    ROW("Dropout.cu", Dropout_cu),
    ROW("Embedding.cu", Embedding_cu),
    ROW("GatedActivation.cu", GatedActivation_cu),
    ROW("LayerNorm.cu", LayerNorm_cu),
    ROW("RMSNorm.cu", RMSNorm_cu),
    ROW("RoPE.cu", RoPE_cu),
    ROW("Routing.cu", Routing_cu),
    ROW("Quantization.cu", Quantization_cu),
    ROW("Blocks.cu", Blocks_cu),
    ROW("CrossEntropy.cu", CrossEntropy_cu),
    ROW("LogitDivergence.cu", LogitDivergence_cu),
    ROW("Optimizers.cu", Optimizers_cu),
    ROW("Initialization.cu", Initialization_cu),
    ROW("DoRA.cu", DoRA_cu),
    ROW("mma.cuh", mma_cuh),
    ROW("hopper.cuh", hopper_cuh),
    ROW("attention.cuh", attention_cuh),
    ROW("Attention.cu", Attention_cu),
    ROW("AttentionMMA.cu", AttentionMMA_cu),
    ROW("AttentionRows.cu", AttentionRows_cu),
    ROW("AttentionHopper.cu", AttentionHopper_cu),
    ROW("AttentionHopperBackward.cu", AttentionHopperBackward_cu),
};

const swiftlet_kernel_file *swiftlet_kernel_file_at(size_t index) { return &files[index]; }
size_t swiftlet_kernel_file_count(void) { return sizeof(files) / sizeof(files[0]); }
