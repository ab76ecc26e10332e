//! Figures and columns of `fathom bench`.

use super::{Machine, Setting};
use crate::table::{Format, Table};
use anyhow::Result;
use fathom_protocol::{BenchJob, Benched};
use serde_json::Value;

/// What the columns mean.
pub const HELP: &str = "\
Columns:
  images_per_s         images of all jobs per second, batches and updates
  step_ms              one update with its batch, the median of `steps` of them; a GPU is waited for
                       after groups of ten updates or more, and the median is that of the groups'
                       means
  step_p10_ms, step_p90_ms   a tenth is faster, a tenth is slower
  data_ms              what of it the processor needs to make the batch and bring it to the device,
                       the mean
  gflop_per_step       10^9 additions and multiplications of one update, by convention 3 forward
                       passes (the backward pass counts as two) of 2 operations for each
                       multiply-add that `inspect` counts; normalisation and optimiser are left out
  gflop_per_s          the same per second, all jobs together
  peak_gflop_per_s     a matrix product of 2048 x 2048 (on a GPU 8192 x 8192) in this precision, with
                       the threads of all jobs together; peak_f32_gflop_per_s is the same in f32
  share_of_peak_pct    gflop_per_s in per cent of it
  copy_gb_per_s        10^9 bytes read and written by a large copy
  peak_memory_mb       10^6 bytes that a process held at most: on the host, libtorch's own included;
                       where it trains on a GPU, what libtorch reserved there
  startup_s            from the start of the process to the end of its first update
  failure              why a setting could not be timed; the others were
With several jobs, times are means over the jobs, and memory is that of the largest.";

/// A setting and what came of it.
pub struct Row {
    pub setting: Setting,
    /// Figures, or why there are none.
    pub found: Result<Figures, String>,
}

/// What was measured of a setting; times in seconds, means over the jobs.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    images_per_second: f64,
    step: f64,
    step_p10: f64,
    step_p90: f64,
    data: f64,
    /// Additions and multiplications of one update.
    operations: f64,
    /// The same per second, of all jobs.
    flops: f64,
    peak_memory_bytes: u64,
    startup: f64,
    /// Updates that were timed in one job.
    steps: u64,
}

/// Additions and multiplications of a multiply-add.
const PER_MAC: f64 = 2.0;
/// Forward passes that an update costs: the backward pass is two products of the forward's size for
/// each layer, one for its weights' gradient and one for its input's.
const PASSES: f64 = 3.0;

/// Sums up the jobs that ran side by side.
pub fn figures(job: &BenchJob, copies: &[Benched]) -> Figures {
    let mean = |of: fn(&Benched) -> f64| copies.iter().map(of).sum::<f64>() / copies.len() as f64;
    let batch = job.config["training.batch"].as_f64().unwrap_or_default();
    let image = PASSES * PER_MAC * job.network.audit().macs as f64;
    let images_per_second = copies.iter().map(|copy| batch / copy.step_seconds).sum();
    Figures {
        images_per_second,
        step: mean(|copy| copy.step_seconds),
        step_p10: mean(|copy| copy.step_p10_seconds),
        step_p90: mean(|copy| copy.step_p90_seconds),
        data: mean(|copy| copy.data_seconds),
        operations: image * batch,
        flops: image * images_per_second,
        peak_memory_bytes: copies.iter().map(|copy| copy.peak_memory_bytes).max().unwrap_or(0),
        startup: mean(|copy| copy.startup_seconds),
        steps: copies.iter().map(|copy| copy.steps).min().unwrap_or(0),
    }
}

/// Five digits: more would be of chance.
fn digits(value: f64) -> Value {
    if value == 0.0 || !value.is_finite() {
        return value.into();
    }
    let unit = 10f64.powi(4 - value.abs().log10().floor() as i32);
    ((value * unit).round() / unit).into()
}

impl Row {
    /// One line for whoever waits.
    pub fn in_words(&self) -> String {
        let Setting { name, point, batch, layout, .. } = &self.setting;
        let keys: String =
            point.of_network().map(|(key, value)| format!(" {key}={value}")).collect();
        let found = match &self.found {
            Ok(figures) => format!("{:.1} images/s", figures.images_per_second),
            Err(failure) => failure.clone(),
        };
        format!("{name}{keys}, batch {batch}, {}: {found}", layout.word())
    }

    /// What was set, by column.
    fn conditions(&self, machine: &Machine) -> Vec<(String, Value)> {
        let Setting { name, point, batch, layout, .. } = &self.setting;
        let text = |name: &str, value: &str| (name.to_owned(), Value::from(value));
        let mut cells = vec![text("network", name)];
        cells.extend(point.of_network().map(|(key, value)| {
            // A depth is a number, a kind of block is a word.
            let number = serde_json::from_str(value).ok().filter(Value::is_number);
            (key.replace('-', "_"), number.unwrap_or_else(|| value.into()))
        }));
        cells.extend([
            ("batch".into(), (*batch).into()),
            text("layout", layout.word()),
            text("precision", machine.precision.word()),
            text("augment", &machine.augment),
            text("device", &machine.device),
            ("threads".into(), machine.threads.into()),
            ("jobs".into(), machine.jobs.into()),
        ]);
        cells
    }

