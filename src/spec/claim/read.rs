//! A `[[claim]]` from its table.

#![deny(clippy::wildcard_enum_match_arm)]

mod bound;
mod effect;
mod tune;
mod values;

use super::{
    Claim, Direction, Effect, Layers, Limit, Measure, OverLayers, Pairing, Relation, Scale,
    Selector, When,
};
use crate::SpecError;
use crate::file::Reader;
use crate::leaves::{keyword, number, one_of, word};
use bound::{Bound, bound};
use effect::{check_bars, check_effect};
use std::collections::BTreeSet;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
pub(crate) use tune::experiment_tune;
use tune::{TuneFields, key_but_seed, tune};
use values::{difference, flag, keys, layer, selector, step, updates_to};

/// The keys of a `[[claim]]`.
#[derive(Clone, Copy, Debug, strum::EnumString, strum::VariantNames, strum::Display)]
#[strum(serialize_all = "snake_case")]
enum ClaimKey {
    Name,
    Metric,
    Step,
    Layer,
    OverLayers,
    UpdatesTo,
    ShareBelow,
    Scale,
    Pairing,
    Primary,
    Higher,
    Lower,
    ByAtLeast,
    Of,
    RisesWith,
    FallsWith,
    AtMost,
    AtLeast,
    NoWorseThan,
    SameAs,
    Margin,
    Tune,
    AlsoDiffers,
}

/// The forms of claims, for error messages.
const FORMS: &str = "a claim has higher and lower, or of with one of rises_with, falls_with, \
                     at_most, at_least, no_worse_than, same_as";

/// The form of a claim with the value of the key that only this form has.
enum Form {
    Higher(Selector),
    Trend(Direction, String),
    Bound(Limit, Bound),
    NoWorseThan(Selector),
    SameAs(Selector),
}

/// The fields of a `[[claim]]`, before its form is known.
#[derive(Default)]
struct ClaimFields {
    name: Option<String>,
    metric: Option<String>,
    step: Option<When>,
    layer: Option<Layers>,
    over_layers: Option<OverLayers>,
    updates_to: Option<(String, f64)>,
    share_below: Option<f64>,
    scale: Option<Scale>,
    pairing: Option<Pairing>,
    primary: bool,
    form: Vec<(ClaimKey, Form)>,
    lower: Option<Selector>,
    of: Option<Selector>,
    by_at_least: Option<f64>,
    margin: Option<f64>,
    tune: Option<TuneFields>,
    also_differs: BTreeSet<String>,
}

impl Claim {
    /// Reads a `[[claim]]`, whose header is at `place`.
    pub(crate) fn read(
        reader: &Reader,
        table: &DeTable<'_>,
        place: &str,
    ) -> Result<Self, SpecError> {
        let mut fields = ClaimFields::default();
        let mut place = reader.place_in(table, place);
        for (key, value) in table {
            let here = reader.place(key.span().start);
            let fail = |message: String| SpecError { place: here.clone(), message };
            let key = keyword(key.get_ref())
                .map_err(|message| fail(format!("[[claim]]: {message}; {FORMS}")))?;
            if let ClaimKey::Name = key {
                place.clone_from(&here);
            }
            fields.read(reader, key, value, &here)?;
        }
        let fail = |message: String| SpecError { place: place.clone(), message };
        let name = fields.name.take();
        let name = name.ok_or_else(|| fail("a [[claim]] needs a name: name = \"...\"".into()))?;
        let fail = |message: String| fail(format!("claim \"{name}\": {message}"));
        let claim = fields.claim(name.clone(), place.clone());
        claim.map_err(fail)
    }
}

impl ClaimFields {
    /// The claim, once all keys are read.
    fn claim(mut self, name: String, place: String) -> Result<Claim, String> {
        let measure = self.measure()?;
        let effect = self.effect()?;
        check_bars(&measure, effect)?;
        let (pairing, is_primary) = (self.pairing, self.primary);
        if let (Some(Pairing::Seed), Effect::Rank | Effect::Share { .. }) = (pairing, effect) {
            return Err("pairing = \"seed\" does not go with scale = \"rank\" or share_below, \
                        whose arms are independent samples"
                .into());
        }
        let tune = self.tune.take().map(|tune| tune.resolve(&measure)).transpose()?;
        let also_differs = std::mem::take(&mut self.also_differs);
        let relation = self.relation(effect)?;
        check_effect(effect, &relation)?;
        Ok(Claim {
            name,
            measure,
            relation,
            effect,
            pairing,
            is_primary,
            tune,
            also_differs,
            place,
        })
    }

