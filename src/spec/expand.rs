//! From an experiment file to its runs: every combination of arms and swept values.

use super::claim::{Claim, Deciding};
use super::claims::{Compared, arm_keys, compared};
use super::combinations::{Combinations, combinations};
use super::contrast::{Candidates, Contrast};
use super::epochs::epochs_in_updates;
use super::file::{File, Given, Values, axis, definitions, normalise};
use super::key_rows::{LESIONS, needs};
use super::measurable::check_tunable;
use super::names::Names;
use super::resolve::{Config, ResolvedConfig, fingerprint, resolve};
use super::seeds::first_seeds;
use super::settings::Training;
use super::stages::Stages;
use super::{Settings, SpecError};
use fathom_arch::{Audit, InvalidKey, Network, network, shallower};
use fathom_base::key::value_of;
use fathom_base::plain;
use fathom_record::Seed;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A checked experiment.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// Name of the experiment and of its results directory.
    pub name: String,
    /// Note for readers of its figures.
    pub note: Option<String>,
    /// Text of the file.
    pub text: String,
    /// The values of `--set`, which replace some of the text.
    pub sets: Vec<String>,
    /// Runs with the seeds of the file, in the order of seeds.
    pub runs: Vec<Run>,
    /// Configurations of all runs by id, including `later`, also after a caller has filtered `runs`.
    pub configs: BTreeMap<String, Config>,
    /// Names of arms by run id; empty for an experiment without arms.
    pub arms: BTreeMap<String, String>,
    /// Runs with the further seeds of `looks`, which are needed only while claims are undecided, or those from which
    /// the second of two `stages` chooses.
    pub later: Vec<Run>,
    /// The claims, each with the runs that it compares.
    pub claims: Vec<(Claim, Contrast)>,
    /// Names of claims that are left out, since values of `--set` took away runs that they are about.
    pub set_aside: BTreeSet<String>,
    /// How claims are decided.
    pub deciding: Deciding,
    /// The two stages of an experiment with a table `[tune]`.
    pub stages: Option<Stages>,
    /// Remarks for the user: keys without an effect in some runs, combinations that are equal.
    pub remarks: Vec<String>,
}

/// One run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Unique name, which ends in the hash of the configuration.
    pub id: String,
    /// Name of its arm.
    pub arm: Option<String>,
    /// Full names of the keys in which the experiment's runs differ, seed last.
    pub axes: Vec<String>,
    /// Complete configuration.
    pub config: Config,
    /// The configuration as typed settings.
    pub settings: Settings,
    /// Network; for a net that grows, after it has grown.
    pub network: Network,
    /// Parameters, multiply-adds and activations of the network.
    pub audit: Audit,
}

impl Run {
    /// Multiply-adds of the forward passes of the whole training, a measure of its duration.
    pub fn work(&self) -> u64 {
        let Training { iterations, batch, .. } = self.settings.training;
        let images = iterations.saturating_mul(batch as u64);
        self.audit.macs.saturating_mul(images)
    }

    /// Estimated memory of training in bytes, without the program: the output of every layer and its
    /// gradient, for a batch or for the images of the statistics of the layers, and each parameter with
    /// its gradient, its velocity and a copy during the update.
    pub fn memory(&self) -> u64 {
        let Settings { training, evaluate, .. } = &self.settings;
        let probe = if evaluate.layers { evaluate.layer_images } else { 0 };
        let batch = training.batch.max(probe) as u64;
        let activations = self.audit.activations.saturating_mul(2).saturating_mul(batch);
        activations.saturating_add(self.audit.parameters.saturating_mul(4)).saturating_mul(4)
    }

    /// The value of a key as text; empty if the key has no effect in this run.
    pub fn text(&self, key: &str) -> String {
        self.config.get(key).map(plain).unwrap_or_default()
    }
}

