use super::*;
use crate::student::quantile;
use fathom_spec::{Effect, Pairing};

const AT_LEAST_5: Region = Region { low: Some(5.0), high: None };
const WITHIN_1: Region = Region { low: Some(-1.0), high: Some(1.0) };

/// The evidence of one arm.
fn sample(values: &[f64]) -> Sample {
    let seeds: Vec<&[f64]> = values.iter().map(std::slice::from_ref).collect();
    let estimate = Estimate::of(Effect::Mean, Pairing::Seed, &[1.0], &seeds).unwrap();
    Sample { n: values.len(), estimate, censored: None }
}

/// The evidence of three seeds with this mean, whose interval at 5% is 1.686 wide on either side.
fn around(mean: f64) -> Sample {
    sample(&[mean - 1.0, mean, mean + 1.0])
}

#[test]
fn a_verdict_is_of_the_whole_interval() {
    let end = |region: &Region, low, high| {
        let interval = Interval { low, high };
        (region.holds(&interval), region.excludes(&interval))
    };
    assert_eq!(end(&AT_LEAST_5, 5.1, 9.0), (true, false));
    assert_eq!(end(&AT_LEAST_5, 4.9, 9.0), (false, false));
    assert_eq!(end(&AT_LEAST_5, 5.0, 9.0), (false, false), "the end itself is no support");
    assert_eq!(end(&AT_LEAST_5, 1.0, 4.9), (false, true));
    assert_eq!(end(&WITHIN_1, -0.9, 0.9), (true, false));
    assert_eq!(end(&WITHIN_1, -1.1, 0.9), (false, false));
    assert_eq!(end(&WITHIN_1, 1.1, 2.0), (false, true));
    assert_eq!(end(&WITHIN_1, -9.0, -1.5), (false, true));
}

#[test]
fn either_side_has_the_whole_level_and_a_refuted_equivalence_half_of_it() {
    let half = |level| quantile(2.0, 1.0 - level) / 3f64.sqrt();
    let outcome = |mean, region, level| Look::at(around(mean), region, level);
    let look = outcome(5.01 + half(0.05), &AT_LEAST_5, 0.05);
    assert_eq!((look.outcome, look.level_of_end()), (Outcome::Supported, 0.05));
    assert_eq!(outcome(4.99 + half(0.05), &AT_LEAST_5, 0.05).outcome, Outcome::Undecided);
    assert_eq!(outcome(4.99 - half(0.05), &AT_LEAST_5, 0.05).outcome, Outcome::Refuted);
    assert_eq!(outcome(1.01 + half(0.05), &WITHIN_1, 0.05).outcome, Outcome::Undecided);
    let look = outcome(1.01 + half(0.025), &WITHIN_1, 0.05);
    assert_eq!((look.outcome, look.level_of_end()), (Outcome::Refuted, 0.025));
    assert!(look.interval().unwrap().low > 1.0, "what is shown is what decided");
    let open = outcome(1.01 + half(0.05), &WITHIN_1, 0.05);
    assert!(open.interval().unwrap().low < 1.0, "the wider interval, which did not decide");
}

#[test]
fn one_seed_decides_nothing() {
    let look = Look::at(sample(&[99.0]), &AT_LEAST_5, 0.05);
    assert_eq!((look.interval(), look.outcome), (None, Outcome::Undecided));
}

#[test]
fn an_open_end_supports_nothing_on_its_side_and_the_other_needs_enough_seeds() {
    let late = |values: &[f64]| Sample {
        censored: Some(Censored::of(true, false, values.to_vec())),
        ..sample(values)
    };
    let open = late(&[19.0, 20.0, 20.0, 20.0, 21.0]);
    assert_eq!(Look::at(open.clone(), &AT_LEAST_5, 0.05).outcome, Outcome::Supported);
    let at_most = Region { low: None, high: Some(50.0) };
    assert_eq!(Look::at(open.clone(), &at_most, 0.05).outcome, Outcome::Undecided);
    let at_least = Region { low: Some(50.0), high: None };
    assert_eq!(Look::at(open, &at_least, 0.05).outcome, Outcome::Undecided, "not refuted either");
    // Three times are all shortened to the same one with a probability of up to 1/8.
    let three = late(&[20.0; 3]);
    assert_eq!(Look::at(three.clone(), &AT_LEAST_5, 0.05).outcome, Outcome::Undecided);
    assert_eq!(seeds_needed(&three, &AT_LEAST_5, Levels::both(0.05)), Some(5));
}

