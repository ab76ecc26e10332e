//! What happens inside the nets, layer by layer: deviations of responses (1512.03385, Fig. 7) and
//! norms of gradients over time.

use super::axis::{Axis, ends, short_number};
use super::canvas::Stroke;
use super::captions::seeds;
use super::lines::{Line, LinesFigure, Panel, Point};
use super::page::{Entry, Sample, Sheet};
use super::panels::{label, split_axes, without_implied};
use super::{Options, Results, palette};
use anyhow::{Result, ensure};
use fathom_record::{LayerRow, RunCurve, RunGroup};
use std::collections::{BTreeMap, BTreeSet};

/// More panels or lines than these cannot be read.
const MOST: usize = 6;

/// One configuration: by step, the mean of a column over seeds at each layer, by place.
struct Net {
    label: String,
    seeds: usize,
    steps: BTreeMap<u64, Vec<(f64, f64)>>,
}

/// The configurations of runs that have such rows, with the rows of each seed.
pub(super) fn grouped<'a, R>(
    results: &'a Results,
    rows: &'a BTreeMap<String, Vec<R>>,
) -> Vec<(String, Vec<&'a Vec<R>>)> {
    let mut curves = results.curves.clone();
    curves.runs.retain(|run| rows.contains_key(&run.id));
    let (varying, _) = split_axes(&curves);
    let axes = without_implied(&curves, varying);
    let of = |run: &&RunCurve| rows.get(&run.id);
    let groups = curves.groups(&axes);
    let named =
        |same: &RunGroup| (label(&axes, &same.values), same.runs.iter().filter_map(of).collect());
    groups.iter().map(named).collect()
}

/// Configurations whose runs have a `layers.csv`, the deepest ones, and how many more there are.
fn nets(results: &Results, column: fn(&LayerRow) -> Option<f64>) -> Result<(Vec<Net>, usize)> {
    let mut nets = Vec::new();
    for (label, rows) in grouped(results, &results.layers) {
        let mut steps: BTreeMap<u64, BTreeMap<u64, Vec<f64>>> = BTreeMap::new();
        for row in rows.iter().copied().flatten() {
            if let Some(value) = column(row).filter(|value| value.is_finite()) {
                let layers = steps.entry(row.step).or_default();
                layers.entry(row.layer).or_default().push(value);
            }
        }
        let mean = |values: &Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
        let steps: BTreeMap<u64, Vec<(f64, f64)>> = steps
            .into_iter()
            .map(|(step, layers)| {
                let points = layers.iter().map(|(layer, values)| (*layer as f64, mean(values)));
                (step, points.collect())
            })
            .collect();
        if !steps.is_empty() {
            nets.push(Net { label, seeds: rows.len(), steps });
        }
    }
    ensure!(
        !nets.is_empty(),
        "no run has a layers.csv: set layers = true in [evaluate] of the experiment"
    );
    let all = nets.len();
    nets.sort_by_key(|net| std::cmp::Reverse(net.steps.values().map(Vec::len).max()));
    nets.truncate(MOST);
    let more = all - nets.len();
    Ok((nets, more))
}

/// What a caption says of those that are left out.
fn left_out(more: usize) -> String {
    match more {
        0 => String::new(),
        1 => " One more configuration, less deep, is not drawn.".into(),
        more => format!(" {more} more configurations, less deep, are not drawn."),
    }
}

fn counts(nets: &[Net]) -> String {
    let counts = || nets.iter().map(|net| net.seeds);
    seeds((counts().min().unwrap_or(0), counts().max().unwrap_or(0)))
}

/// Deviations of responses at the last step: by layer, and sorted by size.
///
/// # Errors
/// When no run has a `layers.csv`.
pub(super) fn responses(results: &Results, options: &Options) -> Result<LinesFigure> {
    let (nets, more) = nets(results, |row| row.response_sd)?;
    // The last layer gives logits, which no normalisation and no other layer follows.
    let last = |net: &Net| {
        let points = net.steps.last_key_value().map(|(_, points)| points.as_slice());
        points.and_then(<[_]>::split_last).map(|(_, others)| others.to_vec())
    };
    let by_layer: Vec<Vec<(f64, f64)>> =
        nets.iter().map(|net| last(net).unwrap_or_default()).collect();
    let sorted: Vec<Vec<(f64, f64)>> = by_layer
        .iter()
        .map(|points| {
            let mut sizes: Vec<f64> = points.iter().map(|(_, size)| *size).collect();
            sizes.sort_by(|a, b| b.total_cmp(a));
            sizes.into_iter().enumerate().map(|(rank, size)| (rank as f64 + 1.0, size)).collect()
        })
        .collect();
    let most = by_layer.iter().flatten().map(|(layer, _)| *layer).fold(1.0, f64::max);
    let heights: Vec<f64> = by_layer.iter().flatten().map(|(_, size)| *size).collect();
    let y = Axis::from_zero(ends(&heights).map_or(1.0, |(_, high)| high));
    let panel = |all: &[Vec<(f64, f64)>], name: &str| Panel {
        x: (Axis::up_to(most), name.to_owned()),
        y: (y.clone(), "standard deviation of responses".into()),
        lines: all
            .iter()
            .enumerate()
            .map(|(place, points)| line(place, nets.len(), points))
            .collect(),
    };
    let panels = vec![panel(&by_layer, "layer"), panel(&sorted, "rank, the largest first")];
    let titles = ["Responses of layers, from image to classes", "The same, sorted by size"]
        .map(str::to_owned);
    let entry = |(place, net): (usize, &Net)| {
        let sample = Sample::Line(colour(place, nets.len()), None, Stroke::Bold);
        Entry::new(sample, net.label.as_str())
    };
    let legend = vec![nets.iter().enumerate().map(entry).collect()];
    let caption = format!(
        "Standard deviation of each layer's output behind its normalisation, before addition and \
         non-linearity, over a fixed batch of training images, at the last step that was looked at \
         (response_sd); without the layer that gives the classes. Mean over n = {}.{} Source: {}.",
        counts(&nets),
        left_out(more),
        options.layers_source()
    );
    let sheet = Sheet::lay_out(options.note.as_deref(), &titles, &legend, &caption);
    Ok(LinesFigure { sheet, panels })
}

