//! Error against iteration: one panel per family, one colour per depth, as in Fig. 6 of He et al.
//! 2015. Training error is dashed and thin, test error solid and bold.

use super::axis::{Axis, short_number};
use super::canvas::{Canvas, Mark, Place, Stroke};
use super::captions::{self, Trend, capital, seeds, trend};
use super::chart::Frame;
use super::page::{Entry, Sample, Sheet};
use super::panels::{Panel, Panels};
use super::series::{Finals, Point, finite, over_seeds};
use super::{Metric, Options, Picture, palette};
use anyhow::{Result, ensure};
use fathom_record::{RunCurve, State, SweepCurves};
use plotters::prelude::*;

/// The start of training that does not decide how high the vertical axis reaches.
const WARM_UP_SHARE: f64 = 0.1;
/// Marks on one line.
const MARKS: usize = 5;

/// One line of a panel.
struct Line {
    colour: RGBColor,
    mark: Mark,
    stroke: Stroke,
    /// Its place among the curves of the figure, which shifts its marks against the others'.
    rank: usize,
    points: Vec<Point>,
    /// The last finite values of runs that diverged.
    lost: Vec<(f64, f64)>,
}

/// The figure, laid out.
pub(super) struct CurvesFigure {
    sheet: Sheet,
    metric: Metric,
    x: Axis,
    y: Axis,
    panels: Vec<Vec<Line>>,
}

impl CurvesFigure {
    /// Lays the figure out.
    ///
    /// # Errors
    /// When no run has a finite value.
    pub(super) fn new(curves: &SweepCurves, options: &Options) -> Result<Self> {
        ensure!(!curves.runs.is_empty(), "there are no runs to draw");
        let panels = Panels::of(curves, options.group_by.as_deref());
        let lines: Vec<Vec<Line>> =
            panels.panels.iter().map(|panel| lines(panel, &panels, options)).collect();
        let all: Vec<&Point> = lines.iter().flatten().flat_map(|line| &line.points).collect();
        let metric = options.metric;
        ensure!(!all.is_empty(), "no run has a finite {} or {} yet", metric.train, metric.test);
        let (x, y) = (x_axis(&all, options.log_x), y_axis(&all, options));
        let titles: Vec<String> =
            panels.panels.iter().map(|panel| title(panel, &panels, metric)).collect();
        let caption = caption(&panels, &all, (&x, &y), options);
        let legend = legend(&panels, &lines, metric);
        let sheet = Sheet::lay_out(options.note.as_deref(), &titles, &legend, &caption);
        Ok(Self { sheet, metric, x, y, panels: lines })
    }
}

impl Picture for CurvesFigure {
    fn size(&self) -> (f64, f64) {
        self.sheet.size()
    }

    fn draw<DB: DrawingBackend>(&self, canvas: &Canvas<DB>) -> Result<()>
    where
        DB::ErrorType: 'static,
    {
        self.sheet.draw(canvas)?;
        for (rect, lines) in self.sheet.panels.iter().zip(&self.panels) {
            let axes = ((&self.x, "iteration"), (&self.y, self.metric.axis));
            let frame = Frame::draw(canvas, *rect, axes.0, axes.1)?;
            // Bands first and crosses last, so that no line is hidden.
            for line in lines {
                draw_band(canvas, &frame, line)?;
            }
            for line in lines {
                draw_line(canvas, &frame, line)?;
            }
            for line in lines {
                for &(step, value) in &line.lost {
                    let place = frame.place_inside(step, value);
                    canvas.mark(Mark::Cross, place, line.colour, true)?;
                }
            }
        }
        Ok(())
    }
}

fn draw_band<DB: DrawingBackend>(canvas: &Canvas<DB>, frame: &Frame, line: &Line) -> Result<()>
where
    DB::ErrorType: 'static,
{
    let edge = |of: fn(&Point) -> f64| -> Vec<Place> {
        line.points.iter().map(|point| frame.place(point.step as f64, of(point))).collect()
    };
    if line.points.len() < 2 || line.points.iter().all(|point| point.n < 2) {
        return Ok(());
    }
    let (upper, lower) = (edge(|point| point.max), edge(|point| point.min));
    let outline: Vec<Place> = upper.into_iter().chain(lower.into_iter().rev()).collect();
    canvas.band(frame.clip_outline(&outline), line.colour)
}

