//! `fathom report`: the HTML page, the Markdown summary, and tables in other files.

mod marker;

use super::stderr::say;
use super::table::{Format, numbers};
use super::{check, integrity};
use anyhow::{Context, Result, bail};
use fathom_base::write_atomically;
use fathom_plot::Results;
use fathom_record::SweepDir;
use fathom_report::{self as report, Report, markdown, opening_comment};
use fathom_spec::Claims;
use fathom_stats as stats;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Report results: one HTML file that needs no network, and a summary in Markdown
#[derive(clap::Args)]
pub struct Args {
    /// Results directory
    #[arg(required_unless_present = "splice")]
    dir: Option<PathBuf>,
    /// File of the HTML page [default: DIR/report.html]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Update the generated tables of these Markdown files instead
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["dir", "out"])]
    splice: Vec<PathBuf>,
    /// With --splice: change nothing, and fail if a table is out of date
    #[arg(long, requires = "splice")]
    check: bool,
}

/// Writes the report of a directory, or updates the tables of text files.
///
/// # Errors
/// When results or text files cannot be read or written, or with `--check` if a table is out of date.
pub fn run(args: &Args) -> Result<ExitCode> {
    for file in &args.splice {
        splice(file, args.check)?;
    }
    let Some(root) = &args.dir else { return Ok(ExitCode::SUCCESS) };
    let directory = SweepDir::new(root);
    let report = load(&directory)?;
    let page = args.out.clone().unwrap_or_else(|| root.join("report.html"));
    write_atomically(&page, report::html(&report).as_bytes())?;
    println!("{}", page.display());
    if args.out.is_none() {
        let brief = root.join("summary.md");
        write_atomically(&brief, markdown(&report, &figures(&directory)).as_bytes())?;
        println!("{}", brief.display());
        let table = numbers(&report.summary).render(Format::Csv)?;
        write_atomically(&directory.summary(), table.as_bytes())?;
        println!("{}", directory.summary().display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads results, experiment file and claims of a directory.
fn load(directory: &SweepDir) -> Result<Report> {
    integrity::check(directory)?;
    let results = Results::load(directory)?;
    let summary = stats::table(&results.curves);
    let root = directory.root();
    let mut report = Report {
        name: root.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
        results,
        summary,
        ..Report::default()
    };
    report.command = format!("fathom run {}", root.join("experiment.toml").display());
    let file = directory.experiment();
    if !file.exists() {
        say(format!(
            "note: {} is missing, so the report has no question and no claims",
            file.display()
        ));
        return Ok(report);
    }
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("cannot read {}", file.display()))?;
    for (name, said) in opening_comment(&text) {
        match name.as_str() {
            "Question" => report.question = Some(capital(&said)),
            "Command" => report.command = said,
            _ => {}
        }
    }
    let table: toml::Table = text.parse().with_context(|| format!("in {}", file.display()))?;
    let word = |key: &str| table.get(key).and_then(|value| value.as_str()).map(str::to_owned);
    report.name = word("name").unwrap_or(report.name);
    report.note = word("note");
    let claims = Claims::parse(&file, &text)?;
    report.verdicts = check::verdicts(directory, &claims)?;
    Ok(report)
}

/// Capitalises the first letter, as a question follows a colon in its file.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// Paths of the figures in the directory, relative to it.
fn figures(directory: &SweepDir) -> Vec<String> {
    let drawn = |figure: fathom_plot::Figure| {
        let files = ["png", "svg"].map(|ending| format!("figures/{}.{ending}", figure.word()));
        files.into_iter().find(|path| directory.root().join(path).exists())
    };
    fathom_plot::Figure::ALL.iter().copied().filter_map(drawn).collect()
}

fn splice(file: &Path, only_check: bool) -> Result<()> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let home = file.parent().unwrap_or(Path::new(""));
    let made = report::splice::splice(&text, |words| marker::render(words, home))
        .with_context(|| format!("in {}", file.display()))?;
    if made == text {
        return Ok(());
    }
    if only_check {
        let line = report::splice::first_difference(&text, &made);
        bail!(
            "{}:{line}: is out of date; update it with: fathom report --splice {}",
            file.display(),
            file.display()
        );
    }
    write_atomically(file, made.as_bytes())?;
    println!("{}", file.display());
    Ok(())
}
