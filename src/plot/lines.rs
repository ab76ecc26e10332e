//! Figures made of marks, lines and dots in one or more panels, each with axes of its own.

use super::Picture;
use super::axis::Axis;
use super::canvas::{Canvas, Mark, Place, Stroke};
use super::chart::Frame;
use super::page::Sheet;
use anyhow::Result;
use fathom_stats::Interval;
use plotters::prelude::*;

/// A mean with what it is the mean of.
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
    /// Where the mean lies.
    pub(super) interval: Option<Interval>,
    /// Single seeds.
    pub(super) dots: Vec<f64>,
}

impl Point {
    /// One without spread.
    pub(super) fn bare(x: f64, y: f64) -> Self {
        Self { x, y, interval: None, dots: Vec::new() }
    }

    /// All numbers that must be on the axis.
    pub(super) fn heights(&self) -> impl Iterator<Item = f64> {
        let ends = self.interval.into_iter().flat_map(|it| [it.low, it.high]);
        [self.y].into_iter().chain(ends).chain(self.dots.iter().copied())
    }
}

/// Points of one colour.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) colour: RGBColor,
    /// At each point; none for lines of many points.
    pub(super) mark: Option<Mark>,
    pub(super) stroke: Stroke,
    pub(super) points: Vec<Point>,
}

/// A panel.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    pub(super) x: (Axis, String),
    pub(super) y: (Axis, String),
    pub(super) lines: Vec<Line>,
}

/// The figure, laid out.
pub(super) struct LinesFigure {
    pub(super) sheet: Sheet,
    pub(super) panels: Vec<Panel>,
}

impl Picture for LinesFigure {
    fn size(&self) -> (f64, f64) {
        self.sheet.size()
    }

    fn draw<DB: DrawingBackend>(&self, canvas: &Canvas<DB>) -> Result<()>
    where
        DB::ErrorType: 'static,
    {
        self.sheet.draw(canvas)?;
        for (rect, panel) in self.sheet.panels.iter().zip(&self.panels) {
            let (x, y) = (&panel.x, &panel.y);
            let frame = Frame::draw(canvas, *rect, (&x.0, &x.1), (&y.0, &y.1))?;
            for line in &panel.lines {
                draw_line(canvas, &frame, line)?;
            }
        }
        Ok(())
    }
}

fn draw_line<DB: DrawingBackend>(canvas: &Canvas<DB>, frame: &Frame, line: &Line) -> Result<()>
where
    DB::ErrorType: 'static,
{
    let places: Vec<Place> =
        line.points.iter().map(|point| frame.place(point.x, point.y)).collect();
    if places.len() > 1 {
        canvas.line(&places, line.colour, line.stroke)?;
    }
    let filled = line.stroke == Stroke::Bold;
    for (point, place) in line.points.iter().zip(&places) {
        if let Some(interval) = point.interval {
            let ends = [interval.low, interval.high].map(|y| frame.place_inside(point.x, y));
            canvas.bar(ends, line.colour)?;
        }
        for dot in &point.dots {
            let (x, y) = frame.place(point.x, *dot);
            canvas.dot((x - canvas.px(14.0), y), line.colour, filled)?;
        }
        if let Some(mark) = line.mark {
            canvas.mark(mark, *place, line.colour, filled)?;
        }
    }
    Ok(())
}
