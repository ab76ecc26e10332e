//! `fathom plan`.

use super::run::Chosen;
use super::table::{Format, Table, count};
use crate::spec::Run;
use anyhow::Result;
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    chosen: Chosen,
    /// How the table is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let experiment = args.chosen.load()?;
    table(&experiment.runs).print(args.format)?;
    for remark in &experiment.remarks {
        eprintln!("note: {remark}");
    }
    let macs: u64 = experiment.runs.iter().map(Run::work).fold(0, u64::saturating_add);
    let disk: u64 = experiment.runs.iter().map(disk).sum();
    eprintln!(
        "{}: {} runs, {} multiply-adds in forward passes of training, about {}B of results",
        experiment.name,
        experiment.runs.len(),
        count(macs),
        count(disk),
    );
    Ok(ExitCode::SUCCESS)
}

/// One line per run.
pub fn table(runs: &[Run]) -> Table {
    let mut table =
        Table::new(["run", "iterations", "parameters", "macs", "memory_bytes", "disk_bytes"]);
    for run in runs {
        table.row([
            run.id.as_str().into(),
            run.settings.training.iterations.into(),
            run.audit.parameters.into(),
            run.audit.macs.into(),
            memory(run).into(),
            disk(run).into(),
        ]);
    }
    table
}

/// Bytes that training needs besides the program: what every layer puts out is kept for the
/// backward pass, with its gradient; parameters with gradient, velocity and a copy while updating.
fn memory(run: &Run) -> u64 {
    let batch = run.settings.training.batch as u64;
    4 * (2 * run.audit.activations * batch + 4 * run.audit.parameters)
}

/// Bytes of one run's files: about 120 for a row of the curve, and a few KB besides.
fn disk(run: &Run) -> u64 {
    use crate::spec::Every;
    let training = &run.settings.training;
    let every = match run.settings.evaluate.every {
        Every::Steps(steps) => steps,
        Every::Epoch => {
            let images = run.settings.data.train.unwrap_or(50_000) as u64;
            (images / training.batch as u64).max(1)
        }
    };
    4096 + 120 * (2 + training.iterations / every)
}
