//! Layout of a page: note, panels with their titles, legend and caption. Nothing overlaps, as every
//! text is measured before it is placed.

use super::Width;
use super::canvas::{Canvas, INK, Mark, Stroke, text_width, wrap};
use super::rounding::pixel;
use anyhow::Result;
use plotters::prelude::*;

const MARGIN: f64 = 28.0;
const NOTE: f64 = 27.0;
const TITLE: f64 = 27.0;
const LEGEND: f64 = 25.0;
const CAPTION: f64 = 21.0;
/// Height of a line in multiples of the size of its text.
const LEADING: f64 = 1.3;
/// Heights of a panel on the screen and on paper, unless its content needs another one.
const PANEL_HEIGHT: f64 = 560.0;
const PAPER_PANEL_HEIGHT: f64 = 440.0;
const SAMPLE_WIDTH: f64 = 62.0;

/// Sample that a legend entry shows before its words.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Sample {
    /// No sample: the words name the entries that follow.
    Heading,
    /// A line with a mark, which is hollow if the line is dashed.
    Line(RGBColor, Option<Mark>, Stroke),
    /// The band between smallest and largest seed.
    Band,
    /// The small dots of seeds, hollow and filled.
    Dot,
    /// The cross of a run that diverged.
    Cross,
    /// A filled rectangle.
    Box(RGBColor),
}

/// An entry of a legend.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) sample: Sample,
    pub(super) words: String,
}

impl Entry {
    pub(super) fn new(sample: Sample, words: impl Into<String>) -> Self {
        Self { sample, words: words.into() }
    }

    /// A sample of a bold line with its mark.
    pub(super) fn line(colour: RGBColor, mark: Option<Mark>, words: impl Into<String>) -> Self {
        Self::new(Sample::Line(colour, mark, Stroke::Bold), words)
    }

    fn width(&self) -> f64 {
        let sample = if self.sample == Sample::Heading { 0.0 } else { SAMPLE_WIDTH + 10.0 };
        sample + text_width(&self.words, LEGEND) + 34.0
    }
}

/// A rectangle on the page, in units of the page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rect {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// A line of text on the page.
#[derive(Clone, Debug)]
struct TextLine {
    text: String,
    size: f64,
    /// Left end.
    x: f64,
    /// Vertical middle.
    y: f64,
}

/// A legend entry on the page.
#[derive(Clone, Debug)]
struct PlacedEntry {
    entry: Entry,
    /// Left end.
    x: f64,
    /// Vertical middle.
    y: f64,
}

/// What a page is laid out for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sheet<'a> {
    /// Text above the panels.
    pub(super) note: Option<&'a str>,
    /// Width on paper; without it, the page is for the screen.
    pub(super) width: Option<Width>,
    /// Height of panels, where it depends on what they show.
    pub(super) panel_height: Option<f64>,
}

impl Sheet<'_> {
    /// Width of the page and number of panels beside each other.
    fn columns(&self, panels: usize) -> (f64, usize) {
        let columns = match panels {
            0 | 1 => 1,
            2 | 4 => 2,
            _ => 3,
        };
        match self.width {
            None => ([1200.0, 1600.0, 2200.0][columns - 1], columns),
            Some(width) => (width.units(), columns.min(width.columns())),
        }
    }

    /// Width of one of this number of panels.
    pub(super) fn panel_width(&self, panels: usize) -> f64 {
        let (width, columns) = self.columns(panels);
        (width - 2.0 * MARGIN) / columns as f64
    }

    /// Height of panels.
    pub(super) fn height(&self) -> f64 {
        let usual = if self.width.is_some() { PAPER_PANEL_HEIGHT } else { PANEL_HEIGHT };
        self.panel_height.unwrap_or(usual)
    }
}

/// A laid-out page, about 1600 units wide.
#[derive(Clone, Debug)]
pub(super) struct Page {
    /// Width on paper; none for the screen.
    pub(super) paper: Option<Width>,
    width: f64,
    height: f64,
    texts: Vec<TextLine>,
    legend: Vec<PlacedEntry>,
    /// Rectangles of the panels, in the order of their titles.
    pub(super) panels: Vec<Rect>,
}

impl Page {
    /// Lays out a page with one panel for each title, in rows of up to three panels. Each row of legend
    /// entries begins a new line.
    pub(super) fn on(
        sheet: Sheet,
        titles: &[String],
        legend: &[Vec<Entry>],
        caption: &str,
    ) -> Self {
        let (width, columns) = sheet.columns(titles.len());
        let mut page = Self {
            paper: sheet.width,
            width,
            height: MARGIN,
            texts: Vec::new(),
            legend: Vec::new(),
            panels: Vec::new(),
        };
        let inside = width - 2.0 * MARGIN;
        if let Some(note) = sheet.note {
            page.paragraph(note, NOTE, MARGIN, inside);
            page.height += 12.0;
        }
        for row in titles.chunks(columns) {
            page.row(row, sheet.panel_width(titles.len()), sheet.height());
        }
        // What is alone has no name, and needs none.
        for row in legend.iter().filter(|row| row.iter().any(|entry| !entry.words.is_empty())) {
            page.legend_row(row);
        }
        page.height += 14.0;
        page.paragraph(caption, CAPTION, MARGIN, inside);
        page.height += MARGIN;
        page
    }

