//! The configuration of each arm of a claim: the only one, or the best one where a key is tuned.

use crate::evidence::Evidence;
use fathom_base::key::short;
use fathom_spec::{Arm, Claim, Contrast, Tune, TuneCandidate};

/// One configuration for each arm, and the reason why it cannot decide the claim.
pub(super) struct Chosen<'a> {
    pub arms: Vec<(&'a Arm, &'a TuneCandidate)>,
    pub reason: Option<String>,
}

impl<'a> Chosen<'a> {
    /// Chooses the configurations of a claim.
    pub fn of(claim: &Claim, contrast: &'a Contrast, evidence: &Evidence) -> Self {
        let mut reasons = Vec::new();
        let mut arms = Vec::new();
        for arm in &contrast.arms {
            let choice = match &claim.tune {
                None => &arm.candidates[0],
                Some(tune) => best(arm, tune, evidence).unwrap_or_else(|reason| {
                    reasons.push(reason);
                    &arm.candidates[0]
                }),
            };
            if let (Some(tune), true) = (&claim.tune, reasons.is_empty())
                && let Some(reason) = at_edge(arm, choice, tune)
            {
                reasons.push(reason);
            }
            arms.push((arm, choice));
        }
        Self { arms, reason: (!reasons.is_empty()).then(|| reasons.join("; ")) }
    }
}

/// The candidate with the smallest mean over the tuning seeds.
///
/// # Errors
/// The reason why there is none: a run of these seeds has no value.
pub fn best<'a>(
    arm: &'a Arm,
    tune: &Tune,
    evidence: &Evidence,
) -> Result<&'a TuneCandidate, String> {
    let mut best: Option<(f64, &TuneCandidate)> = None;
    for choice in &arm.candidates {
        let mut sum = 0.0;
        for seed in &tune.seeds {
            let id = choice
                .runs
                .get(seed)
                .ok_or_else(|| format!("{} has no run of tuning seed {seed}", arm.label))?;
            sum += evidence.value_or_chance(id, &tune.by)?.0;
        }
        let mean = sum / tune.seeds.len() as f64;
        if best.is_none_or(|(least, _)| mean < least) {
            best = Some((mean, choice));
        }
    }
    best.map(|(_, choice)| choice).ok_or_else(|| format!("{} has no runs", arm.label))
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
