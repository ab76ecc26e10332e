// Operations of the host and kernels of a GPU, as libtorch's profiler records them.
#include <torch/csrc/autograd/profiler_kineto.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "caught.h"

namespace {

using torch::autograd::profiler::KinetoEvent;
using torch::profiler::impl::ActivityType;

// An operation of the host that has not ended, and the time of the operations inside it.
struct Open {
  const KinetoEvent* event;
  uint64_t inner_ns;
};

// Calls and nanoseconds by place and name. An operation's time excludes the operations inside it.
class Totals {
 public:
  void add(const std::vector<KinetoEvent>& events) {
    std::map<uint64_t, std::vector<const KinetoEvent*>> threads;
    for (const auto& event : events) {
      if (event.isHiddenEvent()) continue;
      if (event.deviceType() != c10::DeviceType::CPU) {
        count("device", event, event.durationNs());
      } else {
        threads[event.startThreadId()].push_back(&event);
      }
    }
    for (auto& [thread, of_thread] : threads) add_nested(of_thread);
  }

  // One line for each operation: place, calls, nanoseconds and name, separated by tabs.
  std::string lines() const {
    std::string text;
    for (const auto& [key, total] : totals_) {
      text += key.first + '\t' + std::to_string(total.first) + '\t' +
              std::to_string(total.second) + '\t' + key.second + '\n';
    }
    return text;
  }

 private:
  void count(const char* place, const KinetoEvent& event, uint64_t ns) {
    auto& [calls, total] = totals_[{place, event.name()}];
    calls += 1;
    total += ns;
  }

  // Events of one thread are nested or follow each other.
  void add_nested(std::vector<const KinetoEvent*>& events) {
    const auto order = [](const KinetoEvent* event) {
      return std::make_tuple(event->startNs(), ~event->durationNs());
    };
    std::stable_sort(events.begin(), events.end(),
                     [&](auto* left, auto* right) { return order(left) < order(right); });
    std::vector<Open> open;
    const auto close = [&] {
      const auto [event, inner] = open.back();
      open.pop_back();
      const uint64_t whole = event->durationNs();
      count("host", *event, whole - std::min(inner, whole));
      if (!open.empty()) open.back().inner_ns += whole;
    };
    for (const auto* event : events) {
      while (!open.empty() && open.back().event->endNs() <= event->startNs()) close();
      open.push_back({event, 0});
    }
    while (!open.empty()) close();
  }

  std::map<std::pair<std::string, std::string>, std::pair<uint64_t, uint64_t>> totals_;
};

torch::profiler::impl::ProfilerConfig config() {
  return torch::profiler::impl::ProfilerConfig(torch::profiler::impl::ProfilerState::KINETO);
}

std::set<ActivityType> activities(bool cuda) {
  std::set<ActivityType> all = {ActivityType::CPU};
  if (cuda) all.insert(ActivityType::CUDA);
  return all;
}

}  // namespace

extern "C" {

bool fathom_profile_begin(bool cuda) {
  return caught(false, [&] {
    const auto recorded = activities(cuda);
    torch::autograd::profiler::prepareProfiler(config(), recorded);
    torch::autograd::profiler::enableProfiler(
        config(), recorded, {at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION});
    return true;
  });
}

// The totals since fathom_profile_begin, valid until this thread's next call.
const char* fathom_profile_end() {
  return caught<const char*>(nullptr, [&] {
    thread_local std::string text;
    Totals totals;
    totals.add(torch::autograd::profiler::disableProfiler()->events());
    text = totals.lines();
    return text.c_str();
  });
}

}  // extern "C"
