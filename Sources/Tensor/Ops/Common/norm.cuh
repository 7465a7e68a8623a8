// What RMSNorm.cu and LayerNorm.cu are told, and how their threads share rows.
#pragma once
#include "rows.cuh"

#ifndef T
#define T bf16
#endif
#ifndef W
#define W T
#endif
#ifndef COLUMNS
#define COLUMNS 4096
#endif
#ifndef WIDTH
#define WIDTH 8
#endif
#ifndef THREADS
#define THREADS 256
#endif
#ifndef GROUP
#define GROUP THREADS
#endif
#ifndef ARRIVED
#define ARRIVED 0
#endif
#ifndef PARAMETERS
#define PARAMETERS 0
#endif

using Shape = RowShape<COLUMNS, GROUP, WIDTH>;
constexpr int groups = THREADS / GROUP;
