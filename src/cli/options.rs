//! Jobs, threads and memory of a sweep: from the arguments, the machine, and the earlier
//! runs of the directory.

use super::Usage;
use super::choice::choice;
use super::cuda::CudaFlags;
use super::device::Device;
use super::stderr::log;
use anyhow::{Result, ensure};
use fathom_protocol::Probe;
use fathom_record::{Layout, Layouts, SweepDir, SweepExecution};
use fathom_spec::Run;
use fathom_sweep::{Options, Worker, available_memory, is_f32};
use std::path::PathBuf;
use std::str::FromStr;

/// What runs may use of this machine.
#[derive(clap::Args)]
pub struct Machine {
    /// Devices: auto, cpu, cuda, or a list such as cuda:0,1
    #[arg(long, default_value_t = Device::Auto)]
    pub device: Device,
    /// Number of concurrent runs on each device, or auto: one per core on the CPU; on a GPU as many as are fastest
    /// together, which is more than one only with MPS
    #[arg(long, default_value = "auto")]
    pub jobs: Jobs,
    /// Number of threads of one run [default: the cores divided by the concurrent runs]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// Memory layout of activations [default: the faster one, measured for each width, image size
    /// and batch size]
    #[arg(long, value_parser = choice::<Layout>())]
    pub layout: Option<Layout>,
    /// Gigabytes of memory that concurrent runs on the CPU may need together [default: what is free]
    #[arg(long, value_name = "GB", value_parser = gigabytes, allow_negative_numbers = true)]
    pub memory: Option<u64>,
    /// Folder of the data sets, before $FATHOM_DATA
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub cuda: CudaFlags,
}

/// Number of concurrent runs on each device; `None` stands for `auto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jobs(Option<u16>);

impl Jobs {
    /// The number, unless the program chooses it.
    pub fn number(self) -> Option<usize> {
        self.0.map(usize::from)
    }
}

impl FromStr for Jobs {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = || text.parse().ok().filter(|number| *number > 0);
        match text {
            "auto" => Ok(Self(None)),
            _ => number()
                .map(|jobs| Self(Some(jobs)))
                .ok_or("expected auto, or a number of at least 1"),
        }
    }
}

/// Parses a number of gigabytes into bytes.
fn gigabytes(text: &str) -> Result<u64, String> {
    let number =
        positive(text).ok_or("expected a number of gigabytes above 0, such as 6 or 0.5")?;
    Ok((number * 1e9) as u64)
}

/// Parses a number of hours.
///
/// # Errors
/// When it is no positive number.
pub fn hours(text: &str) -> Result<f64, String> {
    positive(text).ok_or_else(|| "expected a number of hours above 0, such as 12 or 0.5".into())
}

/// Parses a finite number above zero.
pub fn positive(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|number| *number > 0.0 && number.is_finite())
}

/// Options for a number of `runs` on this machine, bound by the earlier runs of `directory`. Layouts
/// are left out, see [`settle_layouts`].
///
/// # Errors
/// When the machine lacks the device, or earlier runs bind to another one.
pub fn options(
    args: &Machine,
    probe: &Probe,
    runs: usize,
    directory: Option<&SweepDir>,
) -> Result<Options> {
    let stored = directory.map(SweepDir::execution).transpose()?.flatten();
    let devices = match &stored {
        Some(stored) if args.device == Device::Auto => {
            let device: Device = stored.device.parse().map_err(Usage)?;
            device.all(probe)?
        }
        Some(_) | None => args.device.all(probe)?,
    };
    let on_cpu = devices[0] == "cpu";
    // Small nets that train at the same time on one thread each do more work than one on all cores.
    let auto = if on_cpu { cores().min(runs.max(1)) } else { 1 };
    let jobs = args.jobs.number().unwrap_or(auto);
    let threads = default_threads(jobs * devices.len());
    bound(args, Options::new(devices, jobs, threads), directory)
}

