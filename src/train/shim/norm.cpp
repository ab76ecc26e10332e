#include "norm.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <string>
#include <vector>

#include "conv.h"
#include "isa.h"
#include "kernels.h"

namespace fathom {
const char* describe_kernels() {
#ifdef _OPENMP
  static const std::string threads = ", with threads";
#else
  static const std::string threads = ", one thread";
#endif
  static const std::string text = [] {
    switch (isa()) {
      case Isa::avx512: return "AVX-512";
      case Isa::avx2: return "AVX2";
      default: return "baseline instructions";
    }
  }() + threads;
  return text.c_str();
}

namespace {

// Number of values below which a second thread costs more time than it saves.
constexpr int64_t GRAIN = 32768;

// Memory layout of a batch: planes of one channel each (those of an image after each other, or in
// batch-last order those of all images as one), or rows of all channels.
struct Shape {
  enum class Order { planes, batch_last, rows };

  // Images whose values are stored one image after the other; in batch-last order 1.
  int64_t images, channels, size;
  Order order;

  explicit Shape(const at::Tensor& x) : images(x.size(0)), channels(x.size(1)) {
    size = x.numel() / std::max<int64_t>(1, images * channels);
    order = x.is_contiguous() && size > 1 ? Order::planes
            : is_batch_last(x)            ? Order::batch_last
                                          : Order::rows;
    if (order == Order::batch_last) {
      size *= images;
      images = 1;
    }
  }
  bool has_planes() const { return order != Order::rows; }
  int64_t image() const { return channels * size; }
  double values() const { return double(images) * size; }
  // Depends only on the shape and the number of threads, so that sums are reproducible.
  int64_t parts() const {
    const int64_t most = std::max<int64_t>(1, images * image() / GRAIN);
    const int64_t divisible = order == Order::batch_last ? size : images;
    return std::max<int64_t>(1, std::min({most, int64_t(at::get_num_threads()), divisible}));
  }
  // The values in this order, copied if they are in another one.
  at::Tensor in_order(const at::Tensor& values) const {
    switch (order) {
      case Order::planes: return values.contiguous();
      case Order::batch_last: return batch_last(values);
      default:
        return values.contiguous(values.dim() == 4 ? at::MemoryFormat::ChannelsLast
                                                   : at::MemoryFormat::Contiguous);
    }
  }

  // Calls f(offset, rows, channels, first channel, part) for pieces that the kernels support.
  template <class F>
  void each(F&& f) const {
    const int64_t n = parts();
    const auto part = [&](int64_t at) {
      if (order == Order::batch_last) {
        const int64_t from = size * at / n, to = size * (at + 1) / n;
        for (int64_t c = 0; c < channels; ++c) f(c * size + from, to - from, int64_t(1), c, at);
        return;
      }
      const int64_t from = images * at / n, to = images * (at + 1) / n;
      if (order == Order::rows) {
        return f(from * image(), (to - from) * size, channels, int64_t(0), at);
      }
      for (int64_t plane = from * channels; plane < to * channels; ++plane)
        f(plane * size, size, int64_t(1), plane % channels, at);
    };
    if (n == 1) return part(0);
    at::parallel_for(0, n, 1, [&](int64_t from, int64_t to) {
      for (int64_t at = from; at < to; ++at) part(at);
    });
  }
};

// Two sums for each channel. Each part has its own, which are added in the order of the parts.
struct Sums {
  int64_t channels;
  std::vector<double> all;
  // Padded, so that threads do not share cache lines.
  int64_t stride;

