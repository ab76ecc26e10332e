//! The clock of everything that is timed: updates, evaluations, matrix products, copies.

use super::data_loader::DataLoader;
use super::device_dataset::Source;
use super::evaluate::Evaluator;
use super::learner::Learner;
use super::placement::Placement;
use super::running_metrics::RunningMetrics;
use super::shim::device::synchronize;
use fathom_arch::Network;
use fathom_record::CudaUse;
use fathom_spec::Settings;
use std::time::{Duration, Instant};
use tch::Device;

/// Repetitions between two waits for a GPU, at least: it is far behind the processor that feeds it,
/// and waiting for each would leave it idle in between.
const GROUP: u64 = 10;

/// Work that is repeated.
pub trait Repeated {
    /// Does it once, without waiting for the device.
    fn once(&mut self);

    /// Whether further repetitions cost what they will cost from now on.
    fn is_settled(&self) -> bool {
        true
    }
}

impl<F: FnMut()> Repeated for F {
    fn once(&mut self) {
        self();
    }
}

/// How work is timed.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// The device that is waited for.
    pub device: Device,
    /// Repetitions of one sample: on the CPU 1.
    pub group: u64,
    /// Groups that are not counted: the first ones allocate memory, search for algorithms and record
    /// CUDA graphs. More of them are left out until the work is settled.
    pub warm_up: usize,
    /// Samples that are taken, however long they last.
    pub at_least: usize,
    /// How long samples are taken.
    pub time: Duration,
}

impl Clock {
    /// A clock for short repetitions: three groups warm up, and at least three are timed.
    pub fn new(device: Device, time: Duration) -> Self {
        let group = if device == Device::Cpu { 1 } else { GROUP };
        Self { device, group, warm_up: 3, at_least: 3, time }
    }

    /// Seconds of one repetition, sample by sample: the mean over a group, at whose ends the device
    /// has nothing to do.
    pub fn samples(&self, work: &mut impl Repeated) -> Vec<f64> {
        let mut warm_up = self.warm_up;
        while warm_up > 0 || !work.is_settled() {
            self.sample(work);
            warm_up = warm_up.saturating_sub(1);
        }
        let begun = Instant::now();
        let mut samples = Vec::new();
        while samples.len() < self.at_least || begun.elapsed() < self.time {
            samples.push(self.sample(work));
        }
        samples
    }

    fn sample(&self, work: &mut impl Repeated) -> f64 {
        let clock = Instant::now();
        for _ in 0..self.group {
            work.once();
        }
        wait(self.device);
        clock.elapsed().as_secs_f64() / self.group as f64
    }
}

/// Waits until a device has done all it was given; the CPU always has.
pub fn wait(device: Device) {
    if let Device::Cuda(index) = device {
        synchronize(index);
    }
}

/// A net in training, as a run trains it, whose updates are timed.
pub struct Updates<'a> {
    pub trainer: Learner,
    pub source: Source<'a>,
    feed: DataLoader,
    running: RunningMetrics,
    place: Placement,
    lr: f64,
    done: u64,
    /// Seconds that the processor spent on batches.
    data: f64,
}

impl<'a> Updates<'a> {
    /// A net with its initial weights; `images` are those that it trains on.
    pub fn new(
        network: &Network,
        settings: &Settings,
        place: Placement,
        cuda: CudaUse,
        (source, images): (Source<'a>, usize),
    ) -> Self {
        Self {
            trainer: Learner::new(network, settings, place, cuda.graphs),
            source,
            feed: DataLoader::new(images, settings, place),
            running: RunningMetrics::new(place.device),
            place,
            // As a diverging net would be slower for its subnormal numbers, the rate is small.
            lr: 1e-4 * settings.training.lr,
            done: 0,
            data: 0.0,
        }
    }

    /// A clock whose groups hold whole periods of the data loader: where batches are assembled on
    /// the device several at once, each sample has its share of that.
    pub fn clock(&self, time: Duration) -> Clock {
        let clock = Clock::new(self.place.device, time);
        let period = self.feed.period(&self.source);
        Clock { group: clock.group.div_ceil(period) * period, ..clock }
    }

    /// Makes updates up to the end of the data loader's period, so that batches are assembled at the
    /// beginning of a group, when the device has nothing else to do.
    pub fn align(&mut self) {
        while !self.done.is_multiple_of(self.feed.period(&self.source)) {
            self.once();
        }
        wait(self.place.device);
        (self.done, self.data) = (0, 0.0);
    }

    /// Mean seconds of the processor for a batch, up to its copy on the device, since
    /// [`Updates::align`].
    pub fn data_seconds(&self) -> f64 {
        self.data / self.done.max(1) as f64
    }
}

impl Repeated for Updates<'_> {
    fn once(&mut self) {
        let begun = Instant::now();
        let (images, labels) = self.feed.batch(&self.source, self.done);
        self.data += begun.elapsed().as_secs_f64();
        self.trainer.step(self.done, &images, &labels, self.lr, &mut self.running);
        self.done += 1;
    }

    fn is_settled(&self) -> bool {
        self.trainer.is_settled()
    }
}

/// Evaluations of a net on one batch of images.
pub struct Evaluations<'a, 'b> {
    pub evaluator: Evaluator<'b>,
    pub updates: &'b Updates<'a>,
    pub indices: Vec<u32>,
}

impl Repeated for Evaluations<'_, '_> {
    fn once(&mut self) {
        let Updates { trainer, source, .. } = self.updates;
        // It is stopped by nobody.
        let _ = self.evaluator.errors((&trainer.net, &trainer.task), source, &self.indices);
    }

    fn is_settled(&self) -> bool {
        self.evaluator.is_settled()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    struct Slow<'a> {
        calls: &'a Cell<u32>,
        settled_after: u32,
    }

    impl Repeated for Slow<'_> {
        fn once(&mut self) {
            self.calls.set(self.calls.get() + 1);
            // Calls before it is settled cost far more.
            let is_first = self.calls.get() <= self.settled_after;
            std::thread::sleep(Duration::from_millis(if is_first { 40 } else { 1 }));
        }

        fn is_settled(&self) -> bool {
            self.calls.get() >= self.settled_after
        }
    }

    #[test]
    fn samples_begin_when_the_work_is_settled() {
        let calls = Cell::new(0);
        let mut work = Slow { calls: &calls, settled_after: 7 };
        let clock = Clock { at_least: 4, ..Clock::new(Device::Cpu, Duration::ZERO) };
        let samples = clock.samples(&mut work);
        assert_eq!((samples.len(), calls.get()), (4, 11));
        assert!(samples.iter().all(|seconds| *seconds < 0.04), "{samples:?}");
    }
}
