//! What a run counts with in a claim, and how the runs of several seeds become an effect.

use fathom_base::choice;

/// The number that a run counts with.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    /// A column of `curve.csv` or of `layers.csv`, or the word of a
    /// [`LayerMetric`](super::LayerMetric).
    pub metric: String,
    /// Where in the run it is taken.
    pub when: When,
    /// The layers that it is taken from, if it is a column of `layers.csv`.
    pub layers: Option<Layers>,
}

impl Measure {
    /// The value of a column in the last row, or of a metric of the layers after the last update.
    pub fn last(metric: &str) -> Self {
        Self { metric: metric.into(), when: When::Last, layers: None }
    }
}

/// The part of a run that a claim is about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum When {
    /// The last row.
    Last,
    /// The value after this number of updates.
    Step(u64),
    /// The value after the update that ends this number of epochs.
    Epochs(f64),
    /// The number of updates after which the value is below this bar for the first time, as far as it
    /// was evaluated. The run counts with this number, not with the value.
    FirstBelow(f64),
}

impl When {
    /// The numbers of updates of which one ends so many epochs, where an epoch has `updates` of them: the nearest one
    /// first, then those less than one away, since evaluations once an epoch are at the first update after it.
    pub fn ends_of(epochs: f64, updates: f64) -> [u64; 3] {
        let exact = epochs * updates;
        [exact.round() as u64, exact.ceil() as u64, exact.floor() as u64]
    }
}

/// Layers of `layers.csv`.
#[derive(Clone, Debug, PartialEq)]
pub enum Layers {
    /// The layer at this position, counted from 1 at the input.
    At(u64),
    /// The layer of this name.
    Named(String),
    /// All layers that have the value.
    Over(OverLayers),
}

choice! {
    /// Values of `over_layers`: how the values of all layers become one.
    pub enum OverLayers {
        /// Their mean.
        Mean,
        /// The smallest one.
        Min,
        /// The largest one.
        Max,
    }
}

choice! {
    /// Values of `scale`.
    #[derive(Default)]
    pub enum Scale {
        /// Effects are differences of means, in the unit of the metric.
        #[default]
        Linear,
        /// Effects are factors between geometric means.
        Log,
        /// The effect is the probability that a run of one arm has a higher value than a run of the
        /// other (Mann–Whitney).
        Rank,
    }
}

choice! {
    /// Values of `pairing`: whether runs of equal seeds are compared with each other.
    #[derive(Default)]
    pub enum Pairing {
        /// Effects are taken within each seed (paired t test).
        #[default]
        Seed,
        /// Arms are independent samples (Welch's t test).
        None,
    }
}

/// What the effect of a claim is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Effect {
    /// A weighted sum of means.
    Mean,
    /// A product of powers of geometric means: a factor.
    Factor,
    /// The probability that a run of the first arm has a higher value than one of the second, where
    /// ties count half.
    Rank,
    /// The share of the seeds whose value is below the bar, or the difference of two such shares.
    Share {
        /// The bar.
        below: f64,
    },
}

impl Effect {
    /// The value that an effect has when there is none: equal arms.
    pub fn neutral(self) -> f64 {
        match self {
            Effect::Mean | Effect::Share { .. } => 0.0,
            Effect::Factor => 1.0,
            Effect::Rank => 0.5,
        }
    }
}
