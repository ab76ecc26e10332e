//! `fathom report --splice`: tables in Markdown files, each after a marker that says what it shows.

use super::{Usage, load};
use crate::choice::choice;
use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use fathom_base::{choice, write_atomically};
use fathom_record::SweepDir;
use fathom_report as report;
use fathom_stats::table_columns;
use std::path::{Path, PathBuf};

/// The command line in a marker.
#[derive(Parser)]
#[command(name = "fathom", no_binary_name = true, disable_help_flag = true)]
enum Marker {
    /// A table of results
    Report {
        dir: PathBuf,
        #[arg(long, value_parser = choice::<ReportTable>())]
        table: ReportTable,
        /// Columns of `final` [default: all]
        #[arg(long, value_delimiter = ',')]
        metric: Vec<String>,
    },
    /// Questions and verdicts of several results directories
    Experiments {
        #[arg(required = true)]
        dirs: Vec<PathBuf>,
    },
    /// A CSV file, or some of its columns
    Csv {
        file: PathBuf,
        #[arg(long, value_delimiter = ',')]
        columns: Vec<String>,
    },
}

choice! {
    /// A table of one results directory.
    enum ReportTable {
        /// Final values over seeds
        Final,
        /// Verdicts on claims
        Claims,
    }
}

/// Valid markers, for error messages.
const SYNTAX: &str = "report DIR --table final|claims [--metric M,…], experiments DIR…, \
                      csv FILE [--columns A,…]";

/// Updates the tables of a Markdown file. With `only_check` the file is left alone.
///
/// # Errors
/// When a marker is invalid, results are damaged, or a table is out of date and must not be changed.
pub fn splice(file: &Path, only_check: bool) -> Result<()> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let folder = file.parent().unwrap_or(Path::new(""));
    let updated = report::splice::splice(&text, |words| render(words, folder))
        .with_context(|| format!("in {}", file.display()))?;
    if updated == text {
        return Ok(());
    }
    if only_check {
        let line = report::splice::first_difference(&text, &updated);
        bail!(
            "{0}:{line}: is out of date; update it with: fathom report --splice {0}",
            file.display()
        );
    }
    write_atomically(file, updated.as_bytes())?;
    println!("{}", file.display());
    Ok(())
}

/// The table for a marker whose paths are relative to `folder`.
fn render(words: &[String], folder: &Path) -> Result<String> {
    let marker = Marker::try_parse_from(words).map_err(|error| {
        let first = error.to_string().lines().next().unwrap_or_default().to_owned();
        Usage(format!("{first} (a marker is: {SYNTAX})"))
    })?;
    match marker {
        Marker::Report { dir, table, metric } => {
            let report = load(&SweepDir::new(folder.join(dir)))?;
            match table {
                ReportTable::Claims => Ok(report::claims(&report.verdicts)),
                ReportTable::Final => {
                    Ok(report::finals(&report.summary, &chosen_metrics(&metric)?))
                }
            }
        }
        Marker::Experiments { dirs } => {
            let load = |dir: &PathBuf| Ok((dir.clone(), load(&SweepDir::new(folder.join(dir)))?));
            let reports = dirs.iter().map(load).collect::<Result<Vec<_>>>()?;
            Ok(report::experiments(&reports))
        }
        Marker::Csv { file, columns } => csv_table(&folder.join(file), &columns),
    }
}

/// The metrics of a table of final values: those given, or all.
fn chosen_metrics(given: &[String]) -> Result<Vec<&str>> {
    let known: Vec<&str> = table_columns().collect();
    for name in given {
        let is_known = known.contains(&name.as_str());
        ensure!(is_known, "--metric {name}: valid are {}", known.join(", "));
    }
    Ok(if given.is_empty() { known } else { given.iter().map(String::as_str).collect() })
}

/// Columns of a CSV file as a Markdown table; all columns if none are given.
fn csv_table(path: &Path, columns: &[String]) -> Result<String> {
    let context = || format!("cannot read {}", path.display());
    let mut reader = csv::Reader::from_path(path).with_context(context)?;
    let header: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
    let mut indices: Vec<usize> = (0..header.len()).collect();
    if !columns.is_empty() {
        let index = |name: &String| {
            let index = header.iter().position(|known| known == name);
            index.with_context(|| {
                format!("{}: no column {name}; valid are {}", path.display(), header.join(", "))
            })
        };
        indices = columns.iter().map(index).collect::<Result<_>>()?;
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.with_context(context)?;
        rows.push(indices.iter().map(|index| record[*index].to_owned()).collect());
    }
    let headers: Vec<String> = indices.iter().map(|index| header[*index].clone()).collect();
    Ok(report::table(&headers, &rows))
}
