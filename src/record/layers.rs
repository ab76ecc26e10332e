//! `layers.csv`: statistics of each layer with weights at some steps of a run.

use super::table::{self, Row, row};
use super::{CurveMark, CurveWriter};
use anyhow::{Result, ensure};
use std::path::Path;

row! {
    /// The statistics of one layer with weights after a number of updates, on a fixed batch of training
    /// images without augmentation and with the normalisation statistics of that batch. Absent is
    /// empty in the file.
    pub struct LayerRow {
        /// Version of the format.
        pub schema: u32 = 1,
        /// Number of updates so far.
        pub step: u64,
        /// Position among the layers with weights, counted from 1 at the input.
        pub layer: u64,
        /// Name of the layer, which is that of its parameters without `.weight`.
        pub name: String,
        /// Euclidean norm of the gradient of the loss with respect to the weights.
        pub gradient_norm: Option<f64>,
        /// Euclidean norm of the weights.
        pub weight_norm: Option<f64>,
        /// Relative change of the response to the same images by the next update: norm of the
        /// difference over norm of the response.
        pub response_change: Option<f64>,
        /// Mean of the response: the output after normalisation, before the residual addition and
        /// ReLU (1512.03385, Fig. 7).
        pub response_mean: Option<f64>,
        /// Standard deviation of the response over images, channels and positions.
        pub response_sd: Option<f64>,
        /// Mean cosine similarity between the activations of two different images, after the
        /// non-linearity.
        pub cosine: Option<f64>,
        /// Channels whose activations after ReLU are zero for all images and positions, in per cent.
        pub dead_pct: Option<f64>,
        /// Smallest scale of the normalisation.
        pub gamma_min: Option<f64>,
        /// Largest scale of the normalisation.
        pub gamma_max: Option<f64>,
        /// Smallest shift of the normalisation.
        pub beta_min: Option<f64>,
        /// Largest shift of the normalisation.
        pub beta_max: Option<f64>,
        /// Distance of the moving means from the batch means in standard deviations of the batch:
        /// root mean square over channels.
        pub mean_gap: Option<f64>,
        /// Logarithm of the moving variance over the batch variance: mean over channels.
        pub variance_gap: Option<f64>,
        /// Percentage points by which the test error rises without the block that ends with this
        /// layer (1605.06431, section 4.1); after the last update, with `evaluate.lesions`.
        pub lesion_cost: Option<f64>,
    }
}

impl LayerRow {
    /// Norm of the gradient multiplied by that of the weights: the first-order change of the loss per relative
    /// change of the weights, in the direction of steepest ascent. Normalisation after a layer makes its function
    /// independent of the scale of its weights, and its gradient inversely proportional to it; the product
    /// is the same at every scale.
    pub fn scaled_gradient_norm(&self) -> Option<f64> {
        Some(self.gradient_norm? * self.weight_norm?)
    }

    /// The row with all statistics rounded to six significant digits, the precision of the file.
    pub fn rounded(&self) -> Self {
        let mut row = self.clone();
        for figure in row.figures_mut() {
            // NaN and infinities have no digits and stay as they are.
            *figure = figure.map(|value| format!("{value:.5e}").parse().unwrap_or(value));
        }
        row
    }

    /// The statistic of this column, one of [`layer_metrics`]; absent where it was not measured.
    pub fn metric(&self, column: &str) -> Option<f64> {
        let place = layer_metrics().position(|name| name == column)?;
        self.clone().figures_mut().get(place).and_then(|figure| **figure)
    }
}

/// The column of [`LayerRow::lesion_cost`].
pub const LESION_COST: &str = "lesion_cost";

/// Names of the columns of [`LayerRow`] that are statistics of the layer.
pub fn layer_metrics() -> impl Iterator<Item = &'static str> {
    // The first four are version, step, position and name.
    LAYER_COLUMNS.iter().skip(4).copied()
}

/// Names of the columns of [`LayerRow`], in the order in which they are written.
pub const LAYER_COLUMNS: &[&str] = <LayerRow as Row>::COLUMNS;

/// Reads `layers.csv`.
///
/// # Errors
/// The errors of [`table::read`], and when a row repeats a layer or goes back, with what came before it.
pub(super) fn read(path: &Path) -> Result<Vec<LayerRow>> {
    let rows: Vec<LayerRow> = table::read(path)?;
    for pair in rows.windows(2) {
        let [before, row] = [&pair[0], &pair[1]].map(|row| (row.step, row.layer));
        ensure!(
            before < row,
            "{}: steps and the layers of a step do not ascend: step {}, layer {} follows step {}, layer {}",
            path.display(),
            row.0,
            row.1,
            before.0,
            before.1
        );
    }
    Ok(rows)
}

