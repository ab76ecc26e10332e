//! A claim with the runs that it is about and the numbers with which they count.

use super::arms::Chosen;
use super::statement::statement;
use super::{ArmSummary, Verdict};
use crate::censored::Censored;
use crate::estimate::Estimate;
use crate::evidence::{Evidence, Final, unknown_chance};
use crate::verdict::{Look, Outcome, Region, Sample};
use fathom_base::mean;
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
    /// Seeds that only some of the arms have.
    pub unshared: BTreeSet<Seed>,
    /// The seeds whose runs all count, with their numbers.
    complete: Vec<(Seed, Vec<Counted>)>,
    /// Why other seeds do not.
    missing: Vec<String>,
    /// Whether each arm has its best value where a key is tuned.
    is_chosen: bool,
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
    /// The run had not got below the bar of `updates_to` after so many updates, its last ones.
    Censored {
        updates: f64,
    },
    /// The run diverged before it got below that bar.
    Never,
}

/// The number with which a run counts.
///
/// # Errors
/// The reason why it has none.
fn counted(claim: &Claim, evidence: &Evidence, id: &str) -> Result<Counted, String> {
    let measure = &claim.measure;
    let by_order = matches!(claim.effect, Effect::Rank | Effect::Share { .. });
    let worst = |last: f64| if by_order { f64::INFINITY } else { last };
    let (value, fate) = match evidence.value(id, measure) {
        Final::Value(value) => (value, Fate::Finished),
        Final::Diverged(_) if by_order && Metric::named(&measure.metric).is_none() => {
            return Err(format!("{id} diverged, and the worst {} is not known", measure.metric));
        }
        Final::Diverged(_) if by_order => (f64::INFINITY, Fate::Diverged),
        Final::Diverged(Some(chance)) => (chance, Fate::Diverged),
        Final::Diverged(None) => return Err(unknown_chance(id, &measure.metric)),
        Final::Censored { updates, is_never: true } => (worst(updates), Fate::Never),
        Final::Censored { updates, is_never: false } => match claim.effect {
            Effect::Share { below } if updates < below => {
                return Err(format!("{id} ended after {updates} updates, before {below}"));
            }
            _ => (worst(updates), Fate::Censored { updates }),
        },
        Final::Missing(reason) => return Err(reason),
    };
    let value = match claim.effect {
        Effect::Mean | Effect::Rank => value,
        Effect::Factor if value > 0.0 => value.ln(),
        Effect::Factor => return Err(format!("{id} counts with {value}, which has no logarithm")),
        Effect::Share { below } => f64::from(u8::from(value < below)),
    };
    Ok(Counted { value, fate })
}

impl<'a> Case<'a> {
    pub fn new(
        claim: &'a Claim,
        contrast: &'a Contrast,
        deciding: &'a Deciding,
        evidence: &'a Evidence,
    ) -> Self {
        let Chosen { arms, reason, is_chosen } = Chosen::of(claim, contrast, evidence);
        let tuned = claim.tune.as_ref().map(|tune| &tune.seeds);
        let is_free = |seed: &Seed| tuned.is_none_or(|tuned| !tuned.contains(seed));
        let in_all = |seed: &Seed| arms.iter().all(|(_, choice)| choice.runs.contains_key(seed));
        let all = arms.iter().flat_map(|(_, choice)| choice.runs.keys().copied());
        let all: BTreeSet<Seed> = all.filter(is_free).collect();
        let (seeds, unshared): (BTreeSet<Seed>, _) = all.into_iter().partition(in_all);
        let (mut complete, mut missing) = (Vec::new(), Vec::new());
        // Without a choice, nothing is known of the arms.
        for seed in seeds.iter().filter(|_| is_chosen) {
            let counted = arms.iter().map(|(_, it)| counted(claim, evidence, &it.runs[seed]));
            match counted.collect::<Result<Vec<Counted>, String>>() {
                Ok(values) => complete.push((*seed, values)),
                Err(reason) => missing.push(reason),
            }
        }
        let mut case = Self {
            claim,
            contrast,
            evidence,
            deciding,
            arms,
            reason,
            region: region(claim.effect, &claim.relation),
            seeds: seeds.into_iter().collect(),
            unshared,
            complete,
            missing,
            is_chosen,
        };
        let refused = evidence.mixed_data(&case.ids(&case.seeds));
        case.reason = refused
            .or(case.reason.take())
            .or_else(|| case.unordered())
            .or_else(|| case.unmeasured());
        case
    }

