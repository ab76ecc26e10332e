//! The elements of an SVG, for assertions about what a reader sees.

use super::super::{Figure, Options, Results, svg};

/// A position on the page, from the upper left corner.
pub(super) type Position = (f64, f64);

/// The elements of a figure.
#[derive(Default)]
pub(super) struct Drawing {
    /// Texts with the position of their anchor.
    pub(super) texts: Vec<(String, Position)>,
    /// Lines of at least two points, with their colours, dashes one by one.
    pub(super) lines: Vec<(String, Vec<Position>)>,
    /// Outlines of bands, with their colours.
    pub(super) bands: Vec<(String, Vec<Position>)>,
    /// Centres of the small dots of seeds.
    pub(super) dots: Vec<Position>,
}

impl Drawing {
    pub(super) fn of(results: &Results, figure: Figure, options: &Options) -> Self {
        Self::read(&svg(results, figure, options).unwrap())
    }

    pub(super) fn read(svg: &str) -> Self {
        let mut drawing = Self::default();
        let mut lines = svg.lines();
        while let Some(line) = lines.next() {
            let attribute = |name: &str| {
                let (_, rest) = line.split_once(&format!(" {name}=\""))?;
                rest.split('"').next().map(str::to_owned)
            };
            let number = |name: &str| attribute(name).and_then(|text| text.parse::<f64>().ok());
            let colour = |name: &str| attribute(name).unwrap_or_default();
            if line.starts_with("<text") {
                let text = lines.next().unwrap_or_default().to_owned();
                drawing.texts.push((text, (number("x").unwrap(), number("y").unwrap())));
            } else if line.starts_with("<polyline") {
                let points = points(&attribute("points").unwrap());
                drawing.lines.push((colour("stroke"), points));
            } else if line.starts_with("<polygon") && line.contains("opacity=\"0.14\"") {
                drawing.bands.push((colour("fill"), points(&attribute("points").unwrap())));
            } else if line.starts_with("<circle") && number("r") == Some(4.0) {
                drawing.dots.push((number("cx").unwrap(), number("cy").unwrap()));
            }
        }
        drawing
    }

    pub(super) fn words(&self) -> String {
        self.texts.iter().map(|(text, _)| text.trim()).collect::<Vec<_>>().join(" ")
    }

    /// Position of the first text that contains these words.
    pub(super) fn text_at(&self, words: &str) -> Position {
        let found = self.texts.iter().find(|(text, _)| text.contains(words));
        found.unwrap_or_else(|| panic!("{words} is not in {}", self.words())).1
    }

    /// Solid curves of one colour, in the order in which they are drawn.
    pub(super) fn curves(&self, colour: &str) -> Vec<&[Position]> {
        self.lines_of(colour).filter(|points| width(points) > WIDEST_DASH).collect()
    }

    /// Dashes of one colour.
    pub(super) fn dashes(&self, colour: &str) -> Vec<&[Position]> {
        self.lines_of(colour).filter(|points| width(points) < WIDEST_DASH).collect()
    }

    fn lines_of(&self, colour: &str) -> impl Iterator<Item = &[Position]> {
        let of_colour = self.lines.iter().filter(move |(own, _)| own == colour);
        of_colour.map(|(_, points)| points.as_slice())
    }
}

/// Longer than a dash and a sample of the legend, shorter than a curve.
const WIDEST_DASH: f64 = 70.0;

fn width(points: &[Position]) -> f64 {
    let across = || points.iter().map(|point| point.0);
    across().fold(0.0, f64::max) - across().fold(f64::INFINITY, f64::min)
}

fn points(text: &str) -> Vec<Position> {
    let point = |pair: &str| {
        let (x, y) = pair.split_once(',').unwrap();
        (x.parse().unwrap(), y.parse().unwrap())
    };
    text.split_whitespace().map(point).collect()
}
