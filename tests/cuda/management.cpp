// libnvidia-ml.so.1 (NVML): what the driver's management library tells about all devices of the
// machine. CUDA_VISIBLE_DEVICES has no effect on it. In MIG mode, each device has one slice, which
// has a handle and a UUID of its own.
#include <cstdio>
#include <cstring>

#include "machine.h"

using emulated::DeviceInfo;

namespace {

using Result = int;  // nvmlReturn_t

constexpr Result SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3,
                 NOT_FOUND = 6, INSUFFICIENT_SIZE = 7;

constexpr struct {
  Result result;
  const char* description;
} ERRORS[] = {
    {SUCCESS, "The operation was successful"},
    {UNINITIALIZED, "NVML was not first initialized with nvmlInit()"},
    {INVALID_ARGUMENT, "A supplied argument is invalid"},
    {NOT_SUPPORTED, "The requested operation is not available on target device"},
    {NOT_FOUND, "A query to find an object was unsuccessful"},
    {INSUFFICIENT_SIZE, "An input argument is not large enough"},
};

constexpr unsigned COMPUTE_MODE_DEFAULT = 0, COMPUTE_MODE_EXCLUSIVE_PROCESS = 3;
constexpr unsigned PCI_DEVICE_ID = 0x233010de;  // an H100's, with NVIDIA's vendor number

struct PciInfo {
  char legacy_bus_id[16];
  unsigned domain, bus, device, device_id, subsystem_id;
  char bus_id[32];
};
struct MemoryInfo {
  unsigned long long total, free, used;
};
struct MemoryInfo2 {
  unsigned version;
  unsigned long long total, reserved, free, used;
};

// What a handle points to: a device, or its slice.
struct Handle {
  const DeviceInfo* info;
  bool is_slice;
};

int initialized = 0;  // calls of nvmlInit_v2 that no nvmlShutdown has undone

Handle* handles(bool slices) {
  static Handle all[2][emulated::MAX_DEVICES];
  const auto& devices = emulated::installed_devices();
  for (size_t at = 0; at < devices.size(); ++at)
    all[slices][at] = {&devices[at], slices};
  return all[slices];
}

template <class F>
Result when_initialized(const void* result, F&& f) {
  if (!initialized) return UNINITIALIZED;
  return result ? f() : INVALID_ARGUMENT;
}

// Calls f(handle), where the call is permitted.
template <class F>
Result with_device(const Handle* device, const void* result, F&& f) {
  return when_initialized(result, [&] { return device ? f(*device) : INVALID_ARGUMENT; });
}

Result copy_text(char* to, unsigned size, const std::string& text) {
  if (size <= text.size()) return INSUFFICIENT_SIZE;
  std::memcpy(to, text.c_str(), text.size() + 1);
  return SUCCESS;
}

std::string uuid(const Handle& device) {
  return device.is_slice ? emulated::write_uuid("MIG-", device.info->slice_uuid)
                         : emulated::write_uuid("GPU-", device.info->uuid);
}

std::string bus_id(const Handle& device) {
  char written[32];
  std::snprintf(written, sizeof written, "%08X:%02X:%02X.0", 0, device.info->bus(), 0);
  return written;
}

// The handle for which f(handle) is true.
template <class F>
Result find(Handle** found, F&& f) {
  for (const bool slices : {false, true})
    for (size_t at = 0; at < emulated::installed_devices().size(); ++at) {
      Handle* const handle = &handles(slices)[at];
      if ((slices && !emulated::is_sliced()) || !f(*handle)) continue;
      *found = handle;
      return SUCCESS;
    }
  return NOT_FOUND;
}

}  // namespace

#define EXPORTED extern "C" __attribute__((visibility("default")))

// --- The library and the driver.

EXPORTED Result nvmlInitWithFlags(unsigned) {
  ++initialized;
  return SUCCESS;
}

EXPORTED Result nvmlInit_v2() { return nvmlInitWithFlags(0); }

EXPORTED Result nvmlShutdown() {
  if (!initialized) return UNINITIALIZED;
  --initialized;
  return SUCCESS;
}

EXPORTED const char* nvmlErrorString(Result result) {
  for (const auto& error : ERRORS)
    if (error.result == result) return error.description;
  return "Unknown Error";
}

EXPORTED Result nvmlSystemGetDriverVersion(char* version, unsigned size) {
  return when_initialized(version,
                          [&] { return copy_text(version, size, emulated::driver_version()); });
}

EXPORTED Result nvmlSystemGetNVMLVersion(char* version, unsigned size) {
  return when_initialized(version, [&] {
    const std::string driver = emulated::driver_version();
    return copy_text(version, size,
                     std::to_string(emulated::driver_cuda_version() / 1000) + "." + driver);
  });
}

EXPORTED Result nvmlSystemGetCudaDriverVersion_v2(int* version) {
  if (!version) return INVALID_ARGUMENT;
  *version = emulated::driver_cuda_version();
  return SUCCESS;
}

EXPORTED Result nvmlSystemGetCudaDriverVersion(int* version) {
  return nvmlSystemGetCudaDriverVersion_v2(version);
}

// --- Handles.

EXPORTED Result nvmlDeviceGetCount_v2(unsigned* count) {
  return when_initialized(count, [&] {
    *count = emulated::installed_devices().size();
    return SUCCESS;
  });
}

