//! Final error against depth: training error on the left, test error on the right, one colour per
//! family.

use super::axis::{Axis, ends, short_number};
use super::canvas::{Canvas, Mark, Place, Stroke};
use super::captions::{self, Trend, capital, seeds, trend};
use super::chart::Frame;
use super::page::{Entry, Sample, Sheet};
use super::panels::{label, split_axes, without_implied};
use super::series::Finals;
use super::{Metric, Options, Picture, Results, palette};
use anyhow::{Result, bail, ensure};
use fathom_record::{RunCurve, RunGroup, SweepCurves, group};
use fathom_stats::Interval;
use plotters::prelude::*;

/// Pixels of the sheet between the dots of two seeds.
const JITTER: f64 = 9.0;
/// The same between two crosses.
const CROSSES: f64 = 25.0;

/// The runs of one configuration at all depths.
struct Series {
    label: String,
    /// Depth with the final training and test values, shallowest first.
    depths: Vec<(f64, [Finals; 2])>,
}

/// The figure, laid out.
pub(super) struct DepthFigure {
    sheet: Sheet,
    metric: Metric,
    x: Axis,
    y: Axis,
    /// What guessing gives, where that is known.
    chance: Option<f64>,
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
        let metric = options.metric;
        let (series, shared) = all_series(curves, metric);
        ensure!(series.iter().any(|s| !s.depths.is_empty()), "no run has a depth to draw against");
        let finals: Vec<&Finals> =
            series.iter().flat_map(|s| &s.depths).flat_map(|(_, finals)| finals).collect();
        if finals.iter().all(|f| f.values.is_empty() && f.diverged == 0) {
            bail!("no run has finished with a finite {} or {} yet", metric.train, metric.test);
        }
        let mut depths: Vec<f64> =
            series.iter().flat_map(|s| &s.depths).map(|(depth, _)| *depth).collect();
        depths.sort_by(f64::total_cmp);
        depths.dedup();
        let x = Axis::at_values(&depths, options.log_x);
        let chance = results.chance(metric.train);
        let y = y_axis(&finals, chance, metric, options.log_y);
        let panels = 0..metric.lines().len();
        let titles: Vec<String> = panels.map(|panel| title(&series, panel, metric)).collect();
        let caption = caption(&series, &shared, &y, chance, options);
        let legend = legend(&series, metric);
        let sheet = Sheet::lay_out(options.note.as_deref(), &titles, &legend, &caption);
        Ok(Self { sheet, metric, x, y, chance, series })
    }
}

impl Picture for DepthFigure {
    fn size(&self) -> (f64, f64) {
        self.sheet.size()
    }

    fn draw<DB: DrawingBackend>(&self, canvas: &Canvas<DB>) -> Result<()>
    where
        DB::ErrorType: 'static,
    {
        self.sheet.draw(canvas)?;
        for (panel, rect) in self.sheet.panels.iter().enumerate() {
            let frame =
                Frame::draw(canvas, *rect, (&self.x, "depth"), (&self.y, self.metric.axis))?;
            for place in 0..self.series.len() {
                self.draw_series(canvas, &frame, panel, place)?;
            }
        }
        Ok(())
    }
}

impl DepthFigure {
    /// Mean line with its marks, a dot for every seed, and crosses for what diverged.
    fn draw_series<DB: DrawingBackend>(
        &self,
        canvas: &Canvas<DB>,
        frame: &Frame,
        panel: usize,
        place: usize,
    ) -> Result<()>
    where
        DB::ErrorType: 'static,
    {
        let (colour, mark) = (palette::of_word(place), Mark::nth(place));
        let (stroke, filled) = if self.metric.lines()[panel].1 == Stroke::Dashed {
            (Stroke::Dashed, false)
        } else {
            (Stroke::Bold, true)
        };
        let depths = &self.series[place].depths;
        let mean =
            |(depth, finals): &(f64, [Finals; 2])| Some(frame.place(*depth, finals[panel].mean()?));
        let line: Vec<Place> = depths.iter().filter_map(mean).collect();
        if line.len() > 1 {
            canvas.line(&line, colour, stroke)?;
        }
        // Seeds stand beside the mark of their mean, on its left and its right by turns, so that two
        // series do not hide one another's.
        let side = if place.is_multiple_of(2) { -1.0 } else { 1.0 };
        for (depth, finals) in depths {
            let finals = &finals[panel];
            if let Some(interval) = Interval::of(&finals.values, 0.95) {
                let ends = [interval.low, interval.high];
                canvas.bar(ends.map(|y| frame.place_inside(*depth, y)), colour)?;
            }
            let spread = JITTER.min(30.0 / finals.values.len().max(1) as f64);
            for (number, &value) in finals.values.iter().enumerate() {
                let (x, y) = frame.place(*depth, value);
                let offset = side * (16.0 + number as f64 * spread);
                canvas.dot((x + canvas.px(offset), y), colour, filled)?;
            }
            let (x, top) = frame.place(*depth, self.chance.unwrap_or(self.y.high()));
            for number in 0..finals.diverged {
                let apart = number as f64 - (finals.diverged as f64 - 1.0) / 2.0;
                let shift = (place as f64 - (self.series.len() as f64 - 1.0) / 2.0) * 11.0;
                let x = x + canvas.px(apart * CROSSES + shift);
                canvas.mark(Mark::Cross, (x, top), colour, true)?;
            }
        }
        for place in line {
            canvas.mark(mark, place, colour, filled)?;
        }
        Ok(())
    }
}

