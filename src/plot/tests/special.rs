//! Figures that need more than curves: what they say, and what they say is missing.

use super::super::fixture::{run, sweep};
use super::super::*;
use super::{Drawing, hex, options, words};
use fathom_record::{Made, RunCurve, State};

/// Two families, two depths, two rates with and without normalisation, of known size and with
/// layers; without normalisation the deep nets of the higher rate diverged.
pub(super) fn rich() -> Results {
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
                let provenance = Provenance { config, arm: None, manifest: Some(made) };
                results.provenance.insert(run.id.clone(), provenance);
                let layer = |layer| LayerRow {
                    step: 1,
                    layer,
                    gradient_norm: Some(1.0 / layer as f64),
                    weight_norm: Some(2.0),
                    response_sd: Some(layer as f64),
                    response_change: Some(0.1),
                    cosine: Some(0.5),
                    lesion_cost: Some(3.0),
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
fn every_special_figure_has_its_labels() {
    let results = rich();
    for (figure, parts) in [
        (
            Figure::Panels,
            vec!["Norm batch", "Norm none", "Plain, lr 0.1", "norm none plain, lr 0.1 44, 2 of 2"],
        ),
        (
            Figure::RateDepth,
            vec![
                "Plain, norm none: trains up to depth 8, rate 0.1",
                "learning rate",
                "diverged",
                "0 of 2",
                "10.5",
                "not trained: ends at 72.0% or above",
                "below 72.0%, 80% of the chance level (90.0%)",
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
            vec!["Residual, depth 8: gradients by layer", "updates:", "layers.csv"],
        ),
        (
            Figure::ScaledGradients,
            vec!["Plain, depth 44: scaled gradients by layer", "gradient_norm × weight_norm"],
        ),
        (Figure::Changes, vec!["change of responses by one update", "response_change"]),
        (Figure::Cosines, vec!["cosine between images by layer", "no longer distinguishes images"]),
        (Figure::Lesions, vec!["Cost of each block", "lesion_cost"]),
        (
            Figure::Slices,
            vec!["Loss around the trained weights", "Plain, depth 44", "x/runs/*/slices.csv"],
        ),
        (
            Figure::Correlation,
            vec!["Input gradients before training", "gradients after training", "n = 2 seeds"],
        ),
        // 10 updates of 64 images in 2 s.
        (Figure::Speed, vec!["images per second", "Plain, depth 8, lr 0.1, norm batch: 320"]),
    ] {
        let options = Options { source: "results/x/runs/*/curve.csv".into(), ..options() };
        let words = words(&results, figure, &options);
        for part in parts {
            assert!(words.contains(part), "{figure:?}: {part} is not in {words}");
        }
        let drawn = svg(&results, figure, &options).unwrap();
        assert!(to_png(&drawn).unwrap().starts_with(b"\x89PNG"));
    }
}

#[test]
fn seeds_that_were_measured_at_other_distances_are_left_out_and_counted() {
    let mut results = rich();
    let first = results.slices.keys().next().cloned().unwrap();
    results.slices.get_mut(&first).unwrap().iter_mut().for_each(|row| row.alpha *= 0.6);
    let found = words(&results, Figure::Slices, &options());
    let left_out = "Left out, as measured at other distances: Plain, depth 44, 1 of 2.";
    assert!(found.contains(left_out), "{found}");
    assert!(found.contains("n = 1 to 2 seeds") && found.contains("logarithmic"), "{found}");
    assert!(!words(&rich(), Figure::Slices, &options()).contains("Left out"));
}

#[test]
fn figures_of_layers_state_the_seeds_of_their_means() {
    let mut results = rich();
    let said = |results: &Results, figure| words(results, figure, &options());
    assert!(said(&results, Figure::Gradients).contains("Mean over n = 2 seeds."));
    // One seed lost its last layers, and one measured later than the others.
    let first = results.layers.keys().next().unwrap().clone();
    results.layers.get_mut(&first).unwrap().truncate(3);
    for figure in [Figure::Gradients, Figure::Responses] {
        let found = said(&results, figure);
        assert!(found.contains("Mean over n = 1 to 2 seeds."), "{found}");
    }
    let mut results = rich();
    for rows in results.layers.values_mut() {
        let later: Vec<LayerRow> =
            rows.iter().map(|row| LayerRow { step: 9, ..row.clone() }).collect();
        rows.extend(later);
    }
    results.layers.get_mut(&first).unwrap().retain(|row| row.step == 9);
    assert!(said(&results, Figure::Gradients).contains("Mean over n = 1 to 2 seeds."));
    assert!(said(&results, Figure::Responses).contains("Mean over n = 2 seeds."));
}

#[test]
fn configurations_are_in_their_order_and_a_line_ends_where_a_block_cannot_be_deleted() {
    let mut results = rich();
    for (id, rows) in &mut results.layers {
        rows.iter_mut().filter(|row| row.layer % 2 == 0).for_each(|row| row.lesion_cost = None);
        if id.starts_with("plain-8") {
            rows[4].lesion_cost = None;
        }
    }
    let drawing = Drawing::of(&results, Figure::Lesions, &options());
    let order = ["Plain, depth 8", "Plain, depth 44", "Residual, depth 8", "Residual, depth 44"];
    let found = drawing.words();
    let places: Vec<Option<usize>> = order.iter().map(|label| found.find(label)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{found}");
    let plain = hex(palette::of_category(0));
    let lines = drawing.lines.iter().filter(|(colour, _)| *colour == plain);
    // That of layers 1 and 3, and the sample in the legend; layer 7 alone has only its mark.
    assert_eq!(lines.map(|(_, points)| points.len()).collect::<Vec<_>>(), [2, 2]);
}

#[test]
fn updates_to_a_bar_are_drawn_against_depth_and_runs_that_miss_it_are_named() {
    let options = |below| Options { below: Some(below), ..options() };
    let results = sweep().into();
    let words_at = |below| words(&results, Figure::Threshold, &options(below));
    let found = words_at(100.0);
    assert!(found.contains("Updates until the training error is below 100"), "{found}");
    assert!(!found.contains("Hollow dots"), "{found}");
    let at_once = "Some runs were below it before their first update, and count with 1.";
    assert!(found.contains(at_once), "{found}");
    assert!(!words_at(89.0).contains(at_once));
    let hollow = |below| {
        let drawn = svg(&results, Figure::Threshold, &options(below)).unwrap();
        drawn.matches("fill=\"#FFFFFF\"").count()
    };
    assert_eq!(hollow(1e-6) - hollow(100.0), 4, "all marks");
    let found = words_at(1e-6);
    assert!(
        found.contains(
            "Hollow dots: not reached, and counted with the last update, which is too early (a hollow mark: by none): \
             Plain"
        ),
        "{found}"
    );
}

#[test]
fn lesions_are_drawn_of_the_nets_with_most_layers_and_are_not_there_without_values() {
    let mut results = rich();
    for rows in results.layers.values_mut().flatten() {
        rows.lesion_cost = None;
    }
    let message = svg(&results, Figure::Lesions, &options()).unwrap_err();
    let message = format!("{message:#}");
    assert!(message.contains("no layers.csv of these runs has the values"), "{message}");

    // Seven nets of eight layers, of which the first has values at fewer.
    let families = ["plain", "b", "c", "d", "e", "f", "g"];
    let runs: Vec<RunCurve> =
        families.map(|family| run(family, "8", 0, State::Done, &[(0, 90.0)])).into();
    let rows = |family: &str| {
        let layers = if family == "plain" { vec![3, 8] } else { vec![3, 5, 8] };
        let row =
            |layer| LayerRow { step: 9, layer, lesion_cost: Some(3.0), ..LayerRow::default() };
        layers.into_iter().map(row).collect::<Vec<_>>()
    };
    let layers = runs.iter().map(|run| (run.id.clone(), rows(&run.axes["family"]))).collect();
    let results = Results { layers, ..SweepCurves { runs }.into() };
    let found = words(&results, Figure::Lesions, &options());
    assert!(found.contains("Plain"), "{found}");
    let left_out = "One further configuration, of no more layers, is not drawn.";
    assert!(found.contains(left_out), "{found}");
}

#[test]
fn a_special_figure_without_its_data_names_what_is_missing() {
    let plain = sweep().into();
    for (figure, expected) in [
        (Figure::Panels, "runs do not differ in norm; use --facet with one of family, depth"),
        (Figure::RateDepth, "runs do not differ in lr"),
        (Figure::Size, "no run that has ended has the size of its net in run.json"),
        (Figure::Responses, "no run has a layers.csv"),
        (Figure::Gradients, "no run has a layers.csv"),
        (Figure::ScaledGradients, "no run has a layers.csv"),
        (Figure::Threshold, "give the bar: --below 40"),
        (Figure::Lesions, "with layers = true and lesions = true"),
        (Figure::Slices, "no run has a slices.csv; fathom landscape writes it"),
        (Figure::Correlation, "no run has a correlation.csv; fathom landscape writes it"),
        (Figure::Speed, "no run has two rows and a batch size"),
    ] {
        let message = svg(&plain, figure, &options()).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn another_numeric_key_takes_the_place_of_depth_if_all_nets_have_the_same_depth() {
    let mut results = rich();
    results.curves.runs.retain(|run| run.axes["depth"] == "8" && run.axes["norm"] == "batch");
    for run in &mut results.curves.runs {
        let is_plain = run.axes["family"] == "plain";
        run.axes.insert("batch".into(), if is_plain { "32" } else { "64" }.into());
    }
    let message = svg(&results, Figure::RateDepth, &options()).unwrap_err().to_string();
    assert!(
        message.contains("differ in depth; use --group-by with a key to take the place of depth"),
        "{message}"
    );
    let by = |key: &str| Options { group_by: Some(key.into()), ..options() };
    let words = words(&results, Figure::RateDepth, &by("batch"));
    // The family follows from the batch, so there is one panel.
    for part in ["Outcome of each net: trains up to batch 64, rate 0.1", "rate and batch;"] {
        assert!(words.contains(part), "{part} is not in {words}");
    }
    let message = svg(&results, Figure::RateDepth, &by("family")).unwrap_err().to_string();
    assert!(message.contains("family has non-numeric values"), "{message}");
}

#[test]
fn the_bar_below_which_a_net_trains_can_be_moved() {
    let results = rich();
    let with = |bar: f64| {
        let options = Options { trains_below: Some(bar), ..options() };
        words(&results, Figure::RateDepth, &options)
    };
    // Seeds end at 10% and 11%, and the bar is at 10.8%, then at 9%.
    let between = with(0.12);
    assert!(between.contains("1 of 2") && !between.contains("2 of 2"), "{between}");
    assert!(between.contains("not trained: ends at 10.8% or above"), "{between}");
    assert!(between.contains("Plain, norm batch: trains up to depth 44, rate 0.1"), "{between}");
    assert!(with(0.1).contains("Plain, norm batch: no net trains"));
}

#[test]
fn a_diverged_run_is_drawn_at_the_chance_level() {
    let mut results = rich();
    let crosses = words(&results, Figure::Depth, &options());
    assert!(crosses.contains("crosses at the chance level"), "{crosses}");
    results.provenance.clear();
    let crosses = words(&results, Figure::Depth, &options());
    assert!(crosses.contains("crosses at the upper end of the axis"), "{crosses}");
}

#[test]
fn colours_of_curves_may_distinguish_another_key() {
    let options = Options { group_by: Some("norm".into()), ..options() };
    let words = words(&rich(), Figure::Curves, &options);
    assert!(words.contains("norm: batch none"), "{words}");
}
