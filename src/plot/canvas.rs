//! Drawing primitives of all figures: text in the embedded font, lines, bands and marks.

use super::rounding::pixel;
use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::element::{DashedPathElement, Drawable, PointCollection};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, register_font};
use std::sync::OnceLock;

/// The name under which the font is registered. An SVG carries it as a CSS list, so that a browser
/// without DejaVu falls back to Verdana, which has the same widths.
pub(super) const FONT: &str = "DejaVu Sans, Verdana, sans-serif";
/// The file of the font, which is in the program.
pub(super) const FONT_FILE: &[u8] = include_bytes!("font/DejaVuSans.ttf");
/// Colour of text and axes.
pub(super) const INK: RGBColor = RGBColor(34, 34, 34);
/// Colour of grid lines.
pub(super) const GRID: RGBColor = RGBColor(222, 222, 222);

/// Radius of a mark.
const RADIUS: f64 = 8.5;
/// Thickness of the edge of a hollow mark.
const RIM: f64 = 3.0;

/// A position in whole units of the page, from the upper left corner.
pub(super) type Pixel = (i32, i32);

/// Registers the embedded font with plotters.
///
/// # Errors
/// When the embedded font cannot be read, which means a damaged build.
pub(super) fn load_font() -> Result<()> {
    static LOADED: OnceLock<bool> = OnceLock::new();
    let loaded = LOADED.get_or_init(|| register_font(FONT, FontStyle::Normal, FONT_FILE).is_ok());
    loaded.then_some(()).ok_or_else(|| anyhow!("the embedded font is damaged"))
}

/// Width of a line of text, in the unit of `size`.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    // Measured large, as plotters rounds to whole pixels.
    let font = FontDesc::new(FontFamily::Name(FONT), 100.0, FontStyle::Normal);
    font.box_size(text).map_or(0.0, |(width, _)| f64::from(width)) * size / 100.0
}

/// Breaks text into lines that are no wider than `width`: at spaces, and where a word is wider, at its no-break spaces
/// and within it.
pub(super) fn wrap(text: &str, size: f64, width: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let words = text.split([' ', '\n', '\t']).filter(|word| !word.is_empty());
    for word in words.flat_map(|word| broken(word, size, width)) {
        match lines.last_mut() {
            Some(line) if text_width(&format!("{line} {word}"), size) <= width => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

/// The parts of a word that are no wider than `width`, or one letter each.
fn broken(word: &str, size: f64, width: f64) -> Vec<String> {
    if text_width(word, size) <= width {
        return vec![word.to_owned()];
    }
    if word.contains('\u{a0}') {
        let words = word.split('\u{a0}').filter(|word| !word.is_empty());
        return words.flat_map(|word| broken(word, size, width)).collect();
    }
    let mut parts: Vec<String> = Vec::new();
    for letter in word.chars() {
        match parts.last_mut() {
            Some(part) if text_width(&format!("{part}{letter}"), size) <= width => {
                part.push(letter);
            }
            _ => parts.push(letter.to_string()),
        }
    }
    parts
}

/// An end of the bar of an interval.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct BarEnd {
    pub(super) place: Pixel,
    /// Whether the interval ends here; without a foot, it goes on beyond the panel.
    pub(super) has_foot: bool,
}

/// Style of a line: bold for test metrics, dashed and thin for training metrics.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stroke {
    Bold,
    Dashed,
}

/// The parts of a line between its sharp turns, at which the outline of a wide line has a corner that
/// is more than four widths long, the limit of SVG.
fn without_spikes(points: &[Pixel]) -> Vec<&[Pixel]> {
    let mut parts = Vec::new();
    let mut begin = 0;
    for (place, corner) in points.windows(3).enumerate() {
        let away = |end: Pixel| (f64::from(end.0 - corner[1].0), f64::from(end.1 - corner[1].1));
        let ((ax, ay), (bx, by)) = (away(corner[0]), away(corner[2]));
        // sin² of half the angle between both sides, below 1/16.
        let cosine = (ax * bx + ay * by) / (ax.hypot(ay) * bx.hypot(by));
        if (1.0 - cosine) / 2.0 < 1.0 / 16.0 {
            parts.push(&points[begin..=place + 1]);
            begin = place + 1;
        }
    }
    parts.push(&points[begin..]);
    parts
}

/// Shape of a mark, which distinguishes curves where colours do not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mark {
    Circle,
    Square,
    Triangle,
    Diamond,
    Wedge,
    /// Reserved for runs that diverged.
    Cross,
}

