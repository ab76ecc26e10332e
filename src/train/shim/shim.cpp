// What tch lacks, as C functions for shim.rs. Every one of them returns whether it succeeded, or
// null where it did not; then fathom_error() says why.
#include <ATen/core/Tensor.h>
#include <ATen/ops/_fused_sgd.h>

#include <vector>

#include "caught.h"
#include "norm.h"

namespace fathom {
std::string& error() {
  thread_local std::string words;
  return words;
}
}  // namespace fathom

namespace {

at::Tensor given(const at::Tensor* tensor) { return tensor ? *tensor : at::Tensor(); }

}  // namespace

extern "C" {

const char* fathom_error() { return fathom::error().c_str(); }

const char* fathom_kernels() { return fathom::kernels_in_words(); }

at::Tensor* fathom_norm_relu(const at::Tensor* x, const at::Tensor* added, const at::Tensor* gamma,
                             const at::Tensor* beta, const at::Tensor* mean,
                             const at::Tensor* variance, bool training, double share, double eps,
                             bool relu, bool overwrite) {
  return caught<at::Tensor*>(nullptr, [&] {
    const fathom::NormRelu how = {*gamma,   *beta, *mean, *variance, training,
                                  share, eps,   relu,  overwrite};
    return new at::Tensor(fathom::norm_relu(*x, given(added), how));
  });
}

bool fathom_fused_sgd(const at::Tensor* parameters, const at::Tensor* gradients,
                      const at::Tensor* velocity, const at::Tensor* lr, double weight_decay,
                      double momentum, bool nesterov) {
  return caught(false, [&] {
    // It walks through raw memory: other strides would be other parameters.
    for (const at::Tensor* other : {gradients, velocity})
      TORCH_CHECK(other->sizes() == parameters->sizes() &&
                      other->strides() == parameters->strides(),
                  "parameters, gradients and velocity lie differently in memory");
    // The buffers exist from the start, as zeros.
    const bool is_first_step = false;
    // Without momentum it wants none.
    std::vector<at::Tensor> velocities;
    if (momentum != 0) velocities.push_back(*velocity);
    at::_fused_sgd_({*parameters}, {*gradients}, velocities, weight_decay, momentum, *lr,
                    /*dampening=*/0.0, nesterov, /*maximize=*/false, is_first_step);
    return true;
  });
}
}
