//! Generated parts of a text file, each between a marker and its end:
//!
//! ```text
//! <!-- fathom: report results/quick --table final -->
//! …
//! <!-- fathom: end -->
//! ```

use anyhow::{Context, Result, bail};

const OPEN: &str = "<!-- fathom:";
const CLOSE: &str = "-->";
const END: &str = "end";

/// Replaces the text between each marker and its end by what `render` returns for the words of the
/// marker. Markers in fenced code blocks are left as they are.
///
/// # Errors
/// When a marker has no end, an end has no marker, or `render` fails; the error names the line of the
/// marker, counted from 1.
pub fn splice(text: &str, mut render: impl FnMut(&[String]) -> Result<String>) -> Result<String> {
    let mut out = String::with_capacity(text.len());
    let mut open: Option<usize> = None;
    let mut fenced = false;
    for (place, line) in text.split_inclusive('\n').enumerate() {
        let number = place + 1;
        // A marker in a fenced code block is an example.
        fenced ^= line.trim_start().starts_with("```");
        let words = if fenced { None } else { marker(line) };
        match (words, open) {
            (None, None) => out.push_str(line),
            (None, Some(_)) => {}
            (Some(words), None) if words == [END] => {
                bail!("line {number}: <!-- fathom: end --> without a marker before it")
            }
            (Some(words), Some(_)) if words == [END] => {
                out.push_str(line);
                open = None;
            }
            (Some(_), Some(begun)) => {
                bail!(
                    "line {number}: the marker in line {begun} has no <!-- fathom: end --> before this one"
                )
            }
            (Some(words), None) => {
                let made = render(&words).with_context(|| format!("line {number}"))?;
                out.push_str(line);
                out.push_str(&format!("\n{}\n", made.trim_end_matches('\n')));
                out.push('\n');
                open = Some(number);
            }
        }
    }
    match open {
        Some(begun) => bail!("line {begun}: the marker has no <!-- fathom: end -->"),
        None => Ok(out),
    }
}

/// Words of the marker on this line, if the whole line is one.
fn marker(line: &str) -> Option<Vec<String>> {
    let inside = line.trim().strip_prefix(OPEN)?.strip_suffix(CLOSE)?;
    Some(inside.split_whitespace().map(str::to_owned).collect())
}

/// Number of the first line in which two texts differ, counted from 1.
pub fn first_difference(a: &str, b: &str) -> usize {
    a.lines().zip(b.lines()).take_while(|(a, b)| a == b).count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shout(words: &[String]) -> Result<String> {
        if words[0] == "bad" { bail!("unknown word bad") } else { Ok(words.join("!")) }
    }

    #[test]
    fn marked_parts_are_renewed_and_the_rest_is_left() {
        let text = "a\n<!-- fathom: x y -->\nold\n<!-- fathom: end -->\nb";
        let expected = "a\n<!-- fathom: x y -->\n\nx!y\n\n<!-- fathom: end -->\nb";
        assert_eq!(splice(text, shout).unwrap(), expected);
        assert_eq!(splice(expected, shout).unwrap(), expected, "nothing changes twice");
        assert_eq!(first_difference(text, expected), 3);
        let fenced = "```\n<!-- fathom: x y -->\n```\n";
        assert_eq!(splice(fenced, shout).unwrap(), fenced);
    }

    #[test]
    fn a_marker_that_is_wrong_is_named_with_its_line() {
        let of = |text: &str| format!("{:#}", splice(text, shout).unwrap_err());
        assert!(
            of("a\n<!-- fathom: x -->\n")
                .starts_with("line 2: the marker has no <!-- fathom: end -->")
        );
        assert!(
            of("<!-- fathom: end -->\n")
                .starts_with("line 1: <!-- fathom: end --> without a marker")
        );
        assert!(
            of("<!-- fathom: x -->\n<!-- fathom: y -->\n")
                .starts_with("line 2: the marker in line 1 has no")
        );
        assert_eq!(of("\n<!-- fathom: bad -->\n"), "line 2: unknown word bad");
    }
}
