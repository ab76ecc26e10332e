//! The seeds of an experiment, and those that are added to them: for later looks at its claims, and for tuning.

use super::SpecError;
use super::file::File;
use fathom_record::Seed;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The seeds with which an experiment begins: those of the file, or the tuning seeds of an experiment in two stages.
/// Seeds that may follow are added to the sweep.
///
/// # Errors
/// When the table `[tune]` does not fit the sweep.
pub(super) fn first_seeds(file: &mut File) -> Result<BTreeSet<Seed>, SpecError> {
    if file.tune.is_some() {
        return add_tuning_seeds(file);
    }
    let now = seeds(file);
    extend_seeds(file, &now);
    Ok(now)
}

/// The seeds of the file.
fn seeds(file: &File) -> BTreeSet<Seed> {
    let swept = file.sweep.get("seed").map(|(values, _)| values.clone());
    let given = file.base.get("seed").map(|given| vec![given.value.clone()]);
    let values = swept.or(given).unwrap_or_else(|| vec![0.into()]);
    values.iter().filter_map(Value::as_u64).map(Seed::from).collect()
}

/// Appends the next greater seeds until there are as many as the last look needs, in addition to the
/// seeds of `tune`.
fn extend_seeds(file: &mut File, now: &BTreeSet<Seed>) {
    let Some(last) = file.deciding.looks.last() else { return };
    let tuned = file.claims.iter().filter_map(|claim| claim.tune.as_ref());
    let tuned: BTreeSet<Seed> = tuned.flat_map(|tune| tune.seeds.iter().copied()).collect();
    let mut all: BTreeSet<Seed> = now.union(&tuned).copied().collect();
    let mut next = all.last().map_or(0, |last| last + 1);
    while all.difference(&tuned).count() < *last {
        all.insert(next);
        next += 1;
    }
    let place = file.sweep.remove("seed").map_or_else(|| "looks".into(), |(_, place)| place);
    file.sweep.insert("seed".into(), (all.into_iter().map(|seed| json!(seed)).collect(), place));
}

/// Adds the tuning seeds to the seeds of the sweep, and returns them: the seeds of the first stage.
///
/// # Errors
/// When a seed is one of both stages, or the tuned key is not swept.
fn add_tuning_seeds(file: &mut File) -> Result<BTreeSet<Seed>, SpecError> {
    let Some((tune, place)) = file.tune.clone() else { return Ok(BTreeSet::new()) };
    let fail = |message: String| {
        Err(SpecError { place: place.clone(), message: format!("tune: {message}") })
    };
    let verdict = seeds(file);
    if let Some(seed) = verdict.intersection(&tune.seeds).next() {
        return fail(format!(
            "seed {seed} is also a seed of the sweep; the runs that choose must be others"
        ));
    }
    if tune.seeds.len() < 2 {
        return fail(
            "seeds: expected two or more, as a single run chooses by chance in part".into(),
        );
    }
    let is_swept = file.sweep.get(&tune.over).is_some_and(|(values, _)| values.len() > 1);
    if !is_swept {
        return fail(format!(
            "over = \"{}\": give this key two or more values in [sweep]",
            tune.over
        ));
    }
    let all = verdict.union(&tune.seeds).map(|seed| json!(seed)).collect();
    file.sweep.insert("seed".into(), (all, place));
    Ok(tune.seeds)
}
