// CPU kernels of batch normalisation with residual addition and ReLU. They are compiled once for
// each instruction set (named by FATHOM_ISA) and do not depend on libtorch.
//
// Values are stored as rows of `channels` values each. A plane of one channel has rows of one value.
#pragma once
#include <cstdint>

namespace fathom {

template <class T>
struct Kernels {
  // sums[c] += Σ (x - shift[c]), squares[c] += Σ (x - shift[c])²
  void (*moments)(const T* x, int64_t rows, int64_t channels, const T* shift, double* sums,
                  double* squares);
  // y = scale[c]·x + shift[c] + added, and max(0, ·) of it with `relu`; `added` may be absent, and
  // y may be x.
  void (*apply)(const T* x, const T* added, T* y, int64_t rows, int64_t channels, const T* scale,
                const T* shift, bool relu);
  // g = dy where y > 0, else 0; dy everywhere when y is absent. Stores g in `kept` unless that is
  // absent; sums[c] += Σ g, products[c] += Σ g·(x - mean[c])
  void (*backward_sums)(const T* x, const T* y, const T* dy, T* kept, int64_t rows,
                        int64_t channels, const T* mean, double* sums, double* products);
  // dx = a[c]·g + b[c]·x + d[c], with g as above
  void (*backward_apply)(const T* x, const T* y, const T* dy, T* dx, int64_t rows,
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
