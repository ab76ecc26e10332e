//! Figures for print: a width in millimetres, at which text has the size that it should have on paper.

use fathom_base::choice;

/// Points on paper of one unit of the page. Text of 21 units, the smallest on paper, then has 6.1 points, as plotters
/// takes the size of a font for the height of its lines, which is 1.24 times its size in points.
const POINTS_PER_UNIT: f64 = 0.36;
const MILLIMETRES_PER_POINT: f64 = 25.4 / 72.0;

choice! {
    /// Width of a figure on paper.
    pub enum Width {
        /// One of two columns of text, 84 mm
        Column,
        /// The whole page, 174 mm
        Page,
    }
}

impl Width {
    /// Width in millimetres.
    pub(super) fn millimetres(self) -> f64 {
        match self {
            Width::Column => 84.0,
            Width::Page => 174.0,
        }
    }

    /// Width in units of the page.
    pub(super) fn units(self) -> f64 {
        (self.millimetres() / MILLIMETRES_PER_POINT / POINTS_PER_UNIT).round()
    }

    /// Largest number of panels beside each other.
    pub(super) fn columns(self) -> usize {
        match self {
            Width::Column => 1,
            Width::Page => 2,
        }
    }
}
