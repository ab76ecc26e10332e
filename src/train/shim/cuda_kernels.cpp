#include "cuda_kernels.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/Exception.h>
#include <dlfcn.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace fathom {

namespace {

const char* const SOURCE =
#include "norm_cuda.h"
    ;

// Attributes of a device: CU_DEVICE_ATTRIBUTE_…
constexpr int MULTIPROCESSOR_COUNT = 16, CAPABILITY_MAJOR = 75, CAPABILITY_MINOR = 76;

// NVRTC and the driver, whose headers are not needed: their interfaces are stable.
struct Library {
  using Program = void*;
  using Module = void*;

  void* const handle = open();
#define FUNCTION(name, ...) int (*const name)(__VA_ARGS__) = find<int(__VA_ARGS__)>(#name)
  FUNCTION(nvrtcVersion, int* major, int* minor);
  FUNCTION(nvrtcGetNumSupportedArchs, int* count);
  FUNCTION(nvrtcGetSupportedArchs, int* archs);
  FUNCTION(nvrtcCreateProgram, Program*, const char* source, const char* name, int headers,
           const char* const* texts, const char* const* names);
  FUNCTION(nvrtcDestroyProgram, Program*);
  FUNCTION(nvrtcCompileProgram, Program, int options, const char* const*);
  FUNCTION(nvrtcGetProgramLogSize, Program, size_t*);
  FUNCTION(nvrtcGetProgramLog, Program, char*);
  FUNCTION(nvrtcGetCUBINSize, Program, size_t*);
  FUNCTION(nvrtcGetCUBIN, Program, char*);
  FUNCTION(nvrtcGetPTXSize, Program, size_t*);
  FUNCTION(nvrtcGetPTX, Program, char*);
  FUNCTION(cuInit, unsigned flags);
  FUNCTION(cuDeviceGetAttribute, int* value, int attribute, int device);
  FUNCTION(cuCtxGetDevice, int* device);
  FUNCTION(cuModuleLoadData, Module*, const void* image);
  FUNCTION(cuModuleGetFunction, CudaFunction*, Module, const char* name);
  FUNCTION(cuLaunchKernel, CudaFunction, unsigned grid_x, unsigned grid_y, unsigned grid_z,
           unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared, void* stream,
           void** arguments, void** extra);
  FUNCTION(cuGetErrorString, int status, const char** text);
#undef FUNCTION

  static const Library& get() {
    static const Library library;
    return library;
  }

  void checked(int status, const char* what) const {
    if (status == 0) return;
    const char* text = nullptr;
    cuGetErrorString(status, &text);
    TORCH_CHECK(false, "CUDA error: ", what, ": ", text ? text : std::to_string(status));
  }

  int attribute(int device, int which) const {
    int value = 0;
    checked(cuDeviceGetAttribute(&value, which, device), "reading an attribute of the device");
    return value;
  }

 private:
  // libcaffe2_nvrtc.so is libtorch's own way to NVRTC: it depends on the library of the right version and on
  // the driver, so their functions are found through it.
  static void* open() {
    void* const found = dlopen("libcaffe2_nvrtc.so", RTLD_NOW | RTLD_LOCAL);
    TORCH_CHECK(found, "NVRTC is not usable: ", dlerror());
    return found;
  }

  template <class F>
  F* find(const char* name) const {
    void* const symbol = dlsym(handle, name);
    TORCH_CHECK(symbol, "NVRTC or the driver has no ", name);
    return reinterpret_cast<F*>(symbol);
  }

