//! `[[claim]]`: a statement of an experiment about the values that its runs will give.

#![deny(clippy::wildcard_enum_match_arm)]

mod measure;
mod read;

pub(super) use read::experiment_tune;

pub use measure::{Effect, Layers, Measure, OverLayers, Pairing, Scale, When};

use super::Config;
use fathom_base::key::short;
use fathom_base::{choice, plain};
use fathom_record::Seed;
use std::collections::BTreeSet;

/// The values of keys that select the runs of one configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selector {
    /// Name of the `[[arm]]` that the runs belong to, where the claim names one.
    pub arm: Option<String>,
    /// Values by full dotted key.
    pub keys: Config,
}

/// A statement that `fathom check` tests against the results.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// Unique name within the experiment.
    pub name: String,
    /// What a run counts with; [`Contrast::of`](crate::Contrast::of) checks that the runs have it.
    pub measure: Measure,
    /// What the claim states.
    pub relation: Relation,
    /// What the numbers of its relation mean.
    pub effect: Effect,
    /// Whether runs are paired by seed, where the claim departs from its experiment.
    pub pairing: Option<Pairing>,
    /// Whether it is primary: marked as such, or one of an experiment that marks none.
    pub is_primary: bool,
    /// The key whose best value is chosen for each arm separately.
    pub tune: Option<Tune>,
    /// Full names of further keys in which the arms may differ.
    pub also_differs: BTreeSet<String>,
    /// `file:line` of its name.
    pub place: String,
}

/// What a claim states about its arms. Differences and bounds are in the unit of the claim's
/// [`Effect`]: percentage points or nats, factors, shares or probabilities.
#[derive(Clone, Debug, PartialEq)]
pub enum Relation {
    /// The value of `higher` exceeds that of `lower` by at least `by_at_least`.
    Higher {
        /// The arm with the higher value.
        higher: Selector,
        /// The arm with the lower value.
        lower: Selector,
        /// Smallest difference.
        by_at_least: f64,
    },
    /// The least-squares line over all values of a key rises, or falls, by at least `by_at_least`
    /// from the smallest to the largest value.
    Trend {
        /// What the runs of all values have in common.
        of: Selector,
        /// Full name of the key.
        over: String,
        /// Whether the line rises or falls.
        direction: Direction,
        /// Smallest rise or fall.
        by_at_least: f64,
    },
    /// The value lies within a bound.
    Bound {
        /// The arm.
        of: Selector,
        /// Whether the bound is an upper or a lower one.
        limit: Limit,
        /// The bound.
        bound: f64,
        /// Name, value and source of the published value that the bound was computed from.
        source: Option<String>,
    },
    /// The value of `of` exceeds that of `than` by less than `margin` (non-inferiority).
    NoWorse {
        /// The arm.
        of: Selector,
        /// The reference arm.
        than: Selector,
        /// Largest irrelevant difference.
        margin: f64,
    },
    /// The values of `of` and `as_` differ by less than `margin` (equivalence).
    Same {
        /// The arm.
        of: Selector,
        /// The reference arm.
        as_: Selector,
        /// Largest irrelevant difference.
        margin: f64,
    },
}

choice! {
    /// Direction of a trend: `rises_with` or `falls_with`.
    pub enum Direction {
        /// The metric increases with the key.
        Rises,
        /// The metric decreases with the key.
        Falls,
    }
}

choice! {
    /// Kind of a bound: `at_most` or `at_least`.
    pub enum Limit {
        /// An upper bound.
        AtMost,
        /// A lower bound.
        AtLeast,
    }
}

/// Each arm is evaluated at its own best value of a key.
#[derive(Clone, Debug, PartialEq)]
pub struct Tune {
    /// Full name of the key.
    pub over: String,
    /// The seeds whose runs choose the value; the verdict does not use these runs.
    pub seeds: BTreeSet<Seed>,
    /// The metric whose mean final value is minimal at the best value: one of the training images for
    /// a claim about these, else one of the validation images, which no claim is about.
    pub by: String,
}

