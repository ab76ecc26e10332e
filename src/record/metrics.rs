//! The table of the columns of `curve.csv`. Its metrics are what claims, figures, reports, exports
//! and help name: a new metric is one row here, and its measurement in the training loop.

use super::table::{Row, row};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// A column of `curve.csv` that holds a measurement of the net.
#[derive(Clone, Debug)]
pub struct Metric {
    /// Name of the column.
    pub column: &'static str,
    /// Name in a sentence, such as `training error`.
    pub label: &'static str,
    /// Unit of its values.
    pub unit: Unit,
    /// The images that it is measured on.
    pub measured_on: MeasuredOn,
    /// How it is measured, in one line.
    pub definition: &'static str,
    /// Tag in TensorBoard's event files.
    pub tag: &'static str,
    /// Whether tables of final values have it.
    pub is_in_tables: bool,
    value: fn(&CurveRow) -> Option<f64>,
}

/// Unit of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Share of the images, in per cent.
    PerCent,
    /// Mean over the images, in nats.
    Nats,
}

/// The images that a metric is measured on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeasuredOn {
    /// Training images.
    Train,
    /// Test images.
    Test,
    /// Images held out of the training set.
    Validation,
}

impl Unit {
    /// The title of an axis with this unit.
    pub fn axis(self) -> &'static str {
        match self {
            Unit::PerCent => "error (%)",
            Unit::Nats => "cross-entropy (nats)",
        }
    }

    /// The unit of a column: that of its metric, else per cent where its name ends with `_pct`.
    pub fn of(column: &str) -> Option<Self> {
        let named = Metric::named(column).map(|metric| metric.unit);
        named.or_else(|| column.ends_with("_pct").then_some(Unit::PerCent))
    }
}

/// Whether a column holds errors, which are shares of images: fathom's own, and others by the end of
/// their name.
pub(super) fn is_error(column: &str) -> bool {
    match Metric::named(column) {
        Some(metric) => metric.unit == Unit::PerCent,
        None => column.ends_with("_err_pct"),
    }
}

impl Metric {
    /// The metric of a column.
    pub fn named(column: &str) -> Option<&'static Metric> {
        METRICS.iter().find(|metric| metric.column == column)
    }

    /// Its value in a row; absent where it was not measured.
    pub fn of(&self, row: &CurveRow) -> Option<f64> {
        (self.value)(row)
    }
}

/// All metrics, errors before losses.
pub static METRICS: LazyLock<Vec<Metric>> = LazyLock::new(|| {
    let mut metrics = TABLE.to_vec();
    // Metrics of one unit stay in the order of the file.
    metrics.sort_by_key(|metric| metric.unit != Unit::PerCent);
    metrics
});

/// Names of all metrics' columns, in the order of [`METRICS`].
pub fn metric_columns() -> impl Iterator<Item = &'static str> + Clone {
    METRICS.iter().map(|metric| metric.column)
}

