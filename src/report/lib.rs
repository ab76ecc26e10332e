//! Reports of a results directory: one HTML file that opens without a network, and a shorter one in
//! Markdown. Both begin with the question of the experiment and the verdicts on its claims.

mod cost;
mod data;
mod markdown;
mod page;
mod sections;
pub mod splice;
mod view;

pub use cost::cost;
pub use markdown::{claims, experiments, finals, found, link, markdown, metrics, table};
pub use page::html;

use fathom_base::plain;
use fathom_plot::Results;
use fathom_record::{Made, Provenance};
use fathom_stats::{BestRuns, SummaryTable, Verdict};
use std::collections::{BTreeMap, BTreeSet};

/// The contents of a report.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Name of the experiment.
    pub name: String,
    /// Question of the experiment, from the comment at the start of its file.
    pub question: Option<String>,
    /// Note of the experiment.
    pub note: Option<String>,
    /// Commands that repeat the results, one in each line.
    pub command: String,
    /// Curves, provenance and layers of the runs.
    pub results: Results,
    /// Summary of the final values over seeds.
    pub summary: SummaryTable,
    /// Verdicts on the claims of the experiment.
    pub verdicts: Vec<Verdict>,
    /// Names of claims that were not tested, since `run --set` took away their runs.
    pub set_aside: BTreeSet<String>,
    /// The runs at the best value of the key that the experiment or its claims tune.
    pub best: Option<BestRuns>,
    /// Conditions on the runs of the report, in words; the verdicts are about all runs.
    pub conditions: Option<String>,
    /// Key that colours of figures distinguish, by its name in the runs.
    pub colour: Option<String>,
    /// Key that panels of figures distinguish, by its name in the runs.
    pub facet: Option<String>,
}

impl Report {
    /// States how many runs have ended, unless all have.
    fn unfinished(&self) -> Option<String> {
        let runs = &self.results.curves.runs;
        let done = runs.iter().filter(|run| run.state.is_final()).count();
        (done < runs.len()).then(|| {
            format!("{done} of {} runs have ended; this report covers only those.", runs.len())
        })
    }

    /// States which claims were not tested, unless all were.
    fn untested(&self) -> Option<String> {
        let names: Vec<String> = self.set_aside.iter().map(|name| format!("\"{name}\"")).collect();
        (!names.is_empty()).then(|| {
            let names = names.join(", ");
            format!("Not tested, since values of --set took away their runs: {names}.")
        })
    }

    /// States which runs it covers, unless it covers all.
    fn selected(&self) -> Option<String> {
        let conditions = self.conditions.as_ref()?;
        Some(format!("Only runs with {conditions} are shown; the verdicts are about all runs."))
    }

    /// Keys other than `seed` that differ between runs, with all their values.
    fn differences(&self) -> Vec<(String, Vec<String>)> {
        let provenance = || self.results.provenance.values();
        let keys: BTreeSet<&String> = provenance().flat_map(|run| run.config.keys()).collect();
        let mut found = Vec::new();
        for key in keys.into_iter().filter(|key| *key != "seed") {
            let text = |run: &Provenance| run.config.get(key).map_or("—".into(), plain);
            let mut values: Vec<String> = provenance().map(text).collect();
            values.sort_by(|a, b| fathom_record::natural_order(a, b));
            values.dedup();
            if values.len() > 1 {
                found.push((key.clone(), values));
            }
        }
        found
    }

    /// Program, device and data of the runs: each fact with all its values.
    fn provenance(&self) -> Vec<(&'static str, Vec<String>)> {
        let made: Vec<&Made> =
            self.results.provenance.values().filter_map(|run| run.manifest.as_ref()).collect();
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
            ("device capability", of(|made| made.execution.capability.clone())),
            ("threads per run", of(|made| made.execution.threads.to_string())),
            (
                "concurrent runs",
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
    format!(
        "{}{}",
        made.revision.git,
        if made.revision.dirty { " with uncommitted changes" } else { "" }
    )
}

/// Paragraphs of the comment at the start of an experiment file, as names and texts. A line that
/// begins with a capitalised word and a colon (`# Question: …`), without further indentation, starts a
/// new paragraph of that name. The lines of a paragraph are joined, except for commands, which have a line each.
pub fn opening_comment(text: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for line in text.lines().map_while(|line| line.strip_prefix('#')) {
        let is_name = |name: &str| {
            name.starts_with(char::is_uppercase) && name.chars().all(char::is_alphabetic)
        };
        let unindented = line.strip_prefix(' ').unwrap_or(line);
        let named = unindented.split_once(':').filter(|(name, _)| is_name(name));
        let line = line.trim();
        match (named, found.last_mut()) {
            (Some((name, rest)), _) => found.push((name.to_owned(), rest.trim().to_owned())),
            (None, Some((name, text))) => {
                let is_command = line.starts_with("fathom ") || line.starts_with("scripts/");
                text.push(if name == "Command" && is_command { '\n' } else { ' ' });
                text.push_str(line);
            }
            (None, None) => found.push((String::new(), line.to_owned())),
        }
    }
    found
}

/// Label of a configuration from its axes, such as `plain 44 norm none`.
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
