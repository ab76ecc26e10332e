//! A claim with the runs that it is about and the numbers with which they count.

use super::arms::Chosen;
use super::statement::statement;
use super::{ArmSummary, Verdict};
use crate::estimate::Estimate;
use crate::evidence::{Evidence, Final, unknown_chance};
use crate::verdict::{Look, Outcome, Region, Sample};
use fathom_record::{Metric, Seed};
use fathom_spec::{
    Arm, Claim, Contrast, Deciding, Direction, Effect, Limit, Pairing, Relation, TuneCandidate,
    When,
};
use std::collections::BTreeSet;

/// A claim, its runs and their numbers.
pub(super) struct Case<'a> {
    pub claim: &'a Claim,
    pub contrast: &'a Contrast,
    pub evidence: &'a Evidence,
    pub deciding: &'a Deciding,
    /// The configuration of each arm.
    pub arms: Vec<(&'a Arm, &'a TuneCandidate)>,
    /// The reason why no number of seeds can decide the claim as it is.
    pub reason: Option<String>,
    /// The effects for which the claim is true.
    pub region: Region,
    /// Seeds that every arm has, without those that tune.
    pub seeds: Vec<Seed>,
    /// The seeds whose runs all count, with their numbers.
    complete: Vec<(Seed, Vec<Counted>)>,
    /// Why other seeds do not.
    missing: Vec<String>,
}

/// The number with which a run counts, on the scale of the claim's effect.
#[derive(Clone, Copy)]
struct Counted {
    value: f64,
    fate: Fate,
}

/// What became of a run.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Finished,
    Diverged,
    /// The run did not get below the bar of `updates_to`.
    Censored,
}

impl<'a> Case<'a> {
    pub fn new(
        claim: &'a Claim,
        contrast: &'a Contrast,
        deciding: &'a Deciding,
        evidence: &'a Evidence,
    ) -> Self {
        let Chosen { arms, reason } = Chosen::of(claim, contrast, evidence);
        let tuned = claim.tune.as_ref().map(|tune| &tune.seeds);
        let is_free = |seed: &Seed| tuned.is_none_or(|tuned| !tuned.contains(seed));
        let in_all = |seed: &Seed| arms.iter().all(|(_, choice)| choice.runs.contains_key(seed));
        let first = arms[0].1.runs.keys().copied();
        let seeds: Vec<Seed> = first.filter(is_free).filter(in_all).collect();
        let region = region(claim.effect, &claim.relation);
        let (complete, missing) = Default::default();
        let mut case = Self {
            claim,
            contrast,
            evidence,
            deciding,
            arms,
            reason,
            region,
            seeds,
            complete,
            missing,
        };
        for seed in case.seeds.clone() {
            let counted = case.arms.iter().map(|(_, choice)| case.counted(&choice.runs[&seed]));
            match counted.collect() {
                Ok(values) => case.complete.push((seed, values)),
                Err(reason) => case.missing.push(reason),
            }
        }
        let refused = evidence.mixed_data(&case.ids(&case.seeds));
        case.reason = refused.or(case.reason);
        case
    }

    /// The number with which a run counts.
    fn counted(&self, id: &str) -> Result<Counted, String> {
        let measure = &self.claim.measure;
        let worst = |fate| match Metric::named(&measure.metric) {
            Some(_) => Ok((f64::INFINITY, fate)),
            None => Err(format!("{id} diverged, and the worst {} is not known", measure.metric)),
        };
        let by_order = matches!(self.claim.effect, Effect::Rank | Effect::Share { .. });
        let (value, fate) = match self.evidence.value(id, measure) {
            Final::Value(value) => (value, Fate::Finished),
            Final::Diverged(_) if by_order => worst(Fate::Diverged)?,
            Final::Censored(_) if by_order => (f64::INFINITY, Fate::Censored),
            Final::Diverged(Some(chance)) => (chance, Fate::Diverged),
            Final::Censored(last) => (last, Fate::Censored),
            Final::Diverged(None) => return Err(unknown_chance(id, &measure.metric)),
            Final::Missing(reason) => return Err(reason),
        };
        let value = match self.claim.effect {
            Effect::Mean | Effect::Rank => value,
            Effect::Factor if value > 0.0 => value.ln(),
            Effect::Factor => {
                return Err(format!("{id} counts with {value}, which has no logarithm"));
            }
            Effect::Share { below } => f64::from(u8::from(value < below)),
        };
        Ok(Counted { value, fate })
    }

