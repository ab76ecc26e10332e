//! What the networks of a sweep cost.

use super::table;
use anyhow::Result;
use fathom_plot::Results;
use fathom_record::{CurveRow, RunCurve, State, SweepDir};
use fathom_stats::{Summary, median};

/// Table of the cost of each configuration: parameters, multiply-adds of one image, and over its finished runs the
/// time of an update with its share of the evaluations, and the peak memory of the process.
///
/// # Errors
/// When the status of a run cannot be read.
pub fn cost(results: &Results, directory: &SweepDir) -> Result<String> {
    let axes = results.curves.axes();
    let mut rows = Vec::new();
    for group in results.curves.groups(&axes) {
        let manifest = |run: &&RunCurve| results.provenance.get(&run.id)?.manifest.as_ref();
        let made = group.runs.iter().find_map(manifest);
        // What other programs did not record is 0.
        let sizes = [made.map(|made| made.parameters), made.map(|made| made.macs)]
            .map(|size| size.filter(|size| *size > 0).map_or(String::new(), |n| n.to_string()));
        let (mut times, mut memory, mut done) = (Vec::new(), Vec::new(), 0);
        for run in group.runs.iter().filter(|run| run.state == State::Done) {
            done += 1;
            times.extend(ms_per_update(&run.rows));
            let bytes = directory.run(&run.id).status()?.peak_memory_bytes;
            memory.extend((bytes > 0).then_some(1e-6 * bytes as f64));
        }
        let summary =
            |values: &[f64]| Summary::of(values).map_or(String::new(), |it| it.to_string());
        let mut cells = group.values;
        cells.extend(sizes);
        cells.extend([summary(&times), summary(&memory), done.to_string()]);
        rows.push(cells);
    }
    let mut headers: Vec<&str> = axes.iter().map(String::as_str).collect();
    headers.extend(["parameters", "multiply-adds", "ms per update", "peak memory (MB)", "n"]);
    Ok(table(&headers, &rows))
}

/// The median over the parts of a curve between two rows, since a part may include an interruption; `None` for a curve
/// without times.
fn ms_per_update(rows: &[CurveRow]) -> Option<f64> {
    let part = |rows: &[CurveRow]| {
        let [from, to] = rows else { return None };
        let updates = to.step.checked_sub(from.step)? as f64;
        // A run that was resumed from a checkpoint may have been timed by another clock.
        let milliseconds = 1e3 * (to.seconds? - from.seconds?) / updates;
        (milliseconds.is_finite() && milliseconds > 0.0).then_some(milliseconds)
    };
    median(&rows.windows(2).filter_map(part).collect::<Vec<f64>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interruption_is_no_part_of_the_time_of_an_update() {
        let row = |(step, seconds): (u64, f64)| CurveRow {
            step,
            seconds: Some(seconds),
            ..CurveRow::default()
        };
        let rows = [(0, 1.0), (10, 900.0), (20, 902.0), (40, 906.2)].map(row);
        let time = ms_per_update(&rows).unwrap();
        assert!((time - 210.0).abs() < 1e-9, "{time}");
        assert_eq!(ms_per_update(&rows[..1]), None);
        assert_eq!(ms_per_update(&[CurveRow::default(), rows[1].clone()]), None);
    }
}
