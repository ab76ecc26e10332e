//! Lines of means and of differences, one for each value of the compared key.

use super::{AblationFigure, Against, Facet};
use crate::axis::{TitledAxis, ends};
use crate::canvas::{INK, Mark, Stroke};
use crate::lines::{Line, Point};
use crate::palette;
use fathom_stats::{CONFIDENCE, Interval};

impl AblationFigure<'_> {
    /// A line of means for each value of the key.
    pub(super) fn means(
        &self,
        facet: &Facet,
        x: &TitledAxis,
        offset: &dyn Fn(usize) -> f64,
    ) -> Vec<Line> {
        let values = self.ablation.values.iter().enumerate();
        let is_alone = self.is_alone();
        let line = |(place, value): (usize, &String)| {
            // The baseline is in several rows: that with the most seeds shows it.
            let mut at: Vec<(f64, &[f64])> = Vec::new();
            for (x, row) in &facet.rows {
                let side = match place {
                    0 => &row.baseline,
                    _ if row.other.value == *value => &row.other,
                    _ => continue,
                };
                let own = self.place(value).filter(|_| is_alone);
                let x = own.unwrap_or(*x);
                match at.iter_mut().find(|(known, _)| *known == x) {
                    Some((_, finals)) if finals.len() < side.finals.len() => *finals = &side.finals,
                    Some(_) => {}
                    None => at.push((x, &side.finals)),
                }
            }
            let shift = if is_alone { 0.0 } else { offset(place) };
            let points =
                at.into_iter().map(|(at, finals)| point(x.axis.shifted(at, shift), finals));
            self.line(place, points.collect())
        };
        values.map(line).collect()
    }

    /// A line of differences for each value of the key but the baseline.
    pub(super) fn differences(
        &self,
        facet: &Facet,
        x: &TitledAxis,
        offset: &dyn Fn(usize) -> f64,
    ) -> Vec<Line> {
        let values = self.ablation.values.iter().enumerate().skip(1);
        let line = |(place, value): (usize, &String)| {
            let rows = facet.rows.iter().filter(|(_, row)| row.other.value == *value);
            let is_apart = !self.is_alone() && self.ablation.values.len() > 2;
            let shift = if is_apart { offset(place) } else { 0.0 };
            let points = rows.map(|(at, row)| {
                let effects: Vec<f64> = row.differences.iter().map(|(_, it)| *it).collect();
                point(x.axis.shifted(*at, shift), &effects)
            });
            self.line(place, points.collect())
        };
        values.map(line).collect()
    }

    /// Whether the horizontal axis shows the compared key itself.
    fn is_alone(&self) -> bool {
        self.against == Against::Depth && self.along().is_none()
    }

    fn line(&self, place: usize, mut points: Vec<Point>) -> Line {
        points.sort_by(|a, b| a.x.total_cmp(&b.x));
        let (colour, mark) = (palette::of_category(place), Some(Mark::nth(place)));
        Line { colour, mark, stroke: Stroke::Bold, points }
    }
}

/// A mean with its interval and seeds.
fn point(x: f64, values: &[f64]) -> Point {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let interval = Interval::of(values, CONFIDENCE);
    Point { interval, dots: values.to_vec(), ..Point::bare(x, mean) }
}

/// A dashed line across the panel.
pub(super) fn level(x: &TitledAxis, y: f64) -> Line {
    let points = [x.axis.low(), x.axis.high()].map(|x| Point::bare(x, y)).to_vec();
    Line { colour: INK, mark: None, stroke: Stroke::Dashed, points }
}

/// Smallest and largest value of all lines.
pub(super) fn heights(lines: &[Vec<Line>]) -> Option<(f64, f64)> {
    let points = lines.iter().flatten().flat_map(|line| &line.points);
    ends(&points.flat_map(Point::heights).collect::<Vec<_>>())
}
