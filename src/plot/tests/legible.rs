//! That nothing is cut, hidden or drawn outside its panel.

use super::super::captions::CUT;
use super::special::rich;
use super::*;
use crate::canvas::{INK, text_width};
use fathom_record::RunCurve;

/// Plotting areas of the two panels of a figure for the screen, from left to right.
const PANELS: [(f64, f64); 2] = [(128.0, 770.0), (900.0, 1542.0)];

#[test]
fn speeds_are_legible_beyond_their_bar_and_within_the_page() {
    let mut results = rich();
    let long = "y".repeat(200);
    for run in results.curves.runs.iter_mut().filter(|run| run.axes["norm"] == "none") {
        run.axes.insert("norm".into(), long.clone());
    }
    for (width, page) in [(None, 1200.0), (Some(Width::Column), Width::Column.units())] {
        let options = Options { width, ..options() };
        let text = svg(&results, Figure::Speed, &options).unwrap();
        let is_white = |line: &str| line.starts_with("<text") && line.contains("#FFFFFF");
        assert!(!text.lines().any(is_white), "white text is lost beyond its bar");
        let drawing = Drawing::read(&text);
        let (left, _) = drawing.text_at("Plain, depth 8");
        let ends = drawing.texts.iter().filter(|(_, place)| place.0 == left);
        let ends: Vec<f64> =
            ends.map(|(text, place)| place.0 + text_width(text.trim(), 22.0)).collect();
        assert!(ends.len() > 16 && ends.iter().all(|end| *end < page), "{ends:?}");
        let letters = drawing.texts.iter().map(|(text, _)| text.matches('y').count());
        assert!(letters.sum::<usize>() >= 8 * 200, "no letter of a name is lost");
        assert_eq!(drawing.words().matches("320").count(), 16, "each bar has its number");
    }
}

/// Runs of two families at two depths, of which all but `sound` of each end diverged.
fn mostly_diverged(sound: u64) -> Results {
    let mut curves = sweep_of(30);
    for run in &mut curves.runs {
        run.axes.insert("norm".into(), if run.seed % 2 == 0 { "batch" } else { "none" }.into());
        if run.seed >= sound.into() {
            run.state = State::Diverged;
        }
    }
    curves.into()
}

#[test]
fn crosses_stay_in_their_panel_however_many_runs_diverged() {
    for (figure, panels_of_a_run) in [(Figure::Depth, 2), (Figure::Panels, 1)] {
        let crosses = crosses(&mostly_diverged(1), figure);
        assert_eq!(crosses.len(), panels_of_a_run * 4 * 29, "{figure:?}");
        for ([left, right], _) in crosses {
            let is_inside = |panel: &(f64, f64)| panel.0 <= left && right <= panel.1;
            assert!(PANELS.iter().any(is_inside), "{figure:?}: a cross from {left} to {right}");
        }
    }
}

#[test]
fn crosses_of_several_series_and_seeds_do_not_hide_each_other() {
    for (figure, panels_of_a_run) in [(Figure::Depth, 2), (Figure::Panels, 1)] {
        let crosses = crosses(&mostly_diverged(28), figure);
        assert_eq!(crosses.len(), panels_of_a_run * 4 * 2, "{figure:?}");
        for (place, (ends, _)) in crosses.iter().enumerate() {
            let is_apart = |(others, _): &([f64; 2], String)| (others[0] - ends[0]).abs() >= 25.0;
            assert!(crosses[..place].iter().all(is_apart), "{figure:?}: {crosses:?}");
        }
    }
}

/// Left and right end of every cross of a series in a figure, with its colour.
fn crosses(results: &Results, figure: Figure) -> Vec<([f64; 2], String)> {
    let drawing = Drawing::of(results, figure, &options());
    let rising = |(colour, points): &(String, Vec<Position>)| match points[..] {
        [a, b] if b.0 - a.0 == b.1 - a.1 && b.0 - a.0 > 15.0 && *colour != hex(INK) => {
            Some(([a.0, b.0], colour.clone()))
        }
        _ => None,
    };
    drawing.lines.iter().filter_map(rising).collect()
}

