//! Statistics of layers: standard deviations of responses (Fig. 7 of arXiv:1512.03385), and gradients,
//! changes and cosines over time.

use super::axis::{Axis, ends};
use super::canvas::{Mark, Stroke};
use super::captions::seeds;
use super::lines::{Line, LinesFigure, Panel, Point};
use super::page::{Entry, Page, Sample};
use super::panels::{extent, label, split_axes, without_implied};
use super::rounding::short_number;
use super::{Options, Results, palette};
use anyhow::{Context, Result, ensure};
use fathom_record::{LayerRow, RunCurve, RunGroup};
use std::collections::{BTreeMap, BTreeSet};

/// Largest number of configurations that a figure has room for.
const MOST: usize = 6;

/// A column of `layers.csv` for one configuration.
struct Net {
    label: String,
    /// By step: layers, from 1 at the image, with the mean over seeds.
    steps: BTreeMap<u64, Vec<(f64, f64)>>,
    /// By step: the numbers of seeds of these means, as a seed may lack rows or values.
    seeds: BTreeMap<u64, Vec<usize>>,
}

/// Labels of the configurations whose runs have rows, with the rows of each seed.
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

/// The configurations of the most layers with values in a column of `layers.csv`, and the number of those left out.
///
/// # Errors
/// When no run has a `layers.csv`, or none has values in the column.
fn nets(results: &Results, column: fn(&LayerRow) -> Option<f64>) -> Result<(Vec<Net>, usize)> {
    ensure!(
        !results.layers.is_empty(),
        "no run has a layers.csv; set layers = true in [evaluate] of the experiment"
    );
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
        let seeds = steps
            .iter()
            .map(|(step, layers)| (*step, layers.values().map(Vec::len).collect()))
            .collect();
        let steps: BTreeMap<u64, Vec<(f64, f64)>> = steps
            .into_iter()
            .map(|(step, layers)| {
                let points = layers.iter().map(|(layer, values)| (*layer as f64, mean(values)));
                (step, points.collect())
            })
            .collect();
        if !steps.is_empty() {
            nets.push(Net { label, steps, seeds });
        }
    }
    ensure!(!nets.is_empty(), "no layers.csv of these runs has the values of the figure");
    let all = nets.len();
    // By the last layer, since not every layer has every value.
    let last = |net: &Net| net.steps.values().flatten().map(|(layer, _)| *layer as u64).max();
    let mut nets: Vec<(usize, Net)> = nets.into_iter().enumerate().collect();
    nets.sort_by_key(|(_, net)| std::cmp::Reverse(last(net)));
    nets.truncate(MOST);
    // In the order of configurations again, so that each has its colour in every figure.
    nets.sort_by_key(|(place, _)| *place);
    let more = all - nets.len();
    Ok((nets.into_iter().map(|(_, net)| net).collect(), more))
}

/// Caption sentence about the configurations that are left out.
fn left_out(more: usize) -> String {
    match more {
        0 => String::new(),
        1 => " One further configuration, of no more layers, is not drawn.".into(),
        more => format!(" {more} further configurations, of no more layers, are not drawn."),
    }
}

/// The numbers of seeds of the means that are drawn: those of all steps.
fn counts(nets: &[Net]) -> String {
    seeds(extent(nets.iter().flat_map(|net| net.seeds.values()).flatten().copied()))
}

/// The numbers of seeds of the means at the last step of each configuration.
fn last_counts(nets: &[Net]) -> String {
    let last = |net: &'_ Net| net.seeds.last_key_value().map(|(_, counts)| counts.clone());
    seeds(extent(nets.iter().filter_map(last).flatten()))
}

