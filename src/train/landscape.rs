//! Loss landscape and input gradients of a trained net.

use super::context::{DeviceContext, RunContext, read_weights, settings};
use super::device_dataset::Source;
use super::evaluate::{Errors, Evaluator};
use super::fault::Fault;
use super::interrupt::Interrupt;
use super::net::{Mode, Net, TappedNorm};
use super::objective::Objective;
use super::parameters::Parameters;
use super::placement::Placement;
use super::weights;
use anyhow::{Result, anyhow, ensure};
use fathom_arch::{Init, Network, Role};
use fathom_base::rounded;
use fathom_data as data;
use fathom_protocol::{Correlation, Landscape, LandscapeJob, Slices};
use fathom_record::{CorrelationRow, SCHEMA, SliceRow, Values, Weights};
use std::collections::BTreeMap;
use tch::{Kind, Tensor};

/// Images of one forward pass that recomputes normalisation statistics.
const BATCH: usize = 64;

/// Offset of the seeds of random directions, above the seeds of all runs.
const DIRECTIONS: u64 = 1 << 40;

/// Measures slices of a net's loss and correlations of its gradients, as the job asks.
///
/// # Errors
/// If the device, the weights, a key of the configuration or the data set is not usable, the weights
/// do not fit the net, or the data set is not the one of the run.
pub fn landscape(job: &LandscapeJob) -> Result<Landscape, Fault> {
    let device = DeviceContext::for_evaluation(&job.device, job.threads)?;
    let trained = read_weights(&job.weights, &[], &job.network)?;
    let settings = settings(&job.config)?;
    let dataset =
        data::load(&settings.data, job.data_dir.as_deref()).map_err(|error| Fault::data(&error))?;
    if dataset.sha256 != job.data {
        return Err(Fault::data(&anyhow!(
            "the data set is not the one that the run was trained on"
        )));
    }
    let context = RunContext::new(settings, device, dataset, 1);
    let placement = device.placement;
    let images = &context.data.dataset.train;
    let subject = Subject {
        network: &job.network,
        objective: Objective::new(&job.network, &context.settings, placement),
        placement,
        source: context.data.source(images),
        images: data::balanced(images.labels(), job.images),
    };
    let mut measured = Landscape::default();
    if let Some(slices) = job.slices {
        measured.slices = subject.slices(&trained, slices)?;
    }
    if let Some(correlation) = job.correlation {
        let (net, _) = weights::load(&trained, &job.network, placement);
        let (seed, decay) = (context.settings.seed, context.settings.training.decay);
        let initial = Parameters::new(&job.network.initial(seed), decay, placement);
        let untrained = Net::new(&job.network, &initial);
        for (name, net) in [("initial", untrained), ("final", net)] {
            let found = subject.correlations(&net, correlation)?;
            let rows = found.into_iter().map(|(distance, correlation)| CorrelationRow {
                schema: SCHEMA,
                weights: name.into(),
                distance,
                correlation,
            });
            measured.correlations.extend(rows);
        }
    }
    Ok(measured)
}

/// A net and the training images on which it is measured.
struct Subject<'a> {
    network: &'a Network,
    objective: Objective,
    placement: Placement,
    source: Source<'a>,
    /// Indices of the training images.
    images: Vec<u32>,
}

