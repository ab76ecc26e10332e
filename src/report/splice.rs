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
/// marker, which are in quotes if they contain blanks. Line ends are those of the marker's line. Markers in fenced code
/// blocks are left as they are.
///
/// # Errors
/// When a marker or a quote in it has no end, an end has no marker, or `render` fails; the error names the line of the
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
        let words = words.transpose().with_context(|| format!("line {number}"))?;
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
                let made = format!("\n{}\n\n", made.trim_end_matches('\n'));
                out.push_str(&if line.ends_with("\r\n") {
                    made.replace('\n', "\r\n")
                } else {
                    made
                });
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
fn marker(line: &str) -> Option<Result<Vec<String>>> {
    let inside = line.trim().strip_prefix(OPEN)?.strip_suffix(CLOSE)?;
    Some(words(inside))
}

/// Words between blanks, or in quotes.
fn words(text: &str) -> Result<Vec<String>> {
    let (mut words, mut rest) = (Vec::new(), text.trim());
    while let Some(first) = rest.chars().next() {
        let (word, after) = match first {
            '\'' | '"' => rest[1..]
                .split_once(first)
                .with_context(|| format!("the quote {rest} in the marker has no end"))?,
            _ => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    Ok(words)
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
        let windows = [text, expected].map(|text| text.replace('\n', "\r\n"));
        assert_eq!(splice(&windows[0], shout).unwrap(), windows[1], "line ends stay");
        let quoted = "<!-- fathom: 'my own' \"it's\" that's -->\n<!-- fathom: end -->\n";
        assert!(splice(quoted, shout).unwrap().contains("\nmy own!it's!that's\n"));
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
        assert_eq!(
            of("\n<!-- fathom: x 'y z -->\n"),
            "line 2: the quote 'y z in the marker has no end"
        );
    }
}
