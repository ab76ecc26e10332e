// The program's CUDA kernels, compiled for the processor, beside their formulas in f64.
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "kernels_on_host.h"
#include "selftest.h"

namespace selftest {

namespace {

constexpr float EPS = 1e-5f, UPDATE = 0.1f;

struct Case {
  int64_t rows, part_rows;
  int channels, tile, blocks;
  bool added, relu;
};

// Values as a kernel stores them, and what they stand for.
struct F32 {
  using Stored = float;
  static constexpr double ROUNDING = 2e-6;
  static float stored(double x) { return float(x); }
  static double value(float x) { return x; }
};

struct Bf16 {
  using Stored = unsigned short;
  static constexpr double ROUNDING = 1.0 / 256;
  static unsigned short stored(double x) { return on_host::bf16::rounded(float(x)); }
  static double value(unsigned short x) { return on_host::__uint_as_float(unsigned(x) << 16); }
};

// ‖found − expected‖ / ‖expected‖.
double apart(const std::vector<double>& found, const std::vector<double>& expected) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    difference += (found[i] - expected[i]) * (found[i] - expected[i]);
    size += expected[i] * expected[i];
  }
  return std::sqrt(difference / size);
}

template <class Kind, class Moments, class Apply, class Sums, class Gradient>
double worst(const Case& is, Moments moments, Apply apply, Sums backward_sums, Gradient backward_apply) {
  using Stored = typename Kind::Stored;
  std::mt19937 random(is.channels);
  std::normal_distribution<double> normal;
  const int c = is.channels, parts = int((is.rows + is.part_rows - 1) / is.part_rows);
  const size_t n = is.rows * c;
  const auto values = [&](double mean) {
    std::vector<Stored> all(n);
    for (Stored& x : all) x = Kind::stored(mean + normal(random));
    return all;
  };
  const auto doubles = [](const std::vector<Stored>& all) {
    std::vector<double> found;
    for (const Stored x : all) found.push_back(Kind::value(x));
    return found;
  };
  const std::vector<Stored> x = values(3), added = values(0), dy = values(0);
  std::vector<float> gamma(c), beta(c), running_mean(c, 0.0f), running_variance(c, 1.0f), mean(parts * c),
      inverse(parts * c), d_gamma(c), d_beta(c), coefficients(3 * parts * c), partial(2 * c * parts * is.blocks);
  for (float& one : gamma) one = float(1 + 0.3 * normal(random));
  for (float& one : beta) one = float(0.3 * normal(random));
  std::vector<Stored> y(n), kept(n), dx(n);
  std::vector<unsigned> counters(64);
  const on_host::Index grid{unsigned(is.blocks), unsigned((c / 4 + is.tile - 1) / is.tile), unsigned(parts)};
  const Stored* const more = is.added ? added.data() : nullptr;
  Stored* const keep = is.added && is.relu ? kept.data() : nullptr;
  const Stored* const mask = is.relu ? y.data() : nullptr;
  const auto on_grid = [&](auto kernel, auto... arguments) {
    on_host::run_grid(grid, [&] { kernel(arguments...); });
  };
  on_grid(moments, x.data(), is.rows, is.part_rows, c, is.tile, EPS, UPDATE, mean.data(), inverse.data(),
          running_mean.data(), running_variance.data(), partial.data(), counters.data());
  on_grid(apply, x.data(), more, y.data(), is.rows, is.part_rows, c, is.tile, EPS, false, is.relu, gamma.data(),
          beta.data(), mean.data(), inverse.data());
  on_grid(backward_sums, x.data(), mask, dy.data(), keep, is.rows, is.part_rows, c, is.tile, gamma.data(),
          mean.data(), inverse.data(), d_gamma.data(), d_beta.data(), coefficients.data(), partial.data(),
          counters.data());
  on_grid(backward_apply, x.data(), keep ? nullptr : mask, keep ? keep : dy.data(), dx.data(), is.rows, is.part_rows,
          c, is.tile, coefficients.data());
  for (const unsigned counter : counters)
    if (counter) return INFINITY;

  const std::vector<double> xs = doubles(x), as = doubles(added), dys = doubles(dy), ys = doubles(y);
  std::vector<double> expected_y(n), expected_dx(n), expected_kept(n), to_gamma(c), to_beta(c), averages, found;
  for (int part = 0; part < parts; ++part) {
    const int64_t from = part * is.part_rows, to = std::min(from + is.part_rows, is.rows);
    const double count = double(to - from);
    for (int k = 0; k < c; ++k) {
      double mu = 0, variance = 0, sum = 0, product = 0;
      for (int64_t r = from; r < to; ++r) mu += xs[r * c + k] / count;
      for (int64_t r = from; r < to; ++r) variance += std::pow(xs[r * c + k] - mu, 2) / count;
      const double over_sigma = 1 / std::sqrt(variance + EPS);
      if (part == 0) {
        averages.push_back(UPDATE * mu);
        averages.push_back(1 - UPDATE + UPDATE * variance * count / std::max(1.0, count - 1));
        found.push_back(running_mean[k]);
        found.push_back(running_variance[k]);
      }
      for (int64_t r = from; r < to; ++r) {
        const size_t i = r * c + k;
        const double v = gamma[k] * (xs[i] - mu) * over_sigma + beta[k] + (is.added ? as[i] : 0);
        expected_y[i] = is.relu ? std::max(0.0, v) : v;
        // The mask is that of the stored values.
        expected_kept[i] = is.relu && ys[i] <= 0 ? 0 : dys[i];
        sum += expected_kept[i];
        product += expected_kept[i] * (xs[i] - mu) * over_sigma;
      }
      to_beta[k] += sum;
      to_gamma[k] += product;
      for (int64_t r = from; r < to; ++r) {
        const size_t i = r * c + k;
        const double normalised = (xs[i] - mu) * over_sigma;
        // The second kernel reads what the first one has stored.
        const double g = keep ? Kind::value(kept[i]) : expected_kept[i];
        expected_dx[i] = gamma[k] * over_sigma * (g - sum / count - normalised * product / count);
      }
    }
  }
  const auto floats = [](const std::vector<float>& all) { return std::vector<double>(all.begin(), all.end()); };
  double most = std::max(apart(ys, expected_y), apart(doubles(dx), expected_dx)) / Kind::ROUNDING;
  if (keep) most = std::max(most, apart(doubles(kept), expected_kept) / Kind::ROUNDING);
  // Sums are f32 whatever the values are.
  for (const double one : {apart(found, averages), apart(floats(d_gamma), to_gamma), apart(floats(d_beta), to_beta)})
    most = std::max(most, one / F32::ROUNDING);
  return most;
}

}  // namespace

void test_program_kernels() {
  // Rows of one image and of many, parts with a smaller last one, more channels than a block has, channels
  // that do not divide a block, few rows.
  const Case cases[] = {{1024, 1024, 16, 4, 3, true, true}, {1000, 256, 16, 4, 5, false, true},
                        {150, 64, 36, 9, 2, true, true},    {77, 77, 4, 1, 1, false, false},
                        {96, 32, 256, 32, 4, true, false},  {60, 30, 200, 32, 1, true, true},
                        {8, 8, 8, 2, 1, false, true},       {5000, 2500, 8, 2, 7, true, true}};
  for (const Case& is : cases) {
    using namespace on_host;
    const std::string name = std::to_string(is.rows) + " rows of " + std::to_string(is.channels) + " channels";
    const double f32 = worst<F32>(is, f32::moments, f32::apply, f32::backward_sums, f32::backward_apply);
    check(f32 <= 1, "fused normalisation of " + name + " in f32", std::to_string(f32));
    const double bf16 = worst<Bf16>(is, bf16::moments, bf16::apply, bf16::backward_sums, bf16::backward_apply);
    check(bf16 <= 1, "fused normalisation of " + name + " in bf16", std::to_string(bf16));
  }
}

}  // namespace selftest
