//! How fast a net trains, and what the machine could do at best.

use super::device_dataset::Source;
use super::fault::Fault;
use super::placement::Placement;
use super::timing::{Clock, Repeated, Updates, wait};
use super::{device, run};
use fathom_arch::Network;
use fathom_base::random::{Purpose, Stream};
use fathom_data::{Images, Shape, Split, Standardiser};
use fathom_protocol::{BenchJob, Benched, Peaks, PeaksJob};
use fathom_record::CudaUse;
use fathom_spec::{Precision, Settings};
use fathom_stats::quantile;
use std::time::{Duration, Instant};
use tch::{Device, Kind, Tensor};

/// Times updates of a net on images of noise; nothing is read or written.
///
/// # Errors
/// Memory, or a device that is not there.
pub fn bench(job: &BenchJob, started: Instant) -> Result<Benched, Fault> {
    tch::set_num_threads(job.threads as i32);
    let device = device::open(&job.device)?;
    let settings = Settings::new(&job.config).map_err(anyhow::Error::from)?;
    let images = noise(&job.network, settings.training.batch);
    let standardiser = Standardiser::measure(&settings.standardise, &images);
    let place = Placement::new(device, job.layout, settings.training.precision);
    let fast = device::fast(device, job.cuda, settings.training.precision)?;
    let source = Source::new((&images, &standardiser), place, fast.resident, 1);
    let mut updates = Updates::new(&job.network, &settings, place, fast, (source, images.len()));
    updates.once();
    wait(device);
    let startup = run::process_age(started);
    updates.align();
    let clock = updates.clock(Duration::from_secs_f64(job.seconds));
    let steps = clock.samples(&mut updates);
    let at = |share: f64| quantile(&steps, share).unwrap_or_default();
    Ok(Benched {
        startup_seconds: startup,
        step_seconds: at(0.5),
        step_p10_seconds: at(0.1),
        step_p90_seconds: at(0.9),
        data_seconds: updates.data_seconds(),
        peak_memory_bytes: run::peak_memory(device),
        steps: steps.len() as u64 * clock.group,
    })
}

/// As many images as fill no more than this many bytes are enough that none is in a cache when its
/// turn comes.
const NOISE_BYTES: usize = 32 << 20;

/// Images of independent pixels: a batch at least, and some thousands if they are small.
fn noise(network: &Network, batch: usize) -> Split {
    let [channels, height, width] = network.input;
    let shape = Shape { channels, height, width };
    let count = (NOISE_BYTES / shape.len()).clamp(1, 4096).max(batch);
    // They are drawn here, as those of the built-in data set are.
    let mut stream = Stream::new(0, Purpose::Shapes, 0, 0);
    let labels = (0..count).map(|_| stream.below(network.classes) as u16).collect();
    let mut pixels = vec![0; count * shape.len()];
    for part in pixels.chunks_mut(4) {
        part.copy_from_slice(&stream.word().to_le_bytes()[..part.len()]);
    }
    Images { shape, pixels, labels }.into()
}

/// Measures the machine's peaks.
///
/// # Errors
/// Memory, or a device that is not there.
pub fn peaks(job: &PeaksJob) -> Result<Peaks, Fault> {
    tch::set_num_threads(job.threads as i32);
    let device = device::open(&job.device)?;
    let time = Duration::from_secs_f64(job.seconds);
    device::fast(device, CudaUse::default(), Precision::F32)?;
    let f32_flops = product(device, Kind::Float, time);
    let flops = match job.precision {
        Precision::F32 => f32_flops,
        precision => {
            device::fast(device, CudaUse::default(), precision)?;
            let kind = Placement::new(device, Default::default(), precision).compute;
            product(device, kind, time)
        }
    };
    Ok(Peaks { f32_flops, flops, copy_bytes_per_second: copy(device, time) })
}

/// Additions and multiplications per second of a product of two square matrices.
fn product(device: Device, kind: Kind, time: Duration) -> f64 {
    let side: i64 = if device == Device::Cpu { 2048 } else { 8192 };
    // Zeros would take less power, and so be faster on a GPU than what a net computes with.
    let matrix = || Tensor::rand([side, side], (Kind::Float, device)).to_kind(kind);
    let (left, right, out) = (matrix(), matrix(), matrix());
    let seconds = best(device, time, || {
        let _ = left.mm_out(&out, &right);
    });
    2.0 * (side as f64).powi(3) / seconds
}

/// Bytes read and written per second by a copy that no cache holds.
fn copy(device: Device, time: Duration) -> f64 {
    let bytes: i64 = if device == Device::Cpu { 256 << 20 } else { 1 << 30 };
    let from = Tensor::zeros([bytes / 4], (Kind::Float, device));
    let mut to = from.ones_like();
    let seconds = best(device, time, || to.copy_(&from));
    2.0 * bytes as f64 / seconds
}

/// The least seconds that something took, of repetitions that last so long together.
fn best(device: Device, time: Duration, mut work: impl FnMut()) -> f64 {
    Clock::new(device, time).samples(&mut work).into_iter().fold(f64::INFINITY, f64::min)
}
