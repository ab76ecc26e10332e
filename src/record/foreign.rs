//! Tables that other programs wrote: CSV with commas, semicolons or tabs, blanks, gaps, decimal commas
//! and an incomplete last line.

use anyhow::{Context, Result, anyhow, bail, ensure};
use csv::{StringRecord, Trim};
use fathom_base::key::nearest;
use std::path::Path;

/// Words of a cell without a value.
const ABSENT: [&str; 9] = ["", "NA", "N/A", "n/a", "null", "NULL", "None", "-", "--"];

/// A table of another program, whose cells are read when they are needed.
#[derive(Clone, Debug)]
pub struct ForeignTable {
    /// Names of the columns.
    pub headers: Vec<String>,
    /// What a reader should know about the file.
    pub notes: Vec<String>,
    text: String,
    delimiter: u8,
}

/// A row of a [`ForeignTable`].
#[derive(Clone, Debug)]
pub struct ForeignRow {
    /// Its line in the file, from 1.
    pub line: u64,
    record: StringRecord,
}

impl ForeignTable {
    /// Reads the file, and its header.
    ///
    /// # Errors
    /// When the file cannot be read, is no text, or has no columns or two of the same name.
    pub fn read(path: &Path) -> Result<Self> {
        let text = super::table::text(path)?;
        Self::parse(text).with_context(|| path.display().to_string())
    }

    /// Reads a table from text.
    ///
    /// # Errors
    /// When it has no columns, or two of the same name.
    pub fn parse(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        let first = text.trim_start_matches('\u{feff}').lines().next().unwrap_or_default();
        ensure!(!first.trim().is_empty(), "line 1 has no names of columns");
        let count = |delimiter: &u8| first.bytes().filter(|byte| byte == delimiter).count();
        // Of equal counts the last one is taken: the comma.
        let delimiter = b"\t;,".iter().copied().max_by_key(count).unwrap_or(b',');
        let mut table = Self { headers: Vec::new(), notes: Vec::new(), text, delimiter };
        table.headers = table.reader().headers()?.iter().map(str::to_owned).collect();
        for (place, name) in table.headers.iter().enumerate() {
            let is_twice = !name.is_empty() && table.headers[..place].contains(name);
            ensure!(!is_twice, "line 1: column `{name}` occurs twice");
        }
        table.drop_incomplete_line();
        Ok(table)
    }

    /// Drops a last line without its end that has fewer values than the header: a program is about to
    /// write it. One with all values is kept, as many programs do not end the last line, and noted, as its last
    /// value may be cut.
    fn drop_incomplete_line(&mut self) {
        let Some(end) = self.text.rfind('\n').filter(|end| end + 1 < self.text.len()) else {
            return;
        };
        let last = &self.text[end + 1..];
        let values = last.bytes().filter(|byte| *byte == self.delimiter).count() + 1;
        if values < self.headers.len() || last.ends_with(char::from(self.delimiter)) {
            self.notes.push("the last line is incomplete, as of a live log, and left out".into());
            self.text.truncate(end + 1);
        } else {
            self.notes.push(
                "the last line has no line end: if the file was cut, so is its last value".into(),
            );
        }
    }

    fn reader(&self) -> csv::Reader<&[u8]> {
        csv::ReaderBuilder::new()
            .delimiter(self.delimiter)
            .trim(Trim::All)
            .flexible(true)
            .from_reader(self.text.trim_start_matches('\u{feff}').as_bytes())
    }

    /// The position of a column.
    ///
    /// # Errors
    /// When there is none of this name, with all names and the most similar one.
    pub fn column(&self, name: &str) -> Result<usize> {
        let names = || self.headers.iter().map(String::as_str);
        names().position(|header| header == name).ok_or_else(|| {
            let hint = nearest(name, names()).map(|meant| format!("; did you mean {meant}?"));
            let all = names().collect::<Vec<_>>().join(", ");
            anyhow!("there is no column {name}; there are {all}{}", hint.unwrap_or_default())
        })
    }

