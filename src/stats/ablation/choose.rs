//! The best value of a swept key, chosen for each side of a comparison by itself.

use super::pairs::{Group, Pairs};
use super::{BestBy, ChosenBy, DeclaredTuning, Question};
use crate::best::smallest;
use crate::evidence::Evidence;
use anyhow::{Result, ensure};
use fathom_base::key::short;
use fathom_record::{METRICS, MeasuredOn, Metric, Seed, Unit};
use fathom_spec::TuneCandidate;
use std::collections::BTreeSet;

/// Chooses best values.
pub(super) struct Chooser<'a> {
    evidence: &'a Evidence,
    best: BestBy,
}

impl<'a> Chooser<'a> {
    /// Decides which data choose: other seeds where some are set apart, else held-out images, else the
    /// compared values themselves.
    ///
    /// # Errors
    /// When no run has the seeds that were asked for, or no seed remains.
    pub fn of(
        evidence: &'a Evidence,
        question: &Question,
        key: &str,
        pairs: &Pairs,
    ) -> Result<Self> {
        let all = pairs.seeds();
        if let Some(asked) = &question.tune_seeds {
            let list = |seeds: &BTreeSet<Seed>| {
                seeds.iter().map(Seed::to_string).collect::<Vec<_>>().join(", ")
            };
            let unknown: BTreeSet<Seed> = asked.difference(&all).copied().collect();
            ensure!(
                unknown.is_empty(),
                "--tune-seeds: no run has seed {}; there are {}",
                list(&unknown),
                list(&all)
            );
            ensure!(asked.len() < all.len(), "--tune-seeds: no seed remains to be compared");
        }
        let declared = question.declared.get(key);
        let seeds = question.tune_seeds.as_ref().or_else(|| declared.map(|tuning| &tuning.seeds));
        let seeds = seeds.cloned().unwrap_or_default();
        if let (None, Some(DeclaredTuning { by: Some(by), .. })) = (&question.tune_seeds, declared)
        {
            let metric = by.clone();
            let by = ChosenBy::OtherSeeds;
            return Ok(Self { evidence, best: BestBy { key: key.to_owned(), metric, by, seeds } });
        }
        let metric = &question.metric;
        let held_out = held_out(metric).filter(|column| evidence.has(column));
        let (by, metric) = match (seeds.is_empty(), held_out) {
            // Seeds of their own make a training metric as good a judge as held-out images, and it is
            // what is compared. Test images choose nothing where others can.
            (false, Some(column)) if !is_on_train(metric) => {
                (ChosenBy::OtherSeeds, column.to_owned())
            }
            (false, _) => (ChosenBy::OtherSeeds, lower_is_better(metric)),
            (true, Some(column)) => (ChosenBy::HeldOut, column.to_owned()),
            (true, None) => (ChosenBy::SameSeeds, lower_is_better(metric)),
        };
        Ok(Self { evidence, best: BestBy { key: key.to_owned(), metric, by, seeds } })
    }

    /// Full name of the swept key.
    pub fn key(&self) -> &str {
        &self.best.key
    }

    /// The seeds that choose and are not compared.
    pub fn seeds(&self) -> &BTreeSet<Seed> {
        &self.best.seeds
    }

    /// How values were chosen.
    pub fn into_best(self) -> BestBy {
        self.best
    }

    /// The candidate with the smallest mean over the seeds that choose; the first of equal ones.
    ///
    /// # Errors
    /// When a run that the choice needs is missing, with the reason.
    pub fn choose<'b>(&self, side: &'b Group) -> Result<&'b TuneCandidate, String> {
        let [first, others @ ..] = &side.candidates[..] else {
            return Err(format!("{} has no runs", side.label));
        };
        if others.is_empty() {
            return Ok(first);
        }
        let is_common = |seed: &&Seed| others.iter().all(|it| it.runs.contains_key(seed));
        let seeds: BTreeSet<Seed> = match self.best.by {
            ChosenBy::OtherSeeds => self.best.seeds.clone(),
            ChosenBy::HeldOut | ChosenBy::SameSeeds => {
                first.runs.keys().filter(is_common).copied().collect()
            }
        };
        if seeds.is_empty() {
            let key = short(&self.best.key);
            return Err(format!("its values of {key} share no seed in {}", side.label));
        }
        smallest(&side.candidates, &seeds, &self.best.metric, &side.label, self.evidence)
    }
}

/// The metric of the same unit on held-out images; that of errors for metrics without such a unit.
fn held_out(metric: &str) -> Option<&'static str> {
    let unit = Metric::named(metric).map_or(Unit::PerCent, |metric| metric.unit);
    let fits = |it: &&Metric| it.measured_on == MeasuredOn::Validation && it.unit == unit;
    METRICS.iter().find(fits).map(|metric| metric.column)
}

fn is_on_train(metric: &str) -> bool {
    Metric::named(metric).is_some_and(|metric| metric.measured_on == MeasuredOn::Train)
}

/// The metric if its smaller values are the better ones, which is known of errors and losses; else the
/// training error.
fn lower_is_better(metric: &str) -> String {
    Metric::named(metric).map_or("train_err_pct", |metric| metric.column).to_owned()
}
