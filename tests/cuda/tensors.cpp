// Tensors of the device: their memory, copies of it, and their views.
#include <ATen/EmptyTensor.h>
#include <ATen/ops/_local_scalar_dense.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/unfold_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/DeviceGuard.h>
#include <torch/library.h>

#include <cstring>

#include "emulator.h"

namespace emulated {

using at::Tensor;

namespace {

const c10::DispatchKeySet KEYS(c10::DispatchKey::CUDA);

// Bytes from a tensor's first value to its last.
size_t extent(const Tensor& x) {
  int64_t values = x.numel() ? 1 : 0;
  for (int64_t at = 0; values && at < x.dim(); ++at) values += (x.size(at) - 1) * x.stride(at);
  return values * x.itemsize();
}

}  // namespace

Tensor mirror(const Tensor& x) {
  if (!x.defined() || !x.is_cuda()) return x;
  char* const data = x.numel() ? host(x.const_data_ptr()) : nullptr;
  // A kernel that is given too small an `out` gets other memory for it: see Call::return_argument.
  auto storage = c10::make_intrusive<c10::StorageImpl>(
      c10::StorageImpl::use_byte_size_t(), extent(x),
      c10::DataPtr(data, data, &c10::detail::deleteNothing, c10::DeviceType::CPU),
      at::getCPUAllocator(), /*resizable=*/true);
  Tensor same = at::detail::make_tensor<c10::TensorImpl>(
      c10::Storage(std::move(storage)), c10::DispatchKeySet(c10::DispatchKey::CPU), x.dtype());
  same.unsafeGetTensorImpl()->set_sizes_and_strides(x.sizes(), x.strides());
  if (x.unsafeGetTensorImpl()->is_wrapped_number())
    same.unsafeGetTensorImpl()->set_wrapped_number(true);
  if (x.is_neg()) same._set_neg(true);
  return same;
}

Tensor empty_on_device(const Tensor& shape, int device) {
  const c10::DeviceGuard guard(
      c10::Device(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(device)));
  return at::detail::empty_strided_generic(shape.sizes(), shape.strides(), &allocator(), KEYS,
                                           shape.scalar_type());
}

void resize(const Tensor& x, at::IntArrayRef sizes, at::IntArrayRef strides) {
  x.unsafeGetTensorImpl()->set_sizes_and_strides(sizes, strides);
  const size_t bytes = x.storage_offset() * x.itemsize() + extent(x);
  c10::Storage storage = x.storage();
  if (bytes <= storage.nbytes()) return;
  const c10::DeviceGuard guard(x.device());
  c10::DataPtr larger = allocator().allocate(bytes);
  if (storage.nbytes())
    std::memcpy(host(larger.get()), host(storage.data()), storage.nbytes());
  storage.set_data_ptr_noswap(std::move(larger));
  storage.set_nbytes(bytes);
}

namespace {

Tensor empty(c10::SymIntArrayRef size, std::optional<at::ScalarType> type,
             std::optional<at::Layout>, std::optional<c10::Device> device, std::optional<bool>,
             std::optional<at::MemoryFormat> format) {
  const c10::DeviceGuard guard(resolve(device));
  return at::detail::empty_generic(C10_AS_INTARRAYREF_SLOW(size), &allocator(), KEYS,
                                   c10::dtype_or_default(type), format);
}

Tensor empty_strided(c10::SymIntArrayRef size, c10::SymIntArrayRef stride,
                     std::optional<at::ScalarType> type, std::optional<at::Layout>,
                     std::optional<c10::Device> device, std::optional<bool>) {
  const c10::DeviceGuard guard(resolve(device));
  return at::detail::empty_strided_generic(C10_AS_INTARRAYREF_SLOW(size),
                                           C10_AS_INTARRAYREF_SLOW(stride), &allocator(), KEYS,
                                           c10::dtype_or_default(type));
}

const Tensor& resize_(const Tensor& self, at::IntArrayRef size,
                      std::optional<at::MemoryFormat> format) {
  const auto options = self.options().device(c10::DeviceType::CPU).memory_format(format);
  const Tensor shape = at::empty(size, options);
  resize(self, shape.sizes(), shape.strides());
  return self;
}

// Whether a copy within the device's memory needs no kernel.
bool is_plain_copy(const Tensor& to, const Tensor& from) {
  return to.scalar_type() == from.scalar_type() && to.strides() == from.strides() &&
         to.is_non_overlapping_and_dense() && to.is_neg() == from.is_neg();
}

// A fault of a program that a test must notice: after the first replay of a graph, a batch that is copied
// within the device to the memory that the graph reads does not arrive.
bool is_dropped(const Tensor& to) {
  static const bool is_faulty = text("EMULATED_CUDA_MUTANT", "") == "stale-batch";
  constexpr int64_t FEW = 4;
  return is_faulty && to.numel() > FEW && !is_capturing() && is_replayed(to.const_data_ptr());
}

Tensor& copy_(Tensor& self, const Tensor& from, bool non_blocking) {
  if (self.is_same(from) || self.numel() == 0) return self;
  const Tensor source = from.expand(self.sizes());
  if (self.is_cuda() && source.is_cuda()) {
    if (is_dropped(self)) return self;
    Tensor to = mirror(self);
    const Tensor of = mirror(source);
    submit(self.get_device(), {"aten::copy_",
                               [to, of]() mutable { to.copy_(of); },
                               {self.const_data_ptr(), source.const_data_ptr()},
                               /*is_kernel=*/!is_plain_copy(self, source)});
    return self;
  }
  const char* const direction = self.is_cuda() ? "to the device" : "to the host";
  const c10::DeviceGuard guard(self.is_cuda() ? self.device() : source.device());
  count(std::string("BYTES ") + direction, self.numel() * from.itemsize());
  // For pageable memory the host waits, whether the copy may be asynchronous or not.
  const Tensor& of_host = self.is_cuda() ? source : self;
  if (non_blocking && is_pinned(of_host.const_data_ptr())) {
    check_stream(self.is_cuda() ? self.const_data_ptr() : source.const_data_ptr());
    count_call(std::string("COPY ") + direction);
  } else {
    wait(std::string("copy ") + direction);
  }
  mirror(self).copy_(mirror(source));
  return self;
}

void record_stream(Tensor& self, c10::Stream stream) {
  allocator().recordStream(self.storage().data_ptr(), stream);
}

at::Scalar local_scalar_dense(const Tensor& self) {
  const c10::DeviceGuard guard(self.device());
  wait("read of a value");
  return at::_local_scalar_dense(mirror(self));
}

}  // namespace
}  // namespace emulated

TORCH_LIBRARY_IMPL(aten, CUDA, m) {
  m.impl("empty.memory_format", &emulated::empty);
  m.impl("empty_strided", &emulated::empty_strided);
  m.impl("as_strided", &at::native::as_strided_tensorimpl);
  m.impl("view", &at::native::view);
  m.impl("_reshape_alias", &at::native::_reshape_alias);
  m.impl("unfold", &at::native::unfold);
  m.impl("resize_", &emulated::resize_);
  m.impl("copy_", &emulated::copy_);
  m.impl("record_stream", &emulated::record_stream);
  m.impl("_local_scalar_dense", &emulated::local_scalar_dense);
}
