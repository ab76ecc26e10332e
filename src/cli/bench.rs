//! `fathom bench`.

mod columns;
mod figures;
mod over;
mod setting;

use super::choice::{choice, choice_among};
use super::cuda::CudaFlags;
use super::device::{Device, one_device};
use super::mps;
use super::network::{ImageFlags, KeyFlags};
use super::options::{check_layout, cores, default_threads};
use super::stderr::log;
use super::stdout;
use super::table::Format;
use super::{SOME_FAILED, Usage};
use anyhow::{Result, ensure};
use columns::Row;
use fathom_base::write_atomically;
use fathom_protocol::{Peaks, PeaksJob, Probe};
use fathom_record::{CudaUse, Layout};
use fathom_spec::{AugmentName, Precision};
use fathom_sweep::{Worker, concurrently};
use figures::Figures;
use over::Over;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Measure training speed, and the peak speed of the machine
///
/// Each setting is timed in a process of its own on images of noise. Its speed is compared with that of a
/// large matrix product and of a large copy on the same device with the same threads
#[derive(clap::Args)]
#[command(after_long_help = columns::HELP)]
pub struct Args {
    /// Families (plain, residual, …) or published nets (resnet50, densenet121, lenet, …)
    #[arg(required = true, value_name = "NETWORK")]
    networks: Vec<String>,
    #[command(flatten)]
    images: ImageFlags,
    /// Number of images of one update [default: 128]
    #[arg(long, value_parser = clap::value_parser!(u64).range(over::BATCHES))]
    batch: Option<u64>,
    /// Make one row for each value of a key of the network, or of `batch`; several keys are crossed
    #[arg(long, value_name = "KEY=V1,V2,...")]
    over: Vec<Over>,
    /// Device: auto, cpu, cuda or cuda:0
    #[arg(long, default_value_t = Device::Auto, value_parser = one_device)]
    device: Device,
    /// Number of threads of one process [default: the cores divided by the jobs]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Number of concurrent processes that do the same; their speeds are added
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,
    /// Memory layout of activations [default: all of the device, one after the other]
    #[arg(long, value_parser = choice::<Layout>())]
    layout: Option<Layout>,
    /// Number format of activations
    #[arg(long, value_parser = choice::<Precision>(), default_value_t)]
    precision: Precision,
    /// Augmentation of images
    #[arg(long, default_value_t = AugmentName::None, value_parser = choice_among(AUGMENTS))]
    augment: AugmentName,
    /// Seconds for which updates of each setting are timed, at least three updates
    #[arg(long, default_value_t = 3.0, value_parser = seconds, allow_negative_numbers = true)]
    seconds: f64,
    /// Profile ten or more further updates of each setting, and write the time of each operation and of each
    /// kernel of a GPU to a CSV file
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// Format of the table
    #[arg(long, value_parser = choice::<Format>(), default_value_t)]
    format: Format,
    #[command(flatten)]
    cuda: CudaFlags,
    #[command(flatten)]
    keys: KeyFlags,
}

/// Number of updates that `--profile` profiles, at least.
const PROFILED: u64 = 10;

/// Augmentations of images of one size.
const AUGMENTS: &[AugmentName] = &[AugmentName::None, AugmentName::Crop, AugmentName::CropFlip];

fn seconds(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| *number > 0.0 && *number <= 86_400.0);
    number.ok_or_else(|| {
        "expected a number of seconds above 0 and up to 86400, such as 3 or 0.5".into()
    })
}

/// Refuses a file that could not be written when everything is measured.
fn check_writable(file: &Path) -> Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let shown = file.display();
    let refused = match folder {
        Some(folder) if !folder.is_dir() => {
            format!("--profile {shown}: there is no folder {}", folder.display())
        }
        _ if file.is_dir() => format!("--profile {shown}: this is a folder; name a file"),
        _ => return Ok(()),
    };
    Err(Usage(refused).into())
}

/// The conditions under which all settings are timed.
struct Machine {
    device: String,
    threads: usize,
    jobs: usize,
    precision: Precision,
    augment: AugmentName,
    cuda: CudaUse,
    peaks: Peaks,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let mut settings = args.settings()?;
    if let Some(file) = &args.profile {
        check_writable(file)?;
    }
    let (mut worker, probe) = Worker::ready()?;
    let machine = args.machine(&worker, &probe)?;
    let shares_gpu = machine.jobs > 1 && machine.device != "cpu";
    let _mps = shares_gpu.then(|| mps::start(args.cuda.mps, &mut worker, &machine.device));
    let valid = Layout::available(machine.device == "cpu", machine.precision == Precision::F32);
    settings.retain(|setting| valid.contains(&setting.layout));
    let profiled = if args.profile.is_some() { PROFILED } else { 0 };
    let mut rows = Vec::new();
    for setting in settings {
        let job = setting.job(&machine, args.seconds, profiled);
        let measured = concurrently(machine.jobs, |_| worker.bench(&job));
        let figures = measured.map(|copies| Figures::of(&job, &copies, &machine));
        let row = Row { setting, figures: figures.map_err(|error| format!("{error:#}")) };
        // If this command is stopped before its table, the lines so far remain.
        log(row.summary());
        rows.push(row);
    }
    let table = columns::print(&rows, &machine, args.format)?;
    stdout::write(table)?;
    if let Some(file) = &args.profile {
        write_atomically(file, columns::profiles(&rows, &machine)?.as_bytes())?;
    }
    let has_failed = rows.iter().any(|row| row.figures.is_err());
    Ok(if has_failed { ExitCode::from(SOME_FAILED) } else { ExitCode::SUCCESS })
}

impl Args {
    /// Finds the device and measures the peak speed of the machine.
    fn machine(&self, worker: &Worker, probe: &Probe) -> Result<Machine> {
        let device = self.device.first(probe)?;
        ensure!(
            self.precision != Precision::Tf32 || device != "cpu",
            Usage("--precision tf32: not on the CPU; valid there are f32, bf16".into())
        );
        if let Some(layout) = self.layout {
            check_layout(layout, device == "cpu", self.precision == Precision::F32)?;
        }
        let cuda = self.cuda.of(&device)?;
        let jobs = usize::from(self.jobs);
        let threads = self.threads.map_or_else(|| default_threads(jobs), usize::from);
        log("measuring the machine");
        let peaks = worker.peaks(&PeaksJob {
            build: fathom_base::program().build.into(),
            device: device.clone(),
            // More threads than cores would not make the machine faster.
            threads: (threads * jobs).min(cores()),
            precision: self.precision,
            seconds: self.seconds.min(1.0),
            supervisor: std::process::id(),
        })?;
        let (precision, augment) = (self.precision, self.augment);
        Ok(Machine { device, threads, jobs, precision, augment, cuda, peaks })
    }
}
