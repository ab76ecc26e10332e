//! Whether runs will have the values that claims and conditions to stop are about.

use super::claim::{Claim, LayerMetric, Layers, Measure, Tune, When};
use super::contrast::Contrast;
use super::settings::{Every, Settings};
use super::{Run, SpecError};
use fathom_arch::{Activation, WeightLayer};
use fathom_record::{LESION_COST, MeasuredOn, Metric};
use std::collections::BTreeMap;

/// The metric that is measured at the first and the last step only.
const FRESH: &str = "train_err_fresh_pct";

/// The column of layers that compares with the net after the next update.
const RESPONSE_CHANGE: &str = "response_change";

/// The metrics over the batches since the previous row, of which the first row has none.
const RUNNING: [&str; 2] = ["train_err_running_pct", "train_loss_running"];

impl Settings {
    /// Why rows of the curve between the first and the last one cannot have a value of `metric`, if they cannot.
    pub(super) fn unmeasured(&self, metric: &str) -> Option<&'static str> {
        let metric = Metric::named(metric)?;
        if metric.column == FRESH {
            Some("is measured at the first and the last step only")
        } else if metric.measured_on == MeasuredOn::Validation && self.data.validation == 0 {
            Some("needs data.validation")
        } else if metric.column == RUNNING[0] && self.training.delta.is_some() {
            Some("is not measured in regression")
        } else {
            None
        }
    }
}

/// Refuses to tune by a metric that runs will not have after their last update.
pub(super) fn check_tunable(tune: &Tune, runs: &[Run], place: &str) -> Result<(), SpecError> {
    let mut why = runs.iter().filter_map(|run| run.settings.unmeasured(&tune.by));
    match why.next().filter(|_| tune.by != FRESH) {
        None => Ok(()),
        Some(why) => {
            let message = format!("tune: by = \"{}\": {} {why}", tune.by, tune.by);
            Err(SpecError { place: place.into(), message })
        }
    }
}

/// Refuses a claim about values that its runs will not have.
pub(super) fn check_measurable(
    claim: &Claim,
    contrast: &Contrast,
    runs: &BTreeMap<&str, &Run>,
) -> Result<(), SpecError> {
    let why = |(_, id): (_, &String)| missing(&claim.measure, runs.get(id.as_str())?);
    let Some(why) = contrast.runs().find_map(why) else { return Ok(()) };
    let message = format!("claim \"{}\": {} {why}", claim.name, claim.measure.metric);
    Err(SpecError { place: claim.place.clone(), message })
}

/// Why the run will not have what a claim measures, if it will not; follows the name of the metric.
fn missing(measure: &Measure, run: &Run) -> Option<String> {
    let last = run.settings.training.iterations;
    match measure.when {
        When::Step(step) if step > last => {
            return Some(format!("after {step} updates: the runs have {last}"));
        }
        When::Epochs(epochs) => {
            let all = updates_of_epoch(run).map(|updates| last as f64 / updates);
            let is_later = |steps: &Vec<u64>| steps.iter().all(|step| *step > last);
            if let (Some(all), Some(_)) = (all, steps(measure, run).filter(is_later)) {
                return Some(format!("after {epochs} epochs: the runs have {all:.2}"));
            }
        }
        When::Step(_) | When::FirstBelow(_) | When::Last => {}
    }
    match measure.layers.is_some() || LayerMetric::named(&measure.metric).is_some() {
        true => missing_in_layers(measure, run),
        false => missing_in_curve(measure, run),
    }
}

/// The number of updates in an epoch of the run, if its images can be counted.
fn updates_of_epoch(run: &Run) -> Option<f64> {
    let images = fathom_data::train_images(&run.settings.data).ok()?;
    Some(images as f64 / run.settings.training.batch as f64)
}

/// The numbers of updates after which a value would do, where a claim is about one between updates.
fn steps(measure: &Measure, run: &Run) -> Option<Vec<u64>> {
    match measure.when {
        When::Step(step) => Some(vec![step]),
        When::Epochs(epochs) => Some(When::ends_of(epochs, updates_of_epoch(run)?).into()),
        When::FirstBelow(_) | When::Last => None,
    }
}

