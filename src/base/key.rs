//! Keys of an experiment as data: name, kind of value, default, conditions, and help. The checks of
//! experiment files, the flags of `inspect` and the ids of runs are derived from them.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// A closed set of words of which the user chooses one, defined by [`choice!`](crate::choice).
pub trait Choice: Copy + PartialEq + Send + Sync + 'static {
    /// All variants, in the order of their definition.
    fn all() -> &'static [Self];

    /// The word of this variant.
    fn text(self) -> &'static str;

    /// The first line of the documentation of this variant.
    fn help(self) -> &'static str;
}

/// Defines an enum whose variants, in kebab case, are the words of an experiment file or of the command
/// line. `WORDS` lists all words; `word()` is the word of a variant.
#[macro_export]
macro_rules! choice {
    ($(#[$attribute:meta])* $visible:vis enum $name:ident { $($variants:tt)* }) => {
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash,
            serde::Serialize, serde::Deserialize,
            strum::VariantNames, strum::VariantArray, strum::IntoStaticStr, strum::Display,
            strum::EnumMessage,
        )]
        #[serde(rename_all = "kebab-case")]
        #[strum(serialize_all = "kebab-case", const_into_str)]
        $(#[$attribute])*
        $visible enum $name { $($variants)* }

        #[allow(dead_code)]
        impl $name {
            /// All variants, in the order of their definition.
            pub const ALL: &'static [Self] = <Self as strum::VariantArray>::VARIANTS;

            /// All words, in the order of the variants.
            pub const WORDS: &'static [&'static str] = <Self as strum::VariantNames>::VARIANTS;

            /// The word of this variant.
            pub const fn word(self) -> &'static str {
                self.into_str()
            }
        }

        impl $crate::key::Choice for $name {
            fn all() -> &'static [Self] {
                Self::ALL
            }

            fn text(self) -> &'static str {
                self.word()
            }

            fn help(self) -> &'static str {
                strum::EnumMessage::get_documentation(&self).unwrap_or_default()
            }
        }
    };
}

/// Kind of the values of a key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A whole number between two bounds, both included.
    Count(u64, u64),
    /// A number between two bounds, both included.
    Number(f64, f64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A number of updates of at least 1, epochs such as `20 epochs`, or one of these words.
    Updates(&'static [&'static str]),
    /// A list of numbers of updates or of epochs.
    UpdatesList,
    /// True or false.
    Flag,
    /// Any text.
    Text,
    /// A list of whole numbers.
    Counts,
    /// A list of numbers.
    Numbers,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |words: &[&str]| {
            words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
        };
        match self {
            Kind::Count(low, high) if *high >= u64::MAX >> 1 => {
                write!(f, "a whole number of at least {low}")
            }
            Kind::Count(low, high) => write!(f, "a whole number from {low} to {high}"),
            Kind::Number(low, high) if high.is_infinite() => {
                write!(f, "a number of at least {low}")
            }
            Kind::Number(low, high) => write!(f, "a number from {low} to {high}"),
            Kind::Choice(choices) => write!(f, "one of {}", words(choices)),
            Kind::Updates(choices) => {
                let words = choices.iter().map(|word| format!(", \"{word}\""));
                let words = words.collect::<String>();
                write!(f, "a whole number of at least 1{words}, or a text such as \"20 epochs\"")
            }
            Kind::UpdatesList => {
                write!(f, "a list of whole numbers, or of texts such as \"20 epochs\"")
            }
            Kind::Flag => write!(f, "true or false"),
            Kind::Text => write!(f, "a text"),
            Kind::Counts => write!(f, "a list of whole numbers"),
            Kind::Numbers => write!(f, "a list of numbers"),
        }
    }
}

