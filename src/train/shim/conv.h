// Convolutions of values in batch-last order (channels, rows, columns, images in memory), on the CPU.
#pragma once
#include <ATen/core/Tensor.h>

namespace fathom {

// Whether values of four dimensions are dense in batch-last order.
bool is_batch_last(const at::Tensor& x);

// The same values, copied to batch-last order unless they are in it.
at::Tensor batch_last(const at::Tensor& x);

// Convolution of x (images × channels × rows × columns, f32) with square filters (outputs × inputs ×
// rows × columns) and an optional bias. The result is in batch-last order.
at::Tensor convolution(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                       int64_t stride, int64_t padding);

}  // namespace fathom
