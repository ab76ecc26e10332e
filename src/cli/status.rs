//! `fathom status`.

use super::table::{self, Format, Table};
use crate::record::SweepDir;
use crate::stats;
use anyhow::Result;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Args {
    /// Results directory
    dir: PathBuf,
    /// Mean, deviation and n over seeds instead of single runs
    #[arg(long)]
    summary: bool,
    /// How the table is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let directory = SweepDir::new(&args.dir);
    if args.summary {
        table::summary(&stats::table(&directory.load()?), args.format).print(args.format)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut ids: BTreeSet<String> = directory.runs()?.iter().map(|run| run.id()).collect();
    ids.extend(directory.resolved()?.into_iter().flat_map(|resolved| resolved.runs.into_keys()));
    let columns = ["run", "state", "step", "train_err_pct", "test_err_pct", "seconds", "message"];
    let mut table = Table::new(columns);
    for id in &ids {
        let run = directory.run(id);
        let status = run.status()?;
        let last = run.curve()?.pop().unwrap_or_default();
        let seconds = if status.seconds > 0.0 { status.seconds } else { last.seconds };
        table.row([
            id.as_str().into(),
            status.state.to_string().into(),
            last.step.max(status.step).into(),
            last.train_err_pct.into(),
            last.test_err_pct.into(),
            ((seconds * 10.0).round() / 10.0).into(),
            status.message.into(),
        ]);
    }
    table.print(args.format)?;
    Ok(ExitCode::SUCCESS)
}
