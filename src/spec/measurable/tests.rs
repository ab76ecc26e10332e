use crate::Experiment;
use std::path::Path;

const TEXT: &str = r#"
name = "t"
data = { source = "shapes" }
network = { depth = 8 }
training = { iterations = 100, stop_when = { metric = "train_err_pct", below = 50 } }
evaluate = { every = 30, layers = true, lesions = true }
sweep = { "network.family" = ["residual", "lenet"] }
"#;

fn said(claim: &str) -> Result<(), String> {
    said_of(TEXT, claim)
}

fn said_of(text: &str, claim: &str) -> Result<(), String> {
    let text = format!(
        "{text}[[claim]]\nname = \"c\"\nof = {{ family = \"residual\" }}\nat_least = 1\n{claim}"
    );
    Experiment::parse(Path::new("t.toml"), &text, &[])
        .map(|_| ())
        .map_err(|error| error.to_string())
}

#[test]
fn claims_about_values_that_no_run_will_have_are_refused_with_what_they_need() {
    let lesions = "metric = \"lesion_cost\"\nover_layers = \"mean\"\n";
    for (claim, why) in [
        ("metric = \"validation_err_pct\"", "validation_err_pct needs data.validation"),
        ("metric = \"validation_err_pct\"\nstep = 0", "validation_err_pct needs data.validation"),
        (
            "metric = \"gradient_norm\"\nlayer = 1\nstep = 30",
            "gradient_norm after 30 updates: layers are measured after 0, 1, 2, 5, 10, 20, 50",
        ),
        ("step = 50", "train_err_pct after 50 updates: evaluate.every = 30"),
        ("step = 200", "train_err_pct after 200 updates: the runs have 100"),
        (
            "metric = \"train_err_fresh_pct\"\nstep = 30",
            "train_err_fresh_pct is measured at the first and the last step only",
        ),
        ("metric = \"gradient_norm\"\nlayer = 9", "gradient_norm of that layer: residual-8-s0-"),
        (
            "metric = \"gradient_norm\"\nlayer = \"layer9\"",
            "gradient_norm of that layer: residual-8-s0-",
        ),
        (
            "metric = \"lesion_cost\"\nlayer = 4",
            "lesion_cost has values where a block ends that can be deleted: layer1.0.conv2, layer2.0.conv2, ",
        ),
        (&format!("{lesions}step = 30"), "lesion_cost is measured after the last update only"),
        (
            "updates_to = { metric = \"train_err_pct\", below = 40 }",
            "train_err_pct below 40: runs end as soon as it is below training.stop_when.below = 50",
        ),
        (
            "updates_to = { metric = \"lesion_cost\", below = 1 }",
            "updates_to: lesion_cost is no metric of the curves",
        ),
        ("metric = \"train_err_running_pct\"\nstep = 0", "train_err_running_pct after 0 updates: "),
        ("metric = \"train_loss_running\"\nstep = 0", "train_loss_running after 0 updates: it is"),
        (
            "metric = \"response_change\"\nlayer = 1",
            "response_change is the change by the next update, and none follows the last one",
        ),
        ("metric = \"response_change\"\nlayer = 1\nstep = 100", "response_change is the change"),
        (
            "metric = \"gamma_min\"\nlayer = \"fc\"",
            "gamma_min has values where a normalisation follows: conv1, layer1.0.conv1, ",
        ),
        (
            "metric = \"dead_pct\"\nlayer = \"fc\"",
            "dead_pct has values where ReLU follows: conv1, ",
        ),
        (
            "updates_to = { metric = \"train_err_pct\", below = -1 }",
            "updates_to: below = -1: expected a number above 0, as train_err_pct is never below 0",
        ),
        ("updates_to = { metric = \"test_loss\", below = 0 }", "updates_to: below = 0: expected"),
        ("share_below = -80", "share_below = -80: expected a number above 0, as train_err_pct"),
        (
            "share_below = 0\nupdates_to = { metric = \"test_loss\", below = 1 }",
            "share_below = 0: expected a number of updates above 0",
        ),
        (
            "updates_to = { metric = \"validation_loss\", below = 1 }",
            "validation_loss needs data.validation",
        ),
    ] {
        let error = said(claim).unwrap_err();
        assert!(error.starts_with(&format!("t.toml:9: claim \"c\": {why}")), "{claim}: {error}");
    }
    for claim in [
        lesions,
        "step = 60",
        "step = 100",
        "metric = \"train_err_fresh_pct\"",
        "metric = \"gradient_norm\"\nlayer = 1\nstep = 20",
        "metric = \"gradient_norm\"\nlayer = \"fc\"",
        "metric = \"lesion_cost\"\nlayer = 5",
        "metric = \"train_err_running_pct\"",
        "metric = \"response_change\"\nlayer = 1\nstep = 0",
        "metric = \"beta_max\"\nlayer = \"layer1.0.conv2\"",
        "metric = \"mean_gap\"\nlayer = 1",
        "metric = \"dead_pct\"\nover_layers = \"max\"",
        "updates_to = { metric = \"train_err_pct\", below = 50 }",
    ] {
        assert_eq!(said(claim), Ok(()), "{claim}");
    }
}

