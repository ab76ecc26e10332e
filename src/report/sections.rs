//! The sections of the HTML report that need no script: head, claims and tables.

use super::data::runs_by_name;
use super::{Report, label};
use fathom_record::{Seed, State};
use fathom_stats::{Outcome, Summary, SummaryRow, Verdict, table_columns};
use maud::{Markup, html};

/// Name, question and note of the experiment, with warnings about unfinished and diverged runs.
pub(super) fn head(report: &Report) -> Markup {
    let diverged = report.results.curves.runs.iter().filter(|run| run.state == State::Diverged);
    let diverged = match diverged.count() {
        0 => None,
        1 => Some("1 run diverged. It is excluded from all means and marked below.".to_owned()),
        n => Some(format!("{n} runs diverged. They are excluded from all means and marked below.")),
    };
    html! {
        h1 { (report.name) }
        @if let Some(question) = &report.question { p.question { (question) } }
        @if let Some(note) = &report.note { p { (note) } }
        @if let Some(selected) = report.selected() { p.warning { (selected) } }
        @if let Some(missing) = report.unfinished() { p.warning role="status" { (missing) } }
        @if let Some(diverged) = diverged { p.warning { (diverged) } }
    }
}

/// The claims with their verdicts.
pub(super) fn verdicts(report: &Report) -> Markup {
    let verdicts = &report.verdicts;
    html! {
        @if let Some(untested) = report.untested() { p.warning { (untested) } }
        @if !verdicts.is_empty() {
            p { (tally(verdicts)) "." }
            ul.verdicts { @for verdict in verdicts { (self::verdict(verdict)) } }
        } @else if report.set_aside.is_empty() {
            p { "The experiment makes no claims." }
        }
    }
}

/// Number of claims by verdict, such as `2 supported, 1 undecided`.
fn tally(verdicts: &[Verdict]) -> String {
    let count = |outcome: &Outcome| {
        let count = verdicts.iter().filter(|verdict| verdict.outcome == *outcome).count();
        (count > 0).then(|| format!("{count} {outcome}"))
    };
    Outcome::ALL.iter().filter_map(count).collect::<Vec<_>>().join(", ")
}

/// A claim with its verdict and numbers; what it states exactly can be opened.
fn verdict(verdict: &Verdict) -> Markup {
    let word = verdict.outcome.to_string();
    let sign = match verdict.outcome {
        Outcome::Supported => "✓",
        Outcome::Refuted => "✗",
        Outcome::Undecided => "?",
        Outcome::Exploratory => "–",
    };
    html! {
        li class=(word) {
            details {
                summary {
                    strong { span aria-hidden="true" { (sign) } " " (word) } ": " (verdict.name)
                    @if let Some(numbers) = numbers(verdict) { span.numbers { (numbers) } }
                }
                p { (verdict.statement) "." }
                @if let Some(reason) = &verdict.reason { p { "Undecided because " (reason) "." } }
                @for remark in &verdict.remarks { p.remark { (remark) "." } }
            }
        }
    }
}

/// The numbers of a verdict: `Effect 24.70, 98.33% interval 3.58 … 45.82, n = 3.`
pub(super) fn numbers(verdict: &Verdict) -> Option<String> {
    let effect = verdict.effect()?;
    let confidence = 100.0 * verdict.confidence;
    let interval = verdict.interval();
    let interval = interval.map(|ends| format!(", {confidence:.2}% interval {ends}"));
    let interval = interval.unwrap_or_default();
    let more = match (verdict.outcome, verdict.seeds_needed) {
        (Outcome::Undecided, Some(n)) => format!("; about {n} seeds would decide"),
        _ => String::new(),
    };
    let added: Vec<String> = verdict.added_seeds.iter().map(Seed::to_string).collect();
    let added = match added.len() {
        0 => String::new(),
        1 => format!(" Seed {} was added after results had been seen.", added[0]),
        _ => format!(" Seeds {} were added after results had been seen.", added.join(", ")),
    };
    Some(format!("Effect {effect}{interval}, n = {}{more}.{added}", verdict.n))
}

