// Checks of tensors and of memory, in the process of the self-test.
#include <csetjmp>
#include <csignal>

#include "selftest_torch.h"

namespace selftest {

namespace {

constexpr int64_t MIB = 1 << 20;

sigjmp_buf after_fault;

bool is_readable(const Tensor& x) {
  const auto before = signal(SIGSEGV, [](int) { siglongjmp(after_fault, 1); });
  volatile bool is_readable = false;
  if (sigsetjmp(after_fault, 1) == 0) {
    (void)*static_cast<volatile const char*>(x.const_data_ptr());
    is_readable = true;
  }
  signal(SIGSEGV, before);
  return is_readable;
}

void test_tensors() {
  const Tensor a = at::ones({3}, GPU), b = at::ones({3});
  refuses([&] { return a + b; }, "same device", "tensors of a device and of the host do not mix");
  refuses([&] { return a + a.to(OTHER_GPU); }, "same device", "tensors of two devices do not mix");
  refuses([&] { return at::mm(at::ones({2, 2}, GPU), at::ones({2, 2})); }, "same device",
          "factors of a product do not mix either");
  check((a + at::scalar_tensor(1.0)).sum().item<float>() == 6,
        "a tensor without dimensions may be the host's");
  const Tensor indices = at::tensor({0, 2}, at::kLong);
  check(a.index({indices}).sum().item<float>() == 2, "indices may be the host's");
  check(a.to(OTHER_GPU).get_device() == 1 && a.to(at::kCPU).is_cpu(), "copies go to every device");
  check(!is_readable(a), "the host cannot read a device's memory");
  check(at::empty({8}, GPU).isnan().all().item<bool>(), "fresh memory holds NaN");
  refuses([] { return at::ones({1}, c10::Device("cuda:2")); }, "invalid device ordinal",
          "a device that does not exist is refused");
  Tensor out = at::empty({0}, GPU);
  at::add_out(out, a, a);
  check(out.sum().item<float>() == 6, "an output argument gets the memory that it needs");
  const Tensor many = at::ones({64});
  at::manual_seed(7);
  const Tensor expected = at::dropout(many, 0.5, true);
  at::manual_seed(7);
  check(at::dropout(many.to(GPU), 0.5, true).to(at::kCPU).equal(expected),
        "dropout draws as on the CPU");
}

void test_determinism() {
  auto& context = at::globalContext();
  const Tensor a = at::ones({3}, GPU);
  context.setDeterministicAlgorithms(true, /*warn_only=*/false);
  refuses([&] { return a.cumsum(0); }, "deterministic",
          "a kernel that adds in an arbitrary order refuses to be deterministic");
  context.setDeterministicAlgorithms(false, false);
  check(a.cumsum(0).sum().item<float>() == 6, "the kernel works where it need not be");
}

void test_precision() {
  auto& context = at::globalContext();
  const Tensor a = at::ones({2, 2}, GPU);
  const auto set = [&](at::Float32Precision precision) {
    context.setFloat32Precision(at::Float32Backend::CUDA, at::Float32Op::MATMUL, precision);
  };
  const auto before = context.float32Precision(at::Float32Backend::CUDA, at::Float32Op::MATMUL);
  set(at::Float32Precision::TF32);
  refuses([&] { return at::mm(a, a); }, "mix of the legacy and new APIs",
          "a product refuses settings of TF32 that contradict each other");
  set(before);
  check(at::mm(a, a).sum().item<float>() == 8, "a product works with consistent settings");
}

void test_events() {
  const c10::impl::VirtualGuardImpl cuda(c10::DeviceType::CUDA);
  const auto stream = cuda.getStream(GPU);
  void *from = nullptr, *to = nullptr;
  cuda.record(&from, stream, 0, c10::EventFlag::BACKEND_DEFAULT);
  cuda.record(&to, stream, 0, c10::EventFlag::BACKEND_DEFAULT);
  cuda.synchronizeEvent(to);
  check(cuda.queryEvent(to) && cuda.elapsedTime(from, to, 0) >= 0, "events have times");
  cuda.destroyEvent(from, 0);
  cuda.destroyEvent(to, 0);
}

void test_streams() {
  const c10::impl::VirtualGuardImpl cuda(c10::DeviceType::CUDA);
  const auto before = cuda.exchangeStream(cuda.getStreamFromGlobalPool(GPU, false));
  const Tensor pageable = at::ones({64}, at::kByte);
  Tensor locked = at::empty({64}, pageable.options().pinned_memory(true));
  locked.copy_(pageable);
  check(locked.is_pinned() && !pageable.is_pinned(), "page-locked memory is told from other memory");
  const Tensor x = locked.to(GPU, /*non_blocking=*/true);
  check(x.sum().item<int64_t>() == 64, "a copy from page-locked memory arrives");
  cuda.exchangeStream(before);
  refuses([&] { return x + 1; }, "record_stream",
          "a stream does not use another one's memory which may be given away");
  x.record_stream(before);
  check((x + 1).sum().item<int64_t>() == 128, "it does once the memory is kept for it");
}

struct Bytes {
  int64_t allocated, peak_allocated, reserved, peak_reserved;
};

Bytes bytes() {
  const auto stats = allocator().getDeviceStats(0);
  return {stats.allocated_bytes[0].current, stats.allocated_bytes[0].peak,
          stats.reserved_bytes[0].current, stats.reserved_bytes[0].peak};
}

Tensor block(int64_t mebibytes) {
  return at::empty({mebibytes * MIB}, at::dtype(at::kByte).device(GPU));
}

// The device has 256 MiB.
void test_memory() {
  allocator().emptyCache();
  const Bytes before = bytes();
  check(before.allocated == before.reserved, "after emptyCache, nothing is reserved but tensors");
  Tensor x = block(64), y = block(64);
  const Bytes full = bytes();
  check(full.allocated == before.allocated + 128 * MIB && full.reserved == full.allocated,
        "allocations are counted");
  const void* const place = x.const_data_ptr();
  x = Tensor();
  check(bytes().allocated == full.allocated - 64 * MIB && bytes().reserved == full.reserved,
        "a freed block stays reserved");
  x = block(64);
  check(x.const_data_ptr() == place && bytes().reserved == full.reserved,
        "an allocation of its size gets it again");
  x = y = Tensor();
  check(bytes().peak_allocated >= full.allocated && bytes().peak_reserved >= full.reserved,
        "peaks are kept");
  allocator().emptyCache();
  check(bytes().reserved == before.reserved, "emptyCache gives free blocks back");
  allocator().resetPeakStats(0);
  check(bytes().peak_allocated == before.allocated && bytes().peak_reserved == before.reserved,
        "resetPeakStats resets both peaks");
  check(allocator().getMemoryInfo(0).second == size_t(256 * MIB), "memory has a size");

  refuses([] { return block(257); }, "CUDA out of memory. Tried to allocate 257.00 MiB",
          "more than the device has is refused");
  x = block(100), y = block(100);
  refuses([] { return block(100); }, "CUDA out of memory", "more than is free is refused");
  x = y = Tensor();
  x = block(200);
  check(x.numel() == 200 * MIB && bytes().reserved <= 256 * MIB,
        "an allocation without room frees the cache first, and blocks side by side become one");
  check(allocator().getDeviceStats(1).allocated_bytes[0].current <
            MIB,
        "the other device's memory is its own");
}

}  // namespace

void test_device() {
  test_tensors();
  test_determinism();
  test_precision();
  test_events();
  test_streams();
  test_memory();
}

}  // namespace selftest
