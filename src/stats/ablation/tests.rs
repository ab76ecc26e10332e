use super::*;
use fathom_base::random::{Purpose, Stream};
use fathom_record::{CurveRow, Made, Provenance, RunCurve, Seed, State};
use fathom_spec::{Config, Experiment};
use std::path::Path;

mod values;

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

const NORMS: &str = r#"
[sweep]
"network.norm" = ["batch", "none"]
"network.depth" = [8, 20]
seed = [0, 1, 2]
"#;

const RATES: &str = r#"
[sweep]
"network.norm" = ["batch", "none"]
"training.lr" = [0.01, 0.1, 1.0]
seed = [0, 1, 2, 100]
"#;

/// The final training error of a run by norm, depth, rate and seed; none leaves it unfinished, NaN lets
/// it diverge.
type Error<'a> = &'a dyn Fn(&str, u64, f64, u64) -> Option<f64>;

/// A sweep with these training errors; validation and test errors are given by it and the rate.
fn sweep(text: &str, error: Error, validation: Option<&dyn Fn(f64, f64) -> f64>) -> Evidence {
    evidence(planned(text), error, validation)
}

/// Ids, arms and configurations of the runs of a sweep.
fn planned(text: &str) -> impl Iterator<Item = (String, Option<String>, Config)> {
    let experiment = Experiment::parse(Path::new("t.toml"), &format!("{TEXT}{text}"), &[]).unwrap();
    experiment.runs.into_iter().map(|run| (run.id, run.arm, run.config))
}

fn evidence(
    configs: impl Iterator<Item = (String, Option<String>, Config)>,
    error: Error,
    validation: Option<&dyn Fn(f64, f64) -> f64>,
) -> Evidence {
    let (mut runs, mut provenance) = (BTreeMap::new(), BTreeMap::new());
    for (id, arm, config) in configs {
        let seed = config["seed"].as_u64().unwrap();
        let rate = config["training.lr"].as_f64().unwrap();
        let norm = config["network.norm"].as_str().unwrap();
        let found = error(norm, config["network.depth"].as_u64().unwrap(), rate, seed);
        let (state, value) = match found {
            Some(value) if value.is_nan() => (State::Diverged, None),
            Some(value) => (State::Done, Some(value)),
            None => (State::Killed, None),
        };
        let row = CurveRow {
            train_err_pct: value,
            test_err_pct: value.map(|value| value + 5.0),
            validation_err_pct: value.zip(validation).map(|(value, of)| of(value, rate)),
            ..CurveRow::default()
        };
        let (axes, keys) = Default::default();
        runs.insert(
            id.clone(),
            RunCurve { id: id.clone(), axes, keys, seed: seed.into(), state, rows: vec![row] },
        );
        let manifest = Some(Made { classes: 10, ..Made::default() });
        provenance.insert(id, Provenance { config, arm, manifest });
    }
    Evidence::new(runs, provenance)
}

fn over(key: &str) -> Question {
    Question { over: key.into(), metric: "train_err_pct".into(), ..Question::default() }
}

fn said(ablation: &Ablation) -> String {
    ablation.notes().join(" ")
}

#[test]
fn every_configuration_is_a_row_of_differences_paired_by_seed() {
    // Seeds differ by ten points, pairs by about four: without pairing nothing would be seen.
    let all = sweep(
        NORMS,
        &|norm, depth, _, seed| {
            let own = if norm == "none" { 4.0 + 0.1 * seed as f64 } else { 0.0 };
            Some(depth as f64 + 10.0 * seed as f64 + own)
        },
        None,
    );
    let found = Ablation::of(&all, &over("norm")).unwrap();
    assert_eq!((found.over.as_str(), &found.axes[..]), ("network.norm", &["depth".to_owned()][..]));
    assert_eq!(found.values, ["batch", "none"]);
    assert_eq!((found.rows.len(), found.interval_count(), found.best.clone()), (2, 2, None));
    let row = &found.rows[0];
    assert_eq!((row.axes[0].as_str(), row.at, row.differences.len()), ("8", At::Equal, 3));
    assert_eq!((row.baseline.mean(), row.other.value.as_str()), (Some(18.0), "none"));
    // Mean 4.1, deviation 0.1, half width 4.303 · 0.1 / √3.
    assert!((row.difference().unwrap() - 4.1).abs() < 1e-9);
    let half = row.interval.unwrap().half_width();
    assert!((half - 4.302_653 * 0.1 / 3f64.sqrt()).abs() < 1e-6, "{half}");
    // Without pairs, the seeds' own ten points count on both sides: s² = 100 and 102.01, nearly four degrees of freedom.
    let apart = Question { pairing: Pairing::None, ..over("norm") };
    let apart = Ablation::of(&all, &apart).unwrap();
    let half = apart.rows[0].interval.unwrap().half_width();
    assert!((half - 2.7765 * (202.01f64 / 3.0).sqrt()).abs() < 0.01, "{half}");
    assert!(said(&apart).contains("without pairs (Welch's t)"), "{}", said(&apart));
    let text = said(&found);
    assert!(text.contains("2 rows of 6 pairs of runs"), "{text}");
    assert!(text.contains("95% each") && text.contains("not adjusted for their number (2)"));
    assert!(
        text.contains("Along with norm the sides differ in: norm_eps; norm_momentum."),
        "{text}"
    );
    let other = Question { baseline: Some("none".into()), ..over("network.norm") };
    let turned = Ablation::of(&all, &other).unwrap();
    assert_eq!(turned.values, ["none", "batch"]);
    assert!((turned.rows[0].difference().unwrap() + 4.1).abs() < 1e-9);
}

