//! The effect of one key within a sweep: value minus value, for every remaining configuration, without
//! claims.

mod choose;
mod compared;
mod keys;
mod notes;
mod pairs;

use super::{Evidence, Interval};
use anyhow::{Result, anyhow, bail, ensure};
use choose::Chooser;
use compared::Compared;
use fathom_base::choice;
use fathom_base::key::short;
use fathom_base::mean;
use fathom_record::{Seed, is_same_value, natural_order};
use fathom_spec::Pairing;
use keys::Keys;
use pairs::Pairs;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// What is to be compared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Question {
    /// The key whose values are compared, by its full or short name; or `arm`.
    pub over: String,
    /// The value that the others are compared with, as text; the first in natural order if absent.
    pub baseline: Option<String>,
    /// The key whose best value is chosen for each side. If absent it is the learning rate, where
    /// several rates were swept.
    pub best: Option<String>,
    /// The seeds that choose the best value. If absent they are the `declared` ones of that key.
    pub tune_seeds: Option<BTreeSet<Seed>>,
    /// How the experiment and its claims tune, by the full name of the tuned key.
    pub declared: BTreeMap<String, DeclaredTuning>,
    /// The metric: a column of the curves, or a metric of the layers.
    pub metric: String,
    /// Whether intervals are of differences within seeds, or of two independent samples.
    pub pairing: Pairing,
}

/// How an experiment tunes a key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeclaredTuning {
    /// The seeds that choose.
    pub seeds: BTreeSet<Seed>,
    /// The metric that chooses in an experiment of two stages, whose other seeds have the chosen values alone.
    pub by: Option<String>,
}

/// The values of one key, compared in every remaining configuration that two values share.
#[derive(Clone, Debug, PartialEq)]
pub struct Ablation {
    /// Full name of the key.
    pub over: String,
    /// The metric.
    pub metric: String,
    /// Values of the key, the baseline first.
    pub values: Vec<String>,
    /// Short names of the other keys in which rows differ, family and depth first.
    pub axes: Vec<String>,
    /// How the best value of another key was chosen, where one was swept.
    pub best: Option<BestBy>,
    /// The comparisons: those at the best value first, then in the natural order of configurations.
    pub rows: Vec<AblationRow>,
    /// Configurations that no run of another value of the key corresponds to.
    pub alone: Vec<String>,
    /// What could not be compared, with the reason.
    pub left_out: Vec<String>,
    /// Full names of the keys in which the sides differ along with the compared one: keys that have an
    /// effect on one side only, and those that arms set.
    pub along: BTreeSet<String>,
    /// Remarks on differences in how the runs were made.
    pub remarks: Vec<String>,
    /// Chance level of the metric, if known: with it runs that diverged count.
    pub chance: Option<f64>,
    /// Whether intervals are of differences within seeds, or of two independent samples.
    pub pairing: Pairing,
}

/// How the best value of a key is chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct BestBy {
    /// Full name of the key.
    pub key: String,
    /// The metric whose mean over seeds is smallest at the best value.
    pub metric: String,
    /// The data that choose.
    pub by: ChosenBy,
    /// The seeds that choose, for [`ChosenBy::OtherSeeds`].
    pub seeds: BTreeSet<Seed>,
}

choice! {
    /// The data on which a best value is chosen.
    pub enum ChosenBy {
        /// Runs of seeds that are not compared.
        OtherSeeds,
        /// Images held out of the training set, in the runs that are compared.
        HeldOut,
        /// The very values that are compared, which favours the side with more or noisier choices.
        SameSeeds,
    }
}

choice! {
    /// The values of the swept key at which two sides are compared.
    pub enum At {
        /// Each side at its own best value.
        Best,
        /// Both sides at the same value.
        Equal,
    }
}

/// One comparison: a value of the key minus the baseline, over the seeds that both have.
#[derive(Clone, Debug, PartialEq)]
pub struct AblationRow {
    /// Values of [`Ablation::axes`]; empty where neither side has the key.
    pub axes: Vec<String>,
    /// Whether the sides are at their best values of the swept key or at equal ones.
    pub at: At,
    /// The side of the baseline.
    pub baseline: AblationSide,
    /// The side of the other value.
    pub other: AblationSide,
    /// Difference of each seed that both sides have.
    pub differences: Vec<(Seed, f64)>,
    /// Number of seeds that both sides plan.
    pub planned: usize,
    /// Interval of the mean difference at [`CONFIDENCE`](crate::CONFIDENCE), which is not adjusted for the number of
    /// rows; absent for fewer than two seeds, and where all runs of both sides diverged.
    pub interval: Option<Interval>,
}