  // NVRTC looks for its second library by name alone, so that is loaded first, from beside it.
  Library() {
    int major = 0, minor = 0;
    Dl_info about = {};
    if (nvrtcVersion(&major, &minor) != 0 || !dladdr(reinterpret_cast<void*>(nvrtcVersion), &about)) return;
    const std::string path = about.dli_fname;
    const std::string folder = path.substr(0, path.find_last_of('/') + 1);
    const std::string version = std::to_string(major) + "." + std::to_string(minor);
    dlopen((folder + "libnvrtc-builtins.so." + version).c_str(), RTLD_NOW | RTLD_GLOBAL);
  }
};

// The architecture to compile for: the newest that NVRTC knows and the device can run.
std::string architecture(const Library& library, int capability) {
  int count = 0;
  library.nvrtcGetNumSupportedArchs(&count);
  std::vector<int> known(std::max(count, 1));
  library.nvrtcGetSupportedArchs(known.data());
  int best = 0;
  for (const int arch : known)
    if (arch <= capability) best = std::max(best, arch);
  TORCH_CHECK(best > 0, "NVRTC does not support GPUs of capability ", capability / 10, ".", capability % 10);
  // Machine code runs on later devices of the same major capability, PTX on all later ones.
  return (best / 10 == capability / 10 ? "sm_" : "compute_") + std::to_string(best);
}

std::string compiled(const Library& library, const std::string& arch, bool bf16) {
  Library::Program program = nullptr;
  TORCH_CHECK(library.nvrtcCreateProgram(&program, SOURCE, "norm_cuda.cu", 0, nullptr, nullptr) == 0,
              "NVRTC takes no source");
  const std::unique_ptr<void, std::function<void(void*)>> guard(
      program, [&](void* it) { library.nvrtcDestroyProgram(&it); });
  const std::string target = "--gpu-architecture=" + arch;
  std::vector<const char*> options = {target.c_str(), "--std=c++17"};
  if (bf16) options.push_back("-DFATHOM_BF16");
  size_t size = 0;
  const int status = library.nvrtcCompileProgram(program, int(options.size()), options.data());
  if (status != 0) {
    library.nvrtcGetProgramLogSize(program, &size);
    std::string log(size, ' ');
    library.nvrtcGetProgramLog(program, log.data());
    TORCH_CHECK(false, "NVRTC fails with code ", status, ": ", log.c_str());
  }
  const bool is_machine_code = arch[0] == 's';
  (is_machine_code ? library.nvrtcGetCUBINSize : library.nvrtcGetPTXSize)(program, &size);
  std::string image(size, '\0');
  (is_machine_code ? library.nvrtcGetCUBIN : library.nvrtcGetPTX)(program, image.data());
  return image;
}

// The kernels of a device for values in f32 and bf16.
struct Loaded {
  int multiprocessors = 0;
  NormKernels kernels[2] = {};
  at::Tensor counters;
};

constexpr int64_t COUNTERS = 4096;

// By device. Kernels are added before training begins and never removed.
std::vector<Loaded>& loaded() {
  // Not destroyed, since the device may be gone by then.
  static auto* const all = new std::vector<Loaded>;
  return *all;
}

}  // namespace

void load_norm_kernels(int device, bool bf16) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  if (norm_kernels(device, bf16)) return;
  const Library& library = Library::get();
  if (loaded().size() <= size_t(device)) loaded().resize(device + 1);
  const c10::Device at(c10::DeviceType::CUDA, c10::DeviceIndex(device));
  c10::impl::VirtualGuardImpl(c10::DeviceType::CUDA).setDevice(at);
  // With the first memory of the device, libtorch's context becomes the current one of this thread.
  counters(device, COUNTERS);
  library.checked(library.cuInit(0), "starting the driver");
  int of_driver = 0;
  library.checked(library.cuCtxGetDevice(&of_driver), "looking for the current device");
  const int capability = 10 * library.attribute(of_driver, CAPABILITY_MAJOR) +
                         library.attribute(of_driver, CAPABILITY_MINOR);
  const std::string arch = architecture(library, capability);
  const std::string image = compiled(library, arch, bf16);
  Library::Module module = nullptr;
  library.checked(library.cuModuleLoadData(&module, image.data()), "loading kernels");
  const auto get = [&](const char* name) {
    CudaFunction function = nullptr;
    library.checked(library.cuModuleGetFunction(&function, module, name), name);
    return function;
  };
  loaded()[device].kernels[bf16] = {get("moments"), get("apply"), get("backward_sums"), get("backward_apply")};
  loaded()[device].multiprocessors = library.attribute(of_driver, MULTIPROCESSOR_COUNT);
}

const NormKernels* norm_kernels(int device, bool bf16) {
  if (loaded().size() <= size_t(device)) return nullptr;
  const NormKernels& found = loaded()[device].kernels[bf16];
  return found.moments ? &found : nullptr;
}

int multiprocessors(int device) { return loaded().at(device).multiprocessors; }

unsigned* counters(int device, int64_t count) {
  at::Tensor& own = loaded().at(device).counters;
  if (!own.defined() || own.numel() < count)
    own = at::zeros({count}, at::TensorOptions(at::kInt).device(at::kCUDA, c10::DeviceIndex(device)));
  return static_cast<unsigned*>(own.data_ptr());
}

void launch(int device, CudaFunction kernel, Grid grid, unsigned threads, void** arguments) {
  const c10::impl::VirtualGuardImpl cuda(c10::DeviceType::CUDA);
  void* const stream =
      cuda.getStream(c10::Device(c10::DeviceType::CUDA, c10::DeviceIndex(device))).native_handle();
  const Library& library = Library::get();
  library.checked(library.cuLaunchKernel(kernel, grid.x, grid.y, grid.z, threads, 1, 1, 0, stream, arguments,
                                         nullptr),
                  "starting a kernel");
}

}  // namespace fathom
