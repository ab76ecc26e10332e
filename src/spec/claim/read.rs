//! A `[[claim]]` from its table.

#![deny(clippy::wildcard_enum_match_arm)]

use super::{Claim, Direction, Limit, Relation, Selector, Tune, TuneMetric};
use crate::SpecError;
use crate::file::{Reader, Values, full_name};
use crate::leaves::{json, keyword, number, numbers, word};
use crate::published::{PublishedValue, published_value};
use serde_json::Value;
use std::collections::BTreeSet;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The keys of a `[[claim]]`.
#[derive(Clone, Copy, Debug, strum::EnumString, strum::VariantNames, strum::Display)]
#[strum(serialize_all = "snake_case")]
enum ClaimKey {
    Name,
    Metric,
    Step,
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

/// The keys of a bound that is derived from a published value.
#[derive(Clone, Copy, Debug, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
enum BoundKey {
    Published,
    Plus,
}

/// The keys of `tune`.
#[derive(Clone, Copy, Debug, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
enum TuneKey {
    Over,
    Seeds,
    By,
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

/// A bound, and the published value with the summand that it was computed from.
struct Bound {
    value: f64,
    published: Option<(&'static PublishedValue, f64)>,
}

/// The fields of a `[[claim]]`, before its form is known.
#[derive(Default)]
struct ClaimFields {
    name: Option<String>,
    metric: Option<String>,
    step: Option<u64>,
    form: Vec<(ClaimKey, Form)>,
    lower: Option<Selector>,
    of: Option<Selector>,
    by_at_least: Option<f64>,
    margin: Option<f64>,
    tune: Option<Tune>,
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
        let mut place = place.to_owned();
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
        let metric = fields.metric().map_err(fail)?;
        let (step, tune) = (fields.step, fields.tune.take());
        let also_differs = std::mem::take(&mut fields.also_differs);
        let relation = fields.relation().map_err(fail)?;
        Ok(Self { name, metric, step, relation, tune, also_differs, place })
    }
}

impl ClaimFields {
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
        let key_name = || full_name(&word(value)?);
        let selector = || selector(reader, value, place);
        match key {
            ClaimKey::Name => self.name = Some(word(value).map_err(fail)?),
            ClaimKey::Metric => self.metric = Some(word(value).map_err(fail)?),
            ClaimKey::Step => {
                let step = json(value).map_err(fail)?.as_u64();
                let expected = || fail("expected a number of updates, from 0".into());
                self.step = Some(step.ok_or_else(expected)?);
            }
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
            ClaimKey::Tune => self.tune = Some(tune(value).map_err(fail)?),
            ClaimKey::AlsoDiffers => self.also_differs = keys(value).map_err(fail)?,
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

    /// The relation of the one form that is given.
    fn relation(mut self) -> Result<Relation, String> {
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
        let mut by_at_least = || self.by_at_least.take().unwrap_or(0.0);
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

impl Bound {
    /// The published value for a reader, such as `resnet-20/test = 8.75% +0.5 (1512.03385, Table 6)`.
    fn source(&self) -> Option<String> {
        let (published, plus) = self.published?;
        let sum = if plus == 0.0 { String::new() } else { format!(" {plus:+}") };
        let unit = if published.metric.ends_with("_pct") { "%" } else { "" };
        let PublishedValue { name, value, source, .. } = published;
        Some(format!("{name} = {value}{unit}{sum} ({source})"))
    }
}

/// `9.0`, or `{ published = "resnet-20/test", plus = 0.5 }`.
fn bound(value: &Spanned<DeValue<'_>>) -> Result<Bound, String> {
    let Some(table) = value.get_ref().as_table() else {
        return Ok(Bound { value: number(value)?, published: None });
    };
    let (mut published, mut plus) = (None, 0.0);
    for (key, value) in table {
        match keyword(key.get_ref())? {
            BoundKey::Published => published = Some(published_value(&word(value)?)?),
            BoundKey::Plus => plus = number(value)?,
        }
    }
    let published =
        published.ok_or("expected a number, or { published = \"resnet-20/test\", plus = 0.5 }")?;
    // The sum of two decimals is one too: 6.97 + 2 is 8.97, not 8.969999999999999.
    let value = ((published.value + plus) * 1e9).round() / 1e9;
    Ok(Bound { value, published: Some((published, plus)) })
}

/// A difference of at least 0.
fn difference(value: &Spanned<DeValue<'_>>) -> Result<f64, String> {
    let difference = number(value)?;
    if difference < 0.0 {
        Err(format!("{difference}: expected at least 0"))
    } else {
        Ok(difference)
    }
}

/// `{ family = "plain", depth = 44 }`: keys by their full or short names, and perhaps `arm`.
fn selector(
    reader: &Reader,
    value: &Spanned<DeValue<'_>>,
    place: &str,
) -> Result<Selector, SpecError> {
    let fail = |message| SpecError { place: place.to_owned(), message };
    let table = value.get_ref().as_table().ok_or_else(|| {
        fail("expected a table of keys, such as { family = \"plain\", depth = 44 }".into())
    })?;
    let mut values = Values::new();
    let mut arm = None;
    for (key, value) in table {
        if key.get_ref() == "arm" {
            arm = Some(word(value).map_err(fail)?);
            continue;
        }
        let full = full_name(key.get_ref()).map_err(fail)?;
        if full == "seed" {
            return Err(fail("seed: a claim is about all seeds; leave seed out".into()));
        }
        reader.flatten(&full, value, place, &mut values)?;
    }
    let keys = values.into_iter().map(|(key, given)| (key, given.value)).collect();
    Ok(Selector { arm, keys })
}

/// A list of keys, by their full names.
fn keys(value: &Spanned<DeValue<'_>>) -> Result<BTreeSet<String>, String> {
    let expected = "expected a list of keys, such as [\"training.lr\"]";
    let Value::Array(items) = json(value)? else { return Err(expected.into()) };
    items.iter().map(|item| full_name(item.as_str().ok_or(expected)?)).collect()
}

/// `{ over = "training.lr", seeds = [100, 101] }`.
fn tune(value: &Spanned<DeValue<'_>>) -> Result<Tune, String> {
    let form = "expected { over = \"training.lr\", seeds = [100, 101] }";
    let table = value.get_ref().as_table().ok_or(form)?;
    let (mut over, mut seeds, mut by) = (None, BTreeSet::new(), TuneMetric::default());
    for (key, value) in table {
        match keyword(key.get_ref())? {
            TuneKey::Over => over = Some(full_name(&word(value)?)?),
            TuneKey::Seeds => seeds = numbers(value)?.into_iter().collect(),
            TuneKey::By => {
                by = serde_json::from_value(json(value)?).map_err(|_| {
                    let valid = TuneMetric::WORDS.join(" or ");
                    format!("by: expected {valid}: tuning must not use the images of the claim")
                })?;
            }
        }
    }
    match over {
        Some(over) if !seeds.is_empty() => Ok(Tune { over, seeds, by }),
        Some(_) | None => Err(form.into()),
    }
}