/// One side of a comparison, over the seeds that both sides have.
#[derive(Clone, Debug, PartialEq)]
pub struct AblationSide {
    /// Value of the key.
    pub value: String,
    /// Value of the swept key, where there is one.
    pub chosen: Option<String>,
    /// Whether the best value is the smallest or largest of several, so that a better one may lie
    /// beyond.
    pub is_at_edge: bool,
    /// Final values by seed.
    pub finals: Vec<f64>,
    /// Number of runs that diverged, which count with the chance level.
    pub diverged: usize,
}

impl AblationSide {
    /// Mean of the final values; `None` without any.
    pub fn mean(&self) -> Option<f64> {
        mean(&self.finals)
    }
}

impl AblationRow {
    /// Mean difference; `None` without any seed.
    pub fn difference(&self) -> Option<f64> {
        mean(&self.differences.iter().map(|(_, difference)| *difference).collect::<Vec<_>>())
    }
}

impl Ablation {
    /// Compares the values of a key in every configuration that two of them share.
    ///
    /// # Errors
    /// When the question names a key, value, seed or metric that the runs do not have, or when no
    /// two runs differ in the key alone. The errors name the option of the command line.
    pub fn of(evidence: &Evidence, question: &Question) -> Result<Self> {
        let metric = &question.metric;
        evidence.check_metric(metric).map_err(|error| anyhow!("--metric {error:#}"))?;
        let keys = Keys::of(evidence, &question.over)?;
        let mut values = keys.values(&keys.over).to_vec();
        if let Some(baseline) = &question.baseline {
            // Arms may be named 1 and 1.0, so that equal numbers count where no text is equal.
            let equal = values.iter().position(|value| value == baseline);
            let place = || values.iter().position(|value| is_same_value(value, baseline));
            let over = short(&keys.over);
            let Some(place) = equal.or_else(place) else {
                bail!("--baseline: no run has {over} = {baseline}; valid: {}", values.join(", "))
            };
            values[..=place].rotate_right(1);
        }
        ensure!(
            evidence.has(metric),
            "no finished run has measured {metric}{}",
            if evidence.have_diverged() { ": all diverged" } else { "" }
        );
        let best = keys.best(question.best.as_deref())?;
        ensure!(
            best.is_some() || question.tune_seeds.is_none(),
            "--tune-seeds: no key is swept besides {} whose best value they could choose",
            short(&keys.over)
        );
        let pairs = Pairs::of(&keys, &values, best, question.best.is_some())?;
        if pairs.pairs.is_empty() {
            bail!("--over {}: {}", short(&keys.over), pairs.obstacle)
        }
        if let (Some(asked), false) = (&question.best, pairs.is_swept()) {
            bail!(
                "--best {asked}: no side of a comparison over {} has several values of it",
                short(&keys.over)
            )
        }
        let chooser = best
            .filter(|_| pairs.is_swept())
            .map(|key| Chooser::of(evidence, question, key, &pairs))
            .transpose()?;
        let mut compared = Compared::new(evidence, question, chooser);
        let mut rows: Vec<AblationRow> =
            pairs.pairs.iter().flat_map(|pair| compared.rows(pair)).collect();
        let place = |row: &AblationRow| values.iter().position(|it| *it == row.other.value);
        rows.sort_by(|a, b| {
            let axes = a.axes.iter().zip(&b.axes).map(|(a, b)| natural_order(a, b));
            let axes = axes.fold(Ordering::Equal, Ordering::then);
            (a.at == At::Equal)
                .cmp(&(b.at == At::Equal))
                .then(axes)
                .then(place(a).cmp(&place(b)))
                .then_with(|| rate_order(a, b))
        });
        let (left_out, chooser) = compared.end();
        let ids: BTreeSet<String> = pairs.ids();
        Ok(Self {
            chance: evidence.chance(&ids.iter().cloned().collect::<Vec<_>>(), metric),
            remarks: evidence.mixed_execution(&ids),
            over: keys.over,
            metric: metric.clone(),
            values,
            axes: pairs.axes,
            best: chooser.map(Chooser::into_best),
            rows,
            alone: pairs.alone,
            left_out,
            along: pairs.along,
            pairing: question.pairing,
        })
    }

    /// Number of rows with an interval, for which the intervals are not adjusted.
    pub fn interval_count(&self) -> usize {
        self.rows.iter().filter(|row| row.interval.is_some()).count()
    }

    /// Short name of the swept key, at best and equal values of which the rows are.
    pub fn swept(&self) -> Option<&str> {
        self.best.as_ref().map(|best| short(&best.key))
    }
}

fn rate_order(a: &AblationRow, b: &AblationRow) -> Ordering {
    let rate = |row: &AblationRow| row.other.chosen.clone().unwrap_or_default();
    natural_order(&rate(a), &rate(b))
}

#[cfg(test)]
mod tests;