    /// Adds wrapped text at the current height and moves below it.
    fn paragraph(&mut self, text: &str, size: f64, x: f64, width: f64) {
        for line in wrap(text, size, width) {
            self.texts.push(TextLine {
                text: line,
                size,
                x,
                y: self.height + size * LEADING / 2.0,
            });
            self.height += size * LEADING;
        }
    }

    /// Adds a row of panels that begin at the same height, with their titles above them.
    fn row(&mut self, titles: &[String], width: f64, height: f64) {
        let wrapped: Vec<Vec<String>> =
            titles.iter().map(|title| wrap(title, TITLE, width - 130.0)).collect();
        let most = wrapped.iter().map(Vec::len).max().unwrap_or(0);
        let top = self.height + most as f64 * TITLE * LEADING + 4.0;
        for (column, lines) in wrapped.into_iter().enumerate() {
            let x = MARGIN + column as f64 * width;
            let first = top - 4.0 - lines.len() as f64 * TITLE * LEADING;
            for (number, line) in lines.into_iter().enumerate() {
                let y = first + (number as f64 + 0.5) * TITLE * LEADING;
                self.texts.push(TextLine { text: line, size: TITLE, x: x + 100.0, y });
            }
            self.panels.push(Rect { x, y: top, width, height });
        }
        self.height = top + height + 16.0;
    }

    /// Adds a group of legend entries, in as many lines as they need.
    fn legend_row(&mut self, entries: &[Entry]) {
        let line = LEGEND * 1.5;
        let mut x = MARGIN;
        for entry in entries {
            if x > MARGIN && x + entry.width() > self.width {
                x = MARGIN;
                self.height += line;
            }
            // Words that are wider than the page go on below their beginning.
            let room = self.width - MARGIN - x - SAMPLE_WIDTH - 10.0;
            let mut parts = wrap(&entry.words, LEGEND, room).into_iter();
            let first = Entry { words: parts.next().unwrap_or_default(), ..entry.clone() };
            self.legend.push(PlacedEntry { entry: first, x, y: self.height + line / 2.0 });
            for part in parts {
                self.height += line;
                let (x, y) = (x + SAMPLE_WIDTH + 10.0, self.height + line / 2.0);
                self.legend.push(PlacedEntry { entry: Entry::new(Sample::Heading, part), x, y });
            }
            x += entry.width();
        }
        self.height += line;
    }

    /// Width and height, in units of the page.
    pub(super) fn size(&self) -> (f64, f64) {
        (self.width, self.height)
    }

    /// Draws everything except the panels.
    pub(super) fn draw(&self, canvas: &Canvas<'_>) -> Result<()> {
        for line in &self.texts {
            canvas.text(&line.text, line.size, (pixel(line.x), pixel(line.y)))?;
        }
        for placed in &self.legend {
            placed.draw(canvas)?;
        }
        Ok(())
    }
}

impl PlacedEntry {
    fn draw(&self, canvas: &Canvas<'_>) -> Result<()> {
        let entry = &self.entry;
        let at = |dx: f64, dy: f64| (pixel(self.x + dx), pixel(self.y + dy));
        let (start, middle, end) =
            (at(0.0, 0.0), at(SAMPLE_WIDTH / 2.0, 0.0), at(SAMPLE_WIDTH, 0.0));
        match entry.sample {
            Sample::Heading => return canvas.text(&entry.words, LEGEND, start),
            Sample::Line(colour, mark, stroke) => {
                canvas.line(&[start, end], colour, stroke)?;
                if let Some(mark) = mark {
                    canvas.mark(mark, middle, colour, stroke == Stroke::Bold)?;
                }
            }
            Sample::Band => {
                let corners = [(0.0, -9.0), (SAMPLE_WIDTH, -9.0), (SAMPLE_WIDTH, 9.0), (0.0, 9.0)];
                canvas.band(corners.map(|(dx, dy)| at(dx, dy)).to_vec(), INK)?;
            }
            Sample::Dot => {
                let (hollow, filled) = (SAMPLE_WIDTH * 0.35, SAMPLE_WIDTH * 0.65);
                canvas.dot(at(hollow, 0.0), INK, false)?;
                canvas.dot(at(filled, 0.0), INK, true)?;
            }
            Sample::Box(colour) => {
                canvas.rectangle([at(8.0, -11.0), at(SAMPLE_WIDTH - 8.0, 11.0)], INK)?;
                canvas.rectangle([at(9.5, -9.5), at(SAMPLE_WIDTH - 9.5, 9.5)], colour)?;
            }
            Sample::Cross => canvas.mark(Mark::Cross, middle, INK, true)?,
        }
        canvas.text(&entry.words, LEGEND, at(SAMPLE_WIDTH + 10.0, 0.0))
    }
}
