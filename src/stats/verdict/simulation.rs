//! Rates of false verdicts and of true ones in simulated sweeps.

mod layers;
mod sweeps;
mod tables;
mod times;
mod trends;

use super::*;
use crate::spending::spent;
use fathom_base::random::{Purpose, Stream};
use fathom_spec::{Effect, Pairing};
use std::collections::BTreeMap;

const SWEEPS: u32 = 20_000;
const LEVEL: f64 = 0.05;
const ABOVE_0: Region = Region { low: Some(0.0), high: None };

/// Standard normal numbers.
struct Normal(Stream);

impl Normal {
    fn new(seed: u64) -> Self {
        Self(Stream::new(seed, Purpose::Dropout, 0, 0))
    }

    fn next(&mut self) -> f64 {
        let mut one = [0.0];
        self.0.fill_normal(&mut one);
        f64::from(one[0])
    }
}

/// The share of so many simulated sweeps in which something happened.
fn share(sweeps: u32, mut happens: impl FnMut(&mut Normal) -> bool) -> f64 {
    let mut normal = Normal::new(7);
    let hits = (0..sweeps).filter(|_| happens(&mut normal)).count();
    hits as f64 / f64::from(sweeps)
}

/// The level and three Monte-Carlo errors.
fn bound(level: f64) -> f64 {
    level + 3.0 * (level * (1.0 - level) / f64::from(SWEEPS)).sqrt()
}

/// Values of two arms for each seed: the first is `gap` above the second on average. Both vary by one
/// deviation, the first by `spread`, with this correlation.
fn pairs(normal: &mut Normal, n: usize, gap: f64, spread: f64, correlation: f64) -> Vec<[f64; 2]> {
    let pair = |_| {
        let (one, other) = (normal.next(), normal.next());
        let mixed = correlation * one + (1.0 - correlation * correlation).sqrt() * other;
        [gap + spread * mixed, one]
    };
    (0..n).map(pair).collect()
}

fn sample_of(effect: Effect, pairing: Pairing, values: &[[f64; 2]]) -> Sample {
    let seeds: Vec<&[f64]> = values.iter().map(|pair| &pair[..]).collect();
    let estimate = Estimate::of(effect, pairing, &[1.0, -1.0], &seeds).unwrap();
    Sample { n: values.len(), estimate, censored: None }
}

fn is(outcome: Outcome, claims: &[(Option<Sample>, Region)]) -> bool {
    holm(claims, LEVEL).iter().flatten().any(|look| look.outcome == outcome)
}

#[test]
fn an_effect_at_its_margin_is_falsely_decided_as_rarely_as_the_level_says() {
    for (claims, n) in [(1, 3), (1, 5), (4, 5)] {
        for wanted in [Outcome::Supported, Outcome::Refuted] {
            let found = share(SWEEPS, |normal| {
                // Claims of one sweep share runs, here half of their variance.
                let common: Vec<f64> = (0..n).map(|_| normal.next()).collect();
                let claim = |_| {
                    let value = |common: &f64| [common + normal.next(), 0.0];
                    let values: Vec<[f64; 2]> = common.iter().map(value).collect();
                    (Some(sample_of(Effect::Mean, Pairing::Seed, &values)), ABOVE_0)
                };
                is(wanted, &(0..claims).map(claim).collect::<Vec<_>>())
            });
            assert!(found <= bound(LEVEL), "{claims} claims, {n} seeds, {wanted}: {found}");
            // One claim spends the whole level, so the test would see a wrong quantile.
            assert!(claims > 1 || found > 0.045, "{found}");
        }
    }
}

#[test]
fn the_step_down_gains_power_and_keeps_its_level_when_some_claims_are_true() {
    let mut gains = [0.0; 2];
    let falsely = share(SWEEPS, |normal| {
        // Two claims are clearly true, one is true by two deviations, and one is at its margin.
        let mut claim = |gap| {
            let values = pairs(normal, 5, gap, 1.0, 0.0);
            (Some(sample_of(Effect::Mean, Pairing::Seed, &values)), ABOVE_0)
        };
        let claims = [claim(20.0), claim(20.0), claim(2.0), claim(0.0)];
        let supported = |look: &Option<Look>| look.as_ref().unwrap().outcome == Outcome::Supported;
        let looks = holm(&claims, LEVEL);
        let alone = claims[2].0.as_ref().unwrap().outcome(&ABOVE_0, LEVEL / 4.0);
        gains[0] += f64::from(u8::from(supported(&looks[2])));
        gains[1] += f64::from(u8::from(alone == Outcome::Supported));
        supported(&looks[3])
    });
    assert!(falsely <= bound(LEVEL), "{falsely}");
    let [stepped, divided] = gains.map(|count| count / f64::from(SWEEPS));
    assert!(stepped > divided + 0.1, "{stepped} {divided}");
}

