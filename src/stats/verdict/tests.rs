use super::*;
use fathom_base::random::{Purpose, Stream};

const AT_LEAST_5: Region = Region { low: Some(5.0), high: None };
const WITHIN_1: Region = Region { low: Some(-1.0), high: Some(1.0) };

/// Standard normal numbers (Box and Muller).
struct Normal(Stream);

impl Normal {
    fn new(seed: u64) -> Self {
        Self(Stream::new(seed, Purpose::Dropout, 0, 0))
    }

    fn next(&mut self) -> f64 {
        let mut uniform = || f64::from(self.0.between(f32::MIN_POSITIVE, 1.0));
        let (radius, angle) = ((-2.0 * uniform().ln()).sqrt(), std::f64::consts::TAU * uniform());
        radius * angle.cos()
    }
}

/// Share of so many simulated sweeps in which any claim came out so. Each sweep has these effects of
/// one deviation on the seeds' differences, which the claims share in half.
fn share(
    sweeps: u32,
    effects: &[f64],
    looks: &[usize],
    level: f64,
    region: &Region,
    wanted: Outcome,
) -> f64 {
    let mut normal = Normal::new(7);
    let confidence = confidence(level, effects.len(), looks.len());
    let most = looks.last().copied().unwrap_or_default();
    let mut hits = 0;
    for _ in 0..sweeps {
        let common: Vec<f64> = (0..most).map(|_| normal.next()).collect();
        let mut any = false;
        for effect in effects {
            let own = |common: &f64, normal: &mut Normal| {
                effect + std::f64::consts::FRAC_1_SQRT_2 * (common + normal.next())
            };
            let values: Vec<f64> = common.iter().map(|common| own(common, &mut normal)).collect();
            let look = decide(&values, looks, region, confidence).unwrap();
            any |= look.outcome == wanted;
        }
        hits += u32::from(any);
    }
    f64::from(hits) / f64::from(sweeps)
}

const SWEEPS: u32 = 20_000;

/// The level in one direction and three Monte-Carlo errors.
fn bound(level: f64) -> f64 {
    level / 2.0 + 3.0 * (level / 2.0 * (1.0 - level / 2.0) / f64::from(SWEEPS)).sqrt()
}

#[test]
fn a_true_effect_at_the_margin_is_falsely_supported_as_rarely_as_promised() {
    for (effects, looks) in [
        (vec![5.0], vec![3]),
        (vec![5.0], vec![5]),
        (vec![5.0; 4], vec![5]),
        (vec![5.0], vec![3, 5, 8, 12]),
        (vec![5.0; 3], vec![3, 5, 8, 12]),
    ] {
        for wanted in [Outcome::Supported, Outcome::Refuted] {
            let found = share(SWEEPS, &effects, &looks, 0.05, &AT_LEAST_5, wanted);
            assert!(found <= bound(0.05), "{effects:?} {looks:?} {wanted}: {found}");
        }
    }
    // One claim at one look spends the whole level, so the test would see a wrong quantile.
    let found = share(SWEEPS, &[5.0], &[5], 0.05, &AT_LEAST_5, Outcome::Supported);
    assert!((found - 0.025).abs() < 3.5e-3, "{found}");
}

#[test]
fn two_deviations_beyond_the_margin_are_seen_with_five_seeds() {
    let found = share(SWEEPS, &[7.0], &[5], 0.05, &AT_LEAST_5, Outcome::Supported);
    assert!(found >= 0.85, "{found}");
}

#[test]
fn equivalence_is_not_claimed_at_the_edge_of_the_margin() {
    let found = share(SWEEPS, &[1.0], &[12], 0.05, &WITHIN_1, Outcome::Supported);
    assert!(found <= bound(0.05), "{found}");
    let found = share(2_000, &[0.0], &[12, 24], 0.05, &WITHIN_1, Outcome::Supported);
    assert!(found > 0.8, "{found}");
}

#[test]
fn a_verdict_is_of_the_whole_interval() {
    let region = AT_LEAST_5;
    let outcome = |low, high| region.judge(&Interval { low, high });
    assert_eq!(outcome(5.1, 9.0), Outcome::Supported);
    assert_eq!(outcome(4.9, 9.0), Outcome::Undecided);
    assert_eq!(outcome(5.0, 9.0), Outcome::Undecided, "the end itself is no support");
    assert_eq!(outcome(1.0, 4.9), Outcome::Refuted);
    assert_eq!(WITHIN_1.judge(&Interval { low: -0.9, high: 0.9 }), Outcome::Supported);
    assert_eq!(WITHIN_1.judge(&Interval { low: -1.1, high: 0.9 }), Outcome::Undecided);
    assert_eq!(WITHIN_1.judge(&Interval { low: 1.1, high: 2.0 }), Outcome::Refuted);
    assert_eq!(WITHIN_1.judge(&Interval { low: -9.0, high: -1.5 }), Outcome::Refuted);
}

#[test]
fn one_seed_decides_nothing() {
    let look = Look::at(&[99.0], &AT_LEAST_5, 0.95).unwrap();
    assert_eq!((look.n, look.interval, look.outcome), (1, None, Outcome::Undecided));
    assert_eq!(Look::at(&[], &AT_LEAST_5, 0.95), None);
}

#[test]
fn a_decision_at_an_early_look_stands() {
    // Clear at two seeds; a third one would blur it.
    let effects = [9.0, 9.1, 0.0, 9.0];
    let look = decide(&effects, &[2, 3], &AT_LEAST_5, 0.95).unwrap();
    assert_eq!((look.n, look.outcome), (2, Outcome::Supported));
    let look = decide(&effects[..2], &[3, 4], &AT_LEAST_5, 0.95);
    assert_eq!(look, None, "before the first look");
    let look = decide(&effects, &[3, 8], &AT_LEAST_5, 0.95).unwrap();
    assert_eq!((look.n, look.outcome), (3, Outcome::Undecided));
}

#[test]
fn the_seeds_that_are_needed_would_decide() {
    let effects = [6.0, 8.0, 4.0, 9.0];
    assert_eq!(Look::at(&effects, &AT_LEAST_5, 0.95).unwrap().outcome, Outcome::Undecided);
    let needed = seeds_needed(&effects, &AT_LEAST_5, 0.95).unwrap();
    // As many again with the same mean and deviation (n in the denominator).
    let mean = 6.75;
    let sd = (effects.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 3.0).sqrt();
    let half = |n: usize| quantile(n as f64 - 1.0, 0.975) * sd / (n as f64).sqrt();
    assert!(half(needed) < mean - 5.0 && half(needed - 1) >= mean - 5.0, "{needed}");
    assert_eq!(seeds_needed(&[5.0, 5.0001, 4.9999], &AT_LEAST_5, 0.95), None, "at the margin");
    assert_eq!(seeds_needed(&[9.0], &AT_LEAST_5, 0.95), None);
}
