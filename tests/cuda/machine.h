// The emulated machine: its driver and its devices, as environment variables describe them. The
// three libraries share this file; it uses nothing of libtorch.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace emulated {

constexpr int MAX_DEVICES = 8;

// The value of an environment variable, or `otherwise` where it is unset or empty.
std::string text(const char* variable, const char* otherwise);
int64_t number(const char* variable, int64_t otherwise);

using Uuid = std::array<unsigned char, 16>;
// "GPU-" or "MIG-" followed by the usual groups of hexadecimal digits.
std::string write_uuid(const char* prefix, const Uuid& uuid);

struct DeviceInfo {
  int index;  // among all devices of the machine
  std::string name;
  int major, minor;  // compute capability
  int64_t memory;    // bytes
  Uuid uuid;
  Uuid slice_uuid;  // of the device's only MIG slice

  int bus() const { return 0x10 + index; }  // of PCI; domain and device are 0
  std::string slice_name() const { return name + " MIG 1g.5gb"; }
};

// Whether every device is in MIG mode, with one slice.
bool is_sliced();
bool is_exclusive();

// All devices of the machine, which NVML lists.
const std::vector<DeviceInfo>& installed_devices();
// Those that CUDA_VISIBLE_DEVICES leaves to CUDA, in CUDA's order.
const std::vector<DeviceInfo>& visible_devices();

// The newest CUDA version that the driver supports, as 1000 * major + 10 * minor.
int driver_cuda_version();
std::string driver_version();

}  // namespace emulated
