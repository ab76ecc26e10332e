//! `fathom plan`.

use super::choice::choice;
use super::experiment::Chosen;
use super::mps::share;
use super::options::{Machine, hours, options, settle_layouts};
use super::stderr::log;
use super::table::{Format, print};
use super::text::{duration, plural, si};
use anyhow::Result;
use fathom_record::{Seed, Table};
use fathom_spec::{Experiment, Run, Stages, Tune};
use fathom_sweep::{
    Bf16Units, Estimate, Forecast, OverMemory, Worker, available_memory, disk_bytes,
};
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::ExitCode;

/// Show the runs of an experiment: parameters, multiply-adds, memory, disk space, time
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    chosen: Chosen,
    /// Time a few updates of each distinct net, and estimate how long the sweep takes
    #[arg(long)]
    measure: bool,
    /// Measure, and fail if the sweep would take longer
    #[arg(long, value_name = "HOURS", value_parser = hours, allow_negative_numbers = true)]
    max_hours: Option<f64>,
    /// Format of the table
    #[arg(long, value_parser = choice::<Format>(), default_value_t)]
    format: Format,
    // Last, since its heading applies to all flags after it.
    #[command(flatten)]
    pub(super) machine: Machine,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let experiment = args.chosen.load()?;
    let (name, runs) = (&experiment.name, &all_stages(&experiment));
    if args.measure || args.max_hours.is_some() {
        tell_stages(&experiment);
        return measured(args, name, runs);
    }
    print(&table(&experiment.runs), args.format)?;
    tell_stages(&experiment);
    suggest_bf16(runs);
    warn_of_memory(runs, runs.iter().map(Run::memory), args.machine.memory);
    let macs: u64 = runs.iter().map(Run::work).fold(0, u64::saturating_add);
    log(format!(
        "{name}: {} runs, {} multiply-adds in forward passes of training, about {}B of results",
        runs.len(),
        si(macs),
        si(runs.iter().map(disk).fold(0, u64::saturating_add)),
    ));
    warn_of_early_ends(runs);
    Ok(ExitCode::SUCCESS)
}

/// The runs of all stages. For those of the second one, whose values are not known yet, stand others that take as long.
pub fn all_stages(experiment: &Experiment) -> Vec<Run> {
    let like_second =
        experiment.stages.iter().flat_map(Stages::like_second).collect::<BTreeSet<_>>();
    let second = experiment.later.iter().filter(|run| like_second.contains(&run.id));
    experiment.runs.iter().chain(second).cloned().collect()
}

/// Describes the second stage of an experiment that tunes a key.
pub fn tell_stages(experiment: &Experiment) {
    let Some(stages) = &experiment.stages else { return };
    let Stages { tune: Tune { over, seeds, by }, arms } = stages;
    let list =
        |seeds: &BTreeSet<Seed>| seeds.iter().map(Seed::to_string).collect::<Vec<_>>().join(", ");
    log(format!(
        "first stage: {} with seeds {}; second stage: {} with seeds {}, each of {} at its {over} with the lowest mean \
         {by} in the first stage",
        plural(experiment.runs.len(), "run"),
        list(seeds),
        plural(stages.like_second().len(), "run"),
        list(&stages.seeds()),
        plural(arms.len(), "configuration"),
    ));
}

