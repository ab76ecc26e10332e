//! Which forms and numbers of claims have a meaning for an effect.

use crate::claim::{Effect, Limit, Measure, Relation, When};
use fathom_record::Metric;

/// Refuses forms and numbers that have no meaning for an effect.
pub(super) fn check_effect(effect: Effect, relation: &Relation) -> Result<(), String> {
    let number = match relation {
        Relation::Higher { by_at_least, .. } | Relation::Trend { by_at_least, .. } => *by_at_least,
        Relation::Bound { bound, .. } => *bound,
        Relation::NoWorse { margin, .. } | Relation::Same { margin, .. } => *margin,
    };
    let is_bound = matches!(relation, Relation::Bound { .. });
    let is_difference = matches!(relation, Relation::Higher { .. });
    let is_at_most = matches!(relation, Relation::Bound { limit: Limit::AtMost, .. });
    let is_at_least = is_difference || is_bound && !is_at_most;
    let is_equivalence = matches!(relation, Relation::Same { .. });
    match effect {
        Effect::Mean => Ok(()),
        Effect::Factor if is_bound && number <= 0.0 => {
            Err(format!("{number}: with scale = \"log\" a bound is above 0"))
        }
        Effect::Factor if !is_bound && number < 1.0 => Err(format!(
            "{number}: with scale = \"log\" by_at_least and margin are factors of at least 1, such \
             as 1.5"
        )),
        Effect::Factor if is_equivalence && number <= 1.0 => Err(format!(
            "margin = {number}: with scale = \"log\" and same_as it is a factor above 1, such as 1.5"
        )),
        Effect::Factor => Ok(()),
        Effect::Rank if !is_difference => {
            Err("scale = \"rank\" goes with higher and lower alone".into())
        }
        Effect::Rank if !(0.5..1.0).contains(&number) => Err(format!(
            "by_at_least = {number}: with scale = \"rank\" it is a probability, from 0.5 (the \
             default) to below 1"
        )),
        Effect::Rank => Ok(()),
        Effect::Share { .. } if !(is_bound || is_difference) => {
            Err("share_below goes with at_most, at_least, or higher and lower".into())
        }
        Effect::Share { .. } if !(0.0..=1.0).contains(&number) => {
            Err(format!("{number}: with share_below numbers are shares from 0 to 1"))
        }
        // No number of seeds shows that all or none of those to come have a property.
        Effect::Share { .. } if is_at_least && number >= 1.0 => {
            Err(format!("{number}: expected a share below 1, as no number of seeds shows more"))
        }
        Effect::Share { .. } if is_at_most && number <= 0.0 => {
            Err(format!("{number}: expected a share above 0, as no number of seeds shows less"))
        }
        Effect::Share { .. }
            if is_bound && (is_at_least && number <= 0.0 || is_at_most && number >= 1.0) =>
        {
            Err(format!("{number}: every share fulfils this; expected one between 0 and 1"))
        }
        Effect::Share { .. } => Ok(()),
    }
}

/// Refuses bars of 0 or below for errors, losses and numbers of updates, which are never below 0.
pub(super) fn check_bars(measure: &Measure, effect: Effect) -> Result<(), String> {
    let Measure { metric, when, .. } = measure;
    let is_positive = Metric::named(metric).is_some();
    match (when, effect) {
        (When::FirstBelow(bar), _) if is_positive && *bar <= 0.0 => Err(format!(
            "updates_to: below = {bar}: expected a number above 0, as {metric} is never below 0"
        )),
        (When::FirstBelow(_), Effect::Share { below }) if below <= 0.0 => {
            Err(format!("share_below = {below}: expected a number of updates above 0"))
        }
        (_, Effect::Share { below }) if is_positive && below <= 0.0 => Err(format!(
            "share_below = {below}: expected a number above 0, as {metric} is never below 0"
        )),
        _ => Ok(()),
    }
}
