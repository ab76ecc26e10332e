//! Whole runs with the worker.

use crate::support::{fail, fathom, outcomes, runs, succeed, with_experiment};
use std::path::Path;

/// A curve without its last column, the clock.
fn without_clock(run: &Path) -> String {
    let text = std::fs::read_to_string(run.join("curve.csv")).expect("a curve");
    text.lines().map(|line| format!("{}\n", line.rsplit_once(',').expect("columns").0)).collect()
}

#[test]
fn a_run_leaves_its_files_and_the_same_command_does_nothing_twice() {
    let folder = with_experiment("[sweep]\nseed = [0, 1]\n");
    let run = ["run", "tiny.toml", "--device", "cpu"];
    let table = succeed(folder.path(), &run);
    assert!(table.contains("plain"), "{table}");
    let results = folder.path().join("results/tiny");
    assert_eq!(runs(&results).len(), 2);
    for run in runs(&results) {
        for file in ["run.json", "curve.csv", "status.json", "log.txt"] {
            assert!(run.join(file).exists(), "{file} is missing");
        }
        let curve = std::fs::read_to_string(run.join("curve.csv")).expect("a curve");
        let steps: Vec<&str> =
            curve.lines().skip(1).filter_map(|line| line.split(',').nth(1)).collect();
        assert_eq!(steps, ["0", "4", "8"]);
    }
    assert!(results.join("curves.csv").exists());
    let before = std::fs::metadata(runs(&results)[0].join("curve.csv")).expect("a curve");
    succeed(folder.path(), &run);
    let after = std::fs::metadata(runs(&results)[0].join("curve.csv")).expect("a curve");
    assert_eq!(before.modified().ok(), after.modified().ok());
}

#[test]
fn the_same_seed_gives_the_same_bytes_whatever_runs_beside_it() {
    let folder =
        with_experiment("[sweep]\n\"network.family\" = [\"plain\", \"residual\"]\nseed = [0, 1]\n");
    let run = |out: &str, jobs: &str| {
        let arguments =
            ["run", "tiny.toml", "--device", "cpu", "--threads", "1", "--out", out, "--jobs", jobs];
        succeed(folder.path(), &arguments);
        runs(&folder.path().join(out)).iter().map(|run| without_clock(run)).collect::<Vec<_>>()
    };
    let (alone, beside) = (run("a", "1"), run("b", "3"));
    assert_eq!(alone, beside);
    assert_ne!(alone[0], alone[1], "another seed gives another curve");
}

#[test]
fn a_residual_net_with_its_shortcuts_scaled_by_zero_repeats_the_plain_net() {
    let folder = with_experiment("");
    let curve = |out: &str, sets: &[&str]| {
        let mut arguments = vec!["run", "tiny.toml", "--device", "cpu", "--out", out];
        arguments.extend(["--set", "network.depth=14"]);
        arguments.extend(sets.iter().flat_map(|set| ["--set", set]));
        succeed(folder.path(), &arguments);
        without_clock(&runs(&folder.path().join(out))[0])
    };
    let plain = curve("plain", &[]);
    let residual = ["network.family=residual"];
    let zero = ["network.family=residual", "network.shortcut_scale=0"];
    assert_eq!(plain, curve("zero", &zero));
    assert_ne!(plain, curve("residual", &residual));
}

#[test]
fn a_run_that_diverges_is_an_outcome_with_a_row() {
    let folder = with_experiment("");
    let table = succeed(
        folder.path(),
        &[
            "run",
            "tiny.toml",
            "--device",
            "cpu",
            "--set",
            "training.lr=1e30",
            "--set",
            "network.norm=none",
        ],
    );
    let run = &runs(&folder.path().join("results/tiny"))[0];
    let status = std::fs::read_to_string(run.join("status.json")).expect("a status");
    assert!(status.contains("\"diverged\""), "{status}");
    let curve = std::fs::read_to_string(run.join("curve.csv")).expect("a curve");
    let last = curve.lines().last().expect("rows");
    assert!(last.contains("NaN") || last.contains("inf"), "{last}");
    let row = table.lines().find(|line| line.starts_with("plain")).expect("a row");
    assert!(row.contains("1 of 1"), "one of one run diverged: {table}");
}

