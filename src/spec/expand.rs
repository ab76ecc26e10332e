//! Every combination of arms and swept values is a run.

use super::claim::{Claim, Deciding};
use super::contrast::{Candidates, Contrast};
use super::file::{File, Given, Values, axis, definitions, normalise};
use super::resolve::{Config, fingerprint, resolve};
use super::{Settings, SpecError};
use fathom_arch::{Audit, Network, network, shallower};
use fathom_base::key::Kind;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A checked experiment.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// Its name, also that of its results directory.
    pub name: String,
    /// What a reader of its figures should know.
    pub note: Option<String>,
    /// The file as given.
    pub text: String,
    /// Its runs, each once.
    pub runs: Vec<Run>,
    /// Configurations of all its runs by id, also where `runs` is cut down to a part of them.
    pub configs: BTreeMap<String, Config>,
    /// The arm that each of them belongs to, where there are arms.
    pub arms: BTreeMap<String, String>,
    /// Runs of further seeds, up to the last look at the claims: made only until these are decided.
    pub later: Vec<Run>,
    /// What the experiment claims, with the runs that it is about.
    pub claims: Vec<(Claim, Contrast)>,
    /// How claims are decided.
    pub deciding: Deciding,
    /// What happened to keys and runs that one should know: merged runs, idle keys.
    pub remarks: Vec<String>,
}

/// One run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Unique name, the same for the same configuration wherever it occurs.
    pub id: String,
    /// The arm that it belongs to.
    pub arm: Option<String>,
    /// Keys that tell the experiment's runs apart, seed last.
    pub axes: Vec<String>,
    /// Its complete configuration.
    pub config: Config,
    /// The same, typed.
    pub settings: Settings,
    /// The net.
    pub network: Network,
    /// Its size.
    pub audit: Audit,
}

impl Run {
    /// Multiply-adds of the whole training, which its time is roughly proportional to.
    pub fn work(&self) -> u64 {
        let images = self.settings.training.iterations * self.settings.training.batch as u64;
        self.audit.macs.saturating_mul(images)
    }

    /// Bytes that training needs besides the program, estimated: what every layer puts out is kept
    /// for the backward pass, with its gradient; parameters with gradient, velocity and a copy
    /// while updating.
    pub fn memory(&self) -> u64 {
        let batch = self.settings.training.batch as u64;
        let activations = self.audit.activations.saturating_mul(2).saturating_mul(batch);
        activations.saturating_add(self.audit.parameters.saturating_mul(4)).saturating_mul(4)
    }

    /// Text of a key's value; empty where the key does nothing in this run.
    pub fn text(&self, key: &str) -> String {
        self.config.get(key).map(text).unwrap_or_default()
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl Experiment {
    /// Reads, checks and expands an experiment file, with `--set` values over it.
    ///
    /// # Errors
    /// Anything wrong in it, with file and line, before anything is computed; [`SpecError`] inside
    /// where the file can be read at all.
    pub fn load(path: &Path, sets: &[String]) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| SpecError {
            place: path.display().to_string(),
            message: format!("cannot be read: {error}"),
        })?;
        Ok(Self::parse(path, &text, sets)?)
    }

    /// The same from a text; `path` names it in errors.
    ///
    /// # Errors
    /// As for [`Experiment::load`].
    pub fn parse(path: &Path, text: &str, sets: &[String]) -> Result<Self, SpecError> {
        let mut file = File::parse(path, text)?;
        for set in sets {
            apply_set(&mut file, set)?;
        }
        let place = path.display().to_string();
        let axes = axes(&file);
        let now = seeds(&file);
        extend_seeds(&mut file, &now);
        let mut runs: Vec<Run> = Vec::new();
        let mut ids = BTreeSet::new();
        let (mut merged, mut used, mut idle) = (0, BTreeSet::new(), BTreeMap::new());
        for (arm, given) in combinations(&file) {
            let resolved = resolve(&given, &place)?;
            for (name, given) in &given {
                if resolved.idle.contains(name) {
                    *idle.entry((name.clone(), given.place.clone())).or_insert(0) += 1;
                } else {
                    used.insert((name.clone(), given.place.clone()));
                }
            }
            let run = run(arm, &axes, resolved.config, &given, &place)?;
            if ids.insert(run.id.clone()) { runs.push(run) } else { merged += 1 }
        }
        let mut remarks = Vec::new();
        for ((name, place), count) in idle {
            if !used.contains(&(name.clone(), place.clone())) {
                return Err(SpecError {
                    place,
                    message: format!("{name} does nothing in any run"),
                });
            }
            remarks
                .push(format!("{name} does nothing in {count} of the combinations: dropped there"));
        }
        if merged > 0 {
            remarks.push(format!("{merged} combinations equal others and run once"));
        }
        runs.sort_by_key(|run| run.config["seed"].as_u64());
        let candidates = Candidates {
            configs: runs.iter().map(|run| (run.id.clone(), run.config.clone())).collect(),
            arms: runs.iter().filter_map(|run| Some((run.id.clone(), run.arm.clone()?))).collect(),
            arm_keys: arm_keys(&file),
            // Runs that fathom trains have its own columns only.
            extra_columns: BTreeSet::new(),
        };
        let claims = file.claims.into_iter().map(|claim| {
            let contrast = Contrast::of(&claim, &candidates)?;
            check_tuned(&claim, &candidates.configs)?;
            Ok((claim, contrast))
        });
        let claims = claims.collect::<Result<Vec<_>, _>>()?;
        let is_now = |run: &Run| now.contains(&run.settings.seed);
        let (runs, later) = runs.into_iter().partition(is_now);
        Ok(Self {
            name: file.name,
            note: file.note,
            text: text.into(),
            runs,
            later,
            configs: candidates.configs,
            arms: candidates.arms,
            claims,
            deciding: file.deciding,
            remarks,
        })
    }
}

