#include "conv.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/empty_strided.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <vector>

#include "conv_kernels.h"
#include "isa.h"

namespace fathom {
namespace {

const ConvKernels& kernels() {
  static const ConvKernels& chosen = FATHOM_KERNELS(conv_kernels);
  return chosen;
}

// Pixels, at least, over which sums of a filter's gradient stay in registers.
constexpr int64_t PIXELS = 256;

// A band of rows, [first, last).
struct Band {
  int64_t first, last;

  int64_t rows() const { return last - first; }
  static Band part(int64_t rows, int64_t at, int64_t parts) {
    return {rows * at / parts, rows * (at + 1) / parts};
  }
};

struct Shape {
  int64_t images, inputs, height, width;
  int64_t outputs, side, stride, padding;
  // Of the result.
  int64_t rows, columns;

  Shape(const at::Tensor& x, const at::Tensor& weight, int64_t stride, int64_t padding)
      : images(x.size(0)), inputs(x.size(1)), height(x.size(2)), width(x.size(3)),
        outputs(weight.size(0)), side(weight.size(2)), stride(stride), padding(padding),
        rows((height + 2 * padding - side) / stride + 1),
        columns((width + 2 * padding - side) / stride + 1) {}

  int64_t taps() const { return side * side; }
  int64_t parts() const {
    return std::min({int64_t(at::get_num_threads()), rows, height});
  }
  // Rows of x that meet the filters for these rows of the result.
  Band of_x(const Band& result) const {
    const int64_t first = std::max<int64_t>(0, stride * result.first - padding);
    const int64_t last = std::min(height, stride * (result.last - 1) + side - padding);
    // Filters may lie in the padding altogether.
    return {std::min(first, height), std::max(std::min(first, height), last)};
  }
};

int64_t divided_up(int64_t n, int64_t by) { return (n + by - 1) / by; }

// Memory of one thread that is kept for the next convolution.
class Buffer {
 public:
  // Uninitialised memory for so many floats, aligned to the widest vector.
  float* of(int64_t floats) {
    constexpr int64_t ALIGNMENT = 64;
    if (int64_t(memory.size()) < floats + ALIGNMENT) memory.resize(floats + ALIGNMENT);
    const auto at = reinterpret_cast<uintptr_t>(memory.data());
    return reinterpret_cast<float*>((at + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
  }

 private:
  std::vector<float> memory;
};

struct Buffers {
  Buffer x, dy, sums, outputs;
};

Buffers& buffers() {
  thread_local Buffers of_thread;
  return of_thread;
}

// Weights of filters in blocks of outputs, as the kernels take them. Missing outputs of the last
// block have weights of zero.
struct Blocks {
  // Outputs, and weights of one output.
  int64_t outputs, weights;
  int64_t most = kernels().outputs;

  int64_t rounded() const { return divided_up(outputs, OUTPUTS) * OUTPUTS; }
  int64_t values() const { return rounded() * weights; }
  // Number of outputs of the block that begins at this output.
  int64_t size(int64_t first) const { return rounded() - first >= most ? most : OUTPUTS; }
  // Calls f(first output, number of outputs).
  template <class F>
  void each(F&& f) const {
    for (int64_t first = 0; first < rounded(); first += size(first)) f(first, size(first));
  }
  // Calls f(output, weight, index) for the weights of all outputs.
  template <class F>
  void each_weight(F&& f) const {
    each([&](int64_t first, int64_t count) {
      for (int64_t k = first; k < std::min(first + count, outputs); ++k) {
        const int64_t at = first * weights + (k - first);
        for (int64_t j = 0; j < weights; ++j) f(k, j, at + j * count);
      }
    });
  }
};

// Pixels of a band as vectors of images: blocks of `lanes` images × channels × rows × columns. Every
// row begins with `lead` columns of zeros, which are also those after the row before; zeros follow
// the last row.
struct Pixels {
  int64_t channels, columns, lead;
  Band band;
  int64_t lanes = kernels().lanes;
  float* values = nullptr;

  int64_t row() const { return (lead + columns) * lanes; }
  int64_t channel() const { return band.rows() * row(); }
  int64_t block() const { return channels * channel(); }
  // Distance of a row of the image from the first pixel of its channel.
  int64_t row_at(int64_t r) const { return (r - band.first) * row(); }
  void allocate(Buffer& buffer, int64_t blocks) {
    values = buffer.of(blocks * block() + lead * lanes);
  }

  // Packs images from `first` on, of a tensor in batch-last order with `given` channels of `rows`
  // rows; the other channels are zeros.
  void fill(int64_t block, const float* from, int64_t given, int64_t rows, int64_t images,
            int64_t first) {
    float* to = values + block * this->block();
    for (int64_t c = 0; c < channels; ++c) {
      const float* pixel = from + (c * rows + band.first) * columns * images + first;
      for (int64_t r = 0; r < band.rows(); ++r, to += row()) {
        if (c >= given) {
          std::fill_n(to, row(), 0.0f);
          continue;
        }
        std::fill_n(to, lead * lanes, 0.0f);
        kernels().pack(pixel, images, images - first, columns, to + lead * lanes);
        pixel += columns * images;
      }
    }
    std::fill_n(to, lead * lanes, 0.0f);
  }
};

// Where a row of outputs belongs in a tensor in batch-last order.
struct Target {
  float* y;
  int64_t channel, step, columns;
  // Channels of the tensor, and images from the first one of the vectors on.
  int64_t outputs, images;
};

// Computes a row of all outputs.
void outputs_of_row(const Pixels& from, const float* x, int64_t x_step,
                    const std::vector<Tap>& taps, const Blocks& blocks, const float* weights,
                    const float* start, const Target& to) {
  const int64_t per_input = blocks.weights / from.channels, lanes = from.lanes;
  blocks.each([&](int64_t first, int64_t count) {
    RowOfOutputs row;
    row.x = x;
    row.x_channel = from.channel();
    row.x_step = x_step;
    row.inputs = from.channels;
    row.taps = taps.data();
    row.tap_count = int64_t(taps.size());
    row.weights = weights + first * blocks.weights;
    row.filter = per_input * count;
    row.start = start + first;
    row.y = to.y + first * to.channel;
    row.y_channel = to.channel;
    row.y_step = to.step;
    row.columns = to.columns;
    if (first + count <= to.outputs && to.images >= lanes) {
      return kernels().outputs_of_row(row, count);
    }
    // The tensor has no place for some of the values.
    const float* y = row.y = buffers().outputs.of(count * to.columns * lanes);
    row.y_channel = to.columns * lanes;
    row.y_step = lanes;
    kernels().outputs_of_row(row, count);
    for (int64_t k = first; k < std::min(first + count, to.outputs); ++k) {
      for (int64_t j = 0; j < to.columns; ++j, y += lanes) {
        std::copy_n(y, std::min(to.images, lanes), to.y + k * to.channel + j * to.step);
      }
    }
  });
}

// Calls f(part) for each of so many parts, on several threads. Parts are bands of rows: these are next
// to each other in memory, as are the parts of the other operations in batch-last order, so that a
// thread finds in its cache what it wrote before.
template <class F>
void in_parts(int64_t parts, F&& f) {
  if (parts == 1) return f(int64_t(0));
  at::parallel_for(0, parts, 1, [&](int64_t from, int64_t to) {
    for (int64_t at = from; at < to; ++at) f(at);
  });
}

at::Tensor empty_batch_last(at::IntArrayRef sizes, const at::TensorOptions& options) {
  const int64_t column = sizes[0], row = sizes[3] * column, channel = sizes[2] * row;
  return at::empty_strided(sizes, {1, channel, row, column}, options);
}

at::Tensor forward(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                   const Shape& shape) {
  const Blocks blocks = {shape.outputs, shape.inputs * shape.taps()};
  std::vector<float> weights(blocks.values()), start(blocks.rounded());
  const float* w = weight.const_data_ptr<float>();
  blocks.each_weight([&](int64_t k, int64_t j, int64_t at) {
    weights[at] = w[k * blocks.weights + j];
  });
  if (bias.defined()) std::copy_n(bias.const_data_ptr<float>(), shape.outputs, start.data());
  at::Tensor y =
      empty_batch_last({shape.images, shape.outputs, shape.rows, shape.columns}, x.options());
  const float* values = x.const_data_ptr<float>();
  float* to = y.data_ptr<float>();
  const int64_t lanes = kernels().lanes, row = shape.columns * shape.images;
  const int64_t parts = shape.parts();
  in_parts(parts, [&](int64_t part) {
    const Band band = Band::part(shape.rows, part, parts);
    Pixels pixels = {shape.inputs, shape.width, shape.padding, shape.of_x(band)};
    pixels.allocate(buffers().x, 1);
    // Taps above and below the image are left out; those beside it meet zeros.
    std::vector<std::vector<Tap>> taps(band.rows());
    for (int64_t i = band.first; i < band.last; ++i) {
      for (int64_t a = 0; a < shape.side; ++a) {
        const int64_t at = shape.stride * i + a - shape.padding;
        if (at < 0 || at >= shape.height) continue;
        for (int64_t b = 0; b < shape.side; ++b) {
          taps[i - band.first].push_back({pixels.row_at(at) + b * lanes, a * shape.side + b});
        }
      }
    }
    for (int64_t n = 0; n < shape.images; n += lanes) {
      pixels.fill(0, values, shape.inputs, shape.height, shape.images, n);
      for (int64_t i = band.first; i < band.last; ++i) {
        outputs_of_row(pixels, pixels.values, shape.stride * lanes, taps[i - band.first], blocks,
                       weights.data(), start.data(),
                       {to + i * row + n, shape.rows * row, shape.images, shape.columns,
                        shape.outputs, shape.images - n});
      }
    }
  });
  return y;
}

// Gradients of x and of the filters, on the same packed values.
class Backward {
 public:
  Backward(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& dy,
           const Shape& shape, bool needs_dx, bool needs_dw)
      : shape(shape), x(x.const_data_ptr<float>()), dy(dy.const_data_ptr<float>()),
        filters{shape.outputs, shape.inputs * shape.taps()},
        transposed{shape.inputs, filters.rounded() * shape.taps()} {
    if (needs_dw) dw = at::empty_like(weight, at::MemoryFormat::Contiguous);
    if (needs_dx) {
      dx = empty_batch_last(x.sizes(), x.options());
      weights.resize(transposed.values());
      start.resize(transposed.rounded());
      const float* w = weight.const_data_ptr<float>();
      transposed.each([&](int64_t first, int64_t count) {
        for (int64_t c = first; c < std::min(first + count, shape.inputs); ++c) {
          for (int64_t k = 0; k < shape.outputs; ++k) {
            const float* from = w + (k * shape.inputs + c) * shape.taps();
            float* to = weights.data() + first * transposed.weights + (c - first) +
                        k * shape.taps() * count;
            for (int64_t t = 0; t < shape.taps(); ++t) to[t * count] = from[t];
          }
        }
      });
    }
    run();
  }

  // Undefined where they were not asked for.
  at::Tensor dx, dw;

 private:
  const Shape shape;
  const float *x, *dy;
  const int64_t lanes = kernels().lanes;
  const Blocks filters, transposed;
  // Those of `transposed`, and zeros for its outputs.
  std::vector<float> weights, start;

  // Columns of zeros beside dy that the taps of the transposed filters meet.
  int64_t lead() const {
    const int64_t before = divided_up(shape.side - 1 - shape.padding, shape.stride);
    const int64_t after = (shape.width - 1 + shape.padding) / shape.stride - (shape.columns - 1);
    return std::max<int64_t>({0, before, after});
  }

  void run() {
    const int64_t parts = shape.parts(), blocks = divided_up(shape.images, lanes);
    std::vector<std::vector<float>> sums(parts);
    in_parts(parts, [&](int64_t part) {
      const Band of_result = Band::part(shape.rows, part, parts);
      const Band of_dx = Band::part(shape.height, part, parts);
      Pixels x_pixels = {shape.inputs, shape.width, shape.padding, shape.of_x(of_result)};
      Pixels dy_pixels = {filters.rounded(), shape.columns, lead(), of_result};
      if (dx.defined()) {
        const int64_t first = of_dx.first + shape.padding - (shape.side - 1);
        const int64_t last = (of_dx.last - 1 + shape.padding) / shape.stride + 1;
        Band& band = dy_pixels.band;
        band.first = std::min(band.first, divided_up(std::max<int64_t>(0, first), shape.stride));
        band.last = std::max(band.last, std::min(shape.rows, last));
      }
      const int64_t group =
          std::max<int64_t>(1, PIXELS / (of_result.rows() * shape.columns));
      dy_pixels.allocate(buffers().dy, group);
      float* vectors = nullptr;
      if (dw.defined()) {
        x_pixels.allocate(buffers().x, group);
        vectors = buffers().sums.of(filters.values() * lanes);
        std::fill_n(vectors, filters.values() * lanes, 0.0f);
      }
      const std::vector<std::vector<Tap>> taps = taps_of(of_dx, dy_pixels);
      for (int64_t first = 0; first < blocks; first += group) {
        const int64_t count = std::min(group, blocks - first);
        for (int64_t at = 0; at < count; ++at) {
          const int64_t n = (first + at) * lanes;
          dy_pixels.fill(at, dy, shape.outputs, shape.rows, shape.images, n);
          if (dw.defined()) x_pixels.fill(at, x, shape.inputs, shape.height, shape.images, n);
          if (dx.defined()) gradient_of_x(of_dx, taps, dy_pixels, at, n);
        }
        if (dw.defined()) add_products(of_result, x_pixels, dy_pixels, count, vectors);
      }
      if (dw.defined()) sums[part] = folded(vectors);
    });
    if (dw.defined()) add_up(sums);
  }

  // Taps for each row of a band of dx, and for each column up to the stride: pixels of a row that are
  // a stride apart meet the same taps.
  std::vector<std::vector<Tap>> taps_of(const Band& band, const Pixels& of_dy) const {
    std::vector<std::vector<Tap>> taps;
    for (int64_t r = band.first; r < band.last; ++r) {
      for (int64_t q = 0; q < shape.stride; ++q) {
        std::vector<Tap>& of_pixel = taps.emplace_back();
        for (int64_t a = 0; a < shape.side; ++a) {
          const int64_t i = r + shape.padding - a;
          if (i < 0 || i % shape.stride != 0 || i / shape.stride >= shape.rows) continue;
          for (int64_t b = 0; b < shape.side; ++b) {
            const int64_t j = q + shape.padding - b;
            if (j % shape.stride != 0) continue;
            of_pixel.push_back({of_dy.row_at(i / shape.stride) +
                                    (of_dy.lead + j / shape.stride) * lanes,
                                a * shape.side + b});
          }
        }
      }
    }
    return taps;
  }

  void gradient_of_x(const Band& band, const std::vector<std::vector<Tap>>& taps,
                     const Pixels& of_dy, int64_t block, int64_t image) {
    float* to = dx.data_ptr<float>() + image;
    const int64_t channel = shape.height * shape.width * shape.images;
    for (int64_t r = band.first; r < band.last; ++r) {
      for (int64_t q = 0; q < std::min(shape.stride, shape.width); ++q) {
        outputs_of_row(of_dy, of_dy.values + block * of_dy.block(), lanes,
                       taps[(r - band.first) * shape.stride + q], transposed, weights.data(),
                       start.data(),
                       {to + (r * shape.width + q) * shape.images, channel,
                        shape.stride * shape.images, divided_up(shape.width - q, shape.stride),
                        shape.inputs, shape.images - image});
      }
    }
  }

  void add_products(const Band& band, const Pixels& of_x, const Pixels& of_dy, int64_t count,
                    float* vectors) {
    filters.each([&](int64_t k, int64_t outputs) {
      float* sums = vectors + k * filters.weights * lanes;
      for (int64_t c = 0; c < shape.inputs; ++c) {
        for (int64_t a = 0; a < shape.side; ++a, sums += shape.side * outputs * lanes) {
          // Rows of the band whose tap is within the image.
          const int64_t above = std::max<int64_t>(0, shape.padding - a);
          const int64_t below = shape.height - 1 + shape.padding - a;
          const int64_t first = std::max(band.first, divided_up(above, shape.stride));
          const int64_t last = below < 0 ? 0 : std::min(band.last, below / shape.stride + 1);
          if (first >= last) continue;
          const int64_t at = shape.stride * first + a - shape.padding;
          Products of;
          of.x = of_x.values + c * of_x.channel() + of_x.row_at(at);
          of.x_block = of_x.block();
          of.x_row = shape.stride * of_x.row();
          of.x_step = shape.stride * lanes;
          of.dy = of_dy.values + k * of_dy.channel() + of_dy.row_at(first) + of_dy.lead * lanes;
          of.dy_block = of_dy.block();
          of.dy_channel = of_dy.channel();
          of.dy_row = of_dy.row();
          of.blocks = count;
          of.rows = last - first;
          of.columns = shape.columns;
          of.taps = shape.side;
          of.sums = sums;
          kernels().products(of, outputs);
        }
      }
    });
  }

  // The sums of the vectors' values.
  std::vector<float> folded(const float* vectors) const {
    std::vector<float> sums(filters.values());
    kernels().fold(vectors, int64_t(sums.size()), sums.data());
    return sums;
  }

  // Adds the sums of the parts in their order, so that the result is reproducible.
  void add_up(const std::vector<std::vector<float>>& sums) {
    float* to = dw.data_ptr<float>();
    filters.each_weight([&](int64_t k, int64_t j, int64_t at) {
      float sum = 0;
      for (const std::vector<float>& part : sums) sum += part[at];
      to[k * filters.weights + j] = sum;
    });
  }
};

struct Function : torch::autograd::Function<Function> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                            int64_t stride, int64_t padding) {
    context->save_for_backward({x, weight});
    context->saved_data["stride"] = stride;
    context->saved_data["padding"] = padding;
    context->saved_data["bias"] = bias.has_value();
    return fathom::forward(x, weight, bias.value_or(at::Tensor()),
                           Shape(x, weight, stride, padding));
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const Shape shape(saved[0], saved[1], context->saved_data["stride"].toInt(),
                      context->saved_data["padding"].toInt());
    const at::Tensor dy = batch_last(gradients[0]);
    const Backward found(saved[0], saved[1], dy, shape, context->needs_input_grad(0),
                         context->needs_input_grad(1));
    at::Tensor of_bias;
    if (context->saved_data["bias"].toBool()) of_bias = dy.sum({0, 2, 3});
    return {found.dx, found.dw, of_bias, at::Tensor(), at::Tensor()};
  }
};

}  // namespace

bool is_batch_last(const at::Tensor& x) {
  if (x.dim() != 4) return false;
  int64_t expected = 1;
  for (const int64_t axis : {0, 3, 2, 1}) {
    if (x.size(axis) != 1 && x.stride(axis) != expected) return false;
    expected *= x.size(axis);
  }
  return true;
}

at::Tensor batch_last(const at::Tensor& x) {
  if (is_batch_last(x)) return x;
  return x.permute({1, 2, 3, 0}).contiguous().permute({3, 0, 1, 2});
}

at::Tensor convolution(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                       int64_t stride, int64_t padding) {
  const at::Tensor values = batch_last(x), filters = weight.contiguous();
  const bool has_bias = bias.defined();
  if (at::GradMode::is_enabled()) {
    return Function::apply(values, filters, has_bias ? std::optional(bias) : std::nullopt, stride,
                           padding);
  }
  return forward(values, filters, has_bias ? bias.contiguous() : bias,
                 Shape(values, filters, stride, padding));
}

}  // namespace fathom
