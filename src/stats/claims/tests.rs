mod counted;
mod effects;

use super::*;
use fathom_record::{CurveRow, Made, Provenance, RunCurve, State};
use fathom_spec::Experiment;
use std::collections::BTreeMap;
use std::path::Path;

const TEXT: &str = r#"
name = "t"
[data]
source = "shapes"
size = 8
validation = 10
[network]
family = "plain"
depth = 8
width = 4
[training]
iterations = 2
batch = 4
lr = 0.1
"#;

const DEPTHS: &str = r#"
[sweep]
"network.depth" = [8, 14, 20]
seed = [0, 1, 2, 3, 4]
"#;

const DEEPER_IS_WORSE: &str = r#"
[[claim]]
name = "deeper is worse"
higher = { depth = 20 }
lower = { depth = 8 }
by_at_least = 2
"#;

/// A finished sweep of this experiment: the error of a run is what `error` says of its depth, rate
/// and seed; none leaves it unfinished, NaN lets it diverge.
fn verdicts(text: &str, error: impl Fn(u64, f64, u64) -> Option<f64>) -> Vec<Verdict> {
    check_curves(text, |depth, rate, seed| Some(vec![error(depth, rate, seed)?]))
}

/// Like `verdicts`, with the error after 0, 1, 2, … updates.
fn check_curves(text: &str, errors: impl Fn(u64, f64, u64) -> Option<Vec<f64>>) -> Vec<Verdict> {
    let experiment = Experiment::parse(Path::new("t.toml"), text, &[]).unwrap();
    let (mut runs, mut provenance) = (BTreeMap::new(), BTreeMap::new());
    for run in experiment.runs.iter().chain(&experiment.later) {
        let depth = run.config["network.depth"].as_u64().unwrap();
        let rate = run.config["training.lr"].as_f64().unwrap();
        let found = errors(depth, rate, run.settings.seed);
        let state = match &found {
            Some(values) if values.iter().any(|value| value.is_nan()) => State::Diverged,
            Some(_) => State::Done,
            None => State::Killed,
        };
        let row = |(step, value): (u64, f64)| {
            let value = Some(value).filter(|value| !value.is_nan());
            CurveRow {
                step,
                train_err_pct: value,
                // Held-out images prefer other rates than training images.
                validation_err_pct: value.map(|value| value + 1000.0 * rate),
                train_loss: value,
                ..CurveRow::default()
            }
        };
        let rows = (0..).zip(found.unwrap_or_default()).map(row).collect();
        let curve = RunCurve {
            id: run.id.clone(),
            axes: BTreeMap::new(),
            keys: BTreeMap::new(),
            seed: run.settings.seed.into(),
            state,
            rows,
        };
        runs.insert(run.id.clone(), curve);
        let data = format!("digest of {:?}", run.config.get("data.train"));
        let made = Made { classes: 10, data, ..Made::default() };
        let fact =
            Provenance { config: run.config.clone(), arm: run.arm.clone(), manifest: Some(made) };
        provenance.insert(run.id.clone(), fact);
    }
    check(&experiment.claims, &experiment.deciding, &Evidence::new(runs, provenance))
}

/// The one verdict; `head` holds keys that come before the tables.
fn with(head: &str, text: &str, error: impl Fn(u64, f64, u64) -> Option<f64>) -> Verdict {
    let mut found = verdicts(&format!("{head}\n{TEXT}{text}"), error);
    assert_eq!(found.len(), 1);
    found.remove(0)
}

fn only(text: &str, error: impl Fn(u64, f64, u64) -> Option<f64>) -> Verdict {
    with("", text, error)
}

#[test]
fn differences_are_paired_by_seed() {
    // Seeds differ by ten points, pairs by one: an unpaired test would see nothing.
    let verdict = only(&format!("{DEPTHS}{DEEPER_IS_WORSE}"), |depth, _, seed| {
        let own = if depth == 20 { 4.0 + 0.1 * seed as f64 } else { 0.0 };
        Some(30.0 + 10.0 * seed as f64 + own)
    });
    assert_eq!((verdict.outcome, verdict.n, verdict.planned), (Outcome::Supported, 5, 5));
    assert!((verdict.effect.unwrap() - 4.2).abs() < 1e-9);
    let low = verdict.low.unwrap();
    assert!((low - (4.2 - 2.131_847 * (0.025f64 / 5.0).sqrt())).abs() < 1e-4, "{low}");
    assert!((verdict.confidence - 0.9).abs() < 1e-12);
    let expected = "train_err_pct of depth=20 exceeds that of depth=8 by at least 2 points";
    assert_eq!(verdict.statement, expected);
    assert_eq!(verdict.arms[0].mean, Some(54.2));
}

