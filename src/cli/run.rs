//! `fathom run`.

mod local;
mod report;
mod setup;
mod submit;

use super::Usage;
use super::choice::choice;
use super::device::Device;
use super::experiment::Chosen;
use super::options::{Machine, hours};
use super::plan::{self, warn_of_memory};
use super::progress::Decoding;
use super::slurm;
use super::stderr::log;
use super::table::{Format, print};
use super::text::plural;
use anyhow::{Result, anyhow};
use fathom_protocol::CheckpointInterval;
use fathom_record::{SweepDir, SweepExecution};
use fathom_spec::{Experiment, Run};
use fathom_sweep::slurm::Slurm;
use fathom_sweep::{
    Options, SecondStage, Worker, begin_from, check_compatible, prepare_data, second_stage,
    until_decided, write_plan,
};
use setup::hold;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Train the runs of an experiment; the same command again resumes
///
/// A sweep that was stopped, or whose runs failed, is resumed by the same command. Exit codes: 0 if all
/// runs are done, 3 if some failed, 75 if the sweep was stopped at a checkpoint
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    chosen: Chosen,
    /// Results directory [default: results/<name>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Interval between two checkpoints: 90s, 5m, 1h, or a number of updates [default: 60s]
    #[arg(long, value_name = "INTERVAL")]
    checkpoint: Option<CheckpointInterval>,
    /// Time a few updates first, and refuse a sweep that would take longer
    #[arg(long, value_name = "HOURS", value_parser = hours, allow_negative_numbers = true)]
    max_hours: Option<f64>,
    /// Add seeds until every claim is decided, at the numbers of seeds that the experiment fixes as
    /// `looks`; --max-hours then ends the sweep
    #[arg(long, conflicts_with_all = ["smoke", "only"])]
    until_decided: bool,
    /// Make a few steps of one run per distinct net, in results/<name>-smoke; generated images
    /// replace a data set that is absent
    #[arg(long)]
    smoke: bool,
    /// Keep the state of finished runs beside their weights, so that longer runs can begin there
    #[arg(long)]
    keep_state: bool,
    /// Begin where runs of this results directory end that differ in training.iterations and later milestones
    /// alone, and were run with --keep-state
    #[arg(long, value_name = "DIR", conflicts_with_all = ["smoke", "until_decided"])]
    begin_from: Option<PathBuf>,
    /// Show the plan and exit
    #[arg(long)]
    dry_run: bool,
    /// Format of the table
    #[arg(long, value_parser = choice::<Format>(), default_value_t)]
    format: Format,
    // Last, since their headings apply to all flags after them.
    #[command(flatten)]
    pub(super) machine: Machine,
    #[command(flatten)]
    slurm: slurm::Flags,
}

