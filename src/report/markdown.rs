//! The report in Markdown, and its tables for splicing into other files.

use super::{Report, sections};
use fathom_stats::{Outcome, Summary, SummaryRow, SummaryTable, Verdict, table_columns};
use std::path::PathBuf;

/// `summary.md`: question, verdicts, final values, figures.
pub fn markdown(report: &Report, figures: &[String]) -> String {
    let mut out = format!("# {}\n\n", escape(&report.name));
    for text in [&report.question, &report.note].into_iter().flatten() {
        out += &format!("{}\n\n", escape(text));
    }
    if let Some(missing) = report.unfinished() {
        out += &format!("**{missing}**\n\n");
    }
    out += "## Claims\n\n";
    out += &claims(&report.verdicts);
    out += "\n## Final values\n\n";
    out += &finals(&report.summary, &table_columns().collect::<Vec<_>>());
    if !figures.is_empty() {
        out += "\n## Figures\n\n";
        out += &figures.iter().map(|path| format!("![{path}]({path})\n")).collect::<String>();
    }
    out + &format!("\n## Again\n\n    {}\n", report.command)
}

/// One row for each claim.
pub fn claims(verdicts: &[Verdict]) -> String {
    if verdicts.is_empty() {
        return "The experiment makes no claims.\n".into();
    }
    let row = |verdict: &Verdict| {
        let numbers = sections::numbers(verdict).unwrap_or_default();
        let numbers = match &verdict.reason {
            Some(reason) => format!("{numbers} Undecided because {reason}."),
            None => numbers,
        };
        let statement = &verdict.statement;
        vec![format!("**{}**", verdict.outcome), verdict.name.clone(), statement.clone(), numbers]
    };
    let rows: Vec<Vec<String>> = verdicts.iter().map(row).collect();
    table(&["verdict", "claim", "in numbers", "found"].map(str::to_owned), &rows)
}

/// One row for each experiment: what was asked, and its claims by what became of them.
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
        let outcomes = [Outcome::Supported, Outcome::Refuted, Outcome::Undecided];
        let found: Vec<String> = outcomes.into_iter().filter_map(said).collect();
        vec![
            format!("[{}]({})", report.name, dir.display()),
            report.question.clone().unwrap_or_default(),
            found.join(" · "),
        ]
    };
    let rows: Vec<Vec<String>> = reports.iter().map(row).collect();
    table(&["experiment", "question", "claims"].map(str::to_owned), &rows)
}

/// Final values over seeds: mean ± standard deviation of each metric that any run has.
pub fn finals(summary: &SummaryTable, metrics: &[&str]) -> String {
    let is_wanted = |(place, name): &(usize, &str)| {
        metrics.contains(name) && summary.rows.iter().any(|row| row.metrics[*place].is_some())
    };
    let (places, columns): (Vec<usize>, Vec<&str>) =
        table_columns().enumerate().filter(is_wanted).unzip();
    let mut headers = summary.axes.clone();
    headers.extend(columns.into_iter().map(str::to_owned));
    headers.extend(["n", "diverged", "unfinished"].map(str::to_owned));
    let cell = |summary: &Option<Summary>| summary.map_or(String::new(), |s| s.to_string());
    let row = |row: &SummaryRow| {
        let mut cells = row.axes.clone();
        cells.extend(places.iter().map(|place| cell(&row.metrics[*place])));
        cells.extend([row.done, row.diverged, row.unfinished].map(|n| n.to_string()));
        cells
    };
    table(&headers, &summary.rows.iter().map(row).collect::<Vec<_>>())
}

/// A table with a header.
pub fn table(headers: &[String], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| {
        let cells: Vec<String> =
            cells.iter().map(|cell| escape(cell).replace('|', "\\|")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rule: Vec<&str> = headers.iter().map(|_| "---").collect();
    let mut out = line(headers);
    out += &format!("|{}|\n", rule.join("|"));
    out + &rows.iter().map(|row| line(row)).collect::<String>()
}

/// Text that is not to be read as HTML or as more than one line.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace(['\n', '\r'], " ")
}
