//! What needs no worker.

use crate::support::{fail, succeed, with_experiment};

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_key_that_was_meant() {
    let folder = with_experiment("[sweep]\n\"training.bach\" = [1, 2]\n");
    let errors = fail(folder.path(), 2, &["plan", "tiny.toml"]);
    assert!(errors.contains("tiny.toml:23: unknown key training.bach"), "{errors}");
    assert!(errors.contains("did you mean training.batch?"), "{errors}");
}

#[test]
fn a_depth_outside_the_family_is_refused_with_the_nearest_ones() {
    let folder = with_experiment("[sweep]\n\"network.depth\" = [8, 45]\n");
    let errors = fail(folder.path(), 2, &["plan", "tiny.toml"]);
    assert!(errors.contains("tiny.toml:23: network.depth: 45 is not 6n+2"), "{errors}");
    assert!(errors.contains("44 and 50"), "{errors}");
}

#[test]
fn a_value_of_the_wrong_kind_says_what_is_valid() {
    let folder = with_experiment("");
    let errors = fail(folder.path(), 2, &["plan", "tiny.toml", "--set", "training.lr=fast"]);
    assert!(errors.contains("--set training.lr=fast: "), "{errors}");
    assert!(errors.contains("expected a number of at least 0"), "{errors}");
}

#[test]
fn a_key_that_does_nothing_in_any_run_is_refused() {
    let folder = with_experiment("");
    let idle = ["plan", "tiny.toml", "--set", "training.schedule.factor=0.5"];
    let errors = fail(folder.path(), 2, &idle);
    assert!(errors.contains("training.schedule.factor does nothing in any run"), "{errors}");
}

#[test]
fn a_key_that_does_nothing_in_some_runs_merges_them_and_the_plan_says_so() {
    let folder = with_experiment(
        "[sweep]\n\"network.family\" = [\"plain\", \"residual\"]\n\
         \"network.shortcut_scale\" = [0.5, 1.0]\n",
    );
    let output = crate::support::fathom(folder.path())
        .args(["plan", "tiny.toml", "--format", "csv"])
        .output()
        .expect("the program starts");
    let (table, told) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    assert_eq!(table.lines().count(), 1 + 3, "{table}");
    assert!(told.contains("1 combinations equal others"), "{told}");
    assert!(told.contains("network.shortcut_scale does nothing in 2"), "{told}");
}

#[test]
fn set_replaces_a_swept_axis_and_a_list_makes_one() {
    let folder = with_experiment("[sweep]\n\"network.depth\" = [8, 14]\nseed = [0, 1, 2]\n");
    let count = |sets: &[&str]| {
        let mut arguments = vec!["plan", "tiny.toml", "--format", "csv"];
        arguments.extend(sets.iter().flat_map(|set| ["--set", set]));
        succeed(folder.path(), &arguments).lines().count() - 1
    };
    assert_eq!(count(&[]), 6);
    assert_eq!(count(&["seed=7"]), 2);
    assert_eq!(count(&["network.depth=[8, 14, 20, 26]", "seed=0"]), 4);
}

#[test]
fn an_override_reaches_only_the_runs_it_names() {
    let folder = with_experiment(
        "[sweep]\n\"network.depth\" = [8, 14]\n[[override]]\nwhen = { depth = 14 }\n\
         set = { \"training.iterations\" = 99 }\n",
    );
    let table = succeed(folder.path(), &["plan", "tiny.toml", "--format", "csv"]);
    let iterations = |name: &str| {
        let line = table.lines().find(|line| line.starts_with(name)).expect("planned");
        line.split(',').nth(1).map(str::to_owned)
    };
    assert_eq!(iterations("plain-8-").as_deref(), Some("8"));
    assert_eq!(iterations("plain-14-").as_deref(), Some("99"));
}

#[test]
fn inspect_counts_what_the_paper_counts() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text =
        succeed(folder.path(), &["inspect", "residual", "--depth", "56", "--format", "json"]);
    let audit: serde_json::Value = serde_json::from_str(&text).expect("json");
    assert_eq!(audit["parameters"], 853_018);
    assert_eq!(audit["macs"], 125_485_696);
    let text = succeed(
        folder.path(),
        &[
            "inspect",
            "dense",
            "--depth",
            "100",
            "--bottleneck",
            "true",
            "--compression",
            "0.5",
            "--format",
            "json",
        ],
    );
    let audit: serde_json::Value = serde_json::from_str(&text).expect("json");
    assert_eq!(audit["parameters"], 769_162);
    let errors = fail(folder.path(), 2, &["inspect", "residul"]);
    assert!(errors.contains("known: plain, residual, preact, dense"), "{errors}");
}

#[test]
fn the_program_that_people_type_is_not_linked_to_libtorch() {
    let program = std::fs::read(assert_cmd::cargo::cargo_bin!("fathom")).expect("built");
    let library = b"libtorch_cpu.so";
    assert!(!program.windows(library.len()).any(|window| window == library));
}

#[test]
fn runs_keep_their_names_when_keys_are_added() {
    // The committed results were run before some of the present keys existed.
    let home = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = succeed(home, &["plan", "experiments/cifar10-small.toml", "--format", "csv"]);
    let runs = home.join("results/cifar10-small/runs");
    for line in table.lines().skip(1) {
        let id = line.split(',').next().expect("a name");
        assert!(runs.join(id).is_dir(), "{id}");
    }
}

#[test]
fn a_directory_with_runs_of_another_configuration_is_refused_with_what_changed() {
    use fathom::record::{Manifest, Resolved, SCHEMA, SweepDir};
    let folder = with_experiment("");
    let file = folder.path().join("tiny.toml");
    let sets = ["seed=[0, 1]".to_owned()];
    let experiment = fathom::spec::Experiment::load(&file, &sets).expect("a fine experiment");
    let directory = SweepDir::new(folder.path().join("results/tiny"));
    directory.create().expect("writable");
    let resolved = Resolved { schema: SCHEMA, runs: experiment.configs.clone() };
    directory.write_experiment(&experiment.text, &resolved).expect("writable");
    for run in &experiment.runs {
        let manifest = Manifest {
            schema: SCHEMA,
            id: run.id.clone(),
            arm: None,
            axes: run.axes.clone(),
            config: run.config.clone(),
            execution: Default::default(),
            revision: Default::default(),
            data: Default::default(),
            parameters: 0,
            macs: 0,
        };
        let files = directory.run(&run.id);
        files.create().and_then(|()| files.write_manifest(&manifest)).expect("writable");
    }
    // What --only leaves out is still planned; what --set replaces is not.
    let changed = ["run", "tiny.toml", "--only", "*-s1-*", "--set", "seed=[1, 2]"];
    let lower = ["--set", "training.lr=0.05"];
    let errors = fail(folder.path(), 1, &changed);
    assert!(errors.contains("results/tiny holds 1 run that this experiment does"), "{errors}");
    assert!(errors.contains("\n  seed: 0 -> 2 (1 of 2 runs, plain-8-s0-"), "{errors}");
    let errors = fail(folder.path(), 1, &[&changed[..], &lower[..]].concat());
    assert!(errors.contains("holds 2 runs that this experiment does not have"), "{errors}");
    assert!(errors.contains("\n  training.lr: 0.1 -> 0.05 (2 runs)\n"), "{errors}");
    assert!(errors.contains("give another --out, or change the file or --set back"), "{errors}");
}
