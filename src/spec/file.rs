//! The text of an experiment file as flat dotted keys with their lines.

#![deny(clippy::wildcard_enum_match_arm)]

mod place;

use super::SpecError;
use super::claim::{Claim, Deciding, Tune, experiment_tune};
use super::expand::file_safe;
use super::keys::KEYS;
use super::leaves::{
    collect_leaves, json, keyword, note, number, numbers, one_of, subtable, tables, word,
};
use super::names::{Names, full_name, unknown_key};
use fathom_arch::families;
use fathom_base::key::{Key, Kind};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value and where it was given: `file:line`, or `--set KEY=VALUE`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Given {
    pub value: Value,
    pub place: String,
}

/// Values by full dotted key.
pub(super) type Values = BTreeMap<String, Given>;

/// The content of an experiment file: every key is known, and every value is valid for its key.
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
    /// The table `[tune]`, with its place.
    pub tune: Option<(Tune, String)>,
}

/// An `[[override]]`: values that are set in every combination that has the values of `when`.
#[derive(Clone, Debug, Default)]
pub(super) struct Override {
    pub when: Values,
    pub set: Values,
}

/// The keys at the top level of an experiment file.
#[derive(Clone, Copy, Debug, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
enum TopKey {
    Name,
    Note,
    Data,
    Network,
    Training,
    Evaluate,
    Seed,
    Sweep,
    Arm,
    Override,
    Claim,
    Tune,
    Level,
    Looks,
    Pairing,
    AddedSeeds,
}

/// The keys of an `[[override]]`.
#[derive(Clone, Copy, Debug, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
enum OverrideKey {
    When,
    Set,
}

/// All definitions of the key of this name; families may define the same name differently.
pub(super) fn definitions(name: &str) -> impl Iterator<Item = &'static Key> {
    let of_families = families().flat_map(|family| family.keys());
    KEYS.iter().chain(of_families).filter(move |key| key.name == name)
}

/// The names of all keys.
pub(super) fn all_names() -> impl Iterator<Item = &'static str> {
    let of_families = families().flat_map(|family| family.keys());
    KEYS.iter().chain(of_families).map(|key| key.name)
}

/// The value in canonical form for the key of this name, or what would be valid.
pub(super) fn normalise(name: &str, value: &Value) -> Result<Value, String> {
    if name == "network.family" {
        let known: Vec<&str> = families().map(|family| family.name()).collect();
        return match value.as_str() {
            Some(word) if known.contains(&word) => Ok(value.clone()),
            Some(_) | None => {
                Err(format!("{name} = {value}: expected one of {}", known.join(", ")))
            }
        };
    }
    if let Some(value) = definitions(name).find_map(|key| key.kind.normalise(value)) {
        return Ok(value);
    }
    // Families may differ in their ranges, and in their choices, of which the most are named.
    let mut kinds: Vec<String> = definitions(name).map(|key| key.kind.to_string()).collect();
    kinds.sort_by_key(|kind| (kind.len(), kind.clone()));
    kinds.dedup();
    let is_choice = definitions(name).any(|key| matches!(key.kind, Kind::Choice(_)));
    match kinds.as_slice() {
        [] => Err(unknown_key(name)),
        [.., last] if is_choice || kinds.len() == 1 => {
            Err(format!("{name} = {value}: expected {last}"))
        }
        _ => {
            let kinds = kinds.join(", or ");
            Err(format!("{name} = {value}: expected, depending on network.family, {kinds}"))
        }
    }
}

/// Locates what is read from an experiment file.
pub(super) struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    /// What claims may name.
    pub names: Names,
}

