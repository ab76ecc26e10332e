//! Results of which a file was lost, cut or emptied, and results that were kept in part.

use crate::support::{copy_folder, fail, fathom, succeed};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Damages the folder of a run.
type Spoil = fn(&Path);

/// A copy of results that are published with the program, and the folder of one of its runs.
fn results() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/cifar10-small");
    copy_folder(&from, &folder.path().join("small"));
    let entries = std::fs::read_dir(folder.path().join("small/runs")).expect("runs");
    let run = entries.map(|entry| entry.expect("readable").path()).min().expect("one");
    (folder, run)
}

/// Standard output and standard error.
fn said(folder: &Path, code: i32, arguments: &[&str]) -> [String; 2] {
    let output = fathom(folder).args(arguments).output().expect("it starts");
    assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

#[test]
fn every_command_names_the_damaged_file_and_what_to_do_and_status_lists_the_other_runs() {
    let faults: [(Spoil, &str); 5] = [
        (
            |run| std::fs::remove_file(run.join("run.json")).expect("there"),
            "run.json does not exist",
        ),
        (
            |run| std::fs::write(run.join("status.json"), "").expect("there"),
            "status.json is damaged",
        ),
        (
            |run| {
                let path = run.join("curve.csv");
                let text = std::fs::read_to_string(&path).expect("a curve");
                let last = text.trim_end().rfind('\n').expect("several lines");
                std::fs::write(path, &text[..=last]).expect("writable");
            },
            "but status.json says done at step",
        ),
        (
            |run| std::fs::remove_file(run.join("curve.csv")).expect("there"),
            "curve.csv does not exist",
        ),
        (
            |run| std::fs::write(run.join("curve.csv"), "").expect("there"),
            "curve.csv has no whole row",
        ),
    ];
    for (spoil, fault) in faults {
        let (folder, run) = results();
        spoil(&run);
        for command in ["check", "plot", "report"] {
            let errors = fail(folder.path(), 1, &[command, "small"]);
            assert!(errors.contains(fault), "{command}: {errors}");
            assert!(errors.contains("delete the folder small/runs/"), "{command}: {errors}");
        }
        let [table, errors] = said(folder.path(), 1, &["status", "small", "--format", "csv"]);
        assert!(errors.contains(fault) && table.contains(fault), "{table}{errors}");
        let count = |state: &str| table.lines().filter(|row| row.contains(state)).count();
        assert_eq!(count(",damaged,"), 1, "{table}");
        assert_eq!(count(",done,"), table.lines().count() - 2, "{table}");
    }
}

#[test]
fn a_table_of_curves_has_a_status_and_nothing_to_cancel() {
    let (folder, _) = results();
    succeed(folder.path(), &["report", "small"]);
    let state = |table: &str| {
        let row = |row: &str| row.split(',').take(3).collect::<Vec<_>>().join(",");
        table.lines().map(row).collect::<Vec<_>>()
    };
    let before = succeed(folder.path(), &["status", "small", "--format", "csv"]);
    std::fs::remove_dir_all(folder.path().join("small/runs")).expect("there");
    let after = succeed(folder.path(), &["status", "small", "--format", "csv"]);
    assert_eq!(state(&after), state(&before));
    let [_, errors] = said(folder.path(), 0, &["cancel", "small"]);
    assert!(errors.contains("no run is in progress or queued"), "{errors}");
    std::fs::remove_file(folder.path().join("small/curves.csv")).expect("there");
    for command in ["status", "cancel", "plot"] {
        let errors = fail(folder.path(), 1, &[command, "small"]);
        assert!(errors.contains("small has neither runs/ nor curves.csv"), "{errors}");
    }
}

#[test]
fn where_no_run_has_begun_there_is_nothing_to_draw_or_compare() {
    let (folder, run) = results();
    copy_folder(&folder.path().join("small"), &folder.path().join("whole"));
    std::fs::remove_dir_all(run.parent().expect("runs")).expect("there");
    std::fs::create_dir(folder.path().join("small/runs")).expect("writable");
    for arguments in [&["plot", "small"][..], &["compare", "small", "whole"]] {
        let errors = fail(folder.path(), 1, arguments);
        assert!(errors.contains("small: no run has begun and been evaluated yet"), "{errors}");
    }
}
