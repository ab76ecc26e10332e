//! Columns of `fathom bench`.

use super::Machine;
use super::figures::Figures;
use super::setting::Setting;
use crate::table::{Format, render};
use anyhow::Result;
use fathom_record::Table;
use serde_json::Value;

/// Help on the columns.
pub const HELP: &str = "\
Columns:
  images_per_s         training images per second of all jobs together, batches included
  step_ms              median time of an update with its batch, over `steps` updates; on a GPU,
                       updates are timed in groups of ten or more, and this is the median of the
                       means of the groups
  step_p10_ms, step_p90_ms   time of an update than which a tenth is faster, or slower
  data_ms              mean time of the processor to make a batch and copy it to the device
  gflop_per_step       10^9 additions and multiplications of one update, by convention 3 forward
                       passes (the backward pass counts as two) of 2 operations for each
                       multiply-add that `inspect` counts, without normalisation and optimiser
  gflop_per_s          10^9 additions and multiplications per second of all jobs together
  peak_gflop_per_s     speed of a matrix product of 2048 x 2048 (on a GPU 8192 x 8192) in this
                       precision with the threads of all jobs; peak_f32_gflop_per_s the same in f32
  share_of_peak_pct    gflop_per_s in per cent of peak_gflop_per_s
  roofline_gflop_per_s what this machine could reach with this net: the operations of an update by
                       the sum over its layers of the longer of two times, that of the operations at
                       peak_gflop_per_s and that of the bytes that the layer must read and write at
                       copy_gb_per_s
  share_of_roofline_pct   gflop_per_s in per cent of roofline_gflop_per_s; above 100 where caches
                       hold the values of small nets
  copy_gb_per_s        10^9 bytes per second read and written by a large copy
  peak_memory_mb       peak memory of a process in 10^6 bytes: on the host, including libtorch
                       itself; on a GPU, what libtorch reserved there
  startup_s            time from the start of the process to the end of its first update
  failure              why a setting could not be timed
With several jobs, times are means over the jobs, and memory is that of the largest job.

Columns of --profile, after the conditions of a row:
  place                device or host; the host's operations and the kernels of a GPU overlap in time
  operation            name of libtorch's operation, of CUDA's call, or of the kernel
  calls_per_step       mean number of calls of one update
  us_per_step          mean time in an update in microseconds, without that of operations inside it";

/// A setting and its measurements.
pub struct Row {
    /// The setting.
    pub setting: Setting,
    /// Its measurements, or why there are none.
    pub figures: Result<Figures, String>,
}

/// Rounds to five digits: further ones are noise.
fn digits(value: f64) -> Value {
    if value == 0.0 || !value.is_finite() {
        return value.into();
    }
    let unit = 10f64.powi(4 - value.abs().log10().floor() as i32);
    ((value * unit).round() / unit).into()
}

impl Row {
    /// One line with the speed.
    pub fn summary(&self) -> String {
        let Setting { name, point, batch, layout, .. } = &self.setting;
        let keys: String =
            point.of_network().map(|(key, value)| format!(" {key}={value}")).collect();
        let found = match &self.figures {
            Ok(figures) => format!("{:.1} images/s", figures.images_per_second),
            Err(failure) => failure.clone(),
        };
        format!("{name}{keys}, batch {batch}, {}: {found}", layout.word())
    }

    /// The conditions of the measurements, by column.
    fn conditions(&self, machine: &Machine) -> Vec<(String, Value)> {
        let Setting { name, given, point, batch, layout, .. } = &self.setting;
        let text = |name: &str, value: &str| (name.to_owned(), Value::from(value));
        let mut cells = vec![text("network", name)];
        let given = given.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        cells.extend(point.of_network().chain(given).map(|(key, value)| {
            // A depth is a number, a kind of block is text.
            let number = serde_json::from_str(value).ok().filter(Value::is_number);
            (key.replace('-', "_"), number.unwrap_or_else(|| value.into()))
        }));
        cells.extend([
            ("batch".into(), (*batch).into()),
            text("layout", layout.word()),
            text("precision", machine.precision.word()),
            text("augment", machine.augment.word()),
            text("device", &machine.device),
            ("threads".into(), machine.threads.into()),
            ("jobs".into(), machine.jobs.into()),
        ]);
        cells
    }

