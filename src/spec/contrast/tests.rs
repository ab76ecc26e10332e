use super::*;
use crate::{Claims, Experiment};
use std::path::Path;

const BASE: &str = r#"
name = "t"
[data]
source = "shapes"
size = 8
[network]
family = "plain"
depth = 8
width = 4
[training]
iterations = 2
batch = 4
lr = 0.1
"#;

const SWEEP: &str = r#"
[sweep]
"network.family" = ["plain", "residual"]
"network.depth" = [8, 14, 20]
seed = [0, 1]
"#;

fn parse(more: &str) -> Result<Experiment, String> {
    let text = format!("{BASE}{more}");
    Experiment::parse(Path::new("t.toml"), &text, &[]).map_err(|error| error.to_string())
}

fn refused(claim: &str) -> String {
    parse(&format!("{SWEEP}[[claim]]\nname = \"c\"\n{claim}")).unwrap_err()
}

fn contrast(claim: &str) -> Contrast {
    let experiment = parse(&format!("{SWEEP}[[claim]]\nname = \"c\"\n{claim}")).unwrap();
    experiment.claims[0].1.clone()
}

#[test]
fn two_arms_are_found_by_their_keys_with_all_their_seeds() {
    let found = contrast(
        "higher = { family = \"plain\", depth = 20 }\nlower = { family = \"plain\", depth = 8 }",
    );
    let labels: Vec<&str> = found.arms.iter().map(|arm| arm.label.as_str()).collect();
    assert_eq!(labels, ["plain 20", "plain 8"]);
    assert_eq!(found.arms[0].weight, -found.arms[1].weight);
    let runs = &found.arms[0].candidates[0].runs;
    assert_eq!(runs.keys().copied().collect::<Vec<_>>(), [0, 1]);
    assert!(runs[&1].starts_with("plain-20-s1-"), "{}", runs[&1]);
}

#[test]
fn a_trend_weights_every_depth() {
    let found = contrast("of = { family = \"plain\" }\nrises_with = \"depth\"");
    // Of the line through (8, a), (14, b), (20, c): the rise is c − a.
    let weights: Vec<f64> = found.arms.iter().map(|arm| arm.weight).collect();
    for (weight, expected) in weights.iter().zip([-1.0, 0.0, 1.0]) {
        assert!((weight - expected).abs() < 1e-12, "{weights:?}");
    }
    let uneven = slope(&[8.0, 20.0, 56.0]);
    let line = [3.0 + 0.5 * 8.0, 3.0 + 0.5 * 20.0, 3.0 + 0.5 * 56.0];
    let rise: f64 = uneven.iter().zip(line).map(|(weight, y)| weight * y).sum();
    assert!((rise - 0.5 * 48.0).abs() < 1e-9);
}

#[test]
fn families_differ_in_keys_of_their_own_without_being_confounded() {
    let found = contrast(
        "of = { family = \"residual\", depth = 20 }\nno_worse_than = { family = \"plain\", depth = 20 }\nmargin = 1",
    );
    assert_eq!(found.declared, Vec::<String>::new());
}

#[test]
fn a_difference_that_the_claim_does_not_name_is_refused_and_listed() {
    let over = r#"
[[override]]
when = { depth = 20 }
set = { "training.lr" = 0.01 }
"#;
    let claim = "[[claim]]\nname = \"c\"\nhigher = { family = \"plain\", depth = 20 }\nlower = { family = \"plain\", depth = 8 }\n";
    let error = parse(&format!("{SWEEP}{over}{claim}")).unwrap_err();
    let expected = "claim \"c\": its arms differ in keys that it does not name: training.lr (0.01, 0.1); \
                    give these keys equal values, or declare the difference: also_differs = [\"training.lr\"]";
    assert!(error.contains(expected), "{error}");
    let declared = format!("{SWEEP}{over}{claim}also_differs = [\"training.lr\"]");
    let experiment = parse(&declared).unwrap();
    assert_eq!(experiment.claims[0].1.declared, ["training.lr (0.01, 0.1)"]);
    // A key of one family only, away from its default.
    let scaled = "[[override]]\nwhen = { family = \"residual\" }\nset = { \"network.shortcut_scale\" = 0.5 }\n";
    let families = "[[claim]]\nname = \"c\"\nhigher = { family = \"plain\", depth = 8 }\nlower = { family = \"residual\", depth = 8 }\n";
    let error = parse(&format!("{SWEEP}{scaled}{families}")).unwrap_err();
    assert!(error.contains("network.shortcut_scale (0.5)"), "{error}");
}