impl Kind {
    /// The canonical form of a value, or `None` if it is not of this kind. A whole number becomes a
    /// float for [`Kind::Number`], so that `1` and `1.0` give the same run.
    pub fn normalise(&self, value: &Value) -> Option<Value> {
        match self {
            Kind::Count(low, high) => {
                value.as_u64().filter(|n| (low..=high).contains(&n)).map(Value::from)
            }
            Kind::Number(low, high) => {
                value.as_f64().filter(|x| (*low..=*high).contains(x)).map(Value::from)
            }
            Kind::Choice(choices) => {
                value.as_str().filter(|word| choices.contains(word)).map(Value::from)
            }
            Kind::Updates(choices) => Kind::Count(1, u64::MAX)
                .normalise(value)
                .or_else(|| Kind::Choice(choices).normalise(value))
                .or_else(|| value.as_str().filter(|text| epochs(text).is_some()).map(Value::from)),
            Kind::UpdatesList => list(value, Kind::Updates(&[])),
            Kind::Flag => value.as_bool().map(Value::from),
            Kind::Text => value.as_str().map(Value::from),
            Kind::Counts => list(value, Kind::Count(0, u64::MAX)),
            Kind::Numbers => list(value, Kind::Number(f64::NEG_INFINITY, f64::INFINITY)),
        }
    }

    /// Parses a value of this kind from the command line; the brackets of lists are optional.
    pub fn parse(&self, text: &str) -> Option<Value> {
        if self.is_list() && !text.trim_start().starts_with('[') {
            return self.parse(&format!("[{text}]"));
        }
        self.normalise(&value_of(text)).or_else(|| self.normalise(&Value::from(text)))
    }

    /// Whether values are lists.
    pub fn is_list(&self) -> bool {
        match self {
            Kind::Counts | Kind::Numbers | Kind::UpdatesList => true,
            Kind::Count(..)
            | Kind::Number(..)
            | Kind::Choice(_)
            | Kind::Updates(_)
            | Kind::Flag
            | Kind::Text => false,
        }
    }
}

/// The number of epochs in a text such as `20 epochs` or `0.5 epoch`.
pub fn epochs(text: &str) -> Option<f64> {
    let number = text.trim().trim_end_matches('s').strip_suffix("epoch")?;
    number
        .trim()
        .replace('_', "")
        .parse()
        .ok()
        .filter(|epochs: &f64| *epochs > 0.0 && epochs.is_finite())
}

/// A value on the command line: JSON, numbers as in TOML (`64_000`, `.1`), lists of these, or text.
pub fn value_of(text: &str) -> Value {
    let text = text.trim();
    if let Ok(value) = serde_json::from_str(text) {
        return value;
    }
    if let Some(items) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        return items.split(',').map(value_of).collect();
    }
    let is_number = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    let digits = text.trim_start_matches('+').replace('_', "");
    let number = || {
        // JSON has no infinity, which 1e400 is.
        let real = || digits.parse().ok().filter(|real: &f64| real.is_finite()).map(Value::from);
        digits.parse::<u64>().ok().map(Value::from).or_else(real)
    };
    if let (true, Some(number)) = (is_number, number()) { number } else { text.into() }
}

fn list(value: &Value, kind: Kind) -> Option<Value> {
    value.as_array()?.iter().map(|item| kind.normalise(item)).collect()
}

/// The value of a key that is not given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Default {
    /// There is no default: the key is required.
    Required,
    /// There is no default: the meaning of an absent key is in its help.
    Absent,
    /// A whole number.
    Count(u64),
    /// A number.
    Number(f64),
    /// A word.
    Word(&'static str),
    /// True or false.
    Flag(bool),
}

impl Default {
    /// The default as a value; `None` for [`Default::Required`] and [`Default::Absent`].
    pub fn value(&self) -> Option<Value> {
        match *self {
            Default::Required | Default::Absent => None,
            Default::Count(n) => Some(n.into()),
            Default::Number(x) => Some(x.into()),
            Default::Word(word) => Some(word.into()),
            Default::Flag(flag) => Some(flag.into()),
        }
    }
}

