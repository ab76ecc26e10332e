//! The parts of the page that are plain HTML.

use super::data::runs_by_name;
use super::html::{escape, table};
use super::{Report, label};
use fathom_record::State;
use fathom_stats::{Outcome, Summary, Verdict, table_columns};

/// Name, question, and whether something is missing.
pub(super) fn head(report: &Report) -> String {
    let mut out = format!("<h1>{}</h1>\n", escape(&report.name));
    if let Some(question) = &report.question {
        out += &format!("<p class=\"question\">{}</p>\n", escape(question));
    }
    if let Some(note) = &report.note {
        out += &format!("<p>{}</p>\n", escape(note));
    }
    if let Some(missing) = report.unfinished() {
        out += &format!("<p class=\"warning\" role=\"status\">{}</p>\n", escape(&missing));
    }
    let diverged = report.results.curves.runs.iter().filter(|run| run.state == State::Diverged);
    match diverged.count() {
        0 => {}
        1 => {
            out += "<p class=\"warning\">1 run diverged: it is in no mean, and marked below.</p>\n"
        }
        n => {
            out += &format!(
                "<p class=\"warning\">{n} runs diverged: they are in no mean, and marked below.</p>\n"
            );
        }
    }
    out
}

/// The claims with what became of them.
pub(super) fn verdicts(verdicts: &[Verdict]) -> String {
    if verdicts.is_empty() {
        return "<p>The experiment makes no claims.</p>\n".into();
    }
    let mut out = String::from("<ul class=\"verdicts\">\n");
    for verdict in verdicts {
        let word = verdict.outcome.to_string();
        let sign = match verdict.outcome {
            Outcome::Supported => "✓",
            Outcome::Refuted => "✗",
            Outcome::Undecided => "?",
        };
        out += &format!(
            "<li class=\"{word}\"><p><strong><span aria-hidden=\"true\">{sign}</span> {word}</strong>: \
             {}</p>\n<p>{}.</p>\n",
            escape(&verdict.name),
            escape(&verdict.statement)
        );
        if let Some(numbers) = numbers(verdict) {
            out += &format!("<p class=\"numbers\">{}</p>\n", escape(&numbers));
        }
        if let Some(reason) = &verdict.reason {
            out += &format!("<p>Undecided because {}.</p>\n", escape(reason));
        }
        for remark in &verdict.remarks {
            out += &format!("<p class=\"remark\">{}.</p>\n", escape(remark));
        }
        out += "</li>\n";
    }
    out + "</ul>\n"
}

/// "Effect 24.70, interval 3.58 … 45.82 (98.33%), n = 3."
pub(super) fn numbers(verdict: &Verdict) -> Option<String> {
    let effect = verdict.effect?;
    let interval = match (verdict.low, verdict.high) {
        (Some(low), Some(high)) => {
            let confidence = 100.0 * verdict.confidence;
            format!(", {confidence:.2}% interval {low:.2} … {high:.2}")
        }
        _ => String::new(),
    };
    let more = match (verdict.outcome, verdict.seeds_needed) {
        (Outcome::Undecided, Some(n)) => format!("; about {n} seeds would decide"),
        _ => String::new(),
    };
    Some(format!("Effect {effect:.2}{interval}, n = {}{more}.", verdict.n))
}

/// Final values over seeds.
pub(super) fn finals(report: &Report) -> String {
    let mut headers = report.summary.axes.clone();
    headers.extend(table_columns().map(str::to_owned));
    headers.extend(["n", "diverged", "unfinished"].map(str::to_owned));
    let cell = |summary: &Option<Summary>| match summary {
        None => String::new(),
        Some(summary) => match summary.interval {
            None => summary.to_string(),
            Some(interval) => format!("{summary} [{:.2}, {:.2}]", interval.low, interval.high),
        },
    };
    let row = |row: &fathom_stats::SummaryRow| {
        let mut cells = row.axes.clone();
        cells.extend(row.metrics.iter().map(cell));
        cells.extend([row.done, row.diverged, row.unfinished].map(|n| n.to_string()));
        cells
    };
    let rows: Vec<Vec<String>> = report.summary.rows.iter().map(row).collect();
    table(
        "Last row of each run: mean ± standard deviation [95% interval of the mean]",
        &headers,
        &rows,
    )
}

/// Every run.
pub(super) fn runs(report: &Report) -> String {
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
    let rows: Vec<Vec<String>> = runs_by_name(report)
        .into_iter()
        .map(|run| {
            let last = run.rows.last().cloned().unwrap_or_default();
            vec![
                run.id.clone(),
                label(&run.axes),
                run.seed.to_string(),
                run.state.to_string(),
                last.step.to_string(),
                number(last.train_err_pct),
                number(last.test_err_pct),
                format!("{:.1}", last.seconds.unwrap_or_default()),
            ]
        })
        .collect();
    table("Every run, at its last row", &headers.map(str::to_owned), &rows)
}

/// Keys in which runs differ, and how they were made.
pub(super) fn made(report: &Report) -> String {
    let list = |rows: Vec<(String, Vec<String>)>| -> Vec<Vec<String>> {
        rows.into_iter().map(|(key, values)| vec![key, values.join(", ")]).collect()
    };
    let headers = ["key", "values"].map(str::to_owned);
    let provenance =
        report.provenance().into_iter().map(|(key, values)| (key.to_owned(), values)).collect();
    let mut out = table("Keys in which runs differ", &headers, &list(report.differences()));
    out += &table(
        "How the runs were made; several values where they differ",
        &headers,
        &list(provenance),
    );
    out + &format!(
        "<p>These results again:</p>\n<pre tabindex=\"0\">{}</pre>\n",
        escape(&report.command)
    )
}