/// One series for each combination of the axes other than depth; with what all runs share.
fn all_series(curves: &SweepCurves, metric: Metric) -> (Vec<Series>, Vec<String>) {
    let (varying, shared) = split_axes(curves);
    let (told, left_out): (_, &[&str]) = if arms_are_depths(curves, &varying) {
        (varying, &["depth", "arm"])
    } else {
        (without_implied(curves, varying), &["depth"])
    };
    let kept = |axis: &String| !left_out.contains(&axis.as_str());
    let axes: Vec<String> = told.into_iter().filter(kept).collect();
    let depth = ["depth".to_owned()];
    let series = curves.groups(&axes).into_iter().map(|same| Series {
        label: label(&axes, &same.values),
        depths: group(&same.runs, &depth)
            .into_iter()
            .filter_map(|at| {
                let depth = at.runs.first().and_then(|run: &&RunCurve| run.number("depth"))?;
                let finals = [metric.train, metric.test].map(|m| Finals::of(&at.runs, m));
                Some((depth, finals))
            })
            .collect(),
    });
    let shared = shared.into_iter().filter(|text| !text.starts_with("depth "));
    (series.collect(), shared.collect())
}

/// Whether each arm is one depth of something that the other axes tell apart: joined by arm, no
/// series would have two points; and no two arms would pass for seeds of one another without it.
fn arms_are_depths(curves: &SweepCurves, varying: &[String]) -> bool {
    let (arm, depth) = (["arm".to_owned()], ["depth".to_owned()]);
    let others: Vec<String> = varying.iter().filter(|axis| **axis != arm[0]).cloned().collect();
    let single = |groups: Vec<RunGroup>, axis: &[String]| {
        groups.iter().all(|same| group(&same.runs, axis).len() == 1)
    };
    single(curves.groups(&arm), &depth) && single(curves.groups(&others), &arm)
}

/// From zero, with room above for the crosses of diverged runs.
fn y_axis(finals: &[&Finals], chance: Option<f64>, metric: Metric, log: bool) -> Axis {
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

/// "Training error: plain rises with depth; residual falls with depth", as far as it is clear.
fn title(series: &[Series], panel: usize, metric: Metric) -> String {
    let words = capital([metric.train_words, metric.test_words][panel]);
    let phrase = |s: &Series| {
        let finals: Vec<&Finals> = s.depths.iter().map(|(_, finals)| &finals[panel]).collect();
        let (low, high) = (s.depths.first()?.0, s.depths.last()?.0);
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

fn legend(series: &[Series], metric: Metric) -> Vec<Vec<Entry>> {
    let mut rows = Vec::new();
    if series.len() > 1 {
        let entry = |(place, s): (usize, &Series)| {
            let line = Sample::Line(palette::of_word(place), Some(Mark::nth(place)), Stroke::Bold);
            Entry::new(line, s.label.as_str())
        };
        rows.push(series.iter().enumerate().map(entry).collect());
    }
    let mut styles = metric.legend();
    styles.push(Entry::new(Sample::Dot, "one seed"));
    if series.iter().flat_map(|s| &s.depths).any(|(_, finals)| finals[0].diverged > 0) {
        styles.push(Entry::new(Sample::Cross, "diverged: no final value"));
    }
    rows.push(styles);
    rows
}

fn caption(
    series: &[Series],
    shared: &[String],
    y: &Axis,
    chance: Option<f64>,
    options: &Options,
) -> String {
    let metric = options.metric;
    let all = || series.iter().flat_map(|s| s.depths.iter().map(move |at| (s, at)));
    let counts = all().map(|(_, (_, f))| f[0].values.len() + f[0].diverged + f[0].unfinished);
    let counts = (counts.clone().min().unwrap_or(0), counts.max().unwrap_or(0));
    let mut parts = vec![
        match counts {
            (_, 1) => "One seed (n = 1) for each depth, so no spread.".to_owned(),
            counts => format!(
                "Lines: mean over n = {}; bars: 95% interval of the mean (Student's t); every seed is a dot.",
                seeds(counts)
            ),
        },
        format!(
            "{} {} of the last row.",
            metric.sentences(),
            if metric.is_single() { "All" } else { "Both" }
        ),
    ];
    let name = |s: &Series, depth: f64| {
        format!("{} {}", s.label.to_lowercase(), short_number(depth)).trim().to_owned()
    };
    let groups: Vec<(String, Finals)> =
        all().map(|(s, (depth, finals))| (name(s, *depth), finals[0].clone())).collect();
    let place = if chance.is_some() { "what guessing gives" } else { "the upper end of the axis" };
    parts.extend(captions::losses(&groups, &format!("crosses at {place}, not in the mean")));
    let zero = |finals: &[Finals; 2]| finals.iter().flat_map(|f| &f.values).any(|v| *v < y.low());
    if y.is_log() && all().any(|(_, (_, finals))| zero(finals)) {
        parts.push(format!("Zeros are drawn at {}.", short_number(y.low())));
    }
    if !shared.is_empty() {
        parts.push(format!("All runs: {}.", shared.join(", ")));
    }
    parts.push(format!("Source: {}.", options.source));
    parts.join(" ")
}
