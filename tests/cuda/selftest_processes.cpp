// Checks of what environment variables change, each in a process of its own.
#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <sstream>
#include <thread>

#include "selftest_torch.h"

namespace selftest {

namespace {

// Prints the first line of the error that f throws, or what f returns.
template <class F>
void print(F&& f) {
  try {
    std::cout << f() << std::endl;
  } catch (const c10::Error& error) {
    const std::string message = error.what_without_backtrace();
    std::cout << message.substr(0, message.find('\n')) << std::endl;
  }
}

float add(const char* device) {
  return (at::ones({3}, c10::Device(device)) + 1).sum().item<float>();
}

// --- Scenarios.

void play_work() {
  for (int step = 0; step < 3; ++step) print([] { return add("cuda:0"); });
}

void play_two_devices() {
  print([] { return add("cuda:0"); });
  print([] { return add("cuda:1"); });
}

void play_copy() {
  print([] { return at::ones({3}).to(GPU).clone().to(at::kCPU).numel(); });
  print([] { return add("cuda:0"); });
}

void play_count() {
  print([] { return int(c10::impl::VirtualGuardImpl(c10::DeviceType::CUDA).deviceCount()); });
}

// Uses a device while another process tries to.
void play_hold() {
  const Tensor held = at::ones({3}, GPU);
  const Environment environment = {
      {"EMULATED_CUDA_DEVICES", "2"},
      {"EMULATED_CUDA_EXCLUSIVE", std::getenv("EMULATED_CUDA_EXCLUSIVE")}};
  std::cout << output("two_devices", environment);
}

void play_statistics() {
  const Tensor x = at::ones({1, 1, 5, 5}, GPU);
  const Tensor y = at::zeros({1, 1, 5, 5}).to(x.device());
  at::globalContext().setBenchmarkCuDNN(true);
  for (int step = 0; step < 3; ++step) (void)at::conv2d(x, y);
  std::thread([&] { (void)at::conv2d(x, y); }).join();
  (void)x.to(at::kCPU);
  allocator().emptyCache();
}

void play_noise() {
  const Tensor x = at::ones({1, 1, 64, 64}, GPU), kernel = at::ones({1, 1, 1, 1}, GPU);
  print([&] { return (at::conv2d(x, kernel) - 1).abs().max().item<float>(); });
}

void play_nan() {
  const Tensor x = at::zeros({3}, GPU);
  (void)(x / x);
}

void play_large_product() {
  const auto options = at::dtype(at::kBFloat16).device(GPU);
  const Tensor x = at::empty({4096, 4096}, options), y = at::empty({4096, 4096}, options);
  Tensor z = at::empty({4096, 4096}, options);
  for (int step = 0; step < 100; ++step) at::mm_out(z, x, y);
}

// --- Checks.

const std::string LOST = "CUDA error: unspecified launch failure\n";
const std::string NO_KERNELS =
    "CUDA error: no kernel image is available for execution on the device\n";
const std::string NO_DEVICE = "CUDA error: no CUDA-capable device is detected\n";
const std::string BUSY = "CUDA error: CUDA-capable device(s) is/are busy or unavailable\n";

void test_loss() {
  expect("work", {}, "6\n6\n6\n", "a device works");
  expect("work", {{"EMULATED_CUDA_LOST", "7"}}, "6\n6\n" + LOST,
         "a device is lost after so many pieces of work");
  expect("work", {{"EMULATED_CUDA_LOST", "4"}}, "6\n" + LOST + LOST, "a lost device stays lost");
  expect("work",
         {{"EMULATED_CUDA_LOST", "0"}, {"EMULATED_CUDA_LOST_ERROR", "unknown error"}},
         "CUDA error: unknown error\nCUDA error: unknown error\nCUDA error: unknown error\n",
         "the error of a lost device can be chosen");
  expect("two_devices",
         {{"EMULATED_CUDA_DEVICES", "2"},
          {"EMULATED_CUDA_LOST", "0"},
          {"EMULATED_CUDA_LOST_DEVICE", "0"}},
         LOST + "6\n", "one device can be lost alone");
  const Environment once = {{"EMULATED_CUDA_LOST", "7"}, {"EMULATED_CUDA_LOST_ONCE", file("lost")}};
  expect("work", once, "6\n6\n" + LOST, "with a file, the first process loses the device");
  expect("work", once, "6\n6\n6\n", "with a file, the next process keeps the device");
}

void test_kernels() {
  expect("copy", {}, "3\n6\n", "copies work");
  expect("copy", {{"EMULATED_CUDA_NO_KERNELS", "1"}}, "3\n" + NO_KERNELS,
         "without kernels, copies work and launches do not");
  expect("copy", {{"EMULATED_CUDA_CAPABILITY", "7.0"}}, "3\n" + NO_KERNELS,
         "libtorch has no kernels for a device of capability 7.0");
}

void test_visibility() {
  const auto visible = [](const char* list, const char* expected, const std::string& what) {
    expect("count", {{"EMULATED_CUDA_DEVICES", "3"}, {"CUDA_VISIBLE_DEVICES", list}}, expected,
           "CUDA_VISIBLE_DEVICES: " + what);
  };
  expect("count", {{"EMULATED_CUDA_DEVICES", "3"}}, "3\n", "all devices are visible");
  expect("count", {{"EMULATED_CUDA_DEVICES", "0"}}, "0\n", "a machine can have no device");
  expect("copy", {{"EMULATED_CUDA_DEVICES", "0"}}, NO_DEVICE + NO_DEVICE,
         "a machine without a device refuses to use one");
  visible("", "0\n", "an empty list hides all devices");
  visible("2,0", "2\n", "indices");
  visible(" 1 , 2 ", "2\n", "blanks are ignored");
  visible("1,7,0", "1\n", "an index that does not exist ends the list");
  visible("0,-1,1", "1\n", "a negative index ends the list");
  visible("0,0", "0\n", "a device that is listed twice makes the list invalid");
  visible("GPU-e0010001-cda0-4000-8000-000000000002", "1\n", "a UUID");
  visible("GPU-e0010002,GPU-e0010000", "2\n", "the start of a UUID");
  visible("GPU-e001,0", "0\n", "an ambiguous start is invalid");
  visible("MIG-e0020000", "0\n", "a slice, where there are none, is invalid");
  const auto slices = [](const char* list, const char* expected, const std::string& what) {
    expect("count",
           {{"EMULATED_CUDA_DEVICES", "3"},
            {"EMULATED_CUDA_MIG", "1"},
            {"CUDA_VISIBLE_DEVICES", list}},
           expected, "MIG: " + what);
  };
  slices("MIG-e0020001-cda0-4000-8000-000000000002", "1\n", "a slice's UUID");
  slices("MIG-e0020001,MIG-e0020000", "1\n", "CUDA uses one slice only");
  slices("MIG-ffff", "0\n", "an unknown slice is invalid");
  write(file("devices"), "2\n");
  expect("count", {{"EMULATED_CUDA_DEVICES_FILE", file("devices")}}, "2\n",
         "a file can hold the number of devices");
  const std::string old = output("count", {{"EMULATED_CUDA_DRIVER_CUDA", "12.8"}});
  check(old.find("driver on your system is too old (found version 12080)") != old.npos &&
            old.substr(old.size() - 2) == "0\n",
        "with a driver for CUDA 12, libtorch sees no device", old);
}

void test_exclusive_mode() {
  const std::string folder = file("exclusive");
  const Environment variables = {{"EMULATED_CUDA_DEVICES", "2"},
                                 {"EMULATED_CUDA_EXCLUSIVE", folder}};
  expect("hold", variables, BUSY + "6\n", "exclusive mode: a device that is in use is refused");
  check(!std::filesystem::exists(folder + "/0"), "exclusive mode: the end of a process frees it");
  expect("two_devices", variables, "6\n6\n", "exclusive mode: the next process gets it");
  write(folder + "/1", std::to_string(getpid()) + "\n");
  expect("two_devices", variables, "6\n" + BUSY, "exclusive mode: a running process keeps it");
  Environment second = variables;
  second.emplace_back("CUDA_VISIBLE_DEVICES", "1");
  expect("copy", second, BUSY + BUSY, "exclusive mode: devices count as the machine's");
  write(folder + "/1", "999999999\n");
  expect("two_devices", variables, "6\n6\n", "exclusive mode: a process that ended does not");
}

// The value of a counter in the only block of a file.
int64_t counter(const std::string& block, const std::string& name) {
  std::istringstream lines(block);
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line)) {
    std::istringstream fields(line);
    int64_t value = 0;
    std::string rest;
    fields >> value >> std::ws;
    std::getline(fields, rest);
    if (rest == name) return value;
  }
  return 0;
}