impl File {
    /// Reads the text of an experiment file, whose claims may use `names`; `path` is for errors.
    pub fn parse(path: &Path, text: &str, names: Names) -> Result<Self, SpecError> {
        let reader = Reader { path, text, names };
        let table = DeTable::parse(text).map_err(|error| {
            let span = error.span().unwrap_or_default();
            let repeated = reader.repeated(error.message(), &span);
            let message = repeated.unwrap_or_else(|| error.message().to_owned());
            SpecError { place: reader.place(span.start), message }
        })?;
        let mut file = File::default();
        for (key, value) in table.get_ref() {
            let place = reader.place(key.span().start);
            let name = key.get_ref();
            let of_file = |message: String| SpecError { place: place.clone(), message };
            let fail = |message: String| of_file(format!("{name}: {message}"));
            match keyword(name).map_err(of_file)? {
                TopKey::Name => file.name = file_name(value).map_err(fail)?,
                TopKey::Note => file.note = Some(note(value).map_err(fail)?),
                TopKey::Sweep => reader.sweep(subtable(value).map_err(fail)?, &mut file)?,
                TopKey::Arm => {
                    for table in tables(name, value).map_err(fail)? {
                        let arm = reader.arm(table, &place)?;
                        let in_ids = file_safe(&arm.0);
                        if let Some((known, _)) =
                            file.arms.iter().find(|(known, _)| file_safe(known) == in_ids)
                        {
                            let message = format!(
                                "the arms \"{known}\" and \"{}\" have the same name in ids of runs: {in_ids}",
                                arm.0
                            );
                            return Err(SpecError {
                                place: reader.place_in(table, &place),
                                message,
                            });
                        }
                        file.arms.push(arm);
                    }
                }
                TopKey::Claim => {
                    for table in tables(name, value).map_err(fail)? {
                        file.claims.push(Claim::read(&reader, table, &place)?);
                    }
                }
                TopKey::Tune => {
                    let tune = experiment_tune(value, names).map_err(fail)?;
                    file.tune = Some((tune, place));
                }
                TopKey::Level => file.deciding.level = level(value).map_err(fail)?,
                TopKey::Looks => file.deciding.looks = looks(value).map_err(fail)?,
                TopKey::Pairing => file.deciding.pairing = one_of(value).map_err(fail)?,
                TopKey::AddedSeeds => {
                    file.deciding.added_seeds = numbers(value).map_err(fail)?.into_iter().collect();
                }
                TopKey::Override => {
                    for table in tables(name, value).map_err(fail)? {
                        file.overrides.push(reader.override_(table)?);
                    }
                }
                TopKey::Data
                | TopKey::Network
                | TopKey::Training
                | TopKey::Evaluate
                | TopKey::Seed => {
                    reader.flatten(name, value, &place, &mut file.base)?;
                }
            }
        }
        file.check_names(&reader)?;
        if !file.claims.iter().any(|claim| claim.is_primary) {
            file.claims.iter_mut().for_each(|claim| claim.is_primary = true);
        }
        file.tune_claims()?;
        Ok(file)
    }

    /// Tunes every claim as `[tune]` says. Which claims are primary is known.
    fn tune_claims(&mut self) -> Result<(), SpecError> {
        let Some((tune, place)) = &self.tune else { return Ok(()) };
        if !self.deciding.looks.is_empty() {
            let message =
                "tune: not with looks: further seeds would run at values that are not yet chosen";
            return Err(SpecError { place: place.clone(), message: message.into() });
        }
        for claim in &mut self.claims {
            let fail = |message: String| {
                let message = format!("claim \"{}\": {message}", claim.name);
                Err(SpecError { place: claim.place.clone(), message })
            };
            if claim.tune.is_some() {
                return fail("tune: the table [tune] tunes all claims of this experiment".into());
            }
            let over = &tune.over;
            if claim.named_keys().contains(over.as_str()) {
                return fail(format!("{over} is chosen by [tune], so a claim cannot select it"));
            }
            // An exploratory claim may be about another kind of metric: it has no verdict.
            if claim.is_primary {
                tune.check_kind(&claim.measure).or_else(fail)?;
            }
            claim.tune = Some(tune.clone());
        }
        Ok(())
    }

    fn check_names(&self, reader: &Reader) -> Result<(), SpecError> {
        if self.name.is_empty() {
            return Err(reader.fault("the experiment has no name: add name = \"...\""));
        }
        let mut names = BTreeSet::new();
        for claim in &self.claims {
            if !names.insert(&claim.name) {
                let message = format!("two claims are named \"{}\"", claim.name);
                return Err(SpecError { place: claim.place.clone(), message });
            }
        }
        Ok(())
    }
}