/// Lays out the standard deviations of responses at the last step, by layer and sorted by size.
///
/// # Errors
/// When no run has a `layers.csv`.
pub(super) fn responses(results: &Results, options: &Options) -> Result<LinesFigure> {
    let (nets, more) = nets(results, |row| row.response_sd)?;
    // The last layer returns logits: no normalisation and no layer follows it.
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
    let panel = |all: &[Vec<(f64, f64)>], name: &str| {
        let lines = all.iter().enumerate();
        let lines = lines.map(|(place, points)| line(place, nets.len(), points)).collect();
        let y = y.clone().titled("standard deviation of responses");
        Panel::new(Axis::up_to(most).titled(name), y, lines)
    };
    let panels = vec![panel(&by_layer, "layer"), panel(&sorted, "rank, largest first")];
    let titles = ["Responses by layer, from image to classes", "Responses sorted by size"]
        .map(str::to_owned);
    let entry = |(place, net): (usize, &Net)| {
        Entry::line(colour(place, nets.len()), None, net.label.as_str())
    };
    let legend = vec![nets.iter().enumerate().map(entry).collect()];
    let caption = format!(
        "Standard deviation of each layer's output after normalisation, before the residual addition \
         and the activation, over a fixed batch of training images, at the last measured step \
         (response_sd); the classification layer is left out. Mean over n = {}.{} Source: {}.",
        last_counts(&nets),
        left_out(more),
        options.layers_source()
    );
    let page = Page::on(options.sheet(), &titles, &legend, &caption);
    Ok(LinesFigure { page, panels })
}

/// Lays out the rise of the test error without each block.
///
/// # Errors
/// When no run has a `layers.csv` with these errors.
pub(super) fn lesions(results: &Results, options: &Options) -> Result<LinesFigure> {
    let (nets, more) = nets(results, |row| row.lesion_cost).context(
        "lesion_cost is measured after the last update with layers = true and lesions = true in [evaluate], in \
         networks with blocks that can be deleted",
    )?;
    let last =
        |net: &Net| net.steps.last_key_value().map_or(Vec::new(), |(_, points)| points.clone());
    let by_block: Vec<Vec<(f64, f64)>> = nets.iter().map(last).collect();
    let costs: Vec<f64> = by_block.iter().flatten().map(|(_, cost)| *cost).collect();
    let (lowest, highest) = ends(&costs).map_or((0.0, 1.0), |(low, high)| (low.min(0.0), high));
    let most = by_block.iter().flatten().map(|(layer, _)| *layer).fold(1.0, f64::max);
    let marked = |(place, points): (usize, &Vec<(f64, f64)>)| -> Vec<Line> {
        let marked = |piece: &[(f64, f64)]| Line {
            mark: Some(Mark::nth(place)),
            ..line(place, nets.len(), piece)
        };
        neighbours(points).into_iter().map(marked).collect()
    };
    let panel = Panel::new(
        Axis::up_to(most).titled("last layer of the deleted block"),
        Axis::between(lowest, highest).titled("rise of the test error (points)"),
        by_block.iter().enumerate().flat_map(marked).collect(),
    );
    let entry = |(place, net): (usize, &Net)| {
        Entry::line(colour(place, nets.len()), Some(Mark::nth(place)), net.label.as_str())
    };
    let legend = vec![nets.iter().enumerate().map(entry).collect()];
    let caption = format!(
        "Percentage points by which the test error rises when one block is deleted from the trained network, as in \
         1605.06431, section 4.1 (lesion_cost); blocks that change the shape cannot be deleted from networks without \
         shortcuts. Mean over n = {}.{} Source: {}.",
        last_counts(&nets),
        left_out(more),
        options.layers_source()
    );
    let page = Page::on(options.sheet(), &["Cost of each block".to_owned()], &legend, &caption);
    Ok(LinesFigure { page, panels: vec![panel] })
}

/// The pieces of a line over blocks between the blocks that cannot be deleted, where its points are further apart than
/// the layers of one block.
fn neighbours(points: &[(f64, f64)]) -> Vec<&[(f64, f64)]> {
    let apart = |a: &(f64, f64), b: &(f64, f64)| b.0 - a.0;
    let block = points.windows(2).map(|pair| apart(&pair[0], &pair[1])).fold(f64::MAX, f64::min);
    points.chunk_by(|a, b| apart(a, b) <= block).collect()
}

/// A column of `layers.csv` that is drawn by layer, over time.
pub(super) struct OverTime {
    column: fn(&LayerRow) -> Option<f64>,
    /// Title of a panel, after the label of the configuration.
    title: &'static str,
    /// Title of the vertical axis.
    axis: &'static str,
    /// Definition of the column, at the start of the caption.
    meaning: &'static str,
    is_log: bool,
}

/// Norms of the gradients of weights.
pub(super) const GRADIENTS: OverTime = OverTime {
    column: |row| row.gradient_norm.filter(|norm| *norm > 0.0),
    title: "gradients by layer",
    axis: "norm of the gradient",
    meaning: "Euclidean norm of the gradient of the loss with respect to each layer's weights, on a \
              fixed batch of training images (gradient_norm; logarithmic)",
    is_log: true,
};

