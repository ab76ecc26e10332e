//! The best of the values of a key.

use crate::evidence::{Evidence, Final};
use fathom_base::key::short;
use fathom_record::Seed;
use fathom_spec::{Arm, Measure, Tune, TuneCandidate};
use std::collections::BTreeSet;

/// The candidate of an arm with the smallest mean over the tuning seeds.
///
/// # Errors
/// The reason why there is none: a run of these seeds has no value.
pub fn best<'a>(
    arm: &'a Arm,
    tune: &Tune,
    evidence: &Evidence,
) -> Result<&'a TuneCandidate, String> {
    smallest(&arm.candidates, &tune.seeds, &tune.by, &arm.label, evidence)
}

/// The candidate of which fewest runs of these seeds diverged, and among those the one whose mean final value of a
/// metric is smallest; the first of equal ones. `label` names the candidates in errors.
///
/// # Errors
/// The reason why there is none: a run of these seeds has no value, or every one diverged.
pub(crate) fn smallest<'a>(
    candidates: &'a [TuneCandidate],
    seeds: &BTreeSet<Seed>,
    metric: &str,
    label: &str,
    evidence: &Evidence,
) -> Result<&'a TuneCandidate, String> {
    let mut best: Option<((usize, f64), &TuneCandidate)> = None;
    for candidate in candidates {
        let (mut diverged, mut sum) = (0, 0.0);
        for seed in seeds {
            let id = candidate
                .runs
                .get(seed)
                .ok_or_else(|| format!("a value of {label} lacks seed {seed}, which chooses"))?;
            match evidence.value(id, &Measure::last(metric)) {
                Final::Value(value) => sum += value,
                Final::Diverged(_) | Final::Censored { .. } => diverged += 1,
                Final::Missing(reason) => return Err(reason),
            }
        }
        if best.is_none_or(|(least, _)| (diverged, sum) < least) {
            best = Some(((diverged, sum), candidate));
        }
    }
    match best {
        None => Err(format!("{label} has no runs")),
        Some(((diverged, _), _)) if diverged == seeds.len() => {
            Err(format!("every run that chooses for {label} diverged"))
        }
        Some((_, candidate)) => Ok(candidate),
    }
}

/// The reason why the best value of a tuned key does not count: at the edge of the grid, a better
/// value may lie beyond it.
pub fn at_edge(arm: &Arm, choice: &TuneCandidate, tune: &Tune) -> Option<String> {
    let numbers: Vec<f64> =
        arm.candidates.iter().filter_map(|choice| choice.value.as_ref()?.as_f64()).collect();
    let best = choice.value.as_ref()?.as_f64()?;
    let (least, greatest) = (numbers.first()?, numbers.last()?);
    let at_edge = numbers.len() > 1 && (best == *least || best == *greatest);
    at_edge.then(|| {
        format!(
            "the best {} of {}, {best}, is at the edge of its grid ({least} … {greatest})",
            short(&tune.over),
            arm.label
        )
    })
}
