// Batch normalisation, residual addition and ReLU on a GPU, in two kernels forward and two backward.
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "cuda_kernels.h"
#include "norm.h"

namespace fathom {

namespace {

// As in norm_cuda.cu.
constexpr int VECTOR = 4, THREADS = 256, UNROLL = 4;
// Most vectors of channels of one block, so that a block has several rows.
constexpr int TILE = 32;

at::Tensor floats(const at::Tensor& like, at::IntArrayRef sizes) {
  return at::empty(sizes, like.options().dtype(at::kFloat));
}

// Numbers of rows, channels and parts of a batch, and the blocks that share the work.
struct Work {
  int device;
  const NormKernels* kernels;
  int64_t rows, part_rows;
  int channels, tile, tiles, parts;

  Work(const at::Tensor& x, int64_t part)
      : device(x.get_device()),
        kernels(norm_kernels(device, x.scalar_type() == at::kBFloat16)),
        rows(x.numel() / x.size(1)),
        part_rows(part > 0 ? rows / x.size(0) * part : rows),
        channels(int(x.size(1))) {
    const int vectors = channels / VECTOR;
    tile = std::min(TILE, vectors);
    tiles = (vectors + tile - 1) / tile;
    parts = int((rows + part_rows - 1) / part_rows);
  }

  // Blocks of a part: enough to fill the device `waves` times, if every thread has UNROLL rows or more.
  Grid grid(int waves) const {
    const int64_t block_rows = int64_t(THREADS / tile) * UNROLL;
    const int64_t useful = (part_rows + block_rows - 1) / block_rows;
    const int64_t share = std::max(1, waves * multiprocessors(device) / (tiles * parts));
    return {unsigned(std::min(useful, share)), unsigned(tiles), unsigned(parts)};
  }

  template <class... Arguments>
  void run(CudaFunction kernel, Grid grid, Arguments... arguments) const {
    void* pointers[] = {static_cast<void*>(&arguments)...};
    launch(device, kernel, grid, THREADS, pointers);
  }
};

constexpr int WAVES_OF_SUMS = 2, WAVES = 8;

const void* stored(const at::Tensor& x) { return x.defined() ? x.const_data_ptr() : nullptr; }

at::Tensor forward(const at::Tensor& x, const at::Tensor& added, const NormRelu& how, at::Tensor& mean,
                   at::Tensor& inverse, bool in_place) {
  const Work work(x, how.part);
  const float eps = float(how.eps);
  if (how.training) {
    const Grid grid = work.grid(WAVES_OF_SUMS);
    const at::Tensor partial = floats(x, {int64_t(grid.x) * work.parts * 2 * work.channels});
    work.run(work.kernels->moments, grid, stored(x), work.rows, work.part_rows, work.channels, work.tile, eps,
             float(how.update), mean.data_ptr(), inverse.data_ptr(), how.mean.data_ptr(), how.variance.data_ptr(),
             partial.data_ptr(), counters(work.device, int64_t(work.parts) * work.tiles));
  }
  at::Tensor y = in_place ? x : at::empty_like(x);
  work.run(work.kernels->apply, work.grid(WAVES), stored(x), stored(added), y.data_ptr(), work.rows, work.part_rows,
           work.channels, work.tile, eps, !how.training, how.relu, stored(how.gamma), stored(how.beta),
           stored(how.training ? mean : how.mean), stored(how.training ? inverse : how.variance));
  return y;
}

// Gradients by x, by the added shortcut, by γ and by β.
std::vector<at::Tensor> backward(const at::Tensor& x, const at::Tensor& y, const at::Tensor& dy,
                                 const at::Tensor& gamma, const at::Tensor& mean, const at::Tensor& inverse,
                                 bool has_added, int64_t part) {
  const Work work(x, part);
  // The gradient of the shortcut is the gradient that passes ReLU.
  const bool is_kept = has_added && y.defined();
  const at::Tensor passed = !has_added ? at::Tensor() : is_kept ? at::empty_like(x) : dy;
  const at::Tensor d_gamma = at::empty_like(gamma), d_beta = at::empty_like(gamma);
  const at::Tensor coefficients = floats(x, {int64_t(work.parts) * 3 * work.channels});
  const Grid grid = work.grid(WAVES_OF_SUMS);
  const at::Tensor partial = floats(x, {int64_t(grid.x) * work.parts * 2 * work.channels});
  work.run(work.kernels->backward_sums, grid, stored(x), stored(y), stored(dy),
           is_kept ? passed.data_ptr() : nullptr, work.rows, work.part_rows, work.channels, work.tile, stored(gamma),
           stored(mean), stored(inverse), d_gamma.data_ptr(), d_beta.data_ptr(), coefficients.data_ptr(),
           partial.data_ptr(), counters(work.device, work.tiles));
  const at::Tensor dx = at::empty_like(x);
  // The kept gradient is masked already.
  work.run(work.kernels->backward_apply, work.grid(WAVES), stored(x), is_kept ? nullptr : stored(y),
           is_kept ? stored(passed) : stored(dy), dx.data_ptr(), work.rows, work.part_rows, work.channels, work.tile,
           stored(coefficients));
  return {dx, passed, d_gamma, d_beta};
}

at::Tensor in_rows(const at::Tensor& values) {
  return values.contiguous(values.dim() == 4 ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous);
}

at::Tensor per_part(const at::Tensor& x, const NormRelu& how) {
  return floats(x, {Work(x, how.part).parts, x.size(1)});
}

struct Function : torch::autograd::Function<Function> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const std::optional<at::Tensor>& more, const at::Tensor& gamma,
                            const at::Tensor& /* beta */, const NormRelu* how) {
    const at::Tensor added = more.value_or(at::Tensor());
    at::Tensor mean = per_part(x, *how), inverse = per_part(x, *how);
    const at::Tensor y = fathom::forward(x, added, *how, mean, inverse, false);
    context->save_for_backward({x, how->relu ? y : at::Tensor(), gamma, mean, inverse});
    context->saved_data["added"] = added.defined();
    context->saved_data["part"] = how->part;
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto found = fathom::backward(saved[0], saved[1], in_rows(gradients[0]), saved[2], saved[3], saved[4],
                                        context->saved_data["added"].toBool(), context->saved_data["part"].toInt());
    return {found[0], found[1], found[2], found[3], at::Tensor()};
  }
};

}  // namespace

at::Tensor norm_relu_cuda(const at::Tensor& x, const at::Tensor& added, const NormRelu& how) {
  const at::Tensor more = added.defined() ? in_rows(added) : added;
  if (how.training && at::GradMode::is_enabled())
    return Function::apply(x, more.defined() ? std::optional(more) : std::nullopt, how.gamma, how.beta, &how);
  const at::NoGradGuard guard;
  at::Tensor mean, inverse;
  if (how.training) {
    mean = per_part(x, how);
    inverse = at::empty_like(mean);
  }
  return forward(x, more, how, mean, inverse, how.overwrite);
}

}  // namespace fathom
