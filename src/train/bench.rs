//! How fast a net trains, and what the machine could do at best.

use super::fault::Fault;
use super::feed::Feed;
use super::place::Place;
use super::source::Source;
use super::step::Trainer;
use super::{device, run};
use anyhow::anyhow;
use fathom::arch::Network;
use fathom::data::{Images, Shape, Split, Standardiser};
use fathom::protocol::{BenchJob, Benched, Peaks, PeaksJob};
use fathom::random::{Purpose, Stream};
use fathom::record::CudaUse;
use fathom::spec::{Precision, Settings};
use fathom::stats::{median, quantile};
use std::time::{Duration, Instant};
use tch::{Device, Kind, Tensor};

/// Updates between two looks at the clock, and such groups before it counts: the first updates
/// allocate and choose algorithms. A GPU is far behind the processor that feeds it, and waiting for
/// each update would leave it idle in between.
fn groups(device: Device) -> (u64, usize) {
    if device == Device::Cpu { (1, 3) } else { (10, 3) }
}
/// At least so many groups are timed, however long they take.
const AT_LEAST: usize = 3;

/// Times updates of a net on images of noise; nothing is read or written.
///
/// # Errors
/// Memory, or a device that is not there.
pub fn bench(job: &BenchJob, started: Instant) -> Result<Benched, Fault> {
    tch::set_num_threads(job.threads as i32);
    let device = device::open(&job.device)?;
    let settings =
        Settings::new(&job.config).map_err(|(key, message)| anyhow!("{key}: {message}"))?;
    let images = noise(&job.network, settings.training.batch);
    let standardiser = Standardiser::measure(&settings.standardise, &images);
    let place = Place::new(device, job.layout, settings.training.precision);
    let fast = device::fast(device, job.cuda, settings.training.precision)?;
    let mut updates = Updates {
        trainer: Trainer::new(&job.network, &settings, place, fast.graphs),
        source: Source::new((&images, &standardiser), place, fast.resident, 1),
        feed: Feed::new(images.len(), &settings, place),
        // As a diverging net would be slower for its subnormal numbers, the rate is small.
        lr: 1e-4 * settings.training.lr,
        done: 0,
        data: Vec::new(),
    };
    updates.make(1);
    let startup = run::process_age(started);
    let time = Duration::from_secs_f64(job.seconds);
    let (size, warm_up) = groups(device);
    let mut steps = Vec::new();
    let mut begun = Instant::now();
    let mut made = 0;
    while begun.elapsed() < time || steps.len() < AT_LEAST {
        let seconds = updates.make(size);
        made += 1;
        if made == warm_up {
            begun = Instant::now();
            updates.data.clear();
        } else if made > warm_up {
            steps.push(seconds);
        }
    }
    let at = |share: f64| quantile(&steps, share).unwrap_or_default();
    Ok(Benched {
        startup_seconds: startup,
        step_seconds: at(0.5),
        step_p10_seconds: at(0.1),
        step_p90_seconds: at(0.9),
        data_seconds: median(&updates.data).unwrap_or_default(),
        peak_memory_bytes: run::peak_memory(device),
        steps: steps.len() as u64 * size,
    })
}

/// A net in training, and its clock.
struct Updates<'a> {
    trainer: Trainer,
    source: Source<'a>,
    feed: Feed,
    lr: f64,
    done: u64,
    /// Seconds of the batches so far.
    data: Vec<f64>,
}

impl Updates<'_> {
    /// Makes so many updates and waits for the device; the seconds of one of them.
    fn make(&mut self, count: u64) -> f64 {
        let clock = Instant::now();
        let mut last = None;
        for _ in 0..count {
            let batch = Instant::now();
            let (images, labels) = self.feed.batch(&self.source, self.done);
            self.data.push(batch.elapsed().as_secs_f64());
            last = Some(self.trainer.step(self.done, &images, &labels, self.lr));
            self.done += 1;
        }
        if let Some(outcome) = last {
            // A value that is read is there.
            let _ = outcome.loss.double_value(&[]);
        }
        clock.elapsed().as_secs_f64() / count as f64
    }
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
            let kind = Place::new(device, Default::default(), precision).compute;
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
    let seconds = best(device, time, &out, || left.mm_out(&out, &right));
    2.0 * (side as f64).powi(3) / seconds
}

/// Bytes read and written per second by a copy that no cache holds.
fn copy(device: Device, time: Duration) -> f64 {
    let bytes: i64 = if device == Device::Cpu { 256 << 20 } else { 1 << 30 };
    let from = Tensor::zeros([bytes / 4], (Kind::Float, device));
    let mut to = from.ones_like();
    let seen = to.shallow_clone();
    2.0 * bytes as f64 / best(device, time, &seen, || to.copy_(&from))
}

/// The least seconds that something took, of repetitions that last so long together; `result` is
/// what it writes to.
fn best<T>(device: Device, time: Duration, result: &Tensor, mut work: impl FnMut() -> T) -> f64 {
    let (size, warm_up) = groups(device);
    let wait = || result.flatten(0, -1).double_value(&[0]);
    let mut best = f64::INFINITY;
    let mut begun = Instant::now();
    let mut made = 0;
    while begun.elapsed() < time || made < warm_up + AT_LEAST {
        wait();
        let clock = Instant::now();
        for _ in 0..size {
            work();
        }
        wait();
        made += 1;
        if made == warm_up {
            begun = Instant::now();
        } else if made > warm_up {
            best = best.min(clock.elapsed().as_secs_f64() / size as f64);
        }
    }
    best
}