    /// Whether all seeds are complete, and there are any.
    pub fn is_complete(&self) -> bool {
        !self.seeds.is_empty() && self.complete.len() == self.seeds.len()
    }

    /// The evidence of the first `n` seeds; `None` if one of them is incomplete: a look takes the first
    /// seeds in order.
    pub fn sample(&self, n: usize) -> Option<Sample> {
        let planned = self.seeds.iter().take(n);
        let first = self.complete.get(..n)?;
        let in_order = planned.zip(first).all(|(seed, (done, _))| seed == done);
        in_order.then(|| self.sample_of(first)).flatten()
    }

    /// What there is, at a level by itself.
    pub fn shown(&self, level: f64) -> Option<Look> {
        Some(Look::at(self.sample_of(&self.complete)?, &self.region, level))
    }

    fn sample_of(&self, seeds: &[(Seed, Vec<Counted>)]) -> Option<Sample> {
        let effect = self.claim.effect;
        let values: Vec<Vec<f64>> =
            seeds.iter().map(|(_, arms)| arms.iter().map(|run| run.value).collect()).collect();
        let values: Vec<&[f64]> = values.iter().map(Vec::as_slice).collect();
        let weights: Vec<f64> = self.arms.iter().map(|(arm, _)| arm.weight).collect();
        let is_censored = |arm: usize| {
            matches!(effect, Effect::Mean | Effect::Factor)
                && seeds.iter().any(|(_, arms)| arms[arm].fate == Fate::Censored)
        };
        // A time that was not reached counts as too short.
        let open = |is_plus: bool| {
            let of = |(arm, weight): (usize, &f64)| (*weight > 0.0) == is_plus && is_censored(arm);
            weights.iter().enumerate().any(of)
        };
        let (open_above, open_below) = (open(true), open(false));
        let estimate = Estimate::of(effect, self.pairing(), &weights, &values)?;
        Some(Sample { n: seeds.len(), estimate, open_above, open_below })
    }

    pub fn pairing(&self) -> Pairing {
        self.claim.pairing.unwrap_or(self.deciding.pairing)
    }

    /// The effect of one seed.
    fn effect_of(&self, runs: &[Counted]) -> f64 {
        let sum: f64 =
            self.arms.iter().zip(runs).map(|((arm, _), run)| arm.weight * run.value).sum();
        match self.claim.effect {
            Effect::Mean | Effect::Share { .. } => sum,
            Effect::Factor => sum.exp(),
            Effect::Rank => match runs[0].value.total_cmp(&runs[1].value) {
                std::cmp::Ordering::Less => 0.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Greater => 1.0,
            },
        }
    }

    /// The reason why no look can be taken yet.
    pub fn unfinished(&self, looks: &[usize]) -> String {
        let first = self.missing.first().map(|reason| format!(" ({reason})")).unwrap_or_default();
        let (complete, seeds) = (self.complete.len(), self.seeds.len());
        match looks.first() {
            Some(look) => {
                let pairs = self.seeds.iter().zip(&self.complete);
                let complete = pairs.take_while(|(seed, (done, _))| *seed == done).count();
                format!("{complete} of the first {look} seeds, the first look, are complete{first}")
            }
            None if seeds == 0 => "its arms share no seed".into(),
            None => format!("{complete} of {seeds} seeds are complete{first}"),
        }
    }

