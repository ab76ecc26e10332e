//! Effects other than paired differences.

use super::*;

#[test]
fn arms_without_pairs_are_compared_by_welchs_test() {
    let text = format!("{DEPTHS}{DEEPER_IS_WORSE}");
    // Seeds differ by ten points, pairs by four: only pairs show it.
    let error = |depth: u64, _: f64, seed: u64| {
        Some(10.0 * seed as f64 + if depth == 20 { 4.0 + 0.1 * seed as f64 } else { 0.0 })
    };
    assert_eq!(with("pairing = \"seed\"", &text, error).outcome, Outcome::Supported);
    assert_eq!(with("pairing = \"none\"", &text, error).outcome, Outcome::Undecided);
    let own = format!("{text}pairing = \"none\"\n");
    assert_eq!(only(&own, error).outcome, Outcome::Undecided, "a claim's own way comes first");
}

#[test]
fn equal_differences_leave_no_width_to_pairs_alone() {
    let text = format!("{DEPTHS}{DEEPER_IS_WORSE}");
    let error =
        |depth: u64, _: f64, seed: u64| Some(seed as f64 + if depth == 20 { 4.0 } else { 0.0 });
    let remarks = |pairing: &str| with(pairing, &text, error).remarks.join("; ");
    let remark = "so its interval has no width";
    assert!(remarks("pairing = \"seed\"").contains(remark));
    assert!(!remarks("pairing = \"none\"").contains(remark));
}

#[test]
fn factors_are_judged_by_their_logarithms() {
    let text = format!("{DEPTHS}{}scale = \"log\"\n", DEEPER_IS_WORSE);
    let error = |depth: u64, _: f64, seed: u64| {
        let common = 1.0 + seed as f64;
        Some(if depth == 20 { (6.0 + 0.2 * seed as f64) * common } else { 2.0 * common })
    };
    let verdict = only(&text, error);
    assert_eq!(verdict.outcome, Outcome::Supported);
    assert!((verdict.effect.unwrap() - 3.195).abs() < 2e-3, "{:?}", verdict.effect);
    assert!((verdict.effects[0].1 - 3.0).abs() < 1e-12);
    let statement = "train_err_pct of depth=20 exceeds that of depth=8 by a factor of at least 2";
    assert_eq!(verdict.statement, statement);
    let zero = only(&text, |_, _, seed| Some(seed as f64));
    assert!(zero.reason.unwrap().contains("counts with 0, which has no logarithm"));
}

#[test]
fn a_share_of_seeds_has_an_exact_interval_and_counts_diverged_runs_as_failures() {
    let text = format!(
        "{DEPTHS}[[claim]]\nname = \"trains\"\nof = {{ depth = 8 }}\nshare_below = 80\nat_least = 0.5\n"
    );
    let verdict = only(&text, |_, _, _| Some(30.0));
    assert_eq!((verdict.outcome, verdict.effect), (Outcome::Supported, Some(1.0)));
    assert!((verdict.low.unwrap() - 0.05f64.powf(0.2)).abs() < 1e-6, "{:?}", verdict.low);
    assert_eq!(
        verdict.statement,
        "share of seeds (with train_err_pct below 80%) of depth=8 is at least 0.5"
    );
    let verdict = only(&text, |_, _, seed| Some(if seed == 0 { f64::NAN } else { 30.0 }));
    assert_eq!((verdict.outcome, verdict.effect), (Outcome::Undecided, Some(0.8)));
    assert!(verdict.remarks[0].ends_with("diverged and count as not below 80"));
    assert!(verdict.seeds_needed.is_some_and(|n| n > 5), "{:?}", verdict.seeds_needed);
    let two = format!(
        "{DEPTHS}{}share_below = 80\n",
        DEEPER_IS_WORSE.replace("least = 2", "least = 0.2")
    );
    let verdict = only(&two, |depth, _, _| Some(if depth == 8 { 90.0 } else { 30.0 }));
    assert_eq!((verdict.outcome, verdict.effect), (Outcome::Supported, Some(1.0)));
}

#[test]
fn ranks_compare_without_a_value_for_diverged_runs() {
    let text =
        format!("{DEPTHS}{}scale = \"rank\"\n", DEEPER_IS_WORSE.replace("by_at_least = 2", ""));
    let verdict = only(&text, |depth, _, seed| {
        Some(if depth == 20 && seed < 2 { f64::NAN } else { depth as f64 + seed as f64 })
    });
    assert_eq!((verdict.outcome, verdict.effect), (Outcome::Supported, Some(1.0)));
    assert_eq!((verdict.region.low, verdict.arms[0].diverged), (Some(0.5), 2));
    assert!(verdict.remarks.iter().any(|remark| remark.ends_with("count as the worst value")));
    let statement = "train_err_pct of a run of depth=20 exceeds that of a run of depth=8 with a \
                     probability of at least 0.5";
    assert_eq!(verdict.statement, statement);
}

#[test]
fn a_time_that_was_not_reached_leaves_the_interval_open() {
    let claim = |higher: u64, lower: u64, more: &str| {
        format!(
            "{TEXT}{DEPTHS}[[claim]]\nname = \"c\"\nupdates_to = {{ metric = \"train_err_pct\", below = 20 }}\nhigher = {{ depth = {higher} }}\nlower = {{ depth = {lower} }}\n{more}"
        )
        .replace("iterations = 2", "iterations = 100")
    };
    // Depth 8 gets there after 1 or 2 updates, depth 20 after 4 or never.
    let curve = |depth: u64, _: f64, seed: u64| {
        let late = [90.0, 80.0, 70.0, 60.0, if seed == 0 { 50.0 } else { 10.0 }];
        let early = [90.0, if seed == 0 { 10.0 } else { 50.0 }, 10.0, 10.0, 10.0];
        Some(if depth == 20 { late.to_vec() } else { early.to_vec() })
    };
    let found = |text: &str| check_curves(text, curve).remove(0);
    let verdict = found(&claim(20, 8, "scale = \"log\"\n"));
    assert_eq!(verdict.high, None, "open");
    assert_eq!(
        verdict.effects[0].1.round(),
        4.0,
        "censored at the last update of this run: 4 over 1"
    );
    assert_eq!((verdict.arms[0].censored, verdict.arms[1].censored), (1, 0));
    assert!(
        verdict.statement.starts_with("number of updates (until train_err_pct is below 20%) of")
    );
    assert!(verdict.remarks[0].contains("did not get there and count with their last update"));
    // The other way round the lower end is open, and the claim can only be refuted.
    let verdict = found(&claim(8, 20, ""));
    assert_eq!((verdict.low, verdict.outcome), (None, Outcome::Refuted));
    let verdict = found(&claim(20, 8, "scale = \"rank\"\n"));
    assert_eq!((verdict.outcome, verdict.effect), (Outcome::Supported, Some(1.0)));
}
