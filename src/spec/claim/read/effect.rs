//! Which forms and numbers of claims have a meaning for an effect.

use crate::claim::{Effect, Limit, Relation};

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
        Effect::Share { .. } => Ok(()),
    }
}
