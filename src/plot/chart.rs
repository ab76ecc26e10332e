//! Frame of a panel: grid, axes and labels, and the pixels of values.

use super::axis::{Axis, TitledAxis};
use super::canvas::{BarEnd, Canvas, GRID, INK, Pixel, text_width};
use super::page::Rect;
use super::rounding::pixel;
use anyhow::Result;
use fathom_stats::Interval;
use plotters::prelude::*;
use std::ops::Range;

/// Size of tick labels and of axis titles.
const LABEL: f64 = 25.0;
/// Room for the title of the vertical axis, with gaps and ticks.
const Y_TITLE: f64 = 42.0;
/// Room for title and labels of the vertical axis, where no label is long.
pub(super) const LEFT: f64 = 100.0;
/// Room on the right of the plotting area.
pub(super) const RIGHT: f64 = 30.0;
/// Room above and below the plotting area.
pub(super) const TOP: f64 = 16.0;
pub(super) const BOTTOM: f64 = 70.0;
/// Least distance between two labels beside each other.
const GAP: f64 = 8.0;

/// Plotting area of a panel, with its axes.
pub(super) struct Frame {
    x: Axis,
    y: Axis,
    columns: Range<i32>,
    rows: Range<i32>,
}

impl Frame {
    /// Draws grid, axes and titles into `rect`.
    pub(super) fn draw(
        canvas: &Canvas<'_>,
        rect: Rect,
        x: &TitledAxis,
        y: &TitledAxis,
    ) -> Result<Self> {
        let origin = (pixel(rect.x), pixel(rect.y));
        let area = canvas
            .area
            .clone()
            .shrink(origin, (pixel(rect.width).unsigned_abs(), pixel(rect.height).unsigned_abs()));
        let widths = y.axis.labels().into_iter().map(|(_, label)| text_width(&label, LABEL));
        let left = (widths.fold(0.0, f64::max) + Y_TITLE).max(LEFT);
        let labelled = without_touching(&x.axis, rect.width - left - RIGHT);
        let mut chart = ChartBuilder::on(&area)
            .margin_top(pixel(TOP))
            .margin_right(pixel(RIGHT))
            .x_label_area_size(pixel(BOTTOM))
            .y_label_area_size(pixel(left))
            .build_cartesian_2d(labelled, y.axis.clone())?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID.stroke_width(1))
            .axis_style(INK.stroke_width(2))
            .set_all_tick_mark_size(6)
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

    /// Pixels of the left and the right end of the horizontal axis.
    pub(super) fn edges(&self) -> [i32; 2] {
        [self.columns.start, self.columns.end]
    }

    /// The ends of the bar of an interval, which has no foot where it leaves the panel.
    pub(super) fn bar(&self, x: f64, interval: Interval) -> [BarEnd; 2] {
        let (least, most) = (self.y.low(), self.y.high());
        let [below, above] = self.y.cuts(interval);
        [(interval.low, below), (interval.high, above)].map(|(end, is_cut)| BarEnd {
            place: self.place(x, end.clamp(least, most)),
            has_foot: !is_cut,
        })
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

/// The horizontal axis of this length without the labels that would touch the one before. Their ticks remain.
fn without_touching(axis: &Axis, length: f64) -> Axis {
    let mut end = f64::NEG_INFINITY;
    axis.clone().with_labels(|share, label| {
        let (middle, half) = (share * length, text_width(label, LABEL) / 2.0);
        let is_free = middle - half >= end + GAP;
        if is_free {
            end = middle + half;
        }
        is_free
    })
}

#[cfg(test)]
mod tests {
    use super::super::canvas::load_font;
    use super::*;

    #[test]
    fn labels_that_would_touch_are_left_out_and_their_ticks_remain() {
        load_font().unwrap();
        let rates = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0];
        let axis = Axis::at_values(&rates, true);
        let shown = |length: f64| -> Vec<String> {
            let labels = without_touching(&axis, length).labels().into_iter();
            labels.map(|(_, label)| label).collect()
        };
        assert!(shown(2000.0).iter().all(|label| !label.is_empty()));
        let few = shown(600.0);
        assert_eq!(few[..5], ["0.0001", "", "0.001", "", "0.01"]);
        assert_eq!((few.len(), few[8].as_str()), (9, "1"));
    }

    #[test]
    fn a_bar_ends_at_the_panel_and_has_no_foot_there() {
        let axis = Axis::from_zero(100.0);
        let frame = Frame { x: axis.clone(), y: axis, columns: 0..100, rows: 100..200 };
        let bar = |low: f64, high: f64| frame.bar(50.0, Interval { low, high });
        let end = |row: i32, has_foot: bool| BarEnd { place: (50, row), has_foot };
        assert_eq!(bar(20.0, 90.0), [end(180, true), end(110, true)]);
        assert_eq!(bar(-300.0, 140.0), [end(200, false), end(100, false)]);
        assert_eq!(bar(0.0, 100.0), [end(200, true), end(100, true)]);
    }

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
