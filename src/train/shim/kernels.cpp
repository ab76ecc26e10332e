#include "kernels.h"

#ifndef FATHOM_ISA
#error "FATHOM_ISA names the instruction set that this file is compiled for"
#endif

// Where possible, loops run over rows of a width that is known at compile time, so that the compiler
// vectorises them. Loops written out by hand were four to eight times slower.
namespace fathom {
namespace FATHOM_ISA {

// Columns of a block; more channels are processed in blocks of this size.
constexpr int64_t MOST = 64;
// Values of a plane that are processed as one row, so that sums do not wait for each other.
constexpr int64_t PLANE = 64;
// Rows after which sums in T are added to those in double, so that long sums stay accurate.
constexpr int64_t BLOCK = 256;

template <class S>
using Compute = typename Computed<S>::Type;

static inline void keep(double& to, double v) { to = v; }
static inline void keep(float& to, float v) { to = v; }

// Rounds to the nearest, ties to even. NaN stays NaN.
static inline void keep(Bf16& to, float v) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, v);
  const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  to.bits = uint16_t(v != v ? 0x7fc0 : rounded);
}

// Calls f(wide rows, width) where the number of channels divides the width: several rows are then
// processed as one wide row, with the constants repeated. Returns the number of processed values;
// the rest is shorter than a wide row.
template <class F>
static inline int64_t widened(int64_t rows, int64_t channels, F&& f) {
  const int64_t width = channels == 1 ? PLANE : 32;
  if (channels > width || width % channels != 0) return 0;
  const int64_t wide = rows * channels / width;
  if (wide > 0) f(wide, width);
  return wide * width;
}

template <class T>
struct Repeated {
  T values[PLANE];

  Repeated(const T* from, int64_t channels, int64_t width) {
    for (int64_t j = 0; j < width; ++j) values[j] = channels == 1 ? from[0] : from[j % channels];
  }
};

// Adds the sums of wide rows to those of their channels.
static inline void fold(const double* wide, int64_t width, int64_t channels, double* sums) {
  if (channels == 1) {
    // Four sums at a time, so that additions do not wait for each other.
    double part[4] = {};
    for (int64_t j = 0; j < width; j += 4)
      for (int64_t k = 0; k < 4; ++k) part[k] += wide[j + k];
    sums[0] += (part[0] + part[1]) + (part[2] + part[3]);
    return;
  }
  for (int64_t j = 0; j < width; ++j) sums[j % channels] += wide[j];
}

// N columns, or n where N is 0, of rows that are `stride` values long.
template <class S, int64_t N>
static void sum_moments(const S* x, int64_t rows, int64_t stride, int64_t n, const Compute<S>* shift,
                        double* sums, double* squares) {
  const int64_t columns = N ? N : n;
  for (int64_t from = 0; from < rows; from += BLOCK) {
    const int64_t to = rows - from < BLOCK ? rows : from + BLOCK;
    Compute<S> s[N ? N : MOST] = {}, q[N ? N : MOST] = {};
    for (int64_t row = from; row < to; ++row) {
      const S* at = x + row * stride;
      for (int64_t c = 0; c < columns; ++c) {
        const Compute<S> d = value(at[c]) - shift[c];
        s[c] += d;
        q[c] += d * d;
      }
    }
    for (int64_t c = 0; c < columns; ++c) {
      sums[c] += s[c];
      squares[c] += q[c];
    }
  }
}

template <class S>
static void moments(const S* x, int64_t rows, int64_t channels, const Compute<S>* shift, double* sums,
                    double* squares) {
  const int64_t done = widened(rows, channels, [&](int64_t wide, int64_t width) {
    const Repeated<Compute<S>> k(shift, channels, width);
    double s[PLANE] = {}, q[PLANE] = {};
    const auto add = width == PLANE ? sum_moments<S, PLANE> : sum_moments<S, 32>;
    add(x, wide, width, width, k.values, s, q);
    fold(s, width, channels, sums);
    fold(q, width, channels, squares);
  });
  x += done;
  rows -= done / channels;
  if (channels == 1) return sum_moments<S, 1>(x, rows, 1, 1, shift, sums, squares);
  for (int64_t first = 0; first < channels; first += MOST) {
    const int64_t n = channels - first < MOST ? channels - first : MOST;
    sum_moments<S, 0>(x + first, rows, channels, n, shift + first, sums + first, squares + first);
  }
}

template <class S, int64_t N, bool ADD, bool RELU>
static void apply_rows(const S* x, const S* added, S* y, int64_t rows, int64_t n, const Compute<S>* scale,
                       const Compute<S>* shift) {
  const int64_t columns = N ? N : n;
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t at = row * columns;
    for (int64_t c = 0; c < columns; ++c) {
      Compute<S> v = scale[c] * value(x[at + c]) + shift[c];
      if (ADD) v += value(added[at + c]);
      // NaN stays NaN.
      keep(y[at + c], RELU && v < 0 ? Compute<S>(0) : v);
    }
  }
}

template <class S, bool ADD, bool RELU>
static void apply_as(const S* x, const S* added, S* y, int64_t rows, int64_t channels,
                     const Compute<S>* scale, const Compute<S>* shift) {
  const int64_t done = widened(rows, channels, [&](int64_t wide, int64_t width) {
    const Repeated<Compute<S>> a(scale, channels, width), b(shift, channels, width);
    const auto of = width == PLANE ? apply_rows<S, PLANE, ADD, RELU> : apply_rows<S, 32, ADD, RELU>;
    of(x, added, y, wide, width, a.values, b.values);
  });
  apply_rows<S, 0, ADD, RELU>(x + done, ADD ? added + done : nullptr, y + done,
                              rows - done / channels, channels, scale, shift);
}

