//! The end of a sweep: final values, verdicts, and the runs that are not done.

use crate::SOME_FAILED;
use crate::stderr::log;
use crate::table::{Format, print, summary};
use crate::text::word;
use anyhow::Result;
use fathom_base::write_atomically;
use fathom_protocol::STOPPED;
use fathom_record::{State, Status, SweepDir};
use fathom_spec::Experiment;
use fathom_stats::{self as stats, Verdict, summary_csv};
use fathom_sweep::{Shutdown, SweepReport, count_states, second_stage, until_decided};
use std::process::ExitCode;

/// Prints the results of a sweep, writes `summary.csv` and `claims.json`, and returns the exit code.
///
/// # Errors
/// When results are damaged or cannot be written.
pub fn report(
    experiment: &Experiment,
    directory: &SweepDir,
    format: Format,
    outcome: &SweepReport,
    shutdown: &Shutdown,
) -> Result<ExitCode> {
    let counts = count_states(&experiment.runs, directory)?;
    let is_done = counts.keys().all(|state| state.is_final());
    let is_stopped = shutdown.is_stopping() && !is_done;
    // A user who stops a sweep does not wait for its table, and a closed terminal cannot show it.
    if !is_stopped {
        if let Some(note) = &experiment.note {
            log(format!("note: {note}"));
        }
        let finals = stats::table(&directory.load()?);
        write_atomically(&directory.summary(), summary_csv(&finals).csv()?.as_bytes())?;
        print(&summary(&finals, format), format)?;
        report_claims(experiment, directory)?;
    }
    let counts: Vec<String> = counts.iter().map(|(state, n)| format!("{n} {state}")).collect();
    log(format!("{}: {}", directory.root().display(), counts.join(", ")));
    let unfinished = report_unfinished(experiment, directory, outcome)?;
    outcome.remarks.iter().for_each(log);
    if is_stopped {
        log("stopped; the same command resumes");
    } else if !is_done {
        log("the same command again runs what is missing");
    }
    let without = if is_done { second_stage(experiment, directory)?.without } else { Vec::new() };
    without.iter().for_each(log);
    log(format!("figures: fathom plot {}", word(directory.root())));
    Ok(match (is_done, shutdown.killed_by()) {
        (true, _) if without.is_empty() => ExitCode::SUCCESS,
        (true, _) => ExitCode::from(SOME_FAILED),
        (false, Some(signal)) => ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX)),
        // Runs that another process trains have not failed, but are not done either.
        (false, None) if is_stopped || unfinished == 0 => ExitCode::from(STOPPED),
        (false, None) => ExitCode::from(SOME_FAILED),
    })
}

/// Reports every run that is not done, and returns the number of those that no other process trains.
fn report_unfinished(
    experiment: &Experiment,
    directory: &SweepDir,
    outcome: &SweepReport,
) -> Result<usize> {
    let mut unfinished = 0;
    for run in &experiment.runs {
        let Status { state, message, .. } = directory.run(&run.id).status()?;
        if let Some(held) = outcome.held.iter().find(|held| held.id == run.id) {
            log(format!("{} held: {}", run.id, held.holder));
        } else if !state.is_final() {
            unfinished += 1;
            if state != State::Pending {
                log(format!("{} {state}: {message}", run.id));
            }
        }
    }
    Ok(unfinished)
}

/// Prints one line for each claim and writes `claims.json`.
fn report_claims(experiment: &Experiment, directory: &SweepDir) -> Result<()> {
    if experiment.claims.is_empty() {
        return Ok(());
    }
    let verdicts = until_decided::verdicts(experiment, directory)?;
    for verdict in &verdicts {
        let Verdict { outcome, name, n, .. } = verdict;
        let effect = verdict.effect().zip(verdict.interval());
        let effect = effect.map(|(effect, ends)| format!(": {effect} ({ends}), n = {n}"));
        log(format!("{outcome:>11}  {name}{}", effect.unwrap_or_default()));
    }
    directory.write_claims(&verdicts)?;
    log(format!("claims: fathom check {}", word(directory.root())));
    Ok(())
}