/// Appends rows to a `layers.csv`.
pub struct LayerWriter(CurveWriter);

impl LayerWriter {
    /// Creates the file; an existing one is replaced.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn create(path: &Path) -> Result<Self> {
        CurveWriter::create(path).map(Self)
    }

    /// Opens the file to continue after the marked content; what follows that is cut off.
    ///
    /// # Errors
    /// When the file cannot be written, or has other columns than [`LAYER_COLUMNS`].
    pub fn resume(path: &Path, mark: &CurveMark) -> Result<Self> {
        CurveWriter::resume_rows::<LayerRow>(path, mark).map(Self)
    }

    /// Writes all rows to the disk and returns a mark of the content.
    ///
    /// # Errors
    /// When the file cannot be written or read again.
    pub fn mark(&mut self) -> Result<CurveMark> {
        self.0.mark()
    }

    /// Writes the rows of one step and flushes them.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn append(&mut self, rows: &[LayerRow]) -> Result<()> {
        rows.iter().try_for_each(|row| self.0.append_row(row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SCHEMA;
    #[test]
    fn figures_have_six_digits_and_nan_and_infinity_stay() {
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
        assert_eq!(rounded.metric("gradient_norm"), Some(147.094));
        assert_eq!(rounded.metric("response_mean"), rounded.response_mean);
        assert_eq!((rounded.metric("dead_pct"), rounded.metric("layer")), (None, None));
    }

    #[test]
    fn the_scaled_gradient_does_not_depend_on_the_scale_of_normalised_weights() {
        let row = |gradient, weight| LayerRow {
            gradient_norm: Some(gradient),
            weight_norm: Some(weight),
            ..LayerRow::default()
        };
        assert_eq!(row(0.5, 2.0).scaled_gradient_norm(), Some(1.0));
        // Weights that are ten times as large have a tenth of the gradient.
        assert_eq!(row(0.05, 20.0).scaled_gradient_norm(), Some(1.0));
        assert_eq!(LayerRow { weight_norm: None, ..row(1.0, 1.0) }.scaled_gradient_norm(), None);
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
        assert_eq!(read(&path).unwrap(), rows);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().next().unwrap(), LAYER_COLUMNS.join(","));
        assert_eq!(
            LAYER_COLUMNS.join(","),
            "schema,step,layer,name,gradient_norm,weight_norm,response_change,response_mean,\
             response_sd,cosine,dead_pct,gamma_min,gamma_max,beta_min,beta_max,mean_gap,variance_gap,\
             lesion_cost"
        );
    }

    #[test]
    fn rows_that_are_doubled_or_out_of_order_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("layers.csv");
        let rows = "1,1,a\n1,2,b\n5,1,a\n5,2,b\n";
        let with = |rows: &str| {
            std::fs::write(&path, format!("step,layer,name\n{rows}")).unwrap();
            read(&path)
        };
        assert_eq!(with(rows).unwrap().len(), 4);
        for (rows, expected) in [
            (format!("{rows}{rows}"), "step 1, layer 1 follows step 5, layer 2"),
            (rows.replace("1,2,b\n", "1,2,b\n1,2,b\n"), "step 1, layer 2 follows step 1, layer 2"),
        ] {
            let message = with(&rows).unwrap_err().to_string();
            assert!(message.ends_with(&format!("do not ascend: {expected}")), "{message}");
        }
    }

    #[test]
    fn columns_are_found_by_name_and_a_row_without_its_layer_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("layers.csv");
        std::fs::write(&path, "name,rank,layer,weight_norm,step\nfc,9,3,0.5,10\n").unwrap();
        let row = LayerRow {
            schema: 1,
            step: 10,
            layer: 3,
            name: "fc".into(),
            weight_norm: Some(0.5),
            ..LayerRow::default()
        };
        assert_eq!(read(&path).unwrap(), [row]);
        for (text, expected) in [
            ("name,step,weight_norm\nfc,10,1\n", "line 1: column `layer` is missing"),
            (
                "name,layer,step,weight_norm\nfc,3,10,one\n",
                "line 2: column `weight_norm` has the value `one`, expected a number",
            ),
        ] {
            std::fs::write(&path, text).unwrap();
            let message = format!("{:#}", read(&path).unwrap_err());
            assert!(message.ends_with(&format!("layers.csv: {expected}")), "{message}");
        }
    }
}
