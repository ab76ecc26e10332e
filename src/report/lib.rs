//! The report of a results directory: one HTML file that opens without a network, and a short one in
//! Markdown. Both say first what was asked and what came out.

mod data;
mod html;
mod markdown;
mod page;
mod sections;
pub mod splice;

pub use markdown::{claims, experiments, finals, markdown, table};
pub use page::html;

use fathom_plot::Results;
use fathom_record::{Made, Provenance};
use fathom_stats::{SummaryTable, Verdict};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What is reported.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The experiment's name.
    pub name: String,
    /// What it asks: the comment that opens its file.
    pub question: Option<String>,
    /// Its note.
    pub note: Option<String>,
    /// The command that gives the results again.
    pub command: String,
    /// Curves, facts and layers.
    pub results: Results,
    /// Final values over seeds.
    pub summary: SummaryTable,
    /// What became of its claims.
    pub verdicts: Vec<Verdict>,
}

impl Report {
    /// "12 of 18 runs are done, 2 diverged" where some are missing, else nothing.
    fn unfinished(&self) -> Option<String> {
        let runs = &self.results.curves.runs;
        let done = runs.iter().filter(|run| run.state.is_final()).count();
        (done < runs.len())
            .then(|| format!("{done} of {} runs have ended: what follows is of these.", runs.len()))
    }

    /// Keys in which runs differ besides their seed, with their values.
    fn differences(&self) -> Vec<(String, Vec<String>)> {
        let facts = || self.results.facts.values();
        let keys: BTreeSet<&String> = facts().flat_map(|facts| facts.config.keys()).collect();
        let mut found = Vec::new();
        for key in keys.into_iter().filter(|key| *key != "seed") {
            let text = |facts: &Provenance| facts.config.get(key).map_or("—".into(), plain);
            let mut values: Vec<String> = facts().map(text).collect();
            values.sort_by(|a, b| fathom_record::natural_order(a, b));
            values.dedup();
            if values.len() > 1 {
                found.push((key.clone(), values));
            }
        }
        found
    }

    /// How the runs were made: each fact with all its values.
    fn provenance(&self) -> Vec<(&'static str, Vec<String>)> {
        let made: Vec<&Made> =
            self.results.facts.values().filter_map(|facts| facts.manifest.as_ref()).collect();
        let of = |text: fn(&Made) -> String| {
            let values: BTreeSet<String> =
                made.iter().map(|made| text(made)).filter(|text| !text.is_empty()).collect();
            values.into_iter().collect::<Vec<_>>()
        };
        let all = [
            ("fathom", of(|made| made.revision.version.clone())),
            ("revision", of(revision)),
            ("libtorch", of(|made| made.execution.libtorch.clone())),
            ("device", of(|made| made.execution.device.clone())),
            ("capability", of(|made| made.execution.capability.clone())),
            ("threads of a run", of(|made| made.execution.threads.to_string())),
            (
                "runs side by side",
                of(|made| match made.execution.jobs {
                    0 => String::new(),
                    jobs => jobs.to_string(),
                }),
            ),
            (
                "layout",
                of(|made| {
                    serde_json::to_value(made.execution.layout).map_or(String::new(), |v| plain(&v))
                }),
            ),
            ("data (SHA-256)", of(|made| made.data.clone())),
            ("classes", of(|made| made.classes.to_string())),
        ];
        all.into_iter().filter(|(_, values)| !values.is_empty()).collect()
    }
}

fn revision(made: &Made) -> String {
    format!("{}{}", made.revision.git, if made.revision.dirty { " with changes" } else { "" })
}

/// A value as a reader writes it.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The opening comment of an experiment file, without its `#`, one paragraph for each line that
/// begins with a word and a colon (`Question: …`).
pub fn opening_comment(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().map_while(|line| line.strip_prefix('#')).map(str::trim);
    let mut found: Vec<(String, String)> = Vec::new();
    for line in lines {
        let named = line
            .split_once(':')
            .filter(|(name, _)| !name.is_empty() && name.chars().all(char::is_alphabetic));
        match (named, found.last_mut()) {
            (Some((name, rest)), _) => found.push((name.to_owned(), rest.trim().to_owned())),
            (None, Some((_, text))) => {
                text.push(' ');
                text.push_str(line);
            }
            (None, None) => found.push((String::new(), line.to_owned())),
        }
    }
    found
}

/// The axes of a run as a reader says them: `plain 44 norm none`.
pub fn label(axes: &BTreeMap<String, String>) -> String {
    let mut names: Vec<&String> = axes.keys().collect();
    names.sort_by_key(|name| (*name != "arm", *name != "family", *name != "depth", name.as_str()));
    let part = |name: &String| match name.as_str() {
        "arm" | "family" | "depth" => axes[name].clone(),
        _ => format!("{name} {}", axes[name]),
    };
    names.into_iter().map(part).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
