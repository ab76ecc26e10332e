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
fn a_damaged_plan_is_told_with_what_to_do_and_deleting_it_helps() {
    let (folder, _) = results();
    let path = folder.path().join("small/resolved.json");
    std::fs::write(&path, "").expect("writable");
    for command in ["status", "check", "plot", "report"] {
        let errors = fail(folder.path(), 1, &[command, "small"]);
        assert!(errors.contains("resolved.json is damaged: "), "{command}: {errors}");
        assert!(errors.contains("write it again with `fathom run`, or delete it"), "{errors}");
    }
    std::fs::remove_file(&path).expect("there");
    succeed(folder.path(), &["status", "small"]);
}

#[test]
fn runs_of_two_experiments_in_one_folder_are_not_averaged() {
    let (folder, _) = results();
    let other = folder.path().join("other");
    copy_folder(&folder.path().join("small"), &other);
    let whole = succeed(folder.path(), &["status", "small", "--summary", "--format", "csv"]);
    // The same runs at another rate, under ids and a hash of another program.
    for entry in std::fs::read_dir(other.join("runs")).expect("runs") {
        let path = entry.expect("readable").path();
        let id = path.file_name().expect("a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(path.join("run.json")).expect("there");
        let mut run: serde_json::Value = serde_json::from_str(&text).expect("sound");
        run["id"] = format!("{id}-b").into();
        run["config"]["training.lr"] = 0.25.into();
        run["revision"] = serde_json::json!({});
        std::fs::write(path.join("run.json"), run.to_string()).expect("writable");
        std::fs::rename(&path, folder.path().join("small/runs").join(format!("{id}-b")))
            .expect("movable");
    }
    let merged = succeed(folder.path(), &["status", "small", "--summary", "--format", "csv"]);
    assert!(merged.lines().next().expect("a header").contains("lr"), "{merged}");
    assert_eq!(merged.lines().count() - 1, 2 * (whole.lines().count() - 1), "{merged}");
    succeed(folder.path(), &["plot", "small", "--where", "lr=0.25", "--figure", "curves"]);
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
