//! Runs to summaries over seeds.

mod summary;

pub use summary::{METRICS, Summary, SummaryRow, SummaryTable, table};
