//! With what runs count that diverged, ended early, or are missing.

use super::*;

#[test]
fn a_rate_at_which_runs_diverge_is_the_best_of_no_arm() {
    // Wherever runs end, they end above chance, with which a diverged run counts.
    let above = |rate: f64| if rate == 0.05 { f64::NAN } else { 95.0 - rate };
    let verdict = only(TUNED, |_, rate, seed| Some(above(rate) + 0.1 * seed as f64));
    assert_eq!(verdict.arms[0].chosen, Some(0.1.into()));
    // Of one seed the run at 0.05 diverged, of the other the one at 0.1.
    let of_both = |_: u64, rate: f64, seed: u64| {
        let diverges = (rate == 0.05 && seed == 0) || (rate == 0.1 && seed == 1) || rate == 0.01;
        Some(if diverges { f64::NAN } else { 100.0 * rate })
    };
    let verdict = only(TUNED, of_both);
    assert_eq!(verdict.arms[0].chosen, Some(0.05.into()), "the better one of those that ended");
}

#[test]
fn without_a_choice_there_is_no_effect() {
    let all = only(TUNED, |_, _, seed| Some(if seed < 2 { f64::NAN } else { 50.0 }));
    assert_eq!((all.outcome, all.effect, all.n), (Outcome::Undecided, None, 0));
    assert!(all.arms.iter().all(|arm| arm.chosen.is_none() && arm.runs.is_empty()));
    let reason = all.reason.unwrap();
    assert!(reason.starts_with("every run that chooses for depth=20 diverged"), "{reason}");
    assert!(!all.remarks.iter().any(|remark| remark.contains("is taken at")), "{:?}", all.remarks);
}

#[test]
fn values_that_are_all_assigned_decide_nothing() {
    let all = only(&format!("{DEPTHS}{DEEPER_IS_WORSE}"), |_, _, _| Some(f64::NAN));
    assert_eq!((all.outcome, all.n), (Outcome::Undecided, 5));
    assert_eq!(
        all.reason.as_deref(),
        Some("all of its runs diverged: their values are assigned, not measured")
    );
    let one = only(&format!("{DEPTHS}{DEEPER_IS_WORSE}"), |depth, _, seed| {
        Some(if depth == 20 { f64::NAN } else { 10.0 + seed as f64 })
    });
    assert_eq!((one.outcome, one.reason), (Outcome::Supported, None));
}

#[test]
fn arms_are_summarised_over_the_seeds_of_the_effect() {
    let verdict = only(&format!("{DEPTHS}{DEEPER_IS_WORSE}"), |depth, _, seed| {
        (seed != 0).then_some(depth as f64 + if seed == 4 { 30.0 } else { 0.0 })
    });
    assert_eq!((verdict.n, verdict.effect), (4, Some(12.0)));
    let means: Vec<f64> = verdict.arms.iter().filter_map(|arm| arm.mean).collect();
    assert_eq!(means, [27.5, 15.5]);
    assert!(verdict.arms.iter().all(|arm| arm.runs.len() == 4));
}

#[test]
fn an_interval_without_width_is_remarked_on_with_and_without_pairs() {
    let error = |depth: u64, _: f64, _: u64| Some(if depth == 20 { f64::NAN } else { 0.0 });
    for head in ["pairing = \"seed\"", "pairing = \"none\""] {
        let verdict = with(head, &format!("{DEPTHS}{DEEPER_IS_WORSE}"), error);
        let is_said = verdict.remarks.iter().any(|remark| remark.contains("has no width"));
        assert!(is_said, "{head}: {:?}", verdict.remarks);
    }
}

#[test]
fn values_too_large_for_a_variance_have_no_interval() {
    let claim = format!("{DEPTHS}{DEEPER_IS_WORSE}metric = \"train_loss\"\n");
    for head in ["pairing = \"seed\"", "pairing = \"none\""] {
        let verdict = with(head, &claim, |depth, _, seed| {
            Some(1e200 * (depth as f64 + 0.1 * (seed * depth) as f64))
        });
        assert_eq!((verdict.outcome, verdict.low), (Outcome::Undecided, None));
    }
}

