//! Claims against results: the runs of a claim, their effect, and the verdict.

mod statement;

use super::evidence::{Evidence, Final};
use super::verdict::{Look, Outcome, Region, confidence, decide, seeds_needed};
use fathom_base::key::short;
use fathom_spec::{
    Arm, Claim, Contrast, Deciding, Direction, Limit, Relation, Tune, TuneCandidate,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use statement::statement;
use std::collections::BTreeSet;

/// A claim with its verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Name of the claim.
    pub name: String,
    /// The claim as a sentence.
    pub statement: String,
    /// The metric that the claim is about: a column of the curves, or a metric of the layers.
    pub metric: String,
    /// Verdict.
    pub outcome: Outcome,
    /// The reason why the claim is undecided, unless it is the width of the interval.
    pub reason: Option<String>,
    /// Mean effect over seeds, in the unit of the metric: a difference, a fitted rise, or the metric
    /// itself.
    pub effect: Option<f64>,
    /// Lower end of the effect's interval.
    pub low: Option<f64>,
    /// Upper end of the effect's interval.
    pub high: Option<f64>,
    /// Probability with which the interval covers the effect.
    pub confidence: f64,
    /// The effects for which the claim is true.
    pub region: Region,
    /// Number of seeds of the interval.
    pub n: usize,
    /// Number of planned seeds, without those that tuned a key.
    pub planned: usize,
    /// Numbers of seeds after which the claim is tested, where the experiment fixes them.
    pub looks: Vec<usize>,
    /// Total number of seeds that would decide the claim at the present effect and deviation; the
    /// first sufficient look where looks are fixed.
    pub seeds_needed: Option<usize>,
    /// Effect of each complete seed.
    pub effects: Vec<(u64, f64)>,
    /// Complete seeds after the look that decided: shown, and not used.
    pub exploratory: Vec<u64>,
    /// The configurations that were compared.
    pub arms: Vec<ArmSummary>,
    /// Remarks for the reader: declared differences, diverged runs, different machines.
    pub remarks: Vec<String>,
}

/// An arm, summarised over the seeds that were used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArmSummary {
    /// Name for a reader, such as `plain 44`.
    pub label: String,
    /// Weight of the arm's mean in the effect.
    pub weight: f64,
    /// Mean of the metric over seeds.
    pub mean: Option<f64>,
    /// Number of runs that diverged and count with the chance level.
    pub diverged: usize,
    /// Chosen value of the tuned key.
    pub chosen: Option<Value>,
    /// Ids of the runs, without those of tuning seeds.
    pub runs: Vec<String>,
}

/// Decides all claims of an experiment.
pub fn check(
    claims: &[(Claim, Contrast)],
    deciding: &Deciding,
    evidence: &Evidence,
) -> Vec<Verdict> {
    let confidence = confidence(deciding.level, claims.len(), deciding.looks.len());
    let judge = |(claim, contrast): &(Claim, Contrast)| {
        Judge { claim, contrast, looks: &deciding.looks, confidence, evidence }.verdict()
    };
    claims.iter().map(judge).collect()
}

struct Judge<'a> {
    claim: &'a Claim,
    contrast: &'a Contrast,
    looks: &'a [usize],
    confidence: f64,
    evidence: &'a Evidence,
}

/// One configuration for each arm, and the reason why it cannot decide the claim.
struct Chosen<'a> {
    arms: Vec<(&'a Arm, &'a TuneCandidate)>,
    reason: Option<String>,
}

