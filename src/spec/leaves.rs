//! Values of a TOML file as JSON, words, numbers and tables; errors say what was expected.

use fathom_base::key::{Choice, nearest};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::str::FromStr;
use strum::VariantNames;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The key of this name among a fixed set of keys.
pub(super) fn keyword<K: FromStr + VariantNames>(name: &str) -> Result<K, String> {
    name.parse().map_err(|_| {
        let meant = nearest(name, K::VARIANTS.iter().copied());
        let hint = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
        format!("unknown key {name}{hint} (valid: {})", K::VARIANTS.join(", "))
    })
}

/// Appends the leaves of a table by their dotted names below `name`, each with `place`.
pub(super) fn collect_leaves<'a>(
    name: &str,
    value: &'a Spanned<DeValue<'a>>,
    place: String,
    leaves: &mut Vec<(String, &'a Spanned<DeValue<'a>>, String)>,
) {
    match value.get_ref() {
        DeValue::Table(table) => {
            for (key, value) in table {
                collect_leaves(&format!("{name}.{}", key.get_ref()), value, place.clone(), leaves);
            }
        }
        _ => leaves.push((name.to_owned(), value, place)),
    }
}

/// A value that is neither a table nor a date.
pub(super) fn json(value: &Spanned<DeValue<'_>>) -> Result<Value, String> {
    match value.get_ref() {
        DeValue::String(text) => Ok(Value::from(text.as_ref())),
        DeValue::Boolean(flag) => Ok(Value::from(*flag)),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map(|n| u64::try_from(n).map_or_else(|_| Value::from(n), Value::from))
            .map_err(|_| format!("{number} is too large")),
        DeValue::Float(number) => number
            .as_str()
            .parse()
            .ok()
            .filter(|x: &f64| x.is_finite())
            .map(Value::from)
            .ok_or_else(|| format!("{number} is not a finite number")),
        DeValue::Array(items) => items.iter().map(json).collect(),
        DeValue::Table(_) => Err("expected a value, found a table".into()),
        DeValue::Datetime(_) => Err("expected a number, text or list, found a date".into()),
    }
}

/// A string.
pub(super) fn word(value: &Spanned<DeValue<'_>>) -> Result<String, String> {
    value
        .get_ref()
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| "expected a string, such as \"name\"".into())
}

/// A text that figures and reports can show.
pub(super) fn note(value: &Spanned<DeValue<'_>>) -> Result<String, String> {
    let text = word(value)?;
    check_note(&text).map(|()| text)
}

/// Checks that a note has no control characters but line ends and tabs: SVG cannot have them.
///
/// # Errors
/// When it has, with the first of them.
pub fn check_note(text: &str) -> Result<(), String> {
    let is_shown = |letter: &char| !letter.is_control() || "\n\r\t".contains(*letter);
    match text.chars().find(|letter| !is_shown(letter)) {
        Some(letter) => Err(format!(
            "expected a text without control characters such as {}",
            letter.escape_default()
        )),
        None => Ok(()),
    }
}

/// A table.
pub(super) fn subtable<'a, 'b>(value: &'b Spanned<DeValue<'a>>) -> Result<&'b DeTable<'a>, String> {
    value.get_ref().as_table().ok_or_else(|| "expected a table".into())
}

/// An array of tables with the header `[[key]]`.
pub(super) fn tables<'a, 'b>(
    key: &str,
    value: &'b Spanned<DeValue<'a>>,
) -> Result<Vec<&'b DeTable<'a>>, String> {
    let array = value.get_ref().as_array();
    let array = array
        .ok_or_else(|| format!("expected tables under the header [[{key}]], in double brackets"))?;
    array.iter().map(subtable).collect()
}

/// A finite number.
pub(super) fn number(value: &Spanned<DeValue<'_>>) -> Result<f64, String> {
    json(value)?.as_f64().ok_or_else(|| "expected a number".into())
}

/// A list of whole numbers.
pub(super) fn numbers<N: TryFrom<i128>>(value: &Spanned<DeValue<'_>>) -> Result<Vec<N>, String> {
    let expected = "expected a list of whole numbers";
    let Value::Array(items) = json(value)? else { return Err(expected.into()) };
    let whole = |item: &Value| item.as_u64().map(i128::from).or(item.as_i64().map(i128::from));
    let number = |item: &Value| whole(item).and_then(|number| N::try_from(number).ok());
    items.iter().map(|item| number(item).ok_or_else(|| expected.into())).collect()
}

/// One of the words of a choice.
pub(super) fn one_of<C: Choice + DeserializeOwned>(
    value: &Spanned<DeValue<'_>>,
) -> Result<C, String> {
    let found = json(value)?;
    serde_json::from_value(found.clone()).map_err(|_| {
        let words: Vec<&str> = C::all().iter().map(|choice| choice.text()).collect();
        format!("{found}: expected one of {}", words.join(", "))
    })
}
