use super::*;
use crate::Experiment;
use std::path::Path;

const ARMS: &str = "[network]\nfamily = \"plain\"\ndepth = 8\nwidth = 4\n\
    [[arm]]\nname = \"one\"\n\
    \"training.lr\" = 0.1\n[[arm]]\nname = \"two\"\n\"training.iterations\" = 9\n";

/// The runs of an experiment; `more` follows the required keys.
fn configs(more: &str, sets: &[&str]) -> Configs {
    let network = if more.contains("[network]") { "" } else { "[network]\nfamily = \"plain\"\n" };
    let text = format!(
        "name = \"t\"\n[data]\nsource = \"shapes\"\n[training]\niterations = 8\n{network}{more}"
    );
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    Experiment::parse(Path::new("t.toml"), &text, &sets).unwrap().configs
}

const GRID: &str = "[sweep]\n\"network.depth\" = [8, 14]\nseed = [0, 1, 2]\n";

fn told(old: &Configs, new: &Configs) -> String {
    changes(old, new).to_string()
}

#[test]
fn a_superset_is_no_change() {
    let old = configs(GRID, &[]);
    let more = configs(GRID, &["seed=[0, 1, 2, 3]", "network.depth=[8, 14, 20]"]);
    assert!(changes(&old, &old).is_empty());
    assert!(changes(&old, &more).is_empty());
    assert_eq!(told(&old, &more), "");
}

#[test]
fn a_changed_value_is_told_once_for_all_runs() {
    let old = configs(GRID, &[]);
    assert_eq!(
        told(&old, &configs(GRID, &["training.lr=0.05"])),
        "training.lr: 0.1 -> 0.05 (6 runs)\n"
    );
    let both = configs(GRID, &["training.lr=0.05", "training.batch=64"]);
    assert_eq!(
        told(&old, &both),
        "training.batch: 128 -> 64 (6 runs)\ntraining.lr: 0.1 -> 0.05 (6 runs)\n"
    );
}

#[test]
fn keys_that_come_and_go_are_absent_and_those_at_their_default_untold() {
    let old = configs(GRID, &[]);
    let adam = ["training.optimiser=adam", "training.beta1=0.8", "data.train=500"];
    assert_eq!(
        told(&old, &configs(GRID, &adam)),
        "data.train: absent -> 500 (6 runs)\ntraining.beta1: absent -> 0.8 (6 runs)\n\
         training.optimiser: sgd -> adam (6 runs)\n"
    );
    assert_eq!(
        told(&configs(GRID, &["data.train=500"]), &old),
        "data.train: 500 -> absent (6 runs)\n"
    );
}

#[test]
fn a_value_taken_out_of_an_axis_is_no_longer_swept() {
    let old = configs(GRID, &[]);
    let lines = told(&old, &configs(GRID, &["seed=[0, 1]"]));
    assert!(lines.starts_with("seed: 2 no longer swept (2 of 6 runs, such as plain-"), "{lines}");
    assert_eq!(lines.lines().count(), 1);
    // Together with a changed one, each is told for itself.
    let lines = told(&old, &configs(GRID, &["seed=[0, 1]", "training.lr=0.05"]));
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines[0], "training.lr: 0.1 -> 0.05 (6 runs)");
    assert!(lines[1].starts_with("seed: 2 no longer swept (2 of 6 runs"), "{lines:?}");
    assert_eq!(lines.len(), 2, "{lines:?}");
    // A family goes without its own keys being told, and others may come at the same time.
    let families = "[sweep]\n\"network.family\" = [\"plain\", \"residual\"]\n\
        \"network.depth\" = [8, 14]\n";
    let old = configs(families, &[]);
    let new = configs(families, &["network.family=plain", "network.depth=[8, 14, 20]"]);
    let lines = told(&old, &new);
    assert!(lines.starts_with("network.family: residual no longer swept (2 of 4 runs"), "{lines}");
    assert_eq!(lines.lines().count(), 1, "{lines}");
}

#[test]
fn a_value_put_in_the_place_of_another_is_a_change() {
    let old = configs(GRID, &["seed=[0, 1]"]);
    let lines = told(&old, &configs(GRID, &["seed=[0, 7]"]));
    assert!(lines.starts_with("seed: 1 -> 7 (2 of 4 runs, such as plain-"), "{lines}");
    let lines = told(&old, &configs(GRID, &["network.depth=[20, 26]", "seed=[0, 1]"]));
    assert!(lines.contains("network.depth: 8 -> 2"), "{lines}");
    assert!(lines.contains("network.depth: 14 -> 2"), "{lines}");
    assert_eq!(lines.lines().count(), 2, "{lines}");
}

#[test]
fn a_change_in_one_arm_is_told_for_its_runs_alone() {
    let old = configs(ARMS, &[]);
    let text = ARMS.replace("= 9", "= 10\n\"training.lr\" = 0.2");
    let new = configs(&text, &[]);
    let lines = told(&old, &new);
    assert_eq!(changes(&old, &new).removed, 1);
    assert!(lines.contains("training.iterations: 9 -> 10 (1 of 2 runs, two-"), "{lines}");
    assert!(lines.contains("training.lr: 0.1 -> 0.2 (1 of 2 runs, two-"), "{lines}");
}

#[test]
fn a_swept_key_that_only_changes_names_says_so() {
    let old = configs(GRID, &[]);
    let new = configs(GRID, &["training.lr=[0.1, 0.2]"]);
    let lines = told(&old, &new);
    assert!(lines.starts_with("new id, because arms or swept keys changed: plain-"), "{lines}");
    assert!(lines.contains("-0.1-s0-") && lines.ends_with("(6 runs)\n"), "{lines}");
    assert_eq!(lines.lines().count(), 1);
}

#[test]
fn only_runs_that_have_begun_count_and_the_others_help_to_tell() {
    let recorded = configs(GRID, &[]);
    let is_seed = |seed: u64| move |config: &Config| config["seed"].as_u64() == Some(seed);
    let only = |seed| -> Configs {
        let all = recorded.clone().into_iter();
        all.filter(|(_, config)| is_seed(seed)(config)).collect()
    };
    let new = configs(GRID, &["seed=[0, 1]"]);
    assert!(changes_among(&only(0), &recorded, &new).is_empty(), "seed 2 never began");
    let new = configs(GRID, &["seed=[1, 2]"]);
    let lines = changes_among(&only(0), &recorded, &new).to_string();
    assert_eq!(lines, "seed: 0 no longer swept (2 runs)\n");
}

#[test]
fn an_altogether_different_experiment_is_told_in_a_few_lines() {
    let old = configs(GRID, &[]);
    let many = [
        "data.train=100",
        "data.test=100",
        "data.size=8",
        "training.lr=1",
        "training.batch=2",
        "training.momentum=0.1",
        "training.iterations=3",
        "evaluate.every=2",
        "network.width=3",
        "training.nesterov=true",
    ];
    let lines = told(&old, &configs(GRID, &many));
    assert_eq!(lines.lines().count(), SHOWN + 1, "{lines}");
    assert!(lines.ends_with("… and 2 more differences\n"), "{lines}");
}
