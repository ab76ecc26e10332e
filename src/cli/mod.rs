//! The command line: one file per sub-command, each only glue.

mod plot;
pub mod table;

use anyhow::Result;
use clap::{Parser, Subcommand};
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
    Plot(plot::Args),
}

/// Runs one command line; the result is the exit code of the program.
pub fn run(cli: Cli) -> ExitCode {
    match dispatch(cli.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(1)
        }
    }
}

fn dispatch(command: Command) -> Result<ExitCode> {
    match command {
        Command::Plot(args) => plot::run(&args),
    }
}