#[test]
fn what_overflowed_counts_as_what_diverged() {
    let claim = format!("{DEPTHS}{DEEPER_IS_WORSE}metric = \"train_loss\"\nscale = \"rank\"\n");
    let claim = claim.replace("by_at_least = 2\n", "");
    let verdict = only(&claim, |depth, _, seed| {
        Some(if depth == 20 { f64::INFINITY } else { 1.0 + seed as f64 })
    });
    assert_eq!((verdict.outcome, verdict.arms[0].diverged), (Outcome::Supported, 5));
}

#[test]
fn the_level_of_an_undecided_claim_grows_with_the_others_that_are_decided() {
    let clear = DEEPER_IS_WORSE
        .replace("deeper is worse", "clear")
        .replace("by_at_least = 2", "by_at_least = 0");
    let needed = |text: &str| {
        let text = format!("{TEXT}{DEPTHS}{text}");
        let found = verdicts(&text, |depth, _, seed| {
            let noise = if seed % 2 == 0 { 1.0 } else { -1.0 };
            Some(30.0 + if depth == 20 { 2.6 + noise } else { 0.0 })
        });
        found[0].seeds_needed
    };
    let alone = needed(DEEPER_IS_WORSE);
    assert!(alone.is_some());
    assert_eq!(needed(&format!("{DEEPER_IS_WORSE}{clear}")), alone);
}

/// The claim that the deeper of two arms needs more updates until the error is below 40.
fn later(more: &str) -> String {
    format!(
        "{DEPTHS}[[claim]]\nname = \"c\"\nupdates_to = {{ metric = \"train_err_pct\", below = 40 }}\n{more}"
    )
}

#[test]
fn a_run_that_ended_before_others_reached_the_bar_may_have_been_later() {
    let rank = later("scale = \"rank\"\nhigher = { depth = 8 }\nlower = { depth = 20 }\n");
    // Depth 8 ends after two updates, above the bar, and depth 20 reaches it after three.
    let curve = |depth: u64, end: f64| {
        let curve = if depth == 8 { vec![90.0, 80.0, end] } else { vec![90.0, 80.0, 60.0, 30.0] };
        Some(curve)
    };
    let text = format!("{TEXT}{rank}");
    let early = check_curves(&text, |depth, _, _| curve(depth, 60.0)).remove(0);
    assert_eq!(early.outcome, Outcome::Undecided);
    let reason = early.reason.unwrap();
    assert!(reason.contains("ended before it got there and before others did"), "{reason}");
    // One that diverged never would get there.
    let never = check_curves(&text, |depth, _, _| curve(depth, f64::NAN)).remove(0);
    assert_eq!(never.outcome, Outcome::Supported);
    let share = later("share_below = 5\nof = { depth = 8 }\nat_most = 0.9\n");
    let text = format!("{TEXT}{share}");
    let early = check_curves(&text, |depth, _, _| curve(depth, 60.0)).remove(0);
    assert_eq!((early.outcome, early.n), (Outcome::Undecided, 0));
    assert!(early.reason.unwrap().contains("ended after 2 updates, before 5"));
    let never = check_curves(&text, |depth, _, _| curve(depth, f64::NAN)).remove(0);
    assert_eq!(never.n, 5);
}

#[test]
fn arms_may_have_data_of_their_own() {
    let text = "[sweep]\n\"data.train\" = [20, 40]\nseed = [0, 1, 2]\n[[claim]]\nname = \"c\"\n\
                higher = { train = 20 }\nlower = { train = 40 }\n";
    let found = only(text, |_, _, seed| Some(30.0 + seed as f64));
    assert_eq!((found.outcome, found.reason), (Outcome::Undecided, None));
}

#[test]
fn what_selects_data_are_keys_of_the_program() {
    for key in crate::evidence::SELECTS_DATA {
        assert!(fathom_spec::KEYS.iter().any(|known| known.name == key), "{key}");
    }
}