impl Judge<'_> {
    fn verdict(&self) -> Verdict {
        let Chosen { arms, reason } = self.choose();
        let tuned = self.claim.tune.as_ref().map(|tune| &tune.seeds);
        let is_free = |seed: &u64| tuned.is_none_or(|tuned| !tuned.contains(seed));
        // Effects are paired by seed, so only seeds that every arm has count.
        let seeds: Vec<u64> = arms[0].1.runs.keys().copied().filter(is_free).collect();
        let seeds: Vec<u64> = seeds
            .into_iter()
            .filter(|seed| arms.iter().all(|(_, c)| c.runs.contains_key(seed)))
            .collect();
        let looks = if self.looks.is_empty() { vec![seeds.len()] } else { self.looks.to_vec() };
        let mut missing = Vec::new();
        let mut effects = Vec::new();
        for seed in &seeds {
            match self.effect(&arms, *seed) {
                Ok(effect) => effects.push((*seed, effect)),
                Err(reason) => missing.push(reason),
            }
        }
        // A look takes the first seeds in order, so it cannot go beyond an incomplete seed.
        let ordered: Vec<f64> = seeds
            .iter()
            .zip(&effects)
            .take_while(|(seed, (done, _))| *seed == done)
            .map(|(_, (_, effect))| *effect)
            .collect();
        let region = region(&self.claim.relation);
        let judged = decide(&ordered, &looks, &region, self.confidence);
        let shown = judged.clone().or_else(|| {
            let all: Vec<f64> = effects.iter().map(|(_, effect)| *effect).collect();
            Look::at(&all, &region, self.confidence)
        });
        let mut reason = reason;
        if reason.is_none() && judged.is_none() {
            reason = Some(self.unfinished(&missing, seeds.len(), &ordered, effects.len()));
        }
        let refused = self.evidence.mixed_data(&ids(&arms, &seeds));
        let reason = refused.or(reason);
        let outcome = match (&reason, &judged) {
            (None, Some(look)) => look.outcome,
            _ => Outcome::Undecided,
        };
        let used = judged.as_ref().map_or(effects.len(), |look| look.n);
        let seeds_used = &seeds[..used.min(seeds.len())];
        Verdict {
            name: self.claim.name.clone(),
            statement: statement(self.claim, &arms),
            metric: self.claim.metric.clone(),
            outcome,
            reason,
            effect: shown.as_ref().map(|look| look.effect),
            low: shown.as_ref().and_then(|look| Some(look.interval?.low)),
            high: shown.as_ref().and_then(|look| Some(look.interval?.high)),
            confidence: self.confidence,
            n: shown.as_ref().map_or(0, |look| look.n),
            planned: seeds.len(),
            looks: self.looks.to_vec(),
            seeds_needed: match outcome {
                Outcome::Undecided => self.needed(&effects, &region),
                _ => None,
            },
            exploratory: match &judged {
                Some(look) => effects.iter().skip(look.n).map(|(seed, _)| *seed).collect(),
                None => Vec::new(),
            },
            arms: arms.iter().map(|(arm, choice)| self.summary(arm, choice, seeds_used)).collect(),
            remarks: self.remarks(&arms, seeds_used, &effects),
            effects,
            region,
        }
    }

    /// Chooses the configuration of each arm: the only one, or the best one where a key is tuned.
    fn choose(&self) -> Chosen<'_> {
        let mut reasons = Vec::new();
        let mut arms = Vec::new();
        for arm in &self.contrast.arms {
            let choice = match &self.claim.tune {
                None => &arm.candidates[0],
                Some(tune) => self.best(arm, tune).unwrap_or_else(|reason| {
                    reasons.push(reason);
                    &arm.candidates[0]
                }),
            };
            if let (Some(tune), true) = (&self.claim.tune, reasons.is_empty())
                && let Some(reason) = at_edge(arm, choice, tune)
            {
                reasons.push(reason);
            }
            arms.push((arm, choice));
        }
        Chosen { arms, reason: (!reasons.is_empty()).then(|| reasons.join("; ")) }
    }

    /// The candidate with the smallest mean over the tuning seeds.
    fn best<'b>(&self, arm: &'b Arm, tune: &Tune) -> Result<&'b TuneCandidate, String> {
        let mut best: Option<(f64, &TuneCandidate)> = None;
        for choice in &arm.candidates {
            let mut sum = 0.0;
            for seed in &tune.seeds {
                let id = choice
                    .runs
                    .get(seed)
                    .ok_or_else(|| format!("{} has no run of tuning seed {seed}", arm.label))?;
                sum += value(self.evidence.value(id, tune.by.word(), None))?;
            }
            let mean = sum / tune.seeds.len() as f64;
            if best.is_none_or(|(least, _)| mean < least) {
                best = Some((mean, choice));
            }
        }
        best.map(|(_, choice)| choice).ok_or_else(|| format!("{} has no runs", arm.label))
    }

    /// The value of the claim's metric with which a run counts.
    fn last(&self, id: &str) -> Final {
        self.evidence.value(id, &self.claim.metric, self.claim.step)
    }

    /// The effect of one seed: the weighted sum of the arms' values.
    fn effect(&self, arms: &[(&Arm, &TuneCandidate)], seed: u64) -> Result<f64, String> {
        let term = |(arm, choice): &(&Arm, &TuneCandidate)| -> Result<f64, String> {
            Ok(arm.weight * value(self.last(&choice.runs[&seed]))?)
        };
        arms.iter().map(term).sum()
    }

    /// The reason why no look can be taken yet.
    fn unfinished(
        &self,
        missing: &[String],
        seeds: usize,
        ordered: &[f64],
        complete: usize,
    ) -> String {
        let first = missing.first().map(|reason| format!(" ({reason})")).unwrap_or_default();
        match self.looks.first() {
            Some(look) => {
                let complete = ordered.len();
                format!("{complete} of the first {look} seeds, the first look, are complete{first}")
            }
            None if seeds == 0 => "its arms share no seed".into(),
            None => format!("{complete} of {seeds} seeds are complete{first}"),
        }
    }

    /// Total number of seeds, or the look, that would decide the claim.
    fn needed(&self, effects: &[(u64, f64)], region: &Region) -> Option<usize> {
        let effects: Vec<f64> = effects.iter().map(|(_, effect)| *effect).collect();
        let n = seeds_needed(&effects, region, self.confidence)?;
        if self.looks.is_empty() {
            return Some(n);
        }
        self.looks.iter().copied().find(|look| *look >= n)
    }

    fn summary(&self, arm: &Arm, choice: &TuneCandidate, seeds: &[u64]) -> ArmSummary {
        let runs: Vec<String> =
            seeds.iter().filter_map(|seed| choice.runs.get(seed)).cloned().collect();
        let finals: Vec<Final> = runs.iter().map(|id| self.last(id)).collect();
        let values: Vec<f64> = finals
            .iter()
            .filter_map(|last| match last {
                Final::Value(value) | Final::Chance(value) => Some(*value),
                Final::Missing(_) => None,
            })
            .collect();
        ArmSummary {
            label: arm.label.clone(),
            weight: arm.weight,
            mean: (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64),
            diverged: finals.iter().filter(|last| matches!(last, Final::Chance(_))).count(),
            chosen: choice.value.clone(),
            runs,
        }
    }

    fn remarks(
        &self,
        arms: &[(&Arm, &TuneCandidate)],
        seeds: &[u64],
        effects: &[(u64, f64)],
    ) -> Vec<String> {
        let mut remarks: Vec<String> = self
            .contrast
            .declared
            .iter()
            .map(|keys| format!("its arms also differ in {keys}"))
            .collect();
        if let Relation::Bound { source: Some(source), .. } = &self.claim.relation {
            remarks.push(format!("published: {source}"));
        }
        for (arm, choice) in arms {
            let summary = self.summary(arm, choice, seeds);
            let (all, chance) =
                (summary.runs.len(), self.evidence.chance(&summary.runs, &self.claim.metric));
            if let (Some(chance), 1..) = (chance, summary.diverged) {
                let diverged = summary.diverged;
                remarks.push(format!(
                    "{diverged} of {all} runs of {} diverged and count as chance ({chance:.4})",
                    arm.label
                ));
            }
            if let (Some(value), Some(tune)) = (&summary.chosen, &self.claim.tune) {
                remarks.push(format!(
                    "{} is taken at its best {} = {value}",
                    arm.label,
                    short(&tune.over)
                ));
            }
        }
        if effects.len() > 1 && effects.iter().all(|(_, effect)| *effect == effects[0].1) {
            remarks.push("every seed gives the same effect, so its interval has no width".into());
        }
        remarks.extend(self.evidence.mixed_execution(&ids(arms, seeds)));
        remarks
    }
}

