// Streams, CUDA graphs, memory statistics and flags of CUDA devices, without CUDA's headers: streams
// use libtorch's device-independent interface, and graphs use symbols of libtorch_cuda.so, if the
// process has loaded it.
#include <ATen/Context.h>
#include <ATen/core/Tensor.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/ops/empty.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <dlfcn.h>

#include <cstring>
#include <memory>
#include <utility>

#include "caught.h"

namespace {

using Pool = std::pair<unsigned long long, unsigned long long>;

// Members of at::cuda::CUDAGraph. tch requires one version of libtorch, which fixes their names.
struct GraphSymbols {
  void (*construct)(void*, bool keep_graph) = nullptr;
  void (*destruct)(void*) = nullptr;
  void (*begin)(void*, Pool, int mode) = nullptr;
  void (*end)(void*) = nullptr;
  void (*replay)(void*) = nullptr;
  bool complete = false;

  GraphSymbols() {
    const auto find = [](auto& function, const char* name) {
      void* const symbol = dlsym(RTLD_DEFAULT, name);
      std::memcpy(&function, &symbol, sizeof symbol);
      return symbol != nullptr;
    };
    complete = find(construct, "_ZN2at4cuda9CUDAGraphC1Eb") &&
               find(destruct, "_ZN2at4cuda9CUDAGraphD1Ev") &&
               find(begin,
                    "_ZN2at4cuda9CUDAGraph13capture_beginESt4pairIyyE21cudaStreamCaptureMode") &&
               find(end, "_ZN2at4cuda9CUDAGraph11capture_endEv") &&
               find(replay, "_ZN2at4cuda9CUDAGraph6replayEv");
  }
};

// Looked up again while incomplete, since the library may be loaded later.
const GraphSymbols& symbols() {
  static GraphSymbols found;
  if (!found.complete) found = GraphSymbols();
  return found;
}

struct Graph {
  // Storage for the object, which has 104 bytes in this version.
  alignas(64) unsigned char object[512] = {};

  Graph() {
    TORCH_CHECK(symbols().complete, "this libtorch has no CUDA graphs");
    symbols().construct(object, false);
  }
  ~Graph() { symbols().destruct(object); }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
};

// cudaStreamCaptureModeThreadLocal would not cover autograd's threads.
constexpr int CAPTURE_GLOBAL = 0;

}  // namespace

extern "C" {

bool fathom_can_record() { return symbols().complete; }

void* fathom_graph_new() {
  return caught<void*>(nullptr, [] { return static_cast<void*>(new Graph); });
}

void fathom_graph_free(void* graph) {
  caught(false, [&] {
    delete static_cast<Graph*>(graph);
    return true;
  });
}

bool fathom_graph_begin(void* graph) {
  return caught(false, [&] {
    symbols().begin(static_cast<Graph*>(graph)->object, {0, 0}, CAPTURE_GLOBAL);
    return true;
  });
}

bool fathom_graph_end(void* graph) {
  return caught(false, [&] {
    symbols().end(static_cast<Graph*>(graph)->object);
    return true;
  });
}

bool fathom_graph_replay(void* graph) {
  return caught(false, [&] {
    symbols().replay(static_cast<Graph*>(graph)->object);
    return true;
  });
}

// Makes another stream than the default one, which cannot be recorded, the current one of this thread. A
// thread keeps its stream: runs that it trains one after the other share lasting memory.
bool fathom_own_stream(int device) {
  return caught(false, [&] {
    const c10::impl::VirtualGuardImpl cuda(c10::DeviceType::CUDA);
    const c10::Device at(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(device));
    cuda.setDevice(at);
    if (cuda.getStream(at) != cuda.getDefaultStream(at)) return true;
    cuda.exchangeStream(cuda.getStreamFromGlobalPool(at, /*isHighPriority=*/false));
    return true;
  });
}

// Bytes that libtorch has reserved on the device: the current number and the peak. They include
// cached memory that no tensor uses, which is not available to other processes.
bool fathom_device_memory(int device, int64_t* now, int64_t* most) {
  return caught(false, [&] {
    const auto stats = at::getDeviceAllocator(c10::DeviceType::CUDA)
                           ->getDeviceStats(static_cast<c10::DeviceIndex>(device));
    const auto& bytes =
        stats.reserved_bytes[static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE)];
    *now = bytes.current;
    *most = bytes.peak;
    return true;
  });
}

// The peak of reserved memory of every device begins anew.
bool fathom_reset_peak_memory() {
  return caught(false, [] {
    auto* const allocator = at::getDeviceAllocator(c10::DeviceType::CUDA);
    const c10::impl::VirtualGuardImpl cuda(c10::DeviceType::CUDA);
    for (c10::DeviceIndex device = 0; device < cuda.deviceCount(); ++device)
      allocator->resetPeakStats(device);
    return true;
  });
}

// Returns cached blocks to the device.
bool fathom_empty_cache() {
  return caught(false, [] {
    at::getDeviceAllocator(c10::DeviceType::CUDA)->emptyCache();
    return true;
  });
}

// Copies a tensor of the host to the device by way of page-locked memory, on the current stream of this
// thread, and waits for that stream alone.
at::Tensor* fathom_upload(const at::Tensor* host, int device) {
  return caught<at::Tensor*>(nullptr, [&] {
    const c10::Device to(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(device));
    at::Tensor locked = at::empty(host->sizes(), host->options().pinned_memory(true));
    locked.copy_(*host);
    auto result = std::make_unique<at::Tensor>(locked.to(to, /*non_blocking=*/true));
    const c10::impl::VirtualGuardImpl cuda(c10::DeviceType::CUDA);
    cuda.synchronizeStream(cuda.getStream(to));
    return result.release();
  });
}

// Makes the memory of a tensor, which another thread allocated on its own stream, be freed only after what
// this thread's stream does with it until then.
bool fathom_adopt(const at::Tensor* x) {
  return caught(false, [&] {
    const c10::impl::VirtualGuardImpl cuda(c10::DeviceType::CUDA);
    x->record_stream(cuda.getStream(x->device()));
    return true;
  });
}

// Waits until the device has finished all work.
bool fathom_synchronize(int device) {
  return caught(false, [&] {
    const c10::impl::VirtualGuardImpl cuda(c10::DeviceType::CUDA);
    cuda.synchronizeDevice(static_cast<c10::DeviceIndex>(device));
    return true;
  });
}

// CUDA version that libtorch was built with, as 1000 * major + 10 * minor. libtorch_cuda.so
// must be loaded.
int64_t fathom_cuda_version() {
  return caught<int64_t>(-1, [] { return at::detail::getCUDAHooks().versionCUDART(); });
}

bool fathom_arithmetic(bool tf32, bool deterministic) {
  return caught(false, [&] {
    auto& context = at::globalContext();
    context.setAllowTF32CuBLAS(tf32);
    context.setAllowTF32CuDNN(tf32);
    // Benchmark mode measures which algorithm is fastest, so its choice may vary between runs.
    context.setBenchmarkCuDNN(!deterministic);
    context.setDeterministicCuDNN(deterministic);
    context.setDeterministicAlgorithms(deterministic, /*warn_only=*/false);
    return true;
  });
}
}
