//! What a reader should know beside a verdict.

use super::ArmSummary;
use super::case::Case;
use crate::estimate::Estimate;
use fathom_base::key::short;
use fathom_record::Seed;
use fathom_spec::{Effect, Relation};

impl Case<'_> {
    /// Remarks on the runs of these seeds, whose effect is estimated.
    pub fn remarks(&self, seeds: &[Seed], estimate: Option<&Estimate>) -> Vec<String> {
        let declared = self.contrast.declared.iter();
        let mut remarks: Vec<String> =
            declared.map(|keys| format!("its arms also differ in {keys}")).collect();
        if let Relation::Bound { source: Some(source), .. } = &self.claim.relation {
            remarks.push(format!("published: {source}"));
            remarks.push("the published value counts as exact, whatever its own spread".into());
        }
        if !self.added_seeds(seeds).is_empty() {
            remarks.push(
                "false verdicts are more probable than the level says, since seeds were added \
                 without declared looks"
                    .into(),
            );
        }
        for arm in 0..self.arms.len() {
            let summary = self.summary(arm, seeds.len());
            remarks.extend(self.diverged(&summary));
            remarks.extend(self.censored(&summary));
            if let (Some(value), Some(tune)) = (&summary.chosen, &self.claim.tune) {
                let (label, key) = (&summary.label, short(&tune.over));
                remarks.push(format!("{label} is taken at its best {key} = {value}"));
            }
        }
        if let Some(tune) = self.claim.tune.as_ref().filter(|tune| tune.seeds.len() < 2) {
            let (key, by) = (short(&tune.over), &tune.by);
            remarks
                .push(format!("{key} was chosen by {by} of a single seed, so by chance in part"));
        }
        if let Some(Estimate::Mean { error: 0.0, df: 1.0.., .. }) = estimate {
            remarks.push("every seed gives the same effect, so its interval has no width".into());
        }
        if !self.unshared.is_empty() {
            let seeds: Vec<String> = self.unshared.iter().map(Seed::to_string).collect();
            remarks
                .push(format!("seeds that only some arms have are not used: {}", seeds.join(", ")));
        }
        remarks.extend(self.evidence.mixed_execution(&self.ids(seeds)));
        remarks
    }

    /// With what diverged runs count.
    fn diverged(&self, summary: &ArmSummary) -> Option<String> {
        let (diverged, all, label) = (summary.diverged, summary.runs.len(), &summary.label);
        let counts_as = match self.claim.effect {
            Effect::Mean | Effect::Factor => {
                let chance = self.evidence.chance(&summary.runs, &self.claim.measure.metric)?;
                format!("chance ({chance:.4})")
            }
            Effect::Rank => "the worst value".into(),
            Effect::Share { below } => format!("not below {below}"),
        };
        (diverged > 0).then(|| {
            format!("{diverged} of {all} runs of {label} diverged and count as {counts_as}")
        })
    }

    /// With what runs count that did not get below the bar of `updates_to`.
    fn censored(&self, summary: &ArmSummary) -> Option<String> {
        let (censored, all, label) = (summary.censored, summary.runs.len(), &summary.label);
        let counts_as = match self.claim.effect {
            Effect::Mean | Effect::Factor => {
                "count with their last update, which is too early: the interval is open on that side"
            }
            Effect::Rank => "count as later than all others",
            Effect::Share { .. } => "count as later than the bar",
        };
        (self.is_time() && censored > 0).then(|| {
            format!("{censored} of {all} runs of {label} did not get there and {counts_as}")
        })
    }

    /// Which of the seeds were added after results had been seen, where no looks were declared.
    pub fn added_seeds(&self, seeds: &[Seed]) -> Vec<Seed> {
        let is_added = |seed: &&Seed| {
            self.deciding.added_seeds.contains(seed) || self.evidence.added_seeds().contains(seed)
        };
        match self.deciding.looks.is_empty() {
            true => seeds.iter().filter(is_added).copied().collect(),
            false => Vec::new(),
        }
    }
}
