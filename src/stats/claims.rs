//! Claims against results: which runs, what they gave, and what that says.

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

/// A claim with what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Its name.
    pub name: String,
    /// What it says, in words.
    pub statement: String,
    /// The column that it is about.
    pub metric: String,
    /// What the numbers say.
    pub outcome: Outcome,
    /// Why it is undecided, where more than a wide interval is to blame.
    pub reason: Option<String>,
    /// The mean effect over seeds: a difference, a fitted rise, or the metric itself.
    pub effect: Option<f64>,
    /// Lower end of its interval.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// Probability with which the interval covers the effect.
    pub confidence: f64,
    /// The effects for which the claim is true.
    pub region: Region,
    /// Seeds that decided, or that were looked at last.
    pub n: usize,
    /// Seeds that were planned, without those by which a key was tuned.
    pub planned: usize,
    /// The numbers of seeds at which it is looked at, where the experiment fixes them.
    pub looks: Vec<usize>,
    /// Seeds in all that would decide at the present effect and deviation; where looks are fixed,
    /// the first one that would.
    pub seeds_needed: Option<usize>,
    /// The effect of each complete seed.
    pub effects: Vec<(u64, f64)>,
    /// Complete seeds beyond the last look: shown, and not used.
    pub exploratory: Vec<u64>,
    /// What was compared.
    pub arms: Vec<ArmSummary>,
    /// What a reader should know: declared differences, diverged runs, other machines.
    pub remarks: Vec<String>,
}

/// An arm over the seeds that were used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArmSummary {
    /// What a reader calls it.
    pub label: String,
    /// Its weight in the effect.
    pub weight: f64,
    /// Mean of the metric.
    pub mean: Option<f64>,
    /// Of the runs behind it those that diverged, and count as chance.
    pub diverged: usize,
    /// The value of the tuned key.
    pub chosen: Option<Value>,
    /// Ids of its runs, those of tuning not among them.
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

/// The configurations that stand for the arms, and why they may not.
struct Chosen<'a> {
    arms: Vec<(&'a Arm, &'a TuneCandidate)>,
    reason: Option<String>,
}

impl Judge<'_> {
    fn verdict(&self) -> Verdict {
        let Chosen { arms, reason } = self.choose();
        let tuned = self.claim.tune.as_ref().map(|tune| &tune.seeds);
        let is_free = |seed: &u64| tuned.is_none_or(|tuned| !tuned.contains(seed));
        // Seeds pair: those that every arm has.
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
                Err(why) => missing.push(why),
            }
        }
        // Looks are of the first seeds in order: one that is missing ends what can be looked at.
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

    /// Each arm's one configuration, or where a key is tuned its best one.
    fn choose(&self) -> Chosen<'_> {
        let mut reasons = Vec::new();
        let mut arms = Vec::new();
        for arm in &self.contrast.arms {
            let choice = match &self.claim.tune {
                None => &arm.candidates[0],
                Some(tune) => self.best(arm, tune).unwrap_or_else(|why| {
                    reasons.push(why);
                    &arm.candidates[0]
                }),
            };
            if let (Some(tune), true) = (&self.claim.tune, reasons.is_empty())
                && let Some(why) = at_edge(arm, choice, tune)
            {
                reasons.push(why);
            }
            arms.push((arm, choice));
        }
        Chosen { arms, reason: (!reasons.is_empty()).then(|| reasons.join("; ")) }
    }

    /// The choice whose mean over the tuning seeds is least.
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

    /// What the claim is about, of one run.
    fn last(&self, id: &str) -> Final {
        self.evidence.value(id, &self.claim.metric, self.claim.step)
    }

    fn effect(&self, arms: &[(&Arm, &TuneCandidate)], seed: u64) -> Result<f64, String> {
        let term = |(arm, choice): &(&Arm, &TuneCandidate)| -> Result<f64, String> {
            Ok(arm.weight * value(self.last(&choice.runs[&seed]))?)
        };
        arms.iter().map(term).sum()
    }

    /// Why there is nothing to decide by.
    fn unfinished(
        &self,
        missing: &[String],
        seeds: usize,
        ordered: &[f64],
        complete: usize,
    ) -> String {
        let first = missing.first().map(|why| format!(" ({why})")).unwrap_or_default();
        match self.looks.first() {
            Some(look) => {
                let complete = ordered.len();
                format!("{complete} of the first {look} seeds, the first look, are complete{first}")
            }
            None if seeds == 0 => "its arms share no seed".into(),
            None => format!("{complete} of {seeds} seeds are complete{first}"),
        }
    }

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
            .map(|told| format!("its arms also differ in {told}"))
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

/// The value of a run, chance where it diverged; or why there is none.
fn value(last: Final) -> Result<f64, String> {
    match last {
        Final::Value(value) | Final::Chance(value) => Ok(value),
        Final::Missing(why) => Err(why),
    }
}

/// The effects for which a claim is true. An effect is a rise, also where a fall is claimed.
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

/// A best value at the end of its grid may not be the best there is.
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

fn ids(arms: &[(&Arm, &TuneCandidate)], seeds: &[u64]) -> BTreeSet<String> {
    let runs =
        arms.iter().flat_map(|(_, choice)| seeds.iter().filter_map(|seed| choice.runs.get(seed)));
    runs.cloned().collect()
}

#[cfg(test)]
mod tests;
