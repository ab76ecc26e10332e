// What the process asked of its devices: totals in EMULATED_CUDA_STATS, the order in
// EMULATED_CUDA_TRACE.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>

#include "emulator.h"

namespace emulated {

namespace {

std::mutex mutex;

// Never destroyed: threads may count until the process is gone.
std::map<std::string, int64_t>& counters() {
  static auto* const all = new std::map<std::string, int64_t>;
  return *all;
}

FILE* trace() {
  static FILE* const file = [] {
    const std::string path = text("EMULATED_CUDA_TRACE", "");
    FILE* const file = path.empty() ? nullptr : std::fopen(path.c_str(), "a");
    if (file) std::setvbuf(file, nullptr, _IOLBF, 0);
    return file;
  }();
  return file;
}

// Writes the totals when the process ends, by one call, so that blocks of processes do not mix.
struct Report {
  ~Report() {
    const std::string path = text("EMULATED_CUDA_STATS", "");
    if (path.empty()) return;
    const std::lock_guard<std::mutex> lock(mutex);
    std::string block = "process " + std::to_string(getpid()) + "\n";
    for (const auto& [what, total] : counters()) {
      if (total == 0) continue;
      char line[32];
      std::snprintf(line, sizeof line, "%15lld ", static_cast<long long>(total));
      block += line + what + "\n";
    }
    const int file = open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (file < 0 || write(file, block.data(), block.size()) != ssize_t(block.size()))
      std::perror("EMULATED_CUDA_STATS");
    if (file >= 0) close(file);
  }
} report;

}  // namespace

void count(const std::string& what, int64_t more) {
  const std::lock_guard<std::mutex> lock(mutex);
  counters()[what] += more;
  if (trace()) std::fprintf(trace(), "%s\n", what.c_str());
}

void count_call(const std::string& what) {
  count(what);
  const std::lock_guard<std::mutex> lock(mutex);
  ++counters()["CALLS"];
}

void count_peak(const std::string& what, int64_t value) {
  const std::lock_guard<std::mutex> lock(mutex);
  int64_t& peak = counters()[what];
  if (peak < value) peak = value;
}

}  // namespace emulated
