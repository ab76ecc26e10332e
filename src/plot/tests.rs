//! What a reader sees in the figures, read from their SVG.

mod ablation;
mod drawing;
mod keys;
mod legible;
mod special;

use super::fixture::{run, sweep, sweep_of};
use super::*;
use drawing::{Drawing, Position};
use fathom_record::State;
use plotters::style::RGBColor;

fn options() -> Options {
    Options { source: "results/x/curves.csv".into(), ..Options::default() }
}

fn words(results: &Results, figure: Figure, options: &Options) -> String {
    Drawing::of(results, figure, options).words()
}

fn hex(colour: RGBColor) -> String {
    format!("#{:02X}{:02X}{:02X}", colour.0, colour.1, colour.2)
}

/// Colours of depths 8 and 44 in [`sweep`].
fn depth_colours() -> [String; 2] {
    [0, 1].map(|rank| hex(palette::of_rank(rank, 2)))
}

#[test]
fn curves_name_every_depth_the_seeds_and_the_trend() {
    let few = words(&sweep().into(), Figure::Curves, &options());
    assert!(few.contains("Plain: final training error by depth (8: 12.5%; 44: 40.5%)"), "{few}");
    let words = words(&sweep_of(4).into(), Figure::Curves, &options());
    for part in [
        "Plain: training error rises with depth (8: 12.8%; 44: 40.8%)",
        "Residual: training error falls with depth (8: 11.8%; 44: 7.8%)",
        "depth: 8 44 training error test error",
        "n = 4 seeds",
        "train_err_pct",
        "results/x/curves.csv",
        "iteration",
    ] {
        assert!(words.contains(part), "{part} is not in {words}");
    }
    assert!(!words.contains("iverged"), "{words}");
}

#[test]
fn a_caption_counts_the_runs_that_its_means_are_over() {
    let mut sweep = sweep();
    for run in sweep.runs.iter_mut().filter(|run| run.seed > 0) {
        run.state = State::Pending;
        run.rows.clear();
    }
    let results: Results = sweep.into();
    for figure in [Figure::Curves, Figure::Depth] {
        let words = words(&results, figure, &options());
        assert!(words.contains("One seed (n = 1)"), "{words}");
        assert!(words.contains("plain 8, 2 of 3"), "{words}");
    }
}

#[test]
fn a_caption_says_where_means_go_on_over_fewer_runs() {
    let mut sweep = sweep();
    let sentence = "Some runs end before others: after their end, means are over the other runs.";
    let said = |sweep: &SweepCurves| words(&sweep.clone().into(), Figure::Curves, &options());
    assert!(!said(&sweep).contains(sentence));
    sweep.runs[0].rows.pop();
    assert!(said(&sweep).contains(sentence), "{}", said(&sweep));
}

#[test]
fn each_panel_has_a_solid_test_curve_and_a_dashed_training_curve_below_it_for_each_depth() {
    let drawing = Drawing::of(&sweep().into(), Figure::Curves, &options());
    let [shallow, deep] = depth_colours();
    let middle = drawing.text_at("Residual: ").0 - 50.0;
    for colour in [&shallow, &deep] {
        let curves = drawing.curves(colour);
        assert_eq!(curves.len(), 2, "one test curve in each panel");
        for curve in curves {
            let (last, is_left) = (curve[curve.len() - 1], curve[0].0 < middle);
            let in_panel = |points: &&[Position]| (points[0].0 < middle) == is_left;
            let dashes: Vec<_> = drawing.dashes(colour).into_iter().filter(in_panel).collect();
            assert!(dashes.len() > 10, "the training curve is dashed: {}", dashes.len());
            // Training error is 5 points lower, which is further down the page.
            let lowest = dashes.iter().map(|points| points[1].1).fold(0.0, f64::max);
            assert!(lowest > last.1, "training ends at {lowest}, test at {}", last.1);
        }
        assert_eq!(drawing.bands.iter().filter(|(own, _)| own == colour).count(), 4);
    }
    let end = |colour: &str, panel: usize| drawing.curves(colour)[panel].last().unwrap().1;
    assert!(end(&deep, 0) < end(&shallow, 0), "plain: the deep net has the higher error");
    assert!(end(&deep, 1) > end(&shallow, 1), "residual: the deep net has the lower error");
    let titles = ["Plain: ", "Residual: "].map(|title| drawing.text_at(title).1);
    let all = || drawing.lines.iter().flat_map(|(_, points)| points).map(|point| point.1);
    let (top, bottom) = (all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max));
    assert!(titles.iter().all(|title| *title < top), "titles are above all lines");
    assert!(drawing.text_at("Lines: mean over").1 > bottom, "the caption is below all lines");
}

