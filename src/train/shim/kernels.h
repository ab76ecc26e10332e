// CPU kernels of batch normalisation with residual addition and ReLU. They are compiled once for
// each instruction set (named by FATHOM_ISA) and do not depend on libtorch.
//
// Values are stored as rows of `channels` values each. A plane of one channel has rows of one value.
#pragma once
#include <cstdint>

namespace fathom {

// A number in bf16: the upper half of an f32.
struct Bf16 {
  uint16_t bits;
};

// The format in which values of a format are computed with.
template <class S>
struct Computed {
  using Type = S;
};
template <>
struct Computed<Bf16> {
  using Type = float;
};

template <class T>
inline T value(T stored) {
  return stored;
}

inline float value(Bf16 stored) {
  return __builtin_bit_cast(float, uint32_t(stored.bits) << 16);
}

// Kernels on values stored as S. Constants of the channels are in the format of the computation, T.
template <class S>
struct Kernels {
  using T = typename Computed<S>::Type;
  // sums[c] += Σ (x - shift[c]), squares[c] += Σ (x - shift[c])²
  void (*moments)(const S* x, int64_t rows, int64_t channels, const T* shift, double* sums,
                  double* squares);
  // y = scale[c]·x + shift[c] + added, and max(0, ·) of it with `relu`; `added` may be absent, and
  // y may be x.
  void (*apply)(const S* x, const S* added, S* y, int64_t rows, int64_t channels, const T* scale,
                const T* shift, bool relu);
  // g = dy where y > 0, else 0; dy everywhere when y is absent. Stores g in `kept` unless that is
  // absent; sums[c] += Σ g, products[c] += Σ g·(x - mean[c])
  void (*backward_sums)(const S* x, const S* y, const S* dy, S* kept, int64_t rows,
                        int64_t channels, const T* mean, double* sums, double* products);
  // dx = a[c]·g + b[c]·x + d[c], with g as above
  void (*backward_apply)(const S* x, const S* y, const S* dy, S* dx, int64_t rows,
                         int64_t channels, const T* a, const T* b, const T* d);
};

namespace base {
template <class T>
const Kernels<T>& norm_kernels();
}
namespace avx2 {
template <class T>
const Kernels<T>& norm_kernels();
}
namespace avx512 {
template <class T>
const Kernels<T>& norm_kernels();
}

}  // namespace fathom
