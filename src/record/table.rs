//! CSV files with one type of row each. Columns are found by their names, so that files of earlier
//! and later versions, and of other programs, can be read; they are written in the order of the type.

use super::check_schema;
use anyhow::{Context, Result, anyhow, bail, ensure};
use csv::StringRecord;
use fathom_base::write_atomically;
use serde::Serialize;
use std::path::Path;

/// A row of a CSV file. [`row!`] implements it.
pub(super) trait Row: Serialize + Sized {
    /// Names of the columns, in the order in which they are written.
    const COLUMNS: &'static [&'static str];

    /// Reads a row from its cells, one after the other in the order of [`Row::COLUMNS`].
    ///
    /// # Errors
    /// When a cell cannot be read, with line and column.
    fn read(cells: &mut Cells<'_>) -> Result<Self>;

    /// Version of the format.
    fn schema(&self) -> u32;

    /// The measurements of the row that may be absent.
    fn figures_mut(&mut self) -> Vec<&mut Option<f64>>;
}

/// Defines a row type with the columns of its file, which are its fields in their order.
///
/// A field is required in files unless its type is an `Option`, or a value for files that lack it
/// follows its type. A field after `+` is no column.
macro_rules! row {
    (
        $(#[$attribute:meta])*
        pub struct $name:ident {
            $($(#[$about:meta])* pub $column:ident: $kind:ty $(= $absent:expr)?,)*
            $(+ $(#[$own_about:meta])* pub $own:ident: $own_kind:ty,)?
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
        pub struct $name {
            $($(#[$about])* pub $column: $kind,)*
            $($(#[$own_about])* #[serde(skip)] pub $own: $own_kind,)?
        }

        impl $crate::table::Row for $name {
            const COLUMNS: &'static [&'static str] = &[$(stringify!($column)),*];

            fn read(cells: &mut $crate::table::Cells<'_>) -> anyhow::Result<Self> {
                Ok(Self {
                    $($column: cells.next(None $(.or(Some($absent)))?)?,)*
                    $($own: Default::default(),)?
                })
            }

            fn schema(&self) -> u32 {
                self.schema
            }

            fn figures_mut(&mut self) -> Vec<&mut Option<f64>> {
                let cells: Vec<&mut dyn $crate::table::Cell> =
                    vec![$(&mut self.$column as &mut dyn $crate::table::Cell),*];
                cells.into_iter().filter_map(|cell| cell.figure_mut()).collect()
            }
        }
    };
}
pub(super) use row;

/// A type of values in cells.
pub(super) trait Cell {
    /// Reads a text that is not empty; nothing where it is no such value.
    fn parse(text: &str) -> Option<Self>
    where
        Self: Sized;

    /// The value of an empty cell; nothing where there must be one.
    fn empty() -> Option<Self>
    where
        Self: Sized,
    {
        None
    }

    /// This value as a measurement that may be absent, where its type is that.
    fn figure_mut(&mut self) -> Option<&mut Option<f64>> {
        None
    }
}

macro_rules! cell {
    ($($kind:ty),*) => {
        $(impl Cell for $kind {
            fn parse(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        })*
    };
}
cell!(u32, u64, f64, String);

impl Cell for Option<f64> {
    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Some)
    }

    fn empty() -> Option<Self> {
        Some(None)
    }

    fn figure_mut(&mut self) -> Option<&mut Option<f64>> {
        Some(self)
    }
}

/// The columns of a file: where those of a row type are, and which others there are.
pub(super) struct Header {
    known: &'static [&'static str],
    /// Position in the file of each known column; absent where the file lacks it.
    positions: Vec<Option<usize>>,
    /// Positions and names of the other columns.
    pub(super) others: Vec<(usize, String)>,
}

impl Header {
    /// The header of a file of rows `R`; the first `skipped` columns are not of the rows.
    ///
    /// # Errors
    /// When a name occurs twice, or columns are not separated by commas.
    pub(super) fn new<R: Row>(names: &StringRecord, skipped: usize) -> Result<Self> {
        let mut header =
            Self { known: R::COLUMNS, positions: vec![None; R::COLUMNS.len()], others: Vec::new() };
        if names.len() == 1
            && let Some(separator) = names[0].chars().find(|letter| ";\t".contains(*letter))
        {
            bail!("line 1: columns are separated by {separator:?}, expected commas");
        }
        for (position, name) in names.iter().enumerate().skip(skipped) {
            match R::COLUMNS.iter().position(|known| *known == name) {
                Some(place) if header.positions[place].is_none() => {
                    header.positions[place] = Some(position);
                }
                None if header.others.iter().all(|(_, other)| other != name) => {
                    header.others.push((position, name.to_owned()));
                }
                _ => bail!("line 1: column `{name}` occurs twice"),
            }
        }
        Ok(header)
    }

    /// Whether the file has any of these columns.
    pub(super) fn has_any(&self, mut columns: impl Iterator<Item = &'static str>) -> bool {
        columns.any(|column| {
            let place = self.known.iter().position(|known| *known == column);
            place.is_some_and(|place| self.positions[place].is_some())
        })
    }

    /// Reads a row.
    ///
    /// # Errors
    /// When a required column is missing, a cell cannot be read, or the row is of a later schema:
    /// with line and column.
    pub(super) fn row<R: Row>(&self, record: &StringRecord) -> Result<R> {
        let row = R::read(&mut Cells { header: self, record, next: 0 })?;
        check_schema(row.schema()).with_context(|| format!("line {}", line(record)))?;
        Ok(row)
    }
}

/// A record of a file; one with too few or too many cells is refused in fathom's words.
///
/// # Errors
/// When the record is damaged, with its line.
pub(super) fn checked(record: csv::Result<StringRecord>) -> Result<StringRecord> {
    record.map_err(|error| match error.kind() {
        csv::ErrorKind::UnequalLengths { pos: Some(at), expected_len, len } => {
            anyhow!("line {}: {len} values, but the header has {expected_len} columns", at.line())
        }
        _ => error.into(),
    })
}

/// The line of a record in its file, from 1.
pub(super) fn line(record: &StringRecord) -> u64 {
    record.position().map_or(0, csv::Position::line)
}

/// The cells of one line, in the order of the columns of its row type.
pub(super) struct Cells<'a> {
    header: &'a Header,
    record: &'a StringRecord,
    next: usize,
}

impl Cells<'_> {
    /// Reads the next cell; `absent` is its value where the column is missing or the cell empty.
    pub(super) fn next<T: Cell>(&mut self, absent: Option<T>) -> Result<T> {
        let place = self.next;
        self.next += 1;
        let (name, position) = (self.header.known[place], self.header.positions[place]);
        let text = position.and_then(|position| self.record.get(position)).unwrap_or_default();
        if text.is_empty() {
            return absent.or_else(T::empty).ok_or_else(|| match position {
                None => anyhow!("line 1: column `{name}` is missing"),
                Some(_) => anyhow!("line {}: column `{name}` is empty", line(self.record)),
            });
        }
        T::parse(text).ok_or_else(|| unreadable(self.record, name, text))
    }
}

/// The error for a cell whose text is not a value of its column.
pub(super) fn unreadable(record: &StringRecord, column: &str, text: &str) -> anyhow::Error {
    anyhow!("line {}: column `{column}` has the value `{text}`, expected a number", line(record))
}

/// Reads the text of a file up to its last line end: what follows is a line that a stopped program
/// did not finish.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn whole_lines(path: &Path) -> Result<String> {
    let mut text = text(path)?;
    text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
    Ok(text)
}

/// Reads the text of a file.
///
/// # Errors
/// When the file cannot be read, or is no text, with the line.
pub(super) fn text(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..valid].iter().filter(|byte| **byte == b'\n').count() + 1;
        anyhow!("{}: line {line} is not text in UTF-8", path.display())
    })
}

/// Reads all rows. Columns may be in any order, and unknown ones are ignored.
///
/// # Errors
/// When a required column is missing, a value cannot be read, or a row is of a later schema: with
/// file, line and column.
pub(super) fn read<R: Row>(path: &Path) -> Result<Vec<R>> {
    let text = whole_lines(path)?;
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let mut rows = || -> Result<Vec<R>> {
        let header = Header::new::<R>(reader.headers()?, 0)?;
        reader.records().map(|record| header.row(&checked(record)?)).collect()
    };
    rows().with_context(|| path.display().to_string())
}

/// Writes a file of rows in one go.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn write<R: Row>(path: &Path, rows: &[R]) -> Result<()> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row)?;
    }
    let bytes = writer.into_inner().map_err(|error| anyhow!("{error}"))?;
    write_atomically(path, &bytes)
}

/// Checks that a file which is to be continued has exactly the columns that are written.
///
/// # Errors
/// When its header is another one.
pub(super) fn check_header<R: Row>(path: &Path) -> Result<()> {
    let text = whole_lines(path)?;
    let found = text.lines().next().unwrap_or_default();
    ensure!(
        text.is_empty() || found == R::COLUMNS.join(","),
        "{} has other columns than this version of fathom writes, and cannot be continued",
        path.display()
    );
    Ok(())
}