choice! {
    /// Metrics that are computed from `layers.csv`, defined at `Layerwise` in the crate `stats`.
    pub enum LayerMetric {
        /// Ratio of the gradient norms of the first and the last layer before the classes.
        #[strum(serialize = "gradient_first_to_last")]
        #[serde(rename = "gradient_first_to_last")]
        FirstToLast,
        /// Factor by which gradient norms grow per layer towards the input.
        #[strum(serialize = "gradient_growth")]
        #[serde(rename = "gradient_growth")]
        Growth,
        /// The same ratio of the norms of gradients multiplied by those of the weights.
        #[strum(serialize = "scaled_gradient_first_to_last")]
        #[serde(rename = "scaled_gradient_first_to_last")]
        ScaledFirstToLast,
        /// Factor by which gradient norms multiplied by weight norms grow per layer towards the input.
        #[strum(serialize = "scaled_gradient_growth")]
        #[serde(rename = "scaled_gradient_growth")]
        ScaledGrowth,
    }
}

impl LayerMetric {
    /// The metric of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|metric| metric.word() == name)
    }
}

/// How all claims of an experiment are decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Deciding {
    /// Upper bound of the probability that any primary claim is falsely supported, and of the
    /// probability that any is falsely refuted.
    pub level: f64,
    /// Numbers of seeds, ascending, after which claims are tested; empty: once, after all seeds.
    pub looks: Vec<usize>,
    /// Whether runs are paired by seed.
    pub pairing: Pairing,
    /// Seeds that were added after results had been seen, as the file declares them.
    pub added_seeds: BTreeSet<Seed>,
}

impl Default for Deciding {
    fn default() -> Self {
        let (looks, pairing, added_seeds) = Default::default();
        Self { level: 0.05, looks, pairing, added_seeds }
    }
}

impl Selector {
    /// The selector for a reader, such as `plain 44 lr=0.1`: arm, family and depth come first and
    /// without their keys.
    pub(super) fn label(&self) -> String {
        let is_named = self.arm.is_some() || self.keys.contains_key("network.family");
        let mut parts: Vec<(usize, String)> = Vec::from_iter(self.arm.clone().map(|arm| (0, arm)));
        for (key, value) in &self.keys {
            let text = plain(value);
            parts.push(match key.as_str() {
                "network.family" => (1, text),
                "network.depth" if is_named => (2, text),
                key => (3, format!("{}={text}", short(key))),
            });
        }
        parts.sort();
        parts.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(" ")
    }
}

impl Relation {
    /// The selectors of the arms.
    pub(super) fn selectors(&self) -> Vec<&Selector> {
        match self {
            Relation::Higher { higher, lower, .. } => vec![higher, lower],
            Relation::NoWorse { of, than: other, .. } | Relation::Same { of, as_: other, .. } => {
                vec![of, other]
            }
            Relation::Bound { of, .. } | Relation::Trend { of, .. } => vec![of],
        }
    }
}

impl Claim {
    /// Full names of the keys in which its arms may differ: those that it names, and `also_differs`.
    pub(super) fn named_keys(&self) -> BTreeSet<&str> {
        let mut named: BTreeSet<&str> = self.also_differs.iter().map(String::as_str).collect();
        let selectors = self.relation.selectors();
        named.extend(selectors.into_iter().flat_map(|one| one.keys.keys().map(String::as_str)));
        if let Relation::Trend { over, .. } = &self.relation {
            named.insert(over);
        }
        named.extend(self.tune.iter().map(|tune| tune.over.as_str()));
        named
    }

    /// Whether its arms may differ in the keys that `[[arm]]` tables set.
    pub(super) fn names_arms(&self) -> bool {
        self.relation.selectors().iter().any(|selector| selector.arm.is_some())
    }
}
