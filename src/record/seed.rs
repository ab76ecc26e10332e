//! Seeds of runs.

use serde_json::Value;
use std::collections::BTreeMap;

/// The seed of a run: an integer that JSON files hold exactly, from −2⁶³ to 2⁶⁴ − 1.
pub type Seed = i128;

/// The seed of a configuration; nothing where it is absent or no integer in the range of [`Seed`].
pub fn seed(config: &BTreeMap<String, Value>) -> Option<Seed> {
    let value = config.get("seed")?;
    value.as_u64().map(Seed::from).or_else(|| value.as_i64().map(Seed::from))
}

/// Reads a seed from text.
pub(super) fn parse(text: &str) -> Option<Seed> {
    let range = Seed::from(i64::MIN)..=Seed::from(u64::MAX);
    text.parse().ok().filter(|seed| range.contains(seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_integer_that_json_holds_is_a_seed_and_nothing_else_is() {
        for (text, expected) in [
            ("0", Some(0)),
            ("-3", Some(-3)),
            ("-9223372036854775808", Some(Seed::from(i64::MIN))),
            ("18446744073709551615", Some(Seed::from(u64::MAX))),
            ("18446744073709551616", None),
            ("1.5", None),
            ("\"1\"", None),
            ("null", None),
        ] {
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(seed(&[("seed".to_owned(), value)].into()), expected, "{text}");
            assert_eq!(parse(text), expected, "{text}");
        }
        assert_eq!(seed(&BTreeMap::new()), None);
    }
}