/// A name for files. File systems have room for 255 bytes, also for what is added to this one while a file is written.
fn file_name(value: &Spanned<DeValue<'_>>) -> Result<String, String> {
    const LONGEST: usize = 100;
    let name = word(value)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !name.chars().all(plain) || name.starts_with('.') {
        Err(format!("\"{name}\": expected letters, digits, '-', '_' and '.', not '.' first"))
    } else if name.len() > LONGEST {
        Err(format!("it has {} characters; expected at most {LONGEST}", name.len()))
    } else {
        Ok(name)
    }
}

/// The probability of a wrong verdict.
fn level(value: &Spanned<DeValue<'_>>) -> Result<f64, String> {
    let level = number(value)?;
    let valid = level > 0.0 && level < 0.5;
    if valid { Ok(level) } else { Err(format!("{level}: expected above 0 and below 0.5")) }
}

/// Numbers of seeds after which claims are tested, ascending.
fn looks(value: &Spanned<DeValue<'_>>) -> Result<Vec<usize>, String> {
    let looks: Vec<usize> = numbers(value)?;
    let ascends = looks.is_sorted_by(|a, b| a < b) && looks.first().is_some_and(|n| *n >= 2);
    if ascends {
        Ok(looks)
    } else {
        Err("expected ascending numbers of seeds of at least 2, such as [3, 5, 8]".into())
    }
}

impl Reader<'_> {
    /// Adds the values of a table by their dotted keys, each checked against its key.
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

    fn sweep(&self, table: &DeTable<'_>, file: &mut File) -> Result<(), SpecError> {
        let mut leaves = Vec::new();
        for (key, value) in table {
            collect_leaves(key.get_ref(), value, self.place(key.span().start), &mut leaves);
        }
        for (name, value, place) in leaves {
            let fail = |message| SpecError { place: place.clone(), message };
            if definitions(&name).next().is_none() {
                return Err(fail(unknown_key(&name)));
            }
            let Value::Array(items) = json(value).map_err(fail)? else {
                return Err(fail(format!(
                    "{name}: expected a list of values to sweep over, such as [1, 2]"
                )));
            };
            file.sweep.insert(name.clone(), (axis(&name, &items).map_err(fail)?, place));
        }
        Ok(())
    }

    fn arm(&self, table: &DeTable<'_>, place: &str) -> Result<(String, Values), SpecError> {
        let (mut name, mut values) = (None, Values::new());
        for (key, value) in table {
            let place = self.place(key.span().start);
            if key.get_ref() == "name" {
                let fail = |message| SpecError { place: place.clone(), message };
                let given = word(value).map_err(fail)?;
                if given.trim().is_empty() || given.contains(char::is_control) {
                    return Err(fail("the name of an arm is a line of text".into()));
                }
                name = Some(given);
            } else {
                self.flatten(key.get_ref(), value, &place, &mut values)?;
            }
        }
        let name = name.ok_or_else(|| SpecError {
            place: self.place_in(table, place),
            message: "an [[arm]] needs a name: name = \"...\"".into(),
        })?;
        Ok((name, values))
    }

    fn override_(&self, table: &DeTable<'_>) -> Result<Override, SpecError> {
        let mut found = Override::default();
        for (key, value) in table {
            let place = self.place(key.span().start);
            let fail = |message: String| SpecError { place: place.clone(), message };
            let inner = subtable(value).map_err(fail)?;
            match keyword(key.get_ref())
                .map_err(|message| fail(format!("[[override]]: {message}")))?
            {
                OverrideKey::When => {
                    for (key, value) in inner {
                        let full = full_name(key.get_ref()).map_err(fail)?;
                        self.flatten(&full, value, &place, &mut found.when)?;
                    }
                }
                OverrideKey::Set => {
                    for (key, value) in inner {
                        self.flatten(key.get_ref(), value, &place, &mut found.set)?;
                    }
                }
            }
        }
        Ok(found)
    }
}

/// The values of a swept key, in canonical form; a value may not occur twice.
pub(super) fn axis(name: &str, items: &[Value]) -> Result<Vec<Value>, String> {
    let mut values = Vec::new();
    for item in items {
        let value = normalise(name, item)?;
        if values.contains(&value) {
            return Err(format!("{name}: {value} is given twice"));
        }
        values.push(value);
    }
    if values.is_empty() { Err(format!("{name}: the list of values is empty")) } else { Ok(values) }
}

#[cfg(test)]
mod tests;
