//! The columns of `layers.csv`: what happens inside a net, one row per layer with weights at some
//! steps of a run.

use super::table::Row;
use super::{CurveMark, CurveWriter};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// One layer with weights after so many updates, seen on a fixed batch of training images without
/// augmentation, with the statistics of that batch. Absent is empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerRow {
    /// Version of this format.
    pub schema: u32,
    /// Updates made so far.
    pub step: u64,
    /// Its place among layers with weights, from 1 at the image.
    pub layer: u64,
    /// Its name, without `.weight`.
    pub name: String,
    /// Euclidean norm of the loss's gradient by its weights.
    pub gradient_norm: Option<f64>,
    /// Euclidean norm of its weights.
    pub weight_norm: Option<f64>,
    /// By how much the next update changes its response on the same images: the norm of the
    /// difference over that of the response.
    pub response_change: Option<f64>,
    /// Mean of its response: its output after its normalisation, before addition and
    /// non-linearity (1512.03385, Fig. 7).
    pub response_mean: Option<f64>,
    /// Standard deviation of its response, over images, channels and positions.
    pub response_sd: Option<f64>,
    /// Mean cosine between what two different images become behind its non-linearity.
    pub cosine: Option<f64>,
    /// Channels that are zero everywhere behind its ReLU, in per cent.
    pub dead_pct: Option<f64>,
    /// Least scale of its normalisation.
    pub gamma_min: Option<f64>,
    /// Greatest.
    pub gamma_max: Option<f64>,
    /// Least shift.
    pub beta_min: Option<f64>,
    /// Greatest.
    pub beta_max: Option<f64>,
    /// How far the moving means are from the batch's, in deviations of the batch: root mean square
    /// over channels.
    pub mean_gap: Option<f64>,
    /// Mean over channels of the moving variance's logarithm less that of the batch's.
    pub variance_gap: Option<f64>,
}

impl LayerRow {
    /// With six digits of each figure, which is more than any of them means.
    pub fn rounded(&self) -> Self {
        let mut row = self.clone();
        for figure in [
            &mut row.gradient_norm,
            &mut row.weight_norm,
            &mut row.response_change,
            &mut row.response_mean,
            &mut row.response_sd,
            &mut row.cosine,
            &mut row.dead_pct,
            &mut row.gamma_min,
            &mut row.gamma_max,
            &mut row.beta_min,
            &mut row.beta_max,
            &mut row.mean_gap,
            &mut row.variance_gap,
        ] {
            // What is not a number has no digits, and is written as it is.
            *figure = figure.map(|value| format!("{value:.5e}").parse().unwrap_or(value));
        }
        row
    }
}

/// Names of the columns of [`LayerRow`], in order.
pub const LAYER_COLUMNS: [&str; 17] = [
    "schema",
    "step",
    "layer",
    "name",
    "gradient_norm",
    "weight_norm",
    "response_change",
    "response_mean",
    "response_sd",
    "cosine",
    "dead_pct",
    "gamma_min",
    "gamma_max",
    "beta_min",
    "beta_max",
    "mean_gap",
    "variance_gap",
];

impl Row for LayerRow {
    const COLUMNS: &'static [&'static str] = &LAYER_COLUMNS;

    fn schema(&self) -> u32 {
        self.schema
    }
}

/// Appends rows to a `layers.csv`.
pub struct LayerWriter(CurveWriter);

impl LayerWriter {
    /// Starts a new file.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create(path: &Path) -> Result<Self> {
        CurveWriter::create(path).map(Self)
    }

    /// Goes on after what was marked.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn resume(path: &Path, mark: &CurveMark) -> Result<Self> {
        CurveWriter::resume(path, mark).map(Self)
    }

    /// Brings all rows to the disk and marks them.
    ///
    /// # Errors
    /// When the disk is full or gone.
    pub fn mark(&mut self) -> Result<CurveMark> {
        self.0.mark()
    }

    /// Writes the rows of one step and flushes them.
    ///
    /// # Errors
    /// When the disk is full or gone.
    pub fn append(&mut self, rows: &[LayerRow]) -> Result<()> {
        rows.iter().try_for_each(|row| self.0.append_any(row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SCHEMA;
    use crate::table::read;

    #[test]
    fn figures_have_six_digits_and_what_is_no_number_stays() {
        let row = LayerRow {
            gradient_norm: Some(147.093_997_216),
            response_mean: Some(1.455_191_522e-9),
            response_change: Some(f64::NAN),
            cosine: Some(f64::INFINITY),
            ..LayerRow::default()
        };
        let rounded = row.rounded();
        assert_eq!(rounded.gradient_norm, Some(147.094));
        assert_eq!(rounded.response_mean, Some(1.45519e-9));
        assert!(rounded.response_change.is_some_and(f64::is_nan));
        assert_eq!(rounded.cosine, Some(f64::INFINITY));
        assert_eq!(rounded.dead_pct, None);
    }

    #[test]
    fn rows_survive_the_file_and_its_header_is_the_list_of_columns() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("layers.csv");
        let row = |layer, change| LayerRow {
            schema: SCHEMA,
            step: 10,
            layer,
            name: format!("layer1.{layer}.conv1"),
            gradient_norm: Some(0.25),
            response_change: change,
            ..LayerRow::default()
        };
        let rows = vec![row(1, Some(0.5)), row(2, None)];
        LayerWriter::create(&path).unwrap().append(&rows).unwrap();
        assert_eq!(read::<LayerRow>(&path).unwrap(), rows);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().next().unwrap(), LAYER_COLUMNS.join(","));
        std::fs::write(&path, text.replace("weight_norm", "weights")).unwrap();
        let message = format!("{:#}", read::<LayerRow>(&path).unwrap_err());
        assert!(message.contains("column 6 is `weights`, expected `weight_norm`"), "{message}");
    }
}
