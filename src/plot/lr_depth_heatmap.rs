//! Outcome of every learning rate at every depth (or at every value of another key, if all nets have
//! the same depth): trained, not trained, or diverged.

use super::axis::{Axis, TitledAxis};
use super::canvas::Canvas;
use super::chart::Frame;
use super::page::{Entry, Page, Sample, Sheet};
use super::palette::blend;
use super::panels::{all_runs, label, split_axes, with_asked};
use super::rounding::{decimals, short_number};
use super::{Metric, Options, Picture, Results};
use anyhow::{Context, Result, ensure};
use fathom_base::capitalised;
use fathom_record::{RunCurve, State, SweepCurves, group};
use plotters::prelude::*;

/// A net trains if its final training metric is below this share of the chance level, unless another
/// share was asked for: it must have removed at least a fifth of the error of guessing, which is 72% of
/// 10 classes. Nets that are just off the chance level, as at 85%, have hardly begun.
const TRAINS_BELOW: f64 = 0.8;

const DIVERGED: RGBColor = RGBColor(60, 60, 60);
const UNTRAINED: RGBColor = RGBColor(190, 190, 190);
/// Ends of the scale from no error to the chance level.
const GOOD: RGBColor = RGBColor(0, 114, 178);
const BAD: RGBColor = RGBColor(240, 228, 205);

/// Height of a panel without its cells, and of a cell on paper.
const FRAME: f64 = 90.0;
const CELL: f64 = 64.0;
/// Size of the counts in cells, on the screen and on paper.
const COUNT: [f64; 2] = [17.0, 21.0];

/// The runs of one learning rate and one value of the column's key.
struct Cell {
    column: usize,
    row: usize,
    /// Mean final training metric of the runs that are done.
    mean: Option<f64>,
    counts: Counts,
}

/// Numbers of seeds by outcome.
#[derive(Clone, Copy, Default)]
struct Counts {
    trained: usize,
    untrained: usize,
    diverged: usize,
    unfinished: usize,
}

/// The grid that all panels share.
struct Grid {
    /// Key of the columns.
    key: String,
    /// Values of the key, in ascending order.
    columns: Vec<f64>,
    /// Learning rates, in ascending order.
    rates: Vec<f64>,
    /// Chance level of the metric.
    chance: f64,
    /// The value below which a net trains.
    bar: f64,
}

/// The laid-out figure.
pub(super) struct HeatmapFigure {
    page: Page,
    x: TitledAxis,
    y: TitledAxis,
    chance: f64,
    panels: Vec<Vec<Cell>>,
}

impl HeatmapFigure {
    /// Lays the figure out.
    ///
    /// # Errors
    /// When runs do not differ in learning rate and depth (or the numeric key of `--group-by`), or the
    /// number of classes is not known.
    pub(super) fn new(results: &Results, options: &Options) -> Result<Self> {
        let curves = &results.curves;
        let metric = &options.metric;
        let (varying, shared) = split_axes(curves);
        let grid = Grid::of(results, &varying, options)?;
        let key = &grid.key;
        let facet = options.facet.as_ref();
        ensure!(
            facet.is_none_or(|facet| facet != "lr" && facet != key),
            "lr and {key} are its axes, and cannot distinguish panels"
        );
        let mut others: Vec<String> = with_asked(curves, &varying, facet)
            .into_iter()
            .filter(|axis| axis != "lr" && axis != key && !follows(curves, axis, key))
            .collect();
        others.sort_by_key(|axis| Some(axis) != facet);
        let (mut panels, mut titles) = (Vec::new(), Vec::new());
        for same in curves.groups(&others) {
            let name = label(&others, &same.values);
            let name = if name.is_empty() { "Outcome of each net" } else { &name };
            let cells = grid.cells(&same.runs, metric);
            titles.push(format!("{name}: {}", grid.reach(&cells)));
            panels.push(cells);
        }
        let mut parts = vec![capitalised(&format!(
            "Mean final {} ({}) of each learning rate and {key}; below it, the number of seeds that \
             trained, which is to end below {}, {:.0}% of the chance level ({}). Diverged: the loss \
             became non-finite; these runs are excluded from the mean. Titles: the largest {key} and \
             the largest rate at which at least half of the seeds trained.",
            metric.train_words,
            metric.train,
            metric.show(grid.bar),
            100.0 * grid.bar / grid.chance,
            metric.show(grid.chance),
        ))];
        parts.extend(all_runs(&shared));
        parts.push(format!("Sources: {}, run.json.", options.source));
        // On paper, a cell needs room for two lines of its text.
        let height = options.width.map(|_| FRAME + CELL * grid.rates.len().max(3) as f64);
        let page = Page::on(
            Sheet { panel_height: height, ..options.sheet() },
            &titles,
            &[legend(&metric.show(grid.bar))],
            &parts.join(" "),
        );
        let x = Axis::categories(&grid.columns).titled(key.as_str());
        let y = Axis::categories(&grid.rates).titled("learning rate");
        Ok(Self { page, x, y, chance: grid.chance, panels })
    }
}

impl Grid {
    fn of(results: &Results, varying: &[String], options: &Options) -> Result<Self> {
        let runs = &results.curves.runs;
        let varies = |axis: &str| varying.iter().any(|known| known == axis);
        ensure!(varies("lr"), "runs do not differ in lr");
        let key = match options.group_by.as_deref() {
            Some(key) if !varies("depth") && key != "lr" => {
                let is_numeric = runs.iter().all(|run| run.number(key).is_some());
                ensure!(is_numeric, "{key} has non-numeric values");
                key
            }
            Some(_) | None => "depth",
        };
        ensure!(
            varies(key),
            "runs do not differ in {key}; use --group-by with a key to take the place of depth"
        );
        let chance = results.chance(options.metric.train);
        let chance = chance.context("no run.json has the number of classes")?;
        let values = |axis: &str| {
            let mut values: Vec<f64> = runs.iter().filter_map(|run| run.number(axis)).collect();
            values.sort_by(f64::total_cmp);
            values.dedup();
            values
        };
        let bar = options.trains_below.unwrap_or(TRAINS_BELOW) * chance;
        Ok(Self { columns: values(key), rates: values("lr"), key: key.to_owned(), chance, bar })
    }

