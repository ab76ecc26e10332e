// What the parts of the self-test that use libtorch share.
#pragma once
#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/add.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/dropout.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "selftest.h"

namespace selftest {

using at::Tensor;

inline const c10::Device GPU("cuda:0"), OTHER_GPU("cuda:1");

inline c10::DeviceAllocator& allocator() {
  return *at::getDeviceAllocator(c10::DeviceType::CUDA);
}

}  // namespace selftest
