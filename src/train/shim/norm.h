// Batch normalisation, residual addition and ReLU fused into one operation.
#pragma once
#include <ATen/core/Tensor.h>

namespace fathom {

struct NormRelu {
  at::Tensor gamma, beta;
  // Running mean and unbiased variance.
  at::Tensor mean, variance;
  // Whether the statistics are the batch's; then the running averages move towards them by the
  // fraction `update`.
  bool training;
  double update;
  double eps;
  bool relu;
  // Whether x may be overwritten when no gradient is required.
  bool overwrite;
  // Number of images that share statistics, on a GPU only; 0: the whole batch. The running averages move
  // towards the statistics of the first part.
  int64_t part;
};

// Instruction set and threading of the kernels, as text.
const char* describe_kernels();

// act(γ (x − μ) / √(σ² + ε) + β + added); `added` may be undefined.
at::Tensor norm_relu(const at::Tensor& x, const at::Tensor& added, const NormRelu& how);

// The same for values on a GPU whose kernels are loaded (cuda_kernels.h), in rows of channels.
at::Tensor norm_relu_cuda(const at::Tensor& x, const at::Tensor& added, const NormRelu& how);

}  // namespace fathom
