//! The command line: one file per sub-command. Each has its arguments, calls the other crates, and
//! prints; none has logic of its own.

// `println!` and `eprintln!` panic once the reader of the output has ended; see `stdout` and `stderr`.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod bench;
mod cancel;
mod check;
mod choice;
mod compare;
mod cuda;
mod data;
mod device;
mod doctor;
mod doubts;
mod eval;
mod experiment;
mod export;
mod gpus;
mod import;
mod inspect;
mod landscape;
mod mps;
mod network;
mod new;
mod options;
mod plan;
mod plot;
mod progress;
mod report;
mod run;
mod session;
mod slurm;
mod status;
mod stderr;
mod stdout;
mod table;
mod task;
mod text;

use anyhow::Result;
use clap::{Parser, Subcommand};
use fathom_arch::Family;
use fathom_spec::SpecError;
use std::path::Path;
use std::process::ExitCode;

/// Does adding layers to a net help, and what makes it help?
#[derive(Parser)]
#[command(name = "fathom", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// The sub-commands; the documentation of their arguments is their help.
#[derive(Subcommand)]
enum Command {
    Run(run::Args),
    New(new::Args),
    Plan(plan::Args),
    Status(status::Args),
    Cancel(cancel::Args),
    Plot(plot::Args),
    Report(report::Args),
    Compare(compare::Args),
    Export(export::Args),
    Import(import::Args),
    Check(check::Args),
    Inspect(inspect::Args),
    Eval(eval::Args),
    #[command(visible_alias = "look")]
    Landscape(landscape::Args),
    Bench(bench::Args),
    Data(data::Args),
    Doctor(doctor::Args),
    #[command(hide = true)]
    Task(task::Args),
}

/// An error in the arguments that clap cannot find; the program ends with exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

/// Exit code if some runs failed.
const SOME_FAILED: u8 = 3;

/// Exit code if a claim is refuted.
const REFUTED: u8 = 4;

/// Exit code if no claim is refuted and one is undecided.
const UNDECIDED: u8 = 5;

/// Runs the command line of this process and returns the exit code. `own` are families of the calling
/// program in addition to those of fathom.
pub fn main(own: &[&'static dyn Family]) -> ExitCode {
    fathom_arch::register(own);
    run(Cli::parse())
}

fn run(cli: Cli) -> ExitCode {
    match dispatch(cli.command) {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            stderr::log(format!("error: {error:#}"));
            let is_usage = error.is::<SpecError>() || error.is::<Usage>();
            ExitCode::from(if is_usage { 2 } else { 1 })
        }
    }
}

fn dispatch(command: Command) -> Result<ExitCode> {
    // Before an experiment is read, whose images may be there.
    if let Some(folder) = data_dir(&command) {
        fathom_data::locate::prefer(folder);
    }
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
        Command::Import(args) => import::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Landscape(args) => landscape::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Data(args) => data::run(&args),
        Command::Doctor(args) => doctor::run(&args),
    }
}

/// The folder of data sets that a command was given.
fn data_dir(command: &Command) -> Option<&Path> {
    match command {
        Command::Run(args) => args.machine.data_dir.as_deref(),
        Command::Plan(args) => args.machine.data_dir.as_deref(),
        Command::Eval(args) => args.data_dir.as_deref(),
        Command::Landscape(args) => args.data_dir.as_deref(),
        Command::Task(args) => args.data_dir.as_deref(),
        // `data` passes its own folder on, and the others read no data set.
        Command::New(_)
        | Command::Status(_)
        | Command::Cancel(_)
        | Command::Plot(_)
        | Command::Report(_)
        | Command::Compare(_)
        | Command::Export(_)
        | Command::Import(_)
        | Command::Check(_)
        | Command::Inspect(_)
        | Command::Bench(_)
        | Command::Data(_)
        | Command::Doctor(_) => None,
    }
}

