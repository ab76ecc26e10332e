//! Figures of the files that `fathom landscape` writes: slices of the loss, and correlations of input
//! gradients.

use super::axis::{Axis, ends};
use super::canvas::Stroke;
use super::captions::seeds;
use super::layerwise::{colour, grouped};
use super::lines::{Line, LinesFigure, Panel, Point};
use super::page::{Entry, Page};
use super::panels::extent;
use super::{Options, Results};
use anyhow::{Result, ensure};

/// Distances are averaged over rows that agree to this many decimal places.
const PLACES: f64 = 1e6;

/// Means of one configuration over seeds, and over directions or pairs of images.
struct Mean {
    label: String,
    seeds: usize,
    /// Distances with their means.
    points: Vec<(f64, f64)>,
}

fn mean<'a>(label: &str, seeds: usize, rows: impl Iterator<Item = (f64, f64)> + 'a) -> Mean {
    let mut sums = std::collections::BTreeMap::<i64, (f64, f64)>::new();
    for (x, y) in rows {
        let sum = sums.entry((x * PLACES).round() as i64).or_default();
        *sum = (sum.0 + y, sum.1 + 1.0);
    }
    let points = sums.into_iter().map(|(x, (sum, n))| (x as f64 / PLACES, sum / n));
    Mean { label: label.to_owned(), seeds, points: points.collect() }
}

/// Lays out the loss along random lines through the trained weights.
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
    ensure!(!means.is_empty(), "no run has a slices.csv; fathom landscape writes it");
    let places: Vec<f64> = points(&means).map(|(x, _)| x).collect();
    let heights: Vec<f64> = points(&means).map(|(_, y)| y).filter(|y| y.is_finite()).collect();
    let (low, high) = ends(&places).unwrap_or((-1.0, 1.0));
    let (least, most) = ends(&heights).unwrap_or((0.1, 10.0));
    let y = Axis::log(least.max(1e-6) * 0.8, most * 1.25);
    let panel = Panel {
        x: Axis::between(low, high).titled("distance along a random direction"),
        y: y.titled("training loss (nats)"),
        lines: lines(&means),
    };
    let caption = format!(
        "Mean cross-entropy on training images along random lines through the trained weights; at \
         distance 1 every filter is moved by its own norm (arXiv:1712.09913). Mean over directions and \
         n = {}. Source: {}.",
        counts(&means),
        options.source.replace("curve.csv", "slices.csv"),
    );
    let titles = ["Loss around the trained weights".to_owned()];
    let page = Page::on(options.sheet(), &titles, &legend(&means), &caption);
    Ok(LinesFigure { page, panels: vec![panel] })
}

/// Lays out the cosine between input gradients against the distance of the inputs.
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
    ensure!(!both[0].is_empty(), "no run has a correlation.csv; fathom landscape writes it");
    let heights: Vec<f64> = both.iter().flat_map(|means| points(means)).map(|(_, y)| y).collect();
    let (least, _) = ends(&heights).unwrap_or((0.0, 1.0));
    let panel = |means: &Vec<Mean>| Panel {
        x: Axis::between(0.0, 1.0).titled("distance between two inputs"),
        y: Axis::between(least.min(0.0), 1.0).titled("cosine of their gradients"),
        lines: lines(means),
    };
    let caption = format!(
        "Cosine between the input gradients of the logit of the class at two points on the straight line \
         between two training images, against their distance (1 is the distance of the images); 0 is \
         that of white noise, as for shattered gradients (arXiv:1702.08591). Mean over pairs of images \
         and n = {}. Source: {}.",
        counts(&both[0]),
        options.source.replace("curve.csv", "correlation.csv"),
    );
    let titles =
        ["Input gradients before training", "Input gradients after training"].map(str::to_owned);
    let page = Page::on(options.sheet(), &titles, &legend(&both[0]), &caption);
    Ok(LinesFigure { page, panels: both.iter().map(panel).collect() })
}

fn points(means: &[Mean]) -> impl Iterator<Item = (f64, f64)> {
    means.iter().flat_map(|mean| mean.points.iter().copied())
}

fn counts(means: &[Mean]) -> String {
    seeds(extent(means.iter().map(|mean| mean.seeds)))
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
        Entry::line(colour(place, means.len()), None, mean.label.as_str())
    };
    vec![means.iter().enumerate().map(entry).collect()]
}
