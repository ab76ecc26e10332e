//! What `fathom bench` measures of one setting.

use super::Machine;
use fathom_arch::MachineSpeed;
use fathom_protocol::{BenchJob, Benched, Operation};
use fathom_spec::Precision;

/// Measurements of a setting. Times are in seconds, and are means over the concurrent jobs.
#[derive(Clone, Debug)]
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
    /// Additions and multiplications per second that the machine could reach with this net.
    pub roofline_flops: f64,
    /// Peak memory of the largest job, in bytes.
    pub peak_memory_bytes: u64,
    /// Time from the start of the process to the end of its first update.
    pub startup: f64,
    /// Least number of timed updates of one job.
    pub steps: u64,
    /// Operations of an update in the first job, those that take longest first; empty without `--profile`.
    pub profile: Vec<Operation>,
}

impl Figures {
    /// Combines the measurements of concurrent jobs on a machine.
    pub fn of(job: &BenchJob, copies: &[Benched], machine: &Machine) -> Self {
        let mean =
            |of: fn(&Benched) -> f64| copies.iter().map(of).sum::<f64>() / copies.len() as f64;
        let batch = job.config["training.batch"].as_f64().unwrap_or_default();
        let audit = job.network.audit();
        let image = audit.operations();
        let speed = MachineSpeed {
            flops: machine.peaks.flops,
            bytes_per_second: machine.peaks.copy_bytes_per_second,
        };
        let value_bytes = match machine.precision {
            Precision::F32 | Precision::Tf32 => 4,
            Precision::Bf16 => 2,
        };
        let images_per_second = copies.iter().map(|copy| batch / copy.step_seconds).sum();
        Self {
            images_per_second,
            step: mean(|copy| copy.step_seconds),
            step_p10: mean(|copy| copy.step_p10_seconds),
            step_p90: mean(|copy| copy.step_p90_seconds),
            data: mean(|copy| copy.data_seconds),
            operations: image * batch,
            flops: image * images_per_second,
            roofline_flops: image / audit.roofline_seconds(value_bytes, speed),
            peak_memory_bytes: copies.iter().map(|copy| copy.peak_memory_bytes).max().unwrap_or(0),
            startup: mean(|copy| copy.startup_seconds),
            steps: copies.iter().map(|copy| copy.steps).min().unwrap_or(0),
            profile: copies.first().map(|copy| copy.profile.clone()).unwrap_or_default(),
        }
    }
}