/// A condition on another key: its full name, and the words of which its value must be one.
pub type Condition = (&'static str, &'static [&'static str]);

/// A key of an experiment.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Full dotted name, such as `training.lr`.
    pub name: &'static str,
    /// Kind of its values.
    pub kind: Kind,
    /// Value when the key is not given.
    pub default: Default,
    /// Conditions under which the key has an effect; all must hold.
    pub only_if: &'static [Condition],
    /// One line of help.
    pub help: &'static str,
}

/// Makes a [`Key`] in a table of constants.
pub const fn key(
    name: &'static str,
    kind: Kind,
    default: Default,
    only_if: &'static [Condition],
    help: &'static str,
) -> Key {
    Key { name, kind, default, only_if, help }
}

impl Key {
    /// The first of its conditions that does not hold among these values of keys.
    pub fn unmet(&self, values: &BTreeMap<String, Value>) -> Option<Condition> {
        let holds = |(name, words): &Condition| {
            values.get(*name).and_then(Value::as_str).is_some_and(|word| words.contains(&word))
        };
        self.only_if.iter().find(|condition| !holds(condition)).copied()
    }
}

/// A key without `network.` or `training.`: `depth` for `network.depth`.
pub fn short(key: &str) -> &str {
    key.strip_prefix("network.").or_else(|| key.strip_prefix("training.")).unwrap_or(key)
}

/// The most similar of the `known` names, if it is similar enough for a suggestion.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::normalized_damerau_levenshtein(name, candidate), candidate))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(similarity, _)| *similarity > 0.5)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_canonical_or_are_refused() {
        let rate = Kind::Number(0.0, f64::INFINITY);
        assert_eq!(rate.normalise(&1.into()), Some(1.0.into()));
        assert_eq!(rate.normalise(&Value::from(-0.1)), None);
        assert_eq!(Kind::Count(1, 9).normalise(&10.into()), None);
        let updates = Kind::Updates(&["epoch"]);
        assert_eq!(updates.parse("epoch"), Some("epoch".into()));
        assert_eq!(updates.parse("50"), Some(50.into()));
        assert_eq!(updates.parse("0"), None);
        assert_eq!(updates.parse("20 epochs"), Some("20 epochs".into()));
        assert_eq!(
            [updates.parse("20 epoch"), updates.parse("-1 epochs")],
            [Some("20 epoch".into()), None]
        );
        assert_eq!(
            Kind::UpdatesList.parse("10 epochs, 300"),
            Some(serde_json::json!(["10 epochs", 300]))
        );
        assert_eq!(Kind::Text.parse("12"), Some("12".into()));
        assert_eq!(Kind::Counts.parse("[1, 2]"), Some(serde_json::json!([1, 2])));
        assert_eq!(Kind::Counts.parse("1,2"), Some(serde_json::json!([1, 2])));
    }

    #[test]
    fn numbers_on_the_command_line_are_written_as_in_toml_too() {
        assert_eq!(value_of("64_000"), Value::from(64_000));
        assert_eq!(
            [value_of(".1"), value_of("1e-1"), value_of("+0.1")],
            [0.1, 0.1, 0.1].map(Value::from)
        );
        assert_eq!(value_of("[.1, 0.01]"), serde_json::json!([0.1, 0.01]));
        assert_eq!(value_of("[[1, 2], [3]]"), serde_json::json!([[1, 2], [3]]));
        assert_eq!(
            [value_of("cosine"), value_of("1_a"), value_of("inf"), value_of("1e400")],
            ["cosine", "1_a", "inf", "1e400"].map(Value::from)
        );
        assert_eq!(
            [epochs("2.5 epochs"), epochs("epoch"), epochs("NaN epochs")],
            [Some(2.5), None, None]
        );
    }

    choice! {
        /// An example.
        enum Example { First, SecondWord, Last3 }
    }

    #[test]
    fn a_choice_is_its_words_in_kebab_case() {
        assert_eq!(Example::WORDS, ["first", "second-word", "last3"]);
        assert_eq!(Example::SecondWord.word(), "second-word");
        for word in Example::WORDS {
            let read: Example = serde_json::from_value((*word).into()).unwrap();
            assert_eq!((read.word(), read.to_string().as_str()), (*word, *word));
        }
        assert!(serde_json::from_value::<Example>("third".into()).is_err());
    }

    #[test]
    fn a_misspelt_key_finds_the_most_similar_one() {
        let known = ["training.lr", "training.batch", "network.depth"];
        assert_eq!(nearest("training.bach", known), Some("training.batch"));
        assert_eq!(nearest("colour", known), None);
    }
}
