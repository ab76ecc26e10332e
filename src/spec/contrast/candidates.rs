//! The runs that claims select from, and what they can be measured by.

use crate::claim::{LayerMetric, Measure, When};
use crate::resolve::Config;
use fathom_base::key::nearest;
use fathom_record::{layer_metrics, metric_columns};
use std::collections::{BTreeMap, BTreeSet};

/// The runs that claims select from.
#[derive(Clone, Debug, Default)]
pub struct Candidates {
    /// Configurations by run id.
    pub configs: BTreeMap<String, Config>,
    /// Names of arms by run id; empty for an experiment without arms.
    pub arms: BTreeMap<String, String>,
    /// Full names of the keys that `[[arm]]` tables set.
    pub arm_keys: BTreeSet<String>,
    /// Columns of the runs' curves that are not fathom's own, each an extra metric.
    pub extra_columns: BTreeSet<String>,
}

impl Candidates {
    /// Checks that runs can have what a claim measures.
    ///
    /// # Errors
    /// When they cannot, with the metrics there are and the nearest of them.
    pub(super) fn check_measure(&self, measure: &Measure) -> Result<(), String> {
        let metric = measure.metric.as_str();
        let of_layers: Vec<&str> = layer_metrics().collect();
        let is_of_layers = of_layers.contains(&metric);
        match (&measure.layers, measure.when) {
            (None, When::FirstBelow(_)) if is_of_layers || LayerMetric::named(metric).is_some() => {
                return Err(format!("updates_to: {metric} is no metric of the curves"));
            }
            (None, _) if is_of_layers => {
                return Err(format!(
                    "metric = \"{metric}\" has a value for each layer: add layer = 1, the position \
                     or the name of a layer, or over_layers = \"mean\", \"min\" or \"max\""
                ));
            }
            (Some(_), _) if !is_of_layers => {
                return Err(format!(
                    "metric = \"{metric}\": with layer or over_layers expected one of {}",
                    of_layers.join(", ")
                ));
            }
            (Some(_), _) => return Ok(()),
            (None, When::FirstBelow(_) | When::Step(_) | When::Epochs(_) | When::Last) => {}
        }
        let mut known: Vec<&str> =
            metric_columns().chain(LayerMetric::WORDS.iter().copied()).collect();
        known.extend(self.extra_columns.iter().map(String::as_str));
        if known.contains(&metric) {
            return Ok(());
        }
        let meant = nearest(metric, known.iter().copied().chain(of_layers));
        let hint = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
        Err(format!("metric = \"{metric}\": expected one of {}{hint}", known.join(", ")))
    }
}
