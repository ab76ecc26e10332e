//! Metrics against iteration: one panel per family, one colour per depth, as in Fig. 6 of He et al.
//! 2015 (arXiv:1512.03385). Training metrics are dashed and thin, test metrics solid and bold.

use super::axis::{Axis, TitledAxis};
use super::canvas::{Canvas, Mark, Pixel, Stroke};
use super::captions::{self, Trend, seeds, trend, zeros_at};
use super::chart::Frame;
use super::page::{Entry, Page, Sample};
use super::panels::{Curve, Panel, Panels, all_runs};
use super::rounding::short_number;
use super::series::{Finals, Point, finite, over_seeds};
use super::{Metric, Options, Picture, palette};
use anyhow::{Result, ensure};
use fathom_base::capitalised;
use fathom_record::{RunCurve, State, SweepCurves};
use plotters::prelude::*;

/// Share of training, from its start, that the vertical axis need not cover.
const WARM_UP_SHARE: f64 = 0.1;
/// Number of marks on a line.
const MARKS: usize = 5;

/// A line of a panel.
struct Line {
    colour: RGBColor,
    mark: Mark,
    stroke: Stroke,
    /// Index in the panel, by which marks are shifted so that those of different lines do not coincide.
    rank: usize,
    points: Vec<Point>,
    /// Steps and last finite values of runs that diverged.
    diverged: Vec<(u64, f64)>,
}

/// The laid-out figure.
pub(super) struct CurvesFigure {
    page: Page,
    x: TitledAxis,
    y: TitledAxis,
    panels: Vec<Vec<Line>>,
}

impl CurvesFigure {
    /// Lays the figure out.
    ///
    /// # Errors
    /// When no run has a finite value.
    pub(super) fn new(curves: &SweepCurves, options: &Options) -> Result<Self> {
        ensure!(!curves.runs.is_empty(), "there are no runs to draw");
        let colour = options.colour.as_deref().or(options.group_by.as_deref());
        let panels = Panels::of(curves, colour, options.facet.as_deref());
        let lines: Vec<Vec<Line>> =
            panels.panels.iter().map(|panel| lines(panel, &panels, options)).collect();
        let all: Vec<&Point> = lines.iter().flatten().flat_map(|line| &line.points).collect();
        let metric = &options.metric;
        ensure!(!all.is_empty(), "no run has a finite {} or {} yet", metric.train, metric.test);
        let (x, y) = (x_axis(&all, options.log_x), y_axis(&all, options));
        let titles: Vec<String> =
            panels.panels.iter().map(|panel| title(panel, &panels, metric)).collect();
        let mut parts = caption(&panels, options);
        parts.extend(axis_remarks(&all, &x, &y));
        parts.extend(all_runs(&panels.shared));
        parts.push(format!("Source: {}.", options.source));
        let legend = legend(&panels, &lines, metric);
        let page = Page::on(options.sheet(), &titles, &legend, &parts.join(" "));
        Ok(Self { page, x: x.titled("iteration"), y: y.titled(metric.axis), panels: lines })
    }
}

impl Picture for CurvesFigure {
    fn page(&self) -> &Page {
        &self.page
    }

    fn draw_panels(&self, canvas: &Canvas<'_>) -> Result<()> {
        for (rect, lines) in self.page.panels.iter().zip(&self.panels) {
            let frame = Frame::draw(canvas, *rect, &self.x, &self.y)?;
            // Bands first and crosses last, so that no line is hidden.
            for line in lines {
                draw_band(canvas, &frame, line)?;
            }
            for line in lines {
                draw_line(canvas, &frame, line)?;
            }
            for line in lines {
                for &(step, value) in &line.diverged {
                    let place = frame.place_inside(step as f64, value);
                    canvas.mark(Mark::Cross, place, line.colour, true)?;
                }
            }
        }
        Ok(())
    }
}

fn draw_band(canvas: &Canvas<'_>, frame: &Frame, line: &Line) -> Result<()> {
    let edge = |of: fn(&Point) -> f64| -> Vec<Pixel> {
        line.points.iter().map(|point| frame.place(point.step as f64, of(point))).collect()
    };
    if line.points.len() < 2 || line.points.iter().all(|point| point.n < 2) {
        return Ok(());
    }
    let (upper, lower) = (edge(|point| point.max), edge(|point| point.min));
    let outline: Vec<Pixel> = upper.into_iter().chain(lower.into_iter().rev()).collect();
    canvas.band(frame.clip_outline(&outline), line.colour)
}

