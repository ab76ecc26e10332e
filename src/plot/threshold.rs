//! Number of updates until an error falls below a bar, against depth.

use super::axis::{Axis, ends};
use super::canvas::{Mark, Stroke};
use super::captions::seeds;
use super::lines::{Line, LinesFigure, Panel, Point};
use super::page::{Entry, Page, Sample};
use super::panels::{all_runs, extent, label, split_axes, without_implied};
use super::rounding::short_number;
use super::{Options, Results, palette};
use anyhow::{Context, Result, ensure};
use fathom_base::capitalised;
use fathom_record::{RunCurve, UpdatesUntil, group};

const DEPTH: &str = "depth";

/// The nets of one line, by ascending depth.
struct Series {
    label: String,
    points: Vec<Times>,
}

/// The runs of one depth.
struct Times {
    depth: f64,
    runs: Vec<UpdatesUntil>,
}

impl Times {
    fn of(depth: &str, runs: &[&RunCurve], options: &Options, bar: f64) -> Option<Self> {
        let ended = runs.iter().filter(|run| run.state.is_final());
        let runs: Vec<UpdatesUntil> =
            ended.filter_map(|run| run.updates_until(options.metric.train, bar)).collect();
        (!runs.is_empty()).then_some(Self { depth: depth.parse().ok()?, runs })
    }

    /// Numbers of updates of the runs that got below the bar, or of those that did not. A logarithm does not show
    /// that a run was below it after none.
    fn updates(&self, is_censored: bool) -> Vec<f64> {
        let runs = self.runs.iter().filter(|run| run.is_censored == is_censored);
        runs.map(|run| run.updates.max(1) as f64).collect()
    }

    fn point(&self) -> Point {
        let [dots, bounds] = [false, true].map(|is_censored| self.updates(is_censored));
        let logs: f64 = dots.iter().chain(&bounds).map(|updates| updates.ln()).sum();
        let y = (logs / self.runs.len() as f64).exp();
        Point { dots, bounds, ..Point::bare(self.depth, y) }
    }
}

/// Lays the figure out.
///
/// # Errors
/// When no bar is given, runs do not differ in depth, or none has ended.
pub(super) fn figure(results: &Results, options: &Options) -> Result<LinesFigure> {
    let bar = options.below.context("give the bar: --below 40")?;
    let (series, shared) = all_series(results, options, bar);
    let mut depths: Vec<f64> =
        series.iter().flat_map(|series| &series.points).map(|times| times.depth).collect();
    depths.sort_by(f64::total_cmp);
    depths.dedup();
    let (least, most) = ends(&depths).context("no run of a known depth has ended")?;
    ensure!(least < most, "runs do not differ in depth");
    let lines: Vec<Line> = series
        .iter()
        .enumerate()
        .map(|(index, series)| Line {
            colour: palette::of_category(index),
            mark: Some(Mark::nth(index)),
            stroke: Stroke::Bold,
            points: series.points.iter().map(Times::point).collect(),
        })
        .collect();
    let heights: Vec<f64> =
        lines.iter().flat_map(|line| &line.points).flat_map(Point::heights).collect();
    let (fewest, largest) = ends(&heights).unwrap_or((1.0, 10.0));
    let panel = Panel::new(
        Axis::at_values(&depths, options.log_x).titled(DEPTH),
        Axis::log(fewest * 0.8, largest * 1.25).titled("updates (logarithmic)"),
        lines,
    );
    let words = options.metric.train_words;
    let bar = short_number(bar);
    let title = format!("Updates until the {words} is below {bar}");
    let times =
        || series.iter().flat_map(|series| series.points.iter().map(move |times| (series, times)));
    let mut parts = vec![format!(
        "Number of updates after which {} is first below {bar}, among those at which it was evaluated. Marks: geometric mean over n = {}.",
        options.metric.train,
        seeds(extent(times().map(|(_, times)| times.runs.len()))),
    )];
    let lost =
        times().filter(|(_, times)| !times.updates(true).is_empty()).map(|(series, times)| {
            let name = [series.label.as_str(), "depth"].join(" ");
            let (censored, of) = (times.updates(true).len(), times.runs.len());
            format!("{} {}: {censored} of {of}", name.trim(), short_number(times.depth))
        });
    let lost: Vec<String> = lost.collect();
    if !lost.is_empty() {
        parts.push(format!(
            "Hollow dots: not reached, and counted with the last update, which is too early (a hollow mark: by none): \
             {}.",
            capitalised(&lost.join("; "))
        ));
    }
    if times().any(|(_, times)| times.runs.iter().any(|run| run.updates == 0)) {
        parts.push("Some runs were below it before their first update, and count with 1.".into());
    }
    parts.extend(all_runs(&shared));
    parts.push(format!("Source: {}.", options.source));
    let entry = |(index, series): (usize, &Series)| {
        Entry::line(palette::of_category(index), Some(Mark::nth(index)), series.label.as_str())
    };
    let legend = vec![
        series.iter().enumerate().map(entry).collect(),
        vec![Entry::new(Sample::Dot, "one seed")],
    ];
    let page = Page::on(options.sheet(), &[title], &legend, &parts.join(" "));
    Ok(LinesFigure { page, panels: vec![panel] })
}

/// One series for each configuration without its depth, and texts about the axes on which all runs agree.
fn all_series(results: &Results, options: &Options, bar: f64) -> (Vec<Series>, Vec<String>) {
    let curves = &results.curves;
    let (varying, shared) = split_axes(curves);
    let axes: Vec<String> =
        without_implied(curves, varying).into_iter().filter(|axis| axis != DEPTH).collect();
    let mut all = Vec::new();
    for same in curves.groups(&axes) {
        let by_depth = group(&same.runs, &[DEPTH.to_owned()]);
        let mut points: Vec<Times> = by_depth
            .iter()
            .filter_map(|at| Times::of(at.values.first()?, &at.runs, options, bar))
            .collect();
        points.sort_by(|a, b| a.depth.total_cmp(&b.depth));
        if !points.is_empty() {
            all.push(Series { label: label(&axes, &same.values), points });
        }
    }
    (all, shared)
}
