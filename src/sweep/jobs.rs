//! Number of runs that share a GPU.

use super::{Options, Worker, concurrently};
use anyhow::{Context, Result};
use fathom_spec::Run;
use std::cmp::Reverse;

/// Numbers of concurrent runs that are compared.
const CANDIDATES: [usize; 4] = [1, 2, 4, 8];
/// More runs are worthwhile if all of them together are faster by this factor.
const WORTHWHILE: f64 = 1.1;
/// Number for sweeps that are too short to be measured. On an H100, four runs of ResNet-20 were 1.5 times as fast
/// together as one after the other, and eight 1.6 times.
const UNMEASURED: usize = 4;
/// Multiply-adds of forward passes from which on a sweep is measured: about five minutes of an H100, where measuring
/// takes 10 to 30 seconds.
const MEASURED_FROM: u64 = 1_000_000_000_000_000;
/// Seconds for which updates are timed.
const SECONDS: f64 = 1.5;
/// Memory of a process on a GPU besides its tensors: context, kernels and workspaces.
const PROCESS_BYTES: u64 = 1 << 30;

/// Number of concurrent runs on each of the devices of `options`, which are GPUs with `memory` bytes each and an MPS
/// daemon. For a long sweep, the longest run is timed beside others; `on_measure` is called before each measurement.
///
/// # Errors
/// If a run cannot be measured.
pub fn jobs_per_gpu(
    runs: &[&Run],
    worker: &Worker,
    options: &Options,
    memory: Option<u64>,
    on_measure: &mut dyn FnMut(&Run, usize),
) -> Result<usize> {
    let Some(longest) = runs.iter().max_by_key(|run| (run.work(), Reverse(&run.id))) else {
        return Ok(1);
    };
    let largest = runs.iter().map(|run| run.memory()).max().unwrap_or_default();
    let fitting = memory.map_or(usize::MAX, |all| {
        usize::try_from(all / (PROCESS_BYTES + 2 * largest)).unwrap_or(usize::MAX)
    });
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let most = runs.len().min(cores).div_ceil(options.devices.len()).min(fitting).max(1);
    let work = runs.iter().fold(0u64, |sum, run| sum.saturating_add(run.work()));
    if work / (options.devices.len() as u64) < MEASURED_FROM {
        return Ok(UNMEASURED.min(most));
    }
    fastest(most, |jobs| {
        on_measure(longest, jobs);
        let job = Options { jobs, ..options.clone() }.timing_job(longest);
        let measured = concurrently(jobs, |_| worker.measure(&job, SECONDS))
            .with_context(|| format!("measuring {jobs} runs of {}", longest.id))?;
        Ok(measured.iter().map(|one| 1.0 / one.step_seconds).sum())
    })
}

/// The number of concurrent runs, at most `most`, beyond which more do not make all of them together faster.
fn fastest(most: usize, mut speed: impl FnMut(usize) -> Result<f64>) -> Result<usize> {
    if most == 1 {
        return Ok(1);
    }
    let mut best = (1, 0.0);
    for jobs in CANDIDATES.into_iter().filter(|jobs| *jobs <= most) {
        let speed = speed(jobs)?;
        if speed < WORTHWHILE * best.1 {
            break;
        }
        best = (jobs, speed);
    }
    Ok(best.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{options, runs};

    #[test]
    fn more_runs_are_tried_until_they_do_not_pay() {
        let speeds = |speeds: [f64; 4]| {
            move |jobs: usize| Ok(speeds[CANDIDATES.iter().position(|n| *n == jobs).unwrap()])
        };
        assert_eq!(fastest(8, speeds([1.0, 1.3, 1.5, 1.58])).unwrap(), 4);
        assert_eq!(fastest(8, speeds([1.0, 1.04, 9.0, 9.0])).unwrap(), 1);
        assert_eq!(fastest(8, speeds([1.0, 2.0, 4.0, 8.0])).unwrap(), 8);
        assert_eq!(fastest(5, speeds([1.0, 2.0, 4.0, 8.0])).unwrap(), 4);
        assert_eq!(fastest(1, |_| anyhow::bail!("nothing to compare")).unwrap(), 1);
        assert!(fastest(2, |_| anyhow::bail!("no device")).is_err());
    }

    #[test]
    fn a_short_sweep_is_not_measured_and_memory_limits_it() {
        let all = runs();
        let all: Vec<&Run> = all.iter().collect();
        let nobody = Worker::at("/nonexistent/fathom-train".into());
        let jobs = |memory| {
            jobs_per_gpu(&all, &nobody, &options(1), memory, &mut |_, _| panic!("measured"))
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        assert_eq!(jobs(None).unwrap(), UNMEASURED.min(all.len()).min(cores));
        assert_eq!(jobs(Some(PROCESS_BYTES)).unwrap(), 1);
        let none = jobs_per_gpu(&[], &nobody, &options(1), None, &mut |_, _| panic!("measured"));
        assert_eq!(none.unwrap(), 1);
    }
}
