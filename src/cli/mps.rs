//! Several runs on one GPU: the MPS daemon, and how many runs.

use super::options::{Machine, default_threads};
use super::stderr::log;
use anyhow::Result;
use fathom_base::choice;
use fathom_gpu::{MpsDaemon, is_mps_running};
use fathom_protocol::Probe;
use fathom_record::SweepDir;
use fathom_spec::Run;
use fathom_sweep::{Options, Worker, jobs_per_gpu};

choice! {
    /// Whether runs that share a GPU use NVIDIA's Multi-Process Service.
    #[derive(Default)]
    pub enum Mps {
        /// A daemon for the time of the sweep, where the machine has MPS and none is running
        #[default]
        Auto,
        /// No daemon is started
        Off,
    }
}

/// Starts a daemon for processes that share the GPUs, if it is wanted and the machine has MPS, and lets the worker
/// use it. It ends when the result is dropped.
pub fn start(choice: Mps, worker: &mut Worker, device: &str) -> Option<MpsDaemon> {
    if choice == Mps::Off || is_mps_running() {
        return None;
    }
    let started = MpsDaemon::start().map_err(anyhow::Error::from).and_then(|daemon| {
        let Some(daemon) = daemon else { return Ok(None) };
        worker.set_environment(daemon.environment().into());
        worker.check(device)?;
        Ok(Some(daemon))
    });
    match started {
        Ok(daemon) => daemon,
        Err(why) => {
            worker.set_environment(Vec::new());
            log(format!("runs take turns on the GPU, since MPS is not usable: {why:#}"));
            None
        }
    }
}

/// Decides how many runs share a GPU unless the arguments say so, and starts the daemon for them. `runs`: those that
/// will be trained; `directory`: that of earlier runs, which bind the number of threads.
///
/// # Errors
/// If the results directory cannot be read, or a run cannot be measured.
pub fn share(
    machine: &Machine,
    runs: &[&Run],
    directory: Option<&SweepDir>,
    worker: &mut Worker,
    probe: &Probe,
    options: &mut Options,
) -> Result<Option<MpsDaemon>> {
    let is_auto = machine.jobs.number().is_none();
    let is_alone = options.jobs == 1 && !is_auto || runs.len() <= options.devices.len();
    let devices = || probe.cuda_driver.iter().flatten();
    // A slice of a GPU has a daemon of its own, if any.
    if options.on_cpu() || is_alone || devices().any(|device| device.uuid.starts_with("MIG-")) {
        return Ok(None);
    }
    let daemon = start(machine.cuda.mps, worker, &options.devices[0]);
    if is_auto && (daemon.is_some() || is_mps_running()) {
        let memory = devices().map(|device| device.memory_bytes).min();
        options.jobs = jobs_per_gpu(runs, worker, options, memory, &mut |run, jobs| {
            log(format!("measuring {jobs} concurrent runs of {}", run.id));
        })?;
        let stored = directory.map(SweepDir::execution).transpose()?.flatten();
        if stored.is_none() && machine.threads.is_none() {
            options.threads = default_threads(options.slots());
        }
    }
    Ok(daemon)
}
