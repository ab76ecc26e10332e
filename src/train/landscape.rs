//! Looks at a trained net: slices of its loss, and gradients along its input.

use super::device_dataset::Source;
use super::evaluate::{Errors, Evaluator};
use super::fault::Fault;
use super::interrupt::Interrupt;
use super::net::{Averages, Mode, Net, observe};
use super::objective::Objective;
use super::parameters::Parameters;
use super::placement::Placement;
use super::{device, weights};
use anyhow::{Context, Result, anyhow, ensure};
use fathom_arch::{Init, Network, Role};
use fathom_data::{self as data, Standardiser};
use fathom_protocol::{Correlation, Landscape, LandscapeJob, Slices};
use fathom_record::{CorrelationRow, CudaUse, SCHEMA, SliceRow, Values, Weights};
use fathom_spec::{Precision, Settings};
use std::collections::BTreeMap;
use tch::{Kind, Tensor};

/// Images of one forward pass that takes statistics anew.
const BATCH: usize = 64;

/// Looks.
///
/// # Errors
/// When weights or data are not there, do not fit, or are not those of the run.
pub fn look(job: &LandscapeJob) -> Result<Landscape, Fault> {
    tch::set_num_threads(job.threads as i32);
    let device = device::open(&job.device)?;
    let plain = CudaUse { graphs: false, resident: false, deterministic: true };
    device::fast(device, plain, Precision::F32)?;
    let trained = Weights::read(&job.weights)?;
    trained.fit(&job.network).with_context(|| job.weights.display().to_string())?;
    let settings = Settings::new(&job.config).map_err(anyhow::Error::from)?;
    let dataset =
        data::load(&settings.data, job.data_dir.as_deref()).map_err(|error| Fault::data(&error))?;
    if dataset.sha256 != job.data {
        return Err(Fault::data(&anyhow!("the data set is not the one that the run saw")));
    }
    let standardiser = Standardiser::measure(&settings.standardise, &dataset.train);
    let place = Placement::plain(device, Kind::Float);
    let source = Source::new((&dataset.train, &standardiser), place, false, 1);
    let images = data::balanced(dataset.train.labels(), job.images);
    let task = Objective::new(&job.network, &settings, place);
    let look = Look { network: &job.network, task, place, source, images };
    let mut looked = Landscape::default();
    if let Some(slices) = job.slices {
        looked.slices = look.slices(&trained, slices)?;
    }
    if let Some(correlation) = job.correlation {
        let (net, parameters) = weights::load(&trained, &job.network, place);
        let fresh =
            Parameters::new(&job.network.initial(settings.seed), settings.training.decay, place);
        let untrained = Net::new(&job.network, &fresh);
        for (name, net, parameters) in [("initial", untrained, fresh), ("final", net, parameters)] {
            let figures = look.correlations(&net, &parameters, correlation)?;
            let rows = figures.into_iter().map(|(distance, correlation)| CorrelationRow {
                schema: SCHEMA,
                weights: name.into(),
                distance,
                correlation,
            });
            looked.correlations.extend(rows);
        }
    }
    Ok(looked)
}

struct Look<'a> {
    network: &'a Network,
    task: Objective,
    place: Placement,
    source: Source<'a>,
    images: Vec<u32>,
}

impl Look<'_> {
    /// Loss and error along random lines (1712.09913): each filter of the direction is as long as
    /// the net's, normalisations and biases stay, and so do the moving averages.
    fn slices(&self, trained: &Weights, slices: Slices) -> Result<Vec<SliceRow>> {
        let stop = Interrupt::default();
        let mut rows = Vec::new();
        for direction in 0..slices.directions {
            let line = self.direction(trained, direction);
            for point in 0..slices.points {
                let from_middle = point as f64 * 2.0 / (slices.points - 1).max(1) as f64 - 1.0;
                let alpha = rounded(from_middle * slices.reach);
                let (net, _) =
                    weights::load(&moved(trained, &line, alpha), self.network, self.place);
                let evaluator = Evaluator::new(self.place, &stop, false);
                let errors = evaluator.errors((&net, &self.task), &self.source, &self.images);
                let Errors { loss, err_pct, .. } = errors.map_err(|_| anyhow!("stopped"))?;
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

    /// A random direction: normal numbers, each filter made as long as the net's.
    fn direction(&self, trained: &Weights, number: u64) -> Weights {
        let mut tensors = BTreeMap::new();
        // He's initial weights are normal numbers; the seed is one that no run has.
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

    /// Distances along the line between two images, and the mean cosine between gradients of a logit
    /// by the input that far apart. Normalisations use the statistics of many images, taken anew,
    /// so that a point's gradient does not depend on the others.
    fn correlations(
        &self,
        net: &Net,
        parameters: &Parameters,
        Correlation { pairs, points }: Correlation,
    ) -> Result<Vec<(f64, f64)>> {
        {
            let _guard = tch::no_grad_guard();
            for (batches, part) in self.images.chunks_exact(BATCH).enumerate() {
                let _ =
                    net.forward(&self.source.plain(part, self.place).0, Mode::Refresh { batches });
            }
        }
        let averages: Averages = net.named_statistics().into_iter().collect();
        ensure!(self.images.len() >= 2 * pairs, "there are too few images for {pairs} pairs");
        let mut sums = vec![0.0; points];
        for pair in self.images.chunks_exact(2).take(pairs) {
            let (ends, labels) = self.source.plain(pair, self.place);
            let share = Tensor::linspace(0.0, 1.0, points as i64, (Kind::Float, self.place.device));
            let share = share.view([-1, 1, 1, 1]);
            let line: Tensor = ends.get(0) * (1.0 - &share) + ends.get(1) * share;
            let line = line.detach().set_requires_grad(true);
            let pass = observe(self.network, parameters, Some(&averages), &line);
            let logit = pass.logits.select(1, labels.int64_value(&[0])).sum(Kind::Float);
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

/// Seeds of directions begin here.
const DIRECTIONS: u64 = 1 << 40;

/// The net, moved along a line.
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

/// Six decimals are more than any of these figures means.
fn rounded(value: f64) -> f64 {
    if value.abs() < 1e9 { (value * 1e6).round() / 1e6 } else { value }
}
