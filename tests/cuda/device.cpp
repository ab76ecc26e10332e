// Devices, streams, events and generators, and what libtorch asks about CUDA.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <atomic>
#include <chrono>

#include "emulator.h"

namespace emulated {

namespace {

using c10::Device;
using c10::Stream;
constexpr auto CUDA = c10::DeviceType::CUDA;

// The CUDA version that libtorch claims to be built with, and cuDNN's.
constexpr int CUDA_VERSION = 13000;
constexpr int CUDNN_VERSION = 91900;
constexpr int STREAMS = 32;  // of libtorch's pool

thread_local int device = 0;
// Work is done at once, so that streams differ by their numbers alone.
thread_local int64_t streams[MAX_DEVICES] = {};

}  // namespace

int device_count() {
  static const int count = [] {
    if (driver_cuda_version() / 1000 >= CUDA_VERSION / 1000)
      return static_cast<int>(visible_devices().size());
    TORCH_WARN("CUDA initialization: The NVIDIA driver on your system is too old (found version ",
               driver_cuda_version(), ").");
    return 0;
  }();
  return count;
}

int current_device() { return device; }

void set_current_device(int d) {
  if (device_count() == 0) cuda_error("no CUDA-capable device is detected");
  if (d < 0 || d >= device_count()) cuda_error("invalid device ordinal");
  device = d;
}

int64_t current_stream(int d) { return streams[d]; }

Device resolve(std::optional<Device> d) {
  return {CUDA, static_cast<c10::DeviceIndex>(d && d->has_index() ? d->index() : device)};
}

namespace {

struct Event {
  std::chrono::steady_clock::time_point time;
};

struct Guard final : c10::impl::DeviceGuardImplInterface {
  static Stream stream(int64_t id, Device d) { return Stream(Stream::UNSAFE, resolve(d), id); }

  c10::DeviceType type() const override { return CUDA; }
  Device exchangeDevice(Device d) const override {
    const Device before = getDevice();
    set_current_device(d.index());
    return before;
  }
  Device getDevice() const override { return resolve(std::nullopt); }
  void setDevice(Device d) const override { set_current_device(d.index()); }
  void uncheckedSetDevice(Device d) const noexcept override { device = d.index(); }
  c10::DeviceIndex deviceCount() const noexcept override { return device_count(); }

  Stream getStream(Device d) const override { return stream(streams[resolve(d).index()], d); }
  Stream getDefaultStream(Device d) const override { return stream(0, d); }
  Stream getStreamFromGlobalPool(Device d, bool) const override {
    static std::atomic<int64_t> next{0};
    open_device(resolve(d).index());
    check_alive(resolve(d).index());
    return stream(1 + next++ % STREAMS, d);
  }
  Stream getNewStream(Device d, int) const override { return getStreamFromGlobalPool(d, false); }
  Stream exchangeStream(Stream s) const override {
    const Device d = resolve(s.device());
    return stream(std::exchange(streams[d.index()], s.id()), d);
  }
  bool queryStream(const Stream& s) const override {
    count_call("QUERY stream");
    check_alive(s.device_index());
    return true;
  }
  void* getStreamNativeHandle(const Stream s) const override { return reinterpret_cast<void*>(s.id()); }
  void synchronizeStream(const Stream&) const override { wait("stream synchronize"); }
  void synchronizeDevice(c10::DeviceIndex) const override { wait("device synchronize"); }

  void record(void** event, const Stream& s, c10::DeviceIndex, c10::EventFlag) const override {
    check_alive(s.device_index());
    if (!is_capturing()) count_call("EVENT record");
    if (!*event) *event = new Event;
    static_cast<Event*>(*event)->time = std::chrono::steady_clock::now();
  }
  void block(void*, const Stream&) const override {
    if (!is_capturing()) count_call("EVENT wait");
  }
  bool queryEvent(void*) const override {
    count_call("QUERY event");
    return true;
  }
  void synchronizeEvent(void*) const override { wait("event synchronize"); }
  double elapsedTime(void* from, void* to, c10::DeviceIndex) const override {
    using Milliseconds = std::chrono::duration<double, std::milli>;
    return Milliseconds(static_cast<Event*>(to)->time - static_cast<Event*>(from)->time).count();
  }
  void destroyEvent(void* event, c10::DeviceIndex) const noexcept override {
    delete static_cast<Event*>(event);
  }
};
C10_REGISTER_GUARD_IMPL(CUDA, Guard)

// A device's generator draws as the CPU's does.
struct Generator final : c10::GeneratorImpl {
  at::Generator cpu = at::make_generator<at::CPUGeneratorImpl>(c10::default_rng_seed_val);

