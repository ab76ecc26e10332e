//! `fathom check`.

mod verdicts;

use super::choice::choice;
use super::doubts;
use super::stderr::log;
use super::table::{Format, print};
use super::{REFUTED, UNDECIDED};
use anyhow::{Context, Result};
use fathom_record::SweepDir;
use fathom_spec::{Claims, SpecError};
use fathom_stats::{Evidence, Outcome, Verdict, check_evidence};
use fathom_sweep::check_integrity;
use std::path::PathBuf;
use std::process::ExitCode;

/// Check an experiment's claims against its results
///
/// Exit codes: 0 if all primary claims are supported, 4 if one is refuted, 5 if none is refuted and one
/// is undecided
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
    let verdicts = check_evidence(&evidence, &Claims::parse(&file, &text)?)?;
    if verdicts.is_empty() {
        let message = "makes no claims: add a [[claim]] (docs/claims.md)".into();
        return Err(SpecError { place: file.display().to_string(), message }.into());
    }
    // The directory records only the verdicts on its own claims.
    if args.experiment.is_none()
        && let Err(error) = directory.write_claims(&verdicts)
    {
        log(format!("note: claims.json is not updated: {error:#}"));
    }
    match args.format {
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
    match (any(Outcome::Refuted), any(Outcome::Undecided)) {
        (true, _) => ExitCode::from(REFUTED),
        (false, true) => ExitCode::from(UNDECIDED),
        (false, false) => ExitCode::SUCCESS,
    }
}
