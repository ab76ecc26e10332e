//! Curves of other programs' logs: CSV tables and TensorBoard's event files.

mod expression;

use super::curve::check_value;
use super::events::{is_event_file, read_events};
use super::{CurveRow, ForeignTable, SCHEMA};
use anyhow::{Context, Result, ensure};
pub use expression::Expression;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

/// A log of another program.
#[derive(Clone, Debug)]
pub struct Log {
    path: PathBuf,
    /// Names of its columns; those of event files are `step` and the tags of scalars.
    pub columns: Vec<String>,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Table(ForeignTable),
    /// A value for each column in each step of the events.
    Events(Vec<Vec<Option<f64>>>),
}

/// The columns of a curve as expressions of the columns of a log.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// The number of updates.
    pub step: Expression,
    /// Other columns by name.
    pub columns: Vec<(String, Expression)>,
}

/// The name of the column of steps in event files.
const STEP: &str = "step";

impl Log {
    /// Reads a CSV table, an event file, or a folder with event files, which are read in the order of
    /// their names.
    ///
    /// # Errors
    /// When the log cannot be read, is damaged, has no columns, or has the curves of several runs.
    pub fn read(path: &Path) -> Result<Self> {
        let files = if path.is_dir() { event_files(path)? } else { vec![path.to_owned()] };
        if path.is_dir() || begins_as_events(path)? {
            let mut scalars = Vec::new();
            for file in &files {
                scalars.extend(read_events(file)?);
            }
            let tags = scalars.iter().flat_map(|event| event.values.keys());
            let tags: BTreeSet<&String> = tags.filter(|tag| *tag != STEP).collect();
            let columns: Vec<String> =
                [STEP.to_owned()].into_iter().chain(tags.into_iter().cloned()).collect();
            let row = |event: &super::events::Scalars| {
                let values = columns[1..].iter().map(|tag| event.values.get(tag).copied());
                std::iter::once(Some(event.step as f64)).chain(values).collect()
            };
            let rows = scalars.iter().map(row).collect();
            return Ok(Self { path: path.into(), columns, content: Content::Events(rows) });
        }
        let table = ForeignTable::read(path)?;
        check_one_run(&table).with_context(|| path.display().to_string())?;
        Ok(Self {
            path: path.into(),
            columns: table.headers.clone(),
            content: Content::Table(table),
        })
    }

    /// What a reader should know about the file.
    pub fn notes(&self) -> &[String] {
        match &self.content {
            Content::Table(table) => &table.notes,
            Content::Events(_) => &[],
        }
    }

    /// The curve, and notes on values that are replaced. Rows of one step are joined; where a column
    /// goes back, as after a resume, its later values replace the earlier ones.
    ///
    /// # Errors
    /// When a cell cannot be read, a step is no whole number, or an error is outside 0 … 100 %: with
    /// file and line.
    pub fn curve(&self, mapping: &Mapping) -> Result<(Vec<CurveRow>, Vec<String>)> {
        let expressions = || {
            let others = mapping.columns.iter().map(|(_, expression)| expression);
            std::iter::once(&mapping.step).chain(others)
        };
        let mut series: Vec<Series> = mapping.columns.iter().map(|_| Series::default()).collect();
        let mut take = |place: &str, values: &[Option<f64>]| -> Result<()> {
            let Some(step) = values[0] else { return Ok(()) };
            let step = whole(step).with_context(|| {
                let text = &mapping.step.text;
                format!("{place}: --step {text} is {step}, expected a whole number from 0 to {MOST_STEPS}")
            })?;
            for (at, (name, expression)) in mapping.columns.iter().enumerate() {
                let Some(value) = values[at + 1] else { continue };
                check_value(name, value)
                    .with_context(|| format!("{place}: {}", expression.text))?;
                series[at].add(step, value, place);
            }
            Ok(())
        };
        let context = || self.path.display().to_string();
        self.for_each(&expressions().collect::<Vec<_>>(), &mut take).with_context(context)?;
        let mut rows: BTreeMap<u64, CurveRow> = BTreeMap::new();
        let mut notes = Vec::new();
        for ((name, expression), series) in mapping.columns.iter().zip(series) {
            ensure!(!series.values.is_empty(), "{}: {} has no value", context(), expression.text);
            if let Some((place, step)) = series.returned {
                notes.push(format!(
                    "{name} goes back to step {step} at {place}, as after a resume: later values \
                     replace the earlier ones"
                ));
            }
            for (step, value) in series.values {
                let row = rows.entry(step).or_insert_with(|| CurveRow {
                    schema: SCHEMA,
                    step,
                    ..CurveRow::default()
                });
                if !row.set(name, value) {
                    row.extra.insert(name.clone(), value);
                }
            }
        }
        Ok((rows.into_values().collect(), notes))
    }

