#include "conv_kernels.h"

#ifndef FATHOM_ISA
#error "FATHOM_ISA names the instruction set that this file is compiled for"
#endif

#define UNROLLED _Pragma("GCC unroll 8")

namespace fathom {
namespace FATHOM_ISA {

// LANES floats to a vector; a tile has SUMS vectors of sums, which leaves registers for the factors.
#if defined(__AVX512F__)
constexpr int64_t LANES = 16, SUMS = 24, MOST_OUTPUTS = 8;
#elif defined(__AVX2__)
constexpr int64_t LANES = 8, SUMS = 12, MOST_OUTPUTS = 4;
#else
constexpr int64_t LANES = 4, SUMS = 8, MOST_OUTPUTS = 4;
#endif
// Neighbouring taps whose products are summed at once.
constexpr int64_t TAPS = 3;

typedef float Vector __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

// The factor stays in a register. Otherwise the compiler reads it from memory for each of its uses,
// and reading limits the speed.
static inline Vector in_register(Vector v) {
#if defined(__x86_64__)
  asm("" : "+v"(v));
#endif
  return v;
}

static inline Vector read(const float* at) {
  return in_register(*reinterpret_cast<const Vector*>(at));
}

static inline Vector& vector_at(float* at) { return *reinterpret_cast<Vector*>(at); }

static void pack(const float* from, int64_t step, int64_t images, int64_t columns, float* to) {
  if (images >= LANES) {
    for (int64_t j = 0; j < columns; ++j) vector_at(to + j * LANES) = read(from + j * step);
    return;
  }
  for (int64_t j = 0; j < columns; ++j)
    for (int64_t n = 0; n < LANES; ++n) to[j * LANES + n] = n < images ? from[j * step + n] : 0;
}

// K outputs of N pixels.
template <int64_t K, int64_t N>
static void tile(const RowOfOutputs& row, int64_t first) {
  const float* x = row.x + first * row.x_step;
  const float* weights = row.weights;
  Vector sums[K][N];
  UNROLLED for (int64_t k = 0; k < K; ++k) {
    UNROLLED for (int64_t j = 0; j < N; ++j) sums[k][j] = row.start[k] - Vector{};
  }
  for (int64_t c = 0; c < row.inputs; ++c, x += row.x_channel, weights += row.filter) {
    for (int64_t t = 0; t < row.tap_count; ++t) {
      const float* at = x + row.taps[t].pixel;
      const float* w = weights + row.taps[t].weight * K;
      Vector pixels[N];
      UNROLLED for (int64_t j = 0; j < N; ++j) pixels[j] = read(at + j * row.x_step);
      UNROLLED for (int64_t k = 0; k < K; ++k) {
        const Vector weight = in_register(w[k] - Vector{});
        UNROLLED for (int64_t j = 0; j < N; ++j) sums[k][j] += weight * pixels[j];
      }
    }
  }
  float* y = row.y + first * row.y_step;
  UNROLLED for (int64_t k = 0; k < K; ++k) {
    UNROLLED for (int64_t j = 0; j < N; ++j) {
      vector_at(y + k * row.y_channel + j * row.y_step) = sums[k][j];
    }
  }
}

// Calls tile<K, n> for N ≥ n > 0.
template <int64_t K, int64_t N>
static void tile_of(const RowOfOutputs& row, int64_t first, int64_t n) {
  if (n == N) return tile<K, N>(row, first);
  if constexpr (N > 1) tile_of<K, N - 1>(row, first, n);
}

template <int64_t K>
static void outputs_by(const RowOfOutputs& row) {
  constexpr int64_t N = SUMS / K;
  for (int64_t first = 0; first < row.columns;) {
    // Tiles of about equal size: a tile of one pixel waits for its own sums.
    const int64_t rest = row.columns - first, tiles = (rest + N - 1) / N;
    const int64_t n = (rest + tiles - 1) / tiles;
    tile_of<K, N>(row, first, n);
    first += n;
  }
}

static void outputs_of_row(const RowOfOutputs& row, int64_t outputs) {
  outputs == OUTPUTS ? outputs_by<OUTPUTS>(row) : outputs_by<MOST_OUTPUTS>(row);
}

// T taps from the tap `first` on, K outputs.
template <int64_t K, int64_t T>
static void dots(const Products& of, int64_t first) {
  float* at = of.sums + first * K * LANES;
  Vector sums[T][K];
  UNROLLED for (int64_t t = 0; t < T; ++t) {
    UNROLLED for (int64_t k = 0; k < K; ++k) sums[t][k] = vector_at(at + (t * K + k) * LANES);
  }
  for (int64_t block = 0; block < of.blocks; ++block) {
    for (int64_t row = 0; row < of.rows; ++row) {
      const float* x = of.x + block * of.x_block + row * of.x_row + first * LANES;
      const float* dy = of.dy + block * of.dy_block + row * of.dy_row;
      for (int64_t j = 0; j < of.columns; ++j, x += of.x_step, dy += LANES) {
        Vector pixels[T];
        UNROLLED for (int64_t t = 0; t < T; ++t) pixels[t] = read(x + t * LANES);
        UNROLLED for (int64_t k = 0; k < K; ++k) {
          const Vector gradient = read(dy + k * of.dy_channel);
          UNROLLED for (int64_t t = 0; t < T; ++t) sums[t][k] += pixels[t] * gradient;
        }
      }
    }
  }
  UNROLLED for (int64_t t = 0; t < T; ++t) {
    UNROLLED for (int64_t k = 0; k < K; ++k) vector_at(at + (t * K + k) * LANES) = sums[t][k];
  }
}

template <int64_t K>
static void products_by(const Products& of) {
  int64_t first = 0;
  for (; first + TAPS <= of.taps; first += TAPS) dots<K, TAPS>(of, first);
  for (; first < of.taps; ++first) dots<K, 1>(of, first);
}

static void products(const Products& of, int64_t outputs) {
  outputs == OUTPUTS ? products_by<OUTPUTS>(of) : products_by<MOST_OUTPUTS>(of);
}

static void fold(const float* vectors, int64_t count, float* sums) {
  for (int64_t at = 0; at < count; ++at, vectors += LANES) {
    float part[LANES / 2];
    for (int64_t n = 0; n < LANES / 2; ++n) part[n] = vectors[n] + vectors[LANES / 2 + n];
    UNROLLED for (int64_t half = LANES / 4; half > 0; half /= 2) {
      for (int64_t n = 0; n < half; ++n) part[n] += part[half + n];
    }
    sums[at] = part[0];
  }
}

const ConvKernels& conv_kernels() {
  static const ConvKernels all = {LANES, MOST_OUTPUTS, pack, outputs_of_row, products, fold};
  return all;
}

}  // namespace FATHOM_ISA
}  // namespace fathom
