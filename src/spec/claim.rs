//! `[[claim]]`: what an experiment says will come out, in terms of its runs.

mod read;

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Values by full key, and perhaps an `arm`, that choose the runs of one configuration.
pub type Selector = BTreeMap<String, Value>;

/// What a reader of an experiment may check against its numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// Its name.
    pub name: String,
    /// The column of the curve, or the figure of the layers, whose final value it is about.
    /// [`Contrast::of`](crate::Contrast::of) checks that the runs have it.
    pub metric: String,
    /// Updates after which it is about the value, instead of at the end.
    pub step: Option<u64>,
    /// What it says.
    pub relation: Relation,
    /// How a key is chosen for each arm by itself.
    pub tune: Option<Tune>,
    /// Keys in which the arms may differ though the claim does not name them.
    pub also_differs: BTreeSet<String>,
    /// `file:line`.
    pub place: String,
}

/// What a claim says of its arms.
#[derive(Clone, Debug, PartialEq)]
pub enum Relation {
    /// `higher` exceeds `lower` by at least so much.
    Higher {
        /// Of the higher value.
        higher: Selector,
        /// Of the lower one.
        lower: Selector,
        /// Points, or nats.
        by_at_least: f64,
    },
    /// Over all values of a key, the fitted line rises (or falls) by at least so much from the least
    /// to the greatest one.
    Trend {
        /// What the arms share.
        of: Selector,
        /// The key over which it rises.
        over: String,
        /// Whether it rises.
        rises: bool,
        /// Points, or nats.
        by_at_least: f64,
    },
    /// Within a bound.
    Bound {
        /// The arm.
        of: Selector,
        /// Whether the bound is the greatest value (or the least).
        at_most: bool,
        /// Per cent, or nats.
        bound: f64,
        /// Where it is from, when it was published.
        source: Option<String>,
    },
    /// Not above another arm by so much (non-inferiority).
    NoWorse {
        /// The arm.
        of: Selector,
        /// The other one.
        than: Selector,
        /// Points, or nats.
        margin: f64,
    },
    /// As another arm but for so much in either direction (equivalence).
    Same {
        /// The arm.
        of: Selector,
        /// The other one.
        as_: Selector,
        /// Points, or nats.
        margin: f64,
    },
}

/// Each arm is taken at its own best value of a key.
#[derive(Clone, Debug, PartialEq)]
pub struct Tune {
    /// The key.
    pub over: String,
    /// The seeds by which it is chosen, and which the verdict does not use.
    pub seeds: BTreeSet<u64>,
    /// The column whose final mean is least at the best value.
    pub by: String,
}

/// How all claims of an experiment are decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Deciding {
    /// Chance that any claim is decided wrongly in either direction, at most, where all true effects
    /// lie at their margins.
    pub level: f64,
    /// Numbers of seeds after which claims are looked at; none: once, after all of them.
    pub looks: Vec<usize>,
}

impl Default for Deciding {
    fn default() -> Self {
        Self { level: 0.05, looks: Vec::new() }
    }
}

/// What a claim may be about of runs with a `layers.csv`, for which see [`fathom_stats::Layerwise`].
pub const LAYER_METRICS: [&str; 2] = ["gradient_first_to_last", "gradient_growth"];

impl Claim {
    /// The keys that the claim names itself: its arms may differ in these.
    pub fn named(&self) -> BTreeSet<&str> {
        let mut named: BTreeSet<&str> = self.also_differs.iter().map(String::as_str).collect();
        let selectors = match &self.relation {
            Relation::Higher { higher, lower, .. } => vec![higher, lower],
            Relation::NoWorse { of, than: other, .. } | Relation::Same { of, as_: other, .. } => {
                vec![of, other]
            }
            Relation::Bound { of, .. } => vec![of],
            Relation::Trend { of, over, .. } => {
                named.insert(over);
                vec![of]
            }
        };
        named.extend(selectors.into_iter().flat_map(|one| one.keys().map(String::as_str)));
        named.extend(self.tune.iter().map(|tune| tune.over.as_str()));
        named
    }
}