#[test]
fn equivalence_is_not_claimed_at_the_edge_of_the_margin() {
    let within = Region { low: Some(-1.0), high: Some(1.0) };
    let rate = |gap: f64, n: usize, wanted: Outcome| {
        share(SWEEPS, |normal| {
            let values = pairs(normal, n, gap, 1.0, 0.5);
            is(wanted, &[(Some(sample_of(Effect::Mean, Pairing::Seed, &values)), within)])
        })
    };
    for n in [5, 12] {
        assert!(rate(1.0, n, Outcome::Supported) <= bound(LEVEL));
        assert!(rate(0.999, n, Outcome::Refuted) <= bound(LEVEL));
    }
    assert!(rate(0.0, 12, Outcome::Supported) > 0.85);
    // The narrowest margin is a test for any difference, and has two sides.
    let found = share(SWEEPS, |normal| {
        let values = pairs(normal, 5, 0.0, 1.0, 0.0);
        let narrow = Region { low: Some(-1e-9), high: Some(1e-9) };
        is(Outcome::Refuted, &[(Some(sample_of(Effect::Mean, Pairing::Seed, &values)), narrow)])
    });
    assert!(found <= bound(LEVEL), "{found}");
}

#[test]
fn looks_spend_no_more_than_the_level() {
    let looks = [3, 5, 8, 12];
    let levels = spent(LEVEL, &looks);
    let rate = |gap: f64, wanted: Outcome| {
        share(SWEEPS, |normal| {
            let values = pairs(normal, 12, gap, 1.0, 0.0);
            let samples = looks
                .iter()
                .map(|n| sample_of(Effect::Mean, Pairing::Seed, &values[..*n]))
                .collect();
            sequential(samples, &levels, &ABOVE_0).unwrap().outcome == wanted
        })
    };
    for wanted in [Outcome::Supported, Outcome::Refuted] {
        let found = rate(0.0, wanted);
        assert!(found <= bound(LEVEL) && found > 0.03, "{wanted}: {found}");
    }
    let found = rate(1.0, Outcome::Supported);
    assert!(found > 0.68, "{found}");
}

/// The share of sweeps in which the first of `claims` claims is supported, at the level that is left
/// to it if no other is.
fn power(
    pairing: Pairing,
    n: usize,
    claims: usize,
    gap: f64,
    spread: f64,
    correlation: f64,
) -> f64 {
    share(SWEEPS, |normal| {
        let values = pairs(normal, n, gap, spread, correlation);
        let sample = sample_of(Effect::Mean, pairing, &values);
        sample.outcome(&ABOVE_0, LEVEL / claims as f64) == Outcome::Supported
    })
}

#[test]
fn welchs_test_keeps_its_level_without_pairs_and_gains_power_with_few_seeds() {
    for n in [3, 5, 8] {
        // Negative correlations are not among them: equal batches and weights do not oppose arms.
        for (spread, correlation) in [(1.0, 0.0), (1.0, 0.5), (3.0, 0.0), (0.2, 0.9)] {
            let found = power(Pairing::None, n, 1, 0.0, spread, correlation);
            assert!(found <= bound(0.055), "{n} {spread} {correlation}: {found}");
        }
    }
    let [seed, none] =
        [Pairing::Seed, Pairing::None].map(|pairing| power(pairing, 5, 4, 2.5, 1.0, 0.21));
    assert!(none > seed + 0.05, "{seed} {none}");
    let [seed, none] =
        [Pairing::Seed, Pairing::None].map(|pairing| power(pairing, 5, 4, 1.0, 1.0, 0.9));
    assert!(seed > none + 0.3, "{seed} {none}");
}

#[test]
fn factors_of_log_normal_values_keep_the_level_where_their_differences_do_not() {
    // Both arms have the geometric mean 1; their logarithms vary by one deviation.
    let rate = |effect: Effect, gap: f64, region: Region, pairing: Pairing| {
        share(SWEEPS, |normal| {
            let mut values = pairs(normal, 5, gap, 1.0, 0.0);
            if effect == Effect::Mean {
                values.iter_mut().flatten().for_each(|value| *value = value.exp());
            }
            let sample = sample_of(effect, pairing, &values);
            sample.outcome(&region, LEVEL) == Outcome::Supported
        })
    };
    let above_1 = Region { low: Some(1.0), high: None };
    for pairing in [Pairing::Seed, Pairing::None] {
        let found = rate(Effect::Factor, 0.0, above_1, pairing);
        assert!(found <= bound(LEVEL), "{found}");
    }
    // A factor of seven: seen, while the difference is drowned in its own spread.
    let factor = rate(Effect::Factor, 2.0, above_1, Pairing::None);
    let difference = rate(Effect::Mean, 2.0, ABOVE_0, Pairing::None);
    assert!(factor > 0.85 && difference < 0.6, "{factor} {difference}");
}