#[test]
fn a_curve_that_leaves_the_axis_has_a_gap_there() {
    let mut curves = sweep();
    curves.runs.retain(|run| run.axes["depth"] == "8" && run.axes["family"] == "plain");
    for run in &mut curves.runs {
        for (row, error) in run.rows.iter_mut().zip([20.0, 90.0, 20.0, 10.0]) {
            row.test_err_pct = Some(error);
        }
    }
    let colour = hex(palette::of_category(0));
    let test_lines = |y_max: Option<f64>| -> Vec<Vec<Position>> {
        let drawing =
            Drawing::of(&curves.clone().into(), Figure::Curves, &Options { y_max, ..options() });
        drawing.curves(&colour).into_iter().map(<[_]>::to_vec).collect()
    };
    let whole = test_lines(Some(100.0));
    assert_eq!(whole.len(), 1, "{whole:?}");
    let cut = test_lines(Some(50.0));
    assert_eq!(cut.len(), 2, "{cut:?}");
    let gap = (cut[0].last().unwrap(), cut[1][0]);
    assert!(
        gap.0.0 < gap.1.0 && gap.0.1 == gap.1.1,
        "both ends are at the top of the axis: {gap:?}"
    );
    let drawn = words(&curves.into(), Figure::Curves, &Options { y_max: Some(50.0), ..options() });
    assert!(drawn.contains("Values above 50 are cut off."), "{drawn}");
}

#[test]
fn a_diverged_run_leaves_a_cross_and_is_counted_in_both_figures() {
    let mut curves = sweep();
    curves.runs[3].state = State::Diverged;
    curves.runs[3].rows.pop();
    let [_, deep] = depth_colours();
    // Each of the two strokes of a cross is as wide as high.
    let strokes = |curves: &SweepCurves, colour: &str| {
        let drawing = Drawing::of(&curves.clone().into(), Figure::Curves, &options());
        let is_stroke = |points: &Vec<Position>| {
            let [a, b] = points[..] else { return false };
            (a.0 - b.0).abs() == (a.1 - b.1).abs() && (a.0 - b.0).abs() > 15.0
        };
        drawing.lines.iter().filter(|(own, points)| own == colour && is_stroke(points)).count()
    };
    assert_eq!(strokes(&sweep(), &deep), 0);
    assert_eq!(strokes(&curves, &deep), 4, "a cross on the training and one on the test curve");
    assert_eq!(strokes(&curves, &hex(canvas::INK)), 2, "a cross in the legend");
    let drawn = words(&curves.clone().into(), Figure::Curves, &options());
    assert!(drawn.contains("Diverged: plain 44, 1 of 3"), "{drawn}");
    let depth = words(&curves.into(), Figure::Depth, &options());
    assert!(depth.contains("Diverged: plain 44, 1 of 3"), "{depth}");
    assert!(depth.contains("diverged: no final value"), "{depth}");
}

#[test]
fn depth_states_the_trend_of_each_family_and_shows_every_seed_at_its_depth() {
    let few = words(&sweep().into(), Figure::Depth, &options());
    assert!(!few.contains("rises with depth"), "three seeds are too few: {few}");
    let drawing = Drawing::of(&sweep_of(4).into(), Figure::Depth, &options());
    let words = drawing.words();
    let title = "Training error: plain rises with depth, residual falls with depth";
    assert!(words.contains(title), "{words}");
    assert!(words.contains("Test error: plain rises"), "{words}");
    assert_eq!(drawing.dots.len(), 2 * 16 + 2, "two panels of sixteen runs, and the legend");
    let plain = hex(palette::of_category(0));
    let [[shallow, deep]] = drawing.curves(&plain)[..] else { panic!("one line of two means") };
    assert!(deep.1 < shallow.1, "the error of plain nets rises");
    for (x, y) in [*shallow, *deep] {
        let is_near = |dot: &&Position| (dot.0 - x).abs() < 50.0 && (dot.1 - y).abs() < 20.0;
        assert!(
            drawing.dots.iter().filter(is_near).count() >= 4,
            "the seeds are beside their mean"
        );
    }
}

