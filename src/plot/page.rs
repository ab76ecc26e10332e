//! Where things lie on a sheet: note, panels with their titles, legend, caption. Nothing overlaps,
//! as every text is measured before its place is given away.

use super::canvas::{Canvas, INK, Mark, Stroke, text_width, wrap};
use anyhow::Result;
use plotters::prelude::*;

const MARGIN: f64 = 28.0;
const NOTE: f64 = 27.0;
const TITLE: f64 = 27.0;
const LEGEND: f64 = 25.0;
const CAPTION: f64 = 21.0;
/// Lines are this many times the size of their letters.
const LEADING: f64 = 1.3;
const PANEL_HEIGHT: f64 = 560.0;
const SAMPLE_WIDTH: f64 = 62.0;

/// What a legend's entry shows beside its words.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Sample {
    /// Words only: the name of what follows.
    Heading,
    /// A line with a mark, hollow where the line is dashed.
    Line(RGBColor, Option<Mark>, Stroke),
    /// A band.
    Band,
    /// Small dots, hollow and filled.
    Dot,
    Cross,
    /// A filled rectangle.
    Box(RGBColor),
}

/// One entry of a legend.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) sample: Sample,
    pub(super) words: String,
}

impl Entry {
    pub(super) fn new(sample: Sample, words: impl Into<String>) -> Self {
        Self { sample, words: words.into() }
    }

    fn width(&self) -> f64 {
        let sample = if self.sample == Sample::Heading { 0.0 } else { SAMPLE_WIDTH + 10.0 };
        sample + text_width(&self.words, LEGEND) + 34.0
    }
}

/// A rectangle on the sheet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rect {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// A laid-out sheet.
#[derive(Clone, Debug)]
pub(super) struct Sheet {
    width: f64,
    height: f64,
    /// Lines of text with size, left end and middle.
    texts: Vec<(String, f64, f64, f64)>,
    legend: Vec<(Entry, f64, f64)>,
    /// One for each panel, in order.
    pub(super) panels: Vec<Rect>,
}

impl Sheet {
    /// Lays out one panel for each title, in rows of up to three.
    pub(super) fn lay_out(
        note: Option<&str>,
        titles: &[String],
        legend: &[Vec<Entry>],
        caption: &str,
    ) -> Self {
        let columns = match titles.len() {
            0 | 1 => 1,
            2 | 4 => 2,
            _ => 3,
        };
        let width = [1200.0, 1600.0, 2200.0][columns - 1];
        let mut sheet = Self {
            width,
            height: MARGIN,
            texts: Vec::new(),
            legend: Vec::new(),
            panels: Vec::new(),
        };
        let inside = width - 2.0 * MARGIN;
        if let Some(note) = note {
            sheet.paragraph(note, NOTE, MARGIN, inside);
            sheet.height += 12.0;
        }
        for row in titles.chunks(columns) {
            sheet.row(row, inside / columns as f64);
        }
        for row in legend {
            sheet.legend_row(row);
        }
        sheet.height += 14.0;
        sheet.paragraph(caption, CAPTION, MARGIN, inside);
        sheet.height += MARGIN;
        sheet
    }

    /// Writes wrapped text from the present height on and moves below it.
    fn paragraph(&mut self, text: &str, size: f64, x: f64, width: f64) {
        for line in wrap(text, size, width) {
            self.texts.push((line, size, x, self.height + size * LEADING / 2.0));
            self.height += size * LEADING;
        }
    }

    /// One row of panels; the titles stand on the panels, which start at the same height.
    fn row(&mut self, titles: &[String], width: f64) {
        let wrapped: Vec<Vec<String>> =
            titles.iter().map(|title| wrap(title, TITLE, width - 130.0)).collect();
        let most = wrapped.iter().map(Vec::len).max().unwrap_or(0);
        let top = self.height + most as f64 * TITLE * LEADING + 4.0;
        for (column, lines) in wrapped.into_iter().enumerate() {
            let x = MARGIN + column as f64 * width;
            let first = top - 4.0 - lines.len() as f64 * TITLE * LEADING;
            for (number, line) in lines.into_iter().enumerate() {
                let middle = first + (number as f64 + 0.5) * TITLE * LEADING;
                self.texts.push((line, TITLE, x + 100.0, middle));
            }
            self.panels.push(Rect { x, y: top, width, height: PANEL_HEIGHT });
        }
        self.height = top + PANEL_HEIGHT + 16.0;
    }

    /// One group of entries, in as many lines as it takes.
    fn legend_row(&mut self, entries: &[Entry]) {
        let line = LEGEND * 1.5;
        let mut x = MARGIN;
        for entry in entries {
            if x > MARGIN && x + entry.width() > self.width {
                x = MARGIN;
                self.height += line;
            }
            self.legend.push((entry.clone(), x, self.height + line / 2.0));
            x += entry.width();
        }
        self.height += line;
    }

    /// Width and height.
    pub(super) fn size(&self) -> (f64, f64) {
        (self.width, self.height)
    }

    /// Draws everything but the insides of the panels.
    pub(super) fn draw<DB: DrawingBackend>(&self, canvas: &Canvas<DB>) -> Result<()>
    where
        DB::ErrorType: 'static,
    {
        for (text, size, x, y) in &self.texts {
            canvas.text(text, *size, (canvas.px(*x), canvas.px(*y)))?;
        }
        for (entry, x, y) in &self.legend {
            draw_entry(canvas, entry, *x, *y)?;
        }
        Ok(())
    }
}

fn draw_entry<DB: DrawingBackend>(canvas: &Canvas<DB>, entry: &Entry, x: f64, y: f64) -> Result<()>
where
    DB::ErrorType: 'static,
{
    let at = |dx: f64, dy: f64| (canvas.px(x + dx), canvas.px(y + dy));
    let (start, middle, end) = (at(0.0, 0.0), at(SAMPLE_WIDTH / 2.0, 0.0), at(SAMPLE_WIDTH, 0.0));
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
