//! The claims of an experiment file, and which of them can be tested with its runs.

use super::claim::{Claim, Deciding, Tune};
use super::contrast::{Candidates, Contrast};
use super::file::File;
use super::measurable::check_measurable;
use super::names::Names;
use super::resolve::Config;
use super::{Run, SpecError};
use fathom_record::{MeasuredOn, Metric, Seed, seed};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

/// The claims of an experiment file without its runs.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    /// The claims in the order of the file.
    pub claims: Vec<Claim>,
    /// How they are decided.
    pub deciding: Deciding,
    /// The table `[tune]`, if there is one.
    pub tune: Option<Tune>,
    /// Full names of the keys that `[[arm]]` tables set.
    pub arm_keys: BTreeSet<String>,
}

impl Claims {
    /// Reads the claims from the text of an experiment file; `path` is for errors. They may name keys and values that
    /// only runs of other programs have; [`Contrast::of`] checks that the runs have them.
    ///
    /// # Errors
    /// A [`SpecError`] with file and line for the first error in the text.
    pub fn parse(path: &Path, text: &str) -> Result<Self, SpecError> {
        let file = File::parse(path, text, Names::OfResults)?;
        let arm_keys = arm_keys(&file);
        let tune = file.tune.map(|(tune, _)| tune);
        Ok(Self { claims: file.claims, deciding: file.deciding, tune, arm_keys })
    }

    /// Removes the claims with these names.
    pub fn remove(&mut self, names: &BTreeSet<String>) {
        self.claims.retain(|claim| !names.contains(&claim.name));
    }
}

/// Full names of the keys that `[[arm]]` tables set.
pub(super) fn arm_keys(file: &File) -> BTreeSet<String> {
    file.arms.iter().flat_map(|(_, values)| values.keys().cloned()).collect()
}

/// The claims of an experiment with the runs that they compare.
pub(super) struct Compared {
    pub claims: Vec<(Claim, Contrast)>,
    /// Names of the claims that have no runs because of `--set`.
    pub set_aside: BTreeSet<String>,
    /// Remarks for the user.
    pub remarks: Vec<String>,
}

/// Finds the runs of every claim. A claim without runs is an error, unless `is_caused_by_set` says that
/// it has its runs in the file alone; then it is set aside with a remark.
pub(super) fn compared(
    claims: Vec<Claim>,
    candidates: &Candidates,
    runs: &[Run],
    is_caused_by_set: impl Fn() -> bool,
) -> Result<Compared, SpecError> {
    let runs: BTreeMap<&str, &Run> = runs.iter().map(|run| (run.id.as_str(), run)).collect();
    let (mut found, mut set_aside, mut remarks) = (Vec::new(), BTreeSet::new(), Vec::new());
    for claim in claims {
        let contrast = Contrast::of(&claim, candidates);
        let contrast =
            contrast.and_then(|it| check_tuned(&claim, &candidates.configs).map(|()| it));
        let contrast = contrast.and_then(|it| check_measurable(&claim, &it, &runs).map(|()| it));
        match contrast {
            Ok(contrast) => found.push((claim, contrast)),
            Err(error) if is_caused_by_set() => {
                remarks.push(format!("set aside because of --set: {}", error.message));
                set_aside.insert(claim.name);
            }
            Err(error) => return Err(error),
        }
    }
    remarks.extend(tuned_on_one_seed(&found));
    Ok(Compared { claims: found, set_aside, remarks })
}

/// Refuses `tune` without validation images, with seeds that are not swept, or with too few others.
fn check_tuned(claim: &Claim, configs: &BTreeMap<String, Config>) -> Result<(), SpecError> {
    let fail = |message: String| {
        let message = format!("claim \"{}\": tune: {message}", claim.name);
        Err(SpecError { place: claim.place.clone(), message })
    };
    let Some(tune) = &claim.tune else { return Ok(()) };
    let of = |key: &str| configs.values().filter_map(|config| config.get(key)?.as_u64()).max();
    let by = &tune.by;
    let is_held_out = Metric::named(by).is_some_and(|it| it.measured_on == MeasuredOn::Validation);
    if is_held_out && of("data.validation").unwrap_or_default() == 0 {
        return fail(format!("{by} needs validation images: set data.validation, such as 1000"));
    }
    let tuned: HashSet<_> = configs.values().filter_map(|config| config.get(&tune.over)).collect();
    if tuned.len() < 2 {
        return fail(format!("over = \"{}\": no two runs differ in it", tune.over));
    }
    let seeds: BTreeSet<Seed> = configs.values().filter_map(seed).collect();
    if let Some(missing) = tune.seeds.difference(&seeds).next() {
        return fail(format!("seed {missing} is not among the seeds of the experiment"));
    }
    if seeds.difference(&tune.seeds).count() < 2 {
        return fail("at least two seeds must remain for the verdict".into());
    }
    Ok(())
}

/// A remark on claims whose tuned key is chosen by the runs of a single seed.
fn tuned_on_one_seed(claims: &[(Claim, Contrast)]) -> Option<String> {
    let is_meant = |claim: &Claim| claim.tune.as_ref().is_some_and(|tune| tune.seeds.len() == 1);
    let names: Vec<String> = claims
        .iter()
        .filter(|(claim, _)| is_meant(claim))
        .map(|(claim, _)| format!("\"{}\"", claim.name))
        .collect();
    (!names.is_empty()).then(|| {
        format!(
            "tune has a single seed, which chooses by chance in part; give two or more: {}",
            names.join(", ")
        )
    })
}