#[test]
fn what_is_clearly_less_is_refuted_and_what_is_near_undecided() {
    let text = format!("{DEPTHS}{DEEPER_IS_WORSE}");
    let by = |difference: f64| {
        only(&text, move |depth, _, seed| {
            let noise = if seed % 2 == 0 { 0.3 } else { -0.3 };
            Some(30.0 + if depth == 20 { difference + noise } else { 0.0 })
        })
    };
    assert_eq!(by(0.5).outcome, Outcome::Refuted);
    let near = by(2.1);
    assert_eq!((near.outcome, near.reason.as_deref()), (Outcome::Undecided, None));
    assert!(near.seeds_needed.unwrap() > 5, "{:?}", near.seeds_needed);
}

#[test]
fn several_claims_share_the_level() {
    let both =
        format!("{TEXT}{DEPTHS}{DEEPER_IS_WORSE}{}", DEEPER_IS_WORSE.replace("worse", "bad"));
    let found = verdicts(&both, |depth, _, seed| Some(depth as f64 + seed as f64));
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|verdict| (verdict.confidence - 0.95).abs() < 1e-12));
}

#[test]
fn a_run_that_is_missing_leaves_it_undecided_and_says_which() {
    let verdict = only(&format!("{DEPTHS}{DEEPER_IS_WORSE}"), |depth, _, seed| {
        (seed != 3 || depth == 8).then_some(10.0 * depth as f64 + seed as f64)
    });
    assert_eq!(verdict.outcome, Outcome::Undecided);
    let reason = verdict.reason.unwrap();
    assert!(reason.starts_with("4 of 5 seeds are complete (plain-20-s3-"), "{reason}");
    assert!(reason.ends_with("is killed)"), "{reason}");
    assert_eq!(verdict.n, 4, "what there is, is shown");
}

#[test]
fn a_run_that_diverged_counts_as_chance_and_is_said() {
    let verdict = only(&format!("{DEPTHS}{DEEPER_IS_WORSE}"), |depth, _, seed| {
        Some(if depth == 20 { f64::NAN } else { 20.0 + seed as f64 })
    });
    assert_eq!(verdict.outcome, Outcome::Supported);
    assert_eq!(verdict.effect, Some(68.0), "90 less 22");
    assert_eq!(verdict.arms[0].diverged, 5);
    assert!(
        verdict.remarks.iter().any(|r| r.contains("5 of 5 runs of depth=20 diverged")),
        "{:?}",
        verdict.remarks
    );
}

#[test]
fn a_trend_is_over_all_depths() {
    let claim = "[[claim]]\nname = \"c\"\nof = { family = \"plain\" }\nrises_with = \"depth\"\n";
    let ends_only = only(&format!("{DEPTHS}{claim}by_at_least = 1"), |depth, _, seed| {
        // The ends differ by two points, and a hump in between does not tilt the line.
        Some(if depth == 14 { 50.0 } else { depth as f64 / 6.0 } + 0.01 * seed as f64)
    });
    assert!((ends_only.effect.unwrap() - 2.0).abs() < 1e-9);
    let falls = claim.replace("rises_with", "falls_with");
    let verdict = only(&format!("{DEPTHS}{falls}by_at_least = 1"), |depth, _, seed| {
        Some(50.0 - depth as f64 + 0.01 * (seed * depth) as f64)
    });
    assert_eq!(verdict.outcome, Outcome::Supported);
    assert!(verdict.effect.unwrap() < -11.0, "a fall is a negative rise");
}

#[test]
fn looks_use_the_first_seeds_and_show_the_rest() {
    let (looks, text) = ("looks = [2, 4]", format!("{DEPTHS}{DEEPER_IS_WORSE}"));
    let clear =
        with(looks, &text, |depth, _, seed| Some(depth as f64 + 0.01 * (seed * depth) as f64));
    assert_eq!((clear.outcome, clear.n), (Outcome::Supported, 2));
    assert_eq!(clear.exploratory, [2, 3, 4]);
    // The first of two looks at half of the seeds spends 2(1 − Φ(z/√½)).
    assert!((clear.confidence - (1.0 - 2.0 * 0.005_574)).abs() < 1e-5, "{}", clear.confidence);
    // The second seed is missing: not even the first look can be taken, whatever follows it.
    let early = with(looks, &text, |depth, _, seed| (seed != 1).then_some(depth as f64));
    assert_eq!(early.outcome, Outcome::Undecided);
    let reason = early.reason.unwrap();
    assert!(
        reason.starts_with("1 of the first 2 seeds, the first look, are complete ("),
        "{reason}"
    );
}

const TUNED: &str = r#"
[sweep]
"network.depth" = [8, 20]
"training.lr" = [0.01, 0.05, 0.1]
seed = [0, 1, 2, 3, 4]
[[claim]]
name = "c"
higher = { depth = 20 }
lower = { depth = 8 }
by_at_least = 2
tune = { over = "training.lr", seeds = [0, 1] }
"#;

