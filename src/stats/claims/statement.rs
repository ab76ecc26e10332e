//! A claim as a sentence.

use fathom_base::key::short;
use fathom_record::Unit;
use fathom_spec::{Arm, Claim, Limit, Relation, TuneCandidate};

/// One sentence without a full stop: the metric, the arms, the margin with its unit.
pub(super) fn statement(claim: &Claim, arms: &[(&Arm, &TuneCandidate)]) -> String {
    let metric = match claim.step {
        None => claim.metric.clone(),
        Some(1) => format!("{} after 1 update", claim.metric),
        Some(step) => format!("{} after {step} updates", claim.metric),
    };
    // The unit of a difference of two values, and of a value.
    let [many, own] = match Unit::of(&claim.metric) {
        Some(Unit::PerCent) => [" points", "%"],
        Some(Unit::Nats) => [" nats", " nats"],
        None => ["", ""],
    };
    let size = |number: f64| {
        let unit = if number == 1.0 { many.trim_end_matches('s') } else { many };
        format!("{number}{unit}")
    };
    let label = |place: usize| &arms[place].0.label;
    match &claim.relation {
        Relation::Higher { by_at_least, .. } => format!(
            "{metric} of {} exceeds that of {} by at least {}",
            label(0),
            label(1),
            size(*by_at_least)
        ),
        Relation::Trend { over, direction, by_at_least, .. } => format!(
            "{metric} {} from {} to {}, fitted over {} values of {}, by at least {}",
            direction.word(),
            label(0),
            label(arms.len() - 1),
            arms.len(),
            short(over),
            size(*by_at_least),
        ),
        Relation::Bound { limit, bound, .. } => format!(
            "{metric} of {} is at {} {bound}{own}",
            label(0),
            match limit {
                Limit::AtMost => "most",
                Limit::AtLeast => "least",
            }
        ),
        Relation::NoWorse { margin, .. } => {
            let by = size(*margin);
            format!("{metric} of {} is not {by} above that of {}", label(0), label(1))
        }
        Relation::Same { margin, .. } => {
            let by = size(*margin);
            format!("{metric} of {} is within {by} of that of {}", label(0), label(1))
        }
    }
}
