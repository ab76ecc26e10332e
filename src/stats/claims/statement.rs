//! A claim as a sentence.

use fathom_base::key::short;
use fathom_record::Unit;
use fathom_spec::{Arm, Claim, Effect, Layers, Limit, Measure, Relation, TuneCandidate, When};

/// One sentence without a full stop: the metric, the arms, the margin with its unit.
pub(super) fn statement(claim: &Claim, arms: &[(&Arm, &TuneCandidate)]) -> String {
    let metric = measured(&claim.measure);
    let label = |place: usize| &arms[place].0.label;
    let phrase = Phrase { effect: claim.effect, units: Units::of(&claim.measure) };
    let metric = phrase.subject(&metric);
    match &claim.relation {
        Relation::Higher { by_at_least, .. } if claim.effect == Effect::Rank => format!(
            "{metric} of a run of {} exceeds that of a run of {} with a probability of at least \
             {by_at_least}",
            label(0),
            label(1),
        ),
        Relation::Higher { by_at_least, .. } => format!(
            "{metric} of {} exceeds that of {} {}",
            label(0),
            label(1),
            phrase.by_at_least(*by_at_least)
        ),
        Relation::Trend { over, direction, by_at_least, .. } => format!(
            "{metric} {} from {} to {}, fitted over {} values of {}, {}",
            direction.word(),
            label(0),
            label(arms.len() - 1),
            arms.len(),
            short(over),
            phrase.by_at_least(*by_at_least),
        ),
        Relation::Bound { limit, bound, .. } => format!(
            "{metric} of {} is at {} {bound}{}",
            label(0),
            match limit {
                Limit::AtMost => "most",
                Limit::AtLeast => "least",
            },
            phrase.own_unit(),
        ),
        Relation::NoWorse { margin, .. } => {
            let by = phrase.size(*margin);
            format!("{metric} of {} is not {by} above that of {}", label(0), label(1))
        }
        Relation::Same { margin, .. } => {
            let by = phrase.size(*margin);
            format!("{metric} of {} is within {by} of that of {}", label(0), label(1))
        }
    }
}

/// What a run counts with.
fn measured(measure: &Measure) -> String {
    let metric = match &measure.layers {
        None => measure.metric.clone(),
        Some(Layers::At(place)) => format!("{} in layer {place}", measure.metric),
        Some(Layers::Named(name)) => format!("{} in layer {name}", measure.metric),
        Some(Layers::Over(over)) => format!("{over} of {} over all layers", measure.metric),
    };
    match measure.when {
        When::Last => metric,
        When::Step(1) => format!("{metric} after 1 update"),
        When::Step(step) => format!("{metric} after {step} updates"),
        When::Epochs(1.0) => format!("{metric} after 1 epoch"),
        When::Epochs(epochs) => format!("{metric} after {epochs} epochs"),
        When::FirstBelow(bar) => {
            format!(
                "number of updates (until {metric} is below {bar}{})",
                Units::of_column(&metric).own
            )
        }
    }
}

/// The unit of a difference of two values, and of a value.
struct Units {
    many: &'static str,
    own: &'static str,
}

impl Units {
    fn of(measure: &Measure) -> Self {
        match (measure.when, &measure.layers) {
            (When::FirstBelow(_), _) => Self { many: " updates", own: "" },
            (When::Last | When::Step(_) | When::Epochs(_), Some(_)) => Self { many: "", own: "" },
            (When::Last | When::Step(_) | When::Epochs(_), None) => {
                Self::of_column(&measure.metric)
            }
        }
    }

    fn of_column(column: &str) -> Self {
        match Unit::of(column) {
            Some(Unit::PerCent) => Self { many: " points", own: "%" },
            Some(Unit::Nats) => Self { many: " nats", own: " nats" },
            None => Self { many: "", own: "" },
        }
    }
}

/// The words for the numbers of a claim.
struct Phrase {
    effect: Effect,
    units: Units,
}

impl Phrase {
    fn subject(&self, metric: &str) -> String {
        match self.effect {
            Effect::Mean | Effect::Factor | Effect::Rank => metric.to_owned(),
            Effect::Share { below } => {
                format!("share of seeds (with {metric} below {below}{})", self.units.own)
            }
        }
    }

    fn own_unit(&self) -> &'static str {
        match self.effect {
            Effect::Mean | Effect::Factor | Effect::Rank => self.units.own,
            Effect::Share { .. } => "",
        }
    }

    fn size(&self, number: f64) -> String {
        let many = self.units.many;
        match self.effect {
            Effect::Factor => format!("a factor of {number}"),
            Effect::Rank | Effect::Share { .. } => number.to_string(),
            Effect::Mean if number == 1.0 => format!("{number}{}", many.trim_end_matches('s')),
            Effect::Mean => format!("{number}{many}"),
        }
    }

    fn by_at_least(&self, number: f64) -> String {
        match self.effect {
            Effect::Factor => format!("by a factor of at least {number}"),
            Effect::Mean | Effect::Rank | Effect::Share { .. } => {
                format!("by at least {}", self.size(number))
            }
        }
    }
}
