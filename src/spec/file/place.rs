//! Places in an experiment file, for errors.

use super::Reader;
use crate::SpecError;
use std::ops::Range;
use toml::de::DeTable;

impl Reader<'_> {
    /// `file:line` of a byte offset.
    pub fn place(&self, offset: usize) -> String {
        let line = self.text[..offset.min(self.text.len())].matches('\n').count() + 1;
        format!("{}:{line}", self.path.display())
    }

    /// The message for a key or header that occurs twice, with the line of the first one; `None` for other faults.
    pub(super) fn repeated(&self, message: &str, span: &Range<usize>) -> Option<String> {
        let line_of = |offset: usize| self.text[..offset].matches('\n').count();
        let key = self.text.get(span.clone()).filter(|_| message.starts_with("duplicate key"))?;
        let (lines, here): (Vec<&str>, _) = (self.text.lines().collect(), line_of(span.start));
        let header = |line: &str| line.trim_start().starts_with('[');
        let sets = |line: &str| {
            line.trim_start()
                .strip_prefix(key)
                .is_some_and(|rest| rest.trim_start().starts_with('='))
        };
        let mut before = (0..here.min(lines.len())).rev();
        let first = match lines.get(here).is_some_and(|line| header(line)) {
            true => before.find(|line| lines[*line].trim() == lines[here].trim()),
            // Keys of other tables may have the same name.
            false => {
                before.take_while(|line| !header(lines[*line])).find(|line| sets(lines[*line]))
            }
        };
        let first = first.map(|line| format!("; it is also in line {}", line + 1));
        Some(format!("{key} is given twice{}", first.unwrap_or_default()))
    }

    /// `file:line` of the first key of a table in an array of tables, all of which have the same `header`; the header
    /// if there is no key.
    pub fn place_in(&self, table: &DeTable<'_>, header: &str) -> String {
        let first = table.iter().map(|(key, _)| key.span().start).min();
        first.map_or_else(|| header.into(), |start| self.place(start))
    }

    pub(super) fn fault(&self, message: &str) -> SpecError {
        SpecError { place: self.path.display().to_string(), message: message.into() }
    }
}
