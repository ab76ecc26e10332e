//! A `[[claim]]` from its table.

use super::{Claim, Relation, Selector, Tune};
use crate::SpecError;
use crate::file::{Reader, Table, Values, full_name};
use crate::leaves::{json, number, numbers, word};
use crate::published::published;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use toml::Spanned;
use toml::de::DeValue;

const KNOWN: [&str; 16] = [
    "name",
    "metric",
    "step",
    "higher",
    "lower",
    "by_at_least",
    "of",
    "rises_with",
    "falls_with",
    "at_most",
    "at_least",
    "no_worse_than",
    "same_as",
    "margin",
    "tune",
    "also_differs",
];

/// What the forms of claims are, for messages.
const FORMS: &str = "a claim has higher and lower, or of with one of rises_with, falls_with, \
                     at_most, at_least, no_worse_than, same_as";

/// The keys of one `[[claim]]` as they were read.
#[derive(Default)]
struct Given {
    words: BTreeMap<&'static str, String>,
    numbers: BTreeMap<&'static str, f64>,
    step: Option<u64>,
    selectors: BTreeMap<&'static str, Selector>,
    published: Option<(f64, &'static str, String)>,
    also_differs: BTreeSet<String>,
    tune: Option<Tune>,
}

impl Claim {
    /// Reads a `[[claim]]`.
    pub(crate) fn read(reader: &Reader, table: &Table<'_>, place: &str) -> Result<Self, SpecError> {
        let mut given = Given::default();
        let mut place = place.to_owned();
        for (key, value) in table {
            let here = reader.place(key.span().start);
            let fail = |message: String| SpecError { place: here.clone(), message };
            let written = key.get_ref().as_ref();
            let Some(&key) = KNOWN.iter().find(|known| **known == written) else {
                let near = fathom_base::key::nearest(written, KNOWN);
                let hint = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
                return Err(fail(format!("unknown key {written}{hint} ({FORMS})")));
            };
            match key {
                "name" | "metric" => {
                    given.words.insert(key, word(value).map_err(fail)?);
                    if key == "name" {
                        place.clone_from(&here);
                    }
                }
                "rises_with" | "falls_with" => {
                    let name = full_name(&word(value).map_err(fail)?).map_err(fail)?;
                    given.words.insert(key, name);
                }
                "step" => {
                    let step = json(value).map_err(fail)?;
                    let step = step.as_u64().ok_or_else(|| {
                        fail(format!("step = {step}: expected a number of updates, from 0"))
                    })?;
                    given.step = Some(step);
                }
                "by_at_least" | "margin" => {
                    let least = number(value).map_err(fail)?;
                    if least < 0.0 {
                        return Err(fail(format!("{key} = {least}: expected at least 0")));
                    }
                    given.numbers.insert(key, least);
                }
                "at_most" | "at_least" => {
                    given.bound(key, reader, value, &here)?;
                }
                "also_differs" => given.also_differs = keys(value).map_err(fail)?,
                "tune" => given.tune = Some(tune(value).map_err(fail)?),
                _ => {
                    given.selectors.insert(key, selector(reader, value, &here)?);
                }
            }
        }
        let fail = |message: String| SpecError { place: place.clone(), message };
        let name = given.words.remove("name");
        let name = name.ok_or_else(|| fail("a [[claim]] needs a name".into()))?;
        let metric = given.metric().map_err(fail)?;
        let (tune, step) = (given.tune.take(), given.step);
        let also_differs = std::mem::take(&mut given.also_differs);
        let relation =
            given.relation().map_err(|message| fail(format!("claim \"{name}\": {message}")))?;
        Ok(Self { name, metric, step, relation, tune, also_differs, place })
    }
}

impl Given {
    /// `at_most = 9.0`, or `at_most = { published = "resnet-20/test", plus = 0.5 }`.
    fn bound(
        &mut self,
        key: &'static str,
        reader: &Reader,
        value: &Spanned<DeValue<'_>>,
        place: &str,
    ) -> Result<(), SpecError> {
        let Some(table) = value.get_ref().as_table() else {
            let fail = |message| SpecError { place: place.to_owned(), message };
            self.numbers.insert(key, number(value).map_err(fail)?);
            return Ok(());
        };
        let (mut found, mut plus) = (None, 0.0);
        for (inner, value) in table {
            let place = reader.place(inner.span().start);
            let fail = |message| SpecError { place: place.clone(), message };
            match inner.get_ref().as_ref() {
                "published" => {
                    found = Some(published(&word(value).map_err(fail)?).map_err(fail)?);
                }
                "plus" => plus = number(value).map_err(fail)?,
                other => {
                    return Err(fail(format!("unknown key {other}; valid: published, plus")));
                }
            }
        }
        let found = found.ok_or_else(|| SpecError {
            place: place.into(),
            message: format!("{key}: expected a number, or {{ published = \"…\", plus = … }}"),
        })?;
        self.numbers.insert(key, found.value + plus);
        let sum = if plus == 0.0 { String::new() } else { format!(" {plus:+}") };
        let unit = if found.metric.ends_with("_pct") { "%" } else { "" };
        let said = format!("{} = {}{unit}{sum} ({})", found.name, found.value, found.source);
        self.published = Some((found.value, found.metric, said));
        Ok(())
    }

