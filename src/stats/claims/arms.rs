//! The configuration of each arm of a claim: the only one, or the best one where a key is tuned.

use crate::best::{at_edge, best};
use crate::evidence::Evidence;
use fathom_spec::{Arm, Claim, Contrast, TuneCandidate};

/// One configuration for each arm.
pub(super) struct Chosen<'a> {
    pub arms: Vec<(&'a Arm, &'a TuneCandidate)>,
    /// The reason why these cannot decide the claim.
    pub reason: Option<String>,
    /// Whether all could be chosen; if not, some are merely the first ones.
    pub is_chosen: bool,
}

impl<'a> Chosen<'a> {
    /// Chooses the configurations of a claim.
    pub fn of(claim: &Claim, contrast: &'a Contrast, evidence: &Evidence) -> Self {
        let (mut reasons, mut arms, mut is_chosen) = (Vec::new(), Vec::new(), true);
        for arm in &contrast.arms {
            let choice = match &claim.tune {
                None => &arm.candidates[0],
                Some(tune) => best(arm, tune, evidence).unwrap_or_else(|reason| {
                    reasons.push(reason);
                    is_chosen = false;
                    &arm.candidates[0]
                }),
            };
            if let (Some(tune), true) = (&claim.tune, is_chosen)
                && let Some(reason) = at_edge(arm, choice, tune)
            {
                reasons.push(reason);
            }
            arms.push((arm, choice));
        }
        Self { arms, reason: (!reasons.is_empty()).then(|| reasons.join("; ")), is_chosen }
    }
}
