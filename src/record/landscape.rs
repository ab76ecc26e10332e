//! What `fathom look` found of a net that was trained: `slices.csv` and `correlation.csv`.

use super::table::Row;
use serde::{Deserialize, Serialize};

/// The loss at one point of a line through the trained weights (1712.09913, §4).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SliceRow {
    /// Version of this format.
    pub schema: u32,
    /// Number of the line: of the random direction, in which each filter is as long as the net's.
    pub direction: u64,
    /// Where on the line; 0 is the trained net, 1 as far from it as its filters are long.
    pub alpha: f64,
    /// Mean cross-entropy in nats on training images, with the moving averages of the trained net.
    pub train_loss: f64,
    /// Top-1 error on the same images.
    pub train_err_pct: f64,
}

impl Row for SliceRow {
    const COLUMNS: &'static [&'static str] =
        &["schema", "direction", "alpha", "train_loss", "train_err_pct"];

    fn schema(&self) -> u32 {
        self.schema
    }
}

/// How alike gradients by the input are at two points of a line between two images (1702.08591).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorrelationRow {
    /// Version of this format.
    pub schema: u32,
    /// Whether of the net before training (`initial`) or after it (`final`).
    pub weights: String,
    /// How far the points are apart; 1 is from one image to the other.
    pub distance: f64,
    /// Mean cosine between the gradients of a logit by the input at the two points.
    pub correlation: f64,
}

impl Row for CorrelationRow {
    const COLUMNS: &'static [&'static str] = &["schema", "weights", "distance", "correlation"];

    fn schema(&self) -> u32 {
        self.schema
    }
}
