// NVRTC and the part of the driver that loads and starts kernels. "Compiling" the program's kernels finds
// those that this library was built with, from the same source, for the processor.
#include <c10/util/Exception.h>

#include <cstring>
#include <map>
#include <memory>
#include <tuple>

#include "emulator.h"
#include "kernels_on_host.h"

namespace {

constexpr int SUCCESS = 0, INVALID_INPUT = 3, COMPILATION = 6, NOT_FOUND = 500;
const char* const SOURCE =
#include "norm_cuda.h"
    ;

struct Program {
  std::string source;
  bool bf16 = false;
};

// A kernel: submits its work to the current stream.
using Kernel = std::function<void(const std::string& name, on_host::Index grid, void** arguments)>;

template <class T>
T at_host(T value, std::vector<const void*>& uses) {
  if constexpr (std::is_pointer_v<T>) {
    if (!value) return value;
    uses.push_back(value);
    return reinterpret_cast<T>(emulated::host(value));
  } else {
    return value;
  }
}

template <class... A, size_t... I>
Kernel kernel(void (*function)(A...), std::index_sequence<I...>) {
  return [=](const std::string& name, on_host::Index grid, void** arguments) {
    std::vector<const void*> uses;
    const std::tuple<A...> values{at_host(*static_cast<A*>(arguments[I]), uses)...};
    const auto run = [=] { on_host::run_grid(grid, [&] { std::apply(function, values); }); };
    emulated::submit(emulated::current_device(), {name, run, uses});
  };
}

template <class... A>
Kernel kernel(void (*function)(A...)) {
  return kernel(function, std::index_sequence_for<A...>());
}

using Module = std::map<std::string, Kernel>;

#define MODULE(kind)                                                                         \
  {                                                                                          \
    {"moments", kernel(on_host::kind::moments)}, {"apply", kernel(on_host::kind::apply)},    \
    {"backward_sums", kernel(on_host::kind::backward_sums)},                                 \
    {"backward_apply", kernel(on_host::kind::backward_apply)},                               \
  }
const Module MODULES[] = {MODULE(f32), MODULE(bf16)};

// What stands for machine code.
const char* const IMAGES[] = {"f32", "bf16"};

}  // namespace

#define EXPORTED extern "C" __attribute__((visibility("default")))

EXPORTED int nvrtcVersion(int* major, int* minor) {
  *major = 13;
  *minor = 0;
  return SUCCESS;
}

EXPORTED int nvrtcGetNumSupportedArchs(int* count) {
  *count = 6;
  return SUCCESS;
}

EXPORTED int nvrtcGetSupportedArchs(int* archs) {
  for (const int arch : {75, 80, 86, 90, 100, 120}) *archs++ = arch;
  return SUCCESS;
}

EXPORTED int nvrtcCreateProgram(Program** program, const char* source, const char*, int, const char* const*,
                                const char* const*) {
  *program = new Program{source};
  return SUCCESS;
}

EXPORTED int nvrtcDestroyProgram(Program** program) {
  delete *program;
  return SUCCESS;
}

EXPORTED int nvrtcCompileProgram(Program* program, int count, const char* const* options) {
  for (int i = 0; i < count; ++i) program->bf16 |= std::strcmp(options[i], "-DFATHOM_BF16") == 0;
  return program->source == SOURCE ? SUCCESS : COMPILATION;
}

static const char LOG[] = "the emulated device was built with other kernels";

EXPORTED int nvrtcGetProgramLogSize(Program*, size_t* size) {
  *size = sizeof LOG;
  return SUCCESS;
}

EXPORTED int nvrtcGetProgramLog(Program*, char* log) {
  std::strcpy(log, LOG);
  return SUCCESS;
}

EXPORTED int nvrtcGetCUBINSize(Program* program, size_t* size) {
  *size = std::strlen(IMAGES[program->bf16]) + 1;
  return SUCCESS;
}

EXPORTED int nvrtcGetCUBIN(Program* program, char* image) {
  std::strcpy(image, IMAGES[program->bf16]);
  return SUCCESS;
}

EXPORTED int nvrtcGetPTXSize(Program* program, size_t* size) { return nvrtcGetCUBINSize(program, size); }
EXPORTED int nvrtcGetPTX(Program* program, char* image) { return nvrtcGetCUBIN(program, image); }

EXPORTED int cuCtxGetDevice(int* device) {
  *device = emulated::current_device();
  return SUCCESS;
}

EXPORTED int cuModuleLoadData(const Module** module, const char* image) {
  *module = &MODULES[std::strcmp(image, IMAGES[1]) == 0];
  return SUCCESS;
}

EXPORTED int cuModuleGetFunction(const Module::value_type** function, const Module* module, const char* name) {
  const auto found = module->find(name);
  if (found == module->end()) return NOT_FOUND;
  *function = &*found;
  return SUCCESS;
}

EXPORTED int cuLaunchKernel(const Module::value_type* function, unsigned x, unsigned y, unsigned z, unsigned,
                            unsigned, unsigned, unsigned, void*, void** arguments, void**) {
  function->second("fathom::" + function->first, {x, y, z}, arguments);
  return SUCCESS;
}
