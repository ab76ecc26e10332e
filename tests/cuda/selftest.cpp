// Checks that the emulated device does what a device does, and refuses what a device refuses.
#include "selftest.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

namespace selftest {

namespace {

int failures = 0;

const std::string& folder() {
  static const std::string path = [] {
    std::string name = std::filesystem::temp_directory_path() / "emulated.XXXXXX";
    TORCH_CHECK(mkdtemp(name.data()), "cannot create ", name);
    return name;
  }();
  return path;
}

// As an argument of a shell.
std::string quoted(const std::string& text) { return "'" + text + "'"; }

}  // namespace

void check(bool holds, const std::string& what, const std::string& otherwise) {
  std::cout << (holds ? "ok      " : "FAILED  ") << what << std::endl;
  if (!holds && !otherwise.empty()) std::cout << "        " << otherwise << std::endl;
  failures += !holds;
}

std::string output(const std::string& scenario, const Environment& environment) {
  std::string command = "exec env -i";
  if (const char* const path = std::getenv("LD_LIBRARY_PATH"))
    command += " LD_LIBRARY_PATH=" + quoted(path);
  for (const auto& [name, value] : environment) command += " " + name + "=" + quoted(value);
  command += " " + quoted(std::filesystem::read_symlink("/proc/self/exe")) + " " + scenario;
  FILE* const pipe = popen((command + " 2>&1").c_str(), "r");
  TORCH_CHECK(pipe, "cannot run ", command);
  std::string printed;
  char part[4096];
  while (const size_t bytes = std::fread(part, 1, sizeof part, pipe)) printed.append(part, bytes);
  pclose(pipe);
  return printed;
}

void expect(const std::string& scenario, const Environment& environment,
            const std::string& expected, const std::string& what) {
  const std::string printed = output(scenario, environment);
  check(printed == expected, what, printed);
}

std::string file(const std::string& name) { return folder() + "/" + name; }

std::string read(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

void write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

static int run_all() {
  setenv("EMULATED_CUDA_DEVICES", "2", 1);
  setenv("EMULATED_CUDA_MEMORY", "268435456", 1);
  if (!dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL)) {
    std::cerr << dlerror() << std::endl;
    return 1;
  }
  for (const auto test : {test_device, test_graphs, test_processes, test_drivers, test_program_kernels}) try {
      test();
    } catch (const std::exception& error) {
      check(false, "no error ends the checks early", error.what());
    }
  std::filesystem::remove_all(folder());
  std::cout << (failures ? std::to_string(failures) + " checks failed" : "all well") << std::endl;
  return failures ? 1 : 0;
}

}  // namespace selftest

int main(int count, char** arguments) {
  if (count > 1) return selftest::play(arguments[1]);
  std::vector<std::string> set = {"CUDA_VISIBLE_DEVICES"};
  for (char** variable = environ; *variable; ++variable)
    if (const std::string name = *variable; name.rfind("EMULATED_CUDA_", 0) == 0)
      set.push_back(name.substr(0, name.find('=')));
  for (const std::string& name : set) unsetenv(name.c_str());
  return selftest::run_all();
}
