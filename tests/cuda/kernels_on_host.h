// The program's CUDA kernels, compiled for the processor, for values in f32 and in bf16.
#pragma once
#include "cuda_on_host.h"

namespace on_host {
#define KERNEL static void
#define THREADS BLOCK
namespace f32 {
#include "norm_cuda.cu"
}
#undef VECTOR
#undef UNROLL
#define FATHOM_BF16
namespace bf16 {
#include "norm_cuda.cu"
}
}  // namespace on_host