/// Table of the final values over seeds.
pub(super) fn finals(report: &Report) -> Markup {
    let mut headers: Vec<&str> = report.summary.axes.iter().map(String::as_str).collect();
    headers.extend(table_columns().collect::<Vec<&str>>());
    headers.extend(["n", "diverged", "unfinished"]);
    let cell = |summary: &Option<Summary>| match summary {
        None => String::new(),
        Some(summary) => match summary.interval {
            None => summary.to_string(),
            Some(interval) => format!("{summary} [{:.2}, {:.2}]", interval.low, interval.high),
        },
    };
    let row = |row: &SummaryRow| {
        let mut cells = row.axes.clone();
        cells.extend(row.metrics.iter().map(cell));
        cells.extend([row.done, row.diverged, row.unfinished].map(|n| n.to_string()));
        cells
    };
    let rows: Vec<Row> = report.summary.rows.iter().map(row).enumerate().map(of_arm).collect();
    table(
        "Last row of each run: mean ± standard deviation [95% confidence interval of the mean]",
        &headers,
        &rows,
    )
}

/// Table of all runs with their last rows.
pub(super) fn runs(report: &Report) -> Markup {
    let headers = [
        "run",
        "configuration",
        "seed",
        "state",
        "step",
        "train_err_pct",
        "test_err_pct",
        "seconds",
    ];
    let number = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.2}"));
    let rows: Vec<Row> = runs_by_name(report)
        .into_iter()
        .map(|(arm, run)| {
            let last = run.rows.last().cloned().unwrap_or_default();
            let cells = vec![
                run.id.clone(),
                label(&run.axes),
                run.seed.to_string(),
                run.state.to_string(),
                last.step.to_string(),
                number(last.train_err_pct),
                number(last.test_err_pct),
                format!("{:.1}", last.seconds.unwrap_or_default()),
            ];
            of_arm((arm, cells))
        })
        .collect();
    table("Last row of every run", &headers, &rows)
}

/// Keys in which runs differ, provenance of the runs, and the command that repeats them.
pub(super) fn provenance(report: &Report) -> Markup {
    let headers = ["key", "values"];
    let row = |(key, values): (String, Vec<String>)| Row {
        arm: None,
        cells: vec![key, values.join(", ")],
    };
    let differences: Vec<_> = report.differences().into_iter().map(row).collect();
    let provenance: Vec<_> = report
        .provenance()
        .into_iter()
        .map(|(key, values)| row((key.to_owned(), values)))
        .collect();
    html! {
        (table("Keys that differ between runs", &headers, &differences))
        (table("Program, device and data of the runs; all values where runs differ", &headers, &provenance))
        p { "Command that repeats these results:" }
        pre tabindex="0" { (report.command) }
    }
}

/// A row of a table.
struct Row {
    /// Number of the configuration that it is about; the script hides it where that is not chosen.
    arm: Option<usize>,
    cells: Vec<String>,
}

fn of_arm((arm, cells): (usize, Vec<String>)) -> Row {
    Row { arm: Some(arm), cells }
}

/// Whether a cell has numbers alone, such as `-1e-5` or `14.2 ± 0.4 [13.2, 15.2]`, or nothing.
pub(super) fn is_numeric(cell: &str) -> bool {
    let parts = cell.split([' ', ',', '[', ']', '±']).filter(|part| !part.is_empty());
    parts.into_iter().all(|part| part.replace('−', "-").parse::<f64>().is_ok())
}

/// A table that the script sorts by the column whose header is pressed. Columns of numbers alone are set to the right.
fn table(caption: &str, headers: &[&str], rows: &[Row]) -> Markup {
    let is_numeric = |column: usize| {
        let mut cells = rows.iter().filter_map(|row| row.cells.get(column));
        cells.all(|cell| is_numeric(cell))
    };
    let numeric: Vec<bool> = (0..headers.len()).map(is_numeric).collect();
    html! {
        div.wide {
            table.sortable {
                caption { (caption) }
                thead {
                    tr { @for header in headers { th scope="col" { button type="button" { (header) } } } }
                }
                tbody {
                    @for row in rows {
                        tr data-arm=[row.arm] {
                            @for (cell, is_numeric) in row.cells.iter().zip(&numeric) {
                                td class=[is_numeric.then_some("number")] { (cell) }
                            }
                        }
                    }
                }
            }
        }
    }
}
