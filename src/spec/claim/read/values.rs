//! Values of the keys of a claim.

use crate::SpecError;
use crate::claim::{Layers, Selector, When};
use crate::file::{Reader, Values};
use crate::leaves::{json, keyword, number, word};
use crate::names::full_name;
use fathom_base::key::epochs;
use serde_json::Value;
use std::collections::BTreeSet;
use toml::Spanned;
use toml::de::DeValue;

/// The keys of `updates_to`.
#[derive(Clone, Copy, Debug, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
enum UpdatesToKey {
    Metric,
    Below,
}

/// A difference of at least 0.
pub(super) fn difference(value: &Spanned<DeValue<'_>>) -> Result<f64, String> {
    let difference = number(value)?;
    if difference < 0.0 {
        Err(format!("{difference}: expected at least 0"))
    } else {
        Ok(difference)
    }
}

/// `{ family = "plain", depth = 44 }`: keys by their full or short names, and perhaps `arm`.
pub(super) fn selector(
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
pub(super) fn keys(value: &Spanned<DeValue<'_>>) -> Result<BTreeSet<String>, String> {
    let expected = "expected a list of keys, such as [\"training.lr\"]";
    let Value::Array(items) = json(value)? else { return Err(expected.into()) };
    items.iter().map(|item| full_name(item.as_str().ok_or(expected)?)).collect()
}

/// True or false.
pub(super) fn flag(value: &Spanned<DeValue<'_>>) -> Result<bool, String> {
    json(value)?.as_bool().ok_or_else(|| "expected true or false".into())
}

/// A number of updates, or a text in epochs.
pub(super) fn step(value: &Spanned<DeValue<'_>>) -> Result<When, String> {
    let found = json(value)?;
    let in_epochs = || found.as_str().and_then(epochs).map(When::Epochs);
    found.as_u64().map(When::Step).or_else(in_epochs).ok_or_else(|| {
        "expected a number of updates, from 0, or a text such as \"20 epochs\"".into()
    })
}

/// A layer by its position or its name.
pub(super) fn layer(value: &Spanned<DeValue<'_>>) -> Result<Layers, String> {
    let found = json(value)?;
    match (found.as_u64(), found.as_str()) {
        (Some(place @ 1..), _) => Ok(Layers::At(place)),
        (_, Some(name)) => Ok(Layers::Named(name.to_owned())),
        (_, None) => {
            Err("expected the position of a layer, from 1 at the input, or its name".into())
        }
    }
}

/// `{ metric = "train_err_pct", below = 20 }`.
pub(super) fn updates_to(value: &Spanned<DeValue<'_>>) -> Result<(String, f64), String> {
    let form = "expected { metric = \"train_err_pct\", below = 20 }";
    let (mut metric, mut below) = (None, None);
    for (key, value) in value.get_ref().as_table().ok_or(form)? {
        match keyword(key.get_ref())? {
            UpdatesToKey::Metric => metric = Some(word(value)?),
            UpdatesToKey::Below => below = Some(number(value)?),
        }
    }
    metric.zip(below).ok_or_else(|| form.into())
}