    /// Stores the value of a key.
    fn read(
        &mut self,
        reader: &Reader,
        key: ClaimKey,
        value: &Spanned<DeValue<'_>>,
        place: &str,
    ) -> Result<(), SpecError> {
        let fail = |message: String| SpecError {
            place: place.to_owned(),
            message: format!("{key}: {message}"),
        };
        let key_name = || key_but_seed(value, reader.names);
        let selector = || selector(reader, value, place);
        match key {
            ClaimKey::Name => self.name = Some(word(value).map_err(fail)?),
            ClaimKey::Metric => self.metric = Some(word(value).map_err(fail)?),
            ClaimKey::Step => {
                self.step = Some(step(value).map_err(fail)?);
            }
            ClaimKey::Layer => self.layer = Some(layer(value).map_err(fail)?),
            ClaimKey::OverLayers => self.over_layers = Some(one_of(value).map_err(fail)?),
            ClaimKey::UpdatesTo => self.updates_to = Some(updates_to(value).map_err(fail)?),
            ClaimKey::ShareBelow => self.share_below = Some(number(value).map_err(fail)?),
            ClaimKey::Scale => self.scale = Some(one_of(value).map_err(fail)?),
            ClaimKey::Pairing => self.pairing = Some(one_of(value).map_err(fail)?),
            ClaimKey::Primary => self.primary = flag(value).map_err(fail)?,
            ClaimKey::Higher => self.form.push((key, Form::Higher(selector()?))),
            ClaimKey::Lower => self.lower = Some(selector()?),
            ClaimKey::Of => self.of = Some(selector()?),
            ClaimKey::ByAtLeast => self.by_at_least = Some(difference(value).map_err(fail)?),
            ClaimKey::Margin => self.margin = Some(difference(value).map_err(fail)?),
            ClaimKey::RisesWith => {
                let over = key_name().map_err(fail)?;
                self.form.push((key, Form::Trend(Direction::Rises, over)));
            }
            ClaimKey::FallsWith => {
                let over = key_name().map_err(fail)?;
                self.form.push((key, Form::Trend(Direction::Falls, over)));
            }
            ClaimKey::AtMost => {
                self.form.push((key, Form::Bound(Limit::AtMost, bound(value).map_err(fail)?)));
            }
            ClaimKey::AtLeast => {
                self.form.push((key, Form::Bound(Limit::AtLeast, bound(value).map_err(fail)?)));
            }
            ClaimKey::NoWorseThan => self.form.push((key, Form::NoWorseThan(selector()?))),
            ClaimKey::SameAs => self.form.push((key, Form::SameAs(selector()?))),
            ClaimKey::Tune => self.tune = Some(tune(value, reader.names).map_err(fail)?),
            ClaimKey::AlsoDiffers => self.also_differs = keys(value, reader.names).map_err(fail)?,
        }
        Ok(())
    }

    /// The metric of the claim: by default that of the published value, else the training error.
    fn metric(&mut self) -> Result<String, String> {
        let defined = self.form.iter().find_map(|(_, form)| match form {
            Form::Bound(_, bound) => bound.published.map(|(published, _)| published.metric),
            Form::Higher(_) | Form::Trend(..) | Form::NoWorseThan(_) | Form::SameAs(_) => None,
        });
        match (self.metric.take(), defined) {
            (None, defined) => Ok(defined.unwrap_or("train_err_pct").to_owned()),
            (Some(metric), Some(defined)) if metric != defined => Err(format!(
                "metric = \"{metric}\": the published value is a {defined}; leave metric out"
            )),
            (Some(metric), _) => Ok(metric),
        }
    }

    /// What a run counts with.
    fn measure(&mut self) -> Result<Measure, String> {
        let layers = match (self.layer.take(), self.over_layers.take()) {
            (Some(_), Some(_)) => return Err("give layer or over_layers, not both".into()),
            (Some(layer), None) => Some(layer),
            (None, over) => over.map(Layers::Over),
        };
        let Some((metric, bar)) = self.updates_to.take() else {
            let when = self.step.unwrap_or(When::Last);
            return Ok(Measure { metric: self.metric()?, when, layers });
        };
        if self.metric.is_some() || self.step.is_some() || layers.is_some() {
            return Err("updates_to takes the place of metric, step, layer and over_layers".into());
        }
        Ok(Measure { metric, when: When::FirstBelow(bar), layers })
    }

    /// What the effect is.
    fn effect(&self) -> Result<Effect, String> {
        match (self.share_below, self.scale.unwrap_or_default()) {
            (None, Scale::Linear) => Ok(Effect::Mean),
            (None, Scale::Log) => Ok(Effect::Factor),
            (None, Scale::Rank) => Ok(Effect::Rank),
            (Some(below), Scale::Linear) => Ok(Effect::Share { below }),
            (Some(_), scale @ (Scale::Log | Scale::Rank)) => {
                Err(format!("share_below does not go with scale = \"{scale}\""))
            }
        }
    }

    /// The relation of the one form that is given.
    fn relation(mut self, effect: Effect) -> Result<Relation, String> {
        let mut forms = std::mem::take(&mut self.form);
        let (Some((key, form)), true) = (forms.pop(), forms.is_empty()) else {
            return Err(FORMS.into());
        };
        let missing = |key: ClaimKey| move || format!("{key} is missing ({FORMS})");
        let mut of = || self.of.take().ok_or_else(missing(ClaimKey::Of));
        let mut margin = || {
            let margin = self.margin.take().filter(|margin| *margin > 0.0);
            let expected = "margin is missing: the largest irrelevant difference, above 0";
            margin.ok_or_else(|| expected.to_owned())
        };
        let neutral = effect.neutral();
        let mut by_at_least = || self.by_at_least.take().unwrap_or(neutral);
        let relation = match form {
            Form::Higher(higher) => Relation::Higher {
                higher,
                lower: self.lower.take().ok_or_else(missing(ClaimKey::Lower))?,
                by_at_least: by_at_least(),
            },
            Form::Trend(direction, over) => {
                Relation::Trend { of: of()?, over, direction, by_at_least: by_at_least() }
            }
            Form::Bound(limit, bound) => {
                Relation::Bound { of: of()?, limit, bound: bound.value, source: bound.source() }
            }
            Form::NoWorseThan(than) => Relation::NoWorse { of: of()?, than, margin: margin()? },
            Form::SameAs(as_) => Relation::Same { of: of()?, as_, margin: margin()? },
        };
        let left = [
            (self.of.is_some(), ClaimKey::Of),
            (self.lower.is_some(), ClaimKey::Lower),
            (self.by_at_least.is_some(), ClaimKey::ByAtLeast),
            (self.margin.is_some(), ClaimKey::Margin),
        ];
        match left.iter().find(|(is_left, _)| *is_left) {
            Some((_, extra)) => Err(format!("{extra} does not go with {key} ({FORMS})")),
            None => Ok(relation),
        }
    }
}
