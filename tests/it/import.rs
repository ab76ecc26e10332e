//! Logs of PyTorch Lightning, Keras and TensorBoard, made by these programs (`scripts/log_fixtures.py`),
//! become runs that all commands take.

use crate::support::{fail, fathom, succeed};
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> String {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests/fixtures/logs", name].iter().collect();
    path.display().to_string()
}

/// The curve of the only run of `mine`.
fn curve(folder: &Path, run: &str) -> String {
    let path = folder.join("mine/runs").join(run).join("curve.csv");
    std::fs::read_to_string(path).expect("a curve")
}

/// Values of columns of a curve, row by row.
fn values(curve: &str, columns: &[&str]) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_reader(curve.as_bytes());
    let header = reader.headers().expect("a header").clone();
    let place = |name: &&str| header.iter().position(|it| it == *name).expect("the column");
    let places: Vec<usize> = columns.iter().map(place).collect();
    let cells = |row: csv::StringRecord| places.iter().map(|at| row[*at].to_owned()).collect();
    reader.records().map(|row| cells(row.expect("a row"))).collect()
}

const ERRORS: [&str; 3] = ["step", "train_err_pct", "test_err_pct"];

#[test]
fn lightning_rows_of_one_step_are_joined() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = fixture("lightning-metrics.csv");
    let arguments = [
        "import",
        &log,
        "--out",
        "mine",
        "--set",
        "depth=20",
        "--set",
        "seed=1",
        "--step",
        "step+1",
        "--train-error",
        "100-100*train_acc",
        "--test-error",
        "100*(1-val_acc)",
        "--train-loss",
        "train_loss",
    ];
    assert_eq!(succeed(folder.path(), &arguments), "mine/runs/20-s1\n");
    let found = values(&curve(folder.path(), "20-s1"), &ERRORS);
    assert_eq!(found[0], ["4", "20.3125", "15.625"]);
    assert_eq!((found.len(), &found[3][0]), (4, &"16".to_owned()));
    let said = fail(folder.path(), 1, &arguments);
    assert!(said.contains("mine/runs/20-s1 is there already: give another seed"), "{said}");
    succeed(folder.path(), &[&arguments[..], &["--replace"]].concat());
}

#[test]
fn keras_and_event_files_are_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = fixture("keras-training.log");
    succeed(
        folder.path(),
        &[
            "import",
            &log,
            "--out",
            "mine",
            "--set",
            "depth=20",
            "--set",
            "seed=1",
            "--step",
            "4*(epoch+1)",
            "--test-error",
            "100*(1-val_accuracy)",
            "--column",
            "gap=val_loss-loss",
        ],
    );
    let found = values(&curve(folder.path(), "20-s1"), &["step", "test_err_pct"]);
    assert_eq!(found[1], ["8", "43.75"]);
    for (seed, name) in ["tensorboardX.tfevents", "torch.tfevents"].into_iter().enumerate() {
        let log = fixture(name);
        succeed(
            folder.path(),
            &[
                "import",
                &log,
                "--out",
                "mine",
                "--set",
                "depth=8",
                "--set",
                &format!("seed={seed}"),
                "--test-error",
                "100*(1-test/accuracy)",
                "--train-loss",
                "train/loss",
            ],
        );
        let found = values(
            &curve(folder.path(), &format!("8-s{seed}")),
            &["step", "train_loss", "test_err_pct"],
        );
        assert_eq!(found.len(), 5, "{name}");
        let [step, loss, error] = &found[1][..] else { panic!("{found:?}") };
        let number = |text: &str| text.parse::<f64>().expect("a number");
        assert_eq!(step, "10");
        assert!((number(loss) - 2.3 / 11.0).abs() < 1e-6, "{name}: {loss}");
        assert!((number(error) - 80.0).abs() < 1e-4, "{name}: {error}");
    }
}