  explicit Generator(Device d) : GeneratorImpl(d, c10::DispatchKeySet(c10::DispatchKey::CUDA)) {}
  void set_current_seed(uint64_t seed) override {
    TORCH_CHECK(!is_capturing(),
                "Cannot call CUDAGeneratorImpl::set_current_seed during CUDA graph capture. If you "
                "need this call to be captured, please file an issue.");
    cpu.set_current_seed(seed);
  }
  void set_offset(uint64_t) override {}
  uint64_t get_offset() const override { return 0; }
  uint64_t current_seed() const override { return cpu.current_seed(); }
  uint64_t seed() override { return cpu.seed(); }
  void set_state(const c10::TensorImpl& state) override {
    cpu.unsafeGetGeneratorImpl()->set_state(state);
  }
  c10::intrusive_ptr<c10::TensorImpl> get_state() const override {
    return cpu.unsafeGetGeneratorImpl()->get_state();
  }
  Generator* clone_impl() const override { return new Generator(device_); }
};

const std::vector<at::Generator>& generators() {
  static const auto* const all = [] {
    auto* const all = new std::vector<at::Generator>;
    for (int d = 0; d < device_count(); ++d)
      all->push_back(at::make_generator<Generator>(Device(CUDA, static_cast<c10::DeviceIndex>(d))));
    return all;
  }();
  return *all;
}

// For the hooks, which give the current device as -1.
int index_of(c10::DeviceIndex d) { return d < 0 ? device : d; }

}  // namespace

at::Generator generator(int d) { return generators().at(d).get<Generator>()->cpu; }

}  // namespace emulated

namespace at {

struct CUDAHooks final : CUDAHooksInterface {
  explicit CUDAHooks(CUDAHooksArgs) {}
  void init() const override {}
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return emulated::device_count() > 0; }
  bool hasCUDA() const override { return emulated::device_count() > 0; }
  bool hasCUDART() const override { return true; }
  bool hasCuDNN() const override { return true; }
  bool compiledWithCuDNN() const override { return true; }
  bool supportsDilatedConvolutionWithCuDNN() const override { return true; }
  bool supportsDepthwiseConvolutionWithCuDNN() const override { return true; }
  bool supportsBFloat16ConvolutionWithCuDNNv8() const override { return true; }
  double batchnormMinEpsilonCuDNN() const override { return 0.0; }
  long versionCuDNN() const override { return emulated::CUDNN_VERSION; }
  long versionRuntimeCuDNN() const override { return emulated::CUDNN_VERSION; }
  long versionCUDART() const override { return emulated::CUDA_VERSION; }

  DeviceIndex deviceCount() const override { return emulated::device_count(); }
  int getNumGPUs() const override { return emulated::device_count(); }
  bool hasPrimaryContext(DeviceIndex d) const override { return emulated::has_allocated(d); }
  DeviceIndex current_device() const override { return emulated::current_device(); }
  DeviceIndex getCurrentDevice() const override { return emulated::current_device(); }
  void setCurrentDevice(DeviceIndex d) const override { emulated::set_current_device(d); }
  DeviceIndex exchangeDevice(DeviceIndex d) const override {
    const auto before = emulated::current_device();
    emulated::set_current_device(d);
    return before;
  }
  DeviceIndex maybeExchangeDevice(DeviceIndex d) const override {
    return d < 0 ? DeviceIndex(-1) : exchangeDevice(d);
  }
  void deviceSynchronize(DeviceIndex) const override { emulated::wait("device synchronize"); }

  Device getDeviceFromPtr(void*) const override { return emulated::resolve(std::nullopt); }
  Allocator* getPinnedMemoryAllocator() const override { return &emulated::pinned_allocator(); }
  bool isPinnedPtr(const void* p) const override { return emulated::is_pinned(p); }
  Allocator* getCUDADeviceAllocator() const override { return &emulated::allocator(); }
  const at::Generator& getDefaultGenerator(DeviceIndex d) const override {
    return emulated::generators().at(emulated::index_of(d));
  }
  at::Generator getNewGenerator(DeviceIndex d) const override {
    const Device device(DeviceType::CUDA, static_cast<DeviceIndex>(emulated::index_of(d)));
    return at::make_generator<emulated::Generator>(device);
  }
};

using at::CUDAHooksRegistry;
using at::RegistererCUDAHooksRegistry;
REGISTER_CUDA_HOOKS(CUDAHooks)

}  // namespace at