/// Norms of the gradients of weights, multiplied by the norms of the weights.
pub(super) const SCALED_GRADIENTS: OverTime = OverTime {
    column: |row| row.scaled_gradient_norm().filter(|norm| *norm > 0.0),
    title: "scaled gradients by layer",
    axis: "norm of the gradient × norm of the weights",
    meaning: "Euclidean norm of the gradient of the loss with respect to each layer's weights, multiplied by \
              that of the weights, on a fixed batch of training images (gradient_norm × weight_norm; \
              logarithmic). Unlike the gradient alone it does not depend on the scale of normalised weights",
    is_log: true,
};

/// Relative changes of responses by one update.
pub(super) const CHANGES: OverTime = OverTime {
    column: |row| row.response_change.filter(|change| *change > 0.0),
    title: "change of responses by one update",
    axis: "relative change of the response",
    meaning: "Change of each layer's response to a fixed batch of training images by the next update: \
              norm of the difference divided by the norm of the response \
              (response_change; logarithmic)",
    is_log: true,
};

/// Cosines between the activations of different images.
pub(super) const COSINES: OverTime = OverTime {
    column: |row| row.cosine,
    title: "cosine between images by layer",
    axis: "cosine between two images",
    meaning: "Mean cosine between the activations of two different training images after each \
              layer's non-linearity (cosine); at 1 the layer no longer distinguishes images",
    is_log: false,
};

/// Lays out a column by layer, with one panel for each configuration and one line for each step.
///
/// # Errors
/// When no run has a `layers.csv`.
pub(super) fn over_time(
    results: &Results,
    options: &Options,
    measure: &OverTime,
) -> Result<LinesFigure> {
    let (nets, more) = nets(results, measure.column)?;
    let steps: BTreeSet<u64> = nets.iter().flat_map(|net| net.steps.keys().copied()).collect();
    let steps: Vec<u64> = steps.into_iter().collect();
    let points = || nets.iter().flat_map(|net| net.steps.values()).flatten();
    let heights: Vec<f64> = points().map(|(_, height)| *height).collect();
    let (low, high) = ends(&heights).unwrap_or((1.0, 10.0));
    let y = match measure.is_log {
        true => Axis::log(low * 0.8, high * 1.25),
        false => Axis::between(low.min(0.0), high),
    };
    let most = points().map(|(layer, _)| *layer).fold(1.0, f64::max);
    let panel = |net: &Net| {
        let of_step = |(step, points): (&u64, &Vec<(f64, f64)>)| {
            let rank = steps.iter().position(|known| known == step).unwrap_or(0);
            Line { colour: palette::of_rank(rank, steps.len()), ..line(0, 1, points) }
        };
        let lines = net.steps.iter().map(of_step).collect();
        Panel::new(Axis::up_to(most).titled("layer"), y.clone().titled(measure.axis), lines)
    };
    let panels: Vec<Panel> = nets.iter().map(panel).collect();
    let title = |net: &Net| match net.label.is_empty() {
        true => measure.title.to_owned(),
        false => format!("{}: {}", net.label, measure.title),
    };
    let titles: Vec<String> = nets.iter().map(title).collect();
    let entry = |(rank, step): (usize, &u64)| {
        Entry::line(palette::of_rank(rank, steps.len()), None, short_number(*step as f64))
    };
    let mut row = vec![Entry::new(Sample::Heading, "updates:")];
    row.extend(steps.iter().enumerate().map(entry));
    let caption = format!(
        "{}. Layer 1 is the first layer after the image. Mean over n = {}.{} Source: {}.",
        measure.meaning,
        counts(&nets),
        left_out(more),
        options.layers_source()
    );
    let page = Page::on(options.sheet(), &titles, &[row], &caption);
    Ok(LinesFigure { page, panels })
}

/// Colour of the `place`-th of `count` lines: from the ordered scale if there are more than the six
/// distinct colours.
pub(super) fn colour(place: usize, count: usize) -> plotters::style::RGBColor {
    if count > 6 { palette::of_rank(place, count) } else { palette::of_category(place) }
}

fn line(place: usize, count: usize, points: &[(f64, f64)]) -> Line {
    Line {
        colour: colour(place, count),
        mark: None,
        stroke: Stroke::Bold,
        points: points.iter().map(|(x, y)| Point::bare(*x, *y)).collect(),
    }
}
