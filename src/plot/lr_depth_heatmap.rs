//! What became of every learning rate at every depth, or at every value of another key where all nets
//! are of one depth: trained, stuck at chance, or diverged.

use super::Picture;
use super::axis::{Axis, short_number};
use super::canvas::Canvas;
use super::captions::capital;
use super::chart::Frame;
use super::page::{Entry, Sample, Sheet};
use super::panels::{label, split_axes, without_implied};
use super::{Options, Results};
use anyhow::{Result, ensure};
use fathom_record::{RunCurve, State, SweepCurves, group};
use plotters::prelude::*;

/// A net whose final training error is above this share of guessing's has learned nothing.
const STUCK: f64 = 0.95;

const DIVERGED: RGBColor = RGBColor(60, 60, 60);
const CHANCE: RGBColor = RGBColor(190, 190, 190);
/// From no error to that of guessing.
const GOOD: RGBColor = RGBColor(0, 114, 178);
const BAD: RGBColor = RGBColor(240, 228, 205);

/// One square: what its seeds came to.
struct Cell {
    column: usize,
    row: usize,
    /// Mean final training error of the runs that are done.
    error: Option<f64>,
    counts: Counts,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    trained: usize,
    stuck: usize,
    diverged: usize,
    unfinished: usize,
}

/// The figure, laid out.
pub(super) struct MapFigure {
    sheet: Sheet,
    /// The key of the columns, and its values.
    across: (String, Vec<f64>),
    rates: Vec<f64>,
    /// Guessing's error, or loss.
    chance: f64,
    panels: Vec<Vec<Cell>>,
}

impl MapFigure {
    /// Lays the figure out.
    ///
    /// # Errors
    /// When runs do not differ in learning rate and depth (or numbers of another key that is asked
    /// for), or the number of classes is not known.
    pub(super) fn new(results: &Results, options: &Options) -> Result<Self> {
        let curves = &results.curves;
        let metric = options.metric;
        let (varying, shared) = split_axes(curves);
        let varies = |axis: &str| varying.iter().any(|known| known == axis);
        ensure!(varies("lr"), "runs do not differ in lr");
        let is_number = |key: &str| curves.runs.iter().all(|run| run.number(key).is_some());
        let across = match options.group_by.as_deref() {
            Some(key) if !varies("depth") && key != "lr" => {
                ensure!(is_number(key), "{key} has values that are no numbers");
                key.to_owned()
            }
            _ => "depth".to_owned(),
        };
        ensure!(
            varies(&across),
            "runs do not differ in {across}: --group-by takes another key in place of depth"
        );
        let chance = results.chance(metric.train);
        let chance =
            chance.ok_or_else(|| anyhow::anyhow!("no run.json says how many classes there are"))?;
        let others: Vec<String> = without_implied(curves, varying)
            .into_iter()
            .filter(|axis| axis != "lr" && *axis != across && !follows(curves, axis, &across))
            .collect();
        let values = |axis: &str| {
            let mut values: Vec<f64> =
                curves.runs.iter().filter_map(|run| run.number(axis)).collect();
            values.sort_by(f64::total_cmp);
            values.dedup();
            values
        };
        let (columns, rates) = (values(&across), values("lr"));
        let place = |values: &[f64], run: &RunCurve, axis: &str| {
            values.iter().position(|value| Some(*value) == run.number(axis)).unwrap_or(0)
        };
        let (mut panels, mut titles) = (Vec::new(), Vec::new());
        for same in curves.groups(&others) {
            let name = label(&others, &same.values);
            let cells = group(&same.runs, &[across.clone(), "lr".to_owned()]);
            let cell = |runs: &[&RunCurve]| Cell {
                column: place(&columns, runs[0], &across),
                row: place(&rates, runs[0], "lr"),
                error: mean(runs, metric.train),
                counts: count(runs, metric.train, chance),
            };
            let cells: Vec<Cell> = cells.iter().map(|at| cell(&at.runs)).collect();
            let name = if name.is_empty() { "What became of each net" } else { &name };
            titles.push(format!("{name}: {}", reach(&cells, (&across, &columns), &rates)));
            panels.push(cells);
        }
        let shared = match shared.is_empty() {
            true => String::new(),
            false => format!(" All runs: {}.", shared.join(", ")),
        };
        let caption = format!(
            "Mean final {} ({}) of each learning rate and {across}; below it how many seeds trained, of \
             how many. Stuck: above {STUCK} of guessing's ({}). Diverged: the loss was no number any \
             more; such runs are not in the mean. Titles: the largest {across} and the largest rate at \
             which half of the seeds or more trained.{shared} Sources: {}, run.json.",
            metric.train_words,
            metric.train,
            metric.show(chance),
            options.source
        );
        let legend = vec![vec![
            Entry::new(Sample::Box(GOOD), "no error"),
            Entry::new(Sample::Box(blend(0.5)), "half of guessing's"),
            Entry::new(Sample::Box(CHANCE), "stuck at chance"),
            Entry::new(Sample::Box(DIVERGED), "diverged"),
            Entry::new(Sample::Box(WHITE), "unfinished"),
        ]];
        let sheet = Sheet::lay_out(options.note.as_deref(), &titles, &legend, &capital(&caption));
        Ok(Self { sheet, across: (across, columns), rates, chance, panels })
    }