impl Mark {
    /// Mark of the `index`-th curve.
    pub(super) fn nth(index: usize) -> Self {
        let marks = [Mark::Circle, Mark::Square, Mark::Triangle, Mark::Diamond, Mark::Wedge];
        marks[index % marks.len()]
    }

    /// Corners of a mark of radius 1 around the origin; empty for shapes that are no polygons.
    fn corners(self) -> &'static [(f64, f64)] {
        match self {
            Mark::Circle | Mark::Cross => &[],
            Mark::Square => &[(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)],
            Mark::Triangle => &[(0.0, -1.15), (1.05, 0.75), (-1.05, 0.75)],
            Mark::Diamond => &[(0.0, -1.2), (1.2, 0.0), (0.0, 1.2), (-1.2, 0.0)],
            Mark::Wedge => &[(0.0, 1.15), (1.05, -0.75), (-1.05, -0.75)],
        }
    }
}

/// The SVG on which a figure is drawn, in units of the page.
pub(super) struct Canvas<'a> {
    pub(super) area: DrawingArea<SVGBackend<'a>, Shift>,
}

impl<'a> Canvas<'a> {
    fn draw<E>(&self, element: &E) -> Result<()>
    where
        for<'b> &'b E: PointCollection<'b, Pixel>,
        E: Drawable<SVGBackend<'a>>,
    {
        Ok(self.area.draw(element)?)
    }

