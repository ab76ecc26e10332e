//! Expressions of the columns of a log, such as `100 - 100*accuracy`.

use anyhow::{Result, anyhow, bail, ensure};
use fathom_base::key::nearest;

/// A sum, difference, product or quotient of numbers and columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    /// The text, for messages.
    pub text: String,
    /// Names of the columns, each once.
    pub columns: Vec<String>,
    root: Node,
}

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Number(f64),
    /// Place in `columns`.
    Column(usize),
    Negative(Box<Node>),
    Pair(Box<Node>, char, Box<Node>),
}

impl Expression {
    /// Reads an expression with `+`, `-`, `*`, `/` and parentheses. Where a name of `known` begins, the
    /// longest such name is meant, so that `train/loss` needs no quotation marks if there is such a
    /// column.
    ///
    /// # Errors
    /// When it is no expression, or a name is no column.
    pub fn parse(text: &str, known: &[String]) -> Result<Self> {
        let mut parser = Parser { text, at: 0, known, columns: Vec::new() };
        let mut read = || {
            let root = parser.sum()?;
            parser.skip_blanks();
            let rest = &text[parser.at..];
            ensure!(rest.is_empty(), "expected +, -, * or / at `{rest}`");
            Ok(root)
        };
        let root = read().map_err(|error: anyhow::Error| anyhow!("`{text}`: {error}"))?;
        Ok(Self { text: text.to_owned(), columns: parser.columns, root })
    }

    /// The value for values of the columns; nothing where one of them is absent.
    pub fn value(&self, values: &[Option<f64>]) -> Option<f64> {
        self.root.value(values)
    }
}

impl Node {
    fn value(&self, values: &[Option<f64>]) -> Option<f64> {
        match self {
            Node::Number(number) => Some(*number),
            Node::Column(place) => values[*place],
            Node::Negative(node) => node.value(values).map(|value| -value),
            Node::Pair(a, sign, b) => {
                let (a, b) = (a.value(values)?, b.value(values)?);
                Some(match sign {
                    '+' => a + b,
                    '-' => a - b,
                    '*' => a * b,
                    _ => a / b,
                })
            }
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    known: &'a [String],
    columns: Vec<String>,
}

impl Parser<'_> {
    fn skip_blanks(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    /// Takes one of these signs, if it comes next.
    fn sign(&mut self, signs: &[char]) -> Option<char> {
        self.skip_blanks();
        let next = self.text[self.at..].chars().next().filter(|next| signs.contains(next))?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn sum(&mut self) -> Result<Node> {
        let mut node = self.product()?;
        while let Some(sign) = self.sign(&['+', '-']) {
            node = Node::Pair(Box::new(node), sign, Box::new(self.product()?));
        }
        Ok(node)
    }

    fn product(&mut self) -> Result<Node> {
        let mut node = self.factor()?;
        while let Some(sign) = self.sign(&['*', '/']) {
            node = Node::Pair(Box::new(node), sign, Box::new(self.factor()?));
        }
        Ok(node)
    }

    fn factor(&mut self) -> Result<Node> {
        if self.sign(&['-']).is_some() {
            return Ok(Node::Negative(Box::new(self.factor()?)));
        }
        if self.sign(&['(']).is_some() {
            let node = self.sum()?;
            ensure!(self.sign(&[')']).is_some(), "a closing parenthesis is missing");
            return Ok(node);
        }
        self.skip_blanks();
        let rest = &self.text[self.at..];
        if let Some(name) = known_name(rest, self.known) {
            self.at += name.len();
            return Ok(self.column(name));
        }
        let is_word = |letter: char| letter.is_alphanumeric() || "_.".contains(letter);
        let end = rest.find(|letter| !is_word(letter)).unwrap_or(rest.len());
        let mut word = &rest[..end];
        // The exponent of a number has a sign: 1e-3.
        if word.ends_with(['e', 'E']) && word.starts_with(|first: char| first.is_ascii_digit()) {
            let digits = rest[end..].char_indices().skip(1).find(|(_, it)| !it.is_ascii_digit());
            word = &rest[..digits.map_or(rest.len(), |(place, _)| end + place)];
        }
        match word.parse::<f64>().ok().filter(|_| !word.starts_with(char::is_alphabetic)) {
            Some(number) => {
                self.at += word.len();
                Ok(Node::Number(number))
            }
            None if word.is_empty() => bail!("expected a number or a column at `{rest}`"),
            None => {
                let hint = nearest(word, self.known.iter().map(String::as_str));
                let hint = hint.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
                bail!("there is no column {word}; there are {}{hint}", self.known.join(", "))
            }
        }
    }

    fn column(&mut self, name: &str) -> Node {
        let known = self.columns.iter().position(|column| column == name);
        Node::Column(known.unwrap_or_else(|| {
            self.columns.push(name.to_owned());
            self.columns.len() - 1
        }))
    }
}

/// The longest known name with which a text begins and that does not end within a word.
fn known_name<'a>(text: &str, known: &'a [String]) -> Option<&'a str> {
    let goes_on = |rest: &str| rest.starts_with(|next: char| next.is_alphanumeric() || next == '_');
    let fits = |name: &&String| {
        !name.is_empty() && text.strip_prefix(name.as_str()).is_some_and(|rest| !goes_on(rest))
    };
    known.iter().filter(fits).max_by_key(|name| name.len()).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Expression> {
        let known = ["acc", "train/loss", "train", "loss", "val acc", "a-b"].map(str::to_owned);
        Expression::parse(text, &known)
    }

    #[test]
    fn expressions_have_the_value_of_arithmetic() {
        for (text, expected) in [
            ("acc", 0.5),
            ("100 - 100*acc", 50.0),
            ("100*(1-acc)", 50.0),
            ("train/loss", 0.5),
            ("train / loss", 0.5),
            ("2e-1 + -acc", -0.3),
            ("(1-val acc)*1e2", 50.0),
            ("a-b*2-1", 0.0),
            ("8/2/2-1-1", 0.0),
        ] {
            let expression = parse(text).unwrap();
            let values = vec![Some(0.5); expression.columns.len()];
            let values = if text == "train / loss" { vec![Some(1.0), Some(2.0)] } else { values };
            let value = expression.value(&values).unwrap();
            assert!((value - expected).abs() < 1e-12, "{text}: {value}");
        }
        assert_eq!(parse("train/loss").unwrap().columns, ["train/loss"]);
        assert_eq!(parse("acc*acc").unwrap().columns, ["acc"]);
        assert_eq!(parse("100-acc").unwrap().value(&[None]), None);
    }

    #[test]
    fn what_is_no_expression_is_told() {
        let fault = |text: &str| parse(text).unwrap_err().to_string();
        let all = "acc, train/loss, train, loss, val acc, a-b";
        let unknown =
            format!("`100-accu`: there is no column accu; there are {all}; did you mean acc?");
        assert_eq!(fault("100-accu"), unknown);
        assert_eq!(fault("100-"), "`100-`: expected a number or a column at ``");
        assert_eq!(fault("(1-acc"), "`(1-acc`: a closing parenthesis is missing");
        assert_eq!(fault("2 acc"), "`2 acc`: expected +, -, * or / at `acc`");
        assert!(fault("nan").contains("there is no column nan"));
    }
}
