//! Text for people.

use serde_json::Value;

/// A JSON value as a reader writes it: text without quotes, everything else as JSON.
pub fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The text with a capital first letter.
pub fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn text_has_no_quotes_and_other_values_are_json() {
        let texts =
            [json!("batch"), json!(0.1), json!(8), json!(true), json!([1, 2])].map(|v| plain(&v));
        assert_eq!(texts, ["batch", "0.1", "8", "true", "[1,2]"]);
    }

    #[test]
    fn the_first_letter_becomes_a_capital() {
        assert_eq!(["", "test error", "éa"].map(capitalised), ["", "Test error", "Éa"]);
    }
}