#[test]
fn runs_that_diverged_count_as_chance_and_unfinished_ones_are_named() {
    let all = sweep(
        NORMS,
        &|norm, depth, _, seed| match (norm, depth, seed) {
            ("none", 8, 1) => Some(f64::NAN),
            ("none", 20, 2) => None,
            _ => Some(50.0),
        },
        None,
    );
    let found = Ablation::of(&all, &over("norm")).unwrap();
    let [shallow, deep] = &found.rows[..] else { panic!("two rows") };
    assert_eq!((shallow.other.diverged, shallow.baseline.diverged), (1, 0));
    assert_eq!(shallow.differences[1], (1, 40.0));
    assert_eq!((deep.differences.len(), deep.planned), (2, 3));
    let text = said(&found);
    assert!(text.contains("In 1 row runs diverged") && text.contains("(90)"), "{text}");
    assert!(text.contains("Left out: plain-20-none-s2-") && text.contains("is killed"), "{text}");
}

#[test]
fn what_has_no_partner_is_named_and_keys_of_one_side_do_not_hinder() {
    let text = r#"
[[arm]]
name = "a"
[[arm]]
name = "wide, without"
"network.norm" = "none"
"network.width" = 8
[[arm]]
name = "without"
"network.norm" = "none"
"#;
    let all = sweep(text, &|_, _, _, _| Some(10.0), None);
    let found = Ablation::of(&all, &over("norm")).unwrap();
    assert_eq!(found.rows.len(), 1);
    assert_eq!(found.alone, ["width 8 norm none"]);
    let arms = Ablation::of(&all, &over("arm")).unwrap();
    assert_eq!(arms.values, ["a", "wide, without", "without"]);
    assert_eq!(arms.rows.len(), 2);
    assert!(arms.along.contains("network.width") && arms.along.contains("network.norm"));
    assert!(!arms.along.contains("network.depth"), "all arms have the same");
}

#[test]
fn seeds_of_one_side_only_are_told() {
    let is_kept = |config: &Config| {
        let [depth, seed] = ["network.depth", "seed"].map(|key| config[key].as_u64().unwrap());
        match (config["network.norm"].as_str().unwrap(), depth) {
            ("none", 20) => seed == 2,
            ("none", _) | (_, 20) => seed != 2,
            _ => true,
        }
    };
    let kept = planned(NORMS).filter(|(_, _, config)| is_kept(config));
    let all = evidence(kept, &|_, _, _, _| Some(10.0), None);
    let found = Ablation::of(&all, &over("norm")).unwrap();
    assert_eq!((found.rows.len(), found.rows[0].planned), (1, 2));
    let [shallow, deep] = &found.left_out[..] else { panic!("{:?}", found.left_out) };
    assert_eq!(shallow, "8 norm none − 8 norm batch: only one side has seed 2");
    assert_eq!(deep, "20 norm none − 20 norm batch: only one side has seeds 0, 1, 2");
}

#[test]
fn seeds_of_a_second_stage_are_told_once() {
    // Seed 100 has all rates, the others the best one of each side.
    let is_kept = |config: &Config| {
        let best = if config["network.norm"] == "batch" { 0.1 } else { 1.0 };
        config["seed"] == 100 || config["training.lr"] == best
    };
    let kept = planned(RATES).filter(|(_, _, config)| is_kept(config));
    let found = Ablation::of(&evidence(kept, &|_, _, _, _| Some(10.0), None), &over("norm"));
    let told = "2 comparisons at equal values: only one side has seeds 0, 1, 2";
    assert!(found.unwrap().left_out.contains(&told.to_owned()));
}