#[test]
fn a_selector_of_no_or_several_configurations_is_refused_with_what_would_be_valid() {
    let other = "lower = { family = \"plain\", depth = 8 }";
    let error = refused(&format!("higher = {{ family = \"plain\", depth = 32 }}\n{other}"));
    assert!(error.contains("no run has network.depth = 32; valid: 8, 14, 20"), "{error}");
    assert!(error.starts_with("t.toml:"), "{error}");
    let error = refused(&format!("higher = {{ family = \"plain\" }}\n{other}"));
    assert!(
        error.contains("plain matches 3 configurations, which differ in network.depth"),
        "{error}"
    );
    let error = refused("of = {}\nat_most = 9");
    assert!(error.contains("claim \"c\": an empty selector matches 6 configurations"), "{error}");
    let error = refused(&format!("higher = {{ family = \"plain\", depth = 8 }}\n{other}"));
    assert!(error.contains("compared with itself"), "{error}");
}

#[test]
fn every_wrong_word_of_a_claim_is_refused_with_what_would_be_valid() {
    let of = "of = { family = \"plain\", depth = 8 }\n";
    for (claim, expected) in [
        ("higher = { depth = 8 }\nlower = { depht = 20 }".to_owned(), "unknown key depht"),
        (format!("{of}at_most = 9\nmetric = \"accuracy\""), "expected one of train_err_pct"),
        (
            format!("{of}at_most = 9\nat_least = 1"),
            "a claim has higher and lower, or of with one of",
        ),
        (format!("{of}at_most = 9\nmargin = 1"), "margin does not go with at_most"),
        (format!("{of}same_as = {{ depth = 14, family = \"plain\" }}"), "margin is missing"),
        (
            format!("{of}at_most = {{ published = \"resnet-21/test\" }}"),
            "did you mean resnet-20/test",
        ),
        (
            format!(
                "{of}metric = \"train_err_pct\"\nat_most = {{ published = \"plain-56/train\" }}"
            ),
            "the published value is a train_err_running_pct; leave metric out",
        ),
        (format!("{of}rises_wiht = \"depth\""), "did you mean rises_with?"),
        (
            format!(
                "{of}metric = \"test_err_pct\"\nat_most = 1\ntune = {{ over = \"training.lr\", seeds = [0] }}"
            ),
            "validation_err_pct needs validation images",
        ),
        (
            format!(
                "{of}at_most = 1\ntune = {{ over = \"training.lr\", seeds = [0], by = \"validation_err_pct\" }}"
            ),
            "by = \"validation_err_pct\": expected train_err_pct or train_err_running_pct",
        ),
        (
            format!(
                "{of}metric = \"test_err_pct\"\nat_most = 1\ntune = {{ over = \"training.lr\", seeds = [0], by = \"train_err_pct\" }}"
            ),
            "expected validation_err_pct or validation_loss: tuning must not use the images of the",
        ),
        (format!("{of}metric = \"gradient_norm\"\nat_most = 1"), "add layer = 1, the position"),
        (
            format!("{of}metric = \"train_err_pct\"\nlayer = 1\nat_most = 1"),
            "with layer or over_layers expected one of gradient_norm, weight_norm",
        ),
        (
            format!("{of}updates_to = {{ metric = \"gradient_growth\", below = 1 }}\nat_most = 1"),
            "updates_to: gradient_growth is no metric of the curves",
        ),
        (
            format!(
                "{of}updates_to = {{ metric = \"train_err_pct\", below = 1 }}\nstep = 5\nat_most = 1"
            ),
            "updates_to takes the place of metric, step, layer and over_layers",
        ),
        (format!("{of}scale = \"log\"\nat_most = 0"), "with scale = \"log\" a bound is above 0"),
        (
            format!(
                "{of}scale = \"log\"\nsame_as = {{ depth = 14, family = \"plain\" }}\nmargin = 0.1"
            ),
            "factors of at least 1, such as 1.5",
        ),
        (format!("{of}scale = \"rank\"\nat_most = 1"), "goes with higher and lower alone"),
        (
            format!("{of}share_below = 80\nat_least = 50"),
            "50: with share_below numbers are shares from 0 to 1",
        ),
        (
            format!("{of}share_below = 80\nrises_with = \"depth\""),
            "share_below goes with at_most, at_least, or higher and lower",
        ),
        (
            format!("{of}share_below = 80\nscale = \"log\"\nat_least = 1"),
            "share_below does not go with scale = \"log\"",
        ),
        (
            format!("{of}share_below = 80\nat_least = 1"),
            "1: expected a share below 1, as no number of seeds shows more",
        ),
        (
            format!("{of}share_below = 80\nat_least = 0"),
            "0: every share fulfils this; expected one between 0 and 1",
        ),
        (
            format!("{of}share_below = 80\nat_most = 1"),
            "1: every share fulfils this; expected one between 0 and 1",
        ),
        (
            format!("{of}share_below = 80\nat_most = 0"),
            "0: expected a share above 0, as no number of seeds shows less",
        ),
        (
            format!(
                "{of}scale = \"log\"\nsame_as = {{ depth = 14, family = \"plain\" }}\nmargin = 1"
            ),
            "margin = 1: with scale = \"log\" and same_as it is a factor above 1",
        ),
        (
            "of = { family = \"plain\" }\nrises_with = \"seed\"".to_owned(),
            "seed: claims are over all seeds; name another key",
        ),
        (
            format!("{of}at_most = 1\ntune = {{ over = \"seed\", seeds = [0] }}"),
            "seed: claims are over all seeds; name another key",
        ),
        (
            format!("{of}at_most = 1\ntune = {{ over = \"training.lr\", seeds = [0] }}"),
            "tune: over = \"training.lr\": no two runs differ in it",
        ),
        (
            format!("{of}share_below = 80\npairing = \"seed\"\nat_least = 1"),
            "whose arms are independent samples",
        ),
    ] {
        let error = refused(&claim);
        assert!(error.contains(expected), "{claim}: {error}");
    }
    let twice = format!(
        "{SWEEP}[[claim]]\nname = \"c\"\n{of}at_most = 1\n[[claim]]\nname = \"c\"\n{of}at_most = 2"
    );
    assert!(parse(&twice).unwrap_err().contains("two claims are named \"c\""));
    assert!(parse("level = 2").is_err());
}

