//! The Markdown report, and tables for splicing into other files.

use super::{Report, sections};
use fathom_record::{METRICS, MeasuredOn, Unit};
use fathom_stats::{Outcome, Summary, SummaryRow, SummaryTable, Verdict, table_columns};
use std::path::{Path, PathBuf};

/// Renders `summary.md`: question, verdicts, final values, and the figures with these paths.
pub fn markdown(report: &Report, figures: &[String]) -> String {
    let mut out = format!("# {}\n\n", escape(&report.name));
    for text in [&report.question, &report.note].into_iter().flatten() {
        out += &format!("{}\n\n", escape(text));
    }
    if let Some(missing) = report.unfinished() {
        out += &format!("**{missing}**\n\n");
    }
    out += "## Claims\n\n";
    match report.untested() {
        Some(untested) if report.verdicts.is_empty() => out += &format!("{untested}\n"),
        Some(untested) => out += &format!("{}\n{untested}\n", claims(&report.verdicts)),
        None => out += &claims(&report.verdicts),
    }
    out += "\n## Final values\n\n";
    out += &finals(&report.summary, &table_columns().collect::<Vec<_>>(), &[]);
    if !figures.is_empty() {
        out += "\n## Figures\n\n";
        out += &figures.iter().map(|path| format!("![{path}]({path})\n")).collect::<String>();
    }
    out += "\n## Command\n\n";
    out + &report.command.lines().map(|line| format!("    {line}\n")).collect::<String>()
}

/// Table of the verdicts, one row for each claim.
pub fn claims(verdicts: &[Verdict]) -> String {
    if verdicts.is_empty() {
        return "The experiment makes no claims.\n".into();
    }
    let row = |verdict: &Verdict| {
        let (outcome, statement) = (format!("**{}**", verdict.outcome), &verdict.statement);
        vec![outcome, verdict.name.clone(), statement.clone(), found(verdict)]
    };
    let rows: Vec<Vec<String>> = verdicts.iter().map(row).collect();
    table(&["verdict", "claim", "in numbers", "found"], &rows)
}

/// Effect, interval and number of seeds of a claim, and why it is undecided.
pub fn found(verdict: &Verdict) -> String {
    let numbers = sections::numbers(verdict).unwrap_or_default();
    match &verdict.reason {
        Some(reason) => format!("{numbers} Undecided because {reason}."),
        None => numbers,
    }
}

/// Table of experiments, one row each: name with a link to the directory, question, and claims by
/// verdict.
pub fn experiments(reports: &[(PathBuf, Report)]) -> String {
    let row = |(dir, report): &(PathBuf, Report)| {
        let by = |outcome: Outcome| {
            let claims = report.verdicts.iter().filter(|verdict| verdict.outcome == outcome);
            claims.map(|verdict| verdict.name.clone()).collect::<Vec<_>>()
        };
        let said = |outcome: Outcome| {
            let names = by(outcome);
            (!names.is_empty()).then(|| format!("**{outcome}** {}", names.join("; ")))
        };
        let outcomes =
            [Outcome::Supported, Outcome::Refuted, Outcome::Undecided, Outcome::Exploratory];
        let found: Vec<String> = outcomes.into_iter().filter_map(said).collect();
        vec![
            link(&report.name, dir),
            report.question.clone().unwrap_or_default(),
            found.join(" · "),
        ]
    };
    let rows: Vec<Vec<String>> = reports.iter().map(row).collect();
    table(&["experiment", "question", "claims"], &rows)
}

/// A link to a path; Markdown's links have no blanks.
pub fn link(name: &str, path: &Path) -> String {
    format!("[{name}]({})", path.display().to_string().replace(' ', "%20"))
}

/// Table of the final values over seeds: mean ± standard deviation of those of `metrics` that any run
/// has, with the numbers of runs that are done, diverged and unfinished. `more`: headers of further
/// columns, with a cell for each row of the summary.
pub fn finals(summary: &SummaryTable, metrics: &[&str], more: &[(String, Vec<String>)]) -> String {
    let is_wanted = |(place, name): &(usize, &str)| {
        metrics.contains(name) && summary.rows.iter().any(|row| row.metrics[*place].is_some())
    };
    let (places, columns): (Vec<usize>, Vec<&str>) =
        table_columns().enumerate().filter(is_wanted).unzip();
    let mut headers: Vec<&str> = summary.axes.iter().map(String::as_str).collect();
    headers.extend(columns);
    headers.extend(more.iter().map(|(header, _)| header.as_str()));
    headers.extend(["n", "diverged", "unfinished"]);
    let cell = |summary: &Option<Summary>| summary.map_or(String::new(), |s| s.to_string());
    let row = |(index, row): (usize, &SummaryRow)| {
        let mut cells = row.axes.clone();
        cells.extend(places.iter().map(|place| cell(&row.metrics[*place])));
        cells.extend(more.iter().map(|(_, cells)| cells[index].clone()));
        cells.extend([row.done, row.diverged, row.unfinished].map(|n| n.to_string()));
        cells
    };
    table(&headers, &summary.rows.iter().enumerate().map(row).collect::<Vec<_>>())
}

/// Table of the metrics of `curve.csv`.
pub fn metrics() -> String {
    let row = |metric: &fathom_record::Metric| {
        let unit = match metric.unit {
            Unit::PerCent => "%",
            Unit::Nats => "nats",
        };
        let part = match metric.measured_on {
            MeasuredOn::Train => "training images",
            MeasuredOn::Test => "test images",
            MeasuredOn::Validation => "validation images",
        };
        let [column, tag] = [metric.column, metric.tag].map(|text| format!("`{text}`"));
        let [label, unit, part, definition] =
            [metric.label, unit, part, metric.definition].map(str::to_owned);
        vec![column, label, unit, part, definition, tag]
    };
    let headers = ["column", "name", "unit", "measured on", "definition", "TensorBoard tag"];
    table(&headers, &METRICS.iter().map(row).collect::<Vec<_>>())
}

/// Table with a header row; every row has as many cells as the header.
pub fn table(headers: &[&str], rows: &[Vec<String>]) -> String {
    let cell = |text: &str| escape(text).replace('|', "\\|");
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut out = line(headers.iter().map(|header| cell(header)).collect());
    out += &format!("|{}|\n", vec!["---"; headers.len()].join("|"));
    out.extend(rows.iter().map(|row| line(row.iter().map(|text| cell(text)).collect())));
    out
}

/// Text of one line in which nothing is HTML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace(['\n', '\r'], " ")
}
