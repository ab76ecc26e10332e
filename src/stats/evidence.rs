//! What claims are decided by: final values of runs, and what is known of how they were made.

use crate::record::{Facts, Layout, Made, RunCurve, State, SweepDir};
use crate::spec::Candidates;
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};

/// The outcomes of a results directory by run id.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    runs: BTreeMap<String, RunCurve>,
    facts: BTreeMap<String, Facts>,
}

/// The last value of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Final {
    /// Of a run that made all its steps.
    Value(f64),
    /// A run that diverged counts as one that learned nothing: the error or loss of guessing.
    Chance(f64),
    /// None, and why.
    Missing(String),
}

impl Evidence {
    #[cfg(test)]
    pub(super) fn new(runs: BTreeMap<String, RunCurve>, facts: BTreeMap<String, Facts>) -> Self {
        Self { runs, facts }
    }

    /// Reads a results directory.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn load(directory: &SweepDir) -> Result<Self> {
        let curves = directory.load()?;
        let runs = curves.runs.into_iter().map(|run| (run.id.clone(), run)).collect();
        Ok(Self { runs, facts: directory.facts()? })
    }

    /// The runs that claims may be about, planned ones among them.
    pub fn candidates(&self, arm_keys: BTreeSet<String>) -> Candidates {
        let configs =
            self.facts.iter().map(|(id, facts)| (id.clone(), facts.config.clone())).collect();
        let arm = |facts: &Facts| facts.arm.clone();
        let arms =
            self.facts.iter().filter_map(|(id, facts)| Some((id.clone(), arm(facts)?))).collect();
        Candidates { configs, arms, arm_keys }
    }

    /// The final value of a run's metric.
    pub fn last(&self, id: &str, metric: &str) -> Final {
        let Some(run) = self.runs.get(id) else {
            return Final::Missing(format!("{id} has not begun"));
        };
        match run.state {
            State::Done => match run.final_metric(metric) {
                Some(value) => Final::Value(value),
                None => Final::Missing(format!("{id} has no {metric} in its last row")),
            },
            State::Diverged => match self.made(id).and_then(|made| made.chance(metric)) {
                Some(chance) => Final::Chance(chance),
                None => Final::Missing(format!(
                    "{id} diverged, and without its run.json nobody knows what chance is"
                )),
            },
            State::Pending => Final::Missing(format!("{id} has not begun")),
            state => Final::Missing(format!("{id} is {state}")),
        }
    }

    /// What guessing gives in the data of these runs.
    pub fn chance(&self, ids: &[String], metric: &str) -> Option<f64> {
        ids.iter().find_map(|id| self.made(id)?.chance(metric))
    }

    fn made(&self, id: &str) -> Option<&Made> {
        self.facts.get(id)?.manifest.as_ref()
    }

    /// Why runs that saw different data cannot be compared.
    pub fn mixed_data(&self, ids: &BTreeSet<String>) -> Option<String> {
        let sums: BTreeSet<&str> = ids
            .iter()
            .filter_map(|id| self.made(id))
            .map(|made| made.data.as_str())
            .filter(|sum| !sum.is_empty())
            .collect();
        let count = sums.len();
        (count > 1).then(|| format!("its runs saw {count} different data sets"))
    }

    /// How the making of runs differs, in words.
    pub fn mixed_execution(&self, ids: &BTreeSet<String>) -> Vec<String> {
        let made: Vec<&Made> = ids.iter().filter_map(|id| self.made(id)).collect();
        let differing = |what: &str, of: &dyn Fn(&Made) -> String| {
            let values: BTreeSet<String> = made.iter().map(|made| of(made)).collect();
            let list = || values.iter().cloned().collect::<Vec<_>>().join(", ");
            (values.len() > 1).then(|| format!("its runs differ in {what} ({})", list()))
        };
        let all = [
            differing("device", &|made| kind(&made.execution.device).to_owned()),
            differing("layout", &|made| layout(made.execution.layout).to_owned()),
            differing("threads", &|made| made.execution.threads.to_string()),
            differing("libtorch", &|made| made.execution.libtorch.clone()),
            differing("revision", &|made| {
                format!(
                    "{}{}",
                    made.revision.git.get(..8).unwrap_or(&made.revision.git),
                    if made.revision.dirty { " dirty" } else { "" }
                )
            }),
        ];
        all.into_iter().flatten().collect()
    }
}

fn layout(layout: Layout) -> &'static str {
    match layout {
        Layout::Nchw => "nchw",
        Layout::ChannelsLast => "channels-last",
    }
}

/// `cuda` of `cuda:1`.
fn kind(device: &str) -> &str {
    device.split(':').next().unwrap_or(device)
}
