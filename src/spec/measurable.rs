//! Whether runs will have the values that claims and conditions to stop are about.

use super::claim::{Claim, LayerMetric, Layers, Measure, Tune, When};
use super::contrast::Contrast;
use super::settings::{Every, Settings};
use super::{Run, SpecError};
use fathom_record::{LESION_COST, MeasuredOn, Metric};
use std::collections::BTreeMap;

/// The metric that is measured at the first and the last step only.
const FRESH: &str = "train_err_fresh_pct";

impl Settings {
    /// Why rows of the curve between the first and the last one cannot have a value of `metric`, if they cannot.
    pub(super) fn unmeasured(&self, metric: &str) -> Option<&'static str> {
        let metric = Metric::named(metric)?;
        if metric.column == FRESH {
            Some("is measured at the first and the last step only")
        } else if metric.measured_on == MeasuredOn::Validation && self.data.validation == 0 {
            Some("needs data.validation")
        } else if metric.column == "train_err_running_pct" && self.training.delta.is_some() {
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
    let mut names = run.network.layers_with_weights();
    let known = |names: &[String]| match &measure.layers {
        Some(Layers::At(position)) => *position <= names.len() as u64,
        Some(Layers::Named(name)) => names.contains(name),
        Some(Layers::Over(_)) | None => true,
    };
    if !known(&names) {
        let last = names.pop().unwrap_or_default();
        return Some(format!(
            "of that layer: {} has layers 1 to {}, the last of them {last}",
            run.id,
            names.len() + 1
        ));
    }
    if is_lesion {
        let ends: Vec<String> =
            run.network.lesions().into_iter().map(|lesion| lesion.last_layer).collect();
        if ends.is_empty() {
            let family = run.text("network.family");
            return Some(format!("does not exist in {family} networks: no block can be deleted"));
        }
        let is_end = match &measure.layers {
            Some(Layers::At(position)) => ends.contains(&names[*position as usize - 1]),
            Some(Layers::Named(name)) => ends.contains(name),
            Some(Layers::Over(_)) | None => true,
        };
        if !is_end {
            return Some(format!(
                "has values where a block ends that can be deleted: {}",
                ends.join(", ")
            ));
        }
    }
    let steps = steps(measure, run)?;
    if is_lesion && !steps.contains(&last) {
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

#[cfg(test)]
mod tests {
    use crate::Experiment;
    use std::path::Path;

    const TEXT: &str = r#"
name = "t"
data = { source = "shapes" }
network = { depth = 8 }
training = { iterations = 100, stop_when = { metric = "train_err_pct", below = 50 } }
evaluate = { every = 30, layers = true, lesions = true }
sweep = { "network.family" = ["residual", "lenet"] }
"#;

    fn said(claim: &str) -> Result<(), String> {
        said_of(TEXT, claim)
    }

    fn said_of(text: &str, claim: &str) -> Result<(), String> {
        let text = format!(
            "{text}[[claim]]\nname = \"c\"\nof = {{ family = \"residual\" }}\nat_least = 1\n{claim}"
        );
        Experiment::parse(Path::new("t.toml"), &text, &[])
            .map(|_| ())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn claims_about_values_that_no_run_will_have_are_refused_with_what_they_need() {
        let lesions = "metric = \"lesion_cost\"\nover_layers = \"mean\"\n";
        for (claim, why) in [
            ("metric = \"validation_err_pct\"", "validation_err_pct needs data.validation"),
            (
                "metric = \"validation_err_pct\"\nstep = 0",
                "validation_err_pct needs data.validation",
            ),
            (
                "metric = \"gradient_norm\"\nlayer = 1\nstep = 30",
                "gradient_norm after 30 updates: layers are measured after 0, 1, 2, 5, 10, 20, 50",
            ),
            ("step = 50", "train_err_pct after 50 updates: evaluate.every = 30"),
            ("step = 200", "train_err_pct after 200 updates: the runs have 100"),
            (
                "metric = \"train_err_fresh_pct\"\nstep = 30",
                "train_err_fresh_pct is measured at the first and the last step only",
            ),
            (
                "metric = \"gradient_norm\"\nlayer = 9",
                "gradient_norm of that layer: residual-8-s0-",
            ),
            (
                "metric = \"gradient_norm\"\nlayer = \"layer9\"",
                "gradient_norm of that layer: residual-8-s0-",
            ),
            (
                "metric = \"lesion_cost\"\nlayer = 4",
                "lesion_cost has values where a block ends that can be deleted: layer1.0.conv2, layer2.0.conv2, ",
            ),
            (&format!("{lesions}step = 30"), "lesion_cost is measured after the last update only"),
            (
                "updates_to = { metric = \"train_err_pct\", below = 40 }",
                "train_err_pct below 40: runs end as soon as it is below training.stop_when.below = 50",
            ),
            (
                "updates_to = { metric = \"lesion_cost\", below = 1 }",
                "updates_to: lesion_cost is no metric of the curves",
            ),
            (
                "updates_to = { metric = \"validation_loss\", below = 1 }",
                "validation_loss needs data.validation",
            ),
        ] {
            let error = said(claim).unwrap_err();
            assert!(
                error.starts_with(&format!("t.toml:9: claim \"c\": {why}")),
                "{claim}: {error}"
            );
        }
        for claim in [
            lesions,
            "step = 60",
            "step = 100",
            "metric = \"train_err_fresh_pct\"",
            "metric = \"gradient_norm\"\nlayer = 1\nstep = 20",
            "metric = \"gradient_norm\"\nlayer = \"fc\"",
            "metric = \"lesion_cost\"\nlayer = 5",
            "updates_to = { metric = \"train_err_pct\", below = 50 }",
        ] {
            assert_eq!(said(claim), Ok(()), "{claim}");
        }
    }

    #[test]
    fn a_key_is_tuned_by_what_runs_will_have() {
        let tuned = |by: &str, more: &str| {
            let text = TEXT.replace(
                "\"network.family\" = [\"residual\", \"lenet\"]",
                "\"training.lr\" = [0.1, 0.2]",
            );
            let text = text.replace("depth = 8 }", "depth = 8, family = \"residual\" }");
            let text =
                format!("{text}[tune]\nover = \"training.lr\"\nseeds = [7, 8]\nby = \"{by}\"\n");
            let more: Vec<String> = more.split_whitespace().map(str::to_owned).collect();
            Experiment::parse(Path::new("t.toml"), &text, &more)
                .map(|_| ())
                .map_err(|error| error.to_string())
        };
        let why =
            "t.toml:8: tune: by = \"validation_err_pct\": validation_err_pct needs data.validation";
        assert_eq!(tuned("validation_err_pct", ""), Err(why.into()));
        assert_eq!(tuned("validation_err_pct", "data.validation=10"), Ok(()));
        assert_eq!(tuned("train_err_fresh_pct", ""), Ok(()));
    }

    #[test]
    fn claims_at_the_end_of_epochs_are_about_rows_that_there_will_be() {
        // 10,000 images are 156.25 updates.
        let text = TEXT.replace("iterations = 100", "iterations = 400, batch = 64");
        for (every, claim, expected) in [
            ("\"epoch\"", "step = \"1 epoch\"", None),
            ("\"epoch\"", "step = \"2 epochs\"", None),
            ("\"epoch\"", "step = 157", None),
            ("\"epoch\"", "step = 400", None),
            (
                "\"epoch\"",
                "step = 156",
                Some("after 156 updates: evaluate.every = \"epoch\", and none"),
            ),
            ("\"epoch\"", "step = \"0.5 epochs\"", Some("after 0.5 epochs, 78 updates: evaluate")),
            ("\"epoch\"", "step = \"3 epochs\"", Some("after 3 epochs: the runs have 2.56")),
            ("13", "step = \"1 epoch\"", None),
            ("30", "step = \"1 epoch\"", Some("after 1 epochs, 156 updates: evaluate.every = 30")),
            ("30", "metric = \"gradient_norm\"\nlayer = 1\nstep = \"1 epoch\"", Some("after 156")),
        ] {
            let found = said_of(&text.replace("every = 30", &format!("every = {every}")), claim);
            match (found, expected) {
                (Ok(()), None) => {}
                (Err(found), Some(expected)) => {
                    assert!(found.contains(expected), "{claim}: {found}")
                }
                (found, _) => panic!("{claim}: {found:?}"),
            }
        }
    }

    #[test]
    fn layers_are_measured_at_logarithmic_distances_from_the_untrained_net_to_the_last_update() {
        let experiment = Experiment::parse(Path::new("t.toml"), TEXT, &[]).expect("valid");
        let evaluate = experiment.runs[0].settings.evaluate;
        let due: Vec<u64> = (0..=320).filter(|step| evaluate.are_layers_due(*step, 320)).collect();
        assert_eq!(due, [0, 1, 2, 5, 10, 20, 50, 100, 200, 320]);
    }

    #[test]
    fn statistics_of_layers_are_claimed_only_where_they_are_measured() {
        let with = |evaluate: &str, family: &str| {
            let old = "every = 30, layers = true, lesions = true";
            let text = TEXT.replace(old, evaluate);
            assert_ne!(text, TEXT);
            let text = format!(
                "{text}[[claim]]\nname = \"c\"\nmetric = \"lesion_cost\"\nover_layers = \"mean\"\n\
                 of = {{ family = \"{family}\" }}\nat_least = 1\n"
            );
            Experiment::parse(Path::new("t.toml"), &text, &[]).unwrap_err().to_string()
        };
        let found = with("every = 30", "residual");
        assert!(found.ends_with("lesion_cost needs evaluate.layers = true"), "{found}");
        let found = with("layers = true", "residual");
        assert!(found.ends_with("lesion_cost needs evaluate.lesions = true"), "{found}");
        let found = with("layers = true, lesions = true, every = 20", "lenet");
        assert!(found.ends_with("in lenet networks: no block can be deleted"), "{found}");
    }
}
