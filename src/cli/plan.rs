//! `fathom plan`.

use super::options::{Machine, options};
use super::run::Chosen;
use super::stderr::say;
use super::table::{Format, Table, count};
use super::{layout, measure};
use anyhow::Result;
use fathom_spec::Run;
use fathom_sweep::{self as sweep, Worker, available_memory};
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    chosen: Chosen,
    /// Time a few updates of each distinct net, and tell how long the sweep takes
    #[arg(long)]
    measure: bool,
    /// Measure, and fail when the sweep would take longer
    #[arg(long, value_name = "HOURS", value_parser = measure::hours)]
    max_hours: Option<f64>,
    #[command(flatten)]
    machine: Machine,
    /// How the table is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let experiment = args.chosen.load()?;
    let runs = &experiment.runs;
    for remark in &experiment.remarks {
        say(format!("note: {remark}"));
    }
    if args.measure || args.max_hours.is_some() {
        let (worker, probe) = Worker::ready()?;
        let mut options = options(&args.machine, &probe, runs.len(), None)?;
        options.layouts = layout::settle(runs, None, &worker, &options, args.machine.layout)?;
        let found = measure::measured(runs, &worker, &options)?;
        measure::table(runs, &found.estimates).print(args.format)?;
        say(found.in_words(&experiment.name, &options));
        warn(runs, found.estimates.iter().map(|estimate| estimate.memory_bytes));
        if let Some(hours) = args.max_hours {
            found.refuse_longer(hours)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    table(runs).print(args.format)?;
    warn(runs, runs.iter().map(Run::memory));
    let macs: u64 = runs.iter().map(Run::work).fold(0, u64::saturating_add);
    let disk: u64 = runs.iter().map(disk).sum();
    say(format!(
        "{}: {} runs, {} multiply-adds in forward passes of training, about {}B of results",
        experiment.name,
        runs.len(),
        count(macs),
        count(disk),
    ));
    Ok(ExitCode::SUCCESS)
}

fn warn(runs: &[Run], needs: impl Iterator<Item = u64>) {
    if let Some(warning) = too_large(runs, needs, available_memory()) {
        say(format!("warning: {warning}"));
    }
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
            run.memory().into(),
            disk(run).into(),
        ]);
    }
    table
}

/// What is larger than this machine, so that nobody finds out by running it.
pub fn too_large(
    runs: &[Run],
    needs: impl Iterator<Item = u64>,
    available: Option<u64>,
) -> Option<String> {
    let available = available?;
    let over: Vec<(&Run, u64)> =
        runs.iter().zip(needs).filter(|(_, need)| *need > available).collect();
    let (largest, need) = over.iter().max_by_key(|(_, need)| *need)?;
    Some(format!(
        "{} of {} runs need more memory than the {}B that this machine has free: {} needs \
         about {}B. A smaller training.batch (which changes BatchNorm's statistics), a narrower or \
         shallower net, or smaller images need less",
        over.len(),
        runs.len(),
        count(available),
        largest.id,
        count(*need),
    ))
}

/// Bytes of one run's files.
fn disk(run: &Run) -> u64 {
    // Only measuring would tell how many images a whole set has.
    sweep::disk(run, run.settings.data.train.unwrap_or(50_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fathom_spec::Experiment;

    #[test]
    fn a_net_that_is_too_large_is_named() {
        let text = "name = \"t\"\n[data]\nsource = \"cifar10\"\n[network]\nfamily = \"residual\"\n\
            [training]\niterations = 1\nbatch = 512\n[sweep]\n\"network.depth\" = [8, 1202]\n";
        let runs = Experiment::parse(std::path::Path::new("t.toml"), text, &[]).unwrap().runs;
        let needs = || runs.iter().map(Run::memory);
        let warning = too_large(&runs, needs(), Some(8 << 30)).unwrap();
        assert!(warning.starts_with("1 of 2 runs") && warning.contains("residual-1202"));
        assert_eq!(too_large(&runs, needs(), Some(1 << 50)), None);
        assert_eq!(too_large(&runs, needs(), None), None);
    }
}
