// Kernels that are compiled for a GPU at run time, by the NVRTC that libtorch brings along.
#pragma once
#include <cstdint>
#include <string>

namespace fathom {

// A kernel of the driver's interface (CUfunction).
using CudaFunction = void*;

struct Grid {
  unsigned x, y, z;
};

// The kernels of norm_cuda.cu for values of one kind.
struct NormKernels {
  CudaFunction moments, apply, backward_sums, backward_apply;
};

// Compiles the kernels for a device and values in bf16 or f32, and keeps them for the rest of the process.
// Throws with the reason if there is no NVRTC or it fails.
void load_norm_kernels(int device, bool bf16);

// The kernels of a device for values in bf16 or f32; null before load_norm_kernels.
const NormKernels* norm_kernels(int device, bool bf16);

// Number of multiprocessors of a device that has kernels.
int multiprocessors(int device);

// Counters for blocks of a kernel that wait for each other's results: each is zero before and after a kernel.
// Kernels of one process share them, since they run one after the other.
unsigned* counters(int device, int64_t count);

// Submits a kernel with blocks of `threads` threads to the current stream of a device.
void launch(int device, CudaFunction kernel, Grid grid, unsigned threads, void** arguments);

}  // namespace fathom
