//! Values of other programs: seeds, errors in per cent, and files that are damaged.

use super::{spoiled, written};
use crate::support::{fail, fathom, succeed};
use std::path::Path;

/// Replaces a text in a file of the results.
fn replace(folder: &Path, file: &str, from: &str, to: &str) {
    let path = folder.join("mine/runs").join(file);
    let text = std::fs::read_to_string(&path).expect("readable");
    assert!(text.contains(from), "{text}");
    std::fs::write(&path, text.replace(from, to)).expect("writable");
}

#[test]
fn every_integer_is_a_seed_and_pairs_runs() {
    let Some(folder) = written() else { return };
    for (depth, seed) in [(8, "-7"), (20, "-7"), (8, "18446744073709551615"), (20, "-3")] {
        let from = if seed == "-7" { 1 } else { 2 };
        let file = format!("{depth}-plain-s{from}/run.json");
        replace(folder.path(), &file, &format!("\"seed\": {from}"), &format!("\"seed\": {seed}"));
    }
    let compare = ["compare", "mine", "--over", "depth", "--format", "json"];
    let table = succeed(folder.path(), &compare);
    assert!(table.contains("\"n\": 2"), "seeds 0 and -7 are pairs: {table}");
    let output = fathom(folder.path()).args(["compare", "mine", "--over", "depth"]).output();
    let said = String::from_utf8_lossy(&output.expect("starts").stderr).into_owned();
    assert!(said.contains("only one side has seeds -3, 18446744073709551615"), "{said}");
    // Seeds survive curves.csv.
    succeed(folder.path(), &["report", "mine"]);
    let best = ["compare", "mine", "--over", "depth", "--tune-seeds", "-7"];
    let errors = fail(folder.path(), 2, &best);
    assert!(errors.contains("--tune-seeds: no key is swept besides depth"), "{errors}");
}

#[test]
fn what_is_no_integer_is_no_seed() {
    for (to, expected) in [
        ("\"seed\": 1.5", "run.json: config: seed is 1.5, expected an integer"),
        ("\"seed\": \"one\"", "run.json: config: seed is \"one\", expected an integer"),
        ("\"seed\": 18446744073709551616", "run.json: config: seed is 1.8446744073709552e+19,"),
        ("\"seeds\": 1", "run.json: config: seed is missing, expected an integer"),
        ("\"seed\": NaN", "run.json is damaged: line 12, column 13: seed is NaN, which JSON lacks"),
    ] {
        let Some(said) = spoiled("run.json", |text| text.replace("\"seed\": 1", to)) else {
            return;
        };
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn an_error_outside_per_cent_is_refused_and_a_doubtful_column_is_told() {
    for (to, expected) in [
        (",301,", "curve.csv: line 3: column `train_err_pct` has the value 301, expected per cent"),
        (",-9,", "curve.csv: line 3: column `train_err_pct` has the value -9, expected per cent"),
    ] {
        let Some(said) = spoiled("curve.csv", |text| text.replace(",31,", to)) else { return };
        assert!(said.contains(expected), "{said}");
    }
    let Some(folder) = written() else { return };
    let note = |expected: &str| {
        let plot = ["plot", "mine", "--format", "svg"];
        for command in [&plot[..], &["check", "mine"], &["report", "mine"]] {
            let output = fathom(folder.path()).args(command).output().expect("starts");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(said.contains(expected), "{expected}: {said}");
        }
    };
    let rewrite = |first: &str, last: &str| {
        for (depth, error) in [(8, 10), (20, 30)] {
            for seed in 0..3 {
                let run = folder.path().join(format!("mine/runs/{depth}-plain-s{seed}"));
                let header = "step,train_loss,train_err_pct\n";
                let rows = format!("{header}0,2.3,{first}\n100,0.{},{last}\n", error + seed);
                std::fs::write(run.join("curve.csv"), rows).expect("writable");
            }
        }
    };
    rewrite("10", "60");
    note("note: train_err_pct rises while train_loss falls, as an accuracy does, in 6 of 6 runs");
    rewrite("0.9", "1.0");
    std::fs::remove_dir_all(folder.path().join("mine/runs/44-plain-s0")).expect("writable");
    note("note: all values of train_err_pct are at most 1, as if they were fractions: the unit is");
}

#[test]
fn damage_is_told_with_its_place_and_what_stands_there() {
    for (file, from, to, expected) in [
        (
            "run.json",
            "\"axes\": [",
            "\"axes\": ",
            "run.json is damaged: line 6, column 21: expected `:`, at `\"network.family\",`",
        ),
        (
            "status.json",
            "\"step\": 100",
            "\"step\": -Infinity",
            "status.json is damaged: line 4, column 11: step is -Infinity, which JSON lacks",
        ),
        ("curve.csv", "\n1,100,", "\n1,0,", "curve.csv: line 3: steps do not ascend: 0 follows 0"),
        ("curve.csv", ",seconds\n", ",s,t\n", "line 2: 16 values, but the header has 17 columns"),
    ] {
        let Some(said) = spoiled(file, |text| text.replace(from, to)) else { return };
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

#[test]
fn a_directory_that_does_not_exist_is_told_with_the_nearest_one() {
    let Some(folder) = written() else { return };
    for command in [
        &["plot", "min"][..],
        &["status", "min"],
        &["check", "min"],
        &["report", "min"],
        &["export", "min", "--wide"],
        &["compare", "min", "mine"],
        &["compare", "mine", "min"],
        &["cancel", "min"],
    ] {
        let said = fail(folder.path(), 1, command);
        assert_eq!(said, "error: min does not exist; did you mean mine?\n", "{command:?}");
    }
    let said = fail(folder.path(), 1, &["plot", "mine/runs/44-plain-s0"]);
    assert_eq!(said, "error: mine/runs/44-plain-s0 has neither runs/ nor curves.csv\n");
}
