//! Figures of tables that other programs wrote: `fathom plot TABLE --columns`.

use crate::support::{fail, fathom};
use std::fmt::Write;
use std::path::Path;

/// Runs a command line that must succeed, and returns standard output and standard error.
fn plot(folder: &Path, more: &[&str]) -> [String; 2] {
    let arguments = [&["plot", "log.csv", "--format", "svg"], more].concat();
    let output = fathom(folder).args(&arguments).output().expect("starts");
    let [out, err] =
        [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned());
    assert!(output.status.success(), "{arguments:?}: {err}");
    [out, err]
}

#[test]
fn a_live_log_with_gaps_is_drawn_and_each_call_has_a_figure_of_its_own() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = "\u{feff}step; train_loss; val_loss\n0; 2,5; NA\n0; ; 2,6\n10; nan; \n10; ; 2,0\n\
               5; 1,5; \n20; inf\n30; 1,0; 1,2\n40; 0,";
    std::fs::write(folder.path().join("log.csv"), log).expect("writable");
    let [out, err] =
        plot(folder.path(), &["--columns", "step,train_loss,val_loss", "--out", "a/b"]);
    assert_eq!(out, "a/b/log-train_loss-val_loss-by-step.svg\n");
    for expected in [
        "train_loss is NaN or infinite in 2 rows, first in line 4, which are gaps",
        "step goes back in 1 row, first in line 6, as after a resume",
        "the last line is incomplete, as of a live log, and left out",
    ] {
        assert!(err.contains(&format!("note: log.csv: {expected}")), "{err}");
    }
    let [out, err] =
        plot(folder.path(), &["--columns", "step,val_loss", "--x", "log", "--smooth", "2"]);
    assert_eq!(out, "log-val_loss-by-step-x-log-smooth-2.svg\n");
    assert!(err.contains("step is 0 or less in 2 rows, first in line 2"), "{err}");
    let [out, _] = plot(folder.path(), &["--columns", "step,train_loss"]);
    assert_eq!(out, "log-train_loss-by-step.svg\n");
    let said = fail(folder.path(), 2, &["plot", "log.csv", "--columns", "step,loss"]);
    assert!(
        said.contains("log.csv: there is no column loss; there are step, train_loss,"),
        "{said}"
    );
    let said = fail(folder.path(), 2, &["plot", "log.csv", "--columns", "a,b", "--smooth", "0"]);
    assert!(said.contains("expected a whole number of at least 1"), "{said}");
}

#[test]
fn letters_that_the_font_lacks_are_named_once_where_they_become_boxes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("log.csv"), "step,损失 ∂\n0,2\n10,1\n").expect("writable");
    let columns = ["--columns", "step,损失 ∂"];
    let note = "note: the font of figures lacks 失 损: PNG and PDF have a box in the place of each";
    let [_, err] = plot(folder.path(), &columns);
    assert_eq!(err, "", "an SVG takes them from another font");
    let arguments = [&["plot", "log.csv", "--format", "svg,png,pdf"], &columns[..]].concat();
    let output = fathom(folder.path()).args(&arguments).output().expect("starts");
    assert_eq!(String::from_utf8_lossy(&output.stderr).trim_end(), note);
}

#[test]
fn a_million_rows_are_a_small_figure() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut log = String::from("step,loss,accuracy\n");
    for step in 0..1_000_000_u32 {
        let noise = step.wrapping_mul(2_654_435_761) >> 22;
        writeln!(log, "{step},{},{}", 1000 + noise, noise).expect("in memory");
    }
    std::fs::write(folder.path().join("log.csv"), log).expect("writable");
    let [out, err] = plot(folder.path(), &["--columns", "step,loss,accuracy"]);
    assert_eq!(err, "");
    let size = folder.path().join(out.trim()).metadata().expect("a figure").len();
    assert!((10_000..1_000_000).contains(&size), "{size}");
}
