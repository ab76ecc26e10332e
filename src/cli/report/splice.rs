//! `fathom report --splice`: tables in Markdown files, each after a marker that says what it shows.

use super::marker;
use crate::stdout;
use crate::text::word;
use anyhow::{Context, Result, bail};
use fathom_base::write_atomically;
use fathom_report as report;
use std::path::Path;

/// Updates the tables of a Markdown file, and returns whether it has markers. With `only_check` the file is left alone.
///
/// # Errors
/// When a marker is invalid, results are damaged, or a table is out of date and must not be changed.
pub fn splice(file: &Path, only_check: bool) -> Result<bool> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut has_markers = false;
    let mut render = |words: &[String]| {
        has_markers = true;
        marker::render(words, folder)
    };
    let updated = report::splice::splice(&text, &mut render)
        .with_context(|| format!("in {}", file.display()))?;
    if updated == text {
        return Ok(has_markers);
    }
    if only_check {
        let line = report::splice::first_difference(&text, &updated);
        bail!(
            "{}:{line}: is out of date; update it with: fathom report --splice {}",
            file.display(),
            word(file)
        );
    }
    write_atomically(file, updated.as_bytes())?;
    stdout::write_line(file.display())?;
    Ok(has_markers)
}