/// [`missing`], of a metric of the curve.
fn missing_in_curve(measure: &Measure, run: &Run) -> Option<String> {
    let Settings { training, evaluate, .. } = &run.settings;
    let metric = measure.metric.as_str();
    let steps = steps(measure, run);
    let is_between = match &steps {
        Some(steps) => steps.iter().all(|step| 0 < *step && *step < training.iterations),
        None => matches!(measure.when, When::FirstBelow(_)),
    };
    match run.settings.unmeasured(metric) {
        Some(why) if metric != FRESH || is_between => return Some(why.into()),
        Some(_) | None => {}
    }
    if RUNNING.contains(&metric)
        && steps.as_ref().is_some_and(|steps| steps.iter().all(|step| *step == 0))
    {
        return Some(
            "after 0 updates: it is measured over the batches since the previous row".into(),
        );
    }
    if let (Some(steps), Ok(images)) = (steps, fathom_data::train_images(&run.settings.data))
        && !steps.iter().any(|step| evaluate.is_row_due(*step, images as u64, training))
    {
        let after = match measure.when {
            When::Epochs(epochs) => format!("{epochs} epochs, {} updates", steps[0]),
            _ => format!("{} updates", steps[0]),
        };
        return Some(match evaluate.every {
            Every::Steps(every) => {
                format!("after {after}: evaluate.every = {every}, which does not divide it")
            }
            Every::Epoch => {
                format!("after {after}: evaluate.every = \"epoch\", and none ends there")
            }
        });
    }
    match (measure.when, &training.stop_when.below) {
        (When::FirstBelow(bar), Some(stop)) if stop.metric == metric && stop.below > bar => {
            Some(format!(
                "below {bar}: runs end as soon as it is below training.stop_when.below = {}",
                stop.below
            ))
        }
        _ => None,
    }
}

/// [`missing`], of a statistic of layers.
fn missing_in_layers(measure: &Measure, run: &Run) -> Option<String> {
    let Settings { training, evaluate, .. } = &run.settings;
    let (is_lesion, last) = (measure.metric == LESION_COST, training.iterations);
    if !evaluate.layers {
        return Some("needs evaluate.layers = true".into());
    }
    if is_lesion && !evaluate.lesions {
        return Some("needs evaluate.lesions = true".into());
    }
    let all = run.network.weight_layers();
    let is_among = |layers: &[&str]| match &measure.layers {
        Some(Layers::At(position)) => all
            .get(*position as usize - 1)
            .is_some_and(|layer| layers.contains(&layer.name.as_str())),
        Some(Layers::Named(name)) => layers.contains(&name.as_str()),
        Some(Layers::Over(_)) | None => true,
    };
    let names: Vec<&str> = all.iter().map(|layer| layer.name.as_str()).collect();
    if !is_among(&names) {
        return Some(format!(
            "of that layer: {} has layers 1 to {}, the last of them {}",
            run.id,
            names.len(),
            names.last().unwrap_or(&"")
        ));
    }
    if let Some((place, layers)) = measured_layers(&measure.metric, run, &all) {
        let layers: Vec<&str> = layers.iter().map(String::as_str).collect();
        if layers.is_empty() && is_lesion {
            let family = run.text("network.family");
            return Some(format!("does not exist in {family} networks: no block can be deleted"));
        } else if layers.is_empty() {
            return Some(format!("has values where {place}: {} has no such layer", run.id));
        } else if !is_among(&layers) {
            return Some(format!("has values where {place}: {}", layers.join(", ")));
        }
    }
    let steps = steps(measure, run);
    let is_last = |steps: &Vec<u64>| steps.contains(&last);
    if measure.metric == RESPONSE_CHANGE && steps.as_ref().is_none_or(is_last) {
        let why = "is the change by the next update, and none follows the last one: add step, such as step = 0";
        return Some(why.into());
    }
    let steps = steps?;
    if is_lesion && !is_last(&steps) {
        return Some("is measured after the last update only".into());
    }
    let is_due = steps.iter().any(|step| evaluate.are_layers_due(*step, last));
    (!is_due).then(|| {
        let step = steps[0];
        format!(
            "after {step} updates: layers are measured after 0, 1, 2, 5, 10, 20, 50, ... updates and the last one"
        )
    })
}

/// Where a statistic has values that not all layers have, in words, and the names of these layers.
fn measured_layers(
    metric: &str,
    run: &Run,
    all: &[WeightLayer],
) -> Option<(&'static str, Vec<String>)> {
    let of = |has: &dyn Fn(&WeightLayer) -> bool| {
        all.iter().filter(|layer| has(layer)).map(|layer| layer.name.clone()).collect()
    };
    match metric {
        LESION_COST => {
            let ends = run.network.lesions().into_iter().map(|lesion| lesion.last_layer);
            Some(("a block ends that can be deleted", ends.collect()))
        }
        "gamma_min" | "gamma_max" | "beta_min" | "beta_max" => {
            Some(("a normalisation follows", of(&|layer| layer.norm.is_some())))
        }
        "mean_gap" | "variance_gap" => {
            let moves = |layer: &WeightLayer| layer.norm.is_some_and(|it| it.has_moving_averages());
            Some(("a normalisation with moving averages follows", of(&moves)))
        }
        "dead_pct" => {
            Some(("ReLU follows", of(&|layer| layer.activation == Some(Activation::Relu))))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