void test_statistics() {
  output("statistics", {{"EMULATED_CUDA_STATS", file("statistics")},
                        {"EMULATED_CUDA_TRACE", file("trace")},
                        {"EMULATED_CUDA_FIND_MS", "1"}});
  const std::string block = read(file("statistics"));
  const auto is = [&](const char* name, int64_t expected) {
    check(counter(block, name) == expected,
          std::string("statistics: ") + std::to_string(expected) + " " + name, block);
  };
  check(block.rfind("process ", 0) == 0, "statistics: a block starts with its process", block);
  is("aten::convolution", 4);
  is("aten::fill_.Scalar", 1);
  is("LAUNCH", 5);
  is("CUDNN search", 2);
  is("WAIT cuDNN search", 2);
  is("WAIT copy to the device", 1);
  is("WAIT copy to the host", 1);
  is("BYTES to the device", 100);
  is("BYTES to the host", 100);
  is("EMPTY CACHE", 1);
  is("CALLS", 5 + 4);
  is("REPLAY", 0);
  is("BYTES reserved peak cuda:0", 3 * 512);
  const std::string trace = read(file("trace"));
  check(trace.rfind("LAUNCH\naten::fill_.Scalar\n", 0) == 0,
        "the trace has events in their order", trace);
  output("work", {{"EMULATED_CUDA_STATS", file("statistics")}});
  const std::string both = read(file("statistics"));
  check(both.rfind(block, 0) == 0 && both.find("\nprocess ") != both.npos,
        "statistics: every process adds a block", both);
}