    /// The column that the claim is about: that of the published value where there is one.
    fn metric(&mut self) -> Result<String, String> {
        let defined = self.published.as_ref().map(|(_, metric, _)| *metric);
        let metric = match (self.words.remove("metric"), defined) {
            (None, defined) => defined.unwrap_or("train_err_pct").to_owned(),
            (Some(metric), Some(defined)) if metric != defined => {
                return Err(format!(
                    "metric = \"{metric}\": the published value is an error as {defined} is"
                ));
            }
            (Some(metric), _) => metric,
        };
        Ok(metric)
    }

    fn relation(mut self) -> Result<Relation, String> {
        let mut kinds = Vec::new();
        let of_words = ["rises_with", "falls_with"];
        let of_numbers = ["at_most", "at_least"];
        let of_selectors = ["higher", "no_worse_than", "same_as"];
        kinds.extend(of_words.into_iter().filter(|key| self.words.contains_key(key)));
        kinds.extend(of_numbers.into_iter().filter(|key| self.numbers.contains_key(key)));
        kinds.extend(of_selectors.into_iter().filter(|key| self.selectors.contains_key(key)));
        let [kind] = kinds.as_slice() else {
            return Err(FORMS.into());
        };
        let relation = match *kind {
            "higher" => Relation::Higher {
                higher: self.selector("higher")?,
                lower: self.selector("lower")?,
                by_at_least: self.numbers.remove("by_at_least").unwrap_or(0.0),
            },
            "rises_with" | "falls_with" => Relation::Trend {
                of: self.selector("of")?,
                over: self.words.remove(kind).unwrap_or_default(),
                rises: *kind == "rises_with",
                by_at_least: self.numbers.remove("by_at_least").unwrap_or(0.0),
            },
            "at_most" | "at_least" => Relation::Bound {
                of: self.selector("of")?,
                at_most: *kind == "at_most",
                bound: self.numbers.remove(kind).unwrap_or_default(),
                source: self.published.take().map(|(_, _, source)| source),
            },
            "no_worse_than" => Relation::NoWorse {
                of: self.selector("of")?,
                than: self.selector("no_worse_than")?,
                margin: self.margin()?,
            },
            _ => Relation::Same {
                of: self.selector("of")?,
                as_: self.selector("same_as")?,
                margin: self.margin()?,
            },
        };
        let left = self.numbers.keys().chain(self.selectors.keys()).next();
        match left {
            Some(key) => Err(format!("{key} does not go with {kind} ({FORMS})")),
            None => Ok(relation),
        }
    }

    fn selector(&mut self, key: &str) -> Result<Selector, String> {
        self.selectors.remove(key).ok_or_else(|| format!("{key} is missing ({FORMS})"))
    }

    fn margin(&mut self) -> Result<f64, String> {
        let margin = self.numbers.remove("margin").filter(|margin| *margin > 0.0);
        margin.ok_or_else(|| "margin is missing: the difference that does not matter".into())
    }
}

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
    let mut found = Selector::new();
    for (key, value) in table {
        if key.get_ref() == "arm" {
            found.insert("arm".into(), word(value).map_err(fail)?.into());
            continue;
        }
        let full = full_name(key.get_ref()).map_err(fail)?;
        if full == "seed" {
            return Err(fail("seed: a claim is about all seeds".into()));
        }
        reader.flatten(&full, value, place, &mut values)?;
    }
    found.extend(values.into_iter().map(|(key, given)| (key, given.value)));
    Ok(found)
}

/// A list of full keys.
fn keys(value: &Spanned<DeValue<'_>>) -> Result<BTreeSet<String>, String> {
    let Value::Array(items) = json(value)? else { return Err("expected a list of keys".into()) };
    let name = |item: &Value| full_name(item.as_str().ok_or("expected a list of keys")?);
    items.iter().map(name).collect()
}

/// `{ over = "training.lr", seeds = [0, 1] }`.
fn tune(value: &Spanned<DeValue<'_>>) -> Result<Tune, String> {
    let form = "expected { over = \"training.lr\", seeds = [100, 101] }";
    let table = value.get_ref().as_table().ok_or(form)?;
    let (mut over, mut seeds, mut by) = (None, BTreeSet::new(), "validation_err_pct".to_owned());
    for (key, value) in table {
        match key.get_ref().as_ref() {
            "over" => over = Some(full_name(&word(value)?)?),
            "seeds" => seeds = numbers(value)?.into_iter().collect(),
            "by" => by = word(value)?,
            other => return Err(format!("unknown key {other}; valid: over, seeds, by")),
        }
    }
    if !["validation_err_pct", "validation_loss"].contains(&by.as_str()) {
        return Err(format!(
            "by = \"{by}\": expected validation_err_pct or validation_loss, since what is chosen \
             by looking must not look at what is claimed"
        ));
    }
    match over {
        Some(over) if !seeds.is_empty() => Ok(Tune { over, seeds, by }),
        _ => Err(form.into()),
    }
}
