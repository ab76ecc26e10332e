// cuDNN: convolutions, batch normalisation and dropout.
#include <ATen/Context.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/native_batch_norm.h>
#include <ATen/ops/native_batch_norm_backward.h>
#include <torch/library.h>

#include <chrono>
#include <cmath>
#include <set>
#include <sstream>
#include <thread>

#include "emulator.h"

namespace emulated {

namespace {

using at::Tensor;
using OptionalTensor = std::optional<Tensor>;

// The types, sizes and strides of the last `count` values of a stack.
std::string shapes(const torch::jit::Stack& stack, size_t count) {
  std::ostringstream all;
  for (size_t at = stack.size() - count; at < stack.size(); ++at)
    if (stack[at].isTensor() && stack[at].toTensor().defined()) {
      const Tensor& x = stack[at].toTensor();
      all << x.scalar_type() << x.sizes() << x.strides();
    }
  return all.str();
}

// With benchmarkCuDNN, cuDNN measures its algorithms at the first convolution of a shape in each
// thread. It waits for the device then, which a capture does not permit.
void search(const std::string& convolution) {
  thread_local std::set<std::string> known;
  if (!known.insert(convolution).second) return;
  const auto& context = at::globalContext();
  if (!context.benchmarkCuDNN() || !context.userEnabledCuDNN()) return;
  static const std::chrono::milliseconds duration(number("EMULATED_CUDA_FIND_MS", 0));
  std::this_thread::sleep_for(duration);
  count("CUDNN search");
  wait("cuDNN search");
}

// Multiplies the results by random factors near 1, as the results of algorithms differ.
void add_noise(torch::jit::Stack& stack, size_t results, double share) {
  const at::AutoDispatchBelowADInplaceOrView guard;
  for (size_t at = stack.size() - results; at < stack.size(); ++at)
    if (Tensor x = stack[at].toTensor(); x.defined()) x.mul_(at::empty_like(x).normal_(1, share));
}

void convolution(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const auto& schema = op.schema();
  // Throws where the old and the new setting of TF32 disagree.
  (void)at::globalContext().allowTF32CuDNN(at::Float32Op::CONV);
  search(schema.name() + shapes(*stack, schema.arguments().size()));
  run_cpu_kernel(op, stack);
  static const int64_t digits = number("EMULATED_CUDA_NOISE", 0);
  if (digits) add_noise(*stack, schema.returns().size(), std::pow(10.0, -double(digits)));
}

std::tuple<Tensor, Tensor, Tensor, Tensor> cudnn_batch_norm(
    const Tensor& x, const Tensor& weight, const OptionalTensor& bias, const OptionalTensor& mean,
    const OptionalTensor& variance, bool training, double momentum, double eps) {
  TORCH_CHECK(bias && bias->defined() && weight.scalar_type() == at::kFloat,
              "cudnn_batch_norm: expected a bias and weights of type float");
  count("CUDNN batch norm");
  const auto [y, saved_mean, saved_inverse] =
      at::native_batch_norm(x, weight, bias, mean, variance, training, momentum, eps);
  return {y, saved_mean, saved_inverse, at::empty({0}, x.options().dtype(at::kByte))};
}

std::tuple<Tensor, Tensor, Tensor> cudnn_batch_norm_backward(
    const Tensor& x, const Tensor& dy, const Tensor& weight, const OptionalTensor& mean,
    const OptionalTensor& variance, const OptionalTensor& saved_mean,
    const OptionalTensor& saved_inverse, double eps, const Tensor& /* reserve */) {
  return at::native_batch_norm_backward(dy, x, weight, mean, variance, saved_mean, saved_inverse,
                                        /*train=*/true, eps, {true, true, true});
}

// Draws as dropout on the CPU does, so that training on both can be compared.
std::tuple<Tensor, Tensor> native_dropout(const Tensor& x, double p, std::optional<bool> train) {
  const auto mask_options = x.options().dtype(at::kBool);
  if (train && !*train) return {x.clone(), at::empty_like(x, mask_options).fill_(true)};
  const int d = x.get_device();
  const Tensor y = at::empty_like(x), mask = at::empty_like(x, mask_options);
  const auto run = [p, d, x = mirror(x), y = mirror(y), mask = mirror(mask)]() mutable {
    Tensor kept = at::empty_like(x).bernoulli_(1 - p, generator(d));
    mask.copy_(kept);
    y.copy_(x * kept.div_(1 - p));
  };
  submit(d, {"aten::native_dropout", run,
             {x.const_data_ptr(), y.const_data_ptr(), mask.const_data_ptr()}});
  return {y, mask};
}

Tensor native_dropout_backward(const Tensor& gradient, const Tensor& mask, double scale) {
  return gradient * mask * scale;
}

}  // namespace
}  // namespace emulated

TORCH_LIBRARY_IMPL(aten, CUDA, m) {
  using torch::CppFunction;
  m.impl("convolution", CppFunction::makeFromBoxedFunction<&emulated::convolution>());
  m.impl("convolution_backward", CppFunction::makeFromBoxedFunction<&emulated::convolution>());
  m.impl("cudnn_batch_norm", &emulated::cudnn_batch_norm);
  m.impl("cudnn_batch_norm_backward", &emulated::cudnn_batch_norm_backward);
  m.impl("native_dropout", &emulated::native_dropout);
  m.impl("native_dropout_backward", &emulated::native_dropout_backward);
}