/// Whether the reader of the output has ended, as in `fathom status DIR --watch | head`.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn every_command_has_consistent_arguments_and_help_on_each() {
        Cli::command().debug_assert();
        let mut waiting = vec![Cli::command()];
        while let Some(command) = waiting.pop() {
            for argument in command.get_arguments() {
                let (id, name) = (argument.get_id(), command.get_name());
                assert!(argument.get_help().is_some(), "{name} has no help on {id}");
            }
            assert!(command.get_about().is_some(), "{} has no help", command.get_name());
            waiting.extend(command.get_subcommands().cloned());
        }
    }

    #[test]
    fn no_help_has_the_markup_of_the_documentation() {
        let mut waiting = vec![Cli::command()];
        while let Some(mut command) = waiting.pop() {
            let help = command.render_long_help().to_string();
            assert!(!help.contains("]("), "{help}");
            waiting.extend(command.get_subcommands().cloned());
        }
    }

    #[test]
    fn options_without_an_effect_are_refused_where_they_are_parsed() {
        for (line, said) in [
            ("eval", "<--run <DIR>|--weights <FILE>>"),
            ("eval", "fathom eval [OPTIONS] --weights <FILE> --network <NETWORK> --data <DATA>"),
            ("eval --run r --data mnist", "'--run <DIR>' cannot be used with '--data <DATA>'"),
            ("eval --run r --size 16", "'--run <DIR>' cannot be used with '--size <SIZE>'"),
            ("eval --run r --images 10", "cannot be used with"),
            ("eval --run r --mean 0.1 --std 0.1", "cannot be used with"),
            ("eval --run r --path x", "cannot be used with"),
            ("eval --run r --labels fine", "cannot be used with"),
            ("eval --run r --per-pixel-mean", "cannot be used with"),
            ("eval --weights w --network mlp --data mnist --mean nan --std 1", "a finite number"),
            ("report", "--splice <FILE>"),
            ("report d --check", "cannot be used with"),
            ("report --splice a.md --check", ""),
            ("compare a b --plot", "cannot be used with"),
            ("compare a b --baseline 8", "cannot be used with"),
            ("compare a b --best lr", "cannot be used with"),
            ("compare a b --width column", "cannot be used with"),
            ("compare a b --tune-seeds 0", "cannot be used with"),
            ("compare a b --out fig", "cannot be used with"),
            ("compare a --over norm --baseline batch --plot --out fig", ""),
            ("export d --wide --table csv", "cannot be used with"),
            ("export d --table csv --metric lr", "cannot be used with"),
            ("export d --tensorboard ev --metric lr", "--wide"),
            ("plan f --device foo", "valid are auto, cpu, cuda, cuda:0, cuda:0,1"),
            ("plan f --memory -1", "a number of gigabytes above 0"),
            ("plan f --max-hours -1", "a number of hours above 0"),
            ("eval --run r --device cuda:0,1", "expected one device: auto, cpu"),
            ("landscape d --device gpu", "expected one device: auto, cpu"),
            ("landscape d --reach -1", "'-1' for '--reach <REACH>': expected a number above 0"),
            ("landscape d --reach nan", "expected a number above 0"),
            (
                "landscape d --points 4",
                "'4' for '--points <POINTS>': expected an odd number from 3",
            ),
            ("landscape d --images 50", "expected a number of at least 64"),
            ("bench mlp --seconds -1", "a number of seconds above 0"),
            ("inspect mlp --size 4097", "4097 is not in 1..=4096"),
            ("inspect mlp --classes 0", "0 is not in 1..=65536"),
            ("inspect mlp --channels 18446744073709551615", "is not in 1..=4096"),
            ("data show mnist --per-class 0", "0 is not in 1..=100"),
            ("data show mnist --size 3", "3 is not in 8..=4096"),
            ("data show images --path p --test-share 3", "expected a number from "),
            ("status d --watch abc", "a whole number of seconds"),
        ] {
            let parsed = Cli::try_parse_from(["fathom"].into_iter().chain(line.split(' ')));
            match parsed.err() {
                Some(refused) if !said.is_empty() => {
                    let refused = refused.to_string();
                    assert!(refused.contains(said), "{line}: {refused}");
                }
                refused => assert_eq!(refused.is_none(), said.is_empty(), "{line}"),
            }
        }
    }

    #[test]
    fn the_former_name_of_landscape_still_works() {
        let parse = |name| Cli::try_parse_from(["fathom", name, "results/x"]).unwrap().command;
        for name in ["landscape", "look"] {
            assert!(matches!(parse(name), Command::Landscape(_)), "{name}");
        }
    }
}
