//! What the figures show, read from their SVG.

use super::fixture::{run, sweep};
use super::*;
use crate::record::State;

fn options() -> Options {
    Options { source: "results/x/curves.csv".into(), ..Options::default() }
}

fn words(svg: &str) -> String {
    let texts = svg.split("<text").skip(1).filter_map(|part| part.split(['>', '<']).nth(1));
    texts.map(str::trim).collect::<Vec<_>>().join(" ")
}

#[test]
fn curves_name_every_depth_the_seeds_and_what_is_seen() {
    let svg = svg(&sweep(), Figure::Curves, &options()).unwrap();
    let words = words(&svg);
    for part in [
        "Plain: training error rises with depth (8: 12.5%; 44: 40.5%)",
        "Residual: training error falls with depth (8: 11.5%; 44: 7.5%)",
        "depth: 8 44 training error test error",
        "n = 3 seeds",
        "train_err_pct",
        "results/x/curves.csv",
        "iteration",
    ] {
        assert!(words.contains(part), "{part} is not in {words}");
    }
    assert!(!words.contains("iverged"), "{words}");
}

#[test]
fn training_is_dashed_and_thin_and_test_is_one_bold_line() {
    let svg = svg(&sweep(), Figure::Curves, &options()).unwrap();
    let lines = |width: &str| {
        let of_width = format!("stroke-width=\"{width}\"");
        svg.lines().filter(|l| l.starts_with("<polyline") && l.contains(&of_width)).count()
    };
    // Four curves and three samples in the legend.
    assert_eq!(lines("4"), 7);
    assert!(lines("2") > 4 * 10, "dashes: {}", lines("2"));
    assert!(svg.contains("<polygon opacity=\"0.14\""), "bands");
}

#[test]
fn a_diverged_run_leaves_a_cross_and_is_counted_in_both_figures() {
    let mut curves = sweep();
    curves.runs[3].state = State::Diverged;
    curves.runs[3].rows.pop();
    let before = svg(&sweep(), Figure::Curves, &options()).unwrap();
    let after = svg(&curves, Figure::Curves, &options()).unwrap();
    let crosses = |svg: &str| {
        let short =
            |line: &&str| line.split("points=").nth(1).is_some_and(|p| p.matches(',').count() == 2);
        let lines = svg.lines().filter(|line| line.contains("stroke-width=\"4\""));
        lines.filter(short).count()
    };
    // Two strokes each: one on the training line, one on the test line, one in the legend.
    assert_eq!(crosses(&after), crosses(&before) + 6);
    assert!(words(&after).contains("Diverged: plain 44, 1 of 3"), "{}", words(&after));
    let depth = words(&svg(&curves, Figure::Depth, &options()).unwrap());
    assert!(depth.contains("Diverged: plain 44, 1 of 3"), "{depth}");
    assert!(depth.contains("diverged: no final value"), "{depth}");
}

#[test]
fn depth_says_which_family_gets_worse_and_shows_every_seed() {
    let svg = svg(&sweep(), Figure::Depth, &options()).unwrap();
    let words = words(&svg);
    let title = "Training error: plain rises with depth, residual falls with depth";
    assert!(words.contains(title), "{words}");
    assert!(words.contains("Test error: plain rises"), "{words}");
    let dots = svg.lines().filter(|l| l.starts_with("<circle") && l.contains("r=\"4\"")).count();
    assert_eq!(dots, 2 * 12 + 2, "two panels of twelve runs, and the legend");
}

#[test]
fn arms_are_never_taken_for_seeds_of_one_another() {
    let mut curves = sweep();
    for run in &mut curves.runs {
        let depth = run.axes["depth"].clone();
        run.axes.insert("arm".into(), format!("{} {depth}", run.axes["family"]));
    }
    let drawn = words(&svg(&curves, Figure::Depth, &options()).unwrap());
    assert!(drawn.contains("plain rises with depth"), "an arm for each depth: {drawn}");
    for run in &mut curves.runs {
        run.axes.insert("depth".into(), "8".into());
    }
    let drawn = words(&svg(&curves, Figure::Depth, &options()).unwrap());
    assert!(drawn.contains("n = 3 seeds"), "four arms of one depth: {drawn}");
}

#[test]
fn the_same_numbers_give_the_same_bytes() {
    for figure in Figure::ALL {
        let draw = || svg(&sweep(), figure, &options()).unwrap();
        assert_eq!(draw(), draw());
        let picture = png(&sweep(), figure, &options()).unwrap();
        assert_eq!(image::load_from_memory(&picture).unwrap().width(), 1600);
    }
}

#[test]
fn a_note_stands_above_and_logarithmic_axes_say_where_zeros_went() {
    let mut curves = sweep();
    curves.runs[0].rows[3].train_err_pct = Some(0.0);
    let note = Some("Two epochs only".to_owned());
    let options = Options { note, log_x: true, log_y: true, smooth: 2, ..options() };
    let drawn = words(&svg(&curves, Figure::Curves, &options).unwrap());
    assert!(drawn.starts_with("Two epochs only"), "{drawn}");
    assert!(drawn.contains("Step 0 is drawn at the left end."), "{drawn}");
    assert!(drawn.contains("mean of 2 evaluations"), "{drawn}");
    let options = Options { smooth: 0, ..options };
    let drawn = words(&svg(&curves, Figure::Curves, &options).unwrap());
    assert!(drawn.contains("Zeros are drawn at"), "{drawn}");
    svg(&curves, Figure::Depth, &options).unwrap();
}

#[test]
fn tiny_and_hopeless_results_are_drawn_or_refused_but_never_panic() {
    let sweep_of = |runs: &[crate::record::RunCurve]| SweepCurves { runs: runs.to_vec() };
    let one = sweep_of(&[run("plain", "8", 0, State::Done, &[(0, 90.0)])]);
    let zero = sweep_of(&[run("plain", "8", 0, State::Done, &[(0, 0.0)])]);
    let pending = sweep_of(&[run("plain", "8", 0, State::Pending, &[(0, 90.0), (50, 80.0)])]);
    let nan = sweep_of(&[run("plain", "8", 0, State::Diverged, &[(0, f64::NAN)])]);
    let empty = sweep_of(&[run("plain", "8", 0, State::Pending, &[])]);
    let logs = Options { log_x: true, log_y: true, ..options() };
    for options in [options(), logs] {
        let draws = |curves: &SweepCurves, figure| svg(curves, figure, &options).is_ok();
        for figure in Figure::ALL {
            assert!(draws(&one, figure) && draws(&zero, figure));
            assert!(!draws(&empty, figure) && !draws(&SweepCurves::default(), figure));
        }
        assert!(draws(&pending, Figure::Curves) && !draws(&pending, Figure::Depth));
        assert!(!draws(&nan, Figure::Curves) && draws(&nan, Figure::Depth));
    }
    let message = svg(&nan, Figure::Curves, &options()).unwrap_err().to_string();
    assert_eq!(message, "no run has a finite train_err_pct or test_err_pct yet");
}
