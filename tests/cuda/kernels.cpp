// Kernels: for every operation without one of its own, the CPU's kernel on the same memory.
#include <ATen/Context.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/any.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/isnan.h>
#include <torch/library.h>

#include <cstdio>
#include <set>

#include "emulator.h"

namespace emulated {

namespace {

using at::Tensor;
using c10::IValue;
using torch::jit::Stack;
using OptionalTensor = std::optional<Tensor>;

// Operations whose kernels for CUDA read values back, to learn the shape of the result.
const std::set<std::string> SYNCHRONOUS{"aten::equal", "aten::nonzero", "aten::masked_select",
                                        "aten::_unique2", "aten::unique_dim"};
// Operations of cuBLAS.
const std::set<std::string> CUBLAS{"aten::mm",      "aten::addmm", "aten::bmm",
                                   "aten::baddbmm", "aten::addmv", "aten::addmv_",
                                   "aten::dot",     "aten::mv"};
// Operations whose kernels for CUDA add in an arbitrary order, so far as nets use them.
const std::set<std::string> NONDETERMINISTIC{
    "aten::_adaptive_avg_pool2d_backward", "aten::nll_loss2d_forward", "aten::nll_loss2d_backward",
    "aten::kthvalue", "aten::bincount", "aten::histc", "aten::put_", "aten::cumsum"};

constexpr int64_t LARGE_PRODUCT = 1 << 24;  // values, for EMULATED_CUDA_SKIP

void run_on_cpu(const c10::OperatorHandle& op, Stack* stack) {
  op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);
}

// Calls f(tensor) for each new tensor among the results, in order.
template <class F>
void for_each_new(const c10::FunctionSchema& schema, const Stack& results, F&& f) {
  for (size_t at = 0; at < results.size(); ++at) {
    if (schema.returns()[at].alias_info()) continue;
    if (results[at].isTensor()) f(results[at].toTensor());
    if (results[at].isTensorList())
      for (const Tensor& x : results[at].toTensorVector()) f(x);
  }
}

// The arguments of a call, and what they say about the device.
class Arguments {
 public:
  Stack given;  // with tensors of the device
  Stack cpu;    // with their mirrors
  int device = -1;
  std::vector<const void*> uses;

  Arguments(const c10::FunctionSchema& schema, Stack arguments)
      : given(std::move(arguments)), schema_(schema) {
    const std::string& name = schema.name();
    indexes_ = name.rfind("aten::index", 0) == 0 && name != "aten::index_select";
    for (size_t at = 0; at < given.size(); ++at) cpu.push_back(translate(at));
    TORCH_CHECK(!(has_host_tensor_ && device >= 0),
                "Expected all tensors to be on the same device, but found at least two devices, "
                "cuda:", device, " and cpu! (", name, ")");
    if (device < 0) device = resolve(wanted_).index();
  }

 private:
  IValue translate(size_t at) {
    const IValue& value = given[at];
    if (value.isTensor()) return translate(value.toTensor(), false);
    if (value.isTensorList()) {
      c10::List<Tensor> all;
      for (const Tensor& x : value.toTensorVector()) all.push_back(translate(x, false));
      return all;
    }
    if (value.isOptionalTensorList()) {
      c10::List<OptionalTensor> all;
      for (const OptionalTensor& x : value.toOptionalTensorList().vec())
        all.push_back(x ? OptionalTensor(translate(*x, indexes_)) : x);
      return all;
    }
    if (value.isDevice()) {
      wanted_ = value.toDevice();
      return c10::Device(c10::DeviceType::CPU);
    }
    if (value.isGenerator() || (value.isNone() && schema_.arguments()[at].name() == "generator"))
      return generator(device < 0 ? current_device() : device);
    return value;
  }

  Tensor translate(const Tensor& x, bool may_be_host) {
    if (!x.defined()) return x;
    if (!x.is_cuda()) {
      // A number is given to a kernel by value.
      if (x.dim() > 0 && !may_be_host) has_host_tensor_ = true;
      return x;
    }
    TORCH_CHECK(device < 0 || device == x.get_device(),
                "Expected all tensors to be on the same device, but found at least two devices, "
                "cuda:", device, " and cuda:", x.get_device(), "!");
    device = x.get_device();
    if (x.numel()) uses.push_back(x.const_data_ptr());
    return mirror(x);
  }

  const c10::FunctionSchema& schema_;
  bool indexes_ = false;
  bool has_host_tensor_ = false;
  std::optional<c10::Device> wanted_;
};

// One call: the CPU's kernel runs once to learn the shapes of the results, which are then put into
// memory of the device. A replay runs it again.
class Call {
 public:
  Stack results;  // on the device

  Call(const c10::OperatorHandle& op, Arguments arguments)
      : op_(op), arguments_(std::move(arguments)), cpu_(std::make_shared<Stack>(arguments_.cpu)) {
    run_on_cpu(op_, cpu_.get());
    const auto& returns = op_.schema().returns();
    for (size_t at = 0; at < returns.size(); ++at) {
      const auto* const alias = returns[at].alias_info();
      TORCH_CHECK(!alias || alias->isWrite(), "emulated CUDA: ", op_.schema().name(),
                  " returns a view, and has no kernel of its own");
      if (alias)
        return_argument(*alias);
      else
        results.push_back(adopt(cpu_->at(at)));
    }
  }

  int device() const { return arguments_.device; }
  const Stack& arguments() const { return arguments_.given; }

  Work work() {
    auto is_first = std::make_shared<bool>(true);
    const auto run = [op = op_, given = arguments_.cpu, cpu = cpu_, is_first, copies = copies_,
                      outs = outs_] {
      if (!std::exchange(*is_first, false)) repeat(op, given, outs, *cpu);
      size_t at = 0;
      for_each_new(op.schema(), *cpu, [&](const Tensor& x) {
        if (x.defined()) copies[at++].copy_(x);
      });
      cpu->clear();
    };
    return {c10::toString(op_.operator_name()), run, arguments_.uses};
  }

