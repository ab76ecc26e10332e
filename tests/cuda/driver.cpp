// libcuda.so.1: what the CUDA driver tells about its devices. They are those that
// CUDA_VISIBLE_DEVICES leaves, in its order, as for libtorch.
#include <cstdio>

#include "machine.h"

using emulated::DeviceInfo;

namespace {

using Result = int;  // CUresult
using Device = int;  // CUdevice

constexpr Result SUCCESS = 0, INVALID_VALUE = 1, NOT_INITIALIZED = 3, NO_DEVICE = 100,
                 INVALID_DEVICE = 101;

// Values of CUdevice_attribute.
enum Attribute : int {
  MULTIPROCESSOR_COUNT = 16,
  COMPUTE_MODE = 20,
  PCI_BUS_ID = 33,
  PCI_DEVICE_ID = 34,
  PCI_DOMAIN_ID = 50,
  COMPUTE_CAPABILITY_MAJOR = 75,
  COMPUTE_CAPABILITY_MINOR = 76,
};

// Values of CUcomputemode.
constexpr int COMPUTE_MODE_DEFAULT = 0, COMPUTE_MODE_EXCLUSIVE_PROCESS = 3;

constexpr int MULTIPROCESSORS = 132, SLICE_MULTIPROCESSORS = 16;

bool is_initialized = false;

constexpr struct {
  Result result;
  const char *name, *description;
} ERRORS[] = {
    {SUCCESS, "CUDA_SUCCESS", "no error"},
    {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
};

// Calls f(device), where the call is permitted and there is such a device.
template <class F>
Result with_device(const void* result, Device index, F&& f) {
  if (!is_initialized) return NOT_INITIALIZED;
  if (!result) return INVALID_VALUE;
  const auto& all = emulated::visible_devices();
  if (index < 0 || index >= static_cast<Device>(all.size())) return INVALID_DEVICE;
  return f(all[index]);
}

Result copy_text(char* to, int size, const std::string& text) {
  if (size <= 0) return INVALID_VALUE;
  std::snprintf(to, size, "%s", text.c_str());
  return SUCCESS;
}

}  // namespace

#define EXPORTED extern "C" __attribute__((visibility("default")))

EXPORTED Result cuInit(unsigned flags) {
  if (flags != 0) return INVALID_VALUE;
  if (emulated::visible_devices().empty()) return NO_DEVICE;
  is_initialized = true;
  return SUCCESS;
}

EXPORTED Result cuDriverGetVersion(int* version) {
  if (!version) return INVALID_VALUE;
  *version = emulated::driver_cuda_version();
  return SUCCESS;
}

EXPORTED Result cuDeviceGetCount(int* count) {
  if (!is_initialized) return NOT_INITIALIZED;
  if (!count) return INVALID_VALUE;
  *count = static_cast<int>(emulated::visible_devices().size());
  return SUCCESS;
}

EXPORTED Result cuDeviceGet(Device* device, int index) {
  return with_device(device, index, [&](const DeviceInfo&) {
    *device = index;
    return SUCCESS;
  });
}

EXPORTED Result cuDeviceGetName(char* name, int size, Device device) {
  return with_device(name, device, [&](const DeviceInfo& info) {
    return copy_text(name, size, emulated::is_sliced() ? info.slice_name() : info.name);
  });
}

EXPORTED Result cuDeviceTotalMem_v2(size_t* bytes, Device device) {
  return with_device(bytes, device, [&](const DeviceInfo& info) {
    *bytes = info.memory;
    return SUCCESS;
  });
}

EXPORTED Result cuDeviceGetAttribute(int* value, Attribute attribute, Device device) {
  return with_device(value, device, [&](const DeviceInfo& info) {
    switch (attribute) {
      case MULTIPROCESSOR_COUNT:
        *value = emulated::is_sliced() ? SLICE_MULTIPROCESSORS : MULTIPROCESSORS;
        break;
      case COMPUTE_MODE:
        *value = emulated::is_exclusive() ? COMPUTE_MODE_EXCLUSIVE_PROCESS : COMPUTE_MODE_DEFAULT;
        break;
      case PCI_BUS_ID: *value = info.bus(); break;
      case PCI_DEVICE_ID: *value = 0; break;
      case PCI_DOMAIN_ID: *value = 0; break;
      case COMPUTE_CAPABILITY_MAJOR: *value = info.major; break;
      case COMPUTE_CAPABILITY_MINOR: *value = info.minor; break;
      default: return INVALID_VALUE;
    }
    return SUCCESS;
  });
}

// The UUID of the GPU, even where the device is a slice of it.
EXPORTED Result cuDeviceGetUuid(emulated::Uuid* uuid, Device device) {
  return with_device(uuid, device, [&](const DeviceInfo& info) {
    *uuid = info.uuid;
    return SUCCESS;
  });
}

// The UUID of the device: of the slice, where it is one.
EXPORTED Result cuDeviceGetUuid_v2(emulated::Uuid* uuid, Device device) {
  return with_device(uuid, device, [&](const DeviceInfo& info) {
    *uuid = emulated::is_sliced() ? info.slice_uuid : info.uuid;
    return SUCCESS;
  });
}

EXPORTED Result cuDeviceGetPCIBusId(char* written, int size, Device device) {
  return with_device(written, device, [&](const DeviceInfo& info) {
    char id[32];
    std::snprintf(id, sizeof id, "%04x:%02x:%02x.0", 0, info.bus(), 0);
    return copy_text(written, size, id);
  });
}

EXPORTED Result cuGetErrorString(Result result, const char** description) {
  if (!description) return INVALID_VALUE;
  *description = nullptr;
  for (const auto& error : ERRORS)
    if (error.result == result) *description = error.description;
  return *description ? SUCCESS : INVALID_VALUE;
}

EXPORTED Result cuGetErrorName(Result result, const char** name) {
  if (!name) return INVALID_VALUE;
  *name = nullptr;
  for (const auto& error : ERRORS)
    if (error.result == result) *name = error.name;
  return *name ? SUCCESS : INVALID_VALUE;
}
