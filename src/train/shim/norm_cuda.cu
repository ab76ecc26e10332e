// CUDA kernels of batch normalisation with residual addition and ReLU, compiled at run time by NVRTC, which
// needs no headers. Values are stored as rows of `channels` values each (channels-last). A batch consists of
// parts of equal numbers of rows, the last of which may be smaller; every part has its own statistics.
//
// Values are bf16 if FATHOM_BF16 is defined, else f32; all arithmetic is in f32. A thread processes VECTOR
// neighbouring channels of a row. Threads of a block are numbered by channels first, then by rows.
// Sums are added in a fixed order, so that the same input gives the same bits.

#define VECTOR 4
// Rows that a thread loads before it uses the first of them.
#define UNROLL 4

// The tests on an emulated device compile this file for the processor, with other definitions.
#ifndef KERNEL
#define THREADS 256
#define KERNEL extern "C" __global__ void __launch_bounds__(THREADS)
#endif

typedef long long i64;

struct Values {
  float at[VECTOR];
};

#ifdef FATHOM_BF16
typedef unsigned short Stored;

__device__ Values load(const Stored* from) {
  const uint2 bits = *reinterpret_cast<const uint2*>(from);
  return {{__uint_as_float(bits.x << 16), __uint_as_float(bits.x & 0xffff0000u), __uint_as_float(bits.y << 16),
           __uint_as_float(bits.y & 0xffff0000u)}};
}