#[test]
fn arms_are_never_taken_for_seeds_of_one_another() {
    let mut curves = sweep_of(4);
    for run in &mut curves.runs {
        let depth = run.axes["depth"].clone();
        run.axes.insert("arm".into(), format!("{} {depth}", run.axes["family"]));
    }
    let drawn = words(&curves.clone().into(), Figure::Depth, &options());
    assert!(drawn.contains("plain rises with depth"), "an arm for each depth: {drawn}");
    for run in &mut curves.runs {
        run.axes.insert("depth".into(), "8".into());
    }
    let drawn = words(&curves.clone().into(), Figure::Depth, &options());
    assert!(drawn.contains("n = 4 seeds"), "four arms of one depth: {drawn}");
}

#[test]
fn the_same_numbers_give_the_same_bytes() {
    for figure in [Figure::Curves, Figure::Depth] {
        let draw = || svg(&sweep().into(), figure, &options()).unwrap();
        assert_eq!(draw(), draw());
        let picture = to_png(&draw()).unwrap();
        assert_eq!(image::load_from_memory(&picture).unwrap().width(), 1600);
    }
}

#[test]
fn a_note_stands_above_and_logarithmic_axes_say_where_zeros_went() {
    let mut curves = sweep();
    curves.runs[0].rows[3].train_err_pct = Some(0.0);
    let note = Some("Two epochs only".to_owned());
    let options = Options { note, log_x: true, log_y: true, smooth: 2, ..options() };
    let drawn = words(&curves.clone().into(), Figure::Curves, &options);
    assert!(drawn.starts_with("Two epochs only"), "{drawn}");
    assert!(drawn.contains("Step 0 is drawn at the left end."), "{drawn}");
    assert!(drawn.contains("trailing means over 2 evaluations"), "{drawn}");
    let options = Options { smooth: 0, ..options };
    let drawn = words(&curves.clone().into(), Figure::Curves, &options);
    assert!(drawn.contains("Zeros are drawn at"), "{drawn}");
    svg(&curves.clone().into(), Figure::Depth, &options).unwrap();
}

#[test]
fn tiny_and_hopeless_results_are_drawn_or_refused_but_never_panic() {
    let sweep_of = |runs: &[fathom_record::RunCurve]| SweepCurves { runs: runs.to_vec() };
    let one = sweep_of(&[run("plain", "8", 0, State::Done, &[(0, 90.0)])]);
    let zero = sweep_of(&[run("plain", "8", 0, State::Done, &[(0, 0.0)])]);
    let pending = sweep_of(&[run("plain", "8", 0, State::Pending, &[(0, 90.0), (50, 80.0)])]);
    let nan = sweep_of(&[run("plain", "8", 0, State::Diverged, &[(0, f64::NAN)])]);
    let empty = sweep_of(&[run("plain", "8", 0, State::Pending, &[])]);
    let logs = Options { log_x: true, log_y: true, ..options() };
    for options in [options(), logs] {
        let draws =
            |curves: &SweepCurves, figure| svg(&curves.clone().into(), figure, &options).is_ok();
        for figure in [Figure::Curves, Figure::Depth] {
            assert!(draws(&one, figure) && draws(&zero, figure));
            assert!(!draws(&empty, figure) && !draws(&SweepCurves::default(), figure));
        }
        assert!(draws(&pending, Figure::Curves) && !draws(&pending, Figure::Depth));
        assert!(!draws(&nan, Figure::Curves) && draws(&nan, Figure::Depth));
    }
    let message = svg(&nan.clone().into(), Figure::Curves, &options()).unwrap_err().to_string();
    assert_eq!(message, "no run has a finite train_err_pct or test_err_pct yet");
}
