//! Timing of repeated work: updates, evaluations, matrix products, copies.

use super::context::RunContext;
use super::data_loader::DataLoader;
use super::device_dataset::Source;
use super::evaluate::Evaluator;
use super::interrupt::Interrupt;
use super::learner::Learner;
use super::running_metrics::RunningMetrics;
use super::shim::device::synchronize;
use super::shim::profile::profile;
use fathom_arch::Network;
use fathom_protocol::Operation;
use std::time::{Duration, Instant};
use tch::Device;

/// Minimum number of repetitions between two synchronisations with a GPU, which executes
/// asynchronously: a synchronisation after each repetition would leave it idle in between.
const GROUP: u64 = 10;

/// Work that can be repeated.
pub trait Repeated {
    /// Does the work once, without waiting for the device.
    fn once(&mut self);

    /// Whether warm-up is over: further repetitions take as long as all later ones.
    fn is_settled(&self) -> bool {
        true
    }
}

impl<F: FnMut()> Repeated for F {
    fn once(&mut self) {
        self();
    }
}

/// How repeated work is timed.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Device that executes the work.
    pub device: Device,
    /// Repetitions of one sample: 1 on the CPU.
    pub group: u64,
    /// Minimum number of groups that are not counted, in which memory is allocated, algorithms are
    /// searched for and CUDA graphs are captured. Further groups are not counted until the work is
    /// settled.
    pub warm_up: usize,
    /// Minimum number of samples.
    pub at_least: usize,
    /// Time for which samples are taken.
    pub time: Duration,
}

impl Clock {
    /// A clock for short repetitions: three groups of warm-up and at least three samples.
    pub fn new(device: Device, seconds: f64) -> Self {
        let group = if device == Device::Cpu { 1 } else { GROUP };
        let time = Duration::from_secs_f64(seconds);
        Self { device, group, warm_up: 3, at_least: 3, time }
    }

    /// Seconds of one repetition, one value for each sample: the mean over a group of repetitions
    /// between two synchronisations with the device.
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

/// Waits until a device has completed all its work; returns at once for the CPU.
pub fn wait(device: Device) {
    if let Device::Cuda(index) = device {
        synchronize(index);
    }
}

/// Updates of a net, made as a run makes them, on the training images of a context.
pub struct Updates<'a> {
    learner: Learner,
    source: Source<'a>,
    data_loader: DataLoader,
    running: RunningMetrics,
    /// Number of training images.
    images: usize,
    device: Device,
    lr: f64,
    /// Number of updates since [`Updates::align`].
    done: u64,
    /// Seconds that the processor spent on batches since [`Updates::align`].
    data: f64,
}

impl<'a> Updates<'a> {
    /// A net with its initial weights.
    pub fn new(network: &Network, context: &'a RunContext) -> Self {
        let RunContext { settings, device, data } = context;
        let images = &data.dataset.train;
        Self {
            learner: Learner::new(network, settings, device.placement, device.cuda.graphs),
            source: data.source(images),
            data_loader: DataLoader::new(images.len(), settings),
            running: RunningMetrics::new(device.placement.device),
            images: images.len(),
            device: device.placement.device,
            // A small rate: the subnormal numbers of a net that diverges would slow it down.
            lr: 1e-4 * settings.training.lr,
            done: 0,
            data: 0.0,
        }
    }

    /// A clock that takes samples for `seconds`, and whose groups are whole periods of the data
    /// loader: if the device assembles several batches at once, each sample includes its share of
    /// that.
    pub fn clock(&self, seconds: f64) -> Clock {
        let clock = Clock::new(self.device, seconds);
        let period = self.data_loader.period(&self.source);
        Clock { group: clock.group.div_ceil(period) * period, ..clock }
    }

    /// Makes updates up to the end of the data loader's period, so that batches are assembled at the
    /// beginning of a group, when the device is idle.
    pub fn align(&mut self) {
        while !self.done.is_multiple_of(self.data_loader.period(&self.source)) {
            self.once();
        }
        wait(self.device);
        (self.done, self.data) = (0, 0.0);
    }

    /// Mean time in seconds that the processor spends on a batch, including the copy to the device,
    /// since [`Updates::align`].
    pub fn data_seconds(&self) -> f64 {
        self.data / self.done.max(1) as f64
    }

    /// Operations of an update: means of at least so many updates, up to the end of the data loader's period.
    /// Empty for 0.
    pub fn profile(&mut self, at_least: u64) -> Vec<Operation> {
        if at_least == 0 {
            return Vec::new();
        }
        self.align();
        let period = self.data_loader.period(&self.source);
        let updates = at_least.div_ceil(period) * period;
        let device = self.device;
        profile(device.is_cuda(), updates, || {
            (0..updates).for_each(|_| self.once());
            wait(device);
        })
    }

    /// Evaluations of the net in its present state.
    pub fn evaluations(&self, graphs: bool) -> Evaluations<'_> {
        let evaluator = Evaluator::new(self.device, graphs, &Interrupt::default());
        let images = evaluator.batch(&self.source).min(self.images);
        Evaluations { evaluator, updates: self, indices: (0..images as u32).collect() }
    }
}

impl Repeated for Updates<'_> {
    fn once(&mut self) {
        let begun = Instant::now();
        let batch = self.data_loader.batch(&self.source, self.done);
        self.data += begun.elapsed().as_secs_f64();
        self.learner.step(self.done, &batch, self.lr, &mut self.running);
        self.done += 1;
    }

    fn is_settled(&self) -> bool {
        self.learner.is_settled()
    }
}

/// Evaluations of a net on one batch of training images.
pub struct Evaluations<'a> {
    evaluator: Evaluator,
    updates: &'a Updates<'a>,
    indices: Vec<u32>,
}

impl Evaluations<'_> {
    /// A clock that takes at least two samples of one evaluation each, for `seconds`.
    pub fn clock(&self, seconds: f64) -> Clock {
        let clock = Clock::new(self.updates.device, seconds);
        Clock { group: 1, warm_up: 1, at_least: 2, ..clock }
    }

    /// Number of images of one evaluation.
    pub fn images(&self) -> usize {
        self.indices.len()
    }
}

impl Repeated for Evaluations<'_> {
    fn once(&mut self) {
        let Learner { net, objective, .. } = &self.updates.learner;
        // The stop flag is never set, so this does not fail.
        let _ = self.evaluator.errors(net, objective, &self.updates.source, &self.indices);
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
            // Calls during warm-up take far longer.
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
        let clock = Clock { at_least: 4, ..Clock::new(Device::Cpu, 0.0) };
        let samples = clock.samples(&mut work);
        assert_eq!((samples.len(), calls.get()), (4, 11));
        assert!(samples.iter().all(|seconds| *seconds < 0.04), "{samples:?}");
    }
}
