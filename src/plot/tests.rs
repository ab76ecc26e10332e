//! What the figures show, read from their SVG.

use super::fixture::{run, sweep};
use super::*;
use fathom_record::{Made, State};

fn options() -> Options {
    Options { source: "results/x/curves.csv".into(), ..Options::default() }
}

fn words(svg: &str) -> String {
    let texts = svg.split("<text").skip(1).filter_map(|part| part.split(['>', '<']).nth(1));
    texts.map(str::trim).collect::<Vec<_>>().join(" ")
}

#[test]
fn curves_name_every_depth_the_seeds_and_what_is_seen() {
    let svg = svg(&sweep().into(), Figure::Curves, &options()).unwrap();
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
    let svg = svg(&sweep().into(), Figure::Curves, &options()).unwrap();
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
    let before = svg(&sweep().into(), Figure::Curves, &options()).unwrap();
    let after = svg(&curves.clone().into(), Figure::Curves, &options()).unwrap();
    let crosses = |svg: &str| {
        let short =
            |line: &&str| line.split("points=").nth(1).is_some_and(|p| p.matches(',').count() == 2);
        let lines = svg.lines().filter(|line| line.contains("stroke-width=\"4\""));
        lines.filter(short).count()
    };
    // Two strokes each: one on the training line, one on the test line, one in the legend.
    assert_eq!(crosses(&after), crosses(&before) + 6);
    assert!(words(&after).contains("Diverged: plain 44, 1 of 3"), "{}", words(&after));
    let depth = words(&svg(&curves.clone().into(), Figure::Depth, &options()).unwrap());
    assert!(depth.contains("Diverged: plain 44, 1 of 3"), "{depth}");
    assert!(depth.contains("diverged: no final value"), "{depth}");
}

#[test]
fn depth_says_which_family_gets_worse_and_shows_every_seed() {
    let svg = svg(&sweep().into(), Figure::Depth, &options()).unwrap();
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
    let drawn = words(&svg(&curves.clone().into(), Figure::Depth, &options()).unwrap());
    assert!(drawn.contains("plain rises with depth"), "an arm for each depth: {drawn}");
    for run in &mut curves.runs {
        run.axes.insert("depth".into(), "8".into());
    }
    let drawn = words(&svg(&curves.clone().into(), Figure::Depth, &options()).unwrap());
    assert!(drawn.contains("n = 3 seeds"), "four arms of one depth: {drawn}");
}

#[test]
fn the_same_numbers_give_the_same_bytes() {
    for figure in [Figure::Curves, Figure::Depth] {
        let draw = || svg(&sweep().into(), figure, &options()).unwrap();
        assert_eq!(draw(), draw());
        let picture = png(&sweep().into(), figure, &options()).unwrap();
        assert_eq!(image::load_from_memory(&picture).unwrap().width(), 1600);
    }
}

