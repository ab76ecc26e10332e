//! Crosses in the place of runs that diverged, in figures of final values.

use super::canvas::{Canvas, Mark};
use super::chart::Frame;
use super::rounding::pixel;
use anyhow::Result;
use plotters::style::RGBColor;

/// Distance between two crosses, in units of the page.
const APART: f64 = 25.0;

/// A cross for every run that diverged.
#[derive(Clone, Debug, Default)]
pub(super) struct Crosses {
    /// Height on the vertical axis.
    y: f64,
    /// The values of the horizontal axis, each with the colours of its crosses.
    at: Vec<(f64, Vec<RGBColor>)>,
}

impl Crosses {
    /// Crosses at the height `y` for these numbers of diverged runs, each with its value of the horizontal axis and the
    /// colour of its series.
    pub(super) fn new(
        y: f64,
        values: &[f64],
        diverged: impl Iterator<Item = (f64, RGBColor, usize)>,
    ) -> Self {
        let mut at: Vec<(f64, Vec<RGBColor>)> = values.iter().map(|x| (*x, Vec::new())).collect();
        for (x, colour, runs) in diverged {
            if let Some((_, colours)) = at.iter_mut().find(|(value, _)| *value == x) {
                colours.extend(std::iter::repeat_n(colour, runs));
            }
        }
        Self { y, at }
    }

    /// Whether no run diverged.
    pub(super) fn is_empty(&self) -> bool {
        self.at.iter().all(|(_, colours)| colours.is_empty())
    }

    /// Draws the crosses. Those of one value are beside each other, and closer where they would come nearer to the next
    /// value than to their own, or leave the panel.
    pub(super) fn draw(&self, canvas: &Canvas<'_>, frame: &Frame) -> Result<()> {
        let column = |x: f64| frame.place(x, self.y).0;
        for (x, colours) in &self.at {
            let (middle, row) = frame.place(*x, self.y);
            let others = self.at.iter().filter(|(other, _)| other != x);
            let between = others.map(|(other, _)| (column(*other) - middle).abs() / 2);
            let edges = frame.edges().map(|edge| (edge - middle).abs());
            let room = between.chain(edges).min().unwrap_or(0);
            for (colour, offset) in colours.iter().zip(offsets(colours.len(), room)) {
                canvas.mark(Mark::Cross, (middle + offset, row), *colour, true)?;
            }
        }
        Ok(())
    }
}

/// Distances of crosses from the middle of their place, with this room on each side of it.
fn offsets(count: usize, room: i32) -> impl Iterator<Item = i32> {
    let middle = (count as f64 - 1.0) / 2.0;
    let room = (f64::from(room) - APART / 2.0).max(0.0);
    let apart = (room / middle.max(0.5)).min(APART);
    (0..count).map(move |number| pixel((number as f64 - middle) * apart))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crosses_stand_beside_each_other_and_closer_where_there_is_little_room() {
        let at = |count, room| offsets(count, room).collect::<Vec<i32>>();
        assert_eq!(at(1, 100), [0]);
        assert_eq!(at(3, 100), [-25, 0, 25]);
        assert_eq!(at(5, 32), [-20, -10, 0, 10, 20]);
        assert_eq!(at(2, 5), [0, 0]);
    }
}
