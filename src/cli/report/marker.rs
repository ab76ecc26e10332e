//! The markers of [`splice`](fathom_report::splice): what each puts into a text file.

use super::{findings, load};
use crate::choice::choice;
use crate::plot::Shown;
use crate::{Cli, Usage};
use anyhow::{Context, Result, ensure};
use clap::{CommandFactory, Parser};
use fathom_base::choice;
use fathom_record::SweepDir;
use fathom_report as report;
use fathom_spec::{PUBLISHED_VALUES, PublishedValue, key_rows, key_sections};
use fathom_stats::{SummaryTable, table_columns};
use std::path::{Path, PathBuf};

/// The words of all markers, for errors.
const MARKERS: &str = "report DIR --table final|claims|cost [--metric M,…] [--published], experiments DIR…, \
                       findings FILE, csv FILE [--columns A,…], keys SECTION, metrics, commands";

/// The words between `<!-- fathom:` and `-->`. Paths are relative to the folder of the text file.
#[derive(Parser)]
#[command(name = "fathom", no_binary_name = true, disable_help_flag = true)]
#[command(disable_help_subcommand = true)]
enum Marker {
    /// Table of a results directory
    Report {
        dir: PathBuf,
        #[arg(long, value_parser = choice::<ReportTable>())]
        table: ReportTable,
        /// Metrics of the table `final` [default: all]
        #[arg(long, value_delimiter = ',')]
        metric: Vec<String>,
        /// Show the published values of these networks in the table `final`
        #[arg(long)]
        published: bool,
    },
    /// Questions and verdicts of results directories, one row each
    Experiments {
        #[arg(required = true)]
        dirs: Vec<PathBuf>,
    },
    /// What papers say, and what claims found about it
    Findings { file: PathBuf },
    /// Contents of a CSV file
    Csv {
        file: PathBuf,
        /// Columns to show [default: all]
        #[arg(long, value_delimiter = ',')]
        columns: Vec<String>,
    },
    /// Keys of one section of the experiment file, or of one family of networks
    Keys { section: String },
    /// Metrics of `curve.csv`
    Metrics,
    /// Sub-commands of this program
    Commands,
}

choice! {
    /// A table of one results directory.
    enum ReportTable {
        /// Final values over seeds
        Final,
        /// Verdicts on claims
        Claims,
        /// Size, time and memory of each configuration
        Cost,
    }
}

/// Renders the Markdown of a marker in a file of the folder `home`.
///
/// # Errors
/// When the words are no marker, what they name does not exist, or results cannot be read.
pub fn render(words: &[String], home: &Path) -> Result<String> {
    let marker = Marker::try_parse_from(words).map_err(|error| {
        // The paragraph that says what is wrong; usage follows.
        let text = error.to_string();
        let lines = text.lines().map(str::trim).take_while(|line| !line.is_empty());
        let fault = lines.collect::<Vec<_>>().join(" ");
        let fault = fault.trim_start_matches("error: ");
        Usage(format!("{fault} (valid markers: {MARKERS})"))
    })?;
    match marker {
        Marker::Report { dir, table, metric, published } => {
            results(&home.join(dir), table, &metric, published)
        }
        Marker::Experiments { dirs } => {
            let load = |dir: &PathBuf| {
                Ok((dir.clone(), load(&SweepDir::new(home.join(dir)), &Shown::default())?))
            };
            let reports = dirs.iter().map(load).collect::<Result<Vec<_>>>()?;
            Ok(report::experiments(&reports))
        }
        Marker::Findings { file } => findings::render(&home.join(file), home),
        Marker::Csv { file, columns } => csv(&home.join(file), &columns),
        Marker::Keys { section } => keys(&section),
        Marker::Metrics => Ok(report::metrics()),
        Marker::Commands => Ok(commands()),
    }
}

fn results(
    dir: &Path,
    table: ReportTable,
    metrics: &[String],
    is_published: bool,
) -> Result<String> {
    let directory = SweepDir::new(dir);
    let report = load(&directory, &Shown::default())?;
    match table {
        ReportTable::Cost => report::cost(&report.results, &directory),
        ReportTable::Claims => Ok(report::claims(&report.verdicts)),
        ReportTable::Final => {
            let known: Vec<&str> = table_columns().collect();
            for name in metrics {
                let is_known = known.contains(&name.as_str());
                ensure!(is_known, "unknown --metric {name}: use one of {}", known.join(", "));
            }
            let shown: Vec<&str> = match metrics {
                [] => known,
                metrics => metrics.iter().map(String::as_str).collect(),
            };
            let summary = &report.summary;
            let more = if is_published { published(summary, &shown) } else { Ok(Vec::new()) };
            let more = more.with_context(|| format!("--published of {}", dir.display()))?;
            Ok(report::finals(summary, &shown, &more))
        }
    }
}

/// Columns of the values that papers report for these metrics of the configurations, by header.
fn published(summary: &SummaryTable, metrics: &[&str]) -> Result<Vec<(String, Vec<String>)>> {
    ensure!(
        summary.axes == ["family", "depth"],
        "published values are known by family and depth, and these results differ in {}",
        summary.axes.join(", ")
    );
    let value = |axes: &[String], metric: &str| {
        let family = if axes[0] == "residual" { "resnet" } else { &axes[0] };
        let start = format!("{family}-{}/", axes[1]);
        let is_it = |one: &&PublishedValue| one.metric == metric && one.name.starts_with(&start);
        PUBLISHED_VALUES.iter().find(is_it).map_or(String::new(), |one| format!("{:.2}", one.value))
    };
    let column = |metric: &&str| {
        let cells = summary.rows.iter().map(|row| value(&row.axes, metric)).collect();
        (format!("{metric}, published"), cells)
    };
    let is_known = |(_, cells): &(String, Vec<String>)| cells.iter().any(|cell| !cell.is_empty());
    Ok(metrics.iter().map(column).filter(is_known).collect())
}