#[test]
fn a_note_stands_above_and_logarithmic_axes_say_where_zeros_went() {
    let mut curves = sweep();
    curves.runs[0].rows[3].train_err_pct = Some(0.0);
    let note = Some("Two epochs only".to_owned());
    let options = Options { note, log_x: true, log_y: true, smooth: 2, ..options() };
    let drawn = words(&svg(&curves.clone().into(), Figure::Curves, &options).unwrap());
    assert!(drawn.starts_with("Two epochs only"), "{drawn}");
    assert!(drawn.contains("Step 0 is drawn at the left end."), "{drawn}");
    assert!(drawn.contains("mean of 2 evaluations"), "{drawn}");
    let options = Options { smooth: 0, ..options };
    let drawn = words(&svg(&curves.clone().into(), Figure::Curves, &options).unwrap());
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

/// Two families, two depths, two rates with and without normalisation, of known size and with
/// layers; without normalisation the deep nets of the higher rate diverged.
fn rich() -> Results {
    let mut results = Results::default();
    for (family, depth) in [("plain", 8u64), ("plain", 44), ("residual", 8), ("residual", 44)] {
        for (norm, lr) in [("batch", 0.1), ("batch", 0.01), ("none", 0.1), ("none", 0.01)] {
            for seed in 0..2 {
                let fails = norm == "none" && lr == 0.1 && depth == 44;
                let state = if fails { State::Diverged } else { State::Done };
                let stuck = norm == "none" && depth == 44;
                let end = if stuck { 90.0 } else { 10.0 + seed as f64 };
                let mut run = run(family, &depth.to_string(), seed, state, &[(0, 90.0), (10, end)]);
                run.id = format!("{family}-{depth}-{norm}-{lr}-{seed}");
                run.axes.insert("norm".into(), norm.into());
                run.axes.insert("lr".into(), lr.to_string());
                run.rows[1].seconds = Some(2.0);
                let made = Made {
                    classes: 10,
                    parameters: 1000 * depth,
                    macs: 7000 * depth,
                    ..Made::default()
                };
                let config = [("training.batch".to_owned(), 64.into())].into();
                let facts = Provenance { config, arm: None, manifest: Some(made) };
                results.facts.insert(run.id.clone(), facts);
                let layer = |layer| LayerRow {
                    step: 1,
                    layer,
                    gradient_norm: Some(1.0 / layer as f64),
                    response_sd: Some(layer as f64),
                    response_change: Some(0.1),
                    cosine: Some(0.5),
                    ..LayerRow::default()
                };
                if norm == "batch" && lr == 0.1 {
                    results.layers.insert(run.id.clone(), (1..=depth).map(layer).collect());
                    let slice = |place: i32| SliceRow {
                        alpha: f64::from(place) / 2.0,
                        train_loss: 0.1 + f64::from(place.pow(2)),
                        ..SliceRow::default()
                    };
                    results.slices.insert(run.id.clone(), (-2..=2).map(slice).collect());
                    let gradients = ["initial", "final"].map(|weights| CorrelationRow {
                        weights: weights.into(),
                        distance: 0.5,
                        correlation: 0.25,
                        ..CorrelationRow::default()
                    });
                    results.correlations.insert(run.id.clone(), gradients.into());
                }
                results.curves.runs.push(run);
            }
        }
    }
    results
}

#[test]
fn special_figures_say_what_they_show() {
    let results = rich();
    for (figure, parts) in [
        (
            Figure::Panels,
            vec!["Norm batch", "Norm none", "Plain, lr 0.1", "norm none plain, lr 0.1 44, 2 of 2"],
        ),
        (
            Figure::RateDepth,
            vec![
                "Plain, norm none: trains to depth",
                "learning rate",
                "diverged",
                "0 of 2",
                "10.5",
                "stuck at chance",
            ],
        ),
        (
            Figure::Size,
            vec!["Test error against parameters", "multiply-adds of one image", "n = 2 seeds"],
        ),
        (
            Figure::Responses,
            vec!["Plain, depth 44", "standard deviation of responses", "response_sd"],
        ),
        (
            Figure::Gradients,
            vec!["Residual, depth 8: gradients by layer", "after so many updates:", "layers.csv"],
        ),
        (Figure::Changes, vec!["change of responses by one update", "response_change"]),
        (Figure::Cosines, vec!["likeness of images by layer", "no longer told apart"]),
        (
            Figure::Slices,
            vec!["The loss around the trained nets", "Plain, depth 44", "x/runs/*/slices.csv"],
        ),
        (
            Figure::Correlation,
            vec!["Gradients along the input, before training", "After training", "n = 2 seeds"],
        ),
        // 10 updates of 64 images in 2 s.
        (Figure::Speed, vec!["images per second", "Plain, depth 8, lr 0.1, norm batch: 320"]),
    ] {
        let options = Options { source: "results/x/runs/*/curve.csv".into(), ..options() };
        let words = words(&svg(&results, figure, &options).unwrap());
        for part in parts {
            assert!(words.contains(part), "{figure:?}: {part} is not in {words}");
        }
        assert!(png(&results, figure, &options).unwrap().starts_with(b"\x89PNG"));
    }
}

#[test]
fn a_special_figure_of_results_without_what_it_shows_says_what_is_missing() {
    let plain = sweep().into();
    for (figure, expected) in [
        (Figure::Panels, "runs do not differ in norm; they differ in family, depth (--group-by)"),
        (Figure::RateDepth, "runs do not differ in lr"),
        (Figure::Size, "no run that has ended says in its run.json how large its net is"),
        (Figure::Responses, "no run has a layers.csv"),
        (Figure::Gradients, "no run has a layers.csv"),
        (Figure::Slices, "no run has a slices.csv: fathom look writes it"),
        (Figure::Correlation, "no run has a correlation.csv: fathom look writes it"),
        (Figure::Speed, "no run has two rows, and a batch size"),
    ] {
        let message = svg(&plain, figure, &options()).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn where_all_nets_are_of_one_depth_another_key_stands_against_the_rates() {
    let mut results = rich();
    results.curves.runs.retain(|run| run.axes["depth"] == "8" && run.axes["norm"] == "batch");
    for run in &mut results.curves.runs {
        let is_plain = run.axes["family"] == "plain";
        run.axes.insert("batch".into(), if is_plain { "32" } else { "64" }.into());
    }
    let message = svg(&results, Figure::RateDepth, &options()).unwrap_err().to_string();
    assert!(message.contains("differ in depth: --group-by takes another key"), "{message}");
    let by = |key: &str| Options { group_by: Some(key.into()), ..options() };
    let words = words(&svg(&results, Figure::RateDepth, &by("batch")).unwrap());
    // The family follows from the batch, so there is one panel.
    for part in ["What became of each net: trains to batch 64, to rate 0.1", "rate and batch;"] {
        assert!(words.contains(part), "{part} is not in {words}");
    }
    let message = svg(&results, Figure::RateDepth, &by("family")).unwrap_err().to_string();
    assert!(message.contains("family has values that are no numbers"), "{message}");
}

#[test]
fn a_diverged_run_stands_at_what_guessing_gives() {
    let mut results = rich();
    let crosses = words(&svg(&results, Figure::Depth, &options()).unwrap());
    assert!(crosses.contains("crosses at what guessing gives"), "{crosses}");
    results.facts.clear();
    let crosses = words(&svg(&results, Figure::Depth, &options()).unwrap());
    assert!(crosses.contains("crosses at the upper end of the axis"), "{crosses}");
}

#[test]
fn curves_may_be_told_apart_by_another_key() {
    let options = Options { group_by: Some("norm".into()), ..options() };
    let words = words(&svg(&rich(), Figure::Curves, &options).unwrap());
    assert!(words.contains("norm: batch none"), "{words}");
}
