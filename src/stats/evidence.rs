//! The evidence for claims: values of runs, and how the runs were made.

use super::Layerwise;
use anyhow::Result;
use fathom_base::plain;
#[cfg(test)]
use fathom_record::CurveRow;
use fathom_record::{
    LayerRow, Made, Metric, Provenance, RunCurve, Seed, State, SweepDir, check_column,
    metric_columns,
};
use fathom_spec::{Candidates, Config, LayerMetric, Measure, When, completed};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// The keys that decide which images a run has, and their size.
pub(super) const SELECTS_DATA: [&str; 10] = [
    "data.source",
    "data.path",
    "data.labels",
    "data.colour",
    "data.train",
    "data.validation",
    "data.test",
    "data.test_share",
    "data.size",
    "data.short_side",
];

/// The results of a directory, by run id.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    runs: BTreeMap<String, RunCurve>,
    provenance: BTreeMap<String, Provenance>,
    /// Rows of `layers.csv`; empty for a run without that file.
    layers: BTreeMap<String, Vec<LayerRow>>,
    /// Seeds that were planned after runs of other seeds had ended.
    added_seeds: BTreeSet<Seed>,
}

/// The value of a metric with which a run counts.
#[derive(Clone, Debug, PartialEq)]
pub enum Final {
    /// The measured value.
    Value(f64),
    /// None, as the run diverged; with the chance level of the metric, if it is known.
    Diverged(Option<f64>),
    /// A run that did not get below a bar.
    Censored {
        /// The number of its last update.
        updates: f64,
        /// Whether it diverged and so never would; otherwise the true number is greater than that of its last update.
        is_never: bool,
    },
    /// No value, with the reason.
    Missing(String),
}

impl Evidence {
    #[cfg(test)]
    pub(super) fn new(
        runs: BTreeMap<String, RunCurve>,
        provenance: BTreeMap<String, Provenance>,
    ) -> Self {
        Self { runs, provenance, ..Self::default() }
    }

    /// Gives a run another end, other rows and other statistics of layers.
    #[cfg(test)]
    pub(super) fn replace(
        &mut self,
        id: &str,
        state: State,
        rows: Vec<CurveRow>,
        layers: Vec<LayerRow>,
    ) {
        if let Some(run) = self.runs.get_mut(id) {
            (run.state, run.rows) = (state, rows);
        }
        self.layers.insert(id.into(), layers);
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
        let added_seeds = directory.added_seeds()?;
        Ok(Self { runs, provenance: directory.provenance()?, layers, added_seeds })
    }

    /// All runs, those that are planned only included.
    pub fn runs(&self) -> impl Iterator<Item = &RunCurve> {
        self.runs.values()
    }

    /// Seeds that were planned after runs of other seeds had ended.
    pub fn added_seeds(&self) -> &BTreeSet<Seed> {
        &self.added_seeds
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
        self.runs.keys().any(|id| matches!(self.value(id, &Measure::last(metric)), Final::Value(_)))
    }

