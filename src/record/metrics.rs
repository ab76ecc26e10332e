//! The metrics of `curve.csv`: one table that claims, figures, reports, exports and help read.

use super::CurveRow;

/// A column of `curve.csv` that holds a measurement of the net.
#[derive(Debug)]
pub struct Metric {
    /// Name of the column.
    pub column: &'static str,
    /// Name in a sentence, such as `training error`.
    pub label: &'static str,
    /// Unit of its values.
    pub unit: Unit,
    /// The images that it is measured on.
    pub part: Part,
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
pub enum Part {
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
}

impl Metric {
    /// The metric of this column.
    pub fn named(column: &str) -> Option<&'static Metric> {
        METRICS.iter().find(|metric| metric.column == column)
    }

    /// Its value in a row; absent where it was not measured.
    pub fn of(&self, row: &CurveRow) -> Option<f64> {
        (self.value)(row)
    }
}

const EVALUATED: &str = "in evaluation mode, without augmentation";
const RUNNING: &str = "over the batches since the previous row, as trained on";

/// All metrics, errors before losses.
pub static METRICS: [Metric; 9] = [
    Metric {
        column: "train_err_pct",
        label: "training error",
        unit: Unit::PerCent,
        part: Part::Train,
        definition: EVALUATED,
        tag: "train/error",
        is_in_tables: true,
        value: |row| row.train_err_pct,
    },
    Metric {
        column: "train_err_running_pct",
        label: "running training error",
        unit: Unit::PerCent,
        part: Part::Train,
        definition: RUNNING,
        tag: "train/error_running",
        is_in_tables: true,
        value: |row| row.train_err_running_pct,
    },
    Metric {
        column: "train_err_fresh_pct",
        label: "training error with fresh statistics",
        unit: Unit::PerCent,
        part: Part::Train,
        definition: "in evaluation mode, BatchNorm's statistics recomputed",
        tag: "train/error_fresh",
        is_in_tables: true,
        value: |row| row.train_err_fresh_pct,
    },
    Metric {
        column: "test_err_pct",
        label: "test error",
        unit: Unit::PerCent,
        part: Part::Test,
        definition: EVALUATED,
        tag: "test/error",
        is_in_tables: true,
        value: |row| row.test_err_pct,
    },
    Metric {
        column: "validation_err_pct",
        label: "validation error",
        unit: Unit::PerCent,
        part: Part::Validation,
        definition: EVALUATED,
        tag: "validation/error",
        is_in_tables: false,
        value: |row| row.validation_err_pct,
    },
    Metric {
        column: "train_loss",
        label: "training loss",
        unit: Unit::Nats,
        part: Part::Train,
        definition: EVALUATED,
        tag: "train/loss",
        is_in_tables: false,
        value: |row| row.train_loss,
    },
    Metric {
        column: "train_loss_running",
        label: "running training loss",
        unit: Unit::Nats,
        part: Part::Train,
        definition: RUNNING,
        tag: "train/loss_running",
        is_in_tables: false,
        value: |row| row.train_loss_running,
    },
    Metric {
        column: "test_loss",
        label: "test loss",
        unit: Unit::Nats,
        part: Part::Test,
        definition: EVALUATED,
        tag: "test/loss",
        is_in_tables: false,
        value: |row| row.test_loss,
    },
    Metric {
        column: "validation_loss",
        label: "validation loss",
        unit: Unit::Nats,
        part: Part::Validation,
        definition: EVALUATED,
        tag: "validation/loss",
        is_in_tables: false,
        value: |row| row.validation_loss,
    },
];

/// Names of all metrics' columns, in the order of [`METRICS`].
pub fn metric_columns() -> impl Iterator<Item = &'static str> + Clone {
    METRICS.iter().map(|metric| metric.column)
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
        for metric in &METRICS {
            assert!(CURVE_COLUMNS.contains(&metric.column), "{}", metric.column);
            assert_eq!(metric.column.ends_with("_pct"), metric.unit == Unit::PerCent);
        }
    }
}
