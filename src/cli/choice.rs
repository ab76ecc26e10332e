//! Choices as values of the command line: the words, and what each means, are those of the type.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use fathom_base::key::Choice;

/// A parser for the words of a choice.
pub fn choice<C: Choice>() -> impl TypedValueParser<Value = C> {
    let values = C::all()
        .iter()
        .map(|choice| PossibleValue::new(choice.text()).help(choice.help().trim_end_matches('.')));
    PossibleValuesParser::new(values).map(|word| {
        let named = C::all().iter().find(|choice| choice.text() == word);
        *named.expect("clap takes no other word")
    })
}