/// A column of `layers.csv` that is drawn by layer and over time.
pub(super) struct OverTime {
    column: fn(&LayerRow) -> Option<f64>,
    /// After a configuration's name, in titles.
    title: &'static str,
    axis: &'static str,
    /// The beginning of the caption.
    meaning: &'static str,
    is_log: bool,
}

/// Norms of gradients.
pub(super) const GRADIENTS: OverTime = OverTime {
    column: |row| row.gradient_norm.filter(|norm| *norm > 0.0),
    title: "gradients by layer",
    axis: "norm of the gradient",
    meaning: "Euclidean norm of the loss's gradient by each layer's weights, on a fixed batch of \
              training images (gradient_norm; logarithmic)",
    is_log: true,
};

/// By how much one update changes what layers put out.
pub(super) const CHANGES: OverTime = OverTime {
    column: |row| row.response_change.filter(|change| *change > 0.0),
    title: "change of responses by one update",
    axis: "relative change of the response",
    meaning: "By how much the next update changes each layer's response to a fixed batch of \
              training images: norm of the difference over norm of the response \
              (response_change; logarithmic)",
    is_log: true,
};

/// How alike two images are behind each layer.
pub(super) const COSINES: OverTime = OverTime {
    column: |row| row.cosine,
    title: "likeness of images by layer",
    axis: "cosine between two images",
    meaning: "Mean cosine between what two different training images become behind each layer's \
              non-linearity (cosine); at 1 they are no longer told apart",
    is_log: false,
};

/// A column by layer, one panel for each configuration and one line for each step.
///
/// # Errors
/// When no run has a `layers.csv`.
pub(super) fn over_time(
    results: &Results,
    options: &Options,
    what: &OverTime,
) -> Result<LinesFigure> {
    let (nets, more) = nets(results, what.column)?;
    let steps: BTreeSet<u64> = nets.iter().flat_map(|net| net.steps.keys().copied()).collect();
    let steps: Vec<u64> = steps.into_iter().collect();
    let points = || nets.iter().flat_map(|net| net.steps.values()).flatten();
    let heights: Vec<f64> = points().map(|(_, height)| *height).collect();
    let (low, high) = ends(&heights).unwrap_or((1.0, 10.0));
    let y = match what.is_log {
        true => Axis::log(low * 0.8, high * 1.25),
        false => Axis::between(low.min(0.0), high),
    };
    let most = points().map(|(layer, _)| *layer).fold(1.0, f64::max);
    let panel = |net: &Net| Panel {
        x: (Axis::up_to(most), "layer".into()),
        y: (y.clone(), what.axis.into()),
        lines: net
            .steps
            .iter()
            .map(|(step, points)| {
                let rank = steps.iter().position(|known| known == step).unwrap_or(0);
                Line { colour: palette::of_rank(rank, steps.len()), ..line(0, 1, points) }
            })
            .collect(),
    };
    let panels: Vec<Panel> = nets.iter().map(panel).collect();
    let title = |net: &Net| match net.label.is_empty() {
        true => what.title.to_owned(),
        false => format!("{}: {}", net.label, what.title),
    };
    let titles: Vec<String> = nets.iter().map(title).collect();
    let entry = |(rank, step): (usize, &u64)| {
        let sample = Sample::Line(palette::of_rank(rank, steps.len()), None, Stroke::Bold);
        Entry::new(sample, short_number(*step as f64))
    };
    let mut row = vec![Entry::new(Sample::Heading, "after so many updates:")];
    row.extend(steps.iter().enumerate().map(entry));
    let caption = format!(
        "{}. Layer 1 is next to the image. Mean over n = {}.{} Source: {}.",
        what.meaning,
        counts(&nets),
        left_out(more),
        options.layers_source()
    );
    let sheet = Sheet::lay_out(options.note.as_deref(), &titles, &[row], &caption);
    Ok(LinesFigure { sheet, panels })
}

pub(super) fn colour(place: usize, count: usize) -> plotters::style::RGBColor {
    if count > 6 { palette::of_rank(place, count) } else { palette::of_word(place) }
}

fn line(place: usize, count: usize, points: &[(f64, f64)]) -> Line {
    Line {
        colour: colour(place, count),
        mark: None,
        stroke: Stroke::Bold,
        points: points.iter().map(|(x, y)| Point::bare(*x, *y)).collect(),
    }
}