    /// Whether there are runs that have ended, all by diverging.
    pub(super) fn have_diverged(&self) -> bool {
        let mut ended = self.runs.values().filter(|run| run.state.is_final()).peekable();
        ended.peek().is_some() && ended.all(|run| run.state == State::Diverged)
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

    /// The value of what a claim measures with which a run counts.
    pub fn value(&self, id: &str, measure: &Measure) -> Final {
        let Some(run) = self.runs.get(id) else {
            return Final::Missing(format!("{id} has not begun"));
        };
        let missing = || {
            let Measure { metric, when, .. } = measure;
            Final::Missing(format!("{id} has no {metric} {}", said(*when)))
        };
        let chance = || self.made(id)?.chance(&measure.metric);
        match (run.state, measure.when) {
            (State::Done | State::Diverged, When::FirstBelow(bar)) => {
                let until = run.updates_until(&measure.metric, bar);
                until.map_or_else(missing, |until| match until.is_censored {
                    true => Final::Censored {
                        updates: until.updates as f64,
                        is_never: run.state == State::Diverged,
                    },
                    false => Final::Value(until.updates as f64),
                })
            }
            (State::Done, When::Last | When::Step(_) | When::Epochs(_)) => {
                match self.measured(run, measure) {
                    Some(value) if value.is_finite() => Final::Value(value),
                    // A metric of the curve that overflowed ended as badly as one of a run that diverged.
                    Some(_) if Metric::named(&measure.metric).is_some() => {
                        Final::Diverged(chance())
                    }
                    Some(_) | None => missing(),
                }
            }
            (State::Diverged, When::Last | When::Step(_) | When::Epochs(_)) => {
                // The run may have been evaluated at that step before it diverged.
                let is_last = measure.when == When::Last;
                let before = if is_last { None } else { self.measured(run, measure) };
                let before = before.filter(|value| value.is_finite());
                before.map_or_else(|| Final::Diverged(chance()), Final::Value)
            }
            (State::Pending, _) if run.rows.is_empty() => {
                Final::Missing(format!("{id} has not begun"))
            }
            // A run that trains now, or lost its process, has no status yet.
            (State::Pending, _) => Final::Missing(format!("{id} has not ended")),
            (state, _) => Final::Missing(format!("{id} is {state}")),
        }
    }

    /// The final value of a metric, or its chance level if the run diverged, and whether it did.
    ///
    /// # Errors
    /// The reason why the run has no value.
    pub(super) fn value_or_chance(&self, id: &str, metric: &str) -> Result<(f64, bool), String> {
        match self.value(id, &Measure::last(metric)) {
            Final::Value(value) | Final::Censored { updates: value, .. } => Ok((value, false)),
            Final::Diverged(Some(chance)) => Ok((chance, true)),
            Final::Diverged(None) => Err(unknown_chance(id, metric)),
            Final::Missing(reason) => Err(reason),
        }
    }

    fn measured(&self, run: &RunCurve, measure: &Measure) -> Option<f64> {
        let Measure { metric, when, layers } = measure;
        let rows = || self.layers.get(&run.id);
        let at = |step: Option<u64>| {
            if let Some(layers) = layers {
                Layerwise::of_layers(rows()?, metric, layers, step)
            } else if let Some(metric) = LayerMetric::named(metric) {
                Layerwise::figure(rows()?, metric, step)
            } else {
                match step {
                    None => run.rows.last()?.metric(metric),
                    Some(step) => run.rows.iter().find(|row| row.step == step)?.metric(metric),
                }
            }
        };
        match *when {
            When::Step(step) => at(Some(step)),
            When::Epochs(epochs) => {
                let ends = When::ends_of(epochs, updates_of_epoch(run)?);
                ends.into_iter().find_map(|step| at(Some(step)))
            }
            When::Last | When::FirstBelow(_) => at(None),
        }
    }

    /// The chance level of a metric on the data of these runs, see [`Made::chance`].
    pub fn chance(&self, ids: &[String], metric: &str) -> Option<f64> {
        ids.iter().find_map(|id| self.made(id)?.chance(metric))
    }

    fn made(&self, id: &str) -> Option<&Made> {
        self.provenance.get(id)?.manifest.as_ref()
    }

    /// The reason why these runs cannot be compared, if runs whose keys select the same data were trained on different
    /// ones.
    pub fn mixed_data(&self, ids: &BTreeSet<String>) -> Option<String> {
        let mut sums: BTreeMap<Vec<Option<String>>, BTreeSet<&str>> = BTreeMap::new();
        for id in ids {
            let Some(run) = self.provenance.get(id) else { continue };
            let Some(made) = run.manifest.as_ref().filter(|made| !made.data.is_empty()) else {
                continue;
            };
            let config = complete(run);
            let selected = SELECTS_DATA.iter().map(|key| config.get(*key).map(plain));
            sums.entry(selected.collect()).or_default().insert(&made.data);
        }
        let count = sums.values().map(BTreeSet::len).max()?;
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

/// The reason why a diverged run has no value.
pub(super) fn unknown_chance(id: &str, metric: &str) -> String {
    format!("{id} diverged, and the chance level of {metric} is not known")
}

/// The keys that distinguish a run from others, as a configuration.
fn of_axes(run: &RunCurve) -> Config {
    let value = |text: &String| serde_json::from_str(text).unwrap_or_else(|_| text.clone().into());
    let key = |axis: &String| run.keys.get(axis).unwrap_or(axis).clone();
    let axes = run.axes.iter().filter(|(axis, _)| *axis != "arm");
    let mut config: Config = axes.map(|(axis, text)| (key(axis), value(text))).collect();
    config.insert("seed".into(), json!(run.seed));
    config
}

/// The place of a value that is missing, in words.
fn said(when: When) -> String {
    match when {
        When::Last => "in its last row".into(),
        When::Step(step) => format!("after {step} updates"),
        When::Epochs(epochs) => format!("after {epochs} epochs"),
        When::FirstBelow(_) => "in any row".into(),
    }
}

/// The number of updates in an epoch; `None` for a run without rows of whole epochs or parts.
fn updates_of_epoch(run: &RunCurve) -> Option<f64> {
    // The last row has the most digits of the ratio.
    let last = run.rows.iter().rfind(|row| row.epoch.is_some_and(|epoch| epoch > 0.0))?;
    Some(last.step as f64 / last.epoch?)
}

/// The kind of a device: `cuda` for `cuda:1`.
fn kind(device: &str) -> &str {
    device.split(':').next().unwrap_or(device)
}