/// Completes options by the arguments and by the execution of the directory's earlier runs, which
/// binds.
///
/// # Errors
/// When earlier runs bind to other options.
pub fn bound(
    args: &Machine,
    mut options: Options,
    directory: Option<&SweepDir>,
) -> Result<Options> {
    let stored = directory.map(SweepDir::execution).transpose()?.flatten();
    let requested = args.threads.map(usize::from);
    let device = &options.devices[0];
    (options.threads, options.cuda) = match (&stored, directory) {
        (Some(stored), Some(directory)) => {
            bind(stored, device, requested, directory)?;
            (stored.threads, args.cuda.bound(stored, directory)?)
        }
        (Some(_) | None, _) => (requested.unwrap_or(options.threads), args.cuda.of(device)?),
    };
    if options.on_cpu() {
        options.memory = args.memory.or_else(available_memory);
    }
    options.data_dir = args.data_dir.clone();
    Ok(options)
}

/// Refuses a layout that nets on the CPU or on a GPU, in f32 or in another format, cannot have.
pub fn check_layout(layout: Layout, on_cpu: bool, in_f32: bool) -> Result<(), Usage> {
    let valid = Layout::available(on_cpu, in_f32);
    if valid.contains(&layout) {
        return Ok(());
    }
    let words: Vec<&str> = valid.iter().map(|layout| layout.word()).collect();
    Err(Usage(format!(
        "--layout {layout}: only on the CPU and in f32; valid here are {}",
        words.join(", ")
    )))
}

/// [`fathom_sweep::settle_layouts`], with a message before each measurement.
///
/// # Errors
/// When the runs cannot have the layout `requested`, it differs from that of earlier runs, or a net
/// cannot be measured.
pub fn settle_layouts(
    runs: &[Run],
    directory: Option<&SweepDir>,
    worker: &Worker,
    options: &Options,
    requested: Option<Layout>,
) -> Result<Layouts> {
    if let Some(layout) = requested {
        check_layout(layout, options.on_cpu(), runs.iter().all(is_f32))?;
    }
    let log_run = &mut |run: &Run| log(format!("measuring which layout is faster for {}", run.id));
    fathom_sweep::settle_layouts(runs, directory, worker, options, requested, log_run)
}

/// Number of cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Default number of threads of each of `processes` that run at the same time: `OMP_NUM_THREADS`, else
/// an equal share of the cores.
pub fn default_threads(processes: usize) -> usize {
    let omp = std::env::var("OMP_NUM_THREADS").ok().and_then(|text| text.parse().ok());
    omp.filter(|threads| *threads > 0).unwrap_or_else(|| (cores() / processes).max(1))
}

/// Refuses options that would change the last digits of results in a directory.
fn bind(
    stored: &SweepExecution,
    device: &str,
    threads: Option<usize>,
    directory: &SweepDir,
) -> Result<()> {
    let root = directory.root().display();
    let requested = SweepExecution::new(device, threads.unwrap_or(stored.threads));
    let remedy = "would change their last digits: leave it out, or give another --out";
    ensure!(
        requested.device == stored.device,
        "the runs in {root} are on {}, and --device {device} {remedy}",
        stored.device
    );
    ensure!(
        requested.threads == stored.threads,
        "the runs in {root} have {} threads each, and --threads {} {remedy}",
        stored.threads,
        requested.threads
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_execution_of_earlier_runs_binds() {
        let directory = SweepDir::new("results/x");
        let stored = SweepExecution::new("cpu", 2);
        bind(&stored, "cpu", None, &directory).unwrap();
        bind(&stored, "cpu", Some(2), &directory).unwrap();
        let refused =
            |device, threads| bind(&stored, device, threads, &directory).unwrap_err().to_string();
        let message = refused("cpu", Some(1));
        let expected = "the runs in results/x have 2 threads each, and --threads 1 would change \
                        their last digits: leave it out, or give another --out";
        assert_eq!(message, expected);
        assert!(refused("cuda:1", None).contains("are on cpu, and --device cuda:1 would change"));
    }
}
