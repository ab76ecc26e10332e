//! Runs to summaries over seeds.
pub fn table(_c: &crate::record::SweepCurves) -> Vec<()> {
    vec![]
}