fn draw_line<DB: DrawingBackend>(canvas: &Canvas<DB>, frame: &Frame, line: &Line) -> Result<()>
where
    DB::ErrorType: 'static,
{
    let places: Vec<Place> =
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

/// Training and test line of every colour of a panel.
fn lines(panel: &Panel, panels: &Panels, options: &Options) -> Vec<Line> {
    let mut lines = Vec::new();
    for (key, runs) in &panel.curves {
        for (metric, stroke) in options.metric.lines().into_iter().rev() {
            let lost = runs.iter().filter(|run| run.state == State::Diverged);
            let last = |run: &&RunCurve| finite(run, metric, options.smooth).last().copied();
            lines.push(Line {
                colour: colour(*key, panels),
                mark: Mark::nth(*key),
                stroke,
                rank: lines.len(),
                points: over_seeds(runs, metric, options.smooth),
                lost: lost.filter_map(last).map(|(step, value)| (step as f64, value)).collect(),
            });
        }
    }
    lines
}

fn colour(key: usize, panels: &Panels) -> RGBColor {
    if panels.ordered() { palette::of_rank(key, panels.keys.len()) } else { palette::of_word(key) }
}

/// Step 0 has no logarithm: it goes to the left end, at half the first step.
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

/// High enough for all but the first fall: an untrained net's 90% would flatten everything else.
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

/// "Plain: training error rises with depth (8: 12.3%; 44: 48.7%)", or only what is drawn.
fn title(panel: &Panel, panels: &Panels, metric: Metric) -> String {
    let finals: Vec<(&str, Finals)> = panel
        .curves
        .iter()
        .map(|(key, runs)| (panels.keys[*key].as_str(), Finals::of(runs, metric.train)))
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
    if panel.label.is_empty() { capital(&text) } else { format!("{}: {text}", panel.label) }
}

fn legend(panels: &Panels, lines: &[Vec<Line>], metric: Metric) -> Vec<Vec<Entry>> {
    let mut rows = Vec::new();
    if let Some(axis) = &panels.colour {
        let heading = Entry::new(Sample::Heading, format!("{axis}:"));
        let entry = |(key, name): (usize, &String)| {
            let line = Sample::Line(colour(key, panels), Some(Mark::nth(key)), Stroke::Bold);
            Entry::new(line, name.as_str())
        };
        rows.push([heading].into_iter().chain(panels.keys.iter().enumerate().map(entry)).collect());
    }
    let mut styles = metric.legend();
    if panels.seeds().1 > 1 {
        styles.push(Entry::new(Sample::Band, "smallest to largest seed"));
    }
    if lines.iter().flatten().any(|line| !line.lost.is_empty()) {
        styles.push(Entry::new(Sample::Cross, "diverged: last finite value"));
    }
    rows.push(styles);
    rows
}

/// Which runs diverged or are unfinished.
fn losses(panels: &Panels, metric: Metric) -> Option<String> {
    let name = |panel: &Panel, key: usize| {
        let parts = [panel.label.to_lowercase(), panels.keys[key].clone()];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
    };
    let curves = panels.panels.iter().flat_map(|panel| {
        let finals = |runs: &[&RunCurve]| Finals::of(runs, metric.train);
        panel.curves.iter().map(move |(key, runs)| (name(panel, *key), finals(runs)))
    });
    captions::losses(&curves.collect::<Vec<_>>(), "where they stop, the mean is that of the others")
}

fn caption(
    panels: &Panels,
    points: &[&Point],
    (x, y): (&Axis, &Axis),
    options: &Options,
) -> String {
    let metric = options.metric;
    let mut parts = vec![match panels.seeds() {
        (_, 1) => "One seed (n = 1) for each curve, so no spread.".to_owned(),
        counts => format!("Lines: mean over n = {}; bands: smallest to largest.", seeds(counts)),
    }];
    parts.push(metric.sentences());
    parts.extend(losses(panels, metric));
    if options.smooth > 1 {
        parts.push(format!("Each value is the mean of {} evaluations up to it.", options.smooth));
    }
    if points.iter().any(|point| point.max > y.high() * (1.0 + 1e-9)) {
        parts.push(format!("Values above {} lie outside the axis.", short_number(y.high())));
    }
    if x.is_log() && points.iter().any(|point| point.step == 0) {
        parts.push("Step 0 is drawn at the left end.".to_owned());
    }
    if y.is_log() && points.iter().any(|point| point.min < y.low()) {
        parts.push(format!("Zeros are drawn at {}.", short_number(y.low())));
    }
    if !panels.shared.is_empty() {
        parts.push(format!("All runs: {}.", panels.shared.join(", ")));
    }
    parts.push(format!("Source: {}.", options.source));
    parts.join(" ")
}