/// The claims of an experiment without its runs: what `check` reads beside results.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    /// As in the file.
    pub claims: Vec<Claim>,
    /// How they are decided.
    pub deciding: Deciding,
    /// The keys that arms set.
    pub arm_keys: BTreeSet<String>,
}

impl Claims {
    /// Reads the claims of an experiment's text; `path` names it in errors.
    ///
    /// # Errors
    /// Anything wrong in it, with file and line.
    pub fn parse(path: &Path, text: &str) -> Result<Self, SpecError> {
        let file = File::parse(path, text)?;
        let arm_keys = arm_keys(&file);
        Ok(Self { claims: file.claims, deciding: file.deciding, arm_keys })
    }
}

fn arm_keys(file: &File) -> BTreeSet<String> {
    file.arms.iter().flat_map(|(_, values)| values.keys().cloned()).collect()
}

/// The seeds of the file.
fn seeds(file: &File) -> BTreeSet<u64> {
    let swept = file.sweep.get("seed").map(|(values, _)| values.clone());
    let given = file.base.get("seed").map(|given| vec![given.value.clone()]);
    let values = swept.or(given).unwrap_or_else(|| vec![0.into()]);
    values.iter().filter_map(Value::as_u64).collect()
}

/// Adds seeds until the last look at the claims has as many as it wants, besides those that claims
/// are tuned by: the next numbers after the greatest one.
fn extend_seeds(file: &mut File, now: &BTreeSet<u64>) {
    let Some(last) = file.deciding.looks.last() else { return };
    let tuned = file.claims.iter().filter_map(|claim| claim.tune.as_ref());
    let tuned: BTreeSet<u64> = tuned.flat_map(|tune| tune.seeds.iter().copied()).collect();
    let mut all: BTreeSet<u64> = now.union(&tuned).copied().collect();
    let mut next = all.last().map_or(0, |last| last + 1);
    while all.difference(&tuned).count() < *last {
        all.insert(next);
        next += 1;
    }
    let place = file.sweep.remove("seed").map_or_else(|| "looks".into(), |(_, place)| place);
    file.sweep.insert("seed".into(), (all.into_iter().map(Value::from).collect(), place));
}

/// What is chosen by looking needs images that are only looked at for that.
fn check_tuned(claim: &Claim, configs: &BTreeMap<String, Config>) -> Result<(), SpecError> {
    let fail = |message: String| {
        let message = format!("claim \"{}\": tune: {message}", claim.name);
        Err(SpecError { place: claim.place.clone(), message })
    };
    let Some(tune) = &claim.tune else { return Ok(()) };
    let of = |key: &str| configs.values().filter_map(|config| config.get(key)?.as_u64()).max();
    if of("data.validation").unwrap_or_default() == 0 {
        return fail(format!("{} needs images held out: data.validation = …", tune.by));
    }
    let seeds: BTreeSet<u64> =
        configs.values().filter_map(|config| config.get("seed")?.as_u64()).collect();
    if let Some(missing) = tune.seeds.difference(&seeds).next() {
        return fail(format!("seed {missing} is not swept"));
    }
    if seeds.difference(&tune.seeds).count() < 2 {
        return fail("leaves fewer than two seeds to the verdict".into());
    }
    Ok(())
}