    /// The reason why the order of two runs is not known: one ended, above the bar, before the other reached it.
    fn unordered(&self) -> Option<String> {
        if self.claim.effect != Effect::Rank {
            return None;
        }
        let mut runs = self.complete.iter().flat_map(|(seed, arms)| {
            arms.iter().zip(&self.arms).map(|(run, (_, choice))| (run, &choice.runs[seed]))
        });
        let reached = runs.clone().filter(|(run, _)| run.fate == Fate::Finished);
        let latest = reached.map(|(run, _)| run.value).fold(0.0, f64::max);
        let early =
            |run: &Counted| matches!(run.fate, Fate::Censored { updates } if updates < latest);
        let (_, id) = runs.find(|(run, _)| early(run))?;
        Some(format!("{id} ended before it got there and before others did: it may be later"))
    }

    /// The reason why the numbers of the runs are no evidence: all of them are assigned, none measured. A share is one
    /// of runs, of which those that diverged are the measurement.
    fn unmeasured(&self) -> Option<String> {
        let is_share = matches!(self.claim.effect, Effect::Share { .. });
        let mut runs = self.complete.iter().flat_map(|(_, arms)| arms).peekable();
        let is_any = runs.peek().is_some();
        let all_diverged = is_any && runs.all(|run| run.fate == Fate::Diverged);
        (all_diverged && !is_share)
            .then(|| "all of its runs diverged: their values are assigned, not measured".into())
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
        let is_late = |run: &Counted| matches!(run.fate, Fate::Censored { .. } | Fate::Never);
        let is_censored = |arm: usize| {
            matches!(effect, Effect::Mean | Effect::Factor)
                && seeds.iter().any(|(_, arms)| is_late(&arms[arm]))
        };
        // A time that was not reached counts as too short.
        let open = |is_plus: bool| {
            let of = |(arm, weight): (usize, &f64)| (*weight > 0.0) == is_plus && is_censored(arm);
            weights.iter().enumerate().any(of)
        };
        let (above, below) = (open(true), open(false));
        let effects = || seeds.iter().map(|(_, runs)| self.effect_of(runs)).collect();
        let censored = (above || below).then(|| Censored::of(above, below, effects()));
        let estimate = Estimate::of(effect, self.pairing(), &weights, &values)?;
        Some(Sample { n: seeds.len(), estimate, censored })
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
        let used: Vec<Seed> = self.complete.iter().take(n).map(|(seed, _)| *seed).collect();
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
            confidence: 1.0 - 2.0 * shown.map_or(level, Look::level_of_end),
            n,
            planned: self.seeds.len(),
            looks: Vec::new(),
            seeds_needed: None,
            exploratory: self.complete.iter().skip(after).map(|(seed, _)| *seed).collect(),
            added_seeds: self.added_seeds(&used),
            arms: (0..self.arms.len()).map(|arm| self.summary(arm, n)).collect(),
            remarks: self.remarks(&used, shown.map(|look| &look.sample.estimate)),
            effects: self
                .complete
                .iter()
                .map(|(seed, runs)| (*seed, self.effect_of(runs)))
                .collect(),
            region: self.region,
        }
    }

    /// An arm over the first `n` of the complete seeds.
    pub fn summary(&self, arm: usize, n: usize) -> ArmSummary {
        let (Arm { label, weight, .. }, choice) = self.arms[arm];
        let complete = self.complete.iter().take(n);
        let counted = complete.clone().map(|(_, arms)| arms[arm]);
        let runs = complete.map(|(seed, _)| choice.runs[seed].clone()).collect();
        let finite: Vec<f64> =
            counted.clone().map(|run| run.value).filter(|value| value.is_finite()).collect();
        let mean = mean(&finite);
        let count = |is: fn(Fate) -> bool| counted.clone().filter(|run| is(run.fate)).count();
        ArmSummary {
            label: label.clone(),
            weight: *weight,
            mean: if self.claim.effect == Effect::Factor { mean.map(f64::exp) } else { mean },
            diverged: count(|fate| fate == Fate::Diverged),
            censored: count(|fate| matches!(fate, Fate::Censored { .. } | Fate::Never)),
            chosen: choice.value.clone().filter(|_| self.is_chosen),
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
