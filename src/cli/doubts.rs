//! Notes on values that other programs wrote.

use super::stderr::log;
use fathom_record::RunCurve;

/// Writes a note on each column whose values are probably not what its name says.
pub fn note<'a>(runs: impl IntoIterator<Item = &'a RunCurve>) {
    for doubt in fathom_record::doubts(&runs.into_iter().collect::<Vec<_>>()) {
        log(format!("note: {doubt}"));
    }
}
