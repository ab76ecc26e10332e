//! How fast nets were trained: images per second, evaluations included.

use super::Picture;
use super::axis::Axis;
use super::canvas::Canvas;
use super::captions::seeds;
use super::chart::Frame;
use super::page::Sheet;
use super::panels::{label, split_axes, without_implied};
use super::{Options, Results, palette};
use anyhow::{Result, ensure};
use fathom_record::RunCurve;
use plotters::prelude::*;

/// More bars than these cannot be told apart.
const MOST: usize = 40;

/// One configuration: the median over its seeds.
struct Bar {
    label: String,
    images_per_second: f64,
}

/// The figure, laid out.
pub(super) struct SpeedFigure {
    sheet: Sheet,
    bars: Vec<Bar>,
}

impl SpeedFigure {
    /// Lays the figure out.
    ///
    /// # Errors
    /// When no run says how long it took and how many images it saw.
    pub(super) fn new(results: &Results, options: &Options) -> Result<Self> {
        let curves = &results.curves;
        let (varying, shared) = split_axes(curves);
        let axes = without_implied(curves, varying);
        let (mut bars, mut counts) = (Vec::new(), Vec::new());
        for same in curves.groups(&axes) {
            let speeds: Vec<f64> = same.runs.iter().filter_map(|run| speed(results, run)).collect();
            if let Some(images_per_second) = fathom_stats::median(&speeds) {
                counts.push(speeds.len());
                bars.push(Bar { label: label(&axes, &same.values), images_per_second });
            }
        }
        ensure!(!bars.is_empty(), "no run has two rows, and a batch size in its configuration");
        ensure!(bars.len() <= MOST, "{} bars are too many for a figure", bars.len());
        let devices = results.facts.values().filter_map(|facts| facts.manifest.as_ref());
        let mut devices: Vec<String> = devices
            .map(|made| {
                let execution = &made.execution;
                let shared = match execution.jobs {
                    0 | 1 => String::new(),
                    jobs => format!(", {jobs} runs side by side"),
                };
                let threads = match execution.threads {
                    1 => "one thread".to_owned(),
                    threads => format!("{threads} threads"),
                };
                format!("{} ({threads}{shared})", execution.device)
            })
            .collect();
        devices.sort();
        devices.dedup();
        let counts = seeds((
            counts.iter().min().copied().unwrap_or(0),
            counts.iter().max().copied().unwrap_or(0),
        ));
        let shared = match shared.is_empty() {
            true => String::new(),
            false => format!(" All runs: {}.", shared.join(", ")),
        };
        let caption = format!(
            "Training images per second between the first and the last row of a curve, evaluations \
             included: the median over n = {counts}. On {}.{shared} Sources: {}, run.json.",
            if devices.is_empty() { "unknown devices".into() } else { devices.join("; ") },
            options.source
        );
        let titles = ["Speed of training, evaluations included".to_owned()];
        let sheet = Sheet::lay_out(options.note.as_deref(), &titles, &[], &caption);
        Ok(Self { sheet, bars })
    }
}

/// Images per second of a run's updates and evaluations.
fn speed(results: &Results, run: &RunCurve) -> Option<f64> {
    let config = &results.facts.get(&run.id)?.config;
    let batch = config.get("training.batch")?.as_f64()?;
    let (first, last) = (run.rows.first()?, run.rows.last()?);
    let (steps, seconds) = ((last.step - first.step) as f64, last.seconds? - first.seconds?);
    Some(steps * batch / seconds).filter(|speed| speed.is_finite() && *speed > 0.0)
}

impl Picture for SpeedFigure {
    fn size(&self) -> (f64, f64) {
        self.sheet.size()
    }

    fn draw<DB: DrawingBackend>(&self, canvas: &Canvas<DB>) -> Result<()>
    where
        DB::ErrorType: 'static,
    {
        self.sheet.draw(canvas)?;
        let most = self.bars.iter().map(|bar| bar.images_per_second).fold(0.0, f64::max);
        // The first bar is on top.
        let names: Vec<f64> = (0..self.bars.len()).map(|place| place as f64).collect();
        let (x, y) = (Axis::from_zero(most * 1.15), Axis::categories(&names).without_labels());
        let frame = Frame::draw(canvas, self.sheet.panels[0], (&x, "images per second"), (&y, ""))?;
        let height = 0.8 / self.bars.len() as f64;
        for (place, bar) in self.bars.iter().enumerate() {
            let row = (self.bars.len() - 1 - place) as f64;
            let corners =
                [frame.place(0.0, row + 0.4), frame.place(bar.images_per_second, row - 0.4)];
            canvas.rectangle(corners, palette::of_word(1))?;
            let size = (height * 500.0).clamp(12.0, 24.0);
            let text = format!("{}: {:.0}", bar.label, bar.images_per_second);
            // Inside the bar where there is room, else behind it.
            let inside = bar.images_per_second > 0.45 * most;
            let (at, ink) = if inside { (0.0, WHITE) } else { (bar.images_per_second, BLACK) };
            let (left, middle) = frame.place(at, row);
            canvas.text_in(&text, size, (left + canvas.px(10.0), middle), ink)?;
        }
        Ok(())
    }
}