fn draw_line(canvas: &Canvas<'_>, frame: &Frame, line: &Line) -> Result<()> {
    let places: Vec<Pixel> =
        line.points.iter().map(|point| frame.place(point.step as f64, point.mean)).collect();
    for part in frame.clip_line(&places) {
        canvas.line(&part, line.colour, line.stroke)?;
    }
    let stride = line.points.len().div_ceil(MARKS).max(1);
    for (number, (point, place)) in line.points.iter().zip(&places).enumerate() {
        let regular = number > 0 && (number + line.rank) % stride == stride - 1;
        let marked = regular || line.points.len() == 1;
        if marked && frame.shows(point.mean) {
            canvas.mark(line.mark, *place, line.colour, line.stroke == Stroke::Bold)?;
        }
    }
    Ok(())
}

/// Test and training lines of every colour of a panel.
fn lines(panel: &Panel, panels: &Panels, options: &Options) -> Vec<Line> {
    let mut lines = Vec::new();
    for Curve { key, runs } in &panel.curves {
        for (metric, stroke) in options.metric.lines().into_iter().rev() {
            let diverged = runs.iter().filter(|run| run.state == State::Diverged);
            let last = |run: &&RunCurve| finite(run, metric, options.smooth).last().copied();
            lines.push(Line {
                colour: colour(*key, panels),
                mark: Mark::nth(*key),
                stroke,
                rank: lines.len(),
                points: over_seeds(runs, metric, options.smooth),
                diverged: diverged.filter_map(last).collect(),
            });
        }
    }
    lines
}

fn colour(key: usize, panels: &Panels) -> RGBColor {
    palette::of_value(key, &panels.keys)
}

/// Axis from 0 to the last step. On a logarithmic axis, step 0 is at the left end, at half the first
/// step.
fn x_axis(points: &[&Point], log: bool) -> Axis {
    let steps = || points.iter().map(|point| point.step);
    let last = steps().max().unwrap_or(0) as f64;
    match steps().filter(|step| *step > 0).min() {
        Some(first) if log => {
            let zero = steps().any(|step| step == 0);
            Axis::log(if zero { first as f64 / 2.0 } else { first as f64 }, last)
        }
        _ => Axis::up_to(last),
    }
}

/// Axis that covers all values except the high ones at the start of training: the 90% of an untrained
/// net would flatten everything else.
fn y_axis(points: &[&Point], options: &Options) -> Axis {
    let highest = |from: f64| {
        let late = points.iter().filter(|point| point.step as f64 >= from);
        late.map(|point| point.max).fold(0.0, f64::max)
    };
    let last = points.iter().map(|point| point.step).max().unwrap_or(0) as f64;
    let (all, late) = (highest(0.0), highest(last * WARM_UP_SHARE));
    if options.log_y {
        let positive = points.iter().map(|point| point.min).filter(|value| *value > 0.0);
        return Axis::log(positive.fold(f64::INFINITY, f64::min), options.y_max.unwrap_or(all));
    }
    match options.y_max {
        Some(top) => Axis::from_zero(top),
        None if all <= 1.25 * late => Axis::from_zero(all),
        None => Axis::from_zero(late),
    }
}

/// Title of a panel: the trend if colours are depths, such as "Plain: training error rises with depth
/// (8: 12.3%; 44: 48.7%)", or else the names of the metrics.
fn title(panel: &Panel, panels: &Panels, metric: &Metric) -> String {
    let finals: Vec<(&str, Finals)> = panel
        .curves
        .iter()
        .map(|curve| (panels.keys[curve.key].as_str(), Finals::of(&curve.runs, metric.train)))
        .collect();
    let by_depth = panels.colour.as_deref() == Some("depth");
    let words = metric.train_words;
    let text = match finals.as_slice() {
        [(low, first), .., (high, last)] if by_depth => {
            let claim = match trend(&finals.iter().map(|(_, f)| f).collect::<Vec<_>>()) {
                Trend::Rises => format!("{words} rises with depth"),
                Trend::Falls => format!("{words} falls with depth"),
                Trend::HigherAtDeepest => format!("{words} is higher at {high} than at {low}"),
                Trend::LowerAtDeepest => format!("{words} is lower at {high} than at {low}"),
                Trend::Unclear => format!("final {words} by depth"),
            };
            let end = |depth: &str, finals: &Finals| {
                let mean = finals.mean().map(|mean| metric.show(mean));
                let parts: Vec<String> = mean.into_iter().chain(finals.losses()).collect();
                format!("{depth}: {}", parts.join(", "))
            };
            // The numbers stay on one line.
            let numbers = format!("({}; {})", end(low, first), end(high, last));
            format!("{claim} {}", numbers.replace(' ', "\u{a0}"))
        }
        _ => metric.words(),
    };
    if panel.label.is_empty() { capitalised(&text) } else { format!("{}: {text}", panel.label) }
}

