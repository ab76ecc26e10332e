#include "kernels.h"

#include <cstring>

#ifndef FATHOM_ISA
#error "FATHOM_ISA names the instruction set that this file is compiled for"
#endif

namespace fathom {
namespace FATHOM_ISA {

// Widths of blocks: channels that divide WIDTH are repeated until they fill one, so that constants
// stay in registers whatever the number of channels.
constexpr int64_t WIDTH = 16;
// Rows after which sums in T are added to those in double, so that long sums stay exact enough.
constexpr int64_t BLOCK = 256;

template <class T>
struct Vector {
  static constexpr int64_t LANES = 32 / sizeof(T);
  static constexpr int64_t COUNT = WIDTH / LANES;
  typedef T Lanes __attribute__((vector_size(32)));
  Lanes part[COUNT];

  static inline Vector load(const T* from) {
    Vector v;
    std::memcpy(v.part, from, sizeof(v.part));
    return v;
  }
  inline void store(T* to) const { std::memcpy(to, part, sizeof(part)); }
};

#define EACH(i) for (int64_t i = 0; i < Vector<T>::COUNT; ++i)

template <class T>
static inline Vector<T> zero() {
  Vector<T> v;
  EACH(i) v.part[i] = typename Vector<T>::Lanes{};
  return v;
}

template <class T>
static inline Vector<T> repeated(const T* values, int64_t channels) {
  if (channels == 1) {
    Vector<T> v;
    EACH(i) v.part[i] = typename Vector<T>::Lanes{} + values[0];
    return v;
  }
  T wide[WIDTH] = {};
  for (int64_t j = 0; j < WIDTH; j += channels)
    for (int64_t c = 0; c < channels; ++c) wide[j + c] = values[c];
  return Vector<T>::load(wide);
}

// Adds the parts of a block to the sums of its channels.
template <class T>
static inline void add_to(double* sums, int64_t channels, const Vector<T>& parts) {
  T wide[WIDTH] = {};
  parts.store(wide);
  if (channels == 1) {
    // A tree, in T: there are few of them, and they are alike in size.
    for (int64_t half = WIDTH / 2; half > 0; half /= 2)
      for (int64_t j = 0; j < half; ++j) wide[j] += wide[j + half];
    sums[0] += wide[0];
    return;
  }
  for (int64_t j = 0; j < WIDTH; j += channels)
    for (int64_t c = 0; c < channels; ++c) sums[c] += wide[j + c];
}

// g of one block: dy where y > 0.
template <class T>
static inline Vector<T> masked(const T* dy, const T* y) {
  Vector<T> g = Vector<T>::load(dy);
  if (y) {
    const Vector<T> of = Vector<T>::load(y);
    EACH(i) g.part[i] = of.part[i] > 0 ? g.part[i] : typename Vector<T>::Lanes{};
  }
  return g;
}

template <class T>
static inline T masked_one(const T* dy, const T* y, int64_t at) {
  return !y || y[at] > 0 ? dy[at] : T(0);
}

template <class T>
static void moments(const T* x, int64_t rows, int64_t channels, const T* shift, double* sums,
                    double* squares) {
  int64_t done = 0;
  const int64_t all = rows * channels;
  if (WIDTH % channels == 0) {
    const Vector<T> k = repeated(shift, channels);
    while (all - done >= WIDTH) {
      Vector<T> s = zero<T>(), q = zero<T>();
      int64_t blocks = (all - done) / WIDTH;
      if (blocks > BLOCK) blocks = BLOCK;
      for (int64_t block = 0; block < blocks; ++block, done += WIDTH) {
        const Vector<T> v = Vector<T>::load(x + done);
        EACH(i) {
          const auto d = v.part[i] - k.part[i];
          s.part[i] += d;
          q.part[i] += d * d;
        }
      }
      add_to(sums, channels, s);
      add_to(squares, channels, q);
    }
    for (; done < all; ++done) {
      const int64_t c = channels == 1 ? 0 : done % channels;
      const T d = x[done] - shift[c];
      sums[c] += d;
      squares[c] += d * d;
    }
    return;
  }
  // Columns of up to 64 channels at a time.
  constexpr int64_t MOST = 64;
  for (int64_t first = 0; first < channels; first += MOST) {
    const int64_t n = channels - first < MOST ? channels - first : MOST;
    for (int64_t from = 0; from < rows; from += BLOCK) {
      const int64_t to = rows - from < BLOCK ? rows : from + BLOCK;
      T s[MOST] = {}, q[MOST] = {};
      for (int64_t row = from; row < to; ++row) {
        const T* at = x + row * channels + first;
        for (int64_t c = 0; c < n; ++c) {
          const T d = at[c] - shift[first + c];
          s[c] += d;
          q[c] += d * d;
        }
      }
      for (int64_t c = 0; c < n; ++c) {
        sums[first + c] += s[c];
        squares[first + c] += q[c];
      }
    }
  }
}

template <class T, bool ADD, bool RELU>
static void apply_as(const T* x, const T* added, T* y, int64_t rows, int64_t channels,
                     const T* scale, const T* shift) {
  const auto one = [&](int64_t at, int64_t c) {
    T v = scale[c] * x[at] + shift[c];
    if (ADD) v += added[at];
    y[at] = RELU && v < 0 ? T(0) : v;
  };
  const int64_t all = rows * channels;
  if (WIDTH % channels == 0) {
    const Vector<T> a = repeated(scale, channels), b = repeated(shift, channels);
    int64_t done = 0;
    for (; all - done >= WIDTH; done += WIDTH) {
      Vector<T> v = Vector<T>::load(x + done);
      EACH(i) v.part[i] = a.part[i] * v.part[i] + b.part[i];
      if (ADD) {
        const Vector<T> r = Vector<T>::load(added + done);
        EACH(i) v.part[i] += r.part[i];
      }
      // What is no number stays none.
      if (RELU) EACH(i) v.part[i] = v.part[i] < 0 ? typename Vector<T>::Lanes{} : v.part[i];
      v.store(y + done);
    }
    for (; done < all; ++done) one(done, channels == 1 ? 0 : done % channels);
    return;
  }
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t c = 0; c < channels; ++c) one(row * channels + c, c);
}

template <class T>
static void apply(const T* x, const T* added, T* y, int64_t rows, int64_t channels,
                  const T* scale, const T* shift, bool relu) {
  const auto as = added ? (relu ? apply_as<T, true, true> : apply_as<T, true, false>)
                        : (relu ? apply_as<T, false, true> : apply_as<T, false, false>);
  as(x, added, y, rows, channels, scale, shift);
}

template <class T>
static void backward_sums(const T* x, const T* y, const T* dy, T* kept, int64_t rows,
                          int64_t channels, const T* mean, double* sums, double* products) {
  int64_t done = 0;
  const int64_t all = rows * channels;
  if (WIDTH % channels == 0) {
    const Vector<T> m = repeated(mean, channels);
    while (all - done >= WIDTH) {
      Vector<T> s = zero<T>(), p = zero<T>();
      int64_t blocks = (all - done) / WIDTH;
      if (blocks > BLOCK) blocks = BLOCK;
      for (int64_t block = 0; block < blocks; ++block, done += WIDTH) {
        const Vector<T> g = masked(dy + done, y ? y + done : nullptr);
        const Vector<T> v = Vector<T>::load(x + done);
        if (kept) g.store(kept + done);
        EACH(i) {
          s.part[i] += g.part[i];
          p.part[i] += g.part[i] * (v.part[i] - m.part[i]);
        }
      }
      add_to(sums, channels, s);
      add_to(products, channels, p);
    }
    for (; done < all; ++done) {
      const int64_t c = channels == 1 ? 0 : done % channels;
      const T g = masked_one(dy, y, done);
      if (kept) kept[done] = g;
      sums[c] += g;
      products[c] += g * (x[done] - mean[c]);
    }
    return;
  }
  constexpr int64_t MOST = 64;
  for (int64_t first = 0; first < channels; first += MOST) {
    const int64_t n = channels - first < MOST ? channels - first : MOST;
    for (int64_t from = 0; from < rows; from += BLOCK) {
      const int64_t to = rows - from < BLOCK ? rows : from + BLOCK;
      T s[MOST] = {}, p[MOST] = {};
      for (int64_t row = from; row < to; ++row) {
        const int64_t at = row * channels + first;
        for (int64_t c = 0; c < n; ++c) {
          const T g = masked_one(dy, y, at + c);
          if (kept) kept[at + c] = g;
          s[c] += g;
          p[c] += g * (x[at + c] - mean[first + c]);
        }
      }
      for (int64_t c = 0; c < n; ++c) {
        sums[first + c] += s[c];
        products[first + c] += p[c];
      }
    }
  }
}

template <class T>
static void backward_apply(const T* x, const T* y, const T* dy, T* dx, int64_t rows,
                           int64_t channels, const T* a, const T* b, const T* d) {
  const auto one = [&](int64_t at, int64_t c) {
    dx[at] = a[c] * masked_one(dy, y, at) + (b[c] * x[at] + d[c]);
  };
  const int64_t all = rows * channels;
  if (WIDTH % channels == 0) {
    const Vector<T> va = repeated(a, channels), vb = repeated(b, channels),
                    vd = repeated(d, channels);
    int64_t done = 0;
    for (; all - done >= WIDTH; done += WIDTH) {
      const Vector<T> g = masked(dy + done, y ? y + done : nullptr);
      Vector<T> v = Vector<T>::load(x + done);
      EACH(i)
        v.part[i] = va.part[i] * g.part[i] + (vb.part[i] * v.part[i] + vd.part[i]);
      v.store(dx + done);
    }
    for (; done < all; ++done) one(done, channels == 1 ? 0 : done % channels);
    return;
  }
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t c = 0; c < channels; ++c) one(row * channels + c, c);
}

template <class T>
const Kernels<T>& table() {
  static const Kernels<T> all = {moments<T>, apply<T>, backward_sums<T>, backward_apply<T>};
  return all;
}

template const Kernels<float>& table<float>();
template const Kernels<double>& table<double>();

}  // namespace FATHOM_ISA
}  // namespace fathom