    /// Style of text of this size.
    pub(super) fn font(&self, size: f64) -> TextStyle<'static> {
        (FONT, size).into_font().color(&INK)
    }

    /// Writes one line of text that begins at `place` and is vertically centred there.
    pub(super) fn text(&self, text: &str, size: f64, place: Pixel) -> Result<()> {
        let style = self.font(size).pos(Pos::new(HPos::Left, VPos::Center));
        self.draw(&Text::new(text.replace('\u{a0}', " "), place, style))
    }

    /// Writes one line of text that is centred at `place`.
    pub(super) fn centred(&self, text: &str, size: f64, place: Pixel, ink: RGBColor) -> Result<()> {
        let style = (FONT, size).into_font().color(&ink);
        self.draw(&Text::new(
            text.to_owned(),
            place,
            style.pos(Pos::new(HPos::Center, VPos::Center)),
        ))
    }

    /// Draws a line through `points`.
    pub(super) fn line(&self, points: &[Pixel], colour: RGBColor, stroke: Stroke) -> Result<()> {
        match stroke {
            // Where a line turns back sharply, the corner of its outline would be a long spike.
            Stroke::Bold => {
                let mut points = points.to_vec();
                points.dedup();
                let style = colour.stroke_width(4);
                let mut parts = without_spikes(&points).into_iter();
                parts.try_for_each(|part| self.draw(&PathElement::new(part.to_vec(), style)))
            }
            Stroke::Dashed => {
                self.draw(&DashedPathElement::new(points.to_vec(), 11, 7, colour.stroke_width(2)))
            }
        }
    }

    /// Fills an outline with a faint colour.
    pub(super) fn band(&self, outline: Vec<Pixel>, colour: RGBColor) -> Result<()> {
        if outline.len() < 3 { Ok(()) } else { self.draw(&Polygon::new(outline, colour.mix(0.14))) }
    }

    /// Draws the vertical bar of an interval, with a foot, a short horizontal line, at the ends that have one.
    pub(super) fn bar(&self, ends: [BarEnd; 2], colour: RGBColor) -> Result<()> {
        let style = colour.stroke_width(2);
        self.draw(&PathElement::new(ends.map(|end| end.place).to_vec(), style))?;
        for (x, y) in ends.into_iter().filter(|end| end.has_foot).map(|end| end.place) {
            let foot = vec![(x - 6, y), (x + 6, y)];
            self.draw(&PathElement::new(foot, style))?;
        }
        Ok(())
    }

    /// Fills the rectangle between two opposite corners.
    pub(super) fn rectangle(&self, corners: [Pixel; 2], colour: RGBColor) -> Result<()> {
        self.draw(&Rectangle::new(corners, colour.filled()))
    }

    /// Draws the small dot of one seed.
    pub(super) fn dot(&self, place: Pixel, colour: RGBColor, filled: bool) -> Result<()> {
        let style = if filled { colour.filled() } else { colour.stroke_width(2) };
        self.draw(&Circle::new(place, 4, style))
    }

    /// Draws a mark; hollow marks have a white inside.
    pub(super) fn mark(
        &self,
        mark: Mark,
        (x, y): Pixel,
        colour: RGBColor,
        filled: bool,
    ) -> Result<()> {
        let at =
            |(dx, dy): (f64, f64), radius: f64| (x + pixel(dx * radius), y + pixel(dy * radius));
        if mark == Mark::Cross {
            let thick = colour.stroke_width(4);
            let (a, b) = (at((-1.2, -1.2), RADIUS), at((1.2, 1.2), RADIUS));
            self.draw(&PathElement::new(vec![a, b], thick))?;
            return self.draw(&PathElement::new(vec![(a.0, b.1), (b.0, a.1)], thick));
        }
        // Two filled shapes, so that hollow marks are no larger than others.
        let shape = |radius: f64, colour: RGBColor| match mark {
            Mark::Circle => self.draw(&Circle::new((x, y), pixel(radius), colour.filled())),
            Mark::Square | Mark::Triangle | Mark::Diamond | Mark::Wedge | Mark::Cross => {
                let corners: Vec<Pixel> = mark.corners().iter().map(|&c| at(c, radius)).collect();
                self.draw(&Polygon::new(corners, colour.filled()))
            }
        };
        shape(RADIUS, colour)?;
        if filled { Ok(()) } else { shape(RADIUS - RIM, WHITE) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_parted_where_its_corner_would_be_a_spike() {
        let smooth = [(0, 0), (10, 5), (20, 0), (30, 30), (34, 5)];
        assert_eq!(without_spikes(&smooth), [&smooth[..4], &smooth[3..]]);
        assert_eq!(without_spikes(&smooth[..3]), [&smooth[..3]]);
        assert_eq!(without_spikes(&[(0, 0), (1, 500), (2, 0)]).len(), 2);
        assert_eq!(without_spikes(&smooth[..1]), [&smooth[..1]]);
    }

    #[test]
    fn text_is_measured_with_the_embedded_font_and_wrapped_at_spaces() {
        load_font().unwrap();
        assert!(text_width("iteration", 20.0) > 60.0);
        let lines = wrap("one two three four", 20.0, text_width("one two", 20.0));
        assert_eq!(lines, ["one two", "three", "four"]);
        let width = text_width("(8:\u{a0}6%)", 20.0);
        assert_eq!(wrap("a (8:\u{a0}6%)", 20.0, width), ["a", "(8:\u{a0}6%)"]);
        let lines = wrap("(8:\u{a0}6%,\u{a0}one\u{a0}lost)", 20.0, text_width("(8: 6%,", 20.0));
        assert_eq!(lines, ["(8: 6%,", "one", "lost)"]);
        let width = text_width("nowhere", 20.0);
        assert_eq!(wrap("a nowheretobreak b", 20.0, width), ["a", "nowhere", "tobreak", "b"]);
        assert_eq!(wrap("ab", 20.0, 1.0), ["a", "b"]);
        assert!(wrap("", 20.0, 10.0).is_empty());
    }
}