#[test]
fn from_logs_to_figure_and_verdict() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (depth, base) in [(8, 70), (20, 60)] {
        for seed in 0..3 {
            let rows = format!("epoch,acc\n0,10\n1,{}\n2,{}\n", base - 20, base + seed);
            std::fs::write(folder.path().join("log.csv"), rows).expect("writable");
            let depth = format!("network.depth={depth}");
            succeed(
                folder.path(),
                &[
                    "import",
                    "log.csv",
                    "--out",
                    "mine",
                    "--set",
                    &depth,
                    "--set",
                    &format!("seed={seed}"),
                    "--set",
                    "family=plain",
                    "--step",
                    "epoch",
                    "--train-error",
                    "100-acc",
                    "--classes",
                    "10",
                ],
            );
        }
    }
    let claim = "name = \"mine\"\n[[claim]]\nname = \"deeper is worse\"\nhigher = { depth = 20 }\n\
                 lower = { depth = 8 }\nby_at_least = 5\n";
    std::fs::write(folder.path().join("mine/experiment.toml"), claim).expect("writable");
    let verdict = succeed(folder.path(), &["check", "mine", "--format", "csv"]);
    assert!(verdict.contains("\nsupported,deeper is worse,train_err_pct,10.0,"), "{verdict}");
    let figures = succeed(folder.path(), &["plot", "mine", "--format", "svg"]);
    assert!(figures.contains("mine/figures/depth.svg"), "{figures}");
    succeed(folder.path(), &["report", "mine"]);
    let table = succeed(folder.path(), &["compare", "mine", "--over", "depth"]);
    assert!(table.contains("20 − 8"), "{table}");
    let status = succeed(folder.path(), &["status", "mine", "--format", "csv"]);
    assert_eq!(status.matches(",done,").count(), 6, "{status}");
}

#[test]
fn what_cannot_be_imported_is_told_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("log.csv"), "step,val_acc\n0,10\n5,95\n").expect("writable");
    let import = |code: i32, more: &[&str]| {
        let arguments = [&["import", "log.csv", "--out", "mine"], more].concat();
        let said = fail(folder.path(), code, &arguments);
        assert!(!folder.path().join("mine").exists(), "{said}");
        said
    };
    let set = ["--set", "depth=8", "--set", "seed=1"];
    let with = |more: &[&'static str]| [&set[..], more].concat();
    let said = import(2, &set);
    let expected = "no column is chosen; log.csv has step, val_acc; perhaps --test-error \
                    '100-100*val_acc'";
    assert!(said.contains(expected), "{said}");
    let said = import(2, &with(&["--test-error", "val_ac"]));
    assert!(
        said.contains("--test-error: `val_ac`: there is no column val_ac; there are"),
        "{said}"
    );
    let said = import(2, &["--set", "depth=8", "--test-error", "val_acc"]);
    assert!(said.contains("a seed is missing"), "{said}");
    let said = import(2, &["--set", "depth=8", "seed=1", "--test-error", "100-val_acc"]);
    assert!(said.contains("unexpected argument 'seed=1'"), "{said}");
    let said = import(2, &["--set", "seed=one", "--test-error", "val_acc"]);
    assert!(said.contains("--set seed=one: expected an integer"), "{said}");
    std::fs::write(folder.path().join("log.csv"), "epoch,val_acc\n0,10\n1,95\n").expect("writable");
    let said = import(2, &with(&["--test-error", "100-val_acc"]));
    let expected = "with epochs from 0 of 391 updates each: --step '391*(epoch+1)'";
    assert!(said.contains("--step: `step`: there is no column step"), "{said}");
    assert!(said.contains(expected), "{said}");
    std::fs::write(folder.path().join("log.csv"), "step,val_acc\n0,10\n5,95\n").expect("writable");
    let said = import(1, &with(&["--test-error", "100-100*val_acc"]));
    let expected = "log.csv: line 2: 100-100*val_acc: test_err_pct is -900, expected per cent";
    assert!(said.contains(expected), "{said}");
    let arguments =
        [&["import", "log.csv", "--out", "mine"][..], &set, &["--test-error", "val_acc/100"]];
    let output = fathom(folder.path()).args(arguments.concat()).output().expect("starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("note: all values of test_err_pct are at most 1"), "{said}");
}

#[test]
fn two_configurations_have_two_folders_and_a_misspelt_key_is_noted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("log.csv"), "step,val_acc\n0,10\n5,95\n").expect("writable");
    let import = |key: &str| {
        let arguments = format!(
            "import log.csv --out mine --set {key}=20 --set seed=1 --test-error 100-val_acc"
        );
        let output = fathom(folder.path()).args(arguments.split(' ')).output().expect("starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (text(output.stdout), text(output.stderr))
    };
    let (run, said) = import("depth");
    assert_eq!((run.as_str(), said.as_str()), ("mine/runs/20-s1\n", ""));
    let (run, said) = import("dept");
    assert_eq!(run, "mine/runs/dept_20-s1\n");
    assert!(said.contains("did you mean network.depth?; taken as a key of your own"), "{said}");
    let (run, said) = import("dept");
    assert!(run.is_empty() && said.contains("mine/runs/dept_20-s1 is there already"), "{said}");
}