fn measured(args: &Args, name: &str, runs: &[Run]) -> Result<ExitCode> {
    let (mut worker, probe) = Worker::ready()?;
    let mut options = options(&args.machine, &probe, runs.len(), None)?;
    options.layouts = settle_layouts(runs, None, &worker, &options, args.machine.layout)?;
    let all: Vec<&Run> = runs.iter().collect();
    let _mps = share(&args.machine, &all, None, &mut worker, &probe, &mut options)?;
    let log_run = &mut |run: &Run| log(format!("measuring {}", run.id));
    let forecast = Forecast::measure(runs, &worker, &options, log_run)?;
    print(&measured_table(runs, &forecast.estimates), args.format)?;
    log(format!(
        "{name}: {} runs take about {} with {} at the same time ({} one after the other), at most \
         {}B of memory each, {}B of results",
        runs.len(),
        duration(forecast.seconds),
        options.slots(),
        duration(forecast.total_seconds()),
        si(forecast.peak_memory_bytes()),
        si(forecast.disk_bytes()),
    ));
    warn_of_early_ends(runs);
    if options.on_cpu() {
        suggest_bf16(runs);
    }
    let needs = forecast.estimates.iter().map(|estimate| estimate.memory_bytes);
    warn_of_memory(runs, needs, args.machine.memory);
    if let Some(hours) = args.max_hours {
        forecast.check_hours(hours)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Says how many runs may end before their last update, for which all numbers are upper bounds.
fn warn_of_early_ends(runs: &[Run]) {
    let count = runs.iter().filter(|run| run.settings.training.stop_when.is_set()).count();
    if count > 0 {
        log(format!(
            "{count} of {} runs may end before their last update (training.stop_when): their \
             iterations, and the multiply-adds and times above, are upper bounds",
            runs.len(),
        ));
    }
}

/// Says which runs would train faster in bf16 on this processor. It stays a choice of the experiment,
/// since results differ.
fn suggest_bf16(runs: &[Run]) {
    let units = Bf16Units::of_this_machine();
    let count = units.would_gain(runs);
    if count > 0 {
        log(format!(
            "{count} of {} runs would train faster on this processor with training.precision = \
             \"bf16\"; its units for bf16: {}",
            runs.len(),
            units.describe(),
        ));
    }
}

/// Warns of runs that need more memory than `--memory` allows or than is free, in bytes, before anyone finds out by
/// running them.
pub fn warn_of_memory(runs: &[Run], needs: impl IntoIterator<Item = u64>, allowed: Option<u64>) {
    let limit = if allowed.is_some() { "--memory allows" } else { "this machine has free" };
    let available = allowed.or_else(available_memory);
    if let Some(OverMemory { count, largest, need, available }) =
        OverMemory::find(runs, needs, available)
    {
        log(format!(
            "warning: {count} of {} runs need more memory than the {}B that {limit}: {largest} needs about {}B. A smaller training.batch (which changes the statistics of \
             BatchNorm), a narrower or shallower net, or smaller images need less",
            runs.len(),
            si(available),
            si(need),
        ));
    }
}

/// One row per run, from the experiment alone.
pub fn table(runs: &[Run]) -> Table {
    let mut table =
        Table::new(["run", "iterations", "parameters", "macs", "memory_bytes", "disk_bytes"]);
    for run in runs {
        let sizes = [run.memory(), disk(run)].map(Value::from);
        table.row(net_cells(run).into_iter().chain(sizes));
    }
    table
}

/// One row per run, with what was measured.
fn measured_table(runs: &[Run], estimates: &[Estimate]) -> Table {
    let columns =
        ["run", "iterations", "parameters", "macs", "seconds", "memory_bytes", "disk_bytes"];
    let mut table = Table::new(columns);
    for (run, estimate) in runs.iter().zip(estimates) {
        let seconds = ((estimate.seconds * 10.0).round() / 10.0).into();
        let measured = [seconds, estimate.memory_bytes.into(), estimate.disk_bytes.into()];
        table.row(net_cells(run).into_iter().chain(measured));
    }
    table
}

fn net_cells(run: &Run) -> [Value; 4] {
    let (audit, iterations) = (&run.audit, run.settings.training.iterations);
    [run.id.as_str().into(), iterations.into(), audit.parameters.into(), audit.macs.into()]
}

/// Bytes of the files of a run.
fn disk(run: &Run) -> u64 {
    // The number of images of a whole data set is known only once it is read.
    disk_bytes(run, run.settings.data.train.unwrap_or(50_000))
}
