//! What claims are decided by: final values of runs, and what is known of how they were made.

use super::Layerwise;
use anyhow::Result;
use fathom_record::{LayerRow, Layout, Made, Provenance, RunCurve, State, SweepDir};
use fathom_spec::{Candidates, Config, LayerMetric, completed};
use std::collections::{BTreeMap, BTreeSet};

/// The outcomes of a results directory by run id.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    runs: BTreeMap<String, RunCurve>,
    facts: BTreeMap<String, Provenance>,
    /// What was seen in layers, of runs where that was asked for.
    layers: BTreeMap<String, Vec<LayerRow>>,
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
    pub(super) fn new(
        runs: BTreeMap<String, RunCurve>,
        facts: BTreeMap<String, Provenance>,
    ) -> Self {
        Self { runs, facts, layers: BTreeMap::new() }
    }

    /// Reads a results directory.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn load(directory: &SweepDir) -> Result<Self> {
        let curves = directory.load()?;
        let mut layers = BTreeMap::new();
        for run in &curves.runs {
            layers.insert(run.id.clone(), directory.run(&run.id).layers()?);
        }
        let runs = curves.runs.into_iter().map(|run| (run.id.clone(), run)).collect();
        Ok(Self { runs, facts: directory.facts()?, layers })
    }

    /// The runs that claims may be about, planned ones among them.
    pub fn candidates(&self, arm_keys: BTreeSet<String>) -> Candidates {
        let configs = self.facts.iter().map(|(id, facts)| (id.clone(), complete(facts)));
        let configs = configs.collect();
        let arm = |facts: &Provenance| facts.arm.clone();
        let arms =
            self.facts.iter().filter_map(|(id, facts)| Some((id.clone(), arm(facts)?))).collect();
        Candidates { configs, arms, arm_keys }
    }

    /// The final value of a run's metric, or that after so many updates.
    pub fn value(&self, id: &str, metric: &str, step: Option<u64>) -> Final {
        let Some(run) = self.runs.get(id) else {
            return Final::Missing(format!("{id} has not begun"));
        };
        match run.state {
            State::Done => match self.measured(run, metric, step) {
                Some(value) => Final::Value(value),
                None => Final::Missing(format!("{id} has no {metric} {}", when(step))),
            },
            State::Diverged => {
                // Before it did, it may have had one.
                let before = step.and_then(|_| self.measured(run, metric, step));
                let chance = self.made(id).and_then(|made| made.chance(metric));
                match (before, chance) {
                    (Some(value), _) => Final::Value(value),
                    (None, Some(chance)) => Final::Chance(chance),
                    (None, None) if LayerMetric::named(metric).is_some() => {
                        Final::Missing(format!("{id} diverged, and chance has no {metric}"))
                    }
                    (None, None) => Final::Missing(format!(
                        "{id} diverged, and without its run.json nobody knows what chance is"
                    )),
                }
            }
            State::Pending => Final::Missing(format!("{id} has not begun")),
            state => Final::Missing(format!("{id} is {state}")),
        }
    }

    fn measured(&self, run: &RunCurve, metric: &str, step: Option<u64>) -> Option<f64> {
        let value = if let Some(metric) = LayerMetric::named(metric) {
            Layerwise::figure(self.layers.get(&run.id)?, metric, step)
        } else {
            match step {
                None => run.final_metric(metric),
                Some(step) => run.rows.iter().find(|row| row.step == step)?.metric(metric),
            }
        };
        value.filter(|value| value.is_finite())
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

/// A configuration of fathom's own may be of an earlier version; what other programs wrote stays as
/// it is.
fn complete(facts: &Provenance) -> Config {
    let is_ours = facts.manifest.as_ref().is_none_or(|made| !made.revision.git.is_empty());
    if is_ours { completed(&facts.config) } else { facts.config.clone() }
}

/// When a value was looked for.
fn when(step: Option<u64>) -> String {
    match step {
        None => "in its last row".into(),
        Some(step) => format!("after {step} updates"),
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
