//! Values of the keys of a claim.

use crate::SpecError;
use crate::claim::{Layers, Selector, When};
use crate::file::Reader;
use crate::leaves::{collect_leaves, json, keyword, number, word};
use crate::names::Names;
use crate::resolve::Config;
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
    let mut keys = Config::new();
    let mut arm = None;
    for (key, value) in table {
        if key.get_ref() == "arm" {
            arm = Some(word(value).map_err(fail)?);
            continue;
        }
        let full = reader.names.key(key.get_ref()).map_err(fail)?;
        if full == "seed" {
            return Err(fail("seed: a claim is about all seeds; leave seed out".into()));
        }
        let mut leaves = Vec::new();
        collect_leaves(&full, value, place.to_owned(), &mut leaves);
        for (name, value, _) in leaves {
            let value = json(value).and_then(|value| reader.names.value(&name, value));
            if keys.insert(name.clone(), value.map_err(fail)?).is_some() {
                return Err(fail(format!("{name} is given twice")));
            }
        }
    }
    Ok(Selector { arm, keys })
}

/// A list of keys, by their full names.
pub(super) fn keys(value: &Spanned<DeValue<'_>>, names: Names) -> Result<BTreeSet<String>, String> {
    let expected = "expected a list of keys, such as [\"training.lr\"]";
    let Value::Array(items) = json(value)? else { return Err(expected.into()) };
    items.iter().map(|item| names.key(item.as_str().ok_or(expected)?)).collect()
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
