//! A panel's frame (grid, axes, labels) and where values lie in it.

use super::axis::Axis;
use super::canvas::{Canvas, GRID, INK, Place};
use super::page::Rect;
use anyhow::Result;
use plotters::prelude::*;
use std::ops::Range;

/// Size of tick labels and of axis names.
const LABEL: f64 = 25.0;

/// The inside of a panel.
pub(super) struct Frame {
    x: Axis,
    y: Axis,
    columns: Range<i32>,
    rows: Range<i32>,
}

impl Frame {
    /// Draws grid and axes into `rect`.
    pub(super) fn draw<DB: DrawingBackend>(
        canvas: &Canvas<DB>,
        rect: Rect,
        (x, x_name): (&Axis, &str),
        (y, y_name): (&Axis, &str),
    ) -> Result<Self>
    where
        DB::ErrorType: 'static,
    {
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
            .build_cartesian_2d(x.clone(), y.clone())?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID.stroke_width(canvas.px(1.0).max(1).unsigned_abs()))
            .axis_style(INK.stroke_width(canvas.px(1.5).max(1).unsigned_abs()))
            .set_all_tick_mark_size(canvas.px(6.0))
            .label_style(canvas.font(LABEL))
            .axis_desc_style(canvas.font(LABEL))
            .x_desc(x_name)
            .y_desc(y_name)
            .draw()?;
        let (columns, rows) = chart.plotting_area().get_pixel_range();
        Ok(Self { x: x.clone(), y: y.clone(), columns, rows })
    }

    /// The pixel of a value; what lies above the axis lies above the frame.
    pub(super) fn place(&self, x: f64, y: f64) -> Place {
        let along = |range: &Range<i32>, share: f64| share * f64::from(range.end - range.start);
        let column = f64::from(self.columns.start) + along(&self.columns, self.x.share(x));
        let row = f64::from(self.rows.end) - along(&self.rows, self.y.share(y));
        (column.round() as i32, row.round() as i32)
    }

    /// The pixel of a value, moved to the upper end of the axis if it lies above.
    pub(super) fn place_inside(&self, x: f64, y: f64) -> Place {
        let (column, row) = self.place(x, y);
        (column, row.max(self.rows.start))
    }

    /// Whether a value is on the axis.
    pub(super) fn shows(&self, y: f64) -> bool {
        self.y.share(y) <= 1.0 + 1e-9
    }

    /// The parts of a line below the upper end of the axis.
    pub(super) fn clip_line(&self, line: &[Place]) -> Vec<Vec<Place>> {
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

    /// The part of a closed outline below the upper end of the axis.
    pub(super) fn clip_outline(&self, outline: &[Place]) -> Vec<Place> {
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

    /// Where the line from `a` to `b` crosses the upper end of the axis.
    fn crossing(&self, a: Place, b: Place) -> Option<Place> {
        let top = self.rows.start;
        if (a.1 < top) == (b.1 < top) {
            return None;
        }
        let share = f64::from(top - a.1) / f64::from(b.1 - a.1);
        Some(((f64::from(a.0) + share * f64::from(b.0 - a.0)).round() as i32, top))
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