/// The value with which a run counts, or the reason why it has none.
fn value(last: Final) -> Result<f64, String> {
    match last {
        Final::Value(value) | Final::Chance(value) => Ok(value),
        Final::Missing(reason) => Err(reason),
    }
}

/// The effects for which a claim is true. The effect of a trend is a rise, so that of a claimed fall
/// is negative.
fn region(relation: &Relation) -> Region {
    let (low, high) = match relation {
        Relation::Higher { by_at_least, .. } => (Some(*by_at_least), None),
        Relation::Trend { direction: Direction::Rises, by_at_least, .. } => {
            (Some(*by_at_least), None)
        }
        Relation::Trend { direction: Direction::Falls, by_at_least, .. } => {
            (None, Some(-by_at_least))
        }
        Relation::Bound { limit: Limit::AtMost, bound, .. } => (None, Some(*bound)),
        Relation::Bound { limit: Limit::AtLeast, bound, .. } => (Some(*bound), None),
        Relation::NoWorse { margin, .. } => (None, Some(*margin)),
        Relation::Same { margin, .. } => (Some(-margin), Some(*margin)),
    };
    Region { low, high }
}

/// The reason why the best value of a tuned key does not count: at the edge of the grid, a better
/// value may lie beyond it.
fn at_edge(arm: &Arm, choice: &TuneCandidate, tune: &Tune) -> Option<String> {
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

/// Ids of the runs of these seeds in all arms.
fn ids(arms: &[(&Arm, &TuneCandidate)], seeds: &[u64]) -> BTreeSet<String> {
    let runs =
        arms.iter().flat_map(|(_, choice)| seeds.iter().filter_map(|seed| choice.runs.get(seed)));
    runs.cloned().collect()
}

#[cfg(test)]
mod tests;
