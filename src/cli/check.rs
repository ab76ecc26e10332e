//! `fathom check`: the experiment's claims against its results.

use super::integrity;
use super::stderr::say;
use super::table::{Format, Table};
use super::{REFUTED, UNDECIDED};
use anyhow::{Context, Result};
use fathom_record::SweepDir;
use fathom_spec::{Claims, Contrast, SpecError};
use fathom_stats::{self as stats, Evidence, Outcome, Verdict};
use serde_json::Value;
use std::path::PathBuf;
use std::process::ExitCode;

/// Hold an experiment's claims against its results.
///
/// Exit codes: 0 all are supported, 4 one is refuted, 5 none is, and one is undecided
#[derive(clap::Args)]
pub struct Args {
    /// Results directory, with `experiment.toml` and `runs/` or `curves.csv`
    dir: PathBuf,
    /// Take the claims from this file instead of the directory's own
    #[arg(long, value_name = "FILE")]
    experiment: Option<PathBuf>,
    /// How the verdicts are printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let directory = SweepDir::new(&args.dir);
    let file = args.experiment.clone().unwrap_or_else(|| directory.experiment());
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("cannot read {}", file.display()))?;
    let verdicts = verdicts(&directory, &Claims::parse(&file, &text)?)?;
    if verdicts.is_empty() {
        let message = "makes no claims: add a [[claim]] (README, \"Claims\")".into();
        return Err(SpecError { place: file.display().to_string(), message }.into());
    }
    // Claims of another file are not those that the results were made for.
    if args.experiment.is_none()
        && let Err(error) = directory.write_claims(&verdicts)
    {
        say(format!("note: claims.json is not renewed: {error:#}"));
    }
    table(&verdicts, args.format).print(args.format)?;
    if args.format == Format::Table {
        verdicts.iter().for_each(explain);
    }
    Ok(code(&verdicts))
}

/// The verdicts on claims, by the results in a directory.
///
/// # Errors
/// When results are damaged, or a claim is not about runs that were planned.
pub fn verdicts(directory: &SweepDir, claims: &Claims) -> Result<Vec<Verdict>> {
    integrity::check(directory)?;
    let evidence = Evidence::load(directory)?;
    let candidates = evidence.candidates(claims.arm_keys.clone());
    let resolve =
        |claim: &fathom_spec::Claim| Ok((claim.clone(), Contrast::of(claim, &candidates)?));
    let resolved = claims.claims.iter().map(resolve).collect::<Result<Vec<_>, SpecError>>()?;
    Ok(stats::check(&resolved, &claims.deciding, &evidence))
}

fn code(verdicts: &[Verdict]) -> ExitCode {
    let any = |outcome| verdicts.iter().any(|verdict| verdict.outcome == outcome);
    match (any(Outcome::Refuted), any(Outcome::Undecided)) {
        (true, _) => ExitCode::from(REFUTED),
        (false, true) => ExitCode::from(UNDECIDED),
        (false, false) => ExitCode::SUCCESS,
    }
}

/// One row for each claim.
pub fn table(verdicts: &[Verdict], format: Format) -> Table {
    let people = format == Format::Table;
    let mut headers = vec!["verdict", "claim", "metric", "effect"];
    if people {
        headers.extend(["interval", "claimed", "n"]);
    } else {
        headers.extend(["low", "high", "confidence", "claimed_low", "claimed_high", "n"]);
        headers.extend(["planned", "seeds_needed", "statement", "reason", "remarks"]);
    }
    let mut table = Table::new(headers);
    for verdict in verdicts {
        let region = &verdict.region;
        let mut cells: Vec<Value> = vec![
            verdict.outcome.to_string().into(),
            verdict.name.clone().into(),
            verdict.metric.clone().into(),
        ];
        if people {
            cells.push(verdict.effect.map(|effect| format!("{effect:.2}")).into());
            cells.push(interval(verdict).into());
            cells.push(claimed(region.low, region.high).into());
            let planned = verdict.planned;
            cells.push(if verdict.n == planned {
                planned.into()
            } else {
                format!("{} of {planned}", verdict.n).into()
            });
        } else {
            let numbers = [verdict.effect, verdict.low, verdict.high, Some(verdict.confidence)];
            cells.extend(numbers.map(Value::from));
            cells.extend([region.low, region.high].map(Value::from));
            cells.extend([verdict.n.into(), verdict.planned.into(), verdict.seeds_needed.into()]);
            cells.extend([verdict.statement.clone().into(), verdict.reason.clone().into()]);
            cells.push(verdict.remarks.join("; ").into());
        }
        table.row(cells);
    }
    table
}

fn interval(verdict: &Verdict) -> Option<String> {
    Some(format!("{:.2} … {:.2}", verdict.low?, verdict.high?))
}

fn claimed(low: Option<f64>, high: Option<f64>) -> String {
    match (low, high) {
        (Some(low), None) => format!("≥ {low}"),
        (None, Some(high)) => format!("≤ {high}"),
        (Some(low), Some(high)) => format!("{low} … {high}"),
        (None, None) => String::new(),
    }
}

/// What more seeds would do.
fn outlook(verdict: &Verdict) -> String {
    let (n, last) = (verdict.n, verdict.looks.last());
    match verdict.seeds_needed {
        Some(seeds) if seeds > n => {
            format!("about {seeds} seeds would decide, if they are like these {n}")
        }
        _ => match last {
            Some(last) if n >= *last => "its looks are used up".into(),
            Some(last) => format!("even {last} seeds would not decide, if they are like these {n}"),
            None => format!("a thousand seeds would not decide, if they are like these {n}"),
        },
    }
}

/// A claim in words, with what a table has no room for.
fn explain(verdict: &Verdict) {
    say(format!("\n{} ({}): {}", verdict.name, verdict.outcome, verdict.statement));
    let arms = verdict.arms.iter().filter_map(|arm| Some((arm, arm.mean?)));
    let means: Vec<String> = arms.map(|(arm, mean)| format!("{} {mean:.2}", arm.label)).collect();
    say(format!("  means: {}; intervals cover with {:.4}", means.join(", "), verdict.confidence));
    if let Some(reason) = &verdict.reason {
        say(format!("  undecided because {reason}"));
    } else if verdict.outcome == Outcome::Undecided {
        say(format!("  {}", outlook(verdict)));
    }
    verdict.remarks.iter().for_each(|remark| say(format!("  {remark}")));
    if !verdict.exploratory.is_empty() {
        let seeds = &verdict.exploratory;
        let effects = verdict.effects.iter().filter(|(seed, _)| seeds.contains(seed));
        let effects: Vec<f64> = effects.map(|(_, effect)| *effect).collect();
        let mean = effects.iter().sum::<f64>() / effects.len() as f64;
        say(format!(
            "  exploratory, not used: {} further seeds with a mean effect of {mean:.2}",
            seeds.len()
        ));
    }
}
