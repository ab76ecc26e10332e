//! What `fathom bench` measures of one setting.

use fathom_protocol::{BenchJob, Benched};

/// Measurements of a setting. Times are in seconds, and are means over the concurrent jobs.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Images per second of all jobs together.
    pub images_per_second: f64,
    /// Median time of an update.
    pub step: f64,
    /// Time of an update than which a tenth of the updates is faster.
    pub step_p10: f64,
    /// Time of an update than which a tenth of the updates is slower.
    pub step_p90: f64,
    /// Mean time for a batch.
    pub data: f64,
    /// Additions and multiplications of one update.
    pub operations: f64,
    /// Additions and multiplications per second of all jobs together.
    pub flops: f64,
    /// Peak memory of the largest job, in bytes.
    pub peak_memory_bytes: u64,
    /// Time from the start of the process to the end of its first update.
    pub startup: f64,
    /// Least number of timed updates of one job.
    pub steps: u64,
}

/// Additions and multiplications of a multiply-add.
const PER_MAC: f64 = 2.0;
/// Cost of an update in forward passes: the backward pass has two products of the size of the forward
/// pass for each layer, one for the gradient of its weights and one for that of its input.
const PASSES: f64 = 3.0;

impl Figures {
    /// Combines the measurements of concurrent jobs.
    pub fn of(job: &BenchJob, copies: &[Benched]) -> Self {
        let mean =
            |of: fn(&Benched) -> f64| copies.iter().map(of).sum::<f64>() / copies.len() as f64;
        let batch = job.config["training.batch"].as_f64().unwrap_or_default();
        let image = PASSES * PER_MAC * job.network.audit().macs as f64;
        let images_per_second = copies.iter().map(|copy| batch / copy.step_seconds).sum();
        Self {
            images_per_second,
            step: mean(|copy| copy.step_seconds),
            step_p10: mean(|copy| copy.step_p10_seconds),
            step_p90: mean(|copy| copy.step_p90_seconds),
            data: mean(|copy| copy.data_seconds),
            operations: image * batch,
            flops: image * images_per_second,
            peak_memory_bytes: copies.iter().map(|copy| copy.peak_memory_bytes).max().unwrap_or(0),
            startup: mean(|copy| copy.startup_seconds),
            steps: copies.iter().map(|copy| copy.steps).min().unwrap_or(0),
        }
    }
}
