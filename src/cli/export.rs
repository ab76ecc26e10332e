//! `fathom export`: results for other programs.

use super::integrity;
use super::table::{self, Format, Table};
use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use fathom_record::{CURVE_COLUMNS, RunCurve, SweepDir, group, write_events};
use fathom_report as report;
use fathom_stats::{self as stats, table_columns};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

/// Write results for other programs: one wide table, TensorBoard's event files, a table of final
/// values
#[derive(clap::Args)]
pub struct Args {
    /// Results directory
    dir: PathBuf,
    /// A row for each step and a column for each run, as CSV on standard output
    #[arg(long)]
    wide: bool,
    /// The column that --wide is of
    #[arg(long, default_value = "train_err_pct")]
    metric: String,
    /// Event files, one folder for each run, with tags such as train/loss and test/error
    #[arg(long, value_name = "FOLDER")]
    tensorboard: Option<PathBuf>,
    /// Final values over seeds on standard output
    #[arg(long, value_enum, value_name = "FORMAT")]
    table: Option<TableFormat>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TableFormat {
    Markdown,
    Csv,
    Json,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let asked = args.wide || args.tensorboard.is_some() || args.table.is_some();
    ensure!(asked, super::Usage("say what: --wide, --tensorboard FOLDER or --table FORMAT".into()));
    let directory = SweepDir::new(&args.dir);
    integrity::check(&directory)?;
    let curves = directory.load()?;
    if args.wide {
        let known: Vec<&str> = CURVE_COLUMNS
            .iter()
            .copied()
            .filter(|name| !["schema", "step"].contains(name))
            .collect();
        let found = curves.check_column(&args.metric, &known);
        found.map_err(|error| super::Usage(format!("--metric {error}")))?;
        let runs: Vec<&RunCurve> = curves.runs.iter().collect();
        let ordered = group(&runs, &curves.axes()).into_iter().flat_map(|same| same.runs);
        wide(&ordered.collect::<Vec<_>>(), &args.metric).print(Format::Csv)?;
    }
    if let Some(format) = args.table {
        let summary = stats::table(&curves);
        match format {
            TableFormat::Markdown => {
                print!("{}", report::finals(&summary, &table_columns().collect::<Vec<_>>()))
            }
            TableFormat::Csv => table::numbers(&summary).print(Format::Csv)?,
            TableFormat::Json => table::numbers(&summary).print(Format::Json)?,
        }
    }
    if let Some(folder) = &args.tensorboard {
        for run in curves.runs.iter().filter(|run| !run.rows.is_empty()) {
            let folder = folder.join(&run.id);
            std::fs::create_dir_all(&folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
            let path = folder.join("events.out.tfevents.0.fathom");
            write_events(&path, &run.rows)?;
            println!("{}", path.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// One row for each step that any run has; empty where a run has no value there.
fn wide(runs: &[&RunCurve], metric: &str) -> Table {
    let steps: BTreeSet<u64> =
        runs.iter().flat_map(|run| run.rows.iter().map(|row| row.step)).collect();
    let headers = ["step".to_owned()].into_iter().chain(runs.iter().map(|run| run.id.clone()));
    let mut table = Table::new(headers);
    for step in steps {
        let value = |run: &&RunCurve| -> Value {
            let row = run.rows.iter().find(|row| row.step == step);
            match row.and_then(|row| row.metric(metric)) {
                // JSON has no word for them, and CSV does.
                Some(value) if !value.is_finite() => format!("{value}").into(),
                value => value.into(),
            }
        };
        let cells: Vec<Value> =
            std::iter::once(step.into()).chain(runs.iter().map(value)).collect();
        table.row(cells);
    }
    table
}