#[test]
fn each_arm_is_taken_at_its_own_best_on_seeds_that_the_verdict_does_not_use() {
    // Interior optimum: the deep net's at another value would look 40 points worse.
    let verdict = only(TUNED, |depth, rate, seed| {
        let off = if rate == 0.05 { 0.0 } else { 20.0 };
        // On the tuning seeds the deep net looks fine; these must not count.
        let own = if depth == 20 && seed > 1 { 5.0 + 0.1 * seed as f64 } else { 0.0 };
        Some(20.0 + off + own)
    });
    assert_eq!((verdict.outcome, verdict.n, verdict.planned), (Outcome::Supported, 3, 3));
    assert!((verdict.effect.unwrap() - 5.3).abs() < 1e-9);
    assert_eq!(verdict.arms[0].chosen, Some(0.05.into()));
}

#[test]
fn a_best_value_at_the_edge_of_its_grid_decides_nothing() {
    let verdict = only(TUNED, |depth, rate, seed| {
        Some(20.0 - 100.0 * rate + if depth == 20 { 9.0 } else { 0.0 } + 0.1 * seed as f64)
    });
    assert_eq!(verdict.outcome, Outcome::Undecided);
    let reason = verdict.reason.unwrap();
    assert!(
        reason.contains("the best lr of depth=20, 0.1, is at the edge of its grid (0.01 … 0.1)"),
        "{reason}"
    );
    assert_eq!(verdict.seeds_needed, None, "no number of seeds moves the edge");
    assert!(verdict.effect.is_some(), "what there is, is shown");
}

#[test]
fn verdicts_survive_their_file() {
    let found = verdicts(&format!("{TEXT}{DEPTHS}{DEEPER_IS_WORSE}"), |depth, _, seed| {
        Some(depth as f64 + seed as f64)
    });
    let text = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Verdict>>(&text).unwrap(), found);
}

#[test]
fn verdicts_of_earlier_files_are_read() {
    let found = verdicts(&format!("{TEXT}{DEPTHS}{DEEPER_IS_WORSE}"), |depth, _, seed| {
        Some(depth as f64 + seed as f64)
    });
    let mut json = serde_json::to_value(&found).unwrap();
    json[0].as_object_mut().unwrap().remove("added_seeds");
    for arm in json[0]["arms"].as_array_mut().unwrap() {
        arm.as_object_mut().unwrap().remove("censored");
    }
    assert_eq!(serde_json::from_value::<Vec<Verdict>>(json).unwrap(), found);
}

#[test]
fn a_claim_that_is_not_primary_is_exploratory_and_costs_the_others_nothing() {
    let claim = |name: &str, more: &str| DEEPER_IS_WORSE.replace("deeper is worse", name) + more;
    let text = format!("{TEXT}{DEPTHS}{}{}", claim("one", "primary = true\n"), claim("two", ""));
    let found = verdicts(&text, |depth, _, seed| Some(depth as f64 + 0.1 * (seed * depth) as f64));
    let [one, two] = &found[..] else { panic!("two claims") };
    assert_eq!((one.outcome, two.outcome), (Outcome::Supported, Outcome::Exploratory));
    assert!((one.confidence - 0.9).abs() < 1e-12, "the whole level");
    assert_eq!((one.low, one.high), (two.low, two.high));
    assert!(two.remarks[0].contains("not a primary claim"), "{:?}", two.remarks);
}

#[test]
fn added_seeds_are_announced_unless_looks_were_declared() {
    let error = |depth: u64, _: f64, seed: u64| Some(depth as f64 + 0.01 * (seed * depth) as f64);
    let text = format!("{DEPTHS}{DEEPER_IS_WORSE}");
    let added = |head: &str| {
        let verdict = with(head, &text, error);
        let is_said = verdict.remarks.iter().any(|remark| remark.contains("seeds were added"));
        assert_eq!(is_said, !verdict.added_seeds.is_empty());
        verdict.added_seeds
    };
    assert_eq!(added("added_seeds = [3, 4, 9]"), [3, 4]);
    assert!(added("").is_empty());
    assert!(added("added_seeds = [3, 4]\nlooks = [3, 5]").is_empty());
}

#[test]
fn a_claim_about_training_images_is_tuned_by_these() {
    // At 0.01 the validation error is best, which is the edge of the grid.
    let error = |depth: u64, rate: f64, seed: u64| {
        let off = if rate == 0.05 { 0.0 } else { 20.0 };
        Some(20.0 + off + if depth == 20 { 5.0 } else { 0.0 } + 0.1 * (seed * depth) as f64)
    };
    let verdict = only(TUNED, error);
    assert_eq!(verdict.arms[0].chosen, Some(0.05.into()));
    assert!(!verdict.remarks.iter().any(|remark| remark.contains("single seed")));
    let verdict = only(&TUNED.replace("seeds = [0, 1]", "seeds = [0]"), error);
    assert!(verdict.remarks.iter().any(|remark| remark.contains("by train_err_pct of a single")));
}
