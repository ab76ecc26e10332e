//! Statistics of each layer with weights at a few steps of a run: the rows of `layers.csv`.

use super::device_dataset::Source;
use super::learner::Learner;
use super::net::{BatchTap, LayerTap, Moments, NormTap, Tapped, TappedNorm};
use anyhow::Result;
use fathom_data as data;
use fathom_record::{LayerRow, LayerWriter, SCHEMA};
use std::collections::HashMap;
use tch::{Kind, Tensor};

/// Measures the layers of a net, always on the same images.
pub struct LayerProbe {
    images: Tensor,
    labels: Tensor,
    writer: LayerWriter,
}

/// Measurements before an update.
pub struct Before {
    rows: Vec<LayerRow>,
    responses: Vec<Tensor>,
}

impl Before {
    /// Adds the rise of the test error without each block, by the name of the block's last layer.
    pub fn set_lesions(&mut self, costs: &HashMap<String, f64>) {
        for row in &mut self.rows {
            row.lesion_cost = costs.get(&row.name).copied();
        }
    }
}

impl LayerProbe {
    /// Takes `count` images, or all if there are fewer, from the training set without augmentation, equally
    /// many of each class.
    pub fn new(labels: &[u16], source: &Source, count: usize, writer: LayerWriter) -> Self {
        let (images, labels) = source.plain(&data::balanced(labels, count));
        Self { images: images.copy(), labels: labels.copy(), writer }
    }

    /// Writer of `layers.csv`.
    pub fn writer(&mut self) -> &mut LayerWriter {
        &mut self.writer
    }

    /// Measures the layers after `step` updates.
    pub fn measure(&self, learner: &Learner, step: u64) -> Before {
        let parameters = learner.parameters();
        let Tapped { logits, layers } = learner.net.tapped(&self.images, TappedNorm::Batch);
        let outputs = logits.to_kind(Kind::Float);
        let loss = learner.objective.loss(&outputs, &self.images, &self.labels);
        let gradients = parameters.gradients(&loss);
        let _guard = tch::no_grad_guard();
        let values: HashMap<&str, Tensor> = parameters.named().collect();
        let gradients: HashMap<&str, Tensor> = parameters.named_in(&gradients).collect();
        let rows = (1..).zip(&layers).map(|(layer, tap)| {
            let mut row = LayerRow { schema: SCHEMA, step, layer, ..row(tap) };
            let weight = format!("{}.weight", tap.name);
            row.gradient_norm = Some(norm(&gradients[weight.as_str()]));
            row.weight_norm = Some(norm(&values[weight.as_str()]));
            row
        });
        let rows = rows.collect();
        Before { rows, responses: layers.into_iter().map(|tap| tap.response.detach()).collect() }
    }

    /// Writes the rows with the changes of the responses by the update that was made since
    /// `before`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn compare(&mut self, learner: &Learner, mut before: Before) -> Result<()> {
        let _guard = tch::no_grad_guard();
        let after = learner.net.tapped(&self.images, TappedNorm::Batch);
        for ((row, old), new) in before.rows.iter_mut().zip(&before.responses).zip(&after.layers) {
            row.response_change = Some(norm(&(&new.response - old)) / norm(old));
        }
        self.write(&before)
    }

    /// Writes rows without changes of the responses, when no update follows.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&mut self, measured: &Before) -> Result<()> {
        let rows: Vec<LayerRow> = measured.rows.iter().map(LayerRow::rounded).collect();
        self.writer.append(&rows)
    }
}

/// The columns that follow from a layer's tap.
fn row(tap: &LayerTap) -> LayerRow {
    let response = tap.response.detach().to_kind(Kind::Float);
    let output = tap.output.detach().to_kind(Kind::Float);
    let mut row = LayerRow {
        name: tap.name.clone(),
        response_mean: Some(response.mean(Kind::Float).double_value(&[])),
        response_sd: Some(response.std(false).double_value(&[])),
        cosine: Some(cosine(&output)),
        dead_pct: tap.is_rectified.then(|| dead(&output)),
        ..LayerRow::default()
    };
    if let Some(NormTap { gamma, beta, batch }) = &tap.norm {
        [row.gamma_min, row.gamma_max] = range(gamma);
        [row.beta_min, row.beta_max] = range(beta);
        if let Some(BatchTap { batch, running }) = batch {
            row.mean_gap = Some(mean_gap(running, batch));
            row.variance_gap = Some(variance_gap(running, batch));
        }
    }
    row
}

/// Mean cosine between the values of two different images.
fn cosine(values: &Tensor) -> f64 {
    let values = values.flatten(1, -1).to_kind(Kind::Double);
    // An image whose values are all zero has no direction.
    let lengths = values.norm_scalaropt_dim(2, [1i64].as_slice(), true).clamp_min(1e-30);
    let directions = values / lengths;
    let n = directions.size()[0] as f64;
    // Sum over all pairs, including each image with itself: the squared length of the sum of the
    // directions.
    let selves = directions.square().sum(Kind::Double).double_value(&[]);
    let pairs = directions
        .sum_dim_intlist([0i64].as_slice(), false, Kind::Double)
        .square()
        .sum(Kind::Double);
    (pairs.double_value(&[]) - selves) / (n * (n - 1.0))
}

/// Channels that are zero for all images and at every position, in per cent.
fn dead(values: &Tensor) -> f64 {
    let over: Vec<i64> = (0..values.dim() as i64).filter(|axis| *axis != 1).collect();
    let is_dead = values.amax(over.as_slice(), false).eq(0.0);
    100.0 * is_dead.to_kind(Kind::Double).mean(Kind::Double).double_value(&[])
}

fn norm(values: &Tensor) -> f64 {
    values.to_kind(Kind::Double).norm().double_value(&[])
}

fn range(values: &Tensor) -> [Option<f64>; 2] {
    [values.min(), values.max()].map(|end| Some(end.double_value(&[])))
}

/// Added to variances, since a channel with the same value everywhere has variance 0.
const EPSILON: f64 = 1e-5;

/// Root mean square over channels of (μ − μ_batch) / √(σ²_batch + ε).
fn mean_gap(running: &Moments, batch: &Moments) -> f64 {
    let variance = &batch.variance + EPSILON;
    let gap = ((&running.mean - &batch.mean).square() / variance).mean(Kind::Float).sqrt();
    gap.double_value(&[])
}

/// Mean over channels of ln((σ² + ε) / (σ²_batch + ε)).
fn variance_gap(running: &Moments, batch: &Moments) -> f64 {
    let ratio = (&running.variance + EPSILON) / (&batch.variance + EPSILON);
    ratio.log().mean(Kind::Float).double_value(&[])
}

#[cfg(test)]
mod tests;
