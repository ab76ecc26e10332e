//! The command line: one file per sub-command, each only glue.

mod bench;
mod cancel;
mod check;
mod choice;
mod compare;
mod cuda;
mod data;
mod doctor;
mod eval;
mod export;
mod gpus;
mod inspect;
mod integrity;
mod landscape;
mod layout;
mod measure;
mod network;
mod new;
mod options;
mod plan;
mod plot;
mod progress;
mod report;
mod run;
mod setup;
mod slurm;
mod status;
mod stderr;
mod table;
mod task;
mod until_decided;

use anyhow::Result;
use clap::{Parser, Subcommand};
use fathom_arch::Family;
use fathom_spec::SpecError;
use std::process::ExitCode;

/// Does adding layers to a net help, and what makes it help?
#[derive(Parser)]
#[command(name = "fathom", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run an experiment; the same command again resumes it
    Run(run::Args),
    /// Write a commented experiment to start from
    New(new::Args),
    /// Show the runs of an experiment: parameters, multiply-adds, memory, disk
    Plan(plan::Args),
    /// Show the state of every run of a results directory
    Status(status::Args),
    /// Stop what runs or waits for a results directory, here and on a Slurm cluster
    Cancel(cancel::Args),
    /// Draw the figures of a results directory from its CSV
    Plot(plot::Args),
    /// Report results: one HTML page, Markdown, and tables spliced into other files
    Report(report::Args),
    /// Tell what differs between two results directories
    Compare(compare::Args),
    /// Write results for other programs
    Export(export::Args),
    /// Hold an experiment's claims against its results
    Check(check::Args),
    /// Print a network layer by layer
    Inspect(inspect::Args),
    /// Loss and error of given weights on a data set
    Eval(eval::Args),
    /// Look at trained nets: the loss around them, and gradients along their input
    Look(landscape::Args),
    /// Speed of training: images per second, operations per second, and what the machine could do
    Bench(bench::Args),
    /// Find, fetch, check and look at data sets
    Data(data::Args),
    /// Say what libtorch, CUDA and this machine offer, and mend what is wrong
    Doctor(doctor::Args),
    /// Train the runs of one task of a Slurm array: what `run --on slurm` submits
    #[command(hide = true)]
    Task(task::Args),
}

/// Arguments that clap cannot check are wrong.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

/// Ended without fault, but some runs failed.
const SOME_FAILED: u8 = 3;

/// A claim is refuted, or none is and one is undecided.
const REFUTED: u8 = 4;
const UNDECIDED: u8 = 5;

/// The program: the command line of this process, with families of the program's own crate beside
/// those of this one. The result is the exit code.
pub fn main(own: &[&'static dyn Family]) -> ExitCode {
    fathom_arch::register(own);
    run(Cli::parse())
}

fn run(cli: Cli) -> ExitCode {
    match dispatch(cli.command) {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            stderr::say(format!("error: {error:#}"));
            let is_usage = error.is::<SpecError>() || error.is::<Usage>();
            ExitCode::from(if is_usage { 2 } else { 1 })
        }
    }
}

fn dispatch(command: Command) -> Result<ExitCode> {
    match command {
        Command::Run(args) => run::run(&args),
        Command::New(args) => new::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Cancel(args) => cancel::run(&args),
        Command::Task(args) => task::run(&args),
        Command::Plot(args) => plot::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Look(args) => landscape::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Data(args) => data::run(&args),
        Command::Doctor(args) => doctor::run(&args),
    }
}

/// Whoever read our output has seen enough (`fathom status | head`).
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