impl Experiment {
    /// Reads, checks and expands an experiment file. Each of `sets` is a `KEY=VALUE` that replaces
    /// the values of the file.
    ///
    /// # Errors
    /// A [`SpecError`] with file and line for the first error in the file.
    pub fn load(path: &Path, sets: &[String]) -> anyhow::Result<Self> {
        let bytes = std::fs::read(path).map_err(|error| SpecError {
            place: path.display().to_string(),
            message: format!("cannot be read: {error}"),
        })?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            let line = error.as_bytes()[..valid].iter().filter(|byte| **byte == b'\n').count() + 1;
            let message = format!("byte {} of the file is not text in UTF-8", valid + 1);
            SpecError { place: format!("{}:{line}", path.display()), message }
        })?;
        Ok(Self::parse(path, &text, sets)?)
    }

    /// Like [`Experiment::load`], from a text; `path` is for errors.
    ///
    /// # Errors
    /// Those of [`Experiment::load`].
    pub fn parse(path: &Path, text: &str, sets: &[String]) -> Result<Self, SpecError> {
        let mut file = File::parse(path, text, Names::Known)?;
        for (at, set) in sets.iter().enumerate() {
            let is_twice = sets[..at].iter().any(|earlier| set_key(earlier) == set_key(set));
            if let (true, Some(key)) = (is_twice, set_key(set)) {
                let message = format!("{key} is given twice; a list is swept over: {key}=[…]");
                return Err(SpecError { place: format!("--set {set}"), message });
            }
            apply_set(&mut file, set)?;
        }
        let now = first_seeds(&mut file)?;
        let Expanded { mut runs, mut remarks } =
            expand(&file, &path.display().to_string(), sets.is_empty())?;
        runs.sort_by_key(|run| run.config["seed"].as_u64());
        let candidates = Candidates {
            configs: runs.iter().map(|run| (run.id.clone(), run.config.clone())).collect(),
            arms: runs.iter().filter_map(|run| Some((run.id.clone(), run.arm.clone()?))).collect(),
            arm_keys: arm_keys(&file),
            // Runs that fathom trains have its own columns only.
            extra_columns: BTreeSet::new(),
        };
        let is_whole_file_valid = || !sets.is_empty() && Self::parse(path, text, &[]).is_ok();
        let Compared { claims, set_aside, remarks: of_claims } =
            compared(file.claims, &candidates, &runs, is_whole_file_valid)?;
        remarks.extend(of_claims);
        let stages = file.tune.map(|(tune, place)| {
            check_tunable(&tune, &runs, &place)?;
            Stages::of(tune, &runs, &place)
        });
        let stages = stages.transpose()?;
        let is_now = |run: &Run| now.contains(&Seed::from(run.settings.seed));
        let (runs, later) = runs.into_iter().partition(is_now);
        Ok(Self {
            name: file.name,
            note: file.note,
            text: text.into(),
            sets: sets.to_vec(),
            runs,
            later,
            configs: candidates.configs,
            arms: candidates.arms,
            claims,
            set_aside,
            deciding: file.deciding,
            stages,
            remarks,
        })
    }
}

/// The runs of an experiment file, and remarks for the user.
struct Expanded {
    runs: Vec<Run>,
    remarks: Vec<String>,
}

/// The runs of all combinations, each once; `place` is for errors, and `is_whole` says that `--set` changed nothing.
fn expand(file: &File, place: &str, is_whole: bool) -> Result<Expanded, SpecError> {
    let axes = axes(file);
    let Combinations { all, remarks } = combinations(file, is_whole)?;
    let (mut runs, mut ids, mut merged) = (Vec::new(), BTreeSet::new(), Vec::new());
    let (mut used, mut idle) = (BTreeSet::new(), BTreeMap::new());
    for (arm, given) in all {
        let ResolvedConfig { mut config, idle: without_effect } = resolve(&given, place)?;
        epochs_in_updates(&mut config).map_err(|invalid| located(&invalid, &given, place))?;
        let run = run(arm, &axes, config, &given, place)?;
        let no_lesions = run.settings.evaluate.lesions && run.network.lesions().is_empty();
        for (name, given) in &given {
            if without_effect.contains(name) || (no_lesions && name == LESIONS) {
                *idle.entry((name.clone(), given.place.clone())).or_insert(0) += 1;
            } else {
                used.insert((name.clone(), given.place.clone()));
            }
        }
        if ids.insert(run.id.clone()) { runs.push(run) } else { merged.push(run.id) }
    }
    let mut remarks = remarks;
    for ((name, place), count) in idle {
        if !used.contains(&(name.clone(), place.clone())) {
            let needs = needs(&name).map(|needs| format!(": it needs {needs}"));
            let message = format!("{name} has no effect in any run{}", needs.unwrap_or_default());
            return Err(SpecError { place, message });
        }
        remarks.push(format!("{name} has no effect in {count} of the combinations"));
    }
    match merged.as_slice() {
        [] => {}
        [one] => {
            remarks.push(format!("1 combination equals another one and is not run twice: {one}"))
        }
        [first, ..] => remarks.push(format!(
            "{} combinations equal others and are not run twice: {first} and others",
            merged.len()
        )),
    }
    Ok(Expanded { runs, remarks })
}

/// The keys that are swept or set by arms: family and depth first, seed last.
fn axes(file: &File) -> Vec<String> {
    let mut axes: BTreeSet<&String> = file.sweep.keys().collect();
    axes.extend(file.arms.iter().flat_map(|(_, values)| values.keys()));
    let mut axes: Vec<String> = axes.into_iter().cloned().collect();
    axes.sort_by_key(|name| {
        (name == "seed", name != "network.family", name != "network.depth", name.clone())
    });
    axes
}

