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
use fathom_record::{CorrelationRow, SliceRow};
use std::collections::{BTreeMap, BTreeSet};

/// Distances are averaged over rows that agree to this many decimal places.
const PLACES: f64 = 1e6;

/// Means of one configuration over seeds, and over directions or pairs of images.
struct Mean {
    label: String,
    seeds: usize,
    /// Number of seeds that were measured at other distances, and are left out.
    others: usize,
    /// Distances with their means.
    points: Vec<(f64, f64)>,
}

/// The mean over the seeds that were measured at the same distances, of which `all` has the distances and values of
/// each: the largest such group, as a line through the distances of several would alternate between their seeds.
fn mean(label: &str, all: &[Vec<(f64, f64)>]) -> Mean {
    let place = |x: f64| (x * PLACES).round() as i64;
    let mut grids = BTreeMap::<BTreeSet<i64>, Vec<&Vec<(f64, f64)>>>::new();
    for rows in all {
        grids.entry(rows.iter().map(|(x, _)| place(*x)).collect()).or_default().push(rows);
    }
    let most = grids.into_values().max_by_key(|same| (same.len(), same[0].len()));
    let same = most.unwrap_or_default();
    let mut sums = BTreeMap::<i64, (f64, f64)>::new();
    for (x, y) in same.iter().copied().flatten() {
        let sum = sums.entry(place(*x)).or_default();
        *sum = (sum.0 + y, sum.1 + 1.0);
    }
    let points = sums.into_iter().map(|(x, (sum, n))| (x as f64 / PLACES, sum / n));
    let (seeds, others) = (same.len(), all.len() - same.len());
    Mean { label: label.to_owned(), seeds, others, points: points.collect() }
}

/// Caption sentence about the seeds that are left out.
fn left_out(means: &[Mean]) -> String {
    let some = means.iter().filter(|mean| mean.others > 0);
    let one = |mean: &Mean| {
        let name = if mean.label.is_empty() { String::new() } else { format!("{}, ", mean.label) };
        format!("{name}{} of {}", mean.others, mean.others + mean.seeds)
    };
    let list: Vec<String> = some.map(one).collect();
    match list.is_empty() {
        true => String::new(),
        false => format!(" Left out, as measured at other distances: {}.", list.join("; ")),
    }
}

/// Lays out the loss along random lines through the trained weights.
///
/// # Errors
/// When no run has a `slices.csv`.
pub(super) fn slices(results: &Results, options: &Options) -> Result<LinesFigure> {
    let means: Vec<Mean> = grouped(results, &results.slices)
        .iter()
        .map(|(label, all)| {
            let of = |rows: &&Vec<SliceRow>| {
                rows.iter().map(|row| (row.alpha, row.train_loss)).collect()
            };
            mean(label, &all.iter().map(of).collect::<Vec<_>>())
        })
        .collect();
    ensure!(!means.is_empty(), "no run has a slices.csv; fathom landscape writes it");
    let places: Vec<f64> = points(&means).map(|(x, _)| x).collect();
    let heights: Vec<f64> = points(&means).map(|(_, y)| y).filter(|y| y.is_finite()).collect();
    let (low, high) = ends(&places).unwrap_or((-1.0, 1.0));
    let (least, most) = ends(&heights).unwrap_or((0.1, 10.0));
    let y = Axis::log(least.max(1e-6) * 0.8, most * 1.25);
    let panel = Panel::new(
        Axis::between(low, high).titled("distance along a random direction"),
        y.titled("training loss (nats; logarithmic)"),
        lines(&means),
    );
    let caption = format!(
        "Mean cross-entropy on training images along random lines through the trained weights; at \
         distance 1 every filter is moved by its own norm (arXiv:1712.09913). Mean over directions and \
         n = {}.{} Source: {}.",
        counts(&means),
        left_out(&means),
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
        let group = |(label, all): &(String, Vec<&Vec<CorrelationRow>>)| {
            let of = |rows: &&Vec<CorrelationRow>| {
                let rows = rows.iter().filter(|row| row.weights == weights);
                rows.map(|row| (row.distance, row.correlation)).collect()
            };
            mean(label, &all.iter().map(of).collect::<Vec<_>>())
        };
        grouped(results, &results.correlations).iter().map(group).collect()
    };
    let both = [means("initial"), means("final")];
    ensure!(!both[0].is_empty(), "no run has a correlation.csv; fathom landscape writes it");
    let heights: Vec<f64> = both.iter().flat_map(|means| points(means)).map(|(_, y)| y).collect();
    let (least, _) = ends(&heights).unwrap_or((0.0, 1.0));
    let panel = |means: &Vec<Mean>| {
        Panel::new(
            Axis::between(0.0, 1.0).titled("distance between two inputs"),
            Axis::between(least.min(0.0), 1.0).titled("cosine of their gradients"),
            lines(means),
        )
    };
    let caption = format!(
        "Cosine between the input gradients of the logit of the class at two points on the straight line \
         between two training images, against their distance (1 is the distance of the images); 0 is \
         that of white noise, as for shattered gradients (arXiv:1702.08591). Mean over pairs of images \
         and n = {}.{} Source: {}.",
        counts(&both[0]),
        left_out(&both[0]),
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
