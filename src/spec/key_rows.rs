//! The keys of experiment files as rows of a table, for the documentation.

#![deny(clippy::wildcard_enum_match_arm)]

use super::file::definitions;
use super::keys::KEYS;
use fathom_arch::{families, family};
use fathom_base::key::{Default, Key};

/// One key as a row of a table. All fields are plain text, not Markdown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// Full dotted name, such as `training.lr`.
    pub key: String,
    /// Valid values.
    pub values: String,
    /// The default as it is written in TOML, `required`, or `not set`.
    pub default: String,
    /// The condition under which the key has an effect, or `always`.
    pub applies: String,
    /// What the key means.
    pub meaning: String,
}

/// The sections that [`key_rows`] accepts: the tables of an experiment file, then the families.
pub fn key_sections() -> impl Iterator<Item = &'static str> {
    let tables = ["data", "network", "training", "evaluate"];
    tables.into_iter().chain(families().map(|family| family.name()))
}

/// The keys of a section in the order in which they are defined, or `None` for an unknown section.
///
/// A section is a table of an experiment file (`data`, `network`, `training`, `evaluate`), or the
/// name of a family for the `network.*` keys of that family. `seed`, which belongs to no table, is
/// the last row of `training`.
pub fn key_rows(section: &str) -> Option<Vec<KeyRow>> {
    key_sections().find(|known| *known == section)?;
    let is_in_section =
        |key: &&Key| key.name.split_once('.').map_or("training", |(table, _)| table) == section;
    Some(match family(section) {
        Some(family) => family.keys().iter().map(row).collect(),
        None => KEYS.iter().filter(is_in_section).map(row).collect(),
    })
}

/// The condition under which a key has an effect, such as `training.optimiser = "sgd"`.
fn condition(key: &Key) -> Option<String> {
    let one = |(name, words): &(&str, &[&str])| {
        let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
        format!("{name} = {}", words.join(" or "))
    };
    let all: Vec<String> = key.only_if.iter().map(one).collect();
    (!all.is_empty()).then(|| all.join(" and "))
}

/// Key whose effect depends on the layers of the network.
pub(super) const LESIONS: &str = "evaluate.lesions";

/// What an experiment needs for the key of this name to have an effect.
pub(super) fn needs(name: &str) -> Option<String> {
    if name == LESIONS {
        return Some("a network with blocks that can be deleted".into());
    }
    let of_families = families().filter(|family| family.keys().iter().any(|key| key.name == name));
    let families: Vec<String> =
        of_families.map(|family| format!("\"{}\"", family.name())).collect();
    let condition = definitions(name).next().and_then(condition);
    let family =
        (!families.is_empty()).then(|| format!("network.family = {}", families.join(" or ")));
    Some(family.into_iter().chain(condition).collect::<Vec<_>>().join(" and "))
        .filter(|needs| !needs.is_empty())
}

fn row(key: &Key) -> KeyRow {
    KeyRow {
        key: key.name.into(),
        values: match key.name {
            "network.family" => {
                let names = families().map(|family| format!("\"{}\"", family.name()));
                format!("one of {}", names.collect::<Vec<_>>().join(", "))
            }
            _ => key.kind.to_string(),
        },
        default: match key.default {
            Default::Required => "required".into(),
            Default::Absent => "not set".into(),
            Default::Count(_) | Default::Number(_) | Default::Word(_) | Default::Flag(_) => {
                key.default.value().map(|value| value.to_string()).unwrap_or_default()
            }
        },
        applies: condition(key).unwrap_or_else(|| "always".into()),
        meaning: key.help.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_a_row_of_exactly_one_section_with_the_fields_of_a_table() {
        let sections: Vec<&str> = key_sections().collect();
        let count: usize = sections.iter().map(|section| key_rows(section).unwrap().len()).sum();
        let of_families: usize = families().map(|family| family.keys().len()).sum();
        assert_eq!(count, KEYS.len() + of_families);
        let rows = key_rows("training").unwrap();
        let row = |name: &str| rows.iter().find(|row| row.key == name).unwrap();
        let nesterov = row("training.nesterov");
        assert_eq!(nesterov.values, "true or false");
        assert_eq!(nesterov.default, "false");
        assert_eq!(nesterov.applies, "training.optimiser = \"sgd\"");
        assert_eq!(row("training.iterations").default, "required");
        assert_eq!(row("training.norm_batch").default, "not set");
        assert_eq!(row("training.optimiser").default, "\"sgd\"");
        assert_eq!(row("training.lr").applies, "always");
        assert_eq!(
            row("training.warmup.iterations").applies,
            "training.warmup.kind = \"constant\" or \"linear\""
        );
        assert_eq!(rows.last().unwrap().key, "seed");
        let families = &key_rows("network").unwrap()[0].values;
        assert!(families.contains("\"residual\"") && families.contains("\"dense\""), "{families}");
        assert_eq!(key_rows("optimiser"), None);
    }
}
