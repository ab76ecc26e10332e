//! Figures of any CSV table: columns against one of them, with a panel for each column and a line for
//! each group of rows.

mod rows;
mod thin;

use super::axis::{Axis, ends};
use super::canvas::{Mark, Stroke};
use super::layerwise::colour;
use super::lines::{Line, LinesFigure, Panel, Point};
use super::page::{Entry, Page, Sample, Sheet};
use super::{Width, canvas, to_svg};
use anyhow::{Result, bail, ensure};
use fathom_record::ForeignTable;
use rows::{Group, Piece};

/// Points of a line up to which each has a mark.
const MARKED: usize = 60;
/// Largest size of a number that axes can show: sums and differences of several are numbers still.
const MOST: f64 = 1e300;
/// Lines that can be told apart.
const MAX_GROUPS: usize = 60;

/// The columns of a table to draw, and the axes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Columns {
    /// Names of the columns: that of the x axis, then one for each panel.
    pub names: Vec<String>,
    /// The column whose values distinguish the lines by colour.
    pub group_by: Option<String>,
    /// Whether the x axis is logarithmic.
    pub log_x: bool,
    /// Whether the y axes are logarithmic.
    pub log_y: bool,
    /// Number of rows in the trailing mean; 0 and 1 do not average.
    pub smooth: usize,
    /// Width on paper; without it, the figure is for the screen.
    pub width: Option<Width>,
    /// Name of the file for the caption.
    pub source: String,
}

/// A laid-out figure of a table.
pub struct TableFigure {
    figure: LinesFigure,
    /// What is not drawn as it stands in the table.
    pub notes: Vec<String>,
}

impl TableFigure {
    /// The figure as SVG.
    ///
    /// # Errors
    /// When plotters fails.
    pub fn svg(&self) -> Result<String> {
        to_svg(&self.figure)
    }
}

impl Columns {
    /// Lays the figure out. NaN and infinite values are gaps in the lines.
    ///
    /// # Errors
    /// When a column is missing, a cell is not a number (with its line), or no row has numbers to draw.
    pub fn lay_out(&self, table: &ForeignTable) -> Result<TableFigure> {
        canvas::load_font()?;
        let [x, ys @ ..] = &self.names[..] else { bail!("no columns are named") };
        ensure!(!ys.is_empty(), "{x} alone: name a second column to draw against it");
        let (groups, mut notes) = self.groups(table)?;
        ensure!(
            groups.len() <= MAX_GROUPS,
            "{} has {} values, and a figure shows at most {MAX_GROUPS} lines",
            self.group_by.as_deref().unwrap_or_default(),
            groups.len()
        );
        let pieces: Vec<Vec<Vec<Piece>>> = (0..ys.len())
            .map(|at| groups.iter().map(|group| self.pieces(group, at, &mut notes)).collect())
            .collect();
        let is_empty = |panel: &Vec<Vec<Piece>>| panel.iter().all(Vec::is_empty);
        if pieces.iter().all(is_empty) {
            let why =
                if notes.is_empty() { String::new() } else { format!(": {}", notes.join("; ")) };
            bail!("no row has numbers to draw in {}{why}", self.names.join(", "));
        }
        for (name, _) in ys.iter().zip(&pieces).filter(|(_, panel)| is_empty(panel)) {
            notes.push(format!("{name} has no number to draw"));
        }
        let all = || pieces.iter().flatten().flatten().flatten();
        let is_huge = |point: &&(f64, f64)| point.0.abs() > MOST || point.1.abs() > MOST;
        if let Some((x, y)) = all().find(is_huge) {
            bail!(
                "a row has {x:e} and {y:e} in {}: a figure shows numbers up to {MOST:e}",
                self.names.join(", ")
            );
        }
        let x_axis = axis(all().map(|point| point.0), self.log_x);
        let is_marked = groups.iter().all(|group| group.rows.len() <= MARKED);
        let mark = |place: usize| is_marked.then(|| Mark::nth(place));
        let budget = thin::budget(groups.len() * ys.len());
        let panels = ys.iter().zip(&pieces).map(|(name, panel)| {
            let lines = panel
                .iter()
                .enumerate()
                .flat_map(|(place, pieces)| pieces.iter().map(move |piece| (place, piece)));
            let line = |(place, piece): (usize, &Piece)| Line {
                colour: colour(place, groups.len()),
                // A single point is no line.
                mark: mark(place).or((piece.len() == 1).then_some(Mark::nth(place))),
                stroke: Stroke::Bold,
                points: thin::thin(piece, &x_axis, budget)
                    .into_iter()
                    .map(|(x, y)| Point::bare(x, y))
                    .collect(),
            };
            let y = axis(panel.iter().flatten().flatten().map(|point| point.1), self.log_y);
            Panel::new(x_axis.clone().titled(x), y.titled(name), lines.map(line).collect())
        });
        let panels: Vec<Panel> = panels.collect();
        let entry = |(place, group): (usize, &Group)| {
            let sample = Sample::Line(colour(place, groups.len()), mark(place), Stroke::Bold);
            Entry::new(sample, group.name.as_str())
        };
        let legend: Vec<Entry> = match &self.group_by {
            Some(_) => groups.iter().enumerate().map(entry).collect(),
            None => Vec::new(),
        };
        let against = |y: &String| format!("{y} against {x}");
        let titles: Vec<String> = ys.iter().map(against).collect();
        let sheet = Sheet { width: self.width, ..Sheet::default() };
        let page = Page::on(sheet, &titles, &[legend], &self.caption(&notes));
        notes.extend(table.notes.iter().cloned());
        Ok(TableFigure { figure: LinesFigure { page, panels }, notes })
    }

    fn caption(&self, notes: &[String]) -> String {
        let notes = notes.iter().map(|note| format!("{note}."));
        let smooth = (self.smooth > 1)
            .then(|| format!("Each point is the mean of {} rows that end with it.", self.smooth));
        let source = format!("Source: {}.", self.source);
        notes.chain(smooth).chain([source]).collect::<Vec<_>>().join(" ")
    }
}

fn axis(values: impl Iterator<Item = f64>, log: bool) -> Axis {
    let (low, high) = ends(&values.collect::<Vec<_>>()).unwrap_or((0.0, 1.0));
    match (log, low < 0.0) {
        (true, _) => Axis::log(low * 0.8, high * 1.25),
        (false, true) => Axis::between(low, high),
        (false, false) => Axis::from_zero(high),
    }
}

#[cfg(test)]
mod tests;
