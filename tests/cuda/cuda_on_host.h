// What a CUDA kernel needs to be compiled for the processor and run there: the threads of a block take
// turns at __syncthreads(), and blocks follow one another. A block has fewer threads than on a GPU, so that
// this is fast enough.
#pragma once
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>

namespace on_host {

constexpr int BLOCK = 32;

struct Index {
  unsigned x, y, z;
};
inline thread_local Index threadIdx, blockIdx, gridDim;

using std::min;

struct float4 {
  float x, y, z, w;
};
struct uint2 {
  unsigned x, y;
};
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

inline float __uint_as_float(unsigned bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
inline unsigned __float_as_uint(float value) {
  unsigned bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}
inline float rsqrtf(float x) { return 1 / std::sqrt(x); }
template <class T>
T __ldcg(const T* at) {
  return *at;
}
inline unsigned atomicAdd(unsigned* at, unsigned more) {
  const unsigned before = *at;
  *at += more;
  return before;
}
inline void __threadfence() {}

// The threads of a block.
struct Block {
  static constexpr size_t STACK = 32 << 10;
  ucontext_t host, threads[BLOCK];
  std::unique_ptr<char[]> stacks{new char[BLOCK * STACK]};
  bool has_ended[BLOCK];
  const std::function<void()>* kernel;

  static Block& own() {
    static thread_local Block block;
    return block;
  }

  static void enter() {
    Block& block = own();
    (*block.kernel)();
    block.has_ended[threadIdx.x] = true;
  }

  void run(const std::function<void()>& work) {
    kernel = &work;
    for (int t = 0; t < BLOCK; ++t) {
      getcontext(&threads[t]);
      threads[t].uc_stack.ss_sp = stacks.get() + t * STACK;
      threads[t].uc_stack.ss_size = STACK;
      threads[t].uc_link = &host;
      makecontext(&threads[t], enter, 0);
      has_ended[t] = false;
    }
    // Each round takes every thread to its next barrier, or to its end.
    while (!std::all_of(has_ended, has_ended + BLOCK, [](bool ended) { return ended; })) {
      for (int t = 0; t < BLOCK; ++t) {
        if (has_ended[t]) continue;
        threadIdx = {unsigned(t), 0, 0};
        swapcontext(&host, &threads[t]);
      }
    }
  }
};

inline void __syncthreads() {
  Block& block = Block::own();
  swapcontext(&block.threads[threadIdx.x], &block.host);
}

inline void run_grid(Index grid, const std::function<void()>& kernel) {
  gridDim = grid;
  for (unsigned z = 0; z < grid.z; ++z)
    for (unsigned y = 0; y < grid.y; ++y)
      for (unsigned x = 0; x < grid.x; ++x) {
        blockIdx = {x, y, z};
        Block::own().run(kernel);
      }
}

}  // namespace on_host

#define __device__
#define __shared__ static thread_local
