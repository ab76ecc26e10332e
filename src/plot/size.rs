//! Final test metric against parameters and multiply-adds, as in Fig. 3 of Huang et al. 2017
//! (arXiv:1608.06993).

use super::axis::{Axis, ends};
use super::canvas::{Mark, Stroke};
use super::captions::seeds;
use super::lines::{Line, LinesFigure, Panel, Point, remarks, y_axis};
use super::page::{Entry, Page, Sample};
use super::panels::{all_runs, extent, label, split_axes, without_implied};
use super::{Metric, Options, Results, palette};
use anyhow::{Result, ensure};
use fathom_base::capitalised;
use fathom_record::{RunCurve, group};
use fathom_stats::Interval;

/// Axes that change the size of a net; nets that differ in them are joined by a line.
const SIZE_AXES: [&str; 3] = ["depth", "width", "growth"];

/// Axis titles of the two sizes of a net.
const SIZES: [&str; 2] = ["parameters", "multiply-adds of one image"];

/// The nets of one line, smallest first.
struct Series {
    label: String,
    nets: Vec<Net>,
}

/// The runs of one net that have ended.
struct Net {
    /// Parameters, and multiply-adds of one image.
    sizes: [f64; 2],
    /// Final values of the test metric, by seed.
    values: Vec<f64>,
}

impl Net {
    /// The net of these runs, if its size is known and a run has ended.
    fn of(results: &Results, runs: &[&RunCurve], metric: &Metric) -> Option<Self> {
        let manifest = |run: &&RunCurve| results.provenance.get(&run.id)?.manifest.as_ref();
        let made = runs.iter().find_map(manifest)?;
        let values: Vec<f64> =
            runs.iter().filter_map(|run| run.final_metric(metric.test)).collect();
        let is_known = made.parameters > 0 && made.macs > 0 && !values.is_empty();
        is_known.then(|| Self { sizes: [made.parameters, made.macs].map(|n| n as f64), values })
    }

    fn point(&self, size: usize) -> Point {
        let mean = self.values.iter().sum::<f64>() / self.values.len() as f64;
        let interval = Interval::of(&self.values, 0.95);
        Point { interval, dots: self.values.clone(), ..Point::bare(self.sizes[size], mean) }
    }
}

/// Lays the figure out.
///
/// # Errors
/// When no run with a known size has ended, or all nets have the same number of parameters.
pub(super) fn figure(results: &Results, options: &Options) -> Result<LinesFigure> {
    let metric = &options.metric;
    let (series, shared) = all_series(results, metric);
    ensure!(!series.is_empty(), "no run that has ended has the size of its net in run.json");
    let nets = || series.iter().flat_map(|series| &series.nets);
    let (smallest, largest) = ends(&nets().map(|net| net.sizes[0]).collect::<Vec<_>>())
        .ok_or_else(|| anyhow::anyhow!("no net has a finite size"))?;
    ensure!(smallest < largest, "all nets have {smallest} parameters");
    let points: Vec<Point> = nets().map(|net| net.point(0)).collect();
    let y = y_axis(&points, metric, options.log_y).titled(metric.axis);
    let panels = [0, 1].map(|size| {
        let line = |(index, series): (usize, &Series)| Line {
            colour: palette::of_category(index),
            mark: Some(Mark::nth(index)),
            stroke: Stroke::Bold,
            points: series.nets.iter().map(|net| net.point(size)).collect(),
        };
        let sizes: Vec<f64> = nets().map(|net| net.sizes[size]).collect();
        let (low, high) = ends(&sizes).unwrap_or((1.0, 10.0));
        let x = Axis::log(low * 0.8, high * 1.25).titled(format!("{} (logarithmic)", SIZES[size]));
        Panel::new(x, y.clone(), series.iter().enumerate().map(line).collect())
    });
    let titles = SIZES.map(|size| format!("{} against {size}", capitalised(metric.test_words)));
    let mut parts = vec![format!(
        "{} ({}) of the last row. Marks: mean over n = {}; bars: 95% interval of the mean (Student's t).",
        capitalised(metric.test_words),
        metric.test,
        seeds(extent(nets().map(|net| net.values.len()))),
    )];
    parts.extend(remarks(&panels));
    parts.extend(all_runs(&shared));
    parts.push(format!("Sources: {}, run.json.", options.source));
    let legend = legend(&series);
    let page = Page::on(options.sheet(), &titles, &legend, &parts.join(" "));
    Ok(LinesFigure { page, panels: panels.to_vec() })
}

/// The series that have nets, and texts about the axes on which all runs agree.
fn all_series(results: &Results, metric: &Metric) -> (Vec<Series>, Vec<String>) {
    let curves = &results.curves;
    let (varying, shared) = split_axes(curves);
    let is_size = |axis: &String| SIZE_AXES.contains(&axis.as_str());
    let axes: Vec<String> = without_implied(curves, varying.clone())
        .into_iter()
        .filter(|axis| !is_size(axis))
        .collect();
    let inner: Vec<String> = varying.into_iter().filter(is_size).collect();
    let mut all = Vec::new();
    for same in curves.groups(&axes) {
        let net = |runs: &[&RunCurve]| Net::of(results, runs, metric);
        let mut nets: Vec<Net> =
            group(&same.runs, &inner).iter().filter_map(|same| net(&same.runs)).collect();
        nets.sort_by(|a, b| a.sizes[0].total_cmp(&b.sizes[0]));
        if !nets.is_empty() {
            all.push(Series { label: label(&axes, &same.values), nets });
        }
    }
    (all, shared)
}

fn legend(series: &[Series]) -> Vec<Vec<Entry>> {
    let mut rows: Vec<Vec<Entry>> = Vec::new();
    if series.len() > 1 {
        let entry = |(index, series): (usize, &Series)| {
            Entry::line(palette::of_category(index), Some(Mark::nth(index)), series.label.as_str())
        };
        rows.push(series.iter().enumerate().map(entry).collect());
    }
    rows.push(vec![Entry::new(Sample::Dot, "one seed")]);
    rows
}