#[test]
fn the_folder_of_a_sweep_and_the_curves_of_several_runs_are_not_imported() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("sweep")).expect("writable");
    std::fs::write(at("sweep/resolved.json"), "{\"schema\": 1, \"runs\": {}}").expect("writable");
    std::fs::write(at("log.csv"), "step,test_err_pct\n0,90\n").expect("writable");
    let import = |log: &str, out: &str| {
        fail(folder.path(), 1, &["import", log, "--out", out, "--set", "seed=1"])
    };
    let said = import("log.csv", "sweep");
    assert!(said.contains("--out sweep: fathom trains the runs of this folder"), "{said}");
    let curves = "run_id,step,test_err_pct\na,0,90\nb,0,90\n";
    std::fs::write(at("curves.csv"), curves).expect("writable");
    let said = import("curves.csv", "mine");
    assert!(said.contains("curves.csv: line 3: column run_id changes from a to b"), "{said}");
    assert!(!at("sweep/runs").exists() && !at("mine").exists());
}

#[test]
fn a_metric_of_ones_own_is_kept_and_a_folder_without_a_run_is_no_run() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("log.csv"), "step,acc,top5\n1,0.5,0.75\n2,0.75,0.9")
        .expect("writable");
    std::fs::create_dir_all(folder.path().join("mine/runs/8-s0")).expect("writable");
    let output = fathom(folder.path())
        .args(["import", "log.csv", "--out", "mine", "--set", "depth=8", "--set", "seed=0"])
        .args(["--test-error", "100-100*acc", "--column", "top5=100*top5"])
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let note =
        "note: log.csv: the last line has no line end: if the file was cut, so is its last value";
    assert!(said.contains(note), "{said}");
    let found = values(&curve(folder.path(), "8-s0"), &["step", "test_err_pct", "top5"]);
    assert_eq!(found, [["1", "50.0", "75.0"], ["2", "25.0", "90.0"]]);
}

#[test]
fn claims_select_families_keys_and_arms_of_other_programs() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path();
    for (family, mykey, arm, error) in [("vgg", "3", "big", 10), ("alex", "4", "small", 40)] {
        for seed in 0..3 {
            let log = format!("step,err\n0,90\n5,{}\n", error + seed);
            std::fs::write(root.join("log.csv"), log).expect("writable");
            let arguments = format!(
                "import log.csv --out mine --set family={family} --set mykey={mykey} --set arm={arm} --set seed={seed} \
                 --test-error err"
            );
            let run = succeed(root, &arguments.split_whitespace().collect::<Vec<_>>());
            assert_eq!(run, format!("mine/runs/{arm}-{mykey}-{family}-s{seed}\n"));
        }
    }
    let claims = |higher: &str, lower: &str| {
        let text = format!(
            "name = \"mine\"\n[[claim]]\nname = \"c\"\nmetric = \"test_err_pct\"\nhigher = {{ {higher} }}\n\
             lower = {{ {lower} }}\nby_at_least = 20\nalso_differs = [\"mykey\", \"network.family\"]\n"
        );
        std::fs::write(root.join("mine/experiment.toml"), text).expect("writable");
    };
    for (higher, lower) in [
        ("family = \"alex\"", "family = \"vgg\""),
        ("mykey = 4", "mykey = 3"),
        ("arm = \"small\"", "arm = \"big\""),
    ] {
        claims(higher, lower);
        let said = succeed(root, &["check", "mine"]);
        assert!(said.contains("supported"), "{said}");
    }
    succeed(root, &["report", "mine"]);
    let said = succeed(root, &["compare", "mine", "--over", "arm", "--metric", "test_err_pct"]);
    assert!(said.contains("small"), "{said}");
    claims("mykye = 4", "mykey = 3");
    let said = fail(root, 2, &["check", "mine"]);
    assert!(
        said.contains("experiment.toml:3: claim \"c\": unknown key mykye; did you mean mykey?"),
        "{said}"
    );
    let said = fail(root, 2, &["plan", "mine/experiment.toml"]);
    assert!(said.contains("also_differs: unknown key mykey"), "{said}");
}