/// Where a key was given, or `place`.
fn place_of(key: &str, given: &Values, place: &str) -> String {
    given.get(key).map_or_else(|| place.into(), |given| given.place.clone())
}

/// An error about a key with the place where it was given, or `place`.
fn located(invalid: &InvalidKey, given: &Values, place: &str) -> SpecError {
    SpecError { place: place_of(&invalid.key, given, place), message: invalid.to_string() }
}

/// The run of a complete configuration; `given` and `place` are for errors.
fn run(
    arm: Option<String>,
    axes: &[String],
    config: Config,
    given: &Values,
    place: &str,
) -> Result<Run, SpecError> {
    let place_of = |key: &str| place_of(key, given, place);
    let fault = |invalid: InvalidKey| located(&invalid, given, place);
    let settings = Settings::new(&config).map_err(fault)?;
    fathom_data::check_counts(&settings.data)
        .map_err(|fault| SpecError { place: place_of(fault.key), message: fault.to_string() })?;
    let (shape, classes) = fathom_data::describe(&settings.data).map_err(|error| SpecError {
        place: place_of("data.source"),
        message: format!("{error:#}"),
    })?;
    settings.check_channels(shape.channels).map_err(fault)?;
    let input = [shape.channels, shape.height, shape.width];
    let network = network(&config, input, classes).map_err(fault)?;
    if let Some(grow) = settings.training.grow {
        shallower(&config, grow.from, input, classes).map_err(fault)?;
    }
    settings.check_statistics(&network).map_err(fault)?;
    let audit = network.audit();
    let always = ["network.family".to_owned(), "network.depth".to_owned()];
    let others = axes.iter().filter(|name| !always.contains(name) && *name != "seed");
    let values = always.iter().chain(others).filter_map(|name| config.get(name)).map(plain);
    let name = readable(arm.clone().into_iter().chain(values));
    let id = format!("{name}-s{}-{}", plain(&config["seed"]), fingerprint(&config));
    let axes = axes.iter().filter(|name| config.contains_key(*name)).cloned().collect();
    Ok(Run { id, arm, axes, config, settings, network, audit })
}

/// The readable part of an id: as many of the parts as fit, the first of them cut if it must be, so that the id
/// can be the name of a file. What distinguishes ids is their hash.
fn readable(parts: impl Iterator<Item = String>) -> String {
    const LENGTH: usize = 120;
    let mut name = String::new();
    for part in parts.map(|part| file_safe(&part)) {
        if name.is_empty() {
            name.extend(part.chars().take(LENGTH));
        } else if name.len() + 1 + part.len() <= LENGTH {
            name = name + "-" + &part;
        } else {
            break;
        }
    }
    name
}

/// The text with every character replaced that is not safe in file names.
pub(super) fn file_safe(text: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '_' };
    text.chars().map(safe).collect()
}

/// The key of a `--set KEY=VALUE`.
fn set_key(set: &str) -> Option<&str> {
    set.split_once('=').map(|(key, _)| key.trim())
}

/// Applies `--set KEY=VALUE`, which replaces the value, the swept values and those of arms and overrides. A list of
/// values for a key that takes single values is swept over.
fn apply_set(file: &mut File, set: &str) -> Result<(), SpecError> {
    let fail = |message: String| SpecError { place: format!("--set {set}"), message };
    let (name, text) = set.split_once('=').ok_or_else(|| fail("expected KEY=VALUE".into()))?;
    let (name, text) = (name.trim(), text.trim());
    let place = format!("--set {set}");
    let kind = definitions(name).next().map(|key| key.kind);
    let takes_list = kind.is_some_and(|kind| kind.is_list());
    let (mut swept, mut single) = (None, None);
    if let (false, Value::Array(items)) = (takes_list, value_of(text)) {
        swept = Some(axis(name, &items).map_err(fail)?);
    } else {
        let value = kind.and_then(|kind| kind.parse(text)).unwrap_or_else(|| value_of(text));
        let hint = |message: String| match text.contains(',') && kind.is_some() {
            true => format!("{message}; for a sweep over these values: --set '{name}=[{text}]'"),
            false => message,
        };
        single = Some(normalise(name, &value).map_err(|message| fail(hint(message)))?);
    }
    file.base.remove(name);
    file.sweep.remove(name);
    let of_arms = file.arms.iter_mut().map(|(_, values)| values);
    let of_overrides = file.overrides.iter_mut().map(|over| &mut over.set);
    of_arms.chain(of_overrides).for_each(|values| drop(values.remove(name)));
    file.sweep.extend(swept.map(|values| (name.into(), (values, place.clone()))));
    file.base.extend(single.map(|value| (name.into(), Given { value, place })));
    Ok(())
}

#[cfg(test)]
mod tests;
