//! Keys of an experiment as data: name, kind of value, default, when they matter, and what they
//! mean. The checks of experiment files, the flags of `inspect`, and the ids of runs all read this.

use serde_json::Value;
use std::fmt;

/// A choice that a user makes by a word. `choice!` defines them.
pub trait Choice: Copy + PartialEq + Send + Sync + 'static {
    /// All variants, in their order.
    fn all() -> &'static [Self];

    /// The word of this variant.
    fn text(self) -> &'static str;

    /// What its documentation says, in one line.
    fn help(self) -> &'static str;
}

/// Defines a choice that a user makes by a word: an enum whose variants, in kebab case, are the words
/// of experiment files and of the command line. `WORDS` has all of them, `word()` that of a variant.
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
            /// All variants, in their order.
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

/// What values a key takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A whole number from the first to the second bound.
    Count(u64, u64),
    /// A number from the first to the second bound.
    Number(f64, f64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A whole number of at least 1, or one of these words.
    CountOr(&'static [&'static str]),
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
            Kind::CountOr(choices) => {
                write!(f, "a whole number of at least 1 or {}", words(choices))
            }
            Kind::Flag => write!(f, "true or false"),
            Kind::Text => write!(f, "a text"),
            Kind::Counts => write!(f, "a list of whole numbers"),
            Kind::Numbers => write!(f, "a list of numbers"),
        }
    }
}

impl Kind {
    /// The value in its one canonical form (a whole number given for a [`Kind::Number`] becomes a
    /// float, so that `1` and `1.0` are the same run), or nothing where it is not of this kind.
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
            Kind::CountOr(choices) => Kind::Count(1, u64::MAX)
                .normalise(value)
                .or_else(|| Kind::Choice(choices).normalise(value)),
            Kind::Flag => value.as_bool().map(Value::from),
            Kind::Text => value.as_str().map(Value::from),
            Kind::Counts => list(value, Kind::Count(0, u64::MAX)),
            Kind::Numbers => list(value, Kind::Number(f64::NEG_INFINITY, f64::INFINITY)),
        }
    }

    /// A value of this kind from the text of a command line; lists may lack their brackets.
    pub fn parse(&self, text: &str) -> Option<Value> {
        if matches!(self, Kind::Counts | Kind::Numbers) && !text.trim_start().starts_with('[') {
            return self.parse(&format!("[{text}]"));
        }
        let value = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
        self.normalise(&value).or_else(|| self.normalise(&Value::from(text)))
    }
}

fn list(value: &Value, kind: Kind) -> Option<Value> {
    value.as_array()?.iter().map(|item| kind.normalise(item)).collect()
}

/// What a key is when nobody says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Default {
    /// It must be given.
    Required,
    /// It is absent, which has a meaning of its own.
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
    /// As a value; nothing for keys that are absent or must be given.
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

/// A condition: the value of this key is one of these.
pub type Condition = (&'static str, &'static [&'static str]);

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Full dotted name (`training.lr`).
    pub name: &'static str,
    /// Kind of its values.
    pub kind: Kind,
    /// Its value when not given.
    pub default: Default,
    /// Conditions under which it does anything: all must hold.
    pub only_if: &'static [Condition],
    /// One line of help.
    pub help: &'static str,
}

/// A key, for tables of them.
pub const fn key(
    name: &'static str,
    kind: Kind,
    default: Default,
    only_if: &'static [Condition],
    help: &'static str,
) -> Key {
    Key { name, kind, default, only_if, help }
}

/// `network.depth` is `depth`: the last part of a key, which is unique among those swept together.
pub fn short(key: &str) -> &str {
    key.strip_prefix("network.").or_else(|| key.strip_prefix("training.")).unwrap_or(key)
}

/// The name among `known` that is nearest to `name`, when one is near enough to be meant.
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
    fn values_are_brought_into_one_form_or_refused() {
        let rate = Kind::Number(0.0, f64::INFINITY);
        assert_eq!(rate.normalise(&1.into()), Some(1.0.into()));
        assert_eq!(rate.normalise(&Value::from(-0.1)), None);
        assert_eq!(Kind::Count(1, 9).normalise(&10.into()), None);
        assert_eq!(Kind::CountOr(&["epoch"]).parse("epoch"), Some("epoch".into()));
        assert_eq!(Kind::CountOr(&["epoch"]).parse("50"), Some(50.into()));
        assert_eq!(Kind::CountOr(&["epoch"]).parse("0"), None);
        assert_eq!(Kind::Text.parse("12"), Some("12".into()));
        assert_eq!(Kind::Counts.parse("[1, 2]"), Some(serde_json::json!([1, 2])));
        assert_eq!(Kind::Counts.parse("1,2"), Some(serde_json::json!([1, 2])));
    }

    choice! {
        /// For this test.
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
    fn a_slip_of_the_finger_finds_the_key_that_was_meant() {
        let known = ["training.lr", "training.batch", "network.depth"];
        assert_eq!(nearest("training.bach", known), Some("training.batch"));
        assert_eq!(nearest("colour", known), None);
    }
}
