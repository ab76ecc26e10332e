// CPU kernels of convolutions whose values are stored as channels × rows × columns × images, so that
// one vector holds the same pixel of several images: vectors are full however narrow the net and
// small its images are, and every read is aligned to a vector. They are compiled once for each
// instruction set (named by FATHOM_ISA) and do not depend on libtorch.
//
// All distances are in floats.
#pragma once
#include <cstdint>

namespace fathom {

// One weight of a filter: the distance of its pixel from the first one, and its index in the filter.
struct Tap {
  int64_t pixel, weight;
};

// y[k] = start[k] + Σ over inputs c and taps t of w[c][t][k] · x[c][t], for one row of pixels.
struct RowOfOutputs {
  // First pixel of the first input; distances between inputs and between pixels.
  const float* x;
  int64_t x_channel, x_step, inputs;
  const Tap* taps;
  int64_t tap_count;
  // Weights of input c begin at weights + c * filter; those of the outputs follow each other.
  const float* weights;
  int64_t filter;
  const float* start;
  float* y;
  int64_t y_channel, y_step, columns;
};

// sums[t][k] += Σ over blocks of images, rows and columns of x[t] · dy[k], for taps that are
// neighbours in a row. Each sum is a vector.
struct Products {
  const float* x;
  int64_t x_block, x_row, x_step;
  const float* dy;
  int64_t dy_block, dy_channel, dy_row;
  int64_t blocks, rows, columns, taps;
  float* sums;
};

// Number of outputs of a block of weights is a multiple of this.
constexpr int64_t OUTPUTS = 4;

struct ConvKernels {
  // Images of a vector.
  int64_t lanes;
  // Outputs of a block: as many as this, or OUTPUTS where fewer remain.
  int64_t outputs;
  // Copies pixels of at most `lanes` images, `step` floats apart, to vectors; the values of missing
  // images are zeros.
  void (*pack)(const float* from, int64_t step, int64_t images, int64_t columns, float* to);
  void (*outputs_of_row)(const RowOfOutputs& row, int64_t outputs);
  void (*products)(const Products& of, int64_t outputs);
  // The sum of the values of each of so many vectors.
  void (*fold)(const float* vectors, int64_t count, float* sums);
};

namespace base {
const ConvKernels& conv_kernels();
}
namespace avx2 {
const ConvKernels& conv_kernels();
}
namespace avx512 {
const ConvKernels& conv_kernels();
}

}  // namespace fathom