 private:
  using Outs = std::vector<std::pair<size_t, Tensor>>;

  static void repeat(const c10::OperatorHandle& op, const Stack& given, const Outs& outs,
                     Stack& cpu) {
    const at::AutoDispatchBelowADInplaceOrView guard;
    cpu = given;
    for (const auto& [argument, out] : outs) cpu[argument] = at::empty({0}, out.options());
    const Stack arguments = cpu;
    run_on_cpu(op, &cpu);
    for (const auto& [argument, out] : outs) out.copy_(arguments[argument].toTensor());
  }

  // A result that is one of the arguments, which the kernel wrote to.
  void return_argument(const c10::AliasInfo& alias) {
    for (size_t at = 0; at < arguments_.given.size(); ++at) {
      const auto* const own = op_.schema().arguments()[at].alias_info();
      if (!own || !(*own == alias)) continue;
      const Tensor x = arguments_.given[at].toTensor(), written = arguments_.cpu[at].toTensor();
      // The mirror was too small at some time: the kernel wrote to memory of the host.
      if (x.is_cuda() && (x.sizes() != written.sizes() || x.strides() != written.strides() ||
                          written.const_data_ptr() != host(x.const_data_ptr()))) {
        resize(x, written.sizes(), written.strides());
        outs_.emplace_back(at, mirror(x));
        outs_.back().second.copy_(written);
      }
      results.push_back(arguments_.given[at]);
    }
  }

  IValue adopt(const IValue& result) {
    if (result.isTensor()) return adopt(result.toTensor());
    if (!result.isTensorList()) return result;
    c10::List<Tensor> all;
    for (const Tensor& x : result.toTensorVector()) all.push_back(adopt(x));
    return all;
  }

  Tensor adopt(const Tensor& result) {
    if (!result.defined()) return result;
    const Tensor made = empty_on_device(result, arguments_.device);
    copies_.push_back(mirror(made));
    if (made.numel()) arguments_.uses.push_back(made.const_data_ptr());
    return made;
  }

  c10::OperatorHandle op_;
  Arguments arguments_;
  std::shared_ptr<Stack> cpu_;   // results of the CPU's kernel
  std::vector<Tensor> copies_;   // mirrors of the new results
  Outs outs_;                    // mirrors of arguments that got more memory
};

bool has_nan(const IValue& value) {
  if (!value.isTensor() || !value.toTensor().defined()) return false;
  const Tensor x = mirror(value.toTensor());
  return x.is_floating_point() && x.isnan().any().item<bool>();
}

void report_nan(const c10::FunctionSchema& schema, const Stack& arguments, const Stack& results) {
  bool is_found = false;
  for (const IValue& result : results) is_found = is_found || has_nan(result);
  if (!is_found) return;
  std::string line = "emulated CUDA: " + schema.name() + " returned NaN; its inputs:";
  for (size_t at = 0; at < arguments.size(); ++at) {
    const auto* const alias = schema.arguments()[at].alias_info();
    if ((alias && alias->isWrite()) || !arguments[at].isTensor()) continue;
    const Tensor x = arguments[at].toTensor();
    if (x.defined()) line += " " + c10::str(x.sizes()) + (has_nan(x) ? " with NaN" : "");
  }
  std::fprintf(stderr, "%s\n", line.c_str());
}

// The checks that libtorch's code for CUDA makes before it launches a kernel.
void check_call(const std::string& name, int device) {
  if (SYNCHRONOUS.count(name)) wait(name);
  // Throws where the old and the new setting of TF32 disagree.
  if (CUBLAS.count(name)) (void)at::globalContext().allowTF32CuBLAS();
  if (NONDETERMINISTIC.count(name)) at::globalContext().alertNotDeterministic(name);
  check_alive(device);
  check_kernels(device);
}

}  // namespace

void run_cpu_kernel(const c10::OperatorHandle& op, Stack* stack) {
  const std::string& name = op.schema().name();
  const size_t count = op.schema().arguments().size();
  Arguments arguments(op.schema(), Stack(stack->end() - count, stack->end()));
  torch::jit::drop(*stack, count);
  check_call(name, arguments.device);
  static const bool skips = number("EMULATED_CUDA_SKIP", 0) != 0;
  if (skips && name == "aten::mm" && count == 3 &&
      arguments.given[0].toTensor().numel() >= LARGE_PRODUCT) {
    emulated::count("SKIPPED product");
    stack->push_back(arguments.given[2]);
    return;
  }
  // A fault of a program that a test must notice: a number, such as a learning rate, that is written to
  // the memory that a graph reads does not arrive.
  static const bool is_frozen = text("EMULATED_CUDA_MUTANT", "") == "frozen-rate";
  if (is_frozen && name.rfind("aten::fill_", 0) == 0 && !is_capturing()) {
    const at::Tensor to = arguments.given[0].toTensor();
    if (is_replayed(to.const_data_ptr())) {
      stack->push_back(to);
      return;
    }
  }
  Call call(op, std::move(arguments));
  submit(call.device(), call.work());
  static const bool finds_nan = number("EMULATED_CUDA_FIND_NAN", 0) != 0;
  if (finds_nan && !is_capturing()) report_nan(op.schema(), call.arguments(), call.results);
  for (IValue& result : call.results) stack->push_back(std::move(result));
}

}  // namespace emulated

TORCH_LIBRARY_IMPL(_, CUDA, m) {
  m.fallback(torch::CppFunction::makeFromBoxedFunction<&emulated::run_cpu_kernel>());
}
