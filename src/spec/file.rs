//! The text of an experiment as flat dotted keys with their lines.

use super::SpecError;
use super::claim::{Claim, Deciding};
use super::keys::KEYS;
use super::leaves::{collect_leaves, json, number, numbers, subtable, tables, word};
use fathom_arch::families;
use fathom_base::key::{Key, nearest};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value with the place where it was given.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Given {
    pub value: Value,
    pub place: String,
}

/// Values by full dotted key.
pub(super) type Values = BTreeMap<String, Given>;

/// What stands in an experiment file; every key is known and every value is of its kind.
#[derive(Clone, Debug, Default)]
pub(super) struct File {
    pub name: String,
    pub note: Option<String>,
    pub base: Values,
    pub sweep: BTreeMap<String, (Vec<Value>, String)>,
    pub arms: Vec<(String, Values)>,
    pub overrides: Vec<Override>,
    pub claims: Vec<Claim>,
    pub deciding: Deciding,
}

/// `[[override]]`.
#[derive(Clone, Debug)]
pub(super) struct Override {
    pub when: Values,
    pub set: Values,
}

/// All definitions of a key: families may share a name.
pub(super) fn definitions(name: &str) -> impl Iterator<Item = &'static Key> {
    let of_families = families().flat_map(|family| family.keys());
    KEYS.iter().chain(of_families).filter(move |key| key.name == name)
}

/// All names of keys.
pub(super) fn all_names() -> impl Iterator<Item = &'static str> {
    let of_families = families().flat_map(|family| family.keys());
    KEYS.iter().chain(of_families).map(|key| key.name)
}

/// `value` in canonical form for `key`, or what would be valid.
pub(super) fn normalise(name: &str, value: &Value) -> Result<Value, String> {
    if name == "network.family" {
        let known: Vec<&str> = families().map(|family| family.name()).collect();
        return match value.as_str() {
            Some(word) if known.contains(&word) => Ok(value.clone()),
            _ => Err(format!("{name} = {value}: expected one of {}", known.join(", "))),
        };
    }
    let mut expected = None;
    for key in definitions(name) {
        if let Some(value) = key.kind.normalise(value) {
            return Ok(value);
        }
        expected.get_or_insert(key.kind);
    }
    match expected {
        Some(kind) => Err(format!("{name} = {value}: expected {kind}")),
        None => Err(unknown(name)),
    }
}

fn unknown(name: &str) -> String {
    match nearest(name, all_names()) {
        Some(meant) => format!("unknown key {name}; did you mean {meant}?"),
        None => format!("unknown key {name}"),
    }
}

pub(super) struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
}

pub(super) type Table<'a> = DeTable<'a>;

impl File {
    /// Reads an experiment.
    pub fn parse(path: &Path, text: &str) -> Result<Self, SpecError> {
        let reader = Reader { path, text };
        let table = DeTable::parse(text).map_err(|error| SpecError {
            place: reader.place(error.span().map_or(0, |span| span.start)),
            message: error.message().to_owned(),
        })?;
        let mut file = File::default();
        for (key, value) in table.get_ref() {
            let place = reader.place(key.span().start);
            let fail = |message: String| SpecError { place: place.clone(), message };
            let name = key.get_ref().as_ref();
            match name {
                "name" => file.name = word(value).map_err(fail)?,
                "note" => file.note = Some(word(value).map_err(fail)?),
                "sweep" => reader.sweep(subtable(value).map_err(fail)?, &mut file)?,
                "arm" => {
                    for table in tables(value).map_err(fail)? {
                        file.arms.push(reader.arm(table, &place)?);
                    }
                }
                "claim" => {
                    for table in tables(value).map_err(fail)? {
                        file.claims.push(Claim::read(&reader, table, &place)?);
                    }
                }
                "level" => file.deciding.level = level(value).map_err(fail)?,
                "looks" => file.deciding.looks = looks(value).map_err(fail)?,
                "override" => {
                    for table in tables(value).map_err(fail)? {
                        file.overrides.push(reader.override_(table)?);
                    }
                }
                "data" | "network" | "training" | "evaluate" | "seed" => {
                    reader.flatten(name, value, &place, &mut file.base)?;
                }
                _ => {
                    let known = [
                        "name", "note", "data", "network", "training", "evaluate", "seed", "sweep",
                        "arm", "override", "claim", "level", "looks",
                    ];
                    let hint = nearest(name, known).unwrap_or("one of those");
                    return Err(fail(format!(
                        "unknown key {name}; did you mean {hint}? (known: {})",
                        known.join(", ")
                    )));
                }
            }
        }
        if file.name.is_empty() {
            return Err(reader.fault("the experiment has no name: add name = \"...\""));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if !file.name.chars().all(plain) || file.name.starts_with('.') {
            return Err(reader.fault("name: use letters, digits, '-', '_' and '.' only"));
        }
        let mut names = BTreeSet::new();
        for claim in &file.claims {
            if !names.insert(&claim.name) {
                let message = format!("two claims are named \"{}\"", claim.name);
                return Err(SpecError { place: claim.place.clone(), message });
            }
        }
        Ok(file)
    }
}

/// Chance of a wrong verdict.
fn level(value: &Spanned<DeValue<'_>>) -> Result<f64, String> {
    let level = number(value)?;
    let valid = level > 0.0 && level < 0.5;
    if valid { Ok(level) } else { Err(format!("level = {level}: expected above 0 and below 0.5")) }
}

/// Numbers of seeds, ascending.
fn looks(value: &Spanned<DeValue<'_>>) -> Result<Vec<usize>, String> {
    let looks: Vec<usize> = numbers(value)?;
    let ascends = looks.is_sorted_by(|a, b| a < b) && looks.first().is_some_and(|n| *n >= 2);
    if ascends {
        Ok(looks)
    } else {
        Err("looks: expected numbers of seeds that ascend from at least 2, such as [3, 5, 8]"
            .into())
    }
}

impl Reader<'_> {
    pub fn place(&self, offset: usize) -> String {
        let line = self.text[..offset.min(self.text.len())].matches('\n').count() + 1;
        format!("{}:{line}", self.path.display())
    }