/// An experiment on its way: its runs, where their results go, and how they are run.
struct Prepared<'a> {
    args: &'a Args,
    experiment: Experiment,
    directory: &'a SweepDir,
    options: Options,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    args.slurm.check(args.smoke, args.max_hours.is_some())?;
    for (option, path) in [("--out", &args.out), ("--data-dir", &args.machine.data_dir)] {
        check_text(option, path.as_deref())?;
    }
    let experiment = args.experiment()?;
    let root = args.out.clone();
    let directory =
        SweepDir::new(root.unwrap_or_else(|| ["results", &experiment.name].iter().collect()));
    if args.dry_run {
        if args.slurm.is_wanted() {
            submit::preview(args, &experiment, &directory)?;
        } else {
            print(&plan::table(&experiment.runs), args.format)?;
            plan::tell_stages(&experiment);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let (mut worker, probe) = Worker::ready()?;
    // Refused before anything is written.
    if args.slurm.is_wanted() {
        Slurm.limits().map_err(|error| anyhow!("{error}: nothing was submitted"))?;
    } else {
        args.machine.device.all(&probe)?;
    }
    directory.create()?;
    let lock = hold(&directory)?;
    if let Err(error) = args.check(&experiment, &directory) {
        drop(lock);
        directory.discard_empty();
        return Err(error);
    }
    let (options, _mps) = args.options(&mut worker, &probe, &experiment, &directory)?;
    lock.check()?;
    write_plan(&experiment, &directory)?;
    directory.write_execution(&SweepExecution {
        layouts: options.layouts.clone(),
        cuda: options.cuda,
        ..SweepExecution::new(&options.devices[0], options.threads)
    })?;
    let prepared = Prepared { args, experiment, directory: &directory, options };
    if args.slurm.is_wanted() { prepared.submit() } else { prepared.train(&worker, &lock) }
}

/// Refuses a path that is no text: the processes that train are told it as JSON.
fn check_text(option: &str, path: Option<&Path>) -> Result<(), Usage> {
    match path.filter(|path| path.to_str().is_none()) {
        Some(path) => {
            Err(Usage(format!("{option} {}: expected a path in UTF-8", path.to_string_lossy())))
        }
        None => Ok(()),
    }
}

impl Args {
    /// Checks earlier results and data sets before anything is computed, shows what was ignored, and copies what
    /// runs begin from.
    fn check(&self, experiment: &Experiment, directory: &SweepDir) -> Result<()> {
        check_compatible(&experiment.configs, directory)?;
        if !self.smoke {
            let decoding = Decoding::new();
            let data_dir = self.machine.data_dir.as_deref();
            let remarks = prepare_data(&experiment.runs, data_dir, &|done, all| {
                decoding.update(done, all);
            })?;
            drop(decoding);
            remarks.iter().for_each(|remark| log(format!("note: {remark}")));
        }
        if let Some(shorter) = &self.begin_from {
            begin_from(&experiment.runs, directory, &SweepDir::new(shorter))?.iter().for_each(log);
        }
        Ok(())
    }

    /// The experiment with the runs that are wanted now.
    fn experiment(&self) -> Result<Experiment> {
        let mut experiment = self.chosen.load()?;
        // The memory of a GPU is not known here; its worker reports a lack of it.
        if !matches!(self.machine.device, Device::Cuda(_)) {
            let needs = experiment.runs.iter().map(Run::memory);
            warn_of_memory(&experiment.runs, needs, self.machine.memory);
        }
        if self.smoke {
            experiment.name += "-smoke";
            experiment.runs = fathom_spec::smoke(&experiment.runs)?;
            let short = experiment.runs.iter().map(|run| (run.id.clone(), run.config.clone()));
            experiment.configs = short.collect();
            // A few steps decide nothing.
            experiment.claims.clear();
            experiment.stages = None;
        }
        if self.begin_from.is_some() && experiment.stages.is_some() {
            let why = "--begin-from: not with [tune], whose second stage is not known yet";
            return Err(Usage(why.into()).into());
        }
        if self.until_decided {
            experiment.runs = until_decided::first_runs(&experiment)?;
        }
        Ok(experiment)
    }
}

impl Prepared<'_> {
    /// Whether the runs so far are those of the first of two stages.
    fn has_second_stage_ahead(&self) -> bool {
        let Some(stages) = &self.experiment.stages else { return false };
        self.experiment.runs.iter().all(|run| stages.tune.seeds.contains(&run.settings.seed.into()))
    }

    /// Adds the runs of the second stage, or those that undecided claims need next with
    /// `--until-decided`, and returns them; none if there is no second stage and no seed helps.
    fn add_runs(&mut self) -> Result<Vec<Run>> {
        let SecondStage { runs, remarks, .. } = second_stage(&self.experiment, self.directory)?;
        if !runs.is_empty() {
            remarks.iter().for_each(log);
            log(format!("second stage: {} with these values", plural(runs.len(), "run")));
            self.experiment.runs.extend_from_slice(&runs);
            write_plan(&self.experiment, self.directory)?;
            return Ok(runs);
        }
        if !self.args.until_decided {
            return Ok(Vec::new());
        }
        let further = until_decided::further_runs(&self.experiment, self.directory)?;
        if !further.runs.is_empty() {
            let claims = further.claims.join(", ");
            log(format!("undecided: {claims}; {} seeds next", further.seeds));
            self.experiment.runs.extend_from_slice(&further.runs);
            write_plan(&self.experiment, self.directory)?;
        }
        Ok(further.runs)
    }
}