#[test]
fn arms_are_compared_where_a_key_that_they_set_is_absent() {
    // Plain networks have no shortcut, so that the key is not in all runs of the arm that sets it.
    let text = "[sweep]\n\"network.family\" = [\"plain\", \"residual\"]\n[[arm]]\nname = \"base\"\n\
                [[arm]]\nname = \"b\"\n\"network.shortcut\" = \"b\"\n";
    let found = Ablation::of(&sweep(text, &|_, _, _, _| Some(10.0), None), &over("arm")).unwrap();
    let families: Vec<&str> = found.rows.iter().map(|row| row.axes[0].as_str()).collect();
    assert_eq!((families, found.alone), (vec!["plain", "residual"], vec![]));
    assert!(found.along.contains("network.shortcut"), "{:?}", found.along);
}

#[test]
fn runs_without_the_key_are_counted() {
    let text = "[sweep]\n\"network.norm\" = [\"batch\", \"group\", \"none\"]\n\
                \"network.norm_eps\" = [1e-5, 1e-3]\n";
    let all = sweep(text, &|_, _, _, _| Some(10.0), None);
    let found = Ablation::of(&all, &over("norm_eps")).unwrap();
    assert_eq!((found.rows.len(), &found.axes[..]), (2, &["norm".to_owned()][..]));
    assert_eq!(found.alone, ["1 run without the key norm_eps"]);
}

/// Training errors that are best at a rate of 0.1 for seeds to compare, and at 0.01 for seed 100.
fn by_rate(norm: &str, rate: f64, seed: u64) -> f64 {
    let best = if seed == 100 { 0.01 } else { 0.1 };
    let norm = if norm == "none" { 7.0 } else { 0.0 };
    if rate == best { 20.0 + norm } else { 30.0 + rate + norm }
}

#[test]
fn the_best_rate_is_chosen_on_other_data_and_the_notes_say_which() {
    let error: Error = &|norm, _, rate, seed| Some(by_rate(norm, rate, seed));
    let chosen = |evidence: &Evidence, question: &Question| {
        let found = Ablation::of(evidence, question).unwrap();
        let best = found.best.clone().unwrap();
        let row = &found.rows[0];
        assert_eq!(row.at, At::Best);
        assert_eq!(found.rows.len(), 4, "one at the best rate, three at equal ones");
        let rate = row.other.chosen.clone().unwrap();
        (rate, row.differences.len(), best.by, best.metric, said(&found))
    };
    // Held-out images that favour a rate of 1.
    let held_out: &dyn Fn(f64, f64) -> f64 = &|error, rate| error - 20.0 * rate;
    let [with, without] = [Some(held_out), None].map(|held_out| sweep(RATES, error, held_out));
    let declared = |by: Option<&str>| {
        let tuning = DeclaredTuning { seeds: [100].into(), by: by.map(str::to_owned) };
        Question { declared: [("training.lr".to_owned(), tuning)].into(), ..over("norm") }
    };
    let (of_stages, declared) = (declared(Some("train_err_pct")), declared(None));
    let (rate, n, by, metric, text) = chosen(&with, &declared);
    assert_eq!((rate.as_str(), n, by), ("0.01", 3, ChosenBy::OtherSeeds));
    assert_eq!(metric, "train_err_pct", "a training metric is chosen by itself");
    assert!(text.contains("of seed 100, which is not among those compared"), "{text}");
    assert!(text.contains("edge of its grid, so that a better one may lie beyond: batch (0.01)"));
    let test = Question { metric: "test_err_pct".into(), ..declared.clone() };
    let (rate, _, by, metric, _) = chosen(&with, &test);
    assert_eq!((rate.as_str(), by), ("1.0", ChosenBy::OtherSeeds));
    assert_eq!(metric, "validation_err_pct", "test images choose nothing");
    let test = Question { metric: "test_err_pct".into(), ..of_stages };
    let (rate, _, _, metric, _) = chosen(&with, &test);
    assert_eq!((rate.as_str(), metric.as_str()), ("0.01", "train_err_pct"), "as the stages chose");
    let (rate, n, by, _, text) = chosen(&with, &over("norm"));
    assert_eq!((rate.as_str(), n, by), ("1.0", 4, ChosenBy::HeldOut));
    assert!(text.contains("least validation_err_pct, on images held out of training"), "{text}");
    let (rate, n, by, _, text) = chosen(&without, &over("norm"));
    assert_eq!((rate.as_str(), n, by), ("0.1", 4, ChosenBy::SameSeeds));
    assert!(text.contains("CHOSEN ON THE SAME SEEDS"), "{text}");
    let asked = Question { tune_seeds: Some([0, 1].into()), ..over("norm") };
    let (rate, n, by, _, _) = chosen(&without, &asked);
    assert_eq!((rate.as_str(), n, by), ("0.1", 2, ChosenBy::OtherSeeds));
}