EXPORTED Result nvmlDeviceGetHandleByIndex_v2(unsigned index, Handle** device) {
  return when_initialized(device, [&] {
    if (index >= emulated::installed_devices().size()) return INVALID_ARGUMENT;
    *device = &handles(/*slices=*/false)[index];
    return SUCCESS;
  });
}

EXPORTED Result nvmlDeviceGetHandleByUUID(const char* written, Handle** device) {
  return when_initialized(device, [&] {
    if (!written) return INVALID_ARGUMENT;
    return find(device, [&](const Handle& handle) { return uuid(handle) == written; });
  });
}

EXPORTED Result nvmlDeviceGetHandleByPciBusId_v2(const char* written, Handle** device) {
  return when_initialized(device, [&] {
    if (!written) return INVALID_ARGUMENT;
    return find(device, [&](const Handle& handle) { return bus_id(handle) == written; });
  });
}

// --- One device.

EXPORTED Result nvmlDeviceGetIndex(Handle* device, unsigned* index) {
  return with_device(device, index, [&](const Handle& handle) {
    *index = handle.is_slice ? 0 : handle.info->index;
    return SUCCESS;
  });
}

EXPORTED Result nvmlDeviceGetName(Handle* device, char* name, unsigned size) {
  return with_device(device, name, [&](const Handle& handle) {
    return copy_text(name, size, handle.is_slice ? handle.info->slice_name() : handle.info->name);
  });
}

EXPORTED Result nvmlDeviceGetUUID(Handle* device, char* written, unsigned size) {
  return with_device(device, written,
                     [&](const Handle& handle) { return copy_text(written, size, uuid(handle)); });
}

EXPORTED Result nvmlDeviceGetMemoryInfo(Handle* device, MemoryInfo* memory) {
  return with_device(device, memory, [&](const Handle& handle) {
    const unsigned long long total = handle.info->memory;
    *memory = {total, total, 0};
    return SUCCESS;
  });
}

EXPORTED Result nvmlDeviceGetMemoryInfo_v2(Handle* device, MemoryInfo2* memory) {
  return with_device(device, memory, [&](const Handle& handle) {
    const unsigned long long total = handle.info->memory;
    *memory = {memory->version, total, 0, total, 0};
    return SUCCESS;
  });
}

EXPORTED Result nvmlDeviceGetCudaComputeCapability(Handle* device, int* major, int* minor) {
  return with_device(device, major, [&](const Handle& handle) {
    if (!minor) return INVALID_ARGUMENT;
    *major = handle.info->major;
    *minor = handle.info->minor;
    return SUCCESS;
  });
}

EXPORTED Result nvmlDeviceGetComputeMode(Handle* device, unsigned* mode) {
  return with_device(device, mode, [&](const Handle&) {
    *mode = emulated::is_exclusive() ? COMPUTE_MODE_EXCLUSIVE_PROCESS : COMPUTE_MODE_DEFAULT;
    return SUCCESS;
  });
}

EXPORTED Result nvmlDeviceGetPciInfo_v3(Handle* device, PciInfo* pci) {
  return with_device(device, pci, [&](const Handle& handle) {
    *pci = {};
    pci->bus = handle.info->bus();
    pci->device_id = PCI_DEVICE_ID;
    copy_text(pci->bus_id, sizeof pci->bus_id, bus_id(handle));
    copy_text(pci->legacy_bus_id, sizeof pci->legacy_bus_id, bus_id(handle).substr(4));
    return SUCCESS;
  });
}

// --- Slices.

EXPORTED Result nvmlDeviceGetMigMode(Handle* device, unsigned* current, unsigned* pending) {
  return with_device(device, current, [&](const Handle& handle) {
    if (!pending) return INVALID_ARGUMENT;
    if (handle.is_slice) return NOT_SUPPORTED;
    *current = *pending = emulated::is_sliced();
    return SUCCESS;
  });
}

EXPORTED Result nvmlDeviceGetMaxMigDeviceCount(Handle* device, unsigned* count) {
  return with_device(device, count, [&](const Handle& handle) {
    *count = emulated::is_sliced() && !handle.is_slice;
    return SUCCESS;
  });
}

EXPORTED Result nvmlDeviceGetMigDeviceHandleByIndex(Handle* device, unsigned index,
                                                    Handle** slice) {
  return with_device(device, slice, [&](const Handle& handle) {
    if (!emulated::is_sliced() || handle.is_slice) return NOT_SUPPORTED;
    if (index > 0) return NOT_FOUND;
    *slice = &handles(/*slices=*/true)[handle.info->index];
    return SUCCESS;
  });
}

EXPORTED Result nvmlDeviceIsMigDeviceHandle(Handle* device, unsigned* is_slice) {
  return with_device(device, is_slice, [&](const Handle& handle) {
    *is_slice = handle.is_slice;
    return SUCCESS;
  });
}

EXPORTED Result nvmlDeviceGetDeviceHandleFromMigDeviceHandle(Handle* slice, Handle** device) {
  return with_device(slice, device, [&](const Handle& handle) {
    if (!handle.is_slice) return INVALID_ARGUMENT;
    *device = &handles(/*slices=*/false)[handle.info->index];
    return SUCCESS;
  });
}