fn legend(panels: &Panels, lines: &[Vec<Line>], metric: &Metric) -> Vec<Vec<Entry>> {
    let mut rows = Vec::new();
    if let Some(axis) = &panels.colour {
        let heading = Entry::new(Sample::Heading, format!("{axis}:"));
        let entry = |(key, name): (usize, &String)| {
            Entry::line(colour(key, panels), Some(Mark::nth(key)), name.as_str())
        };
        rows.push([heading].into_iter().chain(panels.keys.iter().enumerate().map(entry)).collect());
    }
    let columns = metric.lines();
    let mut styles = metric.legend(|place| {
        let mut drawn = lines.iter().flatten().filter(|line| !line.points.is_empty());
        drawn.any(|line| line.stroke == columns[place].1)
    });
    if panels.seeds().1 > 1 {
        styles.push(Entry::new(Sample::Band, "smallest to largest seed"));
    }
    if lines.iter().flatten().any(|line| !line.diverged.is_empty()) {
        styles.push(Entry::new(Sample::Cross, "diverged: last finite value"));
    }
    rows.push(styles);
    rows
}

/// Caption sentences about runs that diverged or are unfinished.
fn losses(panels: &Panels, metric: &Metric) -> Option<String> {
    let name = |panel: &Panel, key: usize| {
        let parts = [panel.label.to_lowercase(), panels.keys[key].clone()];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
    };
    let curves = panels.panels.iter().flat_map(|panel| {
        let finals = |runs: &[&RunCurve]| Finals::of(runs, metric.train);
        panel.curves.iter().map(move |curve| (name(panel, curve.key), finals(&curve.runs)))
    });
    let consequence = "after they stop, means are over the other runs";
    captions::losses(&curves.collect::<Vec<_>>(), metric.train, consequence)
}

/// Whether some of the runs that are done ended at another step than others.
fn ends_differ(runs: &[&RunCurve]) -> bool {
    let done = runs.iter().filter(|run| run.state == State::Done);
    let mut ends = done.filter_map(|run| run.rows.last()).map(|row| row.step);
    let first = ends.next();
    ends.any(|end| Some(end) != first)
}

/// Caption sentences about lines, metrics and runs.
fn caption(panels: &Panels, options: &Options) -> Vec<String> {
    let metric = &options.metric;
    let mut parts = vec![match panels.seeds() {
        (_, 1) => "One seed (n = 1) per curve, so no spread is shown.".to_owned(),
        counts => format!("Lines: mean over n = {}; bands: smallest to largest.", seeds(counts)),
    }];
    parts.push(metric.sentences());
    parts.extend(losses(panels, metric));
    if panels.panels.iter().flat_map(|panel| &panel.curves).any(|curve| ends_differ(&curve.runs)) {
        parts.push(
            "Some runs end before others: after their end, means are over the other runs.".into(),
        );
    }
    if options.smooth > 1 {
        parts.push(format!("Values are trailing means over {} evaluations.", options.smooth));
    }
    parts
}

/// Caption sentences about points that the axes do not show where they are.
fn axis_remarks(points: &[&Point], x: &Axis, y: &Axis) -> Vec<String> {
    let mut parts = Vec::new();
    if points.iter().any(|point| point.max > y.high() * (1.0 + 1e-9)) {
        parts.push(format!("Values above {} are cut off.", short_number(y.high())));
    }
    if x.is_log() && points.iter().any(|point| point.step == 0) {
        parts.push("Step 0 is drawn at the left end.".to_owned());
    }
    if y.is_log() && points.iter().any(|point| point.min < y.low()) {
        parts.push(zeros_at(y));
    }
    parts
}