    /// The measurements, by column; null if there are none.
    fn measurements(&self, machine: &Machine) -> Vec<(&'static str, Value)> {
        let peaks = &machine.peaks;
        let of = |of: fn(&Figures) -> f64| {
            self.figures.as_ref().map_or(Value::Null, |figures| digits(of(figures)))
        };
        let share = self.figures.as_ref().ok().map(|f| digits(100.0 * f.flops / peaks.flops));
        let steps = self.figures.as_ref().map_or(Value::Null, |figures| figures.steps.into());
        let failure = self.figures.as_ref().err().map(|failure| failure.as_str().into());
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
            ("roofline_gflop_per_s", of(|f| 1e-9 * f.roofline_flops)),
            ("share_of_roofline_pct", of(|f| 100.0 * f.flops / f.roofline_flops)),
            ("peak_f32_gflop_per_s", digits(1e-9 * peaks.f32_flops)),
            ("copy_gb_per_s", digits(1e-9 * peaks.copy_bytes_per_second)),
            ("peak_memory_mb", of(|f| 1e-6 * f.peak_memory_bytes as f64)),
            ("startup_s", of(|f| f.startup)),
            ("failure", failure.unwrap_or_default()),
        ]
    }

    /// The measurements rounded for people, by column.
    fn brief(&self, machine: &Machine) -> Vec<(&'static str, Value)> {
        let of = |of: &dyn Fn(&Figures) -> String| {
            self.figures.as_ref().map_or(Value::Null, |figures| of(figures).into())
        };
        let failure = self.figures.as_ref().err().map(|failure| failure.as_str().into());
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
            ("% of roofline", of(&|f| format!("{:.1}", 100.0 * f.flops / f.roofline_flops))),
            ("MB", of(&|f| format!("{:.0}", 1e-6 * f.peak_memory_bytes as f64))),
            ("start s", of(&|f| format!("{:.2}", f.startup))),
            ("failure", failure.unwrap_or_default()),
        ]
    }
}

/// A positive number with at least four digits.
fn short(value: f64) -> String {
    let above = value.log10().floor();
    let decimals = if above.is_finite() { (3.0 - above).clamp(0.0, 9.0) as usize } else { 0 };
    format!("{value:.decimals$}")
}

/// The operations of the updates as CSV: the conditions of a row, where an operation is executed, its name, and
/// means of its calls and of its time in an update.
///
/// # Errors
/// When the table cannot be rendered.
pub fn profiles(rows: &[Row], machine: &Machine) -> Result<String> {
    let cells = rows.iter().flat_map(|row| {
        let operations = row.figures.iter().flat_map(|figures| &figures.profile);
        operations.map(|operation| {
            let mut cells = row.conditions(machine);
            cells.extend([
                ("place".into(), operation.place.word().into()),
                ("operation".into(), operation.name.as_str().into()),
                ("calls_per_step".into(), digits(operation.calls)),
                ("us_per_step".into(), digits(1e6 * operation.seconds)),
            ]);
            cells
        })
    });
    render(&table(cells, |_| true), Format::Csv)
}

/// The rows as text: every column for programs; for people the columns that differ, after a line with
/// those that do not.
///
/// # Errors
/// When the table cannot be rendered.
pub fn print(rows: &[Row], machine: &Machine, format: Format) -> Result<String> {
    if format != Format::Table {
        let all = |row: &Row| -> Vec<(String, Value)> {
            let measured = row.measurements(machine).into_iter();
            let named = measured.map(|(name, value)| (name.to_owned(), value));
            row.conditions(machine).into_iter().chain(named).collect()
        };
        return render(&table(rows.iter().map(all), |_| true), format);
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
    let has_failed = rows.iter().any(|row| row.figures.is_err());
    let is_shown = |name: &str| if name == "failure" { has_failed } else { !is_same(name) };
    let peaks = &machine.peaks;
    Ok(format!(
        "{}\npeaks: matrix product {} GFLOP/s ({} in f32), copy {} GB/s\n\n{}",
        same.join(", "),
        short(1e-9 * peaks.flops),
        short(1e-9 * peaks.f32_flops),
        short(1e-9 * peaks.copy_bytes_per_second),
        render(&table(differing, is_shown), format)?,
    ))
}

/// A table of rows that have the same columns, with the columns that are shown.
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
    fn numbers_are_rounded_to_their_significant_digits() {
        assert_eq!(digits(123_456.7), 123_460.0);
        assert_eq!(digits(0.001_234_567), 0.001_234_6);
        assert_eq!(digits(0.0), 0.0);
        assert_eq!(short(123_456.7), "123457");
        assert_eq!(short(12.3456), "12.35");
        assert_eq!(short(0.001_234_567), "0.001235");
        assert_eq!(short(0.0), "0");
    }
}