impl Subject<'_> {
    /// Loss and error along random directions with filter normalisation (1712.09913, section 4): each
    /// filter of a direction has the norm of the net's filter. Normalisation parameters, biases and
    /// moving averages do not change.
    fn slices(&self, trained: &Weights, slices: Slices) -> Result<Vec<SliceRow>> {
        let interrupt = Interrupt::default();
        let mut rows = Vec::new();
        for direction in 0..slices.directions {
            let line = self.direction(trained, direction);
            for point in 0..slices.points {
                let position = point as f64 * 2.0 / (slices.points - 1).max(1) as f64 - 1.0;
                let alpha = rounded(position * slices.reach);
                let (net, _) =
                    weights::load(&moved(trained, &line, alpha), self.network, self.placement);
                let evaluator = Evaluator::new(self.placement.device, false, &interrupt);
                let Errors { loss, err_pct, .. } =
                    evaluator.errors(&net, &self.objective, &self.source, &self.images)?;
                rows.push(SliceRow {
                    schema: SCHEMA,
                    direction,
                    alpha,
                    train_loss: rounded(loss),
                    train_err_pct: rounded(err_pct),
                });
            }
        }
        Ok(rows)
    }

    /// The random direction with this number: normally distributed, each filter scaled to the norm of
    /// the net's filter.
    fn direction(&self, trained: &Weights, number: u64) -> Weights {
        let mut tensors = BTreeMap::new();
        // He initialisation draws normally distributed weights; no run has this seed.
        let network = Network { init: Init::HeFanOut, ..self.network.clone() };
        for drawn in network.initial(DIRECTIONS + number) {
            let is_weight = drawn.role == Role::Weight;
            let own = trained.tensors.get(&drawn.name).filter(|_| is_weight);
            let Some(own) = own else { continue };
            let per_filter = drawn.values.len() / drawn.shape[0];
            let norm = |values: &[f32]| {
                values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt()
            };
            let filters = drawn.values.chunks(per_filter).zip(own.values.chunks(per_filter));
            let values = filters.flat_map(|(random, own)| {
                let scale = norm(own) / norm(random).max(1e-30);
                random.iter().map(move |value| (f64::from(*value) * scale) as f32)
            });
            let values = Values { shape: drawn.shape.clone(), values: values.collect() };
            tensors.insert(drawn.name, values);
        }
        Weights { tensors }
    }

    /// Mean cosine between the gradients of a logit with respect to the input at two points on the
    /// line between two images, by the distance of the points as a share of the line (1702.08591).
    /// Normalisations use statistics recomputed over many images, so that the gradient at a point does
    /// not depend on the other points.
    fn correlations(
        &self,
        net: &Net,
        Correlation { pairs, points }: Correlation,
    ) -> Result<Vec<(f64, f64)>> {
        ensure!(
            self.images.len() >= 2 * pairs,
            "{pairs} pairs need {} images, found {}",
            2 * pairs,
            self.images.len()
        );
        {
            let _guard = tch::no_grad_guard();
            // A last batch of fewer images would count as much as the others.
            let part = BATCH.min(self.images.len()).max(1);
            for (batches, part) in self.images.chunks_exact(part).enumerate() {
                let _ = net.forward(&self.source.plain(part).0, Mode::Refresh { batches });
            }
        }
        let mut sums = vec![0.0; points];
        for pair in self.images.as_chunks::<2>().0.iter().take(pairs) {
            let (ends, labels) = self.source.plain(pair);
            let share =
                Tensor::linspace(0.0, 1.0, points as i64, (Kind::Float, self.placement.device));
            let share = share.view([-1, 1, 1, 1]);
            let line: Tensor = ends.get(0) * (1.0 - &share) + ends.get(1) * share;
            let line = line.detach().set_requires_grad(true);
            let logits = net.tapped(&line, TappedNorm::Running).logits;
            let logit = logits.select(1, labels.int64_value(&[0])).sum(Kind::Float);
            let gradients = Tensor::run_backward(&[logit], &[&line], false, false);
            let flat = gradients[0].flatten(1, -1).to_kind(Kind::Double);
            let lengths = flat.norm_scalaropt_dim(2, [1i64].as_slice(), true).clamp_min(1e-30);
            let directions = flat / lengths;
            let cosines = directions.matmul(&directions.transpose(0, 1));
            for (lag, sum) in sums.iter_mut().enumerate() {
                let diagonal = cosines.diagonal(lag as i64, 0, 1);
                *sum += diagonal.mean(Kind::Double).double_value(&[]) / pairs as f64;
            }
        }
        let distance = |lag: usize| rounded(lag as f64 / (points - 1).max(1) as f64);
        Ok(sums.into_iter().enumerate().map(|(lag, sum)| (distance(lag), rounded(sum))).collect())
    }
}

/// The weights `trained + alpha · line`.
fn moved(trained: &Weights, line: &Weights, alpha: f64) -> Weights {
    let mut moved = trained.clone();
    for (name, direction) in &line.tensors {
        if let Some(values) = moved.tensors.get_mut(name) {
            for (value, step) in values.values.iter_mut().zip(&direction.values) {
                *value += alpha as f32 * step;
            }
        }
    }
    moved
}
