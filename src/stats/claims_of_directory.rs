//! Verdicts on claims by the results in a directory.

use super::{Evidence, Verdict, check};
use anyhow::Result;
use fathom_record::SweepDir;
use fathom_spec::{Claims, Contrast, SpecError};

/// The verdicts on `claims` by the results in a directory, planned runs included.
///
/// # Errors
/// When results are damaged, or a claim is not about runs that were planned.
pub fn check_directory(directory: &SweepDir, claims: &Claims) -> Result<Vec<Verdict>> {
    check_evidence(&Evidence::load(directory)?, claims)
}

/// The verdicts on `claims` by results that are loaded.
///
/// # Errors
/// When a claim is not about runs that were planned.
pub fn check_evidence(evidence: &Evidence, claims: &Claims) -> Result<Vec<Verdict>> {
    let candidates = evidence.candidates(claims.arm_keys.clone());
    let resolved = claims
        .claims
        .iter()
        .map(|claim| Ok((claim.clone(), Contrast::of(claim, &candidates)?)))
        .collect::<Result<Vec<_>, SpecError>>()?;
    Ok(check(&resolved, &claims.deciding, evidence))
}