#[test]
fn a_supported_claim_leaves_its_share_of_the_level_to_the_others() {
    let half = |level| quantile(2.0, 1.0 - level) / 3f64.sqrt();
    let clear = (Some(around(50.0)), AT_LEAST_5);
    // Between the ends at a half and at the whole of the level.
    let near = (Some(around(5.0 + f64::midpoint(half(0.025), half(0.05)))), AT_LEAST_5);
    let outcomes = |claims: &[(Option<Sample>, Region)]| {
        let looks = holm(claims, 0.05);
        looks
            .into_iter()
            .map(|look| look.map(|look| (look.outcome, look.level_of_end())))
            .collect::<Vec<_>>()
    };
    let both = outcomes(&[near.clone(), clear.clone()]);
    assert_eq!(both, [Some((Outcome::Supported, 0.05)), Some((Outcome::Supported, 0.025))]);
    // A refuted claim leaves nothing to the supported ones, and one that cannot be tested neither.
    let low = (Some(around(-50.0)), AT_LEAST_5);
    let found = outcomes(&[near.clone(), low.clone()]);
    assert_eq!(found, [Some((Outcome::Undecided, 0.025)), Some((Outcome::Refuted, 0.025))]);
    assert_eq!(
        outcomes(&[near.clone(), (None, AT_LEAST_5)]),
        [Some((Outcome::Undecided, 0.025)), None]
    );
    let look = holm(&[near, low], 0.05)[0].clone().unwrap();
    assert!(look.interval().unwrap().low < 5.0, "what is shown is undecided");
    assert!(holm(&[], 0.05).is_empty());
}

#[test]
fn a_decision_at_an_early_look_stands() {
    // Clear at two seeds; a third one would blur it.
    let effects = [9.0, 9.1, 0.0, 9.0];
    let at = |looks: &[usize]| looks.iter().map(|n| sample(&effects[..*n])).collect::<Vec<_>>();
    let levels = [0.025, 0.025];
    let look = sequential(at(&[2, 3]), &levels, &AT_LEAST_5).unwrap();
    assert_eq!((look.sample.n, look.outcome), (2, Outcome::Supported));
    assert_eq!(sequential(Vec::new(), &levels, &AT_LEAST_5), None, "before the first look");
    let look = sequential(at(&[3]), &levels, &AT_LEAST_5).unwrap();
    assert_eq!((look.sample.n, look.outcome), (3, Outcome::Undecided));
}

#[test]
fn the_seeds_that_are_needed_would_decide() {
    let effects = [6.0, 8.0, 4.0, 9.0];
    let needed = |effects: &[f64]| seeds_needed(&sample(effects), &AT_LEAST_5, Levels::both(0.025));
    assert_eq!(sample(&effects).outcome(&AT_LEAST_5, 0.025), Outcome::Undecided);
    let found = needed(&effects).unwrap();
    // As many again with the same mean and deviation.
    let mean = 6.75;
    let sd = (effects.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 3.0).sqrt();
    let half = |n: usize| quantile(n as f64 - 1.0, 0.975) * sd / (n as f64).sqrt();
    assert!(half(found) < mean - 5.0 && half(found - 1) >= mean - 5.0, "{found}");
    assert_eq!(needed(&[5.0, 5.0001, 4.9999]), None, "at the margin");
    assert_eq!(needed(&[9.0]), None);
}
