//! Final metrics against depth: the training metric on the left, the test metric on the right, one
//! colour per family.

use super::axis::{Axis, TitledAxis, ends};
use super::canvas::{Canvas, Mark, Pixel, Stroke};
use super::captions::{CUT, Trend, losses, seeds, trend, zeros_at};
use super::chart::Frame;
use super::crosses::Crosses;
use super::page::{Entry, Page, Sample};
use super::panels::{all_runs, extent, label, split_axes, with_asked};
use super::rounding::{pixel, short_number};
use super::series::Finals;
use super::{Metric, Options, Picture, Results, palette};
use anyhow::{Result, bail, ensure};
use fathom_base::capitalised;
use fathom_record::{RunCurve, RunGroup, SweepCurves, group, natural_order};
use fathom_stats::Interval;
use plotters::style::RGBColor;

/// Largest distance between the dots of two seeds, in units of the page.
const JITTER: f64 = 9.0;

/// The runs of one configuration at all depths.
struct Series {
    label: String,
    colour: RGBColor,
    mark: Mark,
    /// Shallowest first.
    depths: Vec<AtDepth>,
}

/// The runs of one configuration at one depth.
struct AtDepth {
    depth: f64,
    /// Final values in the order of [`Metric::lines`].
    finals: Vec<Finals>,
}

/// The laid-out figure.
pub(super) struct DepthFigure {
    page: Page,
    /// Stroke of the lines of each panel.
    strokes: Vec<Stroke>,
    x: TitledAxis,
    y: TitledAxis,
    /// Crosses of each panel, at the chance level if it is known.
    crosses: Vec<Crosses>,
    series: Vec<Series>,
}

impl DepthFigure {
    /// Lays the figure out.
    ///
    /// # Errors
    /// When no run has a depth, or none has ended.
    pub(super) fn new(results: &Results, options: &Options) -> Result<Self> {
        let curves = &results.curves;
        ensure!(!curves.runs.is_empty(), "there are no runs to draw");
        let metric = &options.metric;
        let (series, shared) = all_series(curves, metric, options.colour.as_ref());
        ensure!(series.iter().any(|s| !s.depths.is_empty()), "no run has a depth to draw against");
        let finals: Vec<&Finals> =
            series.iter().flat_map(|s| &s.depths).flat_map(|at| &at.finals).collect();
        if finals.iter().all(|f| f.values.is_empty() && f.diverged == 0) {
            bail!("no run has finished with a finite {} or {} yet", metric.train, metric.test);
        }
        let mut depths: Vec<f64> =
            series.iter().flat_map(|s| &s.depths).map(|at| at.depth).collect();
        depths.sort_by(f64::total_cmp);
        depths.dedup();
        let x = Axis::at_values(&depths, options.log_x);
        let chance = results.chance(metric.train);
        let y = y_axis(&finals, chance, metric, options.log_y);
        let strokes: Vec<Stroke> = metric.lines().into_iter().map(|(_, stroke)| stroke).collect();
        let titles: Vec<String> =
            (0..strokes.len()).map(|panel| title(&series, panel, metric)).collect();
        let mut parts = caption(&series, &y, chance, metric);
        parts.extend(all_runs(&shared));
        parts.push(format!("Source: {}.", options.source));
        let legend = legend(&series, metric);
        let page = Page::on(options.sheet(), &titles, &legend, &parts.join(" "));
        let all = || series.iter().flat_map(|s| s.depths.iter().map(move |at| (s.colour, at)));
        let crosses = |panel: usize| {
            let diverged = all().map(|(colour, at)| (at.depth, colour, at.finals[panel].diverged));
            Crosses::new(chance.unwrap_or(y.high()), &depths, diverged)
        };
        let crosses = (0..strokes.len()).map(crosses).collect();
        let (x, y) = (x.titled("depth"), y.titled(metric.axis));
        Ok(Self { page, strokes, x, y, crosses, series })
    }
}

impl Picture for DepthFigure {
    fn page(&self) -> &Page {
        &self.page
    }

    fn draw_panels(&self, canvas: &Canvas<'_>) -> Result<()> {
        for (panel, rect) in self.page.panels.iter().enumerate() {
            let frame = Frame::draw(canvas, *rect, &self.x, &self.y)?;
            for place in 0..self.series.len() {
                self.draw_series(canvas, &frame, panel, place)?;
            }
            self.crosses[panel].draw(canvas, &frame)?;
        }
        Ok(())
    }
}

