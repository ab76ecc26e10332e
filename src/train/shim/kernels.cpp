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
template <class T, int64_t N>
static void sum_moments(const T* x, int64_t rows, int64_t stride, int64_t n, const T* shift,
                        double* sums, double* squares) {
  const int64_t columns = N ? N : n;
  for (int64_t from = 0; from < rows; from += BLOCK) {
    const int64_t to = rows - from < BLOCK ? rows : from + BLOCK;
    T s[N ? N : MOST] = {}, q[N ? N : MOST] = {};
    for (int64_t row = from; row < to; ++row) {
      const T* at = x + row * stride;
      for (int64_t c = 0; c < columns; ++c) {
        const T d = at[c] - shift[c];
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

template <class T>
static void moments(const T* x, int64_t rows, int64_t channels, const T* shift, double* sums,
                    double* squares) {
  const int64_t done = widened(rows, channels, [&](int64_t wide, int64_t width) {
    const Repeated<T> k(shift, channels, width);
    double s[PLANE] = {}, q[PLANE] = {};
    const auto add = width == PLANE ? sum_moments<T, PLANE> : sum_moments<T, 32>;
    add(x, wide, width, width, k.values, s, q);
    fold(s, width, channels, sums);
    fold(q, width, channels, squares);
  });
  x += done;
  rows -= done / channels;
  if (channels == 1) return sum_moments<T, 1>(x, rows, 1, 1, shift, sums, squares);
  for (int64_t first = 0; first < channels; first += MOST) {
    const int64_t n = channels - first < MOST ? channels - first : MOST;
    sum_moments<T, 0>(x + first, rows, channels, n, shift + first, sums + first, squares + first);
  }
}

template <class T, int64_t N, bool ADD, bool RELU>
static void apply_rows(const T* x, const T* added, T* y, int64_t rows, int64_t n, const T* scale,
                       const T* shift) {
  const int64_t columns = N ? N : n;
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t at = row * columns;
    for (int64_t c = 0; c < columns; ++c) {
      T v = scale[c] * x[at + c] + shift[c];
      if (ADD) v += added[at + c];
      // NaN stays NaN.
      y[at + c] = RELU && v < 0 ? T(0) : v;
    }
  }
}

template <class T, bool ADD, bool RELU>
static void apply_as(const T* x, const T* added, T* y, int64_t rows, int64_t channels,
                     const T* scale, const T* shift) {
  const int64_t done = widened(rows, channels, [&](int64_t wide, int64_t width) {
    const Repeated<T> a(scale, channels, width), b(shift, channels, width);
    const auto of = width == PLANE ? apply_rows<T, PLANE, ADD, RELU> : apply_rows<T, 32, ADD, RELU>;
    of(x, added, y, wide, width, a.values, b.values);
  });
  apply_rows<T, 0, ADD, RELU>(x + done, ADD ? added + done : nullptr, y + done,
                              rows - done / channels, channels, scale, shift);
}

template <class T>
static void apply(const T* x, const T* added, T* y, int64_t rows, int64_t channels,
                  const T* scale, const T* shift, bool relu) {
  const auto as = added ? (relu ? apply_as<T, true, true> : apply_as<T, true, false>)
                        : (relu ? apply_as<T, false, true> : apply_as<T, false, false>);
  as(x, added, y, rows, channels, scale, shift);
}

template <class T, int64_t N, bool MASK, bool KEEP>
static void sum_backward(const T* x, const T* y, const T* dy, T* kept, int64_t rows,
                         int64_t stride, int64_t n, const T* mean, double* sums,
                         double* products) {
  const int64_t columns = N ? N : n;
  for (int64_t from = 0; from < rows; from += BLOCK) {
    const int64_t to = rows - from < BLOCK ? rows : from + BLOCK;
    T s[N ? N : MOST] = {}, p[N ? N : MOST] = {};
    for (int64_t row = from; row < to; ++row) {
      const int64_t at = row * stride;
      for (int64_t c = 0; c < columns; ++c) {
        const T g = !MASK || y[at + c] > 0 ? dy[at + c] : T(0);
        if (KEEP) kept[at + c] = g;
        s[c] += g;
        p[c] += g * (x[at + c] - mean[c]);
      }
    }
    for (int64_t c = 0; c < columns; ++c) {
      sums[c] += s[c];
      products[c] += p[c];
    }
  }
}

template <class T, bool MASK, bool KEEP>
static void backward_sums_as(const T* x, const T* y, const T* dy, T* kept, int64_t rows,
                             int64_t channels, const T* mean, double* sums, double* products) {
  const int64_t done = widened(rows, channels, [&](int64_t wide, int64_t width) {
    const Repeated<T> m(mean, channels, width);
    double s[PLANE] = {}, p[PLANE] = {};
    const auto add =
        width == PLANE ? sum_backward<T, PLANE, MASK, KEEP> : sum_backward<T, 32, MASK, KEEP>;
    add(x, y, dy, kept, wide, width, width, m.values, s, p);
    fold(s, width, channels, sums);
    fold(p, width, channels, products);
  });
  rows -= done / channels;
  if (channels == 1)
    return sum_backward<T, 1, MASK, KEEP>(x + done, MASK ? y + done : nullptr, dy + done,
                                          KEEP ? kept + done : nullptr, rows, 1, 1, mean, sums,
                                          products);
  for (int64_t first = 0; first < channels; first += MOST) {
    const int64_t n = channels - first < MOST ? channels - first : MOST, at = done + first;
    sum_backward<T, 0, MASK, KEEP>(x + at, MASK ? y + at : nullptr, dy + at,
                                   KEEP ? kept + at : nullptr, rows, channels, n, mean + first,
                                   sums + first, products + first);
  }
}

template <class T>
static void backward_sums(const T* x, const T* y, const T* dy, T* kept, int64_t rows,
                          int64_t channels, const T* mean, double* sums, double* products) {
  const auto as = y ? (kept ? backward_sums_as<T, true, true> : backward_sums_as<T, true, false>)
                    : (kept ? backward_sums_as<T, false, true> : backward_sums_as<T, false, false>);
  as(x, y, dy, kept, rows, channels, mean, sums, products);
}

template <class T, int64_t N, bool MASK>
static void backward_rows(const T* x, const T* y, const T* dy, T* dx, int64_t rows, int64_t n,
                          const T* a, const T* b, const T* d) {
  const int64_t columns = N ? N : n;
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t at = row * columns;
    for (int64_t c = 0; c < columns; ++c) {
      const T g = !MASK || y[at + c] > 0 ? dy[at + c] : T(0);
      dx[at + c] = a[c] * g + (b[c] * x[at + c] + d[c]);
    }
  }
}

template <class T, bool MASK>
static void backward_apply_as(const T* x, const T* y, const T* dy, T* dx, int64_t rows,
                              int64_t channels, const T* a, const T* b, const T* d) {
  const int64_t done = widened(rows, channels, [&](int64_t wide, int64_t width) {
    const Repeated<T> wa(a, channels, width), wb(b, channels, width), wd(d, channels, width);
    const auto of = width == PLANE ? backward_rows<T, PLANE, MASK> : backward_rows<T, 32, MASK>;
    of(x, y, dy, dx, wide, width, wa.values, wb.values, wd.values);
  });
  backward_rows<T, 0, MASK>(x + done, MASK ? y + done : nullptr, dy + done, dx + done,
                            rows - done / channels, channels, a, b, d);
}

template <class T>
static void backward_apply(const T* x, const T* y, const T* dy, T* dx, int64_t rows,
                           int64_t channels, const T* a, const T* b, const T* d) {
  (y ? backward_apply_as<T, true> : backward_apply_as<T, false>)(x, y, dy, dx, rows, channels, a,
                                                                b, d);
}

template <class T>
const Kernels<T>& norm_kernels() {
  static const Kernels<T> all = {moments<T>, apply<T>, backward_sums<T>, backward_apply<T>};
  return all;
}

template const Kernels<float>& norm_kernels<float>();
template const Kernels<double>& norm_kernels<double>();

}  // namespace FATHOM_ISA
}  // namespace fathom
