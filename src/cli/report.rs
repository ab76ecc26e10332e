//! `fathom report`.

mod findings;
mod marker;
mod splice;

use super::Usage;
use super::doubts;
use super::experiment::text_of_key;
use super::plot::{Asked, Shown, write};
use super::stderr::log;
use super::stdout;
use super::text::word;
use anyhow::{Context, Result, ensure};
use clap::ArgGroup;
use fathom_base::{capitalised, quoted, write_atomically};
use fathom_plot::{Figure, Results};
use fathom_record::{SweepCurves, SweepDir};
use fathom_report::{self as report, Report, markdown, opening_comment};
use fathom_spec::Claims;
use fathom_stats::{self as stats, BestRuns, Evidence, check_directory, summary_csv};
use fathom_sweep::check_integrity;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Report results as an HTML page and in Markdown, and update tables in other files
///
/// The page is one file that needs no network. With --where, --colour or --facet only the page is written
#[derive(clap::Args)]
#[command(override_usage = USAGE)]
#[command(group = ArgGroup::new("subject").required(true).args(["dir", "splice"]))]
pub struct Args {
    /// Results directory
    dir: Option<PathBuf>,
    /// File of the page [default: DIR/report.html]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Update the marked tables of these Markdown files instead
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "out")]
    splice: Vec<PathBuf>,
    /// With --splice: change nothing, and fail if a table is out of date
    #[arg(long, conflicts_with_all = ["dir", "out"])]
    check: bool,
    #[command(flatten)]
    shown: Shown,
}

const USAGE: &str =
    "fathom report [OPTIONS] <DIR>\n       fathom report --splice <FILE>... [--check]";

/// Writes the report of a directory, or updates the tables of text files.
///
/// # Errors
/// When results or text files cannot be read or written, or with `--check` if a table is out of date.
pub fn run(args: &Args) -> Result<ExitCode> {
    if let (false, Some(option)) = (args.splice.is_empty(), args.shown.given()) {
        return Err(Usage(format!(
            "{option} is of a page: the tables of text files have all runs"
        ))
        .into());
    }
    let mut has_markers = false;
    for file in &args.splice {
        has_markers |= splice::splice(file, args.check)?;
    }
    let Some(root) = &args.dir else {
        ensure!(
            has_markers,
            Usage("--splice: no line is a marker, such as <!-- fathom: metrics -->".into())
        );
        return Ok(ExitCode::SUCCESS);
    };
    let directory = SweepDir::new(root);
    let report = load(&directory, &args.shown)?;
    let page = args.out.clone().unwrap_or_else(|| root.join("report.html"));
    write(&page, report::html(&report).as_bytes())?;
    stdout::write_line(page.display())?;
    // The summaries are of all runs and their tables have no colours.
    if args.out.is_none() && args.shown.given().is_none() {
        let brief = root.join("summary.md");
        write_atomically(&brief, markdown(&report, &figures(&directory)).as_bytes())?;
        stdout::write_line(brief.display())?;
        let table = summary_csv(&report.summary).csv()?;
        write_atomically(&directory.summary(), table.as_bytes())?;
        stdout::write_line(directory.summary().display())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads everything that a report shows.
fn load(directory: &SweepDir, shown: &Shown) -> Result<Report> {
    check_integrity(directory)?;
    let mut results = Results::load(directory)?;
    doubts::note(&results.curves.runs);
    let all = results.curves.clone();
    let Asked { conditions, colour, facet } = shown.choose(&mut results)?;
    let summary = stats::table(&results.curves);
    let root = directory.root();
    let file = directory.experiment();
    let mut report = Report {
        name: root.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
        command: command(directory, "", &[]),
        results,
        summary,
        conditions,
        colour,
        facet,
        ..Report::default()
    };
    if !file.exists() {
        log(format!(
            "note: {} is missing: the report has no question and no claims",
            file.display()
        ));
        return Ok(report);
    }
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("cannot read {}", file.display()))?;
    let sets = directory.resolved()?.unwrap_or_default().sets;
    let name = text_of_key(&file, &text, "name")?;
    report.command = command(directory, name.as_deref().unwrap_or_default(), &sets);
    for (name, content) in opening_comment(&text) {
        match name.as_str() {
            "Question" => report.question = Some(capitalised(&content)),
            // The command of the file gives the results of the file, without `--set`.
            "Command" if sets.is_empty() => report.command = content,
            _ => {}
        }
    }
    report.name = name.unwrap_or(report.name);
    report.note = text_of_key(&file, &text, "note")?;
    let mut claims = Claims::parse(&file, &text)?;
    report.set_aside = directory.set_aside()?;
    claims.remove(&report.set_aside);
    report.verdicts = check_directory(directory, &claims)?;
    report.best = best_runs(directory, &claims, &all)?.filter(|best| {
        // Values that were chosen by hand are shown as they are.
        let count = |curves: &SweepCurves| curves.groups(std::slice::from_ref(&best.axis)).len();
        count(&all) == count(&report.results.curves)
    });
    Ok(report)
}

/// The command that makes the results of a directory, from its own copy of the experiment, whose name is `name`.
fn command(directory: &SweepDir, name: &str, sets: &[String]) -> String {
    let mut command = format!("fathom run {}", word(&directory.experiment()));
    for set in sets {
        command += &format!(" --set {}", quoted(set));
    }
    if directory.root() != Path::new("results").join(name) {
        command += &format!(" --out {}", word(directory.root()));
    }
    command
}

/// The runs at the best values of the key that the experiment tunes, or else its first claim that does.
fn best_runs(directory: &SweepDir, claims: &Claims, all: &SweepCurves) -> Result<Option<BestRuns>> {
    let of_claims = claims.claims.iter().filter_map(|claim| claim.tune.as_ref());
    let Some(tune) = claims.tune.iter().chain(of_claims).next() else { return Ok(None) };
    Ok(BestRuns::of(all, tune, &Evidence::load(directory)?))
}

/// Paths of the figures in the directory, relative to it.
fn figures(directory: &SweepDir) -> Vec<String> {
    let drawn = |figure: &Figure| {
        let files = ["png", "svg"].map(|ending| format!("figures/{}.{ending}", figure.word()));
        files.into_iter().find(|path| directory.root().join(path).exists())
    };
    Figure::ALL.iter().filter_map(drawn).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_of_a_report_can_be_copied_and_gives_these_results() {
        let of = |root: &str, sets: &[&str]| {
            let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
            command(&SweepDir::new(root), "tiny", &sets)
        };
        assert_eq!(of("results/tiny", &[]), "fathom run results/tiny/experiment.toml");
        assert_eq!(
            of("w/my own", &["seed=[7]", "network.depth=8"]),
            "fathom run 'w/my own/experiment.toml' --set 'seed=[7]' --set network.depth=8 --out 'w/my own'"
        );
    }
}
