// Work and its capture: at::cuda::CUDAGraph, by the five members that programs look up by name.
#include <ATen/core/Generator.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <set>

#include "emulator.h"

namespace emulated {

struct Graph {
  std::vector<Work> work;
  std::vector<std::vector<uint64_t>> allocations;  // of what each piece of work uses
  int device = 0;
  int64_t stream = 0;
  uint64_t pool = 0;
  std::function<void()> restore;  // undoes what the work of the capture wrote
  c10::intrusive_ptr<c10::TensorImpl> random;
  bool is_ready = false;
  bool is_replayed = false;
  std::atomic<bool> is_invalid{false};

  void begin();
  void end();
  // Ends the capture, and undoes all effects of its work.
  void stop();
  void replay();
  ~Graph();
};

namespace {

std::mutex mutex;
std::atomic<Graph*> capture{nullptr};
std::set<const Graph*> graphs;  // guarded by mutex

void run(const Work& work, int device) {
  check_alive(device);
  count_work();
  count(work.name);
  work.run();
}

}  // namespace

bool is_replayed(const void* p) {
  const std::lock_guard<std::mutex> lock(mutex);
  for (const Graph* const graph : graphs)
    for (const Work& work : graph->work)
      if (graph->is_replayed && std::count(work.uses.begin(), work.uses.end(), p)) return true;
  return false;
}

bool has_capture() { return capture != nullptr; }

bool is_capturing() {
  const Graph* const graph = capture;
  return graph && current_stream(graph->device) == graph->stream;
}

void refuse_during_capture() {
  Graph* const graph = capture;
  if (!graph) return;
  graph->is_invalid = true;
  cuda_error("operation not permitted when stream is capturing");
}

void wait(const std::string& what) {
  count_call("WAIT " + what);
  refuse_during_capture();
  check_alive(current_device());
}

void submit(int device, Work work) {
  if (work.is_kernel) check_kernels(device);
  Graph* const graph = capture;
  if (graph && device == graph->device && current_stream(device) == 0)
    cuda_error("operation would make the legacy stream depend on a capturing blocking stream");
  for (const void* const p : work.uses) check_stream(p);
  if (!graph || current_stream(device) != graph->stream) {
    count_call("LAUNCH");
    return run(work, device);
  }
  if (graph->is_invalid) cuda_error("operation failed due to a previous error during capture");
  work.run();
  const std::lock_guard<std::mutex> lock(mutex);
  std::vector<uint64_t> allocations;
  for (const void* p : work.uses) allocations.push_back(allocation(p, graph->pool));
  graph->allocations.push_back(std::move(allocations));
  graph->work.push_back(std::move(work));
}

void Graph::begin() {
  device = current_device();
  stream = current_stream(device);
  TORCH_CHECK(!is_ready, "This CUDAGraph instance already owns a captured graph.");
  TORCH_CHECK(stream != 0,
              "CUDA graphs must be captured on a non-default stream. (However, after capture, it's "
              "ok to replay them on the default stream.)");
  TORCH_CHECK(!capture, "emulated CUDA: another capture is under way");
  open_device(device);
  check_alive(device);
  restore = snapshot(device);
  random = generator(device).unsafeGetGeneratorImpl()->get_state();
  pool = begin_pool(device);
  capture = this;
}

void Graph::stop() {
  end_pool(device);
  capture = nullptr;
  invalidate_pool(pool);
  restore();
  restore = {};
  generator(device).unsafeGetGeneratorImpl()->set_state(*random);
}

void Graph::end() {
  TORCH_CHECK(capture == this && current_stream(device) == stream,
              "Capture must end on the same stream it began on.");
  stop();
  if (is_invalid) cuda_error("operation failed due to a previous error during capture");
  is_ready = true;
  {
    const std::lock_guard<std::mutex> lock(mutex);
    graphs.insert(this);
  }
  count("CAPTURE");
  count("CAPTURED", work.size());
}

void Graph::replay() {
  TORCH_CHECK(is_ready, "Called CUDAGraph::replay without a preceding successful capture.");
  count_call("REPLAY");
  is_replayed = true;
  for (size_t at = 0; at < work.size(); ++at) {
    for (size_t use = 0; use < work[at].uses.size(); ++use) {
      const uint64_t captured = allocations[at][use];
      TORCH_CHECK(!captured || captured == allocation(work[at].uses[use]), "emulated CUDA: ",
                  work[at].name, " of a graph uses memory that was freed after the capture");
    }
    run(work[at], device);
  }
}

Graph::~Graph() {
  if (capture == this) stop();
  {
    const std::lock_guard<std::mutex> lock(mutex);
    graphs.erase(this);
  }
  if (pool) free_pool(pool);
}

}  // namespace emulated

enum cudaStreamCaptureMode { cudaStreamCaptureModeGlobal = 0 };

namespace at::cuda {

using Pool = std::pair<unsigned long long, unsigned long long>;

// The names of the members, and with them their signatures, are those of libtorch 2.11.0.
struct __attribute__((visibility("default"))) CUDAGraph {
  explicit CUDAGraph(bool keep_graph);
  ~CUDAGraph();
  void capture_begin(Pool pool, cudaStreamCaptureMode mode);
  void capture_end();
  void replay();
  emulated::Graph* graph;
};

CUDAGraph::CUDAGraph(bool) : graph(new emulated::Graph) {}
CUDAGraph::~CUDAGraph() { delete graph; }
void CUDAGraph::capture_begin(Pool, cudaStreamCaptureMode) { graph->begin(); }
void CUDAGraph::capture_end() { graph->end(); }
void CUDAGraph::replay() { graph->replay(); }

}  // namespace at::cuda