impl DepthFigure {
    /// Draws the line of means with its marks, and a dot for every seed.
    fn draw_series(
        &self,
        canvas: &Canvas<'_>,
        frame: &Frame,
        panel: usize,
        place: usize,
    ) -> Result<()> {
        let Series { colour, mark, .. } = self.series[place];
        let stroke = self.strokes[panel];
        let filled = stroke == Stroke::Bold;
        let depths = &self.series[place].depths;
        let mean = |at: &AtDepth| Some(frame.place(at.depth, at.finals[panel].mean()?));
        let line: Vec<Pixel> = depths.iter().filter_map(mean).collect();
        if line.len() > 1 {
            canvas.line(&line, colour, stroke)?;
        }
        // Dots are beside the mark of their mean, on alternating sides, so that those of two series do
        // not hide each other.
        let side = if place.is_multiple_of(2) { -1.0 } else { 1.0 };
        for AtDepth { depth, finals } in depths {
            let finals = &finals[panel];
            if let Some(interval) = Interval::of(&finals.values, 0.95) {
                canvas.bar(frame.bar(*depth, interval), colour)?;
            }
            let spread = JITTER.min(30.0 / finals.values.len().max(1) as f64);
            for (number, &value) in finals.values.iter().enumerate() {
                let (x, y) = frame.place(*depth, value);
                let offset = side * (16.0 + number as f64 * spread);
                canvas.dot((x + pixel(offset), y), colour, filled)?;
            }
        }
        for place in line {
            canvas.mark(mark, place, colour, filled)?;
        }
        Ok(())
    }
}

/// One series for each combination of the axes other than depth, and texts about the axes on which all
/// runs agree.
///
/// Colours distinguish the axis `colour`, and marks the others.
fn all_series(
    curves: &SweepCurves,
    metric: &Metric,
    colour: Option<&String>,
) -> (Vec<Series>, Vec<String>) {
    let (varying, shared) = split_axes(curves);
    let is_kept = colour.is_some_and(|axis| axis == "arm");
    let (named, left_out): (_, &[&str]) = if !is_kept && arms_are_depths(curves, &varying) {
        (varying, &["depth", "arm"])
    } else {
        (with_asked(curves, &varying, colour), &["depth"])
    };
    let kept = |axis: &String| !left_out.contains(&axis.as_str());
    let axes: Vec<String> = named.into_iter().filter(kept).collect();
    let depth = ["depth".to_owned()];
    let groups = curves.groups(&axes);
    let looks = looks(&axes, &groups, colour);
    let series = groups.into_iter().zip(looks).map(|(same, (colour, mark))| Series {
        label: label(&axes, &same.values),
        colour,
        mark,
        depths: group(&same.runs, &depth)
            .into_iter()
            .filter_map(|at| {
                let depth = at.runs.first().and_then(|run: &&RunCurve| run.number("depth"))?;
                let lines = metric.lines().into_iter();
                let finals = lines.map(|(column, _)| Finals::of(&at.runs, column)).collect();
                Some(AtDepth { depth, finals })
            })
            .collect(),
    });
    let shared = shared.into_iter().filter(|text| !text.starts_with("depth "));
    (series.collect(), shared.collect())
}

/// Colour and mark of each series: both of its own, or the colour of its value of the axis `colour` and the mark of
/// its values of the others.
fn looks(axes: &[String], groups: &[RunGroup], colour: Option<&String>) -> Vec<(RGBColor, Mark)> {
    let Some(axis) = axes.iter().position(|axis| Some(axis) == colour) else {
        return (0..groups.len()).map(|it| (palette::of_category(it), Mark::nth(it))).collect();
    };
    let mut values: Vec<&String> = groups.iter().map(|group| &group.values[axis]).collect();
    values.sort_by(|a, b| natural_order(a, b));
    values.dedup();
    let rest = |group: &RunGroup| {
        let mut rest = group.values.clone();
        rest.remove(axis);
        rest
    };
    let mut others: Vec<Vec<String>> = Vec::new();
    let mut look = |group: &RunGroup| {
        let place = values.iter().position(|value| **value == group.values[axis]).unwrap_or(0);
        let rest = rest(group);
        let mark = others.iter().position(|known| *known == rest).unwrap_or_else(|| {
            others.push(rest);
            others.len() - 1
        });
        (palette::of_value(place, &values), Mark::nth(mark))
    };
    groups.iter().map(&mut look).collect()
}

/// Whether nets differ in depth, every arm has one depth and the other axes identify the arm. Then a series may leave
/// the arm out: with it, no series would have two points, and without it, runs of different arms are never taken for
/// seeds of the same configuration.
fn arms_are_depths(curves: &SweepCurves, varying: &[String]) -> bool {
    let (arm, depth) = (["arm".to_owned()], ["depth".to_owned()]);
    let others: Vec<String> = varying.iter().filter(|axis| **axis != arm[0]).cloned().collect();
    let single = |groups: Vec<RunGroup>, axis: &[String]| {
        groups.iter().all(|same| group(&same.runs, axis).len() == 1)
    };
    let has_depths = varying.contains(&depth[0]);
    has_depths && single(curves.groups(&arm), &depth) && single(curves.groups(&others), &arm)
}

