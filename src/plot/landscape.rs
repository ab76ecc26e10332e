//! What `fathom look` found: slices of the loss, and gradients along the input.

use super::axis::{Axis, ends};
use super::canvas::Stroke;
use super::captions::seeds;
use super::layerwise::{colour, grouped};
use super::lines::{Line, LinesFigure, Panel, Point};
use super::page::{Entry, Sample, Sheet};
use super::{Options, Results};
use anyhow::{Result, ensure};

/// Steps of a distance, which are compared exactly, in a unit.
const UNIT: f64 = 1e6;

/// A configuration's mean by place, over seeds and whatever else there is.
struct Mean {
    label: String,
    seeds: usize,
    points: Vec<(f64, f64)>,
}

fn mean<'a>(label: &str, seeds: usize, rows: impl Iterator<Item = (f64, f64)> + 'a) -> Mean {
    let mut sums = std::collections::BTreeMap::<i64, (f64, f64)>::new();
    for (x, y) in rows {
        let sum = sums.entry((x * UNIT).round() as i64).or_default();
        *sum = (sum.0 + y, sum.1 + 1.0);
    }
    let points = sums.into_iter().map(|(x, (sum, n))| (x as f64 / UNIT, sum / n));
    Mean { label: label.to_owned(), seeds, points: points.collect() }
}

/// Loss along random lines through trained weights.
///
/// # Errors
/// When no run has a `slices.csv`.
pub(super) fn slices(results: &Results, options: &Options) -> Result<LinesFigure> {
    let means: Vec<Mean> = grouped(results, &results.slices)
        .iter()
        .map(|(label, all)| {
            let rows = all.iter().flat_map(|rows| rows.iter());
            mean(label, all.len(), rows.map(|row| (row.alpha, row.train_loss)))
        })
        .collect();
    ensure!(!means.is_empty(), "no run has a slices.csv: fathom look writes it");
    let places: Vec<f64> = points(&means).map(|(x, _)| x).collect();
    let heights: Vec<f64> = points(&means).map(|(_, y)| y).filter(|y| y.is_finite()).collect();
    let (low, high) = ends(&places).unwrap_or((-1.0, 1.0));
    let (least, most) = ends(&heights).unwrap_or((0.1, 10.0));
    let y = Axis::log(least.max(1e-6) * 0.8, most * 1.25);
    let panel = Panel {
        x: (Axis::between(low, high), "distance along a random direction".into()),
        y: (y, "training loss (nats)".into()),
        lines: lines(&means),
    };
    let caption = format!(
        "Mean cross-entropy on training images along random lines through the trained weights; at 1 \
         each filter was moved by its own length (1712.09913). Mean over directions and n = {}. \
         Source: {}.",
        counts(&means),
        options.source.replace("curve.csv", "slices.csv"),
    );
    let titles = ["The loss around the trained nets".to_owned()];
    let sheet = Sheet::lay_out(options.note.as_deref(), &titles, &legend(&means), &caption);
    Ok(LinesFigure { sheet, panels: vec![panel] })
}

/// Cosine between gradients by the input, by how far apart they are.
///
/// # Errors
/// When no run has a `correlation.csv`.
pub(super) fn correlation(results: &Results, options: &Options) -> Result<LinesFigure> {
    let means = |weights: &str| -> Vec<Mean> {
        let group = |(label, all): &(String, Vec<&Vec<fathom_record::CorrelationRow>>)| {
            let rows = all.iter().flat_map(|rows| rows.iter());
            let rows = rows.filter(|row| row.weights == weights);
            mean(label, all.len(), rows.map(|row| (row.distance, row.correlation)))
        };
        grouped(results, &results.correlations).iter().map(group).collect()
    };
    let both = [means("initial"), means("final")];
    ensure!(!both[0].is_empty(), "no run has a correlation.csv: fathom look writes it");
    let heights: Vec<f64> = both.iter().flat_map(|means| points(means)).map(|(_, y)| y).collect();
    let (least, _) = ends(&heights).unwrap_or((0.0, 1.0));
    let panel = |means: &Vec<Mean>| Panel {
        x: (Axis::between(0.0, 1.0), "distance between two points".into()),
        y: (Axis::between(least.min(0.0), 1.0), "cosine of their gradients".into()),
        lines: lines(means),
    };
    let caption = format!(
        "Cosine between the gradients of the class's logit by the input at two points of the straight \
         line between two training images, by their distance (1 is from image to image); 0 is white \
         noise, \"shattered\" (1702.08591). Mean over pairs of images and n = {}. Source: {}.",
        counts(&both[0]),
        options.source.replace("curve.csv", "correlation.csv"),
    );
    let titles =
        ["Gradients along the input, before training", "After training"].map(str::to_owned);
    let sheet = Sheet::lay_out(options.note.as_deref(), &titles, &legend(&both[0]), &caption);
    Ok(LinesFigure { sheet, panels: both.iter().map(panel).collect() })
}

fn points(means: &[Mean]) -> impl Iterator<Item = (f64, f64)> {
    means.iter().flat_map(|mean| mean.points.iter().copied())
}

fn counts(means: &[Mean]) -> String {
    let counts = || means.iter().map(|mean| mean.seeds);
    seeds((counts().min().unwrap_or(0), counts().max().unwrap_or(0)))
}

fn lines(means: &[Mean]) -> Vec<Line> {
    let line = |(place, mean): (usize, &Mean)| Line {
        colour: colour(place, means.len()),
        mark: None,
        stroke: Stroke::Bold,
        points: mean.points.iter().map(|(x, y)| Point::bare(*x, *y)).collect(),
    };
    means.iter().enumerate().map(line).collect()
}

fn legend(means: &[Mean]) -> Vec<Vec<Entry>> {
    let entry = |(place, mean): (usize, &Mean)| {
        let sample = Sample::Line(colour(place, means.len()), None, Stroke::Bold);
        Entry::new(sample, mean.label.as_str())
    };
    vec![means.iter().enumerate().map(entry).collect()]
}