    fn cells(&self, runs: &[&RunCurve], metric: &Metric) -> Vec<Cell> {
        let index = |values: &[f64], run: &RunCurve, axis: &str| {
            values.iter().position(|value| Some(*value) == run.number(axis)).unwrap_or(0)
        };
        let cell = |runs: &[&RunCurve]| Cell {
            column: index(&self.columns, runs[0], &self.key),
            row: index(&self.rates, runs[0], "lr"),
            mean: mean(runs, metric.train),
            counts: Counts::of(runs, metric.train, self.bar),
        };
        let groups = group(runs, &[self.key.clone(), "lr".to_owned()]);
        groups.iter().map(|same| cell(&same.runs)).collect()
    }

    /// Words about the largest value of the key, and the largest rate, at which nets train.
    fn reach(&self, cells: &[Cell]) -> String {
        let trains =
            |cell: &&Cell| cell.counts.trained > 0 && 2 * cell.counts.trained >= cell.counts.all();
        let column = cells.iter().filter(trains).map(|cell| cell.column).max();
        let rate = cells.iter().filter(trains).map(|cell| cell.row).max();
        match (column, rate) {
            (Some(column), Some(rate)) => {
                let [value, rate] = [self.columns[column], self.rates[rate]].map(short_number);
                format!("trains up to {} {value}, rate {rate}", self.key)
            }
            _ => "no net trains".into(),
        }
    }
}

impl Counts {
    fn of(runs: &[&RunCurve], metric: &str, bar: f64) -> Self {
        let mut counts = Self::default();
        for run in runs {
            match (run.state, run.final_metric(metric)) {
                (State::Diverged, _) => counts.diverged += 1,
                (_, Some(value)) if value >= bar => counts.untrained += 1,
                (_, Some(_)) => counts.trained += 1,
                (_, None) => counts.unfinished += 1,
            }
        }
        counts
    }

    fn all(self) -> usize {
        self.trained + self.untrained + self.diverged + self.unfinished
    }
}

impl Cell {
    fn colour(&self, chance: f64) -> RGBColor {
        let Counts { trained, untrained, diverged, .. } = self.counts;
        match self.mean {
            _ if diverged > 0 && diverged >= trained + untrained => DIVERGED,
            Some(_) if untrained > trained => UNTRAINED,
            Some(mean) => blend(GOOD, BAD, (mean / chance).min(1.0)),
            None => WHITE,
        }
    }

    fn draw(&self, canvas: &Canvas<'_>, frame: &Frame, chance: f64, small: f64) -> Result<()> {
        let (column, row) = (self.column as f64, self.row as f64);
        let corner = |dx: f64, dy: f64| frame.place(column + dx, row + dy);
        let colour = self.colour(chance);
        canvas.rectangle([corner(-0.47, 0.47), corner(0.47, -0.47)], colour)?;
        let outcome = match self.mean {
            Some(mean) => short_number(decimals(mean, 1)),
            None if self.counts.diverged > 0 => "diverged".into(),
            None => "unfinished".into(),
        };
        let ink = if is_dark(colour) { WHITE } else { BLACK };
        canvas.centred(&outcome, 22.0, frame.place(column, row + 0.12), ink)?;
        let count = format!("{} of {}", self.counts.trained, self.counts.all());
        canvas.centred(&count, small, frame.place(column, row - 0.2), ink)
    }
}

impl Picture for HeatmapFigure {
    fn page(&self) -> &Page {
        &self.page
    }

    fn draw_panels(&self, canvas: &Canvas<'_>) -> Result<()> {
        let small = COUNT[usize::from(self.page.paper.is_some())];
        for (rect, cells) in self.page.panels.iter().zip(&self.panels) {
            let frame = Frame::draw(canvas, *rect, &self.x, &self.y)?;
            for cell in cells {
                cell.draw(canvas, &frame, self.chance, small)?;
            }
        }
        Ok(())
    }
}

/// Whether white text is easier to read on the colour than black text.
fn is_dark(colour: RGBColor) -> bool {
    f64::from(colour.0) * 0.3 + f64::from(colour.1) * 0.6 + f64::from(colour.2) * 0.1 < 125.0
}

fn legend(bar: &str) -> Vec<Entry> {
    vec![
        Entry::new(Sample::Box(GOOD), "no error"),
        Entry::new(Sample::Box(blend(GOOD, BAD, 0.5)), "half of the chance level"),
        Entry::new(Sample::Box(UNTRAINED), format!("not trained: ends at {bar} or above")),
        Entry::new(Sample::Box(DIVERGED), "diverged"),
        Entry::new(Sample::Box(WHITE), "unfinished"),
    ]
}

/// Whether the value of `axis` follows from that of `key`.
fn follows(curves: &SweepCurves, axis: &String, key: &str) -> bool {
    let columns = curves.groups(&[key.to_owned()]);
    columns.iter().all(|column| group(&column.runs, std::slice::from_ref(axis)).len() == 1)
}

fn mean(runs: &[&RunCurve], metric: &str) -> Option<f64> {
    let values: Vec<f64> = runs.iter().filter_map(|run| run.final_metric(metric)).collect();
    fathom_base::mean(&values)
}
