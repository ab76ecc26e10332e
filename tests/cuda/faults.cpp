// How a device fails: it is lost, has no kernels, or is taken by another process.
#include <c10/util/Exception.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <mutex>

#include "emulator.h"

namespace emulated {

namespace {

// Values of cudaError_t by their descriptions.
constexpr struct {
  const char* description;
  int code;
} ERRORS[] = {
    {"invalid argument", 1},
    {"out of memory", 2},
    {"CUDA-capable device(s) is/are busy or unavailable", 46},
    {"no CUDA-capable device is detected", 100},
    {"invalid device ordinal", 101},
    {"no kernel image is available for execution on the device", 209},
    {"uncorrectable ECC error encountered", 214},
    {"an illegal memory access was encountered", 700},
    {"the launch timed out and was terminated", 702},
    {"device-side assert triggered", 710},
    {"an illegal instruction was encountered", 715},
    {"unspecified launch failure", 719},
    {"operation not permitted when stream is capturing", 900},
    {"operation failed due to a previous error during capture", 901},
    {"operation would make the legacy stream depend on a capturing blocking stream", 906},
};

constexpr int UNKNOWN_ERROR = 999;

}  // namespace

void cuda_error(const std::string& description) {
  int code = UNKNOWN_ERROR;
  for (const auto& error : ERRORS)
    if (description == error.description) code = error.code;
  throw c10::AcceleratorError(
      {__func__, __FILE__, __LINE__}, code,
      "CUDA error: " + description +
          "\nCUDA kernel errors might be asynchronously reported at some other API call, so the "
          "stacktrace below might be incorrect.\nFor debugging consider passing "
          "CUDA_LAUNCH_BLOCKING=1\nCompile with `TORCH_USE_CUDA_DSA` to enable device-side "
          "assertions.\n");
}

// --- Loss of a device.

static std::atomic<int64_t> work_done{0};

void count_work() { ++work_done; }

// Whether this process is one that loses its device: with EMULATED_CUDA_LOST_ONCE, only the process
// that creates the file is.
static bool loses_device() {
  static const bool loses = [] {
    const std::string path = text("EMULATED_CUDA_LOST_ONCE", "");
    if (path.empty()) return true;
    const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file >= 0) close(file);
    return file >= 0;
  }();
  return loses;
}

void check_alive(int device) {
  static const int64_t limit = number("EMULATED_CUDA_LOST", -1);
  static const int64_t affected = number("EMULATED_CUDA_LOST_DEVICE", -1);
  static const std::string error = text("EMULATED_CUDA_LOST_ERROR", "unspecified launch failure");
  if (limit < 0 || work_done < limit) return;
  const bool is_affected = affected < 0 || affected == visible_devices()[device].index;
  if (is_affected && loses_device()) cuda_error(error);
}

// --- Kernels.

void check_kernels(int device) {
  static const bool has_none = number("EMULATED_CUDA_NO_KERNELS", 0) != 0;
  const DeviceInfo& info = visible_devices()[device];
  // libtorch 2.11.0 for CUDA 13 has kernels from capability 7.5 on.
  if (has_none || std::make_pair(info.major, info.minor) < std::make_pair(7, 5))
    cuda_error("no kernel image is available for execution on the device");
}

// --- Exclusive-process mode: a file in the folder EMULATED_CUDA_EXCLUSIVE, named after a device's
// index, holds the number of the process that has the device.

namespace {

bool is_running(long process) {
  if (kill(static_cast<pid_t>(process), 0) != 0 && errno != EPERM) return false;
  // A process that ended keeps its number until its parent has waited for it.
  char state = 0;
  const std::string path = "/proc/" + std::to_string(process) + "/stat";
  if (FILE* const file = std::fopen(path.c_str(), "r")) {
    if (std::fscanf(file, "%*d (%*[^)]) %c", &state) != 1) state = 0;
    std::fclose(file);
  }
  return state != 'Z' && state != 'X';
}

// The number in a file; -1 where there is none.
long owner(const std::string& path) {
  long process = -1;
  if (FILE* const file = std::fopen(path.c_str(), "r")) {
    if (std::fscanf(file, "%ld", &process) != 1) process = -1;
    std::fclose(file);
  }
  return process;
}

class Claims {
 public:
  ~Claims() {
    for (int device = 0; device < MAX_DEVICES; ++device)
      if (is_held_[device] && owner(path(device)) == getpid()) unlink(path(device).c_str());
  }

  // Whether this process has the device now.
  bool take(int device) {
    if (directory_.empty() || is_held_[device]) return true;
    const std::lock_guard<std::mutex> guard(mutex_);
    if (is_held_[device]) return true;
    mkdir(directory_.c_str(), 0777);  // It may exist.
    // The lock keeps two processes from replacing the same file of a process that ended.
    const int lock = open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    TORCH_CHECK(lock >= 0 && flock(lock, LOCK_EX) == 0, "cannot lock ", directory_);
    const bool is_taken = create(path(device));
    close(lock);
    is_held_[device] = is_taken;
    return is_taken;
  }

 private:
  std::string path(int device) const {
    return directory_ + "/" + std::to_string(visible_devices()[device].index);
  }

  static bool create(const std::string& path) {
    for (int attempt = 0; attempt < 2; ++attempt) {
      const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (file >= 0) {
        const bool is_written = dprintf(file, "%d\n", getpid()) > 0;
        close(file);
        TORCH_CHECK(is_written, "cannot write ", path);
        return true;
      }
      TORCH_CHECK(errno == EEXIST, "cannot create ", path);
      const long process = owner(path);
      if (process == getpid()) return true;
      if (process < 0 || is_running(process)) return false;
      unlink(path.c_str());
    }
    return false;
  }

  const std::string directory_ = text("EMULATED_CUDA_EXCLUSIVE", "");
  std::mutex mutex_;
  std::atomic<bool> is_held_[MAX_DEVICES] = {};
} claims;

}  // namespace

void open_device(int device) {
  if (!claims.take(device)) cuda_error("CUDA-capable device(s) is/are busy or unavailable");
}

}  // namespace emulated
