//! Figures of any CSV table: columns against one of them, with a panel for each column and a line for
//! each group of rows.

use super::axis::{Axis, ends};
use super::canvas::{Mark, Stroke};
use super::layerwise::colour;
use super::lines::{Line, LinesFigure, Panel, Point};
use super::page::{Entry, Page, Sample};
use super::{canvas, to_png, to_svg};
use anyhow::{Context, Result, bail, ensure};
use fathom_base::capitalised;

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
    /// Name of the file for the caption.
    pub source: String,
}

impl Columns {
    /// Draws the table as SVG.
    ///
    /// # Errors
    /// When a column is missing, a cell is not a number (with its line), or no row has numbers in all
    /// columns.
    pub fn svg(&self, table: &str) -> Result<String> {
        canvas::load_font()?;
        to_svg(&self.figure(table)?)
    }

    /// Draws the table as PNG.
    ///
    /// # Errors
    /// The errors of [`Columns::svg`].
    pub fn png(&self, table: &str) -> Result<Vec<u8>> {
        canvas::load_font()?;
        to_png(&self.figure(table)?)
    }

    fn figure(&self, table: &str) -> Result<LinesFigure> {
        let [x, ys @ ..] = &self.names[..] else { bail!("no columns are named") };
        ensure!(!ys.is_empty(), "{x} alone: name a second column to draw against it");
        let groups = self.groups(table)?;
        let count = groups.len();
        let panels: Vec<Panel> = (0..ys.len())
            .map(|at| {
                let line = |(place, (_, rows)): (usize, &(String, Vec<Vec<f64>>))| Line {
                    colour: colour(place, count),
                    mark: Some(Mark::nth(place)),
                    stroke: Stroke::Bold,
                    points: rows.iter().map(|row| Point::bare(row[0], row[at + 1])).collect(),
                };
                let of = |column: usize| -> Vec<f64> {
                    groups
                        .iter()
                        .flat_map(|(_, rows)| rows.iter().map(move |row| row[column]))
                        .collect()
                };
                Panel {
                    x: axis(&of(0), self.log_x).titled(x.replace('_', " ")),
                    y: axis(&of(at + 1), self.log_y).titled(ys[at].replace('_', " ")),
                    lines: groups.iter().enumerate().map(line).collect(),
                }
            })
            .collect();
        let entry = |(place, (name, _)): (usize, &(String, Vec<Vec<f64>>))| {
            let sample = Sample::Line(colour(place, count), Some(Mark::nth(place)), Stroke::Bold);
            Entry::new(sample, name.as_str())
        };
        let legend: Vec<Entry> = match &self.group_by {
            Some(_) => groups.iter().enumerate().map(entry).collect(),
            None => Vec::new(),
        };
        let against = |y: &String| capitalised(&format!("{y} against {x}").replace('_', " "));
        let titles: Vec<String> = ys.iter().map(against).collect();
        let page = Page::lay_out(None, &titles, &[legend], &format!("Source: {}.", self.source));
        Ok(LinesFigure { page, panels })
    }

    /// The values of the named columns by group, in the order in which groups appear. Rows with an
    /// empty cell are skipped.
    fn groups(&self, table: &str) -> Result<Vec<(String, Vec<Vec<f64>>)>> {
        let mut reader = csv::Reader::from_reader(table.as_bytes());
        let headers = reader.headers().context("no table")?.clone();
        let place = |name: &String| {
            let found = headers.iter().position(|header| header == name);
            let all: Vec<&str> = headers.iter().collect();
            found
                .with_context(|| format!("there is no column {name}; there are {}", all.join(", ")))
        };
        let places = self.names.iter().map(place).collect::<Result<Vec<_>>>()?;
        let group = self.group_by.as_ref().map(place).transpose()?;
        let mut groups: Vec<(String, Vec<Vec<f64>>)> = Vec::new();
        for (line, record) in (2..).zip(reader.records()) {
            let record = record?;
            let cells: Vec<&str> = places.iter().map(|place| &record[*place]).collect();
            if cells.iter().any(|cell| cell.is_empty()) {
                continue;
            }
            let number = |(cell, name): (&&str, &String)| {
                let number = cell.parse::<f64>().ok().filter(|number| number.is_finite());
                number.with_context(|| {
                    format!("line {line}: column {name} has the value {cell}, expected a number")
                })
            };
            let row = cells.iter().zip(&self.names).map(number).collect::<Result<Vec<_>>>()?;
            let name = group.map(|place| record[place].to_owned()).unwrap_or_default();
            match groups.iter_mut().find(|(known, _)| *known == name) {
                Some((_, rows)) => rows.push(row),
                None => groups.push((name, vec![row])),
            }
        }
        ensure!(!groups.is_empty(), "no row has numbers in {}", self.names.join(", "));
        Ok(groups)
    }
}

fn axis(values: &[f64], log: bool) -> Axis {
    let (low, high) = ends(values).unwrap_or((0.0, 1.0));
    match (log && low > 0.0, low < 0.0) {
        (true, _) => Axis::log(low * 0.8, high * 1.25),
        (false, true) => Axis::between(low, high),
        (false, false) => Axis::from_zero(high),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "what,n,seconds,note\nplot,1,0.5,x\nplot,10,5,\ncheck,1,0.2,\ncheck,10,,\n";

    fn columns(names: &[&str]) -> Columns {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Columns {
            names,
            group_by: Some("what".into()),
            source: "a.csv".into(),
            ..Columns::default()
        }
    }

    #[test]
    fn a_line_for_each_group_of_rows_that_are_whole() {
        let groups = columns(&["n", "seconds"]).groups(TABLE).unwrap();
        let expected = [
            ("plot".to_owned(), vec![vec![1.0, 0.5], vec![10.0, 5.0]]),
            ("check".to_owned(), vec![vec![1.0, 0.2]]),
        ];
        assert_eq!(groups, expected);
        let svg = columns(&["n", "seconds"]).svg(TABLE).unwrap();
        for words in ["Seconds against n", "plot", "check", "Source: a.csv."] {
            assert!(svg.contains(words), "{words}");
        }
    }

    #[test]
    fn what_cannot_be_drawn_is_named() {
        let fault = |names: &[&str]| format!("{:#}", columns(names).svg(TABLE).unwrap_err());
        let expected = "there is no column hours; there are what, n, seconds, note";
        assert_eq!(fault(&["n", "hours"]), expected);
        assert_eq!(fault(&["n", "note"]), "line 2: column note has the value x, expected a number");
        assert_eq!(fault(&["n"]), "n alone: name a second column to draw against it");
    }
}