#[test]
fn statistics_over_sub_batches_change_training_and_must_divide_the_batch() {
    let folder = with_experiment("");
    let curve = |out: &str, sets: &[&str]| {
        let mut arguments = vec!["run", "tiny.toml", "--device", "cpu", "--out", out];
        arguments.extend(sets.iter().flat_map(|set| ["--set", set]));
        succeed(folder.path(), &arguments);
        without_clock(&runs(&folder.path().join(out))[0])
    };
    let whole = curve("whole", &[]);
    assert_eq!(whole, curve("all", &["training.norm_batch=20"]));
    assert_ne!(whole, curve("half", &["training.norm_batch=10"]));
    let errors = fail(folder.path(), 2, &["run", "tiny.toml", "--set", "training.norm_batch=7"]);
    assert!(errors.contains("training.norm_batch: 7 does not divide training.batch = 20"));
}

#[test]
fn every_optimiser_learns() {
    for optimiser in ["sgd", "adam", "adamw", "rmsprop", "muon"] {
        let folder = with_experiment("");
        let set = format!("training.optimiser={optimiser}");
        let lr = match optimiser {
            "sgd" => "training.lr=0.1",
            "muon" => "training.lr=0.02",
            _ => "training.lr=0.003",
        };
        let arguments = ["run", "tiny.toml", "--device", "cpu", "--set", &set, "--set", lr];
        let longer = ["--set", "training.iterations=60", "--set", "evaluate.every=60"];
        succeed(folder.path(), &[&arguments[..], &longer[..]].concat());
        let run = &runs(&folder.path().join("results/tiny"))[0];
        let curve = std::fs::read_to_string(run.join("curve.csv")).expect("a curve");
        let loss = |line: &str| line.split(',').nth(4).and_then(|x| x.parse::<f64>().ok());
        let losses: Vec<f64> = curve.lines().skip(1).filter_map(loss).collect();
        assert!(losses[1] < losses[0], "{optimiser}: {losses:?}");
    }
}

#[test]
fn lesions_are_measured_drawn_and_claimed() {
    let claim = "[[claim]]\nname = \"cost\"\nmetric = \"lesion_cost\"\nover_layers = \"max\"\n\
                 of = { family = \"residual\" }\nat_most = 100\n";
    let sweep = "[sweep]\n\"network.family\" = [\"plain\", \"residual\"]\n\"network.depth\" = [14]\n\
                 seed = [0, 1]\n";
    let folder = with_experiment(&(sweep.to_owned() + claim));
    let run = ["run", "tiny.toml", "--device", "cpu", "--set", "evaluate.lesions=true"];
    let said = fail(folder.path(), 2, &run);
    assert!(
        said.contains("evaluate.lesions: has no effect without evaluate.layers = true"),
        "{said}"
    );
    succeed(folder.path(), &[&run[..], &["--set", "evaluate.layers=true"]].concat());
    for run in runs(&folder.path().join("results/tiny")) {
        let text = std::fs::read_to_string(run.join("layers.csv")).expect("layers");
        let costs: Vec<&str> = text
            .lines()
            .skip(1)
            .filter(|line| !line.ends_with(','))
            .filter_map(|line| line.split(',').nth(3))
            .collect();
        let kept = ["layer1.0.conv2", "layer1.1.conv2", "layer2.1.conv2", "layer3.1.conv2"];
        match run.to_string_lossy().contains("/plain-") {
            true => assert_eq!(costs, kept),
            false => assert_eq!(costs.len(), 6, "{text}"),
        }
    }
    succeed(folder.path(), &["plot", "results/tiny", "--figure", "lesions"]);
    let table = succeed(folder.path(), &["check", "results/tiny", "--format", "csv"]);
    assert!(table.contains(",cost,lesion_cost,"), "{table}");
}

