//! `fathom report`: the HTML page, the Markdown summary, and tables in other files.

use super::stderr::say;
use super::table::{Format, numbers};
use super::{Usage, check, integrity};
use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use fathom_base::write_atomically;
use fathom_plot::Results;
use fathom_record::SweepDir;
use fathom_report::{self as report, Report, markdown, opening_comment};
use fathom_spec::Claims;
use fathom_stats::{self as stats, table_columns};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Report what came out: one HTML file that needs no network, and a summary in Markdown
#[derive(clap::Args)]
pub struct Args {
    /// Results directory
    #[arg(required_unless_present = "splice")]
    dir: Option<PathBuf>,
    /// Where the page goes [default: DIR/report.html]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Renew the marked tables of these Markdown files instead
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["dir", "out"])]
    splice: Vec<PathBuf>,
    /// With --splice: change nothing, and fail where a table is stale
    #[arg(long, requires = "splice")]
    check: bool,
}

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

/// Everything that a report is made of.
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
        say(format!("note: {} is missing: neither question nor claims", file.display()));
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

/// The first letter as a capital: the question follows a colon in its file.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// The figures that lie in the directory, relative to it.
fn figures(directory: &SweepDir) -> Vec<String> {
    let drawn = |figure: fathom_plot::Figure| {
        let files = ["png", "svg"].map(|ending| format!("figures/{}.{ending}", figure.word()));
        files.into_iter().find(|path| directory.root().join(path).exists())
    };
    fathom_plot::Figure::ALL.iter().copied().filter_map(drawn).collect()
}

/// What may stand in a marker.
#[derive(Parser)]
#[command(name = "fathom", no_binary_name = true, disable_help_flag = true)]
enum Marker {
    /// A table of results
    Report {
        dir: PathBuf,
        #[arg(long, value_enum)]
        table: Which,
        /// Columns of `final`, by default all
        #[arg(long, value_delimiter = ',')]
        metric: Vec<String>,
    },
    /// What was asked in these results directories, and what came out
    Experiments {
        #[arg(required = true)]
        dirs: Vec<PathBuf>,
    },
    /// A CSV file, or some of its columns
    Csv {
        file: PathBuf,
        #[arg(long, value_delimiter = ',')]
        columns: Vec<String>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Which {
    Final,
    Claims,
}

fn splice(file: &Path, only_check: bool) -> Result<()> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let home = file.parent().unwrap_or(Path::new(""));
    let made = report::splice::splice(&text, |words| render(words, home))
        .with_context(|| format!("in {}", file.display()))?;
    if made == text {
        return Ok(());
    }
    if only_check {
        let line = report::splice::first_difference(&text, &made);
        bail!(
            "{}:{line}: is stale; renew it with: fathom report --splice {}",
            file.display(),
            file.display()
        );
    }
    write_atomically(file, made.as_bytes())?;
    println!("{}", file.display());
    Ok(())
}

fn render(words: &[String], home: &Path) -> Result<String> {
    let marker = Marker::try_parse_from(words).map_err(|error| {
        let first = error.to_string().lines().next().unwrap_or_default().to_owned();
        let known = "report DIR --table final|claims [--metric M,…], experiments DIR…, \
                     csv FILE [--columns A,…]";
        Usage(format!("{first} (a marker is: {known})"))
    })?;
    match marker {
        Marker::Report { dir, table, metric } => {
            let report = load(&SweepDir::new(home.join(dir)))?;
            if table == Which::Claims {
                return Ok(report::claims(&report.verdicts));
            }
            let known: Vec<&str> = table_columns().collect();
            for name in &metric {
                let is_known = known.contains(&name.as_str());
                ensure!(is_known, "--metric {name}: there is {}", known.join(", "));
            }
            let all: Vec<&str> = match metric.is_empty() {
                true => known,
                false => metric.iter().map(String::as_str).collect(),
            };
            Ok(report::finals(&report.summary, &all))
        }
        Marker::Experiments { dirs } => {
            let load = |dir: &PathBuf| Ok((dir.clone(), load(&SweepDir::new(home.join(dir)))?));
            let reports = dirs.iter().map(load).collect::<Result<Vec<_>>>()?;
            Ok(report::experiments(&reports))
        }
        Marker::Csv { file, columns } => csv_table(&home.join(file), &columns),
    }
}

fn csv_table(path: &Path, columns: &[String]) -> Result<String> {
    let context = || format!("cannot read {}", path.display());
    let mut reader = csv::Reader::from_path(path).with_context(context)?;
    let header: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
    let mut places: Vec<usize> = (0..header.len()).collect();
    if !columns.is_empty() {
        let place = |name: &String| {
            let place = header.iter().position(|known| known == name);
            place.with_context(|| {
                format!("{}: no column {name}; there is {}", path.display(), header.join(", "))
            })
        };
        places = columns.iter().map(place).collect::<Result<_>>()?;
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.with_context(context)?;
        rows.push(places.iter().map(|place| record[*place].to_owned()).collect());
    }
    let headers: Vec<String> = places.iter().map(|place| header[*place].clone()).collect();
    Ok(report::table(&headers, &rows))
}
