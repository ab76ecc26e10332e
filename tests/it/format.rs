//! The run directory as a public format: what another program writes is read, and what is wrong in it
//! is told with its place.

use crate::support::{copy_folder, fail, fathom, succeed};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

mod damaged;
mod old_results;
mod values;
mod writer;

const WRITE: &str = r#"
import sys
sys.path.insert(0, sys.argv[1])
from fathom_writer import Run
for depth, error in ((8, 10), (20, 30)):
    for seed in (0, 1, 2):
        config = {"network.family": "plain", "network.depth": depth, "seed": seed}
        run = Run("mine", config, classes=10, parameters=1000 * depth)
        run.row(step=0, train_err_pct=90, test_err_pct=90)
        run.row(step=100, train_err_pct=error + seed, test_err_pct=error + 5)
        run.done()
config = {"network.family": "plain", "network.depth": 44, "seed": 0}
lost = Run("mine", config, classes=10)
lost.row(step=0, train_err_pct=90)
lost.row(step=10, train_loss=float("nan"))
lost.done("diverged")
"#;

const CLAIM: &str = r#"
name = "mine"
[[claim]]
name = "deeper is worse"
higher = { depth = 20 }
lower = { depth = 8 }
by_at_least = 15
"#;

/// Results that plain Python wrote; none where there is no Python, unless everything is required.
fn written() -> Option<TempDir> {
    let folder = python(WRITE)?;
    std::fs::write(folder.path().join("mine/experiment.toml"), CLAIM).expect("writable");
    Some(folder)
}

/// A folder in which a Python program ran that can import `fathom_writer`.
fn python(program: &str) -> Option<TempDir> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let mut python = Command::new("python3");
    python.current_dir(folder.path()).arg("-c").arg(program).arg(scripts);
    python.env("PYTHONDONTWRITEBYTECODE", "1");
    match python.output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{said}");
        }
        Err(error) => {
            assert!(std::env::var_os("FATHOM_REQUIRE_ALL").is_none(), "python3: {error}");
            eprintln!("no python3: what other programs write is not tested");
            return None;
        }
    }
    Some(folder)
}

#[test]
fn what_plain_python_writes_gets_figures_a_verdict_and_a_report() {
    let Some(folder) = written() else { return };
    let status = succeed(folder.path(), &["status", "mine", "--format", "csv"]);
    assert_eq!(status.matches(",done,").count(), 6, "{status}");
    assert_eq!(status.matches(",diverged,").count(), 1, "{status}");
    let figures = succeed(folder.path(), &["plot", "mine", "--format", "svg"]);
    assert!(figures.contains("mine/figures/depth.svg"), "{figures}");
    let verdict = succeed(folder.path(), &["check", "mine", "--format", "csv"]);
    assert!(verdict.contains("\nsupported,deeper is worse,train_err_pct,20.0,"), "{verdict}");
    let report = succeed(folder.path(), &["report", "mine"]);
    assert!(report.starts_with("mine/report.html\nmine/summary.md\n"), "{report}");
    let brief = std::fs::read_to_string(folder.path().join("mine/summary.md")).expect("written");
    assert!(brief.contains("| **supported** | deeper is worse |"), "{brief}");
    assert!(brief.contains("| plain | 44 |"), "a diverged run is a row: {brief}");
    let same = succeed(folder.path(), &["compare", "mine", "mine", "--format", "csv"]);
    assert!(same.contains("plain 20,3,3,,train_err_pct,31.0,31.0,0.0"), "{same}");
}

#[test]
fn a_change_is_found_with_its_step_and_held_against_the_noise_of_seeds() {
    let Some(folder) = written() else { return };
    let theirs = folder.path().join("theirs");
    copy_folder(&folder.path().join("mine"), &theirs);
    for seed in 0..3 {
        let curve = theirs.join(format!("runs/20-plain-s{seed}/curve.csv"));
        let text = std::fs::read_to_string(&curve).expect("a curve");
        let (from, to) = (format!(",{},", 30 + seed), format!(",{}.5,", 40 + seed));
        std::fs::write(&curve, text.replace(&from, &to)).expect("writable");
    }
    let arguments = ["compare", "mine", "theirs", "--format", "csv"];
    let output = fathom(folder.path()).args(arguments).output().expect("starts");
    assert_eq!(output.status.code(), Some(6));
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        table.contains("plain 20,3,0,100,train_err_pct,31.0,41.5,10.5,10.5,10.5,yes"),
        "{table}"
    );
    assert!(table.contains("plain 8,3,3,,"), "{table}");
    let said = fail(folder.path(), 2, &["compare", "mine", "theirs", "--metric", "accuracy"]);
    assert!(said.contains("train_err_pct"), "{said}");
}

/// Changes one file of good results, and tells what `plot`, `check` and `report` say to it.
fn spoiled(file: &str, change: impl Fn(String) -> String) -> Option<String> {
    let folder = written()?;
    let path: PathBuf = folder.path().join("mine/runs/20-plain-s1").join(file);
    let text = std::fs::read_to_string(&path).expect("readable");
    std::fs::write(&path, change(text)).expect("writable");
    let said = fail(folder.path(), 1, &["plot", "mine"]);
    let also = fail(folder.path(), 1, &["check", "mine"]);
    assert_eq!(said, also);
    assert_eq!(said, fail(folder.path(), 1, &["report", "mine"]));
    assert!(said.contains("20-plain-s1"), "{said}");
    Some(said)
}