#[test]
fn results_of_another_experiment_are_not_mixed_in() {
    let folder = with_experiment("");
    succeed(folder.path(), &["run", "tiny.toml", "--device", "cpu"]);
    let other = ["run", "tiny.toml", "--device", "cpu", "--set", "training.lr=0.2"];
    let errors = fail(folder.path(), 1, &other);
    assert!(errors.contains("holds 1 run that this experiment does not have"), "{errors}");
    assert!(errors.contains("training.lr: 0.1 -> 0.2 (1 run)"), "{errors}");
    // More of the same is welcome, and so is a part of it.
    let more = ["run", "tiny.toml", "--device", "cpu", "--set", "seed=[0, 1]"];
    succeed(folder.path(), &[&more[..], &["--only", "*-s1-*"]].concat());
    let table = succeed(folder.path(), &["status", "results/tiny", "--format", "csv"]);
    assert_eq!(table.matches(",done,").count(), 2, "{table}");
}

#[test]
fn a_missing_data_set_is_reported_before_anything_is_computed() {
    let folder = with_experiment("");
    let arguments = ["run", "tiny.toml", "--device", "cpu", "--set", "data.source=cifar10"];
    let errors = fail(folder.path(), 1, &arguments);
    assert!(errors.contains("fathom data fetch cifar10"), "{errors}");
}

#[test]
fn cuda_without_cuda_is_an_error_and_never_a_silent_cpu_run() {
    let folder = with_experiment("");
    // A machine with GPUs hides them.
    let mut command = fathom(folder.path());
    command.args(["run", "tiny.toml", "--device", "cuda"]).env("CUDA_VISIBLE_DEVICES", "");
    let output = command.output().expect("the program starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("--device cuda: "), "{errors}");
    assert!(!folder.path().join("results/tiny/runs").exists());
}

#[test]
fn every_experiment_runs_with_smoke_without_the_real_data() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let experiments = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
    let mut of_folders = Vec::new();
    for entry in std::fs::read_dir(experiments).expect("experiments") {
        let path = entry.expect("readable").path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let name = path.file_stem().and_then(|name| name.to_str()).expect("text");
        let path = path.to_str().expect("text");
        // The classes of such an experiment depend on a folder of images: see `stored`.
        if std::fs::read_to_string(path).expect("readable").contains("source = \"images\"") {
            of_folders.push(name.to_owned());
            continue;
        }
        let mut arguments = vec!["run", path, "--smoke", "--device", "cpu"];
        if name.starts_with("cifar10-paper") || name == "later-papers-cuda" {
            // Of 110 layers and more, whose updates would take most of the time of all tests, above all
            // on a processor without bf16.
            for set in ["network.width=4", "training.precision=f32"] {
                arguments.extend(["--set", set]);
            }
        }
        succeed(folder.path(), &arguments);
        let results = format!("results/{name}-smoke");
        let drawn = succeed(folder.path(), &["plot", &results, "--format", "svg"]);
        assert!(drawn.contains("figures/curves.svg"), "{name}: {drawn}");
        assert!(drawn.lines().all(|figure| folder.path().join(figure).is_file()), "{drawn}");
        let states = succeed(folder.path(), &["status", &results, "--format", "csv"]);
        let runs = states.lines().skip(1);
        assert!(runs.clone().count() > 0, "{name}: {states}");
        let has_ended = |row: &str| row.contains(",done,") || row.contains(",diverged,");
        assert!(runs.clone().all(has_ended), "{name}: {states}");
    }
    of_folders.sort();
    assert_eq!(of_folders, ["cuda-check", "imagenet-plain-vs-residual"]);
}

#[test]
fn a_finished_run_without_its_manifest_is_named_and_made_again_once_its_folder_is_deleted() {
    let folder = with_experiment("[sweep]\nseed = [0, 1]\n");
    let run = ["run", "tiny.toml", "--device", "cpu"];
    succeed(folder.path(), &run);
    let results = folder.path().join("results/tiny");
    let (one, before) = (runs(&results).remove(0), outcomes(&results));
    std::fs::remove_file(one.join("run.json")).expect("there");
    let said = fail(folder.path(), 1, &run);
    assert!(said.contains("run.json does not exist: delete the folder "), "{said}");
    std::fs::remove_dir_all(&one).expect("there");
    succeed(folder.path(), &run);
    assert_eq!(outcomes(&results), before);
}
