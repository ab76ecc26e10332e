// Checks of captured work, in the process of the self-test.
#include <dlfcn.h>
#include <torch/csrc/autograd/autograd.h>

#include <functional>

#include "selftest_torch.h"

namespace selftest {

namespace {

// at::cuda::CUDAGraph, by the names of its members in libtorch 2.11.0.
class Graph {
 public:
  Graph() { symbol<void(void*, bool)>("_ZN2at4cuda9CUDAGraphC1Eb")(object_, false); }
  ~Graph() { symbol<void(void*)>("_ZN2at4cuda9CUDAGraphD1Ev")(object_); }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  void begin() {
    using Pool = std::pair<unsigned long long, unsigned long long>;
    constexpr auto NAME = "_ZN2at4cuda9CUDAGraph13capture_beginESt4pairIyyE21cudaStreamCaptureMode";
    symbol<void(void*, Pool, int)>(NAME)(object_, {0, 0}, 0);
  }
  void end() { symbol<void(void*)>("_ZN2at4cuda9CUDAGraph11capture_endEv")(object_); }
  void replay() { symbol<void(void*)>("_ZN2at4cuda9CUDAGraph6replayEv")(object_); }

 private:
  template <class F>
  static F* symbol(const char* name) {
    void* const found = dlsym(RTLD_DEFAULT, name);
    TORCH_CHECK(found, name, " is missing");
    return reinterpret_cast<F*>(found);
  }

  alignas(64) unsigned char object_[512] = {};
};

// Whether f is refused during a capture, and invalidates it.
void capture_refuses(const std::function<void()>& f, const std::string& what) {
  Graph graph;
  graph.begin();
  refuses(f, "operation not permitted when stream is capturing", "a capture permits no " + what);
  refuses([] { return at::ones({3}, GPU) + 1; }, "previous error during capture",
          "work in an invalid capture is refused after a " + what);
  refuses([&] { graph.end(); }, "previous error during capture",
          "a capture is invalid after a " + what);
}

void test_replays() {
  const auto options = at::device(GPU);
  Tensor x = at::ones({3}, options), sum = at::zeros({}, options);
  const Tensor w = at::full({3}, 2.0, options).requires_grad_();
  double factor = 10;
  Tensor gradient;
  const auto work = [&] {
    const Tensor loss = (w * x * factor).sum();
    gradient = torch::autograd::grad({loss}, {w})[0];
    const at::NoGradGuard no_gradients;
    sum += loss;
  };
  work();
  Graph graph;
  refuses([&] { graph.replay(); }, "without a preceding successful capture",
          "a graph without a capture is refused");
  graph.begin();
  work();
  graph.end();
  check(gradient.isnan().all().item<bool>(), "after a capture, its results hold NaN");
  check(sum.item<float>() == 60, "a capture does nothing");
  factor = 1000;
  x.fill_(2);
  graph.replay();
  check(sum.item<float>() == 180, "a replay takes new contents of tensors, and captured numbers");
  check(gradient.sum().item<float>() == 60, "a replay repeats the backward pass, in place");
  refuses([&] { graph.begin(); }, "already owns", "a graph holds one capture");
  x = Tensor();
  refuses([&] { graph.replay(); }, "freed", "a replay that uses freed memory is refused");
}

void test_dropout() {
  const Tensor x = at::ones({64}, at::device(GPU));
  (void)at::dropout(x, 0.5, true);
  at::manual_seed(11);
  const Tensor expected = at::dropout(x, 0.5, true), next = at::dropout(x, 0.5, true);
  at::manual_seed(11);
  Graph graph;
  graph.begin();
  const Tensor y = at::dropout(x, 0.5, true);
  graph.end();
  graph.replay();
  check(y.equal(expected), "a capture does not advance the generator");
  graph.replay();
  check(y.equal(next), "a replay advances the generator");
}

void test_refusals() {
  const Tensor x = at::ones({3}, at::device(GPU)), host = at::ones({3});
  const c10::impl::VirtualGuardImpl cuda(c10::DeviceType::CUDA);
  capture_refuses([&] { (void)x.sum().item<float>(); }, "read of a value");
  capture_refuses([&] { (void)host.to(GPU); }, "copy from the host");
  capture_refuses([&] { (void)x.to(at::kCPU); }, "copy to the host");
  capture_refuses([&] { (void)x.nonzero(); }, "result whose shape depends on values");
  capture_refuses([&] { cuda.synchronizeDevice(0); }, "wait for a device");
  capture_refuses([&] { cuda.synchronizeStream(cuda.getStream(GPU)); }, "wait for a stream");
  { const Tensor cached = at::empty({12345}, at::device(GPU)); }
  capture_refuses([] { allocator().emptyCache(); }, "freeing of cached memory");
  at::globalContext().setBenchmarkCuDNN(true);
  const Tensor image = at::ones({1, 1, 5, 5}, at::device(GPU)), kernel = image.slice(2, 0, 3);
  capture_refuses([&] { (void)at::conv2d(image, kernel); }, "search of cuDNN");
  const auto convolve = [&] { return at::conv2d(image, kernel.slice(3, 0, 3)); };
  (void)convolve();
  {
    Graph graph;
    graph.begin();
    const Tensor y = convolve();
    graph.end();
    graph.replay();
    check(y.sum().item<float>() == 81, "a convolution whose search is over can be captured");
  }
  at::globalContext().setBenchmarkCuDNN(false);
  Graph graph;
  graph.begin();
  refuses([] { at::manual_seed(1); }, "during CUDA graph capture", "a capture permits no seed");
  Graph second;
  refuses([&] { second.begin(); }, "under way", "captures do not overlap");
  const auto stream = cuda.exchangeStream(cuda.getDefaultStream(GPU));
  refuses([&] { return x + 1; }, "legacy stream", "a capture permits no work on the default one");
  refuses([&] { graph.end(); }, "same stream", "a capture ends on the stream that it began on");
  cuda.exchangeStream(stream);
  graph.end();
}

}  // namespace

void test_graphs() {
  const c10::impl::VirtualGuardImpl cuda(c10::DeviceType::CUDA);
  cuda.setDevice(GPU);
  {
    Graph graph;
    refuses([&] { graph.begin(); }, "non-default stream", "the default stream is not captured");
  }
  const auto before = cuda.exchangeStream(cuda.getStreamFromGlobalPool(GPU));
  test_replays();
  test_dropout();
  test_refusals();
  {
    Graph abandoned;
    abandoned.begin();
  }
  check((at::ones({3}, at::device(GPU)) + 1).sum().item<float>() == 6,
        "a graph that is destroyed ends its capture");
  cuda.exchangeStream(before);
}

}  // namespace selftest
