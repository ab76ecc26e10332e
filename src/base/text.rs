//! Text for people, and words for a shell.

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

/// A word quoted for the shell, and for a line of `#SBATCH`, where it has to be.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
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

    #[test]
    fn words_are_quoted_for_the_shell() {
        assert_eq!(quoted("a'b"), r"'a'\''b'");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("$HOME"), "'$HOME'");
        assert_eq!(quoted("training.lr=0.1"), "training.lr=0.1");
    }
}
