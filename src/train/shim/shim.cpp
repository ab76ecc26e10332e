// C functions for shim.rs that provide what tch lacks. A function that fails returns false or null,
// and fathom_error() then returns the error message.
#include <ATen/core/Tensor.h>
#include <ATen/ops/_fused_sgd.h>
#include <ATen/record_function.h>

#include <vector>

#include "caught.h"
#include "conv.h"
#include "cuda_kernels.h"
#include "norm.h"

namespace fathom {
std::string& error() {
  thread_local std::string message;
  return message;
}
}  // namespace fathom

namespace {

at::Tensor or_undefined(const at::Tensor* tensor) { return tensor ? *tensor : at::Tensor(); }

}  // namespace

extern "C" {

const char* fathom_error() { return fathom::error().c_str(); }

const char* fathom_kernels() { return fathom::describe_kernels(); }

at::Tensor* fathom_norm_relu(const at::Tensor* x, const at::Tensor* added, const at::Tensor* gamma,
                             const at::Tensor* beta, const at::Tensor* mean,
                             const at::Tensor* variance, bool training, double update, double eps,
                             bool relu, bool overwrite, int64_t part) {
  return caught<at::Tensor*>(nullptr, [&] {
    const fathom::NormRelu how = {*gamma,   *beta, *mean, *variance, training,
                                  update, eps,  relu,  overwrite, part};
    RECORD_FUNCTION("fathom::norm_relu", {});
    return new at::Tensor(fathom::norm_relu(*x, or_undefined(added), how));
  });
}

at::Tensor* fathom_convolution(const at::Tensor* x, const at::Tensor* weight,
                               const at::Tensor* bias, int64_t stride, int64_t padding) {
  return caught<at::Tensor*>(nullptr, [&] {
    RECORD_FUNCTION("fathom::convolution", {});
    return new at::Tensor(
        fathom::convolution(*x, *weight, or_undefined(bias), stride, padding));
  });
}

bool fathom_load_norm_kernels(int device, bool bf16) {
  return caught(false, [&] {
    fathom::load_norm_kernels(device, bf16);
    return true;
  });
}

bool fathom_has_norm_kernels(int device, bool bf16) { return fathom::norm_kernels(device, bf16); }

bool fathom_fused_sgd(const at::Tensor* parameters, const at::Tensor* gradients,
                      const at::Tensor* velocity, const at::Tensor* lr, double weight_decay,
                      double momentum, bool nesterov) {
  return caught(false, [&] {
    // _fused_sgd_ walks through raw memory, so different strides would mix up parameters.
    for (const at::Tensor* other : {gradients, velocity})
      TORCH_CHECK(other->sizes() == parameters->sizes() &&
                      other->strides() == parameters->strides(),
                  "parameters, gradients and velocity have different sizes or strides");
    // The velocity is initialised with zeros.
    const bool is_first_step = false;
    // _fused_sgd_ requires an empty list when there is no momentum.
    std::vector<at::Tensor> velocities;
    if (momentum != 0) velocities.push_back(*velocity);
    at::_fused_sgd_({*parameters}, {*gradients}, velocities, weight_decay, momentum, *lr,
                    /*dampening=*/0.0, nesterov, /*maximize=*/false, is_first_step);
    return true;
  });
}
}