#[test]
fn bad_input_is_told_with_file_and_line_and_never_becomes_a_number() {
    type Change = fn(String) -> String;
    let cases: [(&str, Change, &str); 9] = [
        (
            "curve.csv",
            |t| t.replace("step,epoch", "steps,epoch"),
            "curve.csv: line 1: column `step` is missing",
        ),
        (
            "curve.csv",
            |t| t.replace(',', ";"),
            "curve.csv: line 1: columns are separated by ';', expected commas",
        ),
        (
            "curve.csv",
            |t| t.replace("step,epoch", "step,step"),
            "curve.csv: line 1: column `step` occurs twice",
        ),
        (
            "curve.csv",
            |t| t.replace(",31,", ",thirty-one,"),
            "line 3: column `train_err_pct` has the value `thirty-one`, expected a number",
        ),
        (
            "curve.csv",
            |t| t.replace("\n1,100,", "\n9,100,"),
            "line 3: schema 9 is of a later version of fathom; this one reads schemas up to 1",
        ),
        // Cut in the middle of the last line: the one before must not pass for it.
        (
            "curve.csv",
            |t| t[..t.len() - 9].to_owned(),
            "ends at step 0, but status.json says done at step 100",
        ),
        (
            "run.json",
            |t| t.replace("20-plain-s1", "8-plain-s9"),
            "which is not the name of its folder",
        ),
        ("run.json", |t| t[..40].to_owned(), "run.json is damaged"),
        ("status.json", |t| t.replace("\"done\"", "\"finished\""), "status.json is damaged"),
    ];
    for (file, change, expected) in cases {
        let Some(said) = spoiled(file, change) else { return };
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

#[test]
fn a_manifest_of_fathoms_own_that_was_edited_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let results = folder.path().join("small");
    copy_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("results/cifar10-small"), &results);
    succeed(folder.path(), &["plot", "small", "--format", "svg"]);
    let entry = std::fs::read_dir(results.join("runs")).expect("runs").next().expect("one");
    let file = entry.expect("readable").path().join("run.json");
    let text = std::fs::read_to_string(&file).expect("readable");
    let edited = text.replace("\"training.lr\": 0.1", "\"training.lr\": 0.2");
    assert_ne!(text, edited);
    std::fs::write(&file, edited).expect("writable");
    for command in ["plot", "status", "check", "report"] {
        let said = fail(folder.path(), 1, &[command, "small"]);
        assert!(said.contains("run.json: its configuration is not the one that the id"), "{said}");
    }
}

#[test]
fn results_are_exported_in_three_ways() {
    let Some(folder) = written() else { return };
    let wide = succeed(folder.path(), &["export", "mine", "--wide"]);
    let mut lines = wide.lines();
    assert!(
        lines.next().is_some_and(|line| line.starts_with("step,8-plain-s0,8-plain-s1,")),
        "{wide}"
    );
    assert!(lines.next().is_some_and(|line| line.starts_with("0,90.0,90.0,")), "{wide}");
    // The run that diverged has a row of its own and none at the end.
    assert!(
        wide.contains("\n10,,,,,,,\n") && wide.contains("\n100,10.0,11.0,12.0,30.0,31.0,32.0,\n"),
        "{wide}"
    );
    let table = succeed(folder.path(), &["export", "mine", "--table", "markdown"]);
    assert!(table.contains("| plain | 8 | 11.00 ± 1.00 |"), "{table}");
    let files = succeed(folder.path(), &["export", "mine", "--tensorboard", "events"]);
    assert_eq!(files.lines().count(), 7);
    for file in files.lines() {
        assert!(folder.path().join(file).metadata().expect("written").len() > 100, "{file}");
    }
    assert!(fail(folder.path(), 2, &["export", "mine"]).contains("--tensorboard FOLDER"));
}

#[test]
fn tables_of_a_text_are_updated_and_stale_ones_are_reported() {
    let Some(folder) = written() else { return };
    let file = folder.path().join("text.md");
    let text = "Before.\n<!-- fathom: report mine --table final --metric train_err_pct -->\n\
                old\n<!-- fathom: end -->\nAfter.\n";
    std::fs::write(&file, text).expect("writable");
    let check = ["report", "--splice", "text.md", "--check"];
    let said = fail(folder.path(), 1, &check);
    assert!(said.contains("text.md:3: is out of date"), "{said}");
    succeed(folder.path(), &["report", "--splice", "text.md"]);
    let renewed = std::fs::read_to_string(&file).expect("readable");
    assert!(renewed.contains("| plain | 20 | 31.00 ± 1.00 | 3 | 0 | 0 |"), "{renewed}");
    assert!(
        renewed.starts_with("Before.\n<!--") && renewed.ends_with("-->\nAfter.\n"),
        "{renewed}"
    );
    succeed(folder.path(), &check);
    let experiments = "<!-- fathom: experiments mine -->\n<!-- fathom: end -->\n";
    std::fs::write(&file, experiments).expect("writable");
    succeed(folder.path(), &["report", "--splice", "text.md"]);
    let renewed = std::fs::read_to_string(&file).expect("readable");
    assert!(renewed.contains("](mine) |") && renewed.contains("**supported**"), "{renewed}");
    let cost = text.replace("final --metric train_err_pct", "cost");
    std::fs::write(&file, cost).expect("writable");
    succeed(folder.path(), &["report", "--splice", "text.md"]);
    let renewed = std::fs::read_to_string(&file).expect("readable");
    let header = "| parameters | multiply-adds | ms per update | peak memory (MB) | n |";
    assert!(renewed.contains(header), "{renewed}");
    std::fs::write(&file, text.replace("--table final", "--table all")).expect("writable");
    let said = fail(folder.path(), 2, &check);
    assert!(
        said.contains("line 2: ") && said.contains("report DIR --table final|claims|cost"),
        "{said}"
    );
}