template <class S>
static void apply(const S* x, const S* added, S* y, int64_t rows, int64_t channels,
                  const Compute<S>* scale, const Compute<S>* shift, bool relu) {
  const auto as = added ? (relu ? apply_as<S, true, true> : apply_as<S, true, false>)
                        : (relu ? apply_as<S, false, true> : apply_as<S, false, false>);
  as(x, added, y, rows, channels, scale, shift);
}

template <class S, int64_t N, bool MASK, bool KEEP>
static void sum_backward(const S* x, const S* y, const S* dy, S* __restrict kept, int64_t rows,
                         int64_t stride, int64_t n, const Compute<S>* mean, double* sums,
                         double* products) {
  const int64_t columns = N ? N : n;
  for (int64_t from = 0; from < rows; from += BLOCK) {
    const int64_t to = rows - from < BLOCK ? rows : from + BLOCK;
    Compute<S> s[N ? N : MOST] = {}, p[N ? N : MOST] = {};
    for (int64_t row = from; row < to; ++row) {
      const int64_t at = row * stride;
      for (int64_t c = 0; c < columns; ++c) {
        // Read without a condition, which would prevent vectors.
        const Compute<S> incoming = value(dy[at + c]);
        const Compute<S> g = !MASK || value(y[at + c]) > 0 ? incoming : Compute<S>(0);
        if (KEEP) keep(kept[at + c], g);
        s[c] += g;
        p[c] += g * (value(x[at + c]) - mean[c]);
      }
    }
    for (int64_t c = 0; c < columns; ++c) {
      sums[c] += s[c];
      products[c] += p[c];
    }
  }
}

template <class S, bool MASK, bool KEEP>
static void backward_sums_as(const S* x, const S* y, const S* dy, S* kept, int64_t rows,
                             int64_t channels, const Compute<S>* mean, double* sums, double* products) {
  const int64_t done = widened(rows, channels, [&](int64_t wide, int64_t width) {
    const Repeated<Compute<S>> m(mean, channels, width);
    double s[PLANE] = {}, p[PLANE] = {};
    const auto add =
        width == PLANE ? sum_backward<S, PLANE, MASK, KEEP> : sum_backward<S, 32, MASK, KEEP>;
    add(x, y, dy, kept, wide, width, width, m.values, s, p);
    fold(s, width, channels, sums);
    fold(p, width, channels, products);
  });
  rows -= done / channels;
  if (channels == 1)
    return sum_backward<S, 1, MASK, KEEP>(x + done, MASK ? y + done : nullptr, dy + done,
                                          KEEP ? kept + done : nullptr, rows, 1, 1, mean, sums,
                                          products);
  for (int64_t first = 0; first < channels; first += MOST) {
    const int64_t n = channels - first < MOST ? channels - first : MOST, at = done + first;
    sum_backward<S, 0, MASK, KEEP>(x + at, MASK ? y + at : nullptr, dy + at,
                                   KEEP ? kept + at : nullptr, rows, channels, n, mean + first,
                                   sums + first, products + first);
  }
}

template <class S>
static void backward_sums(const S* x, const S* y, const S* dy, S* kept, int64_t rows,
                          int64_t channels, const Compute<S>* mean, double* sums, double* products) {
  const auto as = y ? (kept ? backward_sums_as<S, true, true> : backward_sums_as<S, true, false>)
                    : (kept ? backward_sums_as<S, false, true> : backward_sums_as<S, false, false>);
  as(x, y, dy, kept, rows, channels, mean, sums, products);
}

template <class S, int64_t N, bool MASK>
static void backward_rows(const S* x, const S* y, const S* dy, S* dx, int64_t rows, int64_t n,
                          const Compute<S>* a, const Compute<S>* b, const Compute<S>* d) {
  const int64_t columns = N ? N : n;
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t at = row * columns;
    for (int64_t c = 0; c < columns; ++c) {
      const Compute<S> incoming = value(dy[at + c]);
        const Compute<S> g = !MASK || value(y[at + c]) > 0 ? incoming : Compute<S>(0);
      keep(dx[at + c], a[c] * g + (b[c] * value(x[at + c]) + d[c]));
    }
  }
}

template <class S, bool MASK>
static void backward_apply_as(const S* x, const S* y, const S* dy, S* dx, int64_t rows,
                              int64_t channels, const Compute<S>* a, const Compute<S>* b, const Compute<S>* d) {
  const int64_t done = widened(rows, channels, [&](int64_t wide, int64_t width) {
    const Repeated<Compute<S>> wa(a, channels, width), wb(b, channels, width), wd(d, channels, width);
    const auto of = width == PLANE ? backward_rows<S, PLANE, MASK> : backward_rows<S, 32, MASK>;
    of(x, y, dy, dx, wide, width, wa.values, wb.values, wd.values);
  });
  backward_rows<S, 0, MASK>(x + done, MASK ? y + done : nullptr, dy + done, dx + done,
                            rows - done / channels, channels, a, b, d);
}

template <class S>
static void backward_apply(const S* x, const S* y, const S* dy, S* dx, int64_t rows,
                           int64_t channels, const Compute<S>* a, const Compute<S>* b, const Compute<S>* d) {
  (y ? backward_apply_as<S, true> : backward_apply_as<S, false>)(x, y, dy, dx, rows, channels, a,
                                                                b, d);
}

template <class S>
const Kernels<S>& norm_kernels() {
  static const Kernels<S> all = {moments<S>, apply<S>, backward_sums<S>, backward_apply<S>};
  return all;
}

template const Kernels<float>& norm_kernels<float>();
template const Kernels<double>& norm_kernels<double>();
template const Kernels<Bf16>& norm_kernels<Bf16>();

}  // namespace FATHOM_ISA
}  // namespace fathom