void test_arithmetic() {
  expect("noise", {}, "0\n", "convolutions are exact");
  const float noise = std::stof(output("noise", {{"EMULATED_CUDA_NOISE", "3"}}));
  check(noise > 1e-4 && noise < 1e-1, "EMULATED_CUDA_NOISE makes them differ");
  expect("nan", {{"EMULATED_CUDA_FIND_NAN", "1"}},
         "emulated CUDA: aten::div returned NaN; its inputs: [3] [3]\n",
         "EMULATED_CUDA_FIND_NAN names the operation that returns NaN first");
  expect("large_product", {{"EMULATED_CUDA_SKIP", "1"}}, "", "large products can be left out");
}

}  // namespace

int play(const std::string& scenario) {
  if (scenario == "driver") return play_driver();
  if (scenario == "management") return play_management();
  if (!dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL)) {
    std::cerr << dlerror() << std::endl;
    return 1;
  }
  const std::pair<const char*, void (*)()> scenarios[] = {
      {"work", play_work},         {"two_devices", play_two_devices},
      {"copy", play_copy},         {"count", play_count},
      {"hold", play_hold},         {"statistics", play_statistics},
      {"noise", play_noise},       {"nan", play_nan},
      {"large_product", play_large_product},
  };
  for (const auto& [name, play] : scenarios)
    if (scenario == name) return play(), 0;
  std::cerr << scenario << " is not a scenario" << std::endl;
  return 2;
}

void test_processes() {
  test_loss();
  test_kernels();
  test_visibility();
  test_exclusive_mode();
  test_statistics();
  test_arithmetic();
}

}  // namespace selftest