#[test]
fn a_published_value_brings_its_definition_of_the_error() {
    let text = format!(
        "{BASE}{SWEEP}[[claim]]\nname = \"c\"\nof = {{ family = \"plain\", depth = 8 }}\nat_most = {{ published = \"plain-56/train\", plus = 1 }}"
    );
    let claims = Claims::parse(Path::new("t.toml"), &text).unwrap().claims;
    assert_eq!(claims[0].measure.metric, "train_err_running_pct");
    let Relation::Bound { bound, source: Some(source), .. } = &claims[0].relation else {
        panic!("a bound")
    };
    assert!(*bound == 6.64 && source.contains("Fig. 6"), "{bound} {source}");
}

#[test]
fn the_sum_of_a_published_value_and_a_tolerance_is_a_decimal() {
    let text = format!(
        "{BASE}{SWEEP}[[claim]]\nname = \"c\"\nof = {{ family = \"plain\", depth = 8 }}\nat_most = {{ published = \"resnet-56/test\", plus = 2 }}"
    );
    let claims = Claims::parse(Path::new("t.toml"), &text).unwrap().claims;
    let Relation::Bound { bound, .. } = &claims[0].relation else { panic!("a bound") };
    assert_eq!(bound.to_string(), "8.97");
}

#[test]
fn looks_plan_seeds_that_are_run_later() {
    let text = format!(
        "looks = [2, 4]\n{BASE}{SWEEP}[[claim]]\nname = \"c\"\nof = {{ family = \"plain\", depth = 8 }}\nat_most = 9"
    );
    let experiment = Experiment::parse(Path::new("t.toml"), &text, &[]).unwrap();
    assert_eq!((experiment.runs.len(), experiment.later.len()), (12, 12));
    assert_eq!(experiment.configs.len(), 24);
    let seeds: BTreeSet<u64> = experiment.later.iter().map(|run| run.settings.seed).collect();
    assert_eq!(seeds, BTreeSet::from([2, 3]));
    let candidate = &experiment.claims[0].1.arms[0].candidates[0];
    assert_eq!(candidate.runs.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 3]);
}

