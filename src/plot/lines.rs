//! Figures of lines, marks and dots in one or more panels with axes of their own.

use super::axis::{Axis, TitledAxis, ends};
use super::canvas::{Canvas, Mark, Pixel, Stroke};
use super::captions::{CUT, zeros_at};
use super::chart::Frame;
use super::crosses::Crosses;
use super::page::Page;
use super::{Metric, Picture};
use anyhow::Result;
use fathom_stats::Interval;
use plotters::prelude::*;

/// A mean with its spread.
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
    /// Confidence interval of the mean.
    pub(super) interval: Option<Interval>,
    /// Values of the seeds.
    pub(super) dots: Vec<f64>,
    /// Values of seeds of which only a bound is known, drawn hollow.
    pub(super) bounds: Vec<f64>,
}

impl Point {
    /// A point without spread.
    pub(super) fn bare(x: f64, y: f64) -> Self {
        Self { x, y, interval: None, dots: Vec::new(), bounds: Vec::new() }
    }

    /// All values that the vertical axis must cover.
    pub(super) fn heights(&self) -> impl Iterator<Item = f64> {
        let ends = self.interval.into_iter().flat_map(|it| [it.low, it.high]);
        [self.y].into_iter().chain(ends).chain(self.dots.iter().chain(&self.bounds).copied())
    }
}

/// A line of points of one colour.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) colour: RGBColor,
    /// Mark of each point; none for lines of many points.
    pub(super) mark: Option<Mark>,
    pub(super) stroke: Stroke,
    pub(super) points: Vec<Point>,
}

/// A panel with its axes.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    pub(super) x: TitledAxis,
    pub(super) y: TitledAxis,
    pub(super) lines: Vec<Line>,
    pub(super) crosses: Crosses,
}

impl Panel {
    /// A panel without crosses.
    pub(super) fn new(x: TitledAxis, y: TitledAxis, lines: Vec<Line>) -> Self {
        Self { x, y, lines, crosses: Crosses::default() }
    }

    fn points(&self) -> impl Iterator<Item = &Point> {
        self.lines.iter().flat_map(|line| &line.points)
    }
}

/// Vertical axis of final values: from zero, or over the positive values if logarithmic.
pub(super) fn y_axis<'a>(
    points: impl IntoIterator<Item = &'a Point>,
    metric: &Metric,
    log: bool,
) -> Axis {
    let points: Vec<&Point> = points.into_iter().collect();
    let values = points.iter().flat_map(|point| point.dots.iter().chain([&point.y])).copied();
    let positive: Vec<f64> = values.filter(|value| *value > 0.0).collect();
    match ends(&positive) {
        Some((low, high)) if log => Axis::log(low * 0.8, high * 1.25),
        _ => {
            let heights: Vec<f64> = points.iter().flat_map(|point| point.heights()).collect();
            Axis::from_zero(ends(&heights).map_or(1.0, |(_, high)| high).min(metric.most()))
        }
    }
}

/// Caption sentences about intervals and values that the axes do not show where they are.
pub(super) fn remarks(panels: &[Panel]) -> Vec<String> {
    let is_cut = |panel: &Panel| {
        let mut intervals = panel.points().filter_map(|point| point.interval);
        intervals.any(|interval| panel.y.axis.cuts(interval).contains(&true))
    };
    let is_below = |panel: &&Panel| {
        let low = panel.y.axis.low();
        panel.y.axis.is_log() && panel.points().any(|it| it.dots.iter().any(|dot| *dot < low))
    };
    let mut remarks = Vec::new();
    remarks.extend(panels.iter().any(is_cut).then(|| CUT.to_owned()));
    remarks.extend(panels.iter().find(is_below).map(|panel| zeros_at(&panel.y.axis)));
    remarks
}

/// A laid-out figure of lines.
pub(super) struct LinesFigure {
    pub(super) page: Page,
    pub(super) panels: Vec<Panel>,
}

impl Picture for LinesFigure {
    fn page(&self) -> &Page {
        &self.page
    }

    fn draw_panels(&self, canvas: &Canvas<'_>) -> Result<()> {
        for (rect, panel) in self.page.panels.iter().zip(&self.panels) {
            let frame = Frame::draw(canvas, *rect, &panel.x, &panel.y)?;
            for line in &panel.lines {
                draw_line(canvas, &frame, line)?;
            }
            panel.crosses.draw(canvas, &frame)?;
        }
        Ok(())
    }
}

fn draw_line(canvas: &Canvas<'_>, frame: &Frame, line: &Line) -> Result<()> {
    let places: Vec<Pixel> =
        line.points.iter().map(|point| frame.place(point.x, point.y)).collect();
    if places.len() > 1 {
        canvas.line(&places, line.colour, line.stroke)?;
    }
    let filled = line.stroke == Stroke::Bold;
    for (point, place) in line.points.iter().zip(&places) {
        if let Some(interval) = point.interval {
            canvas.bar(frame.bar(point.x, interval), line.colour)?;
        }
        for (values, filled) in [(&point.dots, filled), (&point.bounds, false)] {
            for value in values {
                let (x, y) = frame.place(point.x, *value);
                canvas.dot((x - 14, y), line.colour, filled)?;
            }
        }
        if let Some(mark) = line.mark {
            let is_bound = point.dots.is_empty() && !point.bounds.is_empty();
            canvas.mark(mark, *place, line.colour, filled && !is_bound)?;
        }
    }
    Ok(())
}
