//! Runs to summaries over seeds.