    /// The verdict without what depends on other claims and looks. `is_look`: whether what is shown is
    /// a test; seeds after it are then exploratory. `level` is shown where there is no interval.
    pub fn describe(
        &self,
        shown: Option<&Look>,
        is_look: bool,
        outcome: Outcome,
        level: f64,
    ) -> Verdict {
        let interval = shown.and_then(Look::interval);
        let n = shown.map_or(0, |look| look.sample.n);
        let used = &self.seeds[..n.min(self.seeds.len())];
        let end = |end: f64| Some(end).filter(|end| end.is_finite());
        let after = if is_look { n } else { self.complete.len() };
        Verdict {
            name: self.claim.name.clone(),
            statement: statement(self.claim, &self.arms),
            metric: self.claim.measure.metric.clone(),
            outcome,
            reason: None,
            effect: shown.map(|look| look.sample.estimate.effect()),
            low: interval.and_then(|interval| end(interval.low)),
            high: interval.and_then(|interval| end(interval.high)),
            confidence: 1.0 - 2.0 * shown.map_or(level, |look| look.level),
            n,
            planned: self.seeds.len(),
            looks: Vec::new(),
            seeds_needed: None,
            exploratory: self.complete.iter().skip(after).map(|(seed, _)| *seed).collect(),
            added_seeds: self.added_seeds(used),
            arms: (0..self.arms.len()).map(|arm| self.summary(arm, used)).collect(),
            remarks: self.remarks(used),
            effects: self
                .complete
                .iter()
                .map(|(seed, runs)| (*seed, self.effect_of(runs)))
                .collect(),
            region: self.region,
        }
    }

    /// An arm over these seeds.
    pub fn summary(&self, arm: usize, seeds: &[Seed]) -> ArmSummary {
        let (Arm { label, weight, .. }, choice) = self.arms[arm];
        let runs: Vec<String> =
            seeds.iter().filter_map(|seed| choice.runs.get(seed)).cloned().collect();
        let counted: Vec<Counted> = runs.iter().filter_map(|id| self.counted(id).ok()).collect();
        let finite: Vec<f64> =
            counted.iter().map(|run| run.value).filter(|value| value.is_finite()).collect();
        let mean = (!finite.is_empty()).then(|| finite.iter().sum::<f64>() / finite.len() as f64);
        let count = |fate: Fate| counted.iter().filter(|run| run.fate == fate).count();
        ArmSummary {
            label: label.clone(),
            weight: *weight,
            mean: if self.claim.effect == Effect::Factor { mean.map(f64::exp) } else { mean },
            diverged: count(Fate::Diverged),
            censored: count(Fate::Censored),
            chosen: choice.value.clone(),
            runs,
        }
    }

    /// Ids of the runs of these seeds in all arms.
    pub fn ids(&self, seeds: &[Seed]) -> BTreeSet<String> {
        let of = |(_, choice): &(&Arm, &'a TuneCandidate)| {
            seeds.iter().filter_map(|seed| choice.runs.get(seed)).cloned().collect::<Vec<_>>()
        };
        self.arms.iter().flat_map(of).collect()
    }

    /// Whether every complete seed has the same effect.
    pub fn is_constant(&self) -> bool {
        let mut effects = self.complete.iter().map(|(_, runs)| self.effect_of(runs));
        let first = effects.next();
        self.complete.len() > 1 && effects.all(|effect| Some(effect) == first)
    }

    /// Whether the claim measures a time.
    pub fn is_time(&self) -> bool {
        matches!(self.claim.measure.when, When::FirstBelow(_))
    }
}

/// The effects for which a claim is true. The effect of a trend is a rise, so that of a claimed fall
/// is negative, or a factor below 1.
fn region(effect: Effect, relation: &Relation) -> Region {
    let opposite = |size: f64| if effect == Effect::Factor { 1.0 / size } else { -size };
    let (low, high) = match relation {
        Relation::Higher { by_at_least, .. } => (Some(*by_at_least), None),
        Relation::Trend { direction: Direction::Rises, by_at_least, .. } => {
            (Some(*by_at_least), None)
        }
        Relation::Trend { direction: Direction::Falls, by_at_least, .. } => {
            (None, Some(opposite(*by_at_least)))
        }
        Relation::Bound { limit: Limit::AtMost, bound, .. } => (None, Some(*bound)),
        Relation::Bound { limit: Limit::AtLeast, bound, .. } => (Some(*bound), None),
        Relation::NoWorse { margin, .. } => (None, Some(*margin)),
        Relation::Same { margin, .. } => (Some(opposite(*margin)), Some(*margin)),
    };
    Region { low, high }
}