    fn fault(&self, message: &str) -> SpecError {
        SpecError { place: self.path.display().to_string(), message: message.into() }
    }

    /// Tables become dotted keys; leaves are checked against the key that they name.
    pub fn flatten(
        &self,
        name: &str,
        value: &Spanned<DeValue<'_>>,
        place: &str,
        into: &mut Values,
    ) -> Result<(), SpecError> {
        if let DeValue::Table(table) = value.get_ref() {
            for (key, value) in table {
                let place = self.place(key.span().start);
                self.flatten(&format!("{name}.{}", key.get_ref()), value, &place, into)?;
            }
            return Ok(());
        }
        let fail = |message| SpecError { place: place.to_owned(), message };
        let value = normalise(name, &json(value).map_err(fail)?).map_err(fail)?;
        if into.insert(name.into(), Given { value, place: place.into() }).is_some() {
            return Err(fail(format!("{name} is given twice")));
        }
        Ok(())
    }

    fn sweep(&self, table: &Table<'_>, file: &mut File) -> Result<(), SpecError> {
        let mut leaves = Vec::new();
        for (key, value) in table {
            collect_leaves(key.get_ref(), value, self.place(key.span().start), &mut leaves);
        }
        for (name, value, place) in leaves {
            let fail = |message| SpecError { place: place.clone(), message };
            if definitions(&name).next().is_none() {
                return Err(fail(unknown(&name)));
            }
            let Value::Array(items) = json(value).map_err(fail)? else {
                return Err(fail(format!("{name}: expected a list of values to sweep over")));
            };
            file.sweep.insert(name.clone(), (axis(&name, &items).map_err(fail)?, place));
        }
        Ok(())
    }

    fn arm(&self, table: &Table<'_>, place: &str) -> Result<(String, Values), SpecError> {
        let (mut name, mut values) = (None, Values::new());
        for (key, value) in table {
            let place = self.place(key.span().start);
            if key.get_ref() == "name" {
                name = Some(word(value).map_err(|message| SpecError { place, message })?);
            } else {
                self.flatten(key.get_ref(), value, &place, &mut values)?;
            }
        }
        let name = name.ok_or_else(|| SpecError {
            place: place.into(),
            message: "an [[arm]] needs a name".into(),
        })?;
        Ok((name, values))
    }

    fn override_(&self, table: &Table<'_>) -> Result<Override, SpecError> {
        let mut found = Override { when: Values::new(), set: Values::new() };
        for (key, value) in table {
            let place = self.place(key.span().start);
            let fail = |message: String| SpecError { place: place.clone(), message };
            let inner = subtable(value).map_err(fail)?;
            match key.get_ref().as_ref() {
                "when" => {
                    for (key, value) in inner {
                        let full = full_name(key.get_ref()).map_err(fail)?;
                        self.flatten(&full, value, &place, &mut found.when)?;
                    }
                }
                "set" => {
                    for (key, value) in inner {
                        self.flatten(key.get_ref(), value, &place, &mut found.set)?;
                    }
                }
                other => return Err(fail(format!("unknown key {other}; valid: when, set"))),
            }
        }
        Ok(found)
    }
}

/// The values of an axis, each of its key's kind, none twice.
pub(super) fn axis(name: &str, items: &[Value]) -> Result<Vec<Value>, String> {
    let mut values = Vec::new();
    for item in items {
        let value = normalise(name, item)?;
        if values.contains(&value) {
            return Err(format!("{name}: {value} stands twice"));
        }
        values.push(value);
    }
    if values.is_empty() { Err(format!("{name}: the list is empty")) } else { Ok(values) }
}

/// `depth` may stand for `network.depth` where it is the only key that ends so.
pub(super) fn full_name(name: &str) -> Result<String, String> {
    if definitions(name).next().is_some() {
        return Ok(name.into());
    }
    let mut matches: Vec<&str> = all_names()
        .filter(|full| full.strip_suffix(name).is_some_and(|p| p.ends_with('.')))
        .collect();
    matches.sort_unstable();
    matches.dedup();
    match matches.as_slice() {
        [one] => Ok((*one).into()),
        [] => Err(unknown(name)),
        several => Err(format!("{name} may be {}", several.join(" or "))),
    }
}
