//! `fathom run`.

use super::options::{Machine, options};
use super::progress::Decoding;
use super::setup::Stage;
use super::stderr::say;
use super::table::{self, Format};
use super::{SOME_FAILED, layout, measure, plan, slurm, until_decided};
use anyhow::{Context, Result, ensure};
use fathom_base::write_atomically;
use fathom_data as data;
use fathom_protocol::{Interval, STOPPED};
use fathom_record::{
    Layout, Lock, LockTiming, Resolved, SCHEMA, State, Status, SweepDir, SweepExecution,
};
use fathom_spec::{Experiment, Run, SpecError};
use fathom_stats as stats;
use fathom_sweep::{
    Options, Shutdown, SweepReport, Worker, available_memory, check_compatible, tally,
};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Arguments that choose an experiment and its runs.
#[derive(clap::Args)]
pub struct Chosen {
    /// The experiment file
    pub experiment: PathBuf,
    /// Put another value in the place of a key's; on a swept key it replaces the axis
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// Only runs whose id matches, such as 'plain-*'
    #[arg(long, value_name = "GLOB")]
    pub only: Option<String>,
}

impl Chosen {
    /// The experiment with the runs that were chosen.
    pub fn load(&self) -> Result<Experiment> {
        let mut experiment = Experiment::load(&self.experiment, &self.sets)?;
        if let Some(only) = &self.only {
            let pattern = glob::Pattern::new(only).with_context(|| format!("--only {only}"))?;
            let all = experiment.runs.len();
            let first = experiment.runs.first().map(|run| run.id.clone()).unwrap_or_default();
            experiment.runs.retain(|run| pattern.matches(&run.id));
            ensure!(
                !experiment.runs.is_empty(),
                SpecError {
                    place: format!("--only {only}"),
                    message: format!("matches none of {all} runs, such as {first}"),
                }
            );
        }
        Ok(experiment)
    }
}

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    chosen: Chosen,
    /// Results directory [default: results/<name>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    machine: Machine,
    #[command(flatten)]
    slurm: slurm::Flags,
    /// Time between two checkpoints: 90s, 5m, 1h, or a number of updates [default: 60s]
    #[arg(long, value_name = "INTERVAL")]
    checkpoint: Option<Interval>,
    /// Time a few updates first, and refuse a sweep that would take longer
    #[arg(long, value_name = "HOURS", value_parser = super::measure::hours)]
    max_hours: Option<f64>,
    /// Add seeds until every claim is decided, at the numbers of seeds that the experiment fixes as
    /// `looks`; --max-hours then ends it
    #[arg(long, conflicts_with_all = ["smoke", "only"])]
    until_decided: bool,
    /// A few steps of one run per distinct net, in results/<name>-smoke; generated images stand in
    /// for a data set that is absent
    #[arg(long)]
    smoke: bool,
    /// Show the plan and stop
    #[arg(long)]
    dry_run: bool,
    /// How the table is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    args.slurm.check(args.smoke, args.max_hours.is_some())?;
    let mut experiment = args.chosen.load()?;
    for remark in &experiment.remarks {
        say(format!("note: {remark}"));
    }
    // A GPU's memory is another matter, and its worker says what it lacks.
    if !args.machine.device.starts_with("cuda")
        && let Some(warning) = plan::too_large(
            &experiment.runs,
            experiment.runs.iter().map(Run::memory),
            args.machine.memory.or_else(available_memory),
        )
    {
        say(format!("warning: {warning}"));
    }
    let mut name = experiment.name.clone();
    if args.smoke {
        name += "-smoke";
        experiment.runs = fathom_spec::smoke(&experiment.runs)?;
        let short = experiment.runs.iter().map(|run| (run.id.clone(), run.config.clone()));
        experiment.configs = short.collect();
        // A few steps decide nothing.
        experiment.claims.clear();
    }
    if args.until_decided {
        experiment.runs = until_decided::begin(&experiment)?;
    }
    let directory =
        SweepDir::new(args.out.clone().unwrap_or_else(|| PathBuf::from("results").join(&name)));
    if args.dry_run {
        if args.slurm.is_wanted() {
            args.slurm.show(&args.order(&experiment, &directory))?;
        } else {
            plan::table(&experiment.runs).print(args.format)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    directory.create()?;
    let lock = hold(&directory)?;
    check_compatible(&experiment.configs, &directory)?;
    if !args.smoke {
        find_data(&experiment.runs, args)?;
    }
    let (worker, probe) = Worker::ready()?;
    // A few steps only show that things work: on whatever device, whatever was there before.
    let bound = Some(&directory).filter(|_| !args.smoke);
    let mut options = Options {
        checkpoint: args.checkpoint.unwrap_or_default(),
        stand_in: args.smoke,
        ..if args.slurm.is_wanted() {
            args.slurm.options(&args.machine, &probe, &directory)?
        } else {
            options(&args.machine, &probe, experiment.runs.len(), bound)?
        }
    };
    let layout = args.machine.layout.or(args.smoke.then(Layout::default));
    options.layouts = if layout.is_none() && args.slurm.is_wanted() && options.devices[0] != "cpu" {
        layout::unmeasured(&experiment.runs, &directory)?
    } else {
        layout::settle(&experiment.runs, bound, &worker, &options, layout)?
    };
    if let (Some(hours), false) = (args.max_hours, args.until_decided) {
        measure::refuse_longer(&experiment.runs, &directory, &worker, &options, hours)?;
    }
    lock.check()?;
    write_plan(&experiment, &directory)?;
    let layouts = options.layouts.clone();
    let execution = SweepExecution::new(&options.devices[0], options.threads);
    directory.write_execution(&SweepExecution { layouts, cuda: options.cuda, ..execution })?;
    if args.slurm.is_wanted() {
        while !args.slurm.submit(&args.order(&experiment, &directory), &options)? {
            let further = match args.until_decided {
                true => until_decided::go_on(&experiment, &directory, &experiment.runs)?,
                false => Vec::new(),
            };
            if further.is_empty() {
                directory.load()?.write(&directory.curves())?;
                let none = (SweepReport::default(), Shutdown::new());
                return report(&experiment, &directory, args.format, &none.0, &none.1);
            }
            experiment.runs.extend_from_slice(&further);
            write_plan(&experiment, &directory)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let stage = Stage {
        name: &name,
        directory: &directory,
        options: &options,
        worker: &worker,
        lock: Some(&lock),
        control: Arc::new(Shutdown::new()),
        progress: Arc::default(),
    };
    stage.listen()?;
    if let (Some(hours), true) = (args.max_hours, args.until_decided) {
        until_decided::stop_after(hours, &stage.control)?;
    }
    let mut outcome = stage.run(&experiment.runs)?;
    while args.until_decided && !stage.control.is_stopping() {
        let further = until_decided::go_on(&experiment, &directory, &experiment.runs)?;
        if further.is_empty() {
            break;
        }
        experiment.runs.extend_from_slice(&further);
        write_plan(&experiment, &directory)?;
        let next = stage.run(&further)?;
        outcome.held.extend(next.held);
        outcome.remarks.extend(next.remarks);
    }
    report(&experiment, &directory, args.format, &outcome, &stage.control)
}

impl Args {
    /// What Slurm is to do.
    fn order<'a>(
        &'a self,
        experiment: &'a Experiment,
        directory: &'a SweepDir,
    ) -> slurm::Order<'a> {
        slurm::Order {
            name: &experiment.name,
            runs: &experiment.runs,
            directory,
            sets: &self.chosen.sets,
            machine: &self.machine,
            checkpoint: self.checkpoint,
        }
    }
}

/// Writes which runs the experiment came to: those of further seeds only as far as somebody wants
/// them.
fn write_plan(experiment: &Experiment, directory: &SweepDir) -> Result<()> {
    let mut runs = experiment.configs.clone();
    for run in &experiment.later {
        let is_wanted = experiment.runs.iter().any(|wanted| wanted.id == run.id);
        if !is_wanted && directory.run(&run.id).status()?.state == State::Pending {
            runs.remove(&run.id);
        }
    }
    let mut arms = experiment.arms.clone();
    arms.retain(|id, _| runs.contains_key(id));
    directory.write_experiment(&experiment.text, &Resolved { schema: SCHEMA, runs, arms })
}

/// Data sets are read once before anything is computed: a missing or damaged one is found now.
fn find_data(runs: &[Run], args: &Args) -> Result<()> {
    let mut seen = Vec::new();
    for run in runs {
        if !seen.contains(&run.settings.data) {
            let decoding = Decoding::new();
            let told = |done, all| decoding.told(done, all);
            data::prepare(&run.settings.data, args.machine.data_dir.as_deref(), &told)?;
            seen.push(run.settings.data.clone());
        }
    }
    Ok(())
}

/// Locks the directory for this process, and says what stood in the way.
fn hold(directory: &SweepDir) -> Result<Lock> {
    let patience = LockTiming::default();
    let path = directory.lock();
    let taken = Lock::acquire_telling(&path, "fathom run", &patience, &mut |owner| {
        let seconds = patience.watch.as_secs();
        say(format!(
            "{} is held by {owner}: seeing for {seconds} s whether that process lives",
            path.display()
        ));
    })?;
    if let Some(owner) = taken.taken_over {
        say(format!("took over the lock of {owner}, which is no more"));
    }
    Ok(taken.lock)
}

/// The end of a sweep in words and as an exit code.
fn report(
    experiment: &Experiment,
    directory: &SweepDir,
    format: Format,
    outcome: &SweepReport,
    control: &Shutdown,
) -> Result<ExitCode> {
    let counts = tally(&experiment.runs, directory)?;
    let is_done = counts.keys().all(|state| state.is_final());
    let is_stopped = control.is_stopping() && !is_done;
    // Whoever stops a sweep does not wait for its table, and a closed terminal has no room for it.
    if !is_stopped {
        if let Some(note) = &experiment.note {
            say(format!("note: {note}"));
        }
        let summary = stats::table(&directory.load()?);
        let numbers = table::numbers(&summary).render(Format::Csv)?;
        write_atomically(&directory.summary(), numbers.as_bytes())?;
        table::summary(&summary, format).print(format)?;
    }
    if !is_stopped {
        until_decided::conclude(experiment, directory)?;
    }
    let told: Vec<String> = counts.iter().map(|(state, n)| format!("{n} {state}")).collect();
    say(format!("{}: {}", directory.root().display(), told.join(", ")));
    let mut failed = 0;
    for run in &experiment.runs {
        let Status { state, message, .. } = directory.run(&run.id).status()?;
        if let Some((_, who)) = outcome.held.iter().find(|(id, _)| *id == run.id) {
            say(format!("{} held: {who}", run.id));
        } else if !state.is_final() {
            failed += 1;
            if state != State::Pending {
                say(format!("{} {state}: {message}", run.id));
            }
        }
    }
    outcome.remarks.iter().for_each(say);
    if is_stopped {
        say("stopped; the same command goes on");
    } else if !is_done {
        say("the same command again runs what is missing");
    }
    say(format!("figures: fathom plot {}", directory.root().display()));
    Ok(match (is_done, control.killed_by()) {
        (true, _) => ExitCode::SUCCESS,
        (false, Some(signal)) => ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX)),
        _ if is_stopped => ExitCode::from(STOPPED),
        // What others train is no failure, and not done either.
        _ if failed == 0 => ExitCode::from(STOPPED),
        _ => ExitCode::from(SOME_FAILED),
    })
}