#[test]
fn shares_of_seeds_keep_the_level() {
    let effect = Effect::Share { below: 0.0 };
    let of_one = |true_share: f64, n: usize, at_least: f64| {
        let region = Region { low: Some(at_least), high: None };
        share(SWEEPS, |normal| {
            let values: Vec<[f64; 1]> =
                (0..n).map(|_| [f64::from(u8::from(uniform(normal) < true_share))]).collect();
            let seeds: Vec<&[f64]> = values.iter().map(|value| &value[..]).collect();
            let estimate = Estimate::of(effect, Pairing::Seed, &[1.0], &seeds).unwrap();
            let sample = Sample { n, estimate, censored: None };
            sample.outcome(&region, LEVEL) == Outcome::Supported
        })
    };
    for n in [5, 8, 12] {
        assert!(of_one(0.5, n, 0.5) <= bound(LEVEL));
    }
    assert!(of_one(0.95, 8, 0.5) > 0.9, "seven of eight support a half");
    // Two arms. The intervals depend on the counts alone.
    let n = 5;
    let supported: Vec<Vec<bool>> = (0..=n)
        .map(|a| {
            let supports = |b| {
                let [first, second] = [a, b].map(|count| crate::proportion::Share { count, of: n });
                let estimate = Estimate::Difference(first, second);
                let sample = Sample { n, estimate, censored: None };
                sample.outcome(&ABOVE_0, LEVEL) == Outcome::Supported
            };
            (0..=n).map(supports).collect()
        })
        .collect();
    let of_two = |first: f64, second: f64| {
        share(SWEEPS, |normal| {
            let mut count = |share: f64| (0..n).filter(|_| uniform(normal) < share).count();
            supported[count(first)][count(second)]
        })
    };
    for true_share in [0.2, 0.5, 0.8] {
        assert!(of_two(true_share, true_share) <= bound(LEVEL));
    }
    assert!(of_two(0.95, 0.1) > 0.8, "{}", of_two(0.95, 0.1));
}

/// A uniform number.
fn uniform(normal: &mut Normal) -> f64 {
    f64::from(normal.0.uniform())
}

#[test]
fn ranks_keep_the_level_with_equal_arms_and_need_no_value_for_diverged_runs() {
    // Few seeds have few orders, and an interval depends on the order alone.
    let mut known: BTreeMap<String, bool> = BTreeMap::new();
    let mut at_least =
        |low: f64, n: usize, gap: f64, spread: f64, diverges: [f64; 2], level: f64| {
            let region = Region { low: Some(low), high: None };
            share(SWEEPS, |normal| {
                let mut values = pairs(normal, n, gap, spread, 0.0);
                for pair in &mut values {
                    for (value, probability) in pair.iter_mut().zip(diverges) {
                        if uniform(normal) < probability {
                            *value = f64::INFINITY;
                        }
                    }
                }
                let sample = sample_of(Effect::Rank, Pairing::None, &values);
                let key = format!("{:?} {low} {level}", sample.estimate);
                let supports = || sample.outcome(&region, level) == Outcome::Supported;
                *known.entry(key).or_insert_with(supports)
            })
        };
    // Φ(1.19/√2) = 0.8.
    assert!(at_least(0.8, 8, 1.190_2, 1.0, [0.0, 0.0], LEVEL) <= bound(LEVEL));
    let mut rate = |n: usize, gap: f64, spread: f64, diverges: [f64; 2], level: f64| {
        at_least(0.5, n, gap, spread, diverges, level)
    };
    for n in [3, 5] {
        assert!(rate(n, 0.0, 1.0, [0.0, 0.0], LEVEL) <= bound(LEVEL));
        assert!(rate(n, 0.0, 1.0, [0.3, 0.3], LEVEL) <= bound(LEVEL));
        assert!(rate(n, 0.0, 1.0, [0.0, 0.0], LEVEL / 4.0) <= bound(LEVEL / 4.0));
    }
    // Where only the spread differs, orders are not as probable as those of equal arms.
    for (n, stated) in [(3, 0.085), (5, 0.047), (6, 0.073), (8, 0.056)] {
        let found = rate(n, 0.0, 5.0, [0.0, 0.0], LEVEL);
        assert!(found <= bound(stated), "{n} seeds: {found}");
    }
    let found = rate(8, 0.0, 5.0, [0.0, 0.0], LEVEL / 4.0);
    assert!(found <= bound(0.022), "{found}");
    assert!(rate(5, 2.5, 1.0, [0.0, 0.0], LEVEL) > 0.9);
    assert!(rate(5, 0.0, 1.0, [0.9, 0.0], LEVEL) > 0.8, "most runs of one arm diverge");
}