    /// What was found, by column; null where there is nothing.
    fn figures(&self, machine: &Machine) -> Vec<(&'static str, Value)> {
        let peaks = &machine.peaks;
        let of = |of: fn(&Figures) -> f64| {
            self.found.as_ref().map_or(Value::Null, |figures| digits(of(figures)))
        };
        let share = self.found.as_ref().ok().map(|f| digits(100.0 * f.flops / peaks.flops));
        let steps = self.found.as_ref().map_or(Value::Null, |figures| figures.steps.into());
        let failure = self.found.as_ref().err().map(|failure| failure.as_str().into());
        vec![
            ("images_per_s", of(|f| f.images_per_second)),
            ("step_ms", of(|f| 1e3 * f.step)),
            ("step_p10_ms", of(|f| 1e3 * f.step_p10)),
            ("step_p90_ms", of(|f| 1e3 * f.step_p90)),
            ("steps", steps),
            ("data_ms", of(|f| 1e3 * f.data)),
            ("gflop_per_step", of(|f| 1e-9 * f.operations)),
            ("gflop_per_s", of(|f| 1e-9 * f.flops)),
            ("peak_gflop_per_s", digits(1e-9 * peaks.flops)),
            ("share_of_peak_pct", share.unwrap_or_default()),
            ("peak_f32_gflop_per_s", digits(1e-9 * peaks.f32_flops)),
            ("copy_gb_per_s", digits(1e-9 * peaks.copy_bytes_per_second)),
            ("peak_memory_mb", of(|f| 1e-6 * f.peak_memory_bytes as f64)),
            ("startup_s", of(|f| f.startup)),
            ("failure", failure.unwrap_or_default()),
        ]
    }

    /// What people look at of it, by column.
    fn brief(&self, machine: &Machine) -> Vec<(&'static str, Value)> {
        let of = |of: &dyn Fn(&Figures) -> String| {
            self.found.as_ref().map_or(Value::Null, |figures| of(figures).into())
        };
        let failure = self.found.as_ref().err().map(|failure| failure.as_str().into());
        let spread = |f: &Figures| {
            let [step, low, high] = [f.step, f.step_p10, f.step_p90].map(|time| short(1e3 * time));
            format!("{step} ({low} to {high})")
        };
        vec![
            ("images/s", of(&|f| short(f.images_per_second))),
            ("ms/step (p10 to p90)", of(&spread)),
            ("data ms", of(&|f| short(1e3 * f.data))),
            ("GFLOP/step", of(&|f| short(1e-9 * f.operations))),
            ("GFLOP/s", of(&|f| short(1e-9 * f.flops))),
            ("% of peak", of(&|f| format!("{:.1}", 100.0 * f.flops / machine.peaks.flops))),
            ("MB", of(&|f| format!("{:.0}", 1e-6 * f.peak_memory_bytes as f64))),
            ("start s", of(&|f| format!("{:.2}", f.startup))),
            ("failure", failure.unwrap_or_default()),
        ]
    }
}

/// A positive number with four digits at least.
fn short(value: f64) -> String {
    let above = value.log10().floor();
    let decimals = if above.is_finite() { (3.0 - above).clamp(0.0, 9.0) as usize } else { 0 };
    format!("{value:.decimals$}")
}

/// The rows as text: for programs every column, for people what differs, below what does not.
///
/// # Errors
/// When memory runs out.
pub fn print(rows: &[Row], machine: &Machine, format: Format) -> Result<String> {
    if format != Format::Table {
        let all = |row: &Row| -> Vec<(String, Value)> {
            let figures = row.figures(machine).into_iter();
            let named = figures.map(|(name, value)| (name.to_owned(), value));
            row.conditions(machine).into_iter().chain(named).collect()
        };
        return table(rows.iter().map(all), |_| true).render(format);
    }
    let all: Vec<_> = rows.iter().map(|row| row.conditions(machine)).collect();
    let is_same = |name: &str| {
        let value = |row: &Vec<(String, Value)>| {
            row.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
        };
        value(&all[0]).is_some() && all.iter().all(|row| value(row) == value(&all[0]))
    };
    let same: Vec<String> = all[..1]
        .iter()
        .flatten()
        .filter(|(name, _)| is_same(name))
        .map(|(name, value)| format!("{name} {}", value.to_string().trim_matches('"')))
        .collect();
    let differing = rows.iter().zip(&all).map(|(row, conditions)| {
        let brief = row.brief(machine).into_iter();
        let named = brief.map(|(name, value)| (name.to_owned(), value));
        conditions.iter().cloned().chain(named).collect()
    });
    let has_failed = rows.iter().any(|row| row.found.is_err());
    let is_shown = |name: &str| if name == "failure" { has_failed } else { !is_same(name) };
    let peaks = &machine.peaks;
    Ok(format!(
        "{}\npeaks: matrix product {} GFLOP/s ({} in f32), copy {} GB/s\n\n{}",
        same.join(", "),
        short(1e-9 * peaks.flops),
        short(1e-9 * peaks.f32_flops),
        short(1e-9 * peaks.copy_bytes_per_second),
        table(differing, is_shown).render(format)?,
    ))
}

/// Rows of equal columns, those of them that are shown.
fn table(
    rows: impl Iterator<Item = Vec<(String, Value)>>,
    is_shown: impl Fn(&str) -> bool,
) -> Table {
    let mut table = Table::default();
    for row in rows {
        let (names, cells): (Vec<String>, Vec<Value>) =
            row.into_iter().filter(|(name, _)| is_shown(name)).unzip();
        table.headers = names;
        table.row(cells);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_mean_something() {
        assert_eq!(digits(123_456.7), 123_460.0);
        assert_eq!(digits(0.001_234_567), 0.001_234_6);
        assert_eq!(digits(0.0), 0.0);
        assert_eq!(short(123_456.7), "123457");
        assert_eq!(short(12.3456), "12.35");
        assert_eq!(short(0.001_234_567), "0.001235");
        assert_eq!(short(0.0), "0");
    }
}