fn csv(path: &Path, columns: &[String]) -> Result<String> {
    let context = || format!("cannot read {}", path.display());
    let mut reader = csv::Reader::from_path(path).with_context(context)?;
    let header: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
    let mut places: Vec<usize> = (0..header.len()).collect();
    if !columns.is_empty() {
        let place = |name: &String| {
            let place = header.iter().position(|known| known == name);
            place.with_context(|| {
                format!("{}: no column {name}; columns: {}", path.display(), header.join(", "))
            })
        };
        places = columns.iter().map(place).collect::<Result<_>>()?;
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.with_context(context)?;
        rows.push(places.iter().map(|place| record[*place].to_owned()).collect());
    }
    let headers: Vec<&str> = places.iter().map(|place| header[*place].as_str()).collect();
    Ok(report::table(&headers, &rows))
}

fn keys(section: &str) -> Result<String> {
    let rows = key_rows(section).ok_or_else(|| {
        let known: Vec<&str> = key_sections().collect();
        Usage(format!("unknown section {section}: use one of {}", known.join(", ")))
    })?;
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| vec![code(&row.key), row.values, row.default, row.applies, row.meaning])
        .collect();
    Ok(report::table(&["key", "values", "default", "applies", "meaning"], &rows))
}

/// Sub-commands in the order of `fathom --help`, without hidden ones.
fn commands() -> String {
    let program = Cli::command();
    let shown = program.get_subcommands().filter(|command| !command.is_hide_set());
    let row = |command: &clap::Command| {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        vec![code(&format!("fathom {}", command.get_name())), about]
    };
    report::table(&["command", "purpose"], &shown.map(row).collect::<Vec<_>>())
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use fathom_stats::SummaryRow;

    fn rendered(words: &str) -> Result<String> {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        render(&words, Path::new("."))
    }

    #[test]
    fn the_keys_of_a_section_are_a_table_and_other_sections_are_refused_with_the_valid_ones() {
        let table = rendered("keys training").unwrap();
        let rows: Vec<&str> = table.lines().collect();
        assert_eq!(rows[0], "| key | values | default | applies | meaning |");
        assert_eq!(rows.len() - 2, key_rows("training").unwrap().len());
        let rate = rows.iter().find(|row| row.contains("| `training.lr` |")).unwrap();
        assert!(rate.contains("| 0.1 | always |"), "{rate}");
        assert!(rendered("keys residual").unwrap().contains("| `network.depth` |"));
        let fault = rendered("keys optimiser").unwrap_err();
        assert!(fault.is::<Usage>(), "the program ends with exit code 2");
        let text = fault.to_string();
        let valid = "unknown section optimiser: use one of data, network, training, evaluate, ";
        assert!(text.starts_with(valid) && text.contains("residual"), "{text}");
    }

    #[test]
    fn published_values_stand_beside_the_results_of_their_networks() {
        let row = |family: &str, depth: &str| SummaryRow {
            axes: vec![family.into(), depth.into()],
            runs: 1,
            done: 1,
            diverged: 0,
            unfinished: 0,
            metrics: Vec::new(),
            best: None,
        };
        let axes = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let rows = vec![row("plain", "56"), row("residual", "56"), row("residual", "8")];
        let summary = SummaryTable { axes: axes(&["family", "depth"]), rows };
        let found = published(&summary, &["train_err_pct", "test_err_pct"]).unwrap();
        let cells = ["13.29", "6.97", ""].map(str::to_owned).to_vec();
        assert_eq!(found, [("test_err_pct, published".to_owned(), cells)]);
        let other = SummaryTable { axes: axes(&["family", "lr"]), rows: Vec::new() };
        assert!(published(&other, &[]).unwrap_err().to_string().ends_with("in family, lr"));
    }

    #[test]
    fn every_sub_command_is_listed_with_its_help_and_hidden_ones_are_not() {
        let table = rendered("commands").unwrap();
        assert!(
            table.starts_with("| command | purpose |\n|---|---|\n| `fathom run` | "),
            "{table}"
        );
        assert!(!table.contains("fathom task"), "{table}");
        let has_purpose = |row: &str| row.split('|').nth(2).is_some_and(|cell| cell.len() > 10);
        assert!(table.lines().skip(2).all(has_purpose), "{table}");
        assert_eq!(table.lines().skip(2).count(), Cli::command().get_subcommands().count() - 1);
    }

    #[test]
    fn what_a_marker_lacks_is_named() {
        let text = rendered("report results/quick").unwrap_err().to_string();
        let expected = "the following required arguments were not provided: --table <TABLE> (valid";
        assert!(text.starts_with(expected), "{text}");
    }

    #[test]
    fn an_unknown_marker_is_refused_with_all_valid_ones() {
        let text = rendered("figures").unwrap_err().to_string();
        for marker in Marker::command().get_subcommands() {
            assert!(text.contains(marker.get_name()), "{} is not in {text}", marker.get_name());
        }
    }
}