  explicit Sums(const Shape& shape)
      : channels(shape.channels), stride((2 * channels + 15) / 8 * 8) {
    all.assign(shape.parts() * stride, 0.0);
  }
  double* first(int64_t part) { return all.data() + part * stride; }
  double* second(int64_t part) { return first(part) + channels; }
  void add_up() {
    for (size_t at = stride; at < all.size(); ++at) all[at % stride] += all[at];
  }
};

template <class S>
const S* stored(const at::Tensor& x) {
  return static_cast<const S*>(x.const_data_ptr());
}

// Calls f with a value of the type in which the tensor's values are stored.
template <class F>
auto by_kind(const at::Tensor& x, F&& f) {
  switch (x.scalar_type()) {
    case at::kDouble: return f(double());
    case at::kBFloat16: return f(Bf16());
    default: return f(float());
  }
}

template <class S>
at::Tensor forward(const at::Tensor& x, const at::Tensor& added, const NormRelu& how,
                   at::Tensor& mean, at::Tensor& inverse, bool in_place) {
  using T = typename Computed<S>::Type;
  const Shape shape(x);
  const Kernels<S>& use = FATHOM_KERNELS(norm_kernels<S>);
  const S* values = stored<S>(x);
  const T *gamma = how.gamma.const_data_ptr<T>(), *beta = how.beta.const_data_ptr<T>();
  T *moving_mean = how.mean.data_ptr<T>(), *moving_variance = how.variance.data_ptr<T>();
  std::vector<T> scale(shape.channels), shift(shape.channels);
  const auto set = [&](int64_t c, double mu, double over_sigma) {
    const double a = gamma[c] * over_sigma;
    scale[c] = T(a);
    shift[c] = T(beta[c] - a * mu);
  };
  if (how.training) {
    // Sums are of differences from a value near the mean, the first of each channel, for accuracy.
    std::vector<T> about(shape.channels);
    for (int64_t c = 0; c < shape.channels; ++c) about[c] = value(values[shape.has_planes() ? c * shape.size : c]);
    Sums sums(shape);
    shape.each([&](int64_t at, int64_t rows, int64_t channels, int64_t c, int64_t part) {
      use.moments(values + at, rows, channels, about.data() + c, sums.first(part) + c,
                  sums.second(part) + c);
    });
    sums.add_up();
    T *mu = mean.data_ptr<T>(), *over_sigma = inverse.data_ptr<T>();
    const double n = shape.values();
    for (int64_t c = 0; c < shape.channels; ++c) {
      const double d = sums.first(0)[c] / n;
      const double variance = std::max(0.0, sums.second(0)[c] / n - d * d);
      const double m = about[c] + d, inverse = 1 / std::sqrt(variance + how.eps);
      mu[c] = T(m);
      over_sigma[c] = T(inverse);
      set(c, m, inverse);
      const double unbiased = variance * (n / std::max(1.0, n - 1));
      moving_mean[c] = T((1 - how.update) * moving_mean[c] + how.update * m);
      moving_variance[c] = T((1 - how.update) * moving_variance[c] + how.update * unbiased);
    }
  } else {
    for (int64_t c = 0; c < shape.channels; ++c)
      set(c, moving_mean[c], 1 / std::sqrt(moving_variance[c] + how.eps));
  }
  at::Tensor y = in_place ? x : at::empty_like(x);
  const S* more = added.defined() ? stored<S>(added) : nullptr;
  S* out = static_cast<S*>(y.data_ptr());
  shape.each([&](int64_t at, int64_t rows, int64_t channels, int64_t c, int64_t) {
    use.apply(values + at, more ? more + at : nullptr, out + at, rows, channels,
              scale.data() + c, shift.data() + c, how.relu);
  });
  return y;
}

// Gradients by x, by the added shortcut, by γ and by β.
template <class S>
std::vector<at::Tensor> backward(const at::Tensor& x, const at::Tensor& y, const at::Tensor& dy,
                                 const at::Tensor& gamma, const at::Tensor& mean,
                                 const at::Tensor& inverse, bool has_added) {
  using T = typename Computed<S>::Type;
  const Shape shape(x);
  const Kernels<S>& use = FATHOM_KERNELS(norm_kernels<S>);
  const S *values = stored<S>(x), *incoming = stored<S>(dy);
  const S* of = y.defined() ? stored<S>(y) : nullptr;
  const T *mu = mean.const_data_ptr<T>(), *over_sigma = inverse.const_data_ptr<T>();
  // The gradient of the shortcut is the gradient that passes ReLU.
  at::Tensor passed = has_added ? (of ? at::empty_like(x) : dy) : at::Tensor();
  S* kept = has_added && of ? static_cast<S*>(passed.data_ptr()) : nullptr;
  Sums sums(shape);
  shape.each([&](int64_t at, int64_t rows, int64_t channels, int64_t c, int64_t part) {
    use.backward_sums(values + at, of ? of + at : nullptr, incoming + at,
                      kept ? kept + at : nullptr, rows, channels, mu + c, sums.first(part) + c,
                      sums.second(part) + c);
  });
  sums.add_up();
  at::Tensor d_gamma = at::empty_like(gamma), d_beta = at::empty_like(gamma);
  T *to_gamma = d_gamma.data_ptr<T>(), *to_beta = d_beta.data_ptr<T>();
  const T* g = gamma.const_data_ptr<T>();
  std::vector<T> a(shape.channels), b(shape.channels), d(shape.channels);
  for (int64_t c = 0; c < shape.channels; ++c) {
    const double sum = sums.first(0)[c], product = sums.second(0)[c] * over_sigma[c];
    to_beta[c] = T(sum);
    to_gamma[c] = T(product);
    // dx = γ/σ (g − mean(g) − x̂ mean(g x̂))
    const double factor = double(g[c]) * over_sigma[c];
    const double slope = -factor * over_sigma[c] * product / shape.values();
    a[c] = T(factor);
    b[c] = T(slope);
    d[c] = T(-factor * sum / shape.values() - slope * mu[c]);
  }
  at::Tensor dx = at::empty_like(x);
  S* out = static_cast<S*>(dx.data_ptr());
  // The kept gradient is masked already.
  const S* from = kept ? kept : incoming;
  const S* mask = kept ? nullptr : of;
  shape.each([&](int64_t at, int64_t rows, int64_t channels, int64_t c, int64_t) {
    use.backward_apply(values + at, mask ? mask + at : nullptr, from + at, out + at, rows,
                       channels, a.data() + c, b.data() + c, d.data() + c);
  });
  return {dx, passed, d_gamma, d_beta};
}

struct Function : torch::autograd::Function<Function> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const std::optional<at::Tensor>& more, const at::Tensor& gamma,
                            const at::Tensor& /* beta */, const NormRelu* how) {
    const at::Tensor added = more.value_or(at::Tensor());
    at::Tensor mean = at::empty_like(gamma), inverse = at::empty_like(gamma);
    const at::Tensor y = by_kind(x, [&](auto kind) {
      return fathom::forward<decltype(kind)>(x, added, *how, mean, inverse, false);
    });
    context->save_for_backward({x, how->relu ? y : at::Tensor(), gamma, mean, inverse});
    context->saved_data["added"] = added.defined();
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor& x = saved[0];
    const at::Tensor dy = Shape(x).in_order(gradients[0]);
    const bool has_added = context->saved_data["added"].toBool();
    const auto found = by_kind(x, [&](auto kind) {
      return fathom::backward<decltype(kind)>(x, saved[1], dy, saved[2], saved[3], saved[4],
                                              has_added);
    });
    return {found[0], found[1], found[2], found[3], at::Tensor()};
  }
};

}  // namespace

at::Tensor norm_relu(const at::Tensor& x, const at::Tensor& added, const NormRelu& how) {
  if (x.is_cuda()) return norm_relu_cuda(x, added, how);
  const at::Tensor more = added.defined() ? Shape(x).in_order(added) : added;
  if (how.training && at::GradMode::is_enabled())
    return Function::apply(x, more.defined() ? std::optional(more) : std::nullopt, how.gamma,
                           how.beta, &how);
  const at::NoGradGuard guard;
  at::Tensor mean = at::empty_like(how.gamma), inverse = at::empty_like(how.gamma);
  return by_kind(x, [&](auto kind) {
    return forward<decltype(kind)>(x, more, how, mean, inverse, how.overwrite);
  });
}

}  // namespace fathom
