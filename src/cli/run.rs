//! `fathom run`.

use super::progress::Progress;
use super::table::{self, Format};
use super::{SOME_FAILED, Usage, plan};
use crate::protocol::Probe;
use crate::record::{Resolved, SCHEMA, State, SweepDir};
use crate::spec::{Experiment, Run, SpecError};
use crate::sweep::{Options, Worker, available_memory, refuse_strangers, sweep, tally};
use crate::{data, stats};
use anyhow::{Context, Result, ensure};
use std::path::PathBuf;
use std::process::ExitCode;

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
    /// auto, cpu, cuda, or cuda:0,1
    #[arg(long, default_value = "auto")]
    device: String,
    /// Runs side by side on each device [default: one per core on the CPU, one on a GPU]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Threads of one run [default: the cores, dealt out to the runs side by side]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Where data sets lie
    #[arg(long, value_name = "DIR", env = "FATHOM_DATA")]
    data_dir: Option<PathBuf>,
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
    let mut experiment = args.chosen.load()?;
    for remark in &experiment.remarks {
        eprintln!("note: {remark}");
    }
    // A GPU's memory is another matter, and its worker says what it lacks.
    if !args.device.starts_with("cuda")
        && let Some(warning) = plan::too_large(&experiment.runs, available_memory())
    {
        eprintln!("warning: {warning}");
    }
    let mut name = experiment.name.clone();
    if args.smoke {
        name += "-smoke";
        experiment.runs = crate::spec::smoke(&experiment.runs)?;
        let short = experiment.runs.iter().map(|run| (run.id.clone(), run.config.clone()));
        experiment.configs = short.collect();
    }
    if args.dry_run {
        plan::table(&experiment.runs).print(args.format)?;
        return Ok(ExitCode::SUCCESS);
    }
    let directory =
        SweepDir::new(args.out.clone().unwrap_or_else(|| PathBuf::from("results").join(&name)));
    directory.create()?;
    refuse_strangers(&experiment.configs, &directory)?;
    if !args.smoke {
        find_data(&experiment.runs, args)?;
    }
    let (worker, probe) = Worker::ready()?;
    let options = options(args, &probe, experiment.runs.len())?;
    let resolved = Resolved { schema: SCHEMA, runs: experiment.configs.clone() };
    directory.write_experiment(&experiment.text, &resolved)?;
    let before = tally(&experiment.runs, &directory)?;
    let done = before.iter().filter(|(state, _)| state.is_final()).map(|(_, n)| n).sum::<usize>();
    eprintln!(
        "{}: {} runs{}, {} side by side, {} on {}",
        name,
        experiment.runs.len(),
        if done > 0 { format!(" ({done} done before)") } else { String::new() },
        options.jobs * options.devices.len(),
        if options.threads == 1 {
            "one thread each".into()
        } else {
            format!("{} threads each", options.threads)
        },
        options.devices.join(", "),
    );
    let progress = Progress::new(&experiment.runs, &before, &directory)?;
    sweep(&experiment.runs, &directory, &options, &worker, &progress)?;
    progress.close();
    report(&experiment, &directory, args.format)
}

/// Data sets are read once before anything is computed: a missing or damaged one is found now.
fn find_data(runs: &[Run], args: &Args) -> Result<()> {
    let mut seen = Vec::new();
    for run in runs {
        if !seen.contains(&run.settings.data) {
            data::load(&run.settings.data, args.data_dir.as_deref())?;
            seen.push(run.settings.data.clone());
        }
    }
    Ok(())
}

/// Devices, jobs and threads from what was asked for and what the machine has.
fn options(args: &Args, probe: &Probe, runs: usize) -> Result<Options> {
    let devices = devices(&args.device, probe)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let on_cpu = devices[0] == "cpu";
    // Small nets side by side on one thread each do more work than one on all cores.
    let jobs = args.jobs.map_or(if on_cpu { cores.min(runs.max(1)) } else { 1 }, usize::from);
    let omp = std::env::var("OMP_NUM_THREADS").ok().and_then(|text| text.parse().ok());
    let share = omp.unwrap_or_else(|| (cores / (jobs * devices.len())).max(1));
    Ok(Options {
        devices,
        jobs,
        threads: args.threads.map_or(share, usize::from),
        data_dir: args.data_dir.clone(),
        stand_in: args.smoke,
    })
}

fn devices(asked: &str, probe: &Probe) -> Result<Vec<String>> {
    if asked == "cpu" {
        return Ok(vec!["cpu".into()]);
    }
    let usable = probe.cuda_devices;
    if asked == "auto" {
        return Ok(vec![if usable > 0 { "cuda:0".into() } else { "cpu".into() }]);
    }
    let list = match asked.strip_prefix("cuda") {
        Some("") => "0",
        Some(rest) => rest.strip_prefix(':').unwrap_or("?"),
        None => "?",
    };
    let indices: Result<Vec<i64>, _> = list.split(',').map(str::parse).collect();
    let indices = indices.map_err(|_| {
        Usage(format!("--device {asked}: valid are auto, cpu, cuda, cuda:0, cuda:0,1"))
    })?;
    if let Err(why) = &probe.cuda_library {
        anyhow::bail!("--device {asked}: {why}");
    }
    for index in &indices {
        ensure!(
            (0..usable).contains(index),
            "--device {asked}: libtorch sees {usable} CUDA devices; `fathom doctor` says more"
        );
    }
    Ok(indices.into_iter().map(|index| format!("cuda:{index}")).collect())
}

fn report(experiment: &Experiment, directory: &SweepDir, format: Format) -> Result<ExitCode> {
    if let Some(note) = &experiment.note {
        eprintln!("note: {note}");
    }
    table::summary(&stats::table(&directory.load()?), format).print(format)?;
    let counts = tally(&experiment.runs, directory)?;
    let told: Vec<String> = counts.iter().map(|(state, n)| format!("{n} {state}")).collect();
    eprintln!("{}: {}", directory.root().display(), told.join(", "));
    let failed = counts.iter().any(|(state, _)| !state.is_final());
    if failed {
        for run in &experiment.runs {
            let status = directory.run(&run.id).status()?;
            if !matches!(status.state, State::Done | State::Diverged | State::Pending) {
                eprintln!("{} {}: {}", run.id, status.state, status.message);
            }
        }
        eprintln!("the same command again runs what is missing");
    }
    eprintln!("figures: fathom plot {}", directory.root().display());
    Ok(if failed { ExitCode::from(SOME_FAILED) } else { ExitCode::SUCCESS })
}