#[test]
fn a_tuned_key_gives_each_arm_a_candidate_per_value() {
    let text = r#"
[sweep]
"network.depth" = [8, 14]
"training.lr" = [0.1, 0.01, 0.05]
seed = [0, 1, 2]
[[claim]]
name = "c"
higher = { depth = 14 }
lower = { depth = 8 }
tune = { over = "training.lr", seeds = [0] }
"#;
    let experiment =
        parse(&text.replace("[sweep]", "[sweep]\n\"data.validation\" = [10]")).unwrap();
    let values: Vec<_> =
        experiment.claims[0].1.arms[1].candidates.iter().map(|c| c.value.clone()).collect();
    assert_eq!(values, [0.01, 0.05, 0.1].map(|rate| Some(Value::from(rate))));
}

#[test]
fn a_tuned_key_that_others_follow_from_is_one_choice() {
    // Without normalisation there is no norm_eps.
    let text = "[sweep]\n\"network.family\" = [\"plain\", \"residual\"]\n\"network.norm\" = [\"batch\", \"none\"]\n\
                seed = [0, 1, 2]\n[[claim]]\nname = \"c\"\nhigher = { family = \"plain\" }\n\
                lower = { family = \"residual\" }\ntune = { over = \"norm\", seeds = [0] }\n";
    let experiment = parse(text).unwrap();
    for arm in &experiment.claims[0].1.arms {
        let values: Vec<_> = arm.candidates.iter().map(|it| it.value.clone()).collect();
        assert_eq!(values, ["batch", "none"].map(|norm| Some(Value::from(norm))));
    }
    let two = text.replace("seed = [", "\"network.norm_eps\" = [1e-5, 1e-3]\nseed = [");
    let error = parse(&two).unwrap_err();
    assert!(
        error.contains("plain matches 3 configurations, which differ in network.norm_eps"),
        "{error}"
    );
}

#[test]
fn a_key_is_tuned_by_a_metric_of_the_kind_of_the_claims() {
    for (metric, by) in [
        ("train_err_fresh_pct", "train_err_fresh_pct"),
        ("train_loss", "train_loss"),
        ("test_err_pct", "validation_err_pct"),
        ("test_loss", "validation_loss"),
        ("gradient_growth", "validation_err_pct"),
    ] {
        let text = format!(
            "{BASE}[[claim]]\nname = \"c\"\nmetric = \"{metric}\"\nof = {{ depth = 8 }}\nat_most = 1\ntune = {{ over = \"training.lr\", seeds = [0, 1] }}"
        );
        let claims = Claims::parse(Path::new("t.toml"), &text).unwrap().claims;
        assert_eq!(claims[0].tune.as_ref().unwrap().by, by);
    }
    // Without validation images: a claim about training images needs none. One seed is remarked on.
    let text = r#"
[sweep]
"network.depth" = [8, 14]
"training.lr" = [0.1, 0.01]
seed = [0, 1, 2]
[[claim]]
name = "c"
higher = { depth = 14 }
lower = { depth = 8 }
tune = { over = "training.lr", seeds = [0] }
"#;
    let remarks = parse(text).unwrap().remarks;
    assert!(remarks.iter().any(|remark| remark.contains("tune has a single seed")), "{remarks:?}");
    let two = text.replace("[0, 1, 2]", "[0, 1, 2, 3]").replace("seeds = [0]", "seeds = [0, 1]");
    assert_eq!(parse(&two).unwrap().remarks, Vec::<String>::new());
}