#[test]
fn a_key_is_tuned_by_what_runs_will_have() {
    let tuned = |by: &str, more: &str| {
        let text = TEXT.replace(
            "\"network.family\" = [\"residual\", \"lenet\"]",
            "\"training.lr\" = [0.1, 0.2]",
        );
        let text = text.replace("depth = 8 }", "depth = 8, family = \"residual\" }");
        let text = format!("{text}[tune]\nover = \"training.lr\"\nseeds = [7, 8]\nby = \"{by}\"\n");
        let more: Vec<String> = more.split_whitespace().map(str::to_owned).collect();
        Experiment::parse(Path::new("t.toml"), &text, &more)
            .map(|_| ())
            .map_err(|error| error.to_string())
    };
    let why =
        "t.toml:8: tune: by = \"validation_err_pct\": validation_err_pct needs data.validation";
    assert_eq!(tuned("validation_err_pct", ""), Err(why.into()));
    assert_eq!(tuned("validation_err_pct", "data.validation=10"), Ok(()));
    assert_eq!(tuned("train_err_fresh_pct", ""), Ok(()));
}

#[test]
fn claims_at_the_end_of_epochs_are_about_rows_that_there_will_be() {
    // 10,000 images are 156.25 updates.
    let text = TEXT.replace("iterations = 100", "iterations = 400, batch = 64");
    for (every, claim, expected) in [
        ("\"epoch\"", "step = \"1 epoch\"", None),
        ("\"epoch\"", "step = \"2 epochs\"", None),
        ("\"epoch\"", "step = 157", None),
        ("\"epoch\"", "step = 400", None),
        (
            "\"epoch\"",
            "step = 156",
            Some("after 156 updates: evaluate.every = \"epoch\", and none"),
        ),
        ("\"epoch\"", "step = \"0.5 epochs\"", Some("after 0.5 epochs, 78 updates: evaluate")),
        ("\"epoch\"", "step = \"3 epochs\"", Some("after 3 epochs: the runs have 2.56")),
        ("13", "step = \"1 epoch\"", None),
        ("30", "step = \"1 epoch\"", Some("after 1 epochs, 156 updates: evaluate.every = 30")),
        ("30", "metric = \"gradient_norm\"\nlayer = 1\nstep = \"1 epoch\"", Some("after 156")),
    ] {
        let found = said_of(&text.replace("every = 30", &format!("every = {every}")), claim);
        match (found, expected) {
            (Ok(()), None) => {}
            (Err(found), Some(expected)) => {
                assert!(found.contains(expected), "{claim}: {found}")
            }
            (found, _) => panic!("{claim}: {found:?}"),
        }
    }
}

#[test]
fn layers_are_measured_at_logarithmic_distances_from_the_untrained_net_to_the_last_update() {
    let experiment = Experiment::parse(Path::new("t.toml"), TEXT, &[]).expect("valid");
    let evaluate = experiment.runs[0].settings.evaluate;
    let due: Vec<u64> = (0..=320).filter(|step| evaluate.are_layers_due(*step, 320)).collect();
    assert_eq!(due, [0, 1, 2, 5, 10, 20, 50, 100, 200, 320]);
}

#[test]
fn statistics_of_layers_are_claimed_only_where_they_are_measured() {
    let with = |evaluate: &str, family: &str| {
        let old = "every = 30, layers = true, lesions = true";
        let text = TEXT.replace(old, evaluate);
        assert_ne!(text, TEXT);
        let text = format!(
            "{text}[[claim]]\nname = \"c\"\nmetric = \"lesion_cost\"\nover_layers = \"mean\"\n\
             of = {{ family = \"{family}\" }}\nat_least = 1\n"
        );
        Experiment::parse(Path::new("t.toml"), &text, &[]).unwrap_err().to_string()
    };
    let found = with("every = 30", "residual");
    assert!(found.ends_with("lesion_cost needs evaluate.layers = true"), "{found}");
    let found = with("layers = true", "residual");
    assert!(found.ends_with("lesion_cost needs evaluate.lesions = true"), "{found}");
    let found = with("layers = true, lesions = true, every = 20", "lenet");
    assert!(found.ends_with("in lenet networks: no block can be deleted"), "{found}");
}

#[test]
fn statistics_of_what_follows_a_layer_are_claimed_only_of_nets_that_have_it() {
    for (key, metric, said) in [
        ("norm = \"none\"", "gamma_max", "a normalisation follows"),
        ("norm = \"none\"", "beta_min", "a normalisation follows"),
        ("norm = \"layer\"", "mean_gap", "a normalisation with moving averages follows"),
        (
            "norm = \"group\", norm_groups = 2",
            "variance_gap",
            "a normalisation with moving averages follows",
        ),
        ("activation = \"tanh\"", "dead_pct", "ReLU follows"),
    ] {
        let text = TEXT.replace("depth = 8", &format!("depth = 8, {key}"));
        let claim = format!("metric = \"{metric}\"\nover_layers = \"mean\"");
        let error = said_of(&text, &claim).unwrap_err();
        let expected = format!("claim \"c\": {metric} has values where {said}: residual-8-s0-");
        assert!(error.contains(&expected) && error.ends_with(" has no such layer"), "{error}");
        let other = "metric = \"cosine\"\nover_layers = \"mean\"";
        assert_eq!(said_of(&text, other), Ok(()), "{key}");
    }
}