// The upper half of an f32, rounded to nearest, ties to even.
__device__ unsigned rounded(float x) {
  const unsigned bits = __float_as_uint(x);
  if (x != x) return 0x7fc0u;
  return (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
}

__device__ void store(Stored* to, const Values& v) {
  uint2 bits;
  bits.x = rounded(v.at[0]) | rounded(v.at[1]) << 16;
  bits.y = rounded(v.at[2]) | rounded(v.at[3]) << 16;
  *reinterpret_cast<uint2*>(to) = bits;
}
#else
typedef float Stored;

__device__ Values load(const Stored* from) {
  const float4 v = *reinterpret_cast<const float4*>(from);
  return {{v.x, v.y, v.z, v.w}};
}

__device__ void store(Stored* to, const Values& v) {
  *reinterpret_cast<float4*>(to) = make_float4(v.at[0], v.at[1], v.at[2], v.at[3]);
}
#endif

// Position of a thread. The grid has (blocks of a part, tiles of channels, parts) blocks.
struct Place {
  int vectors;       // vectors of channels of a block
  int lanes;         // rows that a block processes at a time
  int lane, vector;  // row of these, and vector of channels in the block
  int channel;       // first channel of the thread
  i64 begin, end;    // rows of the part
  i64 row, step;     // first row of the thread, and the distance of its rows
  bool is_used;      // whether the thread has channels
  int part;

  __device__ Place(i64 rows, i64 part_rows, int channels, int tile) {
    vectors = min(tile, channels / VECTOR);
    lanes = THREADS / vectors;
    lane = threadIdx.x / vectors;
    vector = threadIdx.x % vectors;
    channel = (blockIdx.y * vectors + vector) * VECTOR;
    part = blockIdx.z;
    begin = part * part_rows;
    end = min(begin + part_rows, rows);
    row = begin + i64(blockIdx.x) * lanes + lane;
    step = i64(gridDim.x) * lanes;
    is_used = lane < lanes && channel < channels;
  }
};

// Two sums of each channel of a block: over the threads of the block in `sums` of its lane 0.
__device__ void add_lanes(const Place& at, Values sums[2]) {
  __shared__ float shared[2 * VECTOR][THREADS];
  for (int k = 0; k < 2; ++k)
    for (int i = 0; i < VECTOR; ++i) shared[k * VECTOR + i][threadIdx.x] = sums[k].at[i];
  int count = at.lanes;
  while (count > 1) {
    const int half = (count + 1) / 2;
    __syncthreads();
    if (at.lane + half < count)
      for (int k = 0; k < 2 * VECTOR; ++k) shared[k][threadIdx.x] += shared[k][threadIdx.x + half * at.vectors];
    count = half;
  }
  for (int k = 0; k < 2; ++k)
    for (int i = 0; i < VECTOR; ++i) sums[k].at[i] = shared[k * VECTOR + i][threadIdx.x];
  __syncthreads();
}

// Stores the sums of a block, and adds up those of all blocks of the part in the last block that gets here.
// `partial` has 2 · channels values for each block of each part. Returns whether this is the last block
// of the tile among `expected` blocks; then `counter` is zero again.
__device__ bool publish(const Place& at, const Values sums[2], int channels, float* partial, unsigned* counter,
                        unsigned expected) {
  __shared__ bool is_last;
  if (at.is_used && at.lane == 0) {
    float* own = partial + 2 * channels * (i64(at.part) * gridDim.x + blockIdx.x);
    for (int k = 0; k < 2; ++k)
      for (int i = 0; i < VECTOR; ++i) own[k * channels + at.channel + i] = sums[k].at[i];
    __threadfence();
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    is_last = atomicAdd(counter, 1u) == expected - 1;
    if (is_last) *counter = 0;
  }
  __syncthreads();
  if (is_last) __threadfence();
  return is_last;
}

// The sums of all blocks of a part, in lane 0.
__device__ void add_blocks(const Place& at, int part, int channels, const float* partial, Values sums[2]) {
  for (int k = 0; k < 2; ++k)
    for (int i = 0; i < VECTOR; ++i) sums[k].at[i] = 0;
  if (at.is_used) {
    for (int block = at.lane; block < int(gridDim.x); block += at.lanes) {
      const float* own = partial + 2 * channels * (i64(part) * gridDim.x + block) + at.channel;
      for (int k = 0; k < 2; ++k) {
        // Other blocks wrote these values: they must not come from this multiprocessor's cache.
        const float4 v = __ldcg(reinterpret_cast<const float4*>(own + k * channels));
        sums[k].at[0] += v.x;
        sums[k].at[1] += v.y;
        sums[k].at[2] += v.z;
        sums[k].at[3] += v.w;
      }
    }
  }
  add_lanes(at, sums);
}

// Mean and 1 / √(variance + eps) of each part and channel; the running averages move towards those of the
// first part by the fraction `update`.
KERNEL moments(const Stored* x, i64 rows, i64 part_rows, int channels, int tile, float eps, float update, float* mean,
            float* inverse, float* running_mean, float* running_variance, float* partial, unsigned* counters) {
  const Place at(rows, part_rows, channels, tile);
  Values sums[2] = {};
  // Sums are of differences from the first value of the channel, for accuracy.
  Values about = {};
  if (at.is_used) {
    about = load(x + at.begin * channels + at.channel);
    for (i64 row = at.row; row < at.end; row += UNROLL * at.step) {
      Values loaded[UNROLL];
      for (int u = 0; u < UNROLL; ++u)
        loaded[u] = row + u * at.step < at.end ? load(x + (row + u * at.step) * channels + at.channel) : about;
      for (int u = 0; u < UNROLL; ++u) {
        for (int i = 0; i < VECTOR; ++i) {
          const float d = loaded[u].at[i] - about.at[i];
          sums[0].at[i] += d;
          sums[1].at[i] += d * d;
        }
      }
    }
  }
  add_lanes(at, sums);
  unsigned* counter = counters + at.part * gridDim.y + blockIdx.y;
  if (!publish(at, sums, channels, partial, counter, gridDim.x)) return;
  add_blocks(at, at.part, channels, partial, sums);
  if (!at.is_used || at.lane != 0) return;
  const float n = float(at.end - at.begin);
  for (int i = 0; i < VECTOR; ++i) {
    const int c = at.channel + i, to = at.part * channels + c;
    const float d = sums[0].at[i] / n;
    const float variance = fmaxf(sums[1].at[i] / n - d * d, 0.0f);
    const float m = about.at[i] + d;
    mean[to] = m;
    inverse[to] = rsqrtf(variance + eps);
    if (at.part == 0) {
      const float unbiased = variance * (n / fmaxf(n - 1, 1.0f));
      running_mean[c] += update * (m - running_mean[c]);
      running_variance[c] += update * (unbiased - running_variance[c]);
    }
  }
}

// y = γ (x − mean) inverse + β + added, and max(0, ·) of it with `relu`; `added` may be absent, and y may be x.
// With `is_variance`, `inverse` holds the variance instead.
KERNEL apply(const Stored* x, const Stored* added, Stored* y, i64 rows, i64 part_rows, int channels, int tile, float eps,
          bool is_variance, bool relu, const float* gamma, const float* beta, const float* mean,
          const float* inverse) {
  const Place at(rows, part_rows, channels, tile);
  if (!at.is_used) return;
  Values scale, shift;
  for (int i = 0; i < VECTOR; ++i) {
    const int c = at.channel + i, from = at.part * channels + c;
    scale.at[i] = gamma[c] * (is_variance ? rsqrtf(inverse[from] + eps) : inverse[from]);
    shift.at[i] = beta[c] - scale.at[i] * mean[from];
  }
  for (i64 first = at.row; first < at.end; first += UNROLL * at.step) {
    Values loaded[UNROLL], more[UNROLL];
    for (int u = 0; u < UNROLL; ++u) {
      const i64 row = first + u * at.step;
      if (row < at.end) {
        loaded[u] = load(x + row * channels + at.channel);
        if (added) more[u] = load(added + row * channels + at.channel);
      }
    }
    for (int u = 0; u < UNROLL; ++u) {
      const i64 row = first + u * at.step;
      if (row >= at.end) break;
      Values result;
      for (int i = 0; i < VECTOR; ++i) {
        float v = scale.at[i] * loaded[u].at[i] + shift.at[i];
        if (added) v += more[u].at[i];
        // A NaN stays one.
        result.at[i] = relu && v <= 0 ? 0.0f : v;
      }
      store(y + row * channels + at.channel, result);
    }
  }
}

// UNROLL rows of a thread: x, and g = dy where y > 0 (everywhere if y is absent).
struct Rows {
  Values x[UNROLL], g[UNROLL];

  __device__ Rows(const Place& at, i64 first, int channels, const Stored* x_, const Stored* y_, const Stored* dy) {
    Values y[UNROLL];
    for (int u = 0; u < UNROLL; ++u) {
      const i64 row = first + u * at.step, from = row * channels + at.channel;
      if (row < at.end) {
        x[u] = load(x_ + from);
        g[u] = load(dy + from);
        if (y_) y[u] = load(y_ + from);
      }
    }
    if (!y_) return;
    for (int u = 0; u < UNROLL; ++u)
      for (int i = 0; i < VECTOR; ++i)
        if (first + u * at.step < at.end && !(y[u].at[i] > 0)) g[u].at[i] = 0;
  }
};

// With g as above: gradients of γ and β from the sums of g and of
// g (x − mean) inverse, and the coefficients of dx = a g + b x + d, for each part 3 · channels values.
// Stores g in `kept` unless that is absent.
KERNEL backward_sums(const Stored* x, const Stored* y, const Stored* dy, Stored* kept, i64 rows, i64 part_rows,
                     int channels, int tile, const float* gamma, const float* mean, const float* inverse,
                     float* d_gamma, float* d_beta, float* coefficients, float* partial, unsigned* counters) {
  const Place at(rows, part_rows, channels, tile);
  Values sums[2] = {};
  if (at.is_used) {
    Values mu;
    for (int i = 0; i < VECTOR; ++i) mu.at[i] = mean[at.part * channels + at.channel + i];
    for (i64 first = at.row; first < at.end; first += UNROLL * at.step) {
      const Rows here(at, first, channels, x, y, dy);
      for (int u = 0; u < UNROLL; ++u) {
        const i64 row = first + u * at.step;
        if (row >= at.end) break;
        for (int i = 0; i < VECTOR; ++i) {
          sums[0].at[i] += here.g[u].at[i];
          sums[1].at[i] += here.g[u].at[i] * (here.x[u].at[i] - mu.at[i]);
        }
        if (kept) store(kept + row * channels + at.channel, here.g[u]);
      }
    }
  }
  add_lanes(at, sums);
  if (!publish(at, sums, channels, partial, counters + blockIdx.y, gridDim.x * gridDim.z)) return;
  Values to_gamma = {}, to_beta = {};
  for (int part = 0; part < int(gridDim.z); ++part) {
    add_blocks(at, part, channels, partial, sums);
    if (!at.is_used || at.lane != 0) continue;
    const float n = float(min(part_rows, rows - part * part_rows));
    for (int i = 0; i < VECTOR; ++i) {
      const int c = at.channel + i, from = part * channels + c;
      const float over_sigma = inverse[from], product = sums[1].at[i] * over_sigma;
      to_beta.at[i] += sums[0].at[i];
      to_gamma.at[i] += product;
      // dx = γ/σ (g − mean(g) − x̂ mean(g x̂))
      const float factor = gamma[c] * over_sigma;
      const float slope = -factor * over_sigma * product / n;
      float* to = coefficients + 3 * channels * part + c;
      to[0] = factor;
      to[channels] = slope;
      to[2 * channels] = -factor * sums[0].at[i] / n - slope * mean[from];
    }
  }
  if (!at.is_used || at.lane != 0) return;
  for (int i = 0; i < VECTOR; ++i) {
    d_gamma[at.channel + i] = to_gamma.at[i];
    d_beta[at.channel + i] = to_beta.at[i];
  }
}

// dx = a g + b x + d, with g and the coefficients as above.
KERNEL backward_apply(const Stored* x, const Stored* y, const Stored* dy, Stored* dx, i64 rows, i64 part_rows,
                   int channels, int tile, const float* coefficients) {
  const Place at(rows, part_rows, channels, tile);
  if (!at.is_used) return;
  Values a, b, d;
  for (int i = 0; i < VECTOR; ++i) {
    const float* from = coefficients + 3 * channels * at.part + at.channel + i;
    a.at[i] = from[0];
    b.at[i] = from[channels];
    d.at[i] = from[2 * channels];
  }
  for (i64 first = at.row; first < at.end; first += UNROLL * at.step) {
    const Rows here(at, first, channels, x, y, dy);
    for (int u = 0; u < UNROLL; ++u) {
      const i64 row = first + u * at.step;
      if (row >= at.end) break;
      Values result;
      for (int i = 0; i < VECTOR; ++i) result.at[i] = a.at[i] * here.g[u].at[i] + b.at[i] * here.x[u].at[i] + d.at[i];
      store(dx + row * channels + at.channel, result);
    }
  }
}