    fn colour(&self, cell: &Cell) -> RGBColor {
        let Counts { trained, stuck, diverged, .. } = cell.counts;
        match cell.error {
            _ if diverged > 0 && diverged >= trained + stuck => DIVERGED,
            Some(_) if stuck > trained => CHANCE,
            Some(error) => blend((error / self.chance).min(1.0)),
            None => WHITE,
        }
    }
}

impl Picture for MapFigure {
    fn size(&self) -> (f64, f64) {
        self.sheet.size()
    }

    fn draw<DB: DrawingBackend>(&self, canvas: &Canvas<DB>) -> Result<()>
    where
        DB::ErrorType: 'static,
    {
        self.sheet.draw(canvas)?;
        let (x, y) = (Axis::categories(&self.across.1), Axis::categories(&self.rates));
        for (rect, cells) in self.sheet.panels.iter().zip(&self.panels) {
            let frame = Frame::draw(canvas, *rect, (&x, &self.across.0), (&y, "learning rate"))?;
            for cell in cells {
                let (column, row) = (cell.column as f64, cell.row as f64);
                let corner = |dx: f64, dy: f64| frame.place(column + dx, row + dy);
                let colour = self.colour(cell);
                canvas.rectangle([corner(-0.47, 0.47), corner(0.47, -0.47)], colour)?;
                let Counts { trained, stuck, diverged, unfinished } = cell.counts;
                let all = trained + stuck + diverged + unfinished;
                let error = match cell.error {
                    Some(error) => short_number((error * 10.0).round() / 10.0),
                    None if diverged > 0 => "diverged".into(),
                    None => "unfinished".into(),
                };
                let dark = f64::from(colour.0) * 0.3
                    + f64::from(colour.1) * 0.6
                    + f64::from(colour.2) * 0.1
                    < 125.0;
                let ink = if dark { WHITE } else { BLACK };
                canvas.centred(&error, 22.0, frame.place(column, row + 0.12), ink)?;
                let count = format!("{trained} of {all}");
                canvas.centred(&count, 17.0, frame.place(column, row - 0.2), ink)?;
            }
        }
        Ok(())
    }
}

/// Whether the axis' value is told by that of the key of the columns.
fn follows(curves: &SweepCurves, axis: &String, across: &str) -> bool {
    let columns = curves.groups(&[across.to_owned()]);
    columns.iter().all(|column| group(&column.runs, std::slice::from_ref(axis)).len() == 1)
}

/// The largest value of a key (depth) at which some rate trains, and the largest rate that trains.
fn reach(cells: &[Cell], (key, values): (&str, &[f64]), rates: &[f64]) -> String {
    let trains = |cell: &&Cell| {
        let Counts { trained, stuck, diverged, unfinished } = cell.counts;
        trained > 0 && 2 * trained >= trained + stuck + diverged + unfinished
    };
    let column = cells.iter().filter(trains).map(|cell| cell.column).max();
    let rate = cells.iter().filter(trains).map(|cell| cell.row).max();
    match (column, rate) {
        (Some(column), Some(rate)) => {
            let [value, rate] = [values[column], rates[rate]].map(short_number);
            format!("trains to {key} {value}, to rate {rate}")
        }
        _ => "nothing trains".into(),
    }
}

fn blend(share: f64) -> RGBColor {
    let mix = |a: u8, b: u8| (f64::from(a) + share * (f64::from(b) - f64::from(a))).round() as u8;
    RGBColor(mix(GOOD.0, BAD.0), mix(GOOD.1, BAD.1), mix(GOOD.2, BAD.2))
}

fn mean(runs: &[&RunCurve], metric: &str) -> Option<f64> {
    let values: Vec<f64> = runs.iter().filter_map(|run| run.final_metric(metric)).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn count(runs: &[&RunCurve], metric: &str, chance: f64) -> Counts {
    let mut counts = Counts::default();
    for run in runs {
        match (run.state, run.final_metric(metric)) {
            (State::Diverged, _) => counts.diverged += 1,
            (_, Some(value)) if value > STUCK * chance => counts.stuck += 1,
            (_, Some(_)) => counts.trained += 1,
            (_, None) => counts.unfinished += 1,
        }
    }
    counts
}
