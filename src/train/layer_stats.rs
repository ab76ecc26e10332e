//! What happens in each layer, at a few steps of a run: the rows of `layers.csv`.

use super::device_dataset::Source;
use super::learner::Learner;
use super::net::{Pass, Seen, observe};
use anyhow::Result;
use fathom_data as data;
use fathom_record::{LayerRow, LayerWriter, SCHEMA};
use std::collections::HashMap;
use tch::{Kind, Tensor};

/// Training images that are looked at: enough for the statistics of a batch, few enough to cost
/// little.
const PROBE: usize = 64;

/// Whether layers are looked at after so many updates: after 0, 1, 2, 5, 10, 20, 50, … and the
/// last.
pub fn is_due(step: u64, last: u64) -> bool {
    let mut leading = step;
    while leading >= 10 && leading.is_multiple_of(10) {
        leading /= 10;
    }
    step == last || matches!(leading, 0 | 1 | 2 | 5)
}

/// Looks into the layers of a net, on images that are always the same.
pub struct Diagnosis {
    images: Tensor,
    labels: Tensor,
    writer: LayerWriter,
}

/// What was seen before an update.
pub struct Before {
    rows: Vec<LayerRow>,
    responses: Vec<Tensor>,
}

impl Diagnosis {
    /// On some of these training images, with equally many of each class, as they are.
    pub fn new(labels: &[u16], source: &Source, writer: LayerWriter) -> Self {
        let (images, labels) = source.plain(&data::balanced(labels, PROBE));
        Self { images: images.copy(), labels: labels.copy(), writer }
    }

    /// The rows' file.
    pub fn writer(&mut self) -> &mut LayerWriter {
        &mut self.writer
    }

    /// Looks at the layers after so many updates.
    pub fn look(&self, learner: &Learner, step: u64) -> Before {
        let parameters = learner.parameters();
        let Pass { logits, layers } = observe(&learner.network, parameters, None, &self.images);
        let outputs = logits.to_kind(Kind::Float);
        let loss = learner.objective.loss(&outputs, &self.images, &self.labels);
        let gradients = parameters.gradients(&loss);
        let _guard = tch::no_grad_guard();
        let values: HashMap<&str, Tensor> = parameters.named().collect();
        let gradients: HashMap<&str, Tensor> = parameters.named_in(&gradients).collect();
        let averages: HashMap<String, Tensor> =
            learner.net.named_statistics().into_iter().collect();
        let rows = (1..).zip(&layers).map(|(layer, seen)| {
            let mut row = LayerRow { schema: SCHEMA, step, layer, ..row(seen) };
            let weight = format!("{}.weight", seen.name);
            row.gradient_norm = Some(norm(&gradients[weight.as_str()]));
            row.weight_norm = Some(norm(&values[weight.as_str()]));
            if let Some(normalisation) = &seen.norm {
                let part = |part: &str| &values[format!("{}.{part}", normalisation.name).as_str()];
                [row.gamma_min, row.gamma_max] = ends(part("weight"));
                [row.beta_min, row.beta_max] = ends(part("bias"));
                if let Some(batch) = &normalisation.batch {
                    let part = |part: &str| &averages[&format!("{}.{part}", normalisation.name)];
                    let moving = [part("running_mean"), part("running_var")];
                    [row.mean_gap, row.variance_gap] = gaps(moving, batch);
                }
            }
            row
        });
        let rows = rows.collect();
        Before { rows, responses: layers.into_iter().map(|seen| seen.response.detach()).collect() }
    }

    /// Writes what was seen, and by how much the update since then changed the responses.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn compare(&mut self, learner: &Learner, mut before: Before) -> Result<()> {
        let _guard = tch::no_grad_guard();
        let after = observe(&learner.network, learner.parameters(), None, &self.images);
        for ((row, old), new) in before.rows.iter_mut().zip(&before.responses).zip(&after.layers) {
            row.response_change = Some(norm(&(&new.response - old)) / norm(old));
        }
        self.write(&before)
    }

    /// Writes what was seen where no update follows.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&mut self, seen: &Before) -> Result<()> {
        let rows: Vec<LayerRow> = seen.rows.iter().map(LayerRow::rounded).collect();
        self.writer.append(&rows)
    }
}

/// What a layer's values alone say.
fn row(seen: &Seen) -> LayerRow {
    let response = seen.response.detach().to_kind(Kind::Float);
    let behind = seen.behind.detach().to_kind(Kind::Float);
    LayerRow {
        name: seen.name.clone(),
        response_mean: Some(response.mean(Kind::Float).double_value(&[])),
        response_sd: Some(response.std(false).double_value(&[])),
        cosine: Some(cosine(&behind)),
        dead_pct: seen.is_rectified.then(|| dead(&behind)),
        ..LayerRow::default()
    }
}

/// Mean cosine between two different images' values.
fn cosine(values: &Tensor) -> f64 {
    let values = values.flatten(1, -1).to_kind(Kind::Double);
    // An image whose values are all zero has no direction.
    let lengths = values.norm_scalaropt_dim(2, [1i64].as_slice(), true).clamp_min(1e-30);
    let directions = values / lengths;
    let n = directions.size()[0] as f64;
    // Of all pairs, an image with itself among them: the length of the mean direction, squared.
    let selves = directions.square().sum(Kind::Double).double_value(&[]);
    let pairs = directions
        .sum_dim_intlist([0i64].as_slice(), false, Kind::Double)
        .square()
        .sum(Kind::Double);
    (pairs.double_value(&[]) - selves) / (n * (n - 1.0))
}

/// Channels that are zero on all images and everywhere, in per cent.
fn dead(values: &Tensor) -> f64 {
    let over: Vec<i64> = (0..values.dim() as i64).filter(|axis| *axis != 1).collect();
    let is_dead = values.amax(over.as_slice(), false).eq(0.0);
    100.0 * is_dead.to_kind(Kind::Double).mean(Kind::Double).double_value(&[])
}

fn norm(values: &Tensor) -> f64 {
    values.to_kind(Kind::Double).norm().double_value(&[])
}

fn ends(values: &Tensor) -> [Option<f64>; 2] {
    [values.min(), values.max()].map(|end| Some(end.double_value(&[])))
}

/// How far moving averages are from a batch's mean and variance: of the means in deviations of the
/// batch, the root mean square over channels; of the variances the mean of their logarithms.
fn gaps(moving: [&Tensor; 2], batch: &[Tensor; 2]) -> [Option<f64>; 2] {
    // A channel that is the same everywhere has no deviation.
    let [moving_variance, variance] = [moving[1], &batch[1]].map(|variance| variance + 1e-5);
    let means = ((moving[0] - &batch[0]).square() / &variance).mean(Kind::Float).sqrt();
    let variances = (moving_variance / variance).log().mean(Kind::Float);
    [means, variances].map(|gap| Some(gap.double_value(&[])))
}

#[cfg(test)]
mod tests;
