//! Training speed of a net, and peak performance of the machine.

use super::context::{DeviceContext, RunContext, settings};
use super::device;
use super::fault::Fault;
use super::process::{peak_memory, process_age};
use super::timing::{Clock, Repeated, Updates, wait};
use fathom_arch::Network;
use fathom_base::random::{Purpose, Stream};
use fathom_data::{Dataset, Images, Shape};
use fathom_protocol::{BenchJob, Benched, Peaks, PeaksJob};
use fathom_record::{CudaUse, Layout};
use fathom_spec::Precision;
use fathom_stats::quantile;
use std::time::Instant;
use tch::{Device, Kind, Tensor};

/// Times updates of a net on images of noise. Reads and writes no files.
///
/// # Errors
/// If the device or a key of the configuration is not usable, or memory runs out.
pub fn bench(job: &BenchJob, started: Instant) -> Result<Benched, Fault> {
    let device = device::open(&job.device, job.threads)?;
    let settings = settings(&job.config)?;
    let dataset = noise(&job.network, settings.training.batch);
    let device = DeviceContext::new(device, job.layout, settings.training.precision, job.cuda)?;
    let context = RunContext::new(settings, device, dataset, 1);
    let mut updates = Updates::new(&job.network, &context);
    updates.once();
    wait(device.placement.device);
    let startup_seconds = process_age(started);
    updates.align();
    let clock = updates.clock(job.seconds);
    let steps = clock.samples(&mut updates);
    let profile = updates.profile(job.profiled);
    let at = |share: f64| quantile(&steps, share).unwrap_or_default();
    Ok(Benched {
        startup_seconds,
        step_seconds: at(0.5),
        step_p10_seconds: at(0.1),
        step_p90_seconds: at(0.9),
        data_seconds: updates.data_seconds(),
        peak_memory_bytes: peak_memory(device.placement.device),
        steps: steps.len() as u64 * clock.group,
        profile,
    })
}

/// Bytes of noise, at most: more than caches hold, so that no image is in a cache when it is used.
const NOISE_BYTES: usize = 32 << 20;

/// A training set of images with independent pixels: at least one batch, thousands if they are
/// small. Validation and test set are empty.
fn noise(network: &Network, batch: usize) -> Dataset {
    let [channels, height, width] = network.input;
    let shape = Shape { channels, height, width };
    let count = (NOISE_BYTES / shape.len()).clamp(1, 4096).max(batch);
    // The random numbers are those of the built-in data set.
    let mut stream = Stream::new(0, Purpose::Shapes, 0, 0);
    let labels = (0..count).map(|_| stream.below(network.classes) as u16).collect();
    let mut pixels = vec![0; count * shape.len()];
    for part in pixels.chunks_mut(4) {
        part.copy_from_slice(&stream.word().to_le_bytes()[..part.len()]);
    }
    let empty = || Images { shape, pixels: Vec::new(), labels: Vec::new() };
    Dataset {
        classes: (0..network.classes).map(|class| class.to_string()).collect(),
        train: Images { shape, pixels, labels }.into(),
        validation: empty().into(),
        test: empty().into(),
        sha256: String::new(),
        notes: Vec::new(),
    }
}

/// Measures the peak performance of the machine.
///
/// # Errors
/// If the device is not usable, or memory runs out.
pub fn peaks(job: &PeaksJob) -> Result<Peaks, Fault> {
    let device = device::open(&job.device, job.threads)?;
    let configured = |precision: Precision| {
        let cuda = CudaUse { fused: false, ..CudaUse::default() };
        DeviceContext::new(device, Layout::default(), precision, cuda)
    };
    let kind = configured(Precision::F32)?.placement.compute;
    let f32_flops = product(device, kind, job.seconds);
    let flops = match job.precision {
        Precision::F32 => f32_flops,
        precision @ (Precision::Tf32 | Precision::Bf16) => {
            let kind = configured(precision)?.placement.compute;
            product(device, kind, job.seconds)
        }
    };
    let copy_bytes_per_second = copy(device, job.seconds);
    Ok(Peaks { f32_flops, flops, copy_bytes_per_second })
}

/// Floating-point operations per second of a product of two square matrices.
fn product(device: Device, kind: Kind, seconds: f64) -> f64 {
    let side: i64 = if device == Device::Cpu { 2048 } else { 8192 };
    // Zeros take less power than the values of a net, so a GPU would multiply them faster.
    let matrix = || Tensor::rand([side, side], (Kind::Float, device)).to_kind(kind);
    let (left, right, out) = (matrix(), matrix(), matrix());
    let shortest = best(device, seconds, || {
        let _ = left.mm_out(&out, &right);
    });
    2.0 * (side as f64).powi(3) / shortest
}

/// Bytes read and written per second by a copy that exceeds all caches.
fn copy(device: Device, seconds: f64) -> f64 {
    let bytes: i64 = if device == Device::Cpu { 256 << 20 } else { 1 << 30 };
    let from = Tensor::zeros([bytes / 4], (Kind::Float, device));
    let mut to = from.ones_like();
    let shortest = best(device, seconds, || to.copy_(&from));
    2.0 * bytes as f64 / shortest
}

/// Shortest time of the work in seconds, over repetitions for `seconds`.
fn best(device: Device, seconds: f64, mut work: impl FnMut()) -> f64 {
    Clock::new(device, seconds).samples(&mut work).into_iter().fold(f64::INFINITY, f64::min)
}
