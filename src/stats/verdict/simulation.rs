//! Rates of false verdicts and of true ones in simulated sweeps.

use super::*;
use crate::spending::spent;
use fathom_base::random::{Purpose, Stream};
use fathom_spec::{Effect, Pairing};

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
    Sample { n: values.len(), estimate, open_above: false, open_below: false }
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
    // One look at twelve seeds would support this in 0.76 of the sweeps.
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
        for (spread, correlation) in [(1.0, 0.0), (1.0, 0.5), (5.0, 0.0), (0.2, 0.9)] {
            let found = power(Pairing::None, n, 1, 0.0, spread, correlation);
            assert!(found <= bound(LEVEL) + 0.01, "{n} {spread} {correlation}: {found}");
        }
    }
}

#[test]
#[ignore = "prints the tables of docs/claims.md"]
fn tables() {
    for n in [3, 5, 8] {
        for claims in [1, 4] {
            for correlation in [0.0, 0.21, 0.5, 0.9, 0.99] {
                let gap = 2.5 * (5.0 / n as f64).sqrt();
                let of = |pairing| power(pairing, n, claims, gap, 1.0, correlation);
                println!(
                    "n {n} claims {claims} correlation {correlation} gap {gap:.2}: seed {:.2} none {:.2}",
                    of(Pairing::Seed),
                    of(Pairing::None)
                );
            }
        }
    }
}