    /// Calls `on_row` with each row. Cells that a row lacks are empty.
    ///
    /// # Errors
    /// When a row has more values than the header has columns, and those of `on_row`.
    pub fn for_each(&self, mut on_row: impl FnMut(&ForeignRow) -> Result<()>) -> Result<()> {
        let mut reader = self.reader();
        let mut row = ForeignRow { line: 0, record: StringRecord::new() };
        while reader.read_record(&mut row.record)? {
            row.line = row.record.position().map_or(0, csv::Position::line);
            let (values, columns) = (row.record.len(), self.headers.len());
            let is_blank = |place| row.record.get(place).is_none_or(str::is_empty);
            if values > columns && !(columns..values).all(is_blank) {
                let line = row.line;
                bail!("line {line}: {values} values, but the header has {columns} columns");
            }
            on_row(&row)?;
        }
        Ok(())
    }

    /// The value of a column in a row as a number; nothing where there is no value.
    ///
    /// # Errors
    /// When the cell has another text, with line and column.
    pub fn number(&self, row: &ForeignRow, column: usize) -> Result<Option<f64>> {
        let text = row.text(column);
        if ABSENT.contains(&text) {
            return Ok(None);
        }
        let number = text.parse().ok().or_else(|| {
            let has_decimal_comma = self.delimiter != b',' && text.matches(',').count() == 1;
            has_decimal_comma.then(|| text.replace(',', ".").parse().ok()).flatten()
        });
        number.map(Some).ok_or_else(|| {
            let name = &self.headers[column];
            anyhow!("line {}: column {name} has the value {text}, expected a number", row.line)
        })
    }
}

impl ForeignRow {
    /// The text of a cell; empty where the row lacks it.
    pub fn text(&self, column: usize) -> &str {
        self.record.get(column).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Numbers = Vec<Vec<Option<f64>>>;

    /// All numbers of a table, and its notes.
    fn numbers(text: &str) -> Result<(Numbers, Vec<String>)> {
        let table = ForeignTable::parse(text)?;
        let mut rows = Vec::new();
        table.for_each(|row| {
            rows.push(
                (0..table.headers.len()).map(|at| table.number(row, at)).collect::<Result<_>>()?,
            );
            Ok(())
        })?;
        Ok((rows, table.notes))
    }

    #[test]
    fn one_table_in_many_spellings_is_the_same_table() {
        for text in [
            "a,b\n1,2.5\n3,\n",
            "\u{feff}a, b\r\n1, 2.5\r\n3,NA\r\n",
            "a;b\n1;2,5\n3;\n",
            "a\tb\n1\t2.5\n3\tNone\n",
            "a,b\n1,2.5\n3\n",
            "a,b,\n1,2.5,\n3,,\n",
            "a,b\n1,2.5\n3,-\n4",
            "a,b\n1,2.5\n3,-\n4,",
            "\"a\",b\n\"1\",2.5\n\n3,null",
        ] {
            let (mut rows, _) = numbers(text).unwrap();
            rows.iter_mut().for_each(|row| row.truncate(2));
            assert_eq!(rows, [[Some(1.0), Some(2.5)], [Some(3.0), None]], "{text:?}");
        }
        let (rows, notes) = numbers("a,b\n1,nan\n2,-inf\n3,4\n").unwrap();
        assert!(rows[0][1].unwrap().is_nan() && notes.is_empty());
        assert_eq!((rows[1][1], rows[2][1]), (Some(f64::NEG_INFINITY), Some(4.0)));
        let (_, notes) = numbers("a,b\n1,2\n3").unwrap();
        assert_eq!(notes, ["the last line is incomplete, as of a live log, and left out"]);
        let (rows, notes) = numbers("a,b\n1,2\n3,0.").unwrap();
        assert_eq!(rows[1], [Some(3.0), Some(0.0)]);
        let expected = "the last line has no line end: if the file was cut, so is its last value";
        assert_eq!(notes, [expected]);
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_place() {
        let fault = |text: &str| format!("{:#}", numbers(text).unwrap_err());
        for (text, expected) in [
            ("", "line 1 has no names of columns"),
            ("a,b,a\n", "line 1: column `a` occurs twice"),
            ("a,b\n1,2,3\n", "line 2: 3 values, but the header has 2 columns"),
            ("a,b\n1,x\n", "line 2: column b has the value x, expected a number"),
            ("a;b\n1;1.000,5\n", "line 2: column b has the value 1.000,5, expected a number"),
        ] {
            assert_eq!(fault(text), expected);
        }
        let missing = ForeignTable::parse("step,loss\n").unwrap().column("los").unwrap_err();
        let expected = "there is no column los; there are step, loss; did you mean loss?";
        assert_eq!(missing.to_string(), expected);
    }
}
