//! `fathom plan`.

use super::run::Chosen;
use super::table::{Format, Table, count};
use crate::spec::Run;
use crate::sweep::available_memory;
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
    if let Some(warning) = too_large(&experiment.runs, available_memory()) {
        eprintln!("warning: {warning}");
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
            run.memory().into(),
            disk(run).into(),
        ]);
    }
    table
}

/// What is larger than this machine, so that nobody finds out by running it.
pub fn too_large(runs: &[Run], available: Option<u64>) -> Option<String> {
    let available = available?;
    let over = runs.iter().filter(|run| run.memory() > available).count();
    let largest = runs.iter().max_by_key(|run| run.memory()).filter(|_| over > 0)?;
    Some(format!(
        "{over} of {} runs need more memory than the {}B that this machine has free: {} needs \
         about {}B. A smaller training.batch (which changes BatchNorm's statistics), a narrower or \
         shallower net, or smaller images need less",
        runs.len(),
        count(available),
        largest.id,
        count(largest.memory()),
    ))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Experiment;

    #[test]
    fn a_net_that_is_too_large_is_named() {
        let text = "name = \"t\"\n[data]\nsource = \"cifar10\"\n[network]\nfamily = \"residual\"\n\
            [training]\niterations = 1\nbatch = 512\n[sweep]\n\"network.depth\" = [8, 1202]\n";
        let runs = Experiment::parse(std::path::Path::new("t.toml"), text, &[]).unwrap().runs;
        let warning = too_large(&runs, Some(8 << 30)).unwrap();
        assert!(warning.starts_with("1 of 2 runs") && warning.contains("residual-1202"));
        assert_eq!(too_large(&runs, Some(1 << 50)), None);
        assert_eq!(too_large(&runs, None), None);
    }
}