#[test]
fn a_missing_run_that_chooses_leaves_the_best_rate_out() {
    let all = sweep(
        RATES,
        &|norm, _, rate, seed| {
            ((norm, rate, seed) != ("none", 1.0, 100)).then_some(by_rate(norm, rate, seed))
        },
        None,
    );
    let question = Question { tune_seeds: Some([100].into()), ..over("norm") };
    let found = Ablation::of(&all, &question).unwrap();
    assert!(found.rows.iter().all(|row| row.at == At::Equal));
    assert!(
        found.left_out[0].contains("at the best lr: plain-8-none-1.0-s100"),
        "{:?}",
        found.left_out
    );
}

#[test]
fn wrong_questions_are_answered_with_the_right_ones() {
    let error: Error = &|norm, _, rate, seed| Some(by_rate(norm, rate, seed));
    let all = sweep(RATES, error, None);
    let fault = |question: Question| format!("{:#}", Ablation::of(&all, &question).unwrap_err());
    let base = || over("norm");
    let seeds =
        |seeds: &[Seed]| Question { tune_seeds: Some(seeds.iter().copied().collect()), ..base() };
    for (question, expected) in [
        (
            over("nrm"),
            "--over: no run has the key nrm; runs differ in lr, norm; did you mean norm?",
        ),
        (over("width"), "--over width: it has one value, 4; runs differ in lr, norm"),
        (over("arm"), "--over arm: the experiment has no arms; its runs differ in lr, norm"),
        (over("seed"), "--over seed: seeds are what differences are taken over"),
        (
            Question { baseline: Some("group".into()), ..base() },
            "--baseline: no run has norm = group; valid: batch, none",
        ),
        (Question { best: Some("norm".into()), ..base() }, "--best norm: it is the compared key"),
        (
            Question { metric: "test_loss".into(), ..base() },
            "no finished run has measured test_loss",
        ),
        (
            Question { metric: "test_los".into(), ..base() },
            "--metric test_los: valid are train_err_pct",
        ),
        (seeds(&[7]), "--tune-seeds: no run has seed 7; there are 0, 1, 2, 100"),
        (seeds(&[0, 1, 2, 100]), "--tune-seeds: no seed remains to be compared"),
    ] {
        let message = fault(question);
        assert!(message.starts_with(expected), "{message}");
    }
    let arms = "[[arm]]\nname = \"a\"\n[[arm]]\nname = \"b\"\n\"network.norm\" = \"none\"\n\
                \"network.width\" = 8\n";
    let confounded = Ablation::of(&sweep(arms, error, None), &over("norm")).unwrap_err();
    let expected =
        "no configurations differ in it alone; the most similar ones also differ in width";
    assert!(confounded.to_string().ends_with(expected), "{confounded}");
}

/// Share of sweeps whose interval at the best rate covers the true difference, and the mean error of
/// that difference. With BatchNorm all four rates are equally good, without only one is, so that the
/// best rates are equally good and the true difference is zero.
fn coverage(question: &Question) -> (f64, f64) {
    const SWEEPS: u64 = 1000;
    let rates = RATES.replace("0.01,", "0.01, 0.03,").replace("100", "3, 100, 101");
    let experiment =
        Experiment::parse(Path::new("t.toml"), &format!("{TEXT}{rates}"), &[]).unwrap();
    let runs: Vec<_> =
        experiment.runs.into_iter().map(|run| (run.id, run.arm, run.config)).collect();
    let (mut covered, mut sum) = (0, 0.0);
    for sweep in 0..SWEEPS {
        let error = |norm: &str, _: u64, rate: f64, seed: u64| {
            let purpose = (norm.len() as u64) << 32 | (rate * 1000.0) as u64;
            let mut noise = [0.0; 1];
            Stream::new(sweep, Purpose::Dropout, purpose, seed).fill_normal(&mut noise);
            let mean = if norm == "batch" || rate == 0.1 { 40.0 } else { 70.0 };
            Some(mean + 4.0 * f64::from(noise[0]))
        };
        let all = evidence(runs.iter().cloned(), &error, None);
        let row = Ablation::of(&all, question).unwrap().rows.remove(0);
        assert_eq!(row.at, At::Best);
        let interval = row.interval.unwrap();
        covered += u64::from(interval.low <= 0.0 && interval.high >= 0.0);
        sum += row.difference().unwrap();
    }
    (covered as f64 / SWEEPS as f64, sum / SWEEPS as f64)
}

#[test]
fn intervals_at_the_best_rate_cover_as_stated_if_other_seeds_choose_and_only_then() {
    // The standard error of a share of 1,000 at 0.95 is 0.007, that of the mean difference 0.09.
    let apart = Question { tune_seeds: Some([100, 101].into()), ..over("norm") };
    let (share, error) = coverage(&apart);
    assert!((0.925..=0.975).contains(&share), "{share}");
    assert!(error.abs() < 0.4, "{error}");
    // Chosen on the same seeds, the side with four equal choices seems better than it is.
    let (share, error) = coverage(&over("norm"));
    assert!(share < 0.945 && error > 1.0, "{share} {error}");
}
