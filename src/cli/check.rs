//! `fathom check`.

mod verdicts;

use super::choice::choice;
use super::doubts;
use super::stderr::log;
use super::table::{Format, print};
use super::{REFUTED, UNDECIDED};
use anyhow::{Context, Result};
use fathom_record::SweepDir;
use fathom_spec::Claims;
use fathom_stats::{Evidence, Outcome, Verdict, check_evidence};
use fathom_sweep::check_integrity;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

/// Check an experiment's claims against its results
///
/// Exit codes: 0 if all primary claims are supported, 4 if one is refuted, 5 if none is refuted and one
/// is undecided, or no primary claim can be checked
#[derive(clap::Args)]
pub struct Args {
    /// Results directory with `experiment.toml` and `runs/` or `curves.csv`
    dir: PathBuf,
    /// Take the claims from this file instead of the one in the directory
    #[arg(long, value_name = "FILE")]
    experiment: Option<PathBuf>,
    /// Format of the verdicts
    #[arg(long, value_parser = choice::<Format>(), default_value_t)]
    format: Format,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let directory = SweepDir::new(&args.dir);
    directory.check_exists()?;
    let file = args.experiment.clone().unwrap_or_else(|| directory.experiment());
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("cannot read {}", file.display()))?;
    check_integrity(&directory)?;
    let evidence = Evidence::load(&directory)?;
    doubts::note(evidence.runs());
    let mut claims = Claims::parse(&file, &text)?;
    // Only the directory's own claims were set aside.
    let set_aside =
        if args.experiment.is_some() { BTreeSet::new() } else { directory.set_aside()? };
    claims.remove(&set_aside);
    for name in &set_aside {
        log(format!("note: \"{name}\" is not checked: run --set took away its runs"));
    }
    let verdicts = check_evidence(&evidence, &claims)?;
    if verdicts.is_empty() {
        let why = match set_aside.len() {
            0 => "makes no claims: add a [[claim]] (docs/claims.md)",
            _ => "has no claim that can be checked: run it without --set to have the runs of all",
        };
        log(format!("{}: {why}", file.display()));
    }
    // The directory records only the verdicts on its own claims.
    if args.experiment.is_none()
        && !verdicts.is_empty()
        && let Err(error) = directory.write_claims(&verdicts)
    {
        log(format!("note: claims.json is not updated: {error:#}"));
    }
    match args.format {
        Format::Table | Format::Markdown if verdicts.is_empty() => {}
        Format::Table | Format::Markdown => {
            print(&verdicts::table_for_people(&verdicts), args.format)?;
            verdicts.iter().for_each(verdicts::explain);
        }
        Format::Csv | Format::Json => print(&verdicts::table(&verdicts), args.format)?,
    }
    Ok(code(&verdicts))
}

fn code(verdicts: &[Verdict]) -> ExitCode {
    let any = |outcome| verdicts.iter().any(|verdict| verdict.outcome == outcome);
    let is_undecided = any(Outcome::Undecided) || !any(Outcome::Supported);
    match (any(Outcome::Refuted), is_undecided) {
        (true, _) => ExitCode::from(REFUTED),
        (false, true) => ExitCode::from(UNDECIDED),
        (false, false) => ExitCode::SUCCESS,
    }
}
