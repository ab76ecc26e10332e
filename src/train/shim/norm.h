// Batch normalisation, the addition of a shortcut, and ReLU as one operation on the processor.
#pragma once
#include <ATen/core/Tensor.h>

namespace fathom {

struct NormRelu {
  at::Tensor gamma, beta;
  // Moving mean and unbiased variance.
  at::Tensor mean, variance;
  // Whether statistics are the batch's; then the moving ones move by `share` towards them.
  bool training;
  double share;
  double eps;
  bool relu;
  // Whether x may be overwritten where no gradient is asked for.
  bool overwrite;
};

// The instruction set of the loops, and whether they have several threads.
const char* kernels_in_words();

// act(γ (x − μ) / √(σ² + ε) + β + added); `added` may be undefined.
at::Tensor norm_relu(const at::Tensor& x, const at::Tensor& added, const NormRelu& how);

}  // namespace fathom
