//! `fathom export`.

use super::Usage;
use super::choice::choice;
use super::doubts;
use super::stdout;
use super::table::{Format, print};
use anyhow::{Context, Result, ensure};
use fathom_base::choice;
use fathom_record::{CURVE_COLUMNS, RunCurve, SweepDir, group, wide_table, write_events};
use fathom_stats::{self as stats, summary_csv, table_columns};
use fathom_sweep::check_integrity;
use std::path::PathBuf;
use std::process::ExitCode;

/// Export results for other programs
///
/// Formats are one wide table, event files of TensorBoard, and a table of final values
#[derive(clap::Args)]
pub struct Args {
    /// Results directory
    dir: PathBuf,
    /// Write a CSV table with a row for each step and a column for each run to standard output
    #[arg(long, conflicts_with = "table")]
    wide: bool,
    /// Column of the training curves for --wide [default: train_err_pct]
    #[arg(long, requires = "wide", conflicts_with = "table")]
    metric: Option<String>,
    /// Write TensorBoard event files, one folder per run, with tags such as train/loss and test/error
    #[arg(long, value_name = "FOLDER")]
    tensorboard: Option<PathBuf>,
    /// Write final values over seeds to standard output
    #[arg(long, value_parser = choice::<FinalsFormat>(), value_name = "FORMAT")]
    table: Option<FinalsFormat>,
}

choice! {
    /// Format of a table of final values.
    enum FinalsFormat {
        /// Mean and deviation, as in summary.md
        Markdown,
        /// Every number, as in summary.csv
        Csv,
        /// Every number, one object for each row
        Json,
    }
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let something = args.wide || args.tensorboard.is_some() || args.table.is_some();
    ensure!(
        something,
        Usage("nothing to export: give --wide, --tensorboard FOLDER or --table FORMAT".into())
    );
    let directory = SweepDir::new(&args.dir);
    check_integrity(&directory)?;
    let curves = directory.load()?;
    doubts::note(&curves.runs);
    if args.wide {
        let known: Vec<&str> = CURVE_COLUMNS
            .iter()
            .copied()
            .filter(|name| !["schema", "step"].contains(name))
            .collect();
        let metric = args.metric.as_deref().unwrap_or("train_err_pct");
        let found = curves.check_column(metric, &known);
        found.map_err(|error| Usage(format!("--metric {error}")))?;
        let runs: Vec<&RunCurve> = curves.runs.iter().collect();
        let ordered = group(&runs, &curves.axes()).into_iter().flat_map(|same| same.runs);
        print(&wide_table(&ordered.collect::<Vec<_>>(), metric), Format::Csv)?;
    }
    if let Some(format) = args.table {
        let summary = stats::table(&curves);
        match format {
            FinalsFormat::Markdown => {
                let columns: Vec<&str> = table_columns().collect();
                stdout::write(fathom_report::finals(&summary, &columns, &[]))?;
            }
            FinalsFormat::Csv => print(&summary_csv(&summary), Format::Csv)?,
            FinalsFormat::Json => print(&summary_csv(&summary), Format::Json)?,
        }
    }
    if let Some(folder) = &args.tensorboard {
        for run in curves.runs.iter().filter(|run| !run.rows.is_empty()) {
            let folder = folder.join(&run.id);
            std::fs::create_dir_all(&folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
            let path = folder.join("events.out.tfevents.0.fathom");
            write_events(&path, &run.rows)?;
            stdout::write_line(path.display())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
