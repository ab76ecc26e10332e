//! Choices as values of the command line. The words and their help come from the type.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use fathom_base::key::Choice;

/// A parser for all words of a choice.
pub fn choice<C: Choice>() -> impl TypedValueParser<Value = C> {
    choice_among(C::all())
}

/// A parser for the words of some variants of a choice.
pub fn choice_among<C: Choice>(variants: &'static [C]) -> impl TypedValueParser<Value = C> {
    let values = variants
        .iter()
        .map(|choice| PossibleValue::new(choice.text()).help(choice.help().trim_end_matches('.')));
    PossibleValuesParser::new(values).map(|word| {
        let named = variants.iter().find(|choice| choice.text() == word);
        *named.expect("clap accepts no other word")
    })
}