    /// Calls `take` with place and values of the expressions in each row.
    fn for_each(
        &self,
        expressions: &[&Expression],
        take: &mut impl FnMut(&str, &[Option<f64>]) -> Result<()>,
    ) -> Result<()> {
        let place = |name: &String| self.columns.iter().position(|column| column == name);
        let places: Vec<Vec<usize>> =
            expressions.iter().map(|it| it.columns.iter().filter_map(place).collect()).collect();
        match &self.content {
            Content::Table(table) => table.for_each(|row| {
                let mut values = Vec::new();
                for (expression, places) in expressions.iter().zip(&places) {
                    let cells = places.iter().map(|place| table.number(row, *place));
                    values.push(expression.value(&cells.collect::<Result<Vec<_>>>()?));
                }
                take(&format!("line {}", row.line), &values)
            }),
            Content::Events(rows) => {
                for (number, row) in (1..).zip(rows) {
                    let value = |(expression, places): (&&Expression, &Vec<usize>)| {
                        let cells: Vec<_> = places.iter().map(|place| row[*place]).collect();
                        expression.value(&cells)
                    };
                    let values: Vec<_> = expressions.iter().zip(&places).map(value).collect();
                    take(&format!("event {number}"), &values)?;
                }
                Ok(())
            }
        }
    }
}

/// Refuses a table of several runs, such as `curves.csv`: their curves would become one.
fn check_one_run(table: &ForeignTable) -> Result<()> {
    let Ok(column) = table.column("run_id") else { return Ok(()) };
    let mut first: Option<String> = None;
    table.for_each(|row| {
        let (id, line) = (row.text(column), row.line);
        let known = first.get_or_insert_with(|| id.to_owned());
        ensure!(
            known == id,
            "line {line}: column run_id changes from {known} to {id}: this file has several runs, and an import makes \
             one run of a file; plot, check, report and compare take a folder with fathom's curves.csv as it is"
        );
        Ok(())
    })
}

/// The values of a column by step.
#[derive(Default)]
struct Series {
    values: BTreeMap<u64, f64>,
    last: Option<u64>,
    /// Where the column first goes back, and to which step.
    returned: Option<(String, u64)>,
}

impl Series {
    fn add(&mut self, step: u64, value: f64, place: &str) {
        if self.last.is_some_and(|last| step < last) {
            self.values.retain(|known, _| *known < step);
            self.returned.get_or_insert((place.to_owned(), step));
        }
        self.values.insert(step, value);
        self.last = Some(step);
    }
}

/// The greatest step: up to it, a number of a log is one whole number and no other.
const MOST_STEPS: u64 = (1 << 53) - 1;

/// A step as a whole number; rounding of products such as `epoch*390.625` is allowed.
fn whole(step: f64) -> Option<u64> {
    let rounded = step.round();
    let is_whole = step.is_finite() && step > -0.5 && (step - rounded).abs() <= 1e-6 * (1.0 + step);
    // A greater number becomes the greatest integer, which is no step either.
    Some(rounded as u64).filter(|step| is_whole && *step <= MOST_STEPS)
}

