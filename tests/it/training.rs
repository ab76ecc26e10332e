//! Whole runs with the worker.

use crate::support::{fail, fathom, outcomes, succeed, with_experiment};
use std::path::{Path, PathBuf};

/// The run directories of a results directory.
fn runs(results: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(results.join("runs")).expect("results");
    let mut runs: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    runs.sort();
    runs
}

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
        if name.starts_with("cifar10-paper") {
            // Of 110 layers, whose updates would take most of the time of all tests.
            arguments.extend(["--set", "network.width=4"]);
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
fn a_longer_run_begins_where_a_shorter_one_ends_and_equals_one_from_the_start() {
    let folder = with_experiment(
        "[sweep]\nseed = [0, 1]\n[[arm]]\nname = \"constant\"\n\"training.schedule\" = { kind = \"constant\" }\n\
         [[arm]]\nname = \"step\"\n\"training.schedule\" = { kind = \"step\", at = [4, 14] }\n",
    );
    fn run(more: &str) -> Vec<&str> {
        let common = "run tiny.toml --device cpu --layout nchw --set evaluate.layers=true";
        common.split(' ').chain(more.split(' ')).collect()
    }
    // The shorter runs end between two evaluations, and before the second milestone.
    let short = "--set training.iterations=10 --out results/short";
    succeed(folder.path(), &run(&format!("{short} --keep-state")));
    let long = "--set training.iterations=20 --out results";
    succeed(folder.path(), &run(&format!("{long}/alone")));
    let output = fathom(folder.path())
        .args(run(&format!("{long}/longer --begin-from results/short")))
        .output();
    let output = output.expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(said.matches(" begins after the 10 updates of ").count(), 4, "{said}");
    assert!(said.contains("resumes at step 10") || said.contains("from step 10"), "{said}");
    let results = |name: &str| folder.path().join("results").join(name);
    assert_eq!(outcomes(&results("alone")), outcomes(&results("longer")));
    for run in runs(&results("alone")) {
        let layers = |name: &str| {
            let run = results(name).join("runs").join(run.file_name().expect("an id"));
            std::fs::read_to_string(run.join("layers.csv")).expect("rows")
        };
        assert_eq!(layers("alone"), layers("longer"));
    }
    // The same command again has nothing to do.
    succeed(folder.path(), &run(&format!("{long}/longer --begin-from results/short")));

    for (more, said) in [
        ("--set training.lr=0.2", "differs in training.lr"),
        (
            "--only step-* --set training.schedule.at=[4,8]",
            "training.schedule.at differs below 10 updates",
        ),
        ("--set training.iterations=10", "has 10 updates, which is not less"),
    ] {
        let errors = fail(
            folder.path(),
            1,
            &run(&format!("{long}/other --begin-from results/short {more}")),
        );
        assert!(errors.contains(said), "{errors}");
        assert!(!results("other").exists(), "nothing is left behind");
    }
    let errors = fail(
        folder.path(),
        1,
        &run(&format!(
            "--set training.iterations=30 --out results/o --begin-from {}",
            "results/alone"
        )),
    );
    assert!(errors.contains("finish the run with --keep-state"), "{errors}");

    let cosine = with_experiment("");
    succeed(cosine.path(), &run(&format!("{short} --keep-state")));
    let errors = fail(cosine.path(), 1, &run(&format!("{long}/longer --begin-from results/short")));
    assert!(errors.contains("a cosine schedule depends on the number of updates"), "{errors}");
}

#[test]
fn the_weights_of_a_run_give_its_last_row_again() {
    let folder = with_experiment(
        "[[arm]]\nname = \"plain\"\n[[arm]]\nname = \"lenet\"\n\"network.family\" = \"lenet\"\n\
         \"network.norm\" = \"batch\"\n",
    );
    let arguments = ["run", "tiny.toml", "--device", "cpu", "--set", "data.size=12"];
    succeed(folder.path(), &arguments);
    for (arm, network) in [("plain", "plain --depth 8 --width 2"), ("lenet", "lenet-bn")] {
        let runs = runs(&folder.path().join("results/tiny"));
        let run = runs.iter().find(|run| run.to_string_lossy().contains(arm)).expect("a run");
        let curve = std::fs::read_to_string(run.join("curve.csv")).expect("a curve");
        let columns: Vec<&str> = curve.lines().next().expect("a header").split(',').collect();
        let last: Vec<&str> = curve.lines().last().expect("a row").split(',').collect();
        let weights = run.join("checkpoint.safetensors");
        let all = format!(
            "eval --weights {} --network {network} --data shapes --size 12 --images 50 \
             --format csv --mean {{mean}} --std {{std}}",
            weights.display()
        );
        let manifest = std::fs::read_to_string(run.join("run.json")).expect("a manifest");
        let manifest: serde_json::Value = serde_json::from_str(&manifest).expect("json");
        let told = manifest["data"]["standardised"].as_str().expect("figures");
        let list = |name: &str| {
            let from = told.find(name).map(|at| &told[at..]).expect("told");
            let (start, end) = (from.find('[').expect("["), from.find(']').expect("]"));
            from[start + 1..end].replace(' ', "")
        };
        let all = all.replace("{mean}", &list("mean")).replace("{std}", &list("std"));
        let eval = |more: &str| -> Vec<f64> {
            let arguments = format!("{all} {more}");
            let table = succeed(folder.path(), &arguments.split_whitespace().collect::<Vec<_>>());
            let row = table.lines().nth(1).expect("a row").split(',');
            row.map(|x| x.parse().expect("a number")).collect()
        };
        let found = eval("");
        let of = |name: &str| -> f64 {
            let place = columns.iter().position(|column| *column == name).expect("a column");
            last[place].parse().expect("a number")
        };
        assert!((found[1] - of("test_loss")).abs() < 1e-3, "{found:?} {last:?}");
        assert!((found[2] - of("test_err_pct")).abs() < 2.1, "{found:?} {last:?}");
        assert!(found[3] <= found[2]);

        let arguments = ["eval", "--format", "csv", "--run", run.to_str().expect("text")];
        let table = succeed(folder.path(), &arguments);
        let row: Vec<&str> = table.lines().nth(1).expect("a row").split(',').collect();
        assert_eq!(row[1].parse::<f64>().expect("a number"), of("test_loss"), "{row:?} {last:?}");

        // With the moving averages, what stands beside an image in its batch makes no difference.
        for batch in [1, 7] {
            let again = eval(&format!("--batch {batch}"));
            assert!((again[1] - found[1]).abs() < 3e-6, "{again:?} {found:?}");
            assert_eq!(again[2], found[2]);
        }
        let by_batch = [5, 25].map(|batch| eval(&format!("--batch {batch} --statistics batch"))[1]);
        assert!((by_batch[0] - by_batch[1]).abs() > 1e-3, "{by_batch:?}");
        if arm == "lenet" {
            let arguments = format!("{all} --batch 7 --statistics batch");
            let arguments: Vec<&str> = arguments.split_whitespace().collect();
            let errors = crate::support::fail(folder.path(), 1, &arguments);
            assert!(
                errors.contains("in a batch of 1, ") && errors.contains("over one value"),
                "{errors}"
            );
        }
    }
}

#[test]
fn loss_landscapes_of_trained_nets_are_measured_and_drawn() {
    let folder = with_experiment("[sweep]\n\"network.family\" = [\"plain\", \"residual\"]\n");
    succeed(folder.path(), &["run", "tiny.toml", "--device", "cpu", "--threads", "1"]);
    // All 200 training images, as in the last row of the curve.
    let look = ["look", "results/tiny", "--images", "200", "--points", "5", "--directions", "2"];
    let look = [&look[..], &["--pairs", "3", "--threads", "1"]].concat();
    let printed = succeed(folder.path(), &look);
    assert_eq!(printed.lines().count(), 4, "{printed}");
    for run in runs(&folder.path().join("results/tiny")) {
        let run = fathom::record::RunDir::new(run);
        let slices = run.slices().expect("rows");
        assert_eq!(slices.len(), 10);
        let last = run.curve().expect("rows").pop().expect("a row");
        let middle = slices.iter().filter(|row| row.alpha == 0.0);
        for row in middle {
            assert!((row.train_loss - last.train_loss.expect("a loss")).abs() < 1e-5, "{row:?}");
            assert_eq!(Some(row.train_err_pct), last.train_err_pct);
        }
        let losses = |direction: u64| -> Vec<f64> {
            let rows = slices.iter().filter(|row| row.direction == direction);
            rows.map(|row| row.train_loss).collect()
        };
        assert_ne!(losses(0), losses(1), "directions differ");
        let correlations = run.correlations().expect("rows");
        assert_eq!(correlations.len(), 2 * 64);
        for row in correlations.iter().filter(|row| row.distance == 0.0) {
            assert!((row.correlation - 1.0).abs() < 1e-6, "{row:?}");
        }
        assert!(correlations.iter().all(|row| row.correlation.abs() <= 1.0 + 1e-6));
    }
    let drawn = succeed(folder.path(), &["plot", "results/tiny", "--figure", "slices"]);
    assert!(drawn.contains("figures/slices.svg"), "{drawn}");
    succeed(folder.path(), &["plot", "results/tiny", "--figure", "correlation"]);

    let even = fail(folder.path(), 2, &["look", "results/tiny", "--points", "4"]);
    assert!(even.contains("--points is an odd number"), "{even}");
    for run in runs(&folder.path().join("results/tiny")) {
        std::fs::remove_file(run.join("checkpoint.safetensors")).expect("weights");
    }
    let without = fail(folder.path(), 1, &["look", "results/tiny"]);
    assert!(without.contains("no run is done and has kept its weights"), "{without}");
}
