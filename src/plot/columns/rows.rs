//! The rows of a table by group, and the pieces of lines between their gaps.

use super::Columns;
use anyhow::Result;
use fathom_record::ForeignTable;
use std::collections::HashMap;

/// Pieces of a line beyond which its gaps cannot be seen.
const MAX_PIECES: usize = 500;

/// The points of a line up to a gap, by ascending x.
pub(super) type Piece = Vec<(f64, f64)>;

/// The rows of one line in each panel.
pub(super) struct Group {
    /// The value that its rows share.
    pub(super) name: String,
    /// Its rows with a finite x, in the order of the table.
    pub(super) rows: Vec<Row>,
}

/// The numbers of a row.
pub(super) struct Row {
    x: f64,
    /// Values of the columns; absent where the cell is empty.
    ys: Vec<Option<f64>>,
    /// Whether x is less than in the row before.
    goes_back: bool,
}

/// Rows of one kind, for a note.
#[derive(Default)]
struct Count {
    rows: usize,
    /// Line of the first one.
    first: u64,
}

impl Count {
    fn add(&mut self, line: u64) {
        if self.rows == 0 {
            self.first = line;
        }
        self.rows += 1;
    }

    /// `3 rows, first in line 12`; nothing if there is none.
    fn words(&self) -> Option<String> {
        let plural = if self.rows == 1 { "row" } else { "rows" };
        (self.rows > 0).then(|| format!("{} {plural}, first in line {}", self.rows, self.first))
    }
}

impl Columns {
    /// The rows by group, in the order in which groups appear, and notes on values that are not drawn.
    ///
    /// # Errors
    /// When a column is missing or a cell is no number.
    pub(super) fn groups(&self, table: &ForeignTable) -> Result<(Vec<Group>, Vec<String>)> {
        let place = |name: &String| table.column(name);
        let places = self.names.iter().map(place).collect::<Result<Vec<_>>>()?;
        let group_by = self.group_by.as_ref().map(place).transpose()?;
        let mut groups: Vec<Group> = Vec::new();
        let mut known: HashMap<String, usize> = HashMap::new();
        let new = |_: &String| Count::default();
        let mut gaps: Vec<Count> = self.names.iter().map(new).collect();
        let mut below: Vec<Count> = self.names.iter().map(new).collect();
        let mut returns = Count::default();
        table.for_each(|row| {
            let numbers = places.iter().map(|place| table.number(row, *place));
            let mut numbers = numbers.collect::<Result<Vec<_>>>()?;
            for (at, number) in numbers.iter_mut().enumerate() {
                let Some(value) = number else { continue };
                let is_log = if at == 0 { self.log_x } else { self.log_y };
                if !value.is_finite() {
                    gaps[at].add(row.line);
                } else if is_log && *value <= 0.0 {
                    below[at].add(row.line);
                    *value = f64::NAN;
                }
            }
            let Some(x) = numbers[0].filter(|x| x.is_finite()) else { return Ok(()) };
            let name = group_by.map(|place| row.text(place)).unwrap_or_default();
            let at = known.get(name).copied().unwrap_or_else(|| {
                known.insert(name.to_owned(), groups.len());
                groups.push(Group { name: name.to_owned(), rows: Vec::new() });
                groups.len() - 1
            });
            let goes_back = groups[at].rows.last().is_some_and(|last| x < last.x);
            if goes_back {
                returns.add(row.line);
            }
            groups[at].rows.push(Row { x, ys: numbers.split_off(1), goes_back });
            Ok(())
        })?;
        let mut notes = Vec::new();
        let [x, ..] = &self.names[..] else { return Ok((groups, notes)) };
        for ((name, gap), below) in self.names.iter().zip(&gaps).zip(&below) {
            let fate = if name == x { "which are left out" } else { "which are gaps" };
            if let Some(rows) = gap.words() {
                notes.push(format!("{name} is NaN or infinite in {rows}, {fate}"));
            }
            if let Some(rows) = below.words() {
                notes.push(format!(
                    "{name} is 0 or less in {rows}, {fate}: a logarithmic axis has no such values"
                ));
            }
        }
        if let Some(rows) = returns.words() {
            let hint =
                if group_by.is_none() { ", or where another run begins (--group-by)" } else { "" };
            notes.push(format!("{x} goes back in {rows}, as after a resume{hint}"));
        }
        Ok((groups, notes))
    }

    /// The line of a group in a panel, in pieces that end at a gap or where x goes back.
    pub(super) fn pieces(&self, group: &Group, at: usize, notes: &mut Vec<String>) -> Vec<Piece> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut ends = true;
        for row in &group.rows {
            ends |= row.goes_back;
            match row.ys[at] {
                None => {}
                Some(y) if !y.is_finite() => ends = true,
                Some(y) => {
                    if std::mem::take(&mut ends) {
                        pieces.push(Vec::new());
                    }
                    pieces.last_mut().into_iter().for_each(|piece| piece.push((row.x, y)));
                }
            }
        }
        if pieces.len() > MAX_PIECES {
            let (x, y) = (&self.names[0], &self.names[at + 1]);
            notes.push(format!(
                "{y} has {} gaps, too many to show: its rows are joined by {x}",
                pieces.len() - 1
            ));
            let mut all = pieces.concat();
            all.sort_by(|a, b| a.0.total_cmp(&b.0));
            pieces = vec![all];
        }
        if self.smooth > 1 {
            pieces = pieces.iter().map(|piece| trailing_mean(piece, self.smooth)).collect();
        }
        pieces
    }
}

/// Each value becomes the mean of up to `count` values that end with it.
fn trailing_mean(piece: &Piece, count: usize) -> Piece {
    let mut sum = 0.0;
    let mean = |(place, (x, y)): (usize, &(f64, f64))| {
        sum += y;
        if place >= count {
            sum -= piece[place - count].1;
        }
        (*x, sum / (place + 1).min(count) as f64)
    };
    piece.iter().enumerate().map(mean).collect()
}