/// Defines [`CurveRow`] and the table of its metrics. Columns are written in the order given here.
macro_rules! curve {
    ($(
        columns { $($(#[$about:meta])* $column:ident: $kind:ty $(= $absent:expr)?,)* }
        metrics { $($metric:ident {
            label: $label:literal,
            unit: $unit:ident,
            measured_on: $images:ident,
            definition: $definition:expr,
            tag: $tag:literal,
            is_in_tables: $is_in_tables:literal,
        })* }
    )*) => {
        row! {
            /// One evaluation of a net. Absent is empty in the file; NaN and inf are written as such.
            pub struct CurveRow {
                $(
                    $($(#[$about])* pub $column: $kind $(= $absent)?,)*
                    $(
                        #[doc = concat!("Metric \"", $label, "\" of [`METRICS`].")]
                        pub $metric: Option<f64>,
                    )*
                )*
                + /// Values of the columns that are not fathom's own, as far as they were measured.
                pub extra: BTreeMap<String, f64>,
            }
        }

        /// Names of all metrics' columns, in the order of the file.
        pub const METRIC_COLUMNS: &[&str] = &[$($(stringify!($metric),)*)*];

        static TABLE: &[Metric] = &[$($(Metric {
            column: stringify!($metric),
            label: $label,
            unit: Unit::$unit,
            measured_on: MeasuredOn::$images,
            definition: $definition,
            tag: $tag,
            is_in_tables: $is_in_tables,
            value: |row| row.$metric,
        },)*)*];
    };
}

/// Columns that are no measurements but whole numbers.
const COUNTS: [&str; 4] = ["schema", "step", "train_images", "test_images"];

const EVALUATED: &str = "in evaluation mode, without augmentation";
const RUNNING: &str = "over the batches since the previous row, as trained on";

curve! {
    columns {
        /// Version of the format.
        schema: u32 = 1,
        /// Number of updates so far; 0 is the untrained net.
        step: u64,
        /// Number of training images seen so far, divided by the size of the training set.
        epoch: Option<f64>,
        /// Learning rate of the last update, warm-up included; at step 0 that of the first update.
        lr: Option<f64>,
    }
    metrics {
        train_loss {
            label: "training loss",
            unit: Nats,
            measured_on: Train,
            definition: EVALUATED,
            tag: "train/loss",
            is_in_tables: false,
        }
        train_err_pct {
            label: "training error",
            unit: PerCent,
            measured_on: Train,
            definition: EVALUATED,
            tag: "train/error",
            is_in_tables: true,
        }
    }
    columns {
        /// Number of training images that were evaluated.
        train_images: u64 = 0,
    }
    metrics {
        train_loss_running {
            label: "running training loss",
            unit: Nats,
            measured_on: Train,
            definition: RUNNING,
            tag: "train/loss_running",
            is_in_tables: false,
        }
        train_err_running_pct {
            label: "running training error",
            unit: PerCent,
            measured_on: Train,
            definition: RUNNING,
            tag: "train/error_running",
            is_in_tables: true,
        }
        train_err_fresh_pct {
            label: "training error with fresh statistics",
            unit: PerCent,
            measured_on: Train,
            definition: "in evaluation mode, BatchNorm's statistics recomputed",
            tag: "train/error_fresh",
            is_in_tables: true,
        }
        test_loss {
            label: "test loss",
            unit: Nats,
            measured_on: Test,
            definition: EVALUATED,
            tag: "test/loss",
            is_in_tables: false,
        }
        test_err_pct {
            label: "test error",
            unit: PerCent,
            measured_on: Test,
            definition: EVALUATED,
            tag: "test/error",
            is_in_tables: true,
        }
    }
    columns {
        /// Number of test images that were evaluated.
        test_images: u64 = 0,
    }
    metrics {
        validation_loss {
            label: "validation loss",
            unit: Nats,
            measured_on: Validation,
            definition: EVALUATED,
            tag: "validation/loss",
            is_in_tables: false,
        }
        validation_err_pct {
            label: "validation error",
            unit: PerCent,
            measured_on: Validation,
            definition: EVALUATED,
            tag: "validation/error",
            is_in_tables: false,
        }
    }
    columns {
        /// Seconds since the run started, evaluations included: the one column that no seed fixes.
        seconds: Option<f64>,
    }
    metrics {}
}

impl CurveRow {
    /// Sets a measurement by the name of its column, and returns whether there is such a column.
    pub(super) fn set(&mut self, column: &str, value: f64) -> bool {
        let names = Self::COLUMNS.iter().filter(|name| !COUNTS.contains(name));
        let figure = names.zip(self.figures_mut()).find(|(name, _)| **name == column);
        figure.map(|(_, figure)| *figure = Some(value)).is_some()
    }

    /// The value of a column by name: a metric, another column of numbers, or an extra column;
    /// absent where it was not measured.
    pub fn metric(&self, column: &str) -> Option<f64> {
        match column {
            "step" => Some(self.step as f64),
            "epoch" => self.epoch,
            "lr" => self.lr,
            "seconds" => self.seconds,
            _ => match Metric::named(column) {
                Some(metric) => metric.of(self),
                None => self.extra.get(column).copied(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CURVE_COLUMNS;

    #[test]
    fn every_metric_is_a_column_with_a_label_and_a_tag_of_its_own() {
        let distinct = |of: fn(&Metric) -> &'static str| {
            let mut all: Vec<&str> = METRICS.iter().map(of).collect();
            all.sort_unstable();
            all.dedup();
            all.len()
        };
        assert_eq!(distinct(|metric| metric.column), METRICS.len());
        assert_eq!(distinct(|metric| metric.label), METRICS.len());
        assert_eq!(distinct(|metric| metric.tag), METRICS.len());
        for metric in METRICS.iter() {
            assert_eq!(metric.column.ends_with("_pct"), metric.unit == Unit::PerCent);
        }
    }

    /// The order of the file is public, and so is that of lists of metrics.
    #[test]
    fn columns_and_metrics_have_their_order() {
        assert_eq!(
            CURVE_COLUMNS.join(","),
            "schema,step,epoch,lr,train_loss,train_err_pct,train_images,train_loss_running,\
             train_err_running_pct,train_err_fresh_pct,test_loss,test_err_pct,test_images,\
             validation_loss,validation_err_pct,seconds"
        );
        assert_eq!(
            metric_columns().collect::<Vec<_>>().join(","),
            "train_err_pct,train_err_running_pct,train_err_fresh_pct,test_err_pct,\
             validation_err_pct,train_loss,train_loss_running,test_loss,validation_loss"
        );
    }

    #[test]
    fn every_number_of_a_row_has_its_name() {
        let mut row =
            CurveRow { extra: [("top5_pct".to_owned(), 1.0)].into(), ..Default::default() };
        for (value, figure) in Row::figures_mut(&mut row).into_iter().enumerate() {
            *figure = Some(value as f64);
        }
        let mut values: Vec<f64> =
            CURVE_COLUMNS.iter().filter_map(|column| row.metric(column)).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        assert_eq!(values.len(), 3 + METRICS.len(), "each another one: {values:?}");
        assert_eq!(row.metric("top5_pct"), Some(1.0));
        assert_eq!(row.metric("train_images"), None);
        for column in CURVE_COLUMNS.iter().filter(|column| !COUNTS.contains(column)) {
            assert!(row.set(column, 77.0) && row.metric(column) == Some(77.0), "{column}");
        }
        assert!(!row.set("step", 1.0) && !row.set("top5_pct", 1.0));
    }
}
