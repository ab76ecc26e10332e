// A function whose intermediate values are not kept for the backward pass, but computed anew there
// (1604.06174, 1707.06990).
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/custom_class.h>

#include <memory>
#include <stdexcept>
#include <vector>

#include "caught.h"

namespace {

using Call = at::Tensor* (*)(const void* data, const at::Tensor* const* inputs, size_t count);
using Drop = void (*)(void* data);

// The function, which belongs to Rust.
struct Closure : torch::CustomClassHolder {
  Closure(void* data, Call call, Drop drop) : data(data), call(call), drop(drop) {}
  ~Closure() override { drop(data); }

  at::Tensor operator()(const std::vector<at::Tensor>& inputs) const {
    std::vector<const at::Tensor*> pointers;
    for (const at::Tensor& input : inputs) pointers.push_back(&input);
    const std::unique_ptr<at::Tensor> result(call(data, pointers.data(), pointers.size()));
    if (!result) throw std::runtime_error("a function that is computed anew panicked");
    return *result;
  }

  void* data;
  Call call;
  Drop drop;
};

struct Function : torch::autograd::Function<Function> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, at::TensorList inputs,
                            const c10::intrusive_ptr<Closure>& closure) {
    context->save_for_backward(inputs.vec());
    context->saved_data["closure"] = c10::IValue::make_capsule(closure);
    return (*closure)(inputs.vec());
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto capsule = context->saved_data["closure"].toCapsule();
    const auto closure = c10::static_intrusive_pointer_cast<Closure>(capsule);
    std::vector<at::Tensor> inputs;
    torch::autograd::variable_list wanted;
    for (const at::Tensor& saved : context->get_saved_variables()) {
      at::Tensor input = saved.detach();
      if (context->needs_input_grad(inputs.size())) {
        input.requires_grad_(true);
        wanted.push_back(input);
      }
      inputs.push_back(input);
    }
    torch::autograd::variable_list found;
    if (!wanted.empty()) {
      const at::AutoGradMode with_gradients(true);
      const at::Tensor output = (*closure)(inputs);
      found = torch::autograd::grad({output}, wanted, {gradients[0]}, std::nullopt, false, true);
    }
    torch::autograd::variable_list all;
    for (size_t at = 0, next = 0; at < inputs.size(); ++at)
      all.push_back(inputs[at].requires_grad() ? found[next++] : at::Tensor());
    // The function itself has no gradient.
    all.emplace_back();
    return all;
  }
};

}  // namespace

extern "C" at::Tensor* fathom_recomputed(const at::Tensor* const* inputs, size_t count, void* data,
                                         Call call, Drop drop) {
  return caught<at::Tensor*>(nullptr, [&] {
    const auto closure = c10::make_intrusive<Closure>(data, call, drop);
    std::vector<at::Tensor> values;
    for (size_t at = 0; at < count; ++at) values.push_back(*inputs[at]);
    return new at::Tensor(Function::apply(at::TensorList(values), closure));
  });
}