/// Axis from zero (or the smallest value, if logarithmic), with room above for the crosses of runs that
/// diverged.
fn y_axis(finals: &[&Finals], chance: Option<f64>, metric: &Metric, log: bool) -> Axis {
    let values: Vec<f64> = finals.iter().flat_map(|f| f.values.iter().copied()).collect();
    let diverged = finals.iter().any(|f| f.diverged > 0);
    let high = ends(&values).map_or(100.0, |(_, high)| high);
    let high = if diverged { chance.map_or(high, |chance| chance.max(high)) } else { high };
    let room = if diverged { 1.1 } else { 1.0 };
    let positive: Vec<f64> = values.into_iter().filter(|value| *value > 0.0).collect();
    match ends(&positive) {
        Some((low, _)) if log => Axis::log(low * 0.8, high * 1.25 * room),
        _ => Axis::from_zero((high * room).min(metric.most())),
    }
}

/// Title of a panel: the trends of up to three series if all are clear, such as "Training error: plain
/// rises with depth, residual falls with depth".
fn title(series: &[Series], panel: usize, metric: &Metric) -> String {
    let words = capitalised([metric.train_words, metric.test_words][panel]);
    let phrase = |s: &Series| {
        let finals: Vec<&Finals> = s.depths.iter().map(|at| &at.finals[panel]).collect();
        let (low, high) = (s.depths.first()?.depth, s.depths.last()?.depth);
        let (low, high) = (short_number(low), short_number(high));
        let text = match trend(&finals) {
            Trend::Rises => "rises with depth".to_owned(),
            Trend::Falls => "falls with depth".to_owned(),
            Trend::HigherAtDeepest => format!("higher at {high} than at {low}"),
            Trend::LowerAtDeepest => format!("lower at {high} than at {low}"),
            Trend::Unclear => return None,
        };
        Some(format!("{} {text}", s.label.to_lowercase()).trim().to_owned())
    };
    let phrases: Option<Vec<String>> = series.iter().map(phrase).collect();
    match phrases {
        Some(phrases) if phrases.len() <= 3 => format!("{words}: {}", phrases.join(", ")),
        _ => format!("{words} at the end of training"),
    }
}

fn legend(series: &[Series], metric: &Metric) -> Vec<Vec<Entry>> {
    let mut rows = Vec::new();
    if series.len() > 1 {
        let entry = |s: &Series| Entry::line(s.colour, Some(s.mark), s.label.as_str());
        rows.push(series.iter().map(entry).collect());
    }
    let at = || series.iter().flat_map(|s| &s.depths);
    let is_drawn = |panel: usize| at().any(|at| !at.finals[panel].values.is_empty());
    let mut styles = metric.legend(is_drawn);
    styles.push(Entry::new(Sample::Dot, "one seed"));
    if at().any(|at| at.finals[0].diverged > 0) {
        styles.push(Entry::new(Sample::Cross, "diverged: no final value"));
    }
    rows.push(styles);
    rows
}

/// Caption sentences about lines, metrics and runs.
fn caption(series: &[Series], y: &Axis, chance: Option<f64>, metric: &Metric) -> Vec<String> {
    let all = || series.iter().flat_map(|s| s.depths.iter().map(move |at| (s, at)));
    let counts = extent(all().map(|(_, at)| at.finals[0].values.len()).filter(|n| *n > 0));
    let lines = match counts {
        (_, 1) => "One seed (n = 1) per depth, so no spread is shown.".to_owned(),
        counts => format!(
            "Lines: mean over n = {}; bars: 95% interval of the mean (Student's t); dots: seeds.",
            seeds(counts)
        ),
    };
    let metrics = format!("{} Values are those of the last row of each run.", metric.sentences());
    let name = |s: &Series, depth| {
        format!("{} {}", s.label.to_lowercase(), short_number(depth)).trim().to_owned()
    };
    let groups: Vec<(String, Finals)> =
        all().map(|(s, at)| (name(s, at.depth), at.finals[0].clone())).collect();
    let mut parts = vec![lines, metrics];
    let finals = all().flat_map(|(_, at)| &at.finals);
    let mut intervals = finals.filter_map(|finals| Interval::of(&finals.values, 0.95));
    if intervals.any(|interval| y.cuts(interval).contains(&true)) {
        parts.push(CUT.to_owned());
    }
    parts.extend(losses(&groups, metric.train, crosses(chance)));
    let is_below = |at: &AtDepth| at.finals.iter().flat_map(|f| &f.values).any(|v| *v < y.low());
    if y.is_log() && all().any(|(_, at)| is_below(at)) {
        parts.push(zeros_at(y));
    }
    parts
}

/// How figures of final values show runs that diverged.
pub(super) fn crosses(chance: Option<f64>) -> &'static str {
    match chance {
        Some(_) => "crosses at the chance level, excluded from the mean",
        None => "crosses at the upper end of the axis, excluded from the mean",
    }
}
