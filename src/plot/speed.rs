//! Training speed in images per second, including evaluations: a pale bar for each configuration, on which its name and
//! speed begin.

use super::Picture;
use super::axis::{Axis, TitledAxis};
use super::canvas::{Canvas, wrap};
use super::captions::seeds;
use super::chart::{BOTTOM, Frame, LEFT, RIGHT, TOP};
use super::page::{Page, Sheet};
use super::panels::{all_runs, extent, label, split_axes, without_implied};
use super::rounding::pixel;
use super::{Options, Results, palette};
use anyhow::{Result, ensure};
use fathom_record::RunCurve;
use plotters::prelude::*;

/// Largest number of bars that a figure has room for.
const MOST: usize = 40;

/// Size of the text on bars.
const TEXT: f64 = 22.0;
/// Height of a line of it.
const LINE: f64 = 1.3 * TEXT;
/// Distance of it from the axis and from the right end of the panel.
const INDENT: f64 = 10.0;
/// Distance between two bars that are as high as their text.
const GAP: f64 = 6.0;

/// The bar of one configuration.
struct Bar {
    /// Name and speed.
    lines: Vec<String>,
    /// Median over the seeds.
    images_per_second: f64,
}

/// The laid-out figure.
pub(super) struct SpeedFigure {
    page: Page,
    x: TitledAxis,
    y: TitledAxis,
    bars: Vec<Bar>,
}

impl SpeedFigure {
    /// Lays the figure out.
    ///
    /// # Errors
    /// When no run has two rows and a batch size, or there are more than 40 configurations.
    pub(super) fn new(results: &Results, options: &Options) -> Result<Self> {
        let curves = &results.curves;
        let (varying, shared) = split_axes(curves);
        let axes = without_implied(curves, varying);
        let (mut bars, mut counts) = (Vec::new(), Vec::new());
        let room = options.sheet().panel_width(1) - LEFT - RIGHT - 2.0 * INDENT;
        for same in curves.groups(&axes) {
            let speeds: Vec<f64> = same.runs.iter().filter_map(|run| speed(results, run)).collect();
            if let Some(images_per_second) = fathom_stats::median(&speeds) {
                counts.push(speeds.len());
                let name = label(&axes, &same.values);
                let separator = if name.is_empty() { "" } else { ": " };
                let text = format!("{name}{separator}{images_per_second:.0}");
                bars.push(Bar { lines: wrap(&text, TEXT, room), images_per_second });
            }
        }
        ensure!(!bars.is_empty(), "no run has two rows and a batch size in its configuration");
        ensure!(
            bars.len() <= MOST,
            "{} configurations are too many for one figure, which has room for {MOST}",
            bars.len()
        );
        let mut parts = vec![format!(
            "Training images per second between the first and the last row of a curve, including \
             evaluations: median over n = {}. Device: {}.",
            seeds(extent(counts.iter().copied())),
            devices(results)
        )];
        parts.extend(all_runs(&shared));
        parts.push(format!("Sources: {}, run.json.", options.source));
        let titles = ["Training speed, including evaluations".to_owned()];
        let most = bars.iter().map(|bar| bar.lines.len()).max().unwrap_or(1);
        let height = TOP + BOTTOM + bars.len() as f64 * (most as f64 * LINE + GAP);
        let sheet = options.sheet();
        let sheet = Sheet { panel_height: Some(height.max(sheet.height())), ..sheet };
        let page = Page::on(sheet, &titles, &[], &parts.join(" "));
        let fastest = bars.iter().map(|bar| bar.images_per_second).fold(0.0, f64::max);
        let x = Axis::from_zero(fastest).titled("images per second");
        let rows: Vec<f64> = (0..bars.len()).map(|row| row as f64).collect();
        let y = Axis::categories(&rows).without_labels().titled("");
        Ok(Self { page, x, y, bars })
    }
}

/// The devices of all runs, with threads and concurrent runs.
fn devices(results: &Results) -> String {
    let manifests = results.provenance.values().filter_map(|run| run.manifest.as_ref());
    let mut devices: Vec<String> = manifests
        .map(|made| {
            let execution = &made.execution;
            let concurrent = match execution.jobs {
                0 | 1 => String::new(),
                jobs => format!(", {jobs} concurrent runs"),
            };
            let threads = match execution.threads {
                1 => "1 thread".to_owned(),
                threads => format!("{threads} threads"),
            };
            format!("{} ({threads}{concurrent})", execution.device)
        })
        .collect();
    devices.sort();
    devices.dedup();
    if devices.is_empty() { "unknown".into() } else { devices.join("; ") }
}

/// Images per second of a run's updates, including the time of evaluations.
fn speed(results: &Results, run: &RunCurve) -> Option<f64> {
    let config = &results.provenance.get(&run.id)?.config;
    let batch = config.get("training.batch")?.as_f64()?;
    let (first, last) = (run.rows.first()?, run.rows.last()?);
    let (steps, seconds) = ((last.step - first.step) as f64, last.seconds? - first.seconds?);
    Some(steps * batch / seconds).filter(|speed| speed.is_finite() && *speed > 0.0)
}

impl Picture for SpeedFigure {
    fn page(&self) -> &Page {
        &self.page
    }

    fn draw_panels(&self, canvas: &Canvas<'_>) -> Result<()> {
        let frame = Frame::draw(canvas, self.page.panels[0], &self.x, &self.y)?;
        for (place, bar) in self.bars.iter().enumerate() {
            // The first bar is at the top.
            let row = (self.bars.len() - 1 - place) as f64;
            let corners =
                [frame.place(0.0, row + 0.42), frame.place(bar.images_per_second, row - 0.42)];
            canvas.rectangle(corners, palette::blend(palette::of_category(1), WHITE, 0.55))?;
            let (left, middle) = frame.place(0.0, row);
            for (number, line) in bar.lines.iter().enumerate() {
                let below = (number as f64 - (bar.lines.len() as f64 - 1.0) / 2.0) * LINE;
                let place = (left + pixel(INDENT), middle + pixel(below));
                canvas.text(line, TEXT, place)?;
            }
        }
        Ok(())
    }
}
