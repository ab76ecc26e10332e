//! The evidence for claims: values of runs, and how the runs were made.

use super::Layerwise;
use anyhow::Result;
use fathom_record::{
    LayerRow, Made, Provenance, RunCurve, State, SweepDir, check_column, metric_columns,
};
use fathom_spec::{Candidates, Config, LayerMetric, completed};
use std::collections::{BTreeMap, BTreeSet};

/// The results of a directory, by run id.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    runs: BTreeMap<String, RunCurve>,
    provenance: BTreeMap<String, Provenance>,
    /// Rows of `layers.csv`; empty for a run without that file.
    layers: BTreeMap<String, Vec<LayerRow>>,
}

/// The value of a metric with which a run counts.
#[derive(Clone, Debug, PartialEq)]
pub enum Final {
    /// The measured value.
    Value(f64),
    /// The chance level of the metric, as the run diverged: it counts as a net that learned nothing.
    Chance(f64),
    /// No value, with the reason.
    Missing(String),
}

impl Evidence {
    #[cfg(test)]
    pub(super) fn new(
        runs: BTreeMap<String, RunCurve>,
        provenance: BTreeMap<String, Provenance>,
    ) -> Self {
        Self { runs, provenance, layers: BTreeMap::new() }
    }

    /// Reads a results directory.
    ///
    /// # Errors
    /// When a file is damaged.
    pub fn load(directory: &SweepDir) -> Result<Self> {
        let curves = directory.load()?;
        let mut layers = BTreeMap::new();
        for run in &curves.runs {
            layers.insert(run.id.clone(), directory.run(&run.id).layers()?);
        }
        let runs = curves.runs.into_iter().map(|run| (run.id.clone(), run)).collect();
        Ok(Self { runs, provenance: directory.provenance()?, layers })
    }

    /// The runs that claims can select, including planned ones. `arm_keys` are the keys that the
    /// experiment's arms set.
    pub fn candidates(&self, arm_keys: BTreeSet<String>) -> Candidates {
        let configs = self.provenance.iter().map(|(id, run)| (id.clone(), complete(run)));
        let configs = configs.collect();
        let arm = |run: &Provenance| run.arm.clone();
        let arms =
            self.provenance.iter().filter_map(|(id, run)| Some((id.clone(), arm(run)?))).collect();
        let rows = self.runs.values().flat_map(|run| &run.rows);
        let extra_columns = rows.flat_map(|row| row.extra.keys()).cloned().collect();
        Candidates { configs, arms, arm_keys, extra_columns }
    }

    /// Configurations by run id, planned runs included. Of a run whose configuration was not kept, the
    /// keys that distinguish it from others.
    pub(super) fn configs(&self) -> BTreeMap<String, Config> {
        let known = self.provenance.iter().filter(|(_, run)| !run.config.is_empty());
        let mut configs: BTreeMap<String, Config> =
            known.map(|(id, run)| (id.clone(), complete(run))).collect();
        for (id, run) in &self.runs {
            configs.entry(id.clone()).or_insert_with(|| of_axes(run));
        }
        configs
    }

    /// The arm of a run, where the experiment has arms.
    pub(super) fn arm(&self, id: &str) -> Option<&str> {
        let of_curve = || Some(self.runs.get(id)?.axes.get("arm")?.as_str());
        self.provenance.get(id).and_then(|run| run.arm.as_deref()).or_else(of_curve)
    }

    /// Whether a finished run has a final value of the metric.
    pub(super) fn has(&self, metric: &str) -> bool {
        self.runs.keys().any(|id| matches!(self.value(id, metric, None), Final::Value(_)))
    }

    /// Checks that `metric` is a metric of the curves or of the layers, or an extra column.
    ///
    /// # Errors
    /// When it is none of them, with the valid ones.
    pub(super) fn check_metric(&self, metric: &str) -> Result<()> {
        let own: Vec<&str> = metric_columns().chain(LayerMetric::WORDS.iter().copied()).collect();
        let rows = self.runs.values().flat_map(|run| &run.rows);
        check_column(metric, &own, &rows.flat_map(|row| row.extra.keys()).cloned().collect())
    }

    /// The value of a metric with which a run counts: after `step` updates, or the final one.
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
                // The run may have been evaluated at that step before it diverged.
                let before = step.and_then(|_| self.measured(run, metric, step));
                let chance = self.made(id).and_then(|made| made.chance(metric));
                match (before, chance) {
                    (Some(value), _) => Final::Value(value),
                    (None, Some(chance)) => Final::Chance(chance),
                    (None, None) => Final::Missing(format!(
                        "{id} diverged, and the chance level of {metric} is not known"
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

    /// The chance level of a metric on the data of these runs, see [`Made::chance`].
    pub fn chance(&self, ids: &[String], metric: &str) -> Option<f64> {
        ids.iter().find_map(|id| self.made(id)?.chance(metric))
    }

    fn made(&self, id: &str) -> Option<&Made> {
        self.provenance.get(id)?.manifest.as_ref()
    }

    /// The reason why these runs cannot be compared, if they were trained on different data.
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

    /// Remarks on differences in device, layout, threads, libtorch and revision between these runs.
    pub fn mixed_execution(&self, ids: &BTreeSet<String>) -> Vec<String> {
        let made: Vec<&Made> = ids.iter().filter_map(|id| self.made(id)).collect();
        let differing = |fact: &str, of: &dyn Fn(&Made) -> String| {
            let values: BTreeSet<String> = made.iter().map(|made| of(made)).collect();
            let list = || values.iter().cloned().collect::<Vec<_>>().join(", ");
            (values.len() > 1).then(|| format!("its runs differ in {fact} ({})", list()))
        };
        let all = [
            differing("device", &|made| kind(&made.execution.device).to_owned()),
            differing("layout", &|made| made.execution.layout.to_string()),
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

/// The configuration of a run, with the keys that its version of fathom did not have yet at their
/// defaults; a configuration of another program stays as it is.
fn complete(provenance: &Provenance) -> Config {
    let is_ours = provenance.manifest.as_ref().is_none_or(|made| !made.revision.git.is_empty());
    if is_ours { completed(&provenance.config) } else { provenance.config.clone() }
}

/// The keys that distinguish a run from others, as a configuration.
fn of_axes(run: &RunCurve) -> Config {
    let value = |text: &String| serde_json::from_str(text).unwrap_or_else(|_| text.clone().into());
    let key = |axis: &String| run.keys.get(axis).unwrap_or(axis).clone();
    let axes = run.axes.iter().filter(|(axis, _)| *axis != "arm");
    let mut config: Config = axes.map(|(axis, text)| (key(axis), value(text))).collect();
    config.insert("seed".into(), run.seed.into());
    config
}

/// The time of a value that is missing, in words.
fn when(step: Option<u64>) -> String {
    match step {
        None => "in its last row".into(),
        Some(step) => format!("after {step} updates"),
    }
}

/// The kind of a device: `cuda` for `cuda:1`.
fn kind(device: &str) -> &str {
    device.split(':').next().unwrap_or(device)
}
