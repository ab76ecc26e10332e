// Checks of libcuda.so.1 and libnvidia-ml.so.1, in processes that load no device library.
#include <dlfcn.h>

#include <cstdio>
#include <iostream>

#include "selftest.h"

namespace selftest {

namespace {

// A library's functions, which return an error number.
class Library {
 public:
  explicit Library(const char* name) : library_(dlopen(name, RTLD_NOW)) {
    TORCH_CHECK(library_, dlerror());
  }

  // Calls a function; returns its error number.
  template <class... A>
  int call(const char* name, A... arguments) const {
    void* const function = dlsym(library_, name);
    TORCH_CHECK(function, name, " is missing");
    return reinterpret_cast<int (*)(A...)>(function)(arguments...);
  }

  // Calls a function that writes a number.
  template <class T = int, class... A>
  T get(const char* name, A... arguments) const {
    T value = 0;
    const int error = call(name, &value, arguments...);
    if (error) std::cout << name << " failed: " << error << std::endl;
    return value;
  }

 private:
  void* library_;
};

std::string digits(const unsigned char (&bytes)[16]) {
  std::string all;
  for (const unsigned char byte : bytes) {
    char two[3];
    std::snprintf(two, sizeof two, "%02x", byte);
    all += two;
  }
  return all;
}

struct Pci {
  char legacy_bus_id[16];
  unsigned domain, bus, device, device_id, subsystem_id;
  char bus_id[32];
};
struct Memory {
  unsigned version;
  unsigned long long total, reserved, free, used;
};

}  // namespace

// Prints what the driver says.
int play_driver() {
  const Library cuda("libcuda.so.1");
  std::cout << "version " << cuda.get("cuDriverGetVersion") << std::endl;
  int count = 0;
  std::cout << "before cuInit " << cuda.call("cuDeviceGetCount", &count) << std::endl;
  const int status = cuda.call("cuInit", 0u);
  const char *name = nullptr, *description = nullptr;
  cuda.call("cuGetErrorName", status, &name);
  cuda.call("cuGetErrorString", status, &description);
  std::cout << name << ", " << description << std::endl;
  if (status) return 0;
  count = cuda.get("cuDeviceGetCount");
  for (int index = 0; index < count; ++index) {
    const int device = cuda.get("cuDeviceGet", index);
    char name[64], bus[32];
    unsigned char uuid[16], gpu[16];
    cuda.call("cuDeviceGetName", static_cast<char*>(name), 64, device);
    cuda.call("cuDeviceGetPCIBusId", static_cast<char*>(bus), 32, device);
    cuda.call("cuDeviceGetUuid_v2", &uuid, device);
    cuda.call("cuDeviceGetUuid", &gpu, device);
    const auto attribute = [&](int which) {
      return cuda.get("cuDeviceGetAttribute", which, device);
    };
    std::cout << name << ", " << attribute(75) << "." << attribute(76) << ", mode " << attribute(20)
              << ", " << attribute(16) << " multiprocessors, "
              << cuda.get<size_t>("cuDeviceTotalMem_v2", device) << " bytes, " << bus << " = "
              << attribute(50) << ":" << attribute(33) << ":" << attribute(34) << ", "
              << digits(uuid) << " of " << digits(gpu) << std::endl;
  }
  int device = 0;
  std::cout << "one more " << cuda.call("cuDeviceGet", &device, count) << std::endl;
  return 0;
}

// Prints what the management library says.
int play_management() {
  const Library nvml("libnvidia-ml.so.1");
  unsigned count = 0;
  std::cout << "before nvmlInit " << nvml.call("nvmlDeviceGetCount_v2", &count) << std::endl;
  nvml.call("nvmlInit_v2");
  char text[96];
  nvml.call("nvmlSystemGetDriverVersion", static_cast<char*>(text), 80u);
  std::cout << text << ", CUDA " << nvml.get("nvmlSystemGetCudaDriverVersion_v2") << std::endl;
  count = nvml.get<unsigned>("nvmlDeviceGetCount_v2");
  for (unsigned index = 0; index < count; ++index) {
    void *device = nullptr, *slice = nullptr, *same = nullptr;
    nvml.call("nvmlDeviceGetHandleByIndex_v2", index, &device);
    nvml.call("nvmlDeviceGetName", device, static_cast<char*>(text), 96u);
    std::cout << text;
    Memory memory = {};
    nvml.call("nvmlDeviceGetMemoryInfo_v2", device, &memory);
    int major = 0, minor = 0;
    nvml.call("nvmlDeviceGetCudaComputeCapability", device, &major, &minor);
    unsigned mode = 0, mig = 0, pending = 0, slices = 0;
    nvml.call("nvmlDeviceGetComputeMode", device, &mode);
    nvml.call("nvmlDeviceGetMigMode", device, &mig, &pending);
    nvml.call("nvmlDeviceGetMaxMigDeviceCount", device, &slices);
    Pci pci = {};
    nvml.call("nvmlDeviceGetPciInfo_v3", device, &pci);
    std::cout << ", " << major << "." << minor << ", mode " << mode << ", MIG " << mig << ", "
              << memory.total << " bytes, " << pci.bus_id;
    nvml.call("nvmlDeviceGetUUID", device, static_cast<char*>(text), 96u);
    nvml.call("nvmlDeviceGetHandleByUUID", static_cast<const char*>(text), &same);
    std::cout << ", " << text << (same == device ? "" : " is another device");
    if (slices && !nvml.call("nvmlDeviceGetMigDeviceHandleByIndex", device, 0u, &slice)) {
      nvml.call("nvmlDeviceGetUUID", slice, static_cast<char*>(text), 96u);
      std::cout << " with " << text;
    }
    std::cout << std::endl;
  }
  void* device = nullptr;
  const int error = nvml.call("nvmlDeviceGetHandleByIndex_v2", count, &device);
  using Words = const char* (*)(int);
  void* const library = dlopen("libnvidia-ml.so.1", RTLD_NOW);
  std::cout << "one more: " << reinterpret_cast<Words>(dlsym(library, "nvmlErrorString"))(error)
            << std::endl;
  nvml.call("nvmlShutdown");
  std::cout << "after nvmlShutdown " << nvml.call("nvmlDeviceGetCount_v2", &count) << std::endl;
  return 0;
}

void test_drivers() {
  expect("driver", {},
         "version 13000\nbefore cuInit 3\nCUDA_SUCCESS, no error\n"
         "Emulated device, 9.0, mode 0, 132 multiprocessors, 4294967296 bytes, 0000:10:00.0 = "
         "0:16:0, e0010000cda040008000000000000001 of e0010000cda040008000000000000001\n"
         "one more 101\n",
         "libcuda describes the device");
  expect("management", {},
         "before nvmlInit 1\n580.65.06, CUDA 13000\n"
         "Emulated device, 9.0, mode 0, MIG 0, 4294967296 bytes, 00000000:10:00.0, "
         "GPU-e0010000-cda0-4000-8000-000000000001\n"
         "one more: A supplied argument is invalid\nafter nvmlShutdown 1\n",
         "NVML describes the device");
  const Environment described = {
      {"EMULATED_CUDA_DEVICES", "2"},          {"EMULATED_CUDA_NAME", "Large,Small"},
      {"EMULATED_CUDA_CAPABILITY", "10.0,8.6"}, {"EMULATED_CUDA_MEMORY", "1048576"},
      {"EMULATED_CUDA_DRIVER", "570.1"},       {"EMULATED_CUDA_DRIVER_CUDA", "12.8"},
      {"EMULATED_CUDA_EXCLUSIVE", file("unused")}, {"CUDA_VISIBLE_DEVICES", "1"}};
  expect("driver", described,
         "version 12080\nbefore cuInit 3\nCUDA_SUCCESS, no error\n"
         "Small, 8.6, mode 3, 132 multiprocessors, 1048576 bytes, 0000:11:00.0 = 0:17:0, "
         "e0010001cda040008000000000000002 of e0010001cda040008000000000000002\none more 101\n",
         "libcuda follows the variables and CUDA_VISIBLE_DEVICES");
  expect("management", described,
         "before nvmlInit 1\n570.1, CUDA 12080\n"
         "Large, 10.0, mode 3, MIG 0, 1048576 bytes, 00000000:10:00.0, "
         "GPU-e0010000-cda0-4000-8000-000000000001\n"
         "Small, 8.6, mode 3, MIG 0, 1048576 bytes, 00000000:11:00.0, "
         "GPU-e0010001-cda0-4000-8000-000000000002\n"
         "one more: A supplied argument is invalid\nafter nvmlShutdown 1\n",
         "NVML follows the variables, and lists hidden devices");
  const Environment sliced = {{"EMULATED_CUDA_MIG", "1"}};
  expect("driver", sliced,
         "version 13000\nbefore cuInit 3\nCUDA_SUCCESS, no error\n"
         "Emulated device MIG 1g.5gb, 9.0, mode 0, 16 multiprocessors, 4294967296 bytes, "
         "0000:10:00.0 = 0:16:0, e0020000cda040008000000000000001 of "
         "e0010000cda040008000000000000001\none more 101\n",
         "libcuda gives a slice and its UUID");
  expect("management", sliced,
         "before nvmlInit 1\n580.65.06, CUDA 13000\n"
         "Emulated device, 9.0, mode 0, MIG 1, 4294967296 bytes, 00000000:10:00.0, "
         "GPU-e0010000-cda0-4000-8000-000000000001 with MIG-e0020000-cda0-4000-8000-000000000001\n"
         "one more: A supplied argument is invalid\nafter nvmlShutdown 1\n",
         "NVML gives the device and its slice");
  expect("driver", {{"CUDA_VISIBLE_DEVICES", ""}},
         "version 13000\nbefore cuInit 3\n"
         "CUDA_ERROR_NO_DEVICE, no CUDA-capable device is detected\n",
         "libcuda has no device where all are hidden");
}

}  // namespace selftest
