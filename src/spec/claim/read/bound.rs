//! Bounds of claims: numbers, or published values.

use crate::leaves::{keyword, number, word};
use crate::published::{PublishedValue, published_value};
use toml::Spanned;
use toml::de::DeValue;

/// The keys of a bound that is derived from a published value.
#[derive(Clone, Copy, Debug, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
enum BoundKey {
    Published,
    Plus,
}

/// A bound, and the published value with the summand that it was computed from.
pub(super) struct Bound {
    pub value: f64,
    pub published: Option<(&'static PublishedValue, f64)>,
}

impl Bound {
    /// The published value for a reader, such as `resnet-20/test = 8.75% +0.5 (1512.03385, Table 6)`.
    pub fn source(&self) -> Option<String> {
        let (published, plus) = self.published?;
        let sum = if plus == 0.0 { String::new() } else { format!(" {plus:+}") };
        let unit = if published.metric.ends_with("_pct") { "%" } else { "" };
        let PublishedValue { name, value, source, .. } = published;
        Some(format!("{name} = {value}{unit}{sum} ({source})"))
    }
}

/// `9.0`, or `{ published = "resnet-20/test", plus = 0.5 }`.
pub(super) fn bound(value: &Spanned<DeValue<'_>>) -> Result<Bound, String> {
    let Some(table) = value.get_ref().as_table() else {
        return Ok(Bound { value: number(value)?, published: None });
    };
    let (mut published, mut plus) = (None, 0.0);
    for (key, value) in table {
        match keyword(key.get_ref())? {
            BoundKey::Published => published = Some(published_value(&word(value)?)?),
            BoundKey::Plus => plus = number(value)?,
        }
    }
    let published =
        published.ok_or("expected a number, or { published = \"resnet-20/test\", plus = 0.5 }")?;
    // The sum of two decimals is one too: 6.97 + 2 is 8.97, not 8.969999999999999.
    let value = ((published.value + plus) * 1e9).round() / 1e9;
    Ok(Bound { value, published: Some((published, plus)) })
}