/// The keys that distinguish runs, seed last.
fn axes(file: &File) -> Vec<String> {
    let mut axes: BTreeSet<&String> = file.sweep.keys().collect();
    axes.extend(file.arms.iter().flat_map(|(_, values)| values.keys()));
    let mut axes: Vec<String> = axes.into_iter().cloned().collect();
    axes.sort_by_key(|name| {
        (name == "seed", name != "network.family", name != "network.depth", name.clone())
    });
    axes
}

/// Arms × swept values, with overrides applied.
fn combinations(file: &File) -> Vec<(Option<String>, Values)> {
    let mut all: Vec<(Option<String>, Values)> = if file.arms.is_empty() {
        vec![(None, file.base.clone())]
    } else {
        let over = |(name, values): &(String, Values)| {
            let mut merged = file.base.clone();
            merged.extend(values.clone());
            (Some(name.clone()), merged)
        };
        file.arms.iter().map(over).collect()
    };
    for (name, (values, place)) in &file.sweep {
        all = all
            .into_iter()
            .flat_map(|(arm, given)| {
                values.iter().map(move |value| {
                    let mut given = given.clone();
                    let place = place.clone();
                    given.insert(name.clone(), Given { value: value.clone(), place });
                    (arm.clone(), given)
                })
            })
            .collect();
    }
    for (_, given) in &mut all {
        for over in &file.overrides {
            let applies = over.when.iter().all(|(name, wanted)| {
                given.get(name).is_some_and(|given| given.value == wanted.value)
            });
            if applies {
                given.extend(over.set.clone());
            }
        }
    }
    all
}

fn run(
    arm: Option<String>,
    axes: &[String],
    config: Config,
    given: &Values,
    place: &str,
) -> Result<Run, SpecError> {
    let place_of = |key: &str| given.get(key).map_or_else(|| place.into(), |g| g.place.clone());
    let fault = |(key, message): (String, String)| SpecError {
        place: place_of(&key),
        message: format!("{key}: {message}"),
    };
    let settings = Settings::new(&config).map_err(fault)?;
    let (shape, classes) = fathom_data::describe(&settings.data).map_err(|error| SpecError {
        place: place_of("data.source"),
        message: format!("{error:#}"),
    })?;
    let input = [shape.channels, shape.height, shape.width];
    let network = network(&config, input, classes)
        .map_err(|invalid| fault((invalid.key, invalid.message)))?;
    if let Some(grow) = settings.training.grow {
        shallower(&config, grow.from, input, classes)
            .map_err(|invalid| fault((invalid.key, invalid.message)))?;
    }
    let audit = network.audit();
    let mut id: Vec<String> = arm.iter().map(|name| file_safe(name)).collect();
    let always = ["network.family".to_owned(), "network.depth".to_owned()];
    let others = axes.iter().filter(|name| !always.contains(name) && *name != "seed");
    for name in always.iter().chain(others) {
        if let Some(value) = config.get(name) {
            id.push(file_safe(&text(value)));
        }
    }
    id.push(format!("s{}", text(&config["seed"])));
    id.push(fingerprint(&config));
    let axes = axes.iter().filter(|name| config.contains_key(*name)).cloned().collect();
    Ok(Run { id: id.join("-"), arm, axes, config, settings, network, audit })
}

fn file_safe(text: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '_' };
    text.chars().map(safe).collect()
}

/// `--set key=value`: over the file's value, and instead of a swept axis; a list of values for a
/// key that takes one is an axis.
fn apply_set(file: &mut File, set: &str) -> Result<(), SpecError> {
    let fail = |message: String| SpecError { place: format!("--set {set}"), message };
    let (name, text) = set.split_once('=').ok_or_else(|| fail("expected key=value".into()))?;
    let (name, text) = (name.trim(), text.trim());
    let place = format!("--set {set}");
    let kind = definitions(name).next().map(|key| key.kind);
    let takes_list = matches!(kind, Some(Kind::Counts | Kind::Numbers));
    if let (false, Ok(Value::Array(items))) = (takes_list, serde_json::from_str(text)) {
        let values = axis(name, &items).map_err(fail)?;
        file.base.remove(name);
        file.sweep.insert(name.into(), (values, place));
        return Ok(());
    }
    let value = kind.and_then(|kind| kind.parse(text)).unwrap_or_else(|| Value::from(text));
    let value = normalise(name, &value).map_err(fail)?;
    file.sweep.remove(name);
    for (_, arm) in &mut file.arms {
        arm.remove(name);
    }
    file.base.insert(name.into(), Given { value, place });
    Ok(())
}
