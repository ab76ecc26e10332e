//! Frame of a panel: grid, axes and labels, and the pixels of values.

use super::axis::{Axis, TitledAxis};
use super::canvas::{Backend, Canvas, GRID, INK, Pixel};
use super::page::Rect;
use super::rounding::pixel;
use anyhow::Result;
use plotters::prelude::*;
use std::ops::Range;

/// Size of tick labels and of axis titles.
const LABEL: f64 = 25.0;

/// Plotting area of a panel, with its axes.
pub(super) struct Frame {
    x: Axis,
    y: Axis,
    columns: Range<i32>,
    rows: Range<i32>,
}

impl Frame {
    /// Draws grid, axes and titles into `rect`.
    pub(super) fn draw<DB: Backend>(
        canvas: &Canvas<DB>,
        rect: Rect,
        x: &TitledAxis,
        y: &TitledAxis,
    ) -> Result<Self> {
        let origin = (canvas.px(rect.x), canvas.px(rect.y));
        let area = canvas.area.clone().shrink(
            origin,
            (canvas.px(rect.width).unsigned_abs(), canvas.px(rect.height).unsigned_abs()),
        );
        let mut chart = ChartBuilder::on(&area)
            .margin_top(canvas.px(16.0))
            .margin_right(canvas.px(30.0))
            .x_label_area_size(canvas.px(70.0))
            .y_label_area_size(canvas.px(100.0))
            .build_cartesian_2d(x.axis.clone(), y.axis.clone())?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID.stroke_width(canvas.px(1.0).max(1).unsigned_abs()))
            .axis_style(INK.stroke_width(canvas.px(1.5).max(1).unsigned_abs()))
            .set_all_tick_mark_size(canvas.px(6.0))
            .label_style(canvas.font(LABEL))
            .axis_desc_style(canvas.font(LABEL))
            .x_desc(x.title.as_str())
            .y_desc(y.title.as_str())
            .draw()?;
        let (columns, rows) = chart.plotting_area().get_pixel_range();
        Ok(Self { x: x.axis.clone(), y: y.axis.clone(), columns, rows })
    }

    /// Pixel of a point. Points above the axis are above the frame.
    pub(super) fn place(&self, x: f64, y: f64) -> Pixel {
        let along = |range: &Range<i32>, share: f64| share * f64::from(range.end - range.start);
        let column = f64::from(self.columns.start) + along(&self.columns, self.x.share(x));
        let row = f64::from(self.rows.end) - along(&self.rows, self.y.share(y));
        (pixel(column), pixel(row))
    }

    /// Pixel of a point, moved down to the upper end of the axis if it is above.
    pub(super) fn place_inside(&self, x: f64, y: f64) -> Pixel {
        let (column, row) = self.place(x, y);
        (column, row.max(self.rows.start))
    }

    /// Whether a value is not above the axis.
    pub(super) fn shows(&self, y: f64) -> bool {
        self.y.share(y) <= 1.0 + 1e-9
    }

    /// Parts of a line below the upper end of the axis.
    pub(super) fn clip_line(&self, line: &[Pixel]) -> Vec<Vec<Pixel>> {
        let mut parts = vec![Vec::new()];
        for (number, &point) in line.iter().enumerate() {
            let crossing = number.checked_sub(1).and_then(|last| self.crossing(line[last], point));
            if let (Some(crossing), Some(part)) = (crossing, parts.last_mut()) {
                part.push(crossing);
                if point.1 < self.rows.start {
                    parts.push(Vec::new());
                }
            }
            if let (true, Some(part)) = (point.1 >= self.rows.start, parts.last_mut()) {
                part.push(point);
            }
        }
        parts.retain(|part| part.len() > 1);
        parts
    }

    /// Part of a closed outline below the upper end of the axis.
    pub(super) fn clip_outline(&self, outline: &[Pixel]) -> Vec<Pixel> {
        let mut inside = Vec::new();
        for (number, &point) in outline.iter().enumerate() {
            let last = outline[(number + outline.len() - 1) % outline.len()];
            inside.extend(self.crossing(last, point));
            if point.1 >= self.rows.start {
                inside.push(point);
            }
        }
        inside
    }

    /// Pixel at which the line from `a` to `b` crosses the upper end of the axis.
    fn crossing(&self, a: Pixel, b: Pixel) -> Option<Pixel> {
        let top = self.rows.start;
        if (a.1 < top) == (b.1 < top) {
            return None;
        }
        let share = f64::from(top - a.1) / f64::from(b.1 - a.1);
        Some((pixel(f64::from(a.0) + share * f64::from(b.0 - a.0)), top))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_where_they_leave_the_frame() {
        let axis = Axis::from_zero(100.0);
        let frame = Frame { x: axis.clone(), y: axis, columns: 0..100, rows: 100..200 };
        assert_eq!(frame.place(0.0, 0.0), (0, 200));
        assert_eq!(frame.place_inside(50.0, 150.0), (50, 100));
        let parts = frame.clip_line(&[(0, 50), (10, 150), (20, 150), (30, 50), (40, 50)]);
        assert_eq!(parts, [[(5, 100), (10, 150), (20, 150), (25, 100)]]);
        assert!(frame.clip_line(&[(0, 50), (10, 60)]).is_empty());
        assert!(frame.clip_line(&[]).is_empty());
        let outline = frame.clip_outline(&[(0, 50), (10, 150), (10, 170), (0, 170)]);
        assert_eq!(outline, [(0, 100), (5, 100), (10, 150), (10, 170), (0, 170)]);
        assert!(frame.clip_outline(&[(0, 50), (10, 60)]).is_empty());
    }
}
