//! `--over depth=8,20,44`: values of keys that are compared.

use crate::Usage;
use crate::network::KeyFlags;
use fathom_base::key::Kind;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Valid numbers of images of one update.
pub const BATCHES: RangeInclusive<u64> = 1..=1 << 20;
/// Default number of images of one update.
const BATCH: u64 = 128;

/// A key and its values.
#[derive(Clone, Debug, PartialEq)]
pub struct Over {
    key: String,
    values: Vec<String>,
}

impl FromStr for Over {
    type Err = String;

    /// Parses `KEY=V1,V2,…`. Values that are lists have brackets: `blocks=[2,2,2],[3,4,6]`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (key, list) = text.split_once('=').ok_or("expected KEY=V1,V2,...")?;
        let mut depth = 0_i32;
        let values = list.split(|letter| {
            depth += match letter {
                '[' => 1,
                ']' => -1,
                _ => 0,
            };
            letter == ',' && depth == 0
        });
        let values: Vec<String> = values.map(|value| value.trim().to_owned()).collect();
        let key = key.trim().trim_start_matches("network.").replace('_', "-");
        if key.is_empty() || values.iter().any(String::is_empty) {
            return Err("expected KEY=V1,V2,...".into());
        }
        Ok(Self { key, values })
    }
}

/// One value for the key of each `--over`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Point(Vec<(String, String)>);

/// Every combination of values; the first `--over` varies slowest. Without any `--over` there is one
/// empty point.
///
/// # Errors
/// When a key is given twice.
pub fn combinations(over: &[Over]) -> Result<Vec<Point>, Usage> {
    let mut all = vec![Point::default()];
    for Over { key, values } in over {
        if all[0].0.iter().any(|(known, _)| known == key) {
            return Err(Usage(format!("--over {key} is given twice")));
        }
        let with = |point: &Point, value: &String| {
            let more = [(key.clone(), value.clone())];
            Point(point.0.iter().cloned().chain(more).collect())
        };
        all = all.iter().flat_map(|point| values.iter().map(|value| with(point, value))).collect();
    }
    Ok(all)
}

impl Point {
    /// Adds these values to a batch size and to keys of the network.
    ///
    /// # Errors
    /// When a key is unknown or has a value already.
    pub fn apply(&self, batch: Option<u64>, keys: &KeyFlags) -> Result<(u64, KeyFlags), Usage> {
        let (mut batch_here, mut keys) = (batch.unwrap_or(BATCH), keys.clone());
        for (key, value) in &self.0 {
            if key != "batch" {
                keys = keys.with(key, value)?;
                continue;
            }
            if let Some(batch) = batch {
                return Err(Usage(format!("batch has a value already: {batch}")));
            }
            let kind = Kind::Count(*BATCHES.start(), *BATCHES.end());
            let number = kind.parse(value).and_then(|number| number.as_u64());
            batch_here = number.ok_or_else(|| Usage(format!("expected {kind}")))?;
        }
        Ok((batch_here, keys))
    }

    /// Adds the values of this point to an error message.
    pub fn in_context(&self, Usage(message): Usage) -> Usage {
        if self.0.is_empty() { Usage(message) } else { Usage(format!("--over {self}: {message}")) }
    }

    /// Keys of the network and their values.
    pub fn of_network(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        all.filter(|(key, _)| *key != "batch")
    }
}

/// Written as `depth=8 batch=64`.
impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all: Vec<String> = self.0.iter().map(|(key, value)| format!("{key}={value}")).collect();
        f.write_str(&all.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_split_at_commas_outside_of_brackets() {
        let over = |text: &str| text.parse::<Over>();
        let values = |text: &str| over(text).unwrap().values;
        assert_eq!(values("depth=8, 20,44"), ["8", "20", "44"]);
        assert_eq!(values("blocks=[2,2],[3,4]"), ["[2,2]", "[3,4]"]);
        assert_eq!(over("network.shortcut_scale=0,1").unwrap().key, "shortcut-scale");
        for wrong in ["depth", "depth=", "=8", "depth=8,", "depth=,8"] {
            assert!(over(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_combination_comes_once_and_the_last_key_varies_fastest() {
        let over = |text: &str| text.parse::<Over>().unwrap();
        let all = combinations(&[over("depth=8,20"), over("batch=1,2")]).unwrap();
        let all: Vec<String> = all.iter().map(Point::to_string).collect();
        let expected =
            ["depth=8 batch=1", "depth=8 batch=2", "depth=20 batch=1", "depth=20 batch=2"];
        assert_eq!(all, expected);
        assert_eq!(combinations(&[]).unwrap(), [Point::default()]);
        assert!(combinations(&[over("depth=8"), over("network.depth=20")]).is_err());
    }
}
