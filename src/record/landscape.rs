//! Rows of `slices.csv` and `correlation.csv`, the measurements of `fathom landscape` on trained nets.

use super::table::row;
use serde::Deserialize;

row! {
    /// The loss at one point of a line through the trained weights (1712.09913, section 4).
    #[derive(Deserialize)]
    pub struct SliceRow {
        /// Version of the format.
        pub schema: u32 = 1,
        /// Number of the line, which is that of its random direction. Each filter of a direction has
        /// the norm of the net's filter.
        pub direction: u64,
        /// Position on the line in units of the direction; 0 is the trained net.
        pub alpha: f64,
        /// Mean cross-entropy in nats on training images, with the moving averages of the trained net.
        pub train_loss: f64,
        /// Top-1 error on the same images, in per cent.
        pub train_err_pct: f64,
    }
}

row! {
    /// The similarity of the gradients with respect to the input at two points on the line between two
    /// images (1702.08591).
    #[derive(Deserialize)]
    pub struct CorrelationRow {
        /// Version of the format.
        pub schema: u32 = 1,
        /// The net before training (`initial`) or after it (`final`).
        pub weights: String,
        /// Distance of the points; 1 is the distance of the two images.
        pub distance: f64,
        /// Mean cosine similarity of the gradients of a logit at the two points.
        pub correlation: f64,
    }
}