fn begins_as_events(path: &Path) -> Result<bool> {
    let mut head = Vec::new();
    let file = std::fs::File::open(path);
    let read = file.and_then(|file| file.take(12).read_to_end(&mut head));
    read.with_context(|| format!("cannot read {}", path.display()))?;
    Ok(is_event_file(&head))
}

/// The event files of a folder, by name.
fn event_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.is_file() && begins_as_events(&path)? {
            files.push(path);
        }
    }
    files.sort();
    ensure!(!files.is_empty(), "{} has no event file of TensorBoard", folder.display());
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(
        text: &str,
        step: &str,
        columns: &[(&str, &str)],
    ) -> Result<(Vec<CurveRow>, Vec<String>)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.csv");
        std::fs::write(&path, text).unwrap();
        let log = Log::read(&path)?;
        let parse = |text: &str| Expression::parse(text, &log.columns);
        let columns = columns.iter().map(|(name, text)| Ok(((*name).to_owned(), parse(text)?)));
        log.curve(&Mapping { step: parse(step)?, columns: columns.collect::<Result<_>>()? })
    }

    #[test]
    fn rows_of_one_step_are_joined_and_a_resumed_log_continues_from_where_it_went_back() {
        let text =
            "step,acc,val\n10,0.5,\n10,,0.25\n20,0.75,\n20,,0.5\n30,0.9,\n20,0.8,\n30,,0.75\n";
        let columns = [("train_err_pct", "100-100*acc"), ("top5", "val")];
        let (rows, notes) = curve(text, "step/10", &columns).unwrap();
        let brief: Vec<_> = rows
            .iter()
            .map(|it| (it.step, it.train_err_pct.map(f64::round), it.metric("top5")))
            .collect();
        let expected =
            [(1, Some(50.0), Some(0.25)), (2, Some(20.0), Some(0.5)), (3, None, Some(0.75))];
        assert_eq!(brief, expected);
        let expected = "train_err_pct goes back to step 2 at line 7, as after a resume: later values \
                        replace the earlier ones";
        assert_eq!(notes, [expected]);
    }

    #[test]
    fn what_cannot_be_a_curve_is_told_with_its_line() {
        let fault = |text: &str, step: &str, error: &str| {
            let found = curve(text, step, &[("train_err_pct", error)]).unwrap_err();
            format!("{found:#}").split_once("log.csv: ").expect("the file").1.to_owned()
        };
        let text = "step,acc\n1,0.5\n2.5,95\n";
        let expected =
            "line 3: --step step is 2.5, expected a whole number from 0 to 9007199254740991";
        assert_eq!(fault(text, "step", "acc"), expected);
        for (factor, is_step) in
            [("1e30", false), ("9007199254740992", false), ("9007199254740991", true)]
        {
            let found = curve("step,acc\n1,0.5\n", &format!("{factor}*step"), &[("acc", "acc")]);
            assert_eq!(found.is_ok(), is_step, "{factor}");
        }
        let expected = "line 3: 200*acc: train_err_pct is 19000, expected per cent from 0 to 100";
        assert_eq!(fault(text, "2*step", "200*acc"), expected);
        assert_eq!(fault("step,acc\n1,\n", "step", "acc"), "acc has no value");
        let expected = "line 2: acc/0: train_err_pct is inf, expected per cent from 0 to 100";
        assert_eq!(fault("step,acc\n1,0.5\n", "step", "acc/0"), expected);
        let two = fault("run_id,step,acc\na,1,0.5\nb,1,0.5\n", "step", "acc");
        assert!(
            two.starts_with(
                "line 3: column run_id changes from a to b: this file has several runs"
            ),
            "{two}"
        );
        assert!(curve("run_id,step,acc\na,1,0.5\na,2,0.5\n", "step", &[("acc", "acc")]).is_ok());
    }
}
