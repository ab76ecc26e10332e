//! Runs to summaries over seeds, and measurements to quantiles.

mod quantile;
mod summary;

pub use quantile::{median, quantile};
pub use summary::{METRICS, Summary, SummaryRow, SummaryTable, table};