/// A sweep of two seeds whose values are far apart.
fn uncertain() -> SweepCurves {
    let mut curves = sweep_of(2);
    for run in &mut curves.runs {
        let error = if run.seed == 0 { 10.0 } else { 90.0 };
        let last = run.rows.last_mut().unwrap();
        (last.train_err_pct, last.test_err_pct) = (Some(error), Some(error));
        run.axes.insert("norm".into(), run.axes["family"].clone());
    }
    curves
}

#[test]
fn bars_of_intervals_end_at_the_axis_without_a_foot() {
    for figure in [Figure::Depth, Figure::Panels] {
        let drawing = Drawing::of(&uncertain().into(), figure, &options());
        let colour = hex(palette::of_category(0));
        let of_colour = drawing.lines.iter().filter(|(own, _)| *own == colour);
        let lines: Vec<&Vec<Position>> = of_colour.map(|(_, points)| points).collect();
        let bottom = drawing.text_at("44").1;
        let bars = lines.iter().filter(|points| points[0].0 == points[1].0);
        let lowest = bars.flat_map(|points| points.iter()).map(|point| point.1).fold(0.0, f64::max);
        assert!(0.0 < lowest && lowest < bottom, "{figure:?}: a bar ends at {lowest}");
        let is_foot = |points: &&&Vec<Position>| {
            points[0].1 == points[1].1 && (points[0].0 - points[1].0).abs() == 12.0
        };
        assert_eq!(lines.iter().filter(is_foot).count(), 0, "{figure:?}");
        assert!(drawing.words().contains(CUT), "{figure:?}");
        assert!(!words(&sweep().into(), Figure::Depth, &options()).contains(CUT));
    }
}

#[test]
fn runs_without_the_metric_are_not_said_to_be_unfinished() {
    let mut curves = sweep();
    let take = |run: &mut RunCurve| run.rows.iter_mut().for_each(|row| row.train_err_pct = None);
    curves.runs[..3].iter_mut().for_each(take);
    for figure in [Figure::Curves, Figure::Depth] {
        let drawn = words(&curves.clone().into(), figure, &options());
        assert!(drawn.contains("Without train_err_pct: plain 8, 3 of 3."), "{drawn}");
        assert!(!drawn.contains("nfinished") && drawn.contains(" training error test error"));
    }
    curves.runs.iter_mut().for_each(take);
    for figure in [Figure::Curves, Figure::Depth] {
        let drawn = words(&curves.clone().into(), figure, &options());
        assert!(!drawn.contains(" training error test error"), "its line is not drawn: {drawn}");
    }
}

#[test]
fn arms_of_one_depth_keep_their_names() {
    let mut curves = sweep();
    for run in &mut curves.runs {
        let name = format!("{} {}", run.axes["family"], run.axes["depth"]);
        run.axes.insert("lr".into(), format!("0.{}{}", run.axes["depth"], name.len()));
        run.axes.insert("arm".into(), name);
        run.axes.insert("depth".into(), "8".into());
    }
    let drawn = words(&curves.into(), Figure::Depth, &options());
    assert!(drawn.contains("Plain 44 Plain 8 Residual 44 Residual 8"), "{drawn}");
}

#[test]
fn a_logarithmic_axis_suits_panels_and_sizes_too() {
    let mut results = rich();
    results.curves.runs[0].rows[1].test_err_pct = Some(0.0);
    for figure in [Figure::Panels, Figure::Size] {
        let drawn = |log_y| words(&results, figure, &Options { log_y, ..options() });
        assert!(drawn(false).contains(" 0 20 40"), "{}", drawn(false));
        assert!(drawn(true).contains(" 20 50"), "{}", drawn(true));
        assert!(drawn(true).contains("Zeros are drawn at"), "{}", drawn(true));
    }
}

#[test]
fn labels_of_tiny_losses_are_told_apart_and_leave_room_for_the_title() {
    let mut curves = sweep();
    for run in &mut curves.runs {
        let loss = 1e-12 * (1 + run.seed) as f64;
        for row in &mut run.rows {
            (row.train_loss, row.test_loss) = (Some(loss), Some(loss));
        }
    }
    let metric = "train_loss".parse().unwrap();
    let options = Options { metric, log_y: true, ..options() };
    let drawing = Drawing::of(&curves.into(), Figure::Depth, &options);
    let (right, _) = drawing.text_at("2e-12");
    assert!(right - text_width("2e-12", 25.0) > 28.0 + 30.0, "the label begins on the title");
}
