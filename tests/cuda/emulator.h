// libtorch's CUDA backend on host memory: what its source files share.
#pragma once
#include <c10/core/Device.h>
#include <c10/util/ArrayRef.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "machine.h"

// ATen's headers take most of the time to compile: each source file includes those that it needs.
namespace c10 {
struct Allocator;
struct DeviceAllocator;
struct IValue;
class OperatorHandle;
}  // namespace c10
namespace at {
struct Generator;
class Tensor;
}  // namespace at

namespace emulated {

// --- Counters (counters.cpp), written to EMULATED_CUDA_STATS when the process ends.
void count(const std::string& what, int64_t more = 1);
// A call by which the host asks something of the device: counted under its name and under CALLS.
void count_call(const std::string& what);
// Raises a counter to a value.
void count_peak(const std::string& what, int64_t value);

// --- Faults (faults.cpp).
// Throws as libtorch does where a function of the CUDA runtime failed.
[[noreturn]] void cuda_error(const std::string& description);
// Throws if the device is lost.
void check_alive(int device);
// Throws if this libtorch has no kernels for the device.
void check_kernels(int device);
// Counts work towards the loss of the device.
void count_work();
// Makes sure that this process may use the device: throws where another process has exclusive use.
void open_device(int device);

// --- Memory (memory.cpp). Each byte has two addresses. Tensors hold the device's address, which
// can be neither read nor written; kernels use the host's.
char* host(const void* device_pointer);
// The number of the allocation that contains an address; 0 where the address is free, or belongs to
// the given pool.
uint64_t allocation(const void* device_pointer, uint64_t except_pool = 0);
// What is allocated between begin_pool and end_pool comes from a pool of its own, whose memory
// serves nothing else until free_pool.
uint64_t begin_pool(int device);
void end_pool(int device);
void free_pool(uint64_t pool);
void invalidate_pool(uint64_t pool);
// Copies the contents of all allocations of a device; the result puts them back.
std::function<void()> snapshot(int device);
c10::DeviceAllocator& allocator();
// Page-locked memory of the host, from which a copy to the device need not be waited for.
c10::Allocator& pinned_allocator();
bool is_pinned(const void* host_pointer);
// Throws where the memory at an address was allocated for another stream than the current one, which has
// not been made known to it (Tensor::record_stream): it could be given away while it is in use.
void check_stream(const void* device_pointer);
bool has_allocated(int device);

// --- Devices and streams (device.cpp). A stream is a number, 0 for the default stream.
// The number of devices that libtorch sees.
int device_count();
int current_device();
void set_current_device(int device);
int64_t current_stream(int device);
// The CPU's generator behind a device's generator.
at::Generator generator(int device);
// The given device, or the current one where it has no index.
c10::Device resolve(std::optional<c10::Device> device);

// --- Work (graph.cpp).
struct Work {
  std::string name;
  std::function<void()> run;
  std::vector<const void*> uses;  // device addresses that must still be allocated at a replay
  bool is_kernel = true;          // false: a copy of memory
};
// Whether a graph that was replayed reads or writes the memory at an address.
bool is_replayed(const void* device_pointer);
// Runs work on the device's current stream, or records it where that stream is being captured.
void submit(int device, Work work);
// Whether the current stream of this thread is being captured.
bool is_capturing();
// Whether any stream is being captured.
bool has_capture();
// Counts a wait of the host for the device. Throws during a capture, which it invalidates.
void wait(const std::string& what);
// Throws during a capture, which it invalidates: for calls that a capture does not permit.
void refuse_during_capture();

// --- Kernels (tensors.cpp, kernels.cpp).
// The same memory as a tensor of the CPU.
at::Tensor mirror(const at::Tensor& x);
// A new tensor of the device with the shape of a tensor of the CPU.
at::Tensor empty_on_device(const at::Tensor& shape, int device);
// Gives a tensor another shape, and more memory where it has too little.
void resize(const at::Tensor& x, c10::IntArrayRef sizes, c10::IntArrayRef strides);
// Runs an operation's kernel for the CPU on tensors of the device.
void run_cpu_kernel(const c10::OperatorHandle& op, std::vector<c10::IValue>* stack);

}  // namespace emulated
