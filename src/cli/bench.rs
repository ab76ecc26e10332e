//! `fathom bench`: how fast nets train, and how fast this machine could compute.

mod columns;
mod over;

use super::choice::choice;
use super::cuda::CudaFlags;
use super::network::{ImageFlags, KeyFlags};
use super::options::{devices, share};
use super::stderr::say;
use super::table::Format;
use super::{SOME_FAILED, Usage};
use anyhow::{Result, ensure};
use columns::{Row, figures, print};
use fathom_arch::Network;
use fathom_protocol::{BenchJob, Peaks, PeaksJob};
use fathom_record::{CudaUse, Layout};
use fathom_spec::{Config, KEYS, Precision, Settings};
use fathom_sweep::{Worker, concurrently};
use over::{Over, Point, combinations};
use std::io::Write;
use std::process::ExitCode;

/// Time updates of nets on images of noise, each setting in a process of its own, and compare them
/// with a large matrix product and a large copy on the same device with the same threads
#[derive(clap::Args)]
#[command(after_long_help = columns::HELP)]
pub struct Args {
    /// Families (plain, residual, …), or published nets (resnet50, densenet121, lenet, …)
    #[arg(required = true, value_name = "NETWORK")]
    networks: Vec<String>,
    #[command(flatten)]
    images: ImageFlags,
    /// Images of one update [default: 128]
    #[arg(long, value_parser = clap::value_parser!(u64).range(over::BATCHES))]
    batch: Option<u64>,
    /// One row for each value of a key of the network, or of `batch`; several cross each other
    #[arg(long, value_name = "KEY=V1,V2,...")]
    over: Vec<Over>,
    /// auto, cpu, cuda or cuda:0
    #[arg(long, default_value = "auto")]
    device: String,
    /// Threads of one process [default: the cores, dealt out to the jobs]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Processes side by side that do the same; speeds are the sum of theirs
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,
    /// Order of activations in memory [default: both, one after the other]
    #[arg(long, value_parser = choice::<Layout>())]
    layout: Option<Layout>,
    /// Numbers of activations
    #[arg(long, value_parser = choice::<Precision>(), default_value_t)]
    precision: Precision,
    /// What the processor does to images
    #[arg(long, default_value = "none", value_parser = ["none", "crop", "crop-flip"])]
    augment: String,
    /// For how long updates of each setting are timed, at least three of them
    #[arg(long, default_value_t = 3.0, value_parser = seconds)]
    seconds: f64,
    /// How the table is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    cuda: CudaFlags,
    #[command(flatten)]
    keys: KeyFlags,
}

fn seconds(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| *number > 0.0 && *number <= 86_400.0);
    number.ok_or_else(|| "expected a number of seconds, such as 3 or 0.5".into())
}

/// What is timed.
struct Setting {
    /// As the user called the net.
    name: String,
    /// What `--over` says of it.
    point: Point,
    network: Network,
    config: Config,
    batch: u64,
    layout: Layout,
}

/// On what it is timed.
struct Machine {
    device: String,
    threads: usize,
    jobs: usize,
    precision: Precision,
    augment: String,
    cuda: CudaUse,
    peaks: Peaks,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let settings = args.settings()?;
    let (worker, probe) = Worker::ready()?;
    let devices = devices(&args.device, &probe)?;
    let [device] = devices.as_slice() else {
        return Err(Usage(format!("--device {}: one at a time is timed", args.device)).into());
    };
    ensure!(
        args.precision != Precision::Tf32 || device != "cpu",
        Usage(
            "--precision tf32: processors have no such numbers; valid on cpu are f32, bf16".into()
        )
    );
    let cuda = args.cuda.of(device)?;
    let jobs = usize::from(args.jobs);
    let threads = args.threads.map_or_else(|| share(jobs), usize::from);
    say("measuring the machine");
    let peaks = worker.peaks(&args.peaks(device, threads * jobs))?;
    let machine = Machine {
        device: device.clone(),
        threads,
        jobs,
        precision: args.precision,
        augment: args.augment.clone(),
        cuda,
        peaks,
    };
    let mut rows = Vec::new();
    for setting in settings {
        let job = setting.job(&machine, args.seconds);
        let found =
            concurrently(jobs, |_| worker.bench(&job)).map_err(|error| format!("{error:#}"));
        let row = Row { setting, found: found.map(|all| figures(&job, &all)) };
        // Whoever ends this before all is measured has seen what was.
        say(row.in_words());
        rows.push(row);
    }
    std::io::stdout().lock().write_all(print(&rows, &machine, args.format)?.as_bytes())?;
    let has_failed = rows.iter().any(|row| row.found.is_err());
    Ok(if has_failed { ExitCode::from(SOME_FAILED) } else { ExitCode::SUCCESS })
}

impl Args {
    /// Everything that is to be timed, in the order of rows, or why one of it cannot be.
    fn settings(&self) -> Result<Vec<Setting>, Usage> {
        let points = combinations(&self.over)?;
        let layouts = self.layout.map_or_else(|| Layout::ALL.to_vec(), |one| vec![one]);
        let mut settings = Vec::new();
        for name in &self.networks {
            for point in &points {
                for layout in &layouts {
                    let setting = self.setting(name, point, *layout);
                    settings.push(setting.map_err(|error| point.blame(error))?);
                }
            }
        }
        Ok(settings)
    }

    fn setting(&self, name: &str, point: &Point, layout: Layout) -> Result<Setting, Usage> {
        let (batch, keys) = point.apply(self.batch, &self.keys)?;
        let described = keys.describe(name)?;
        let (input, classes) = self.images.of(&described)?;
        let network = described.build(input, classes)?;
        let defaults = KEYS.iter().filter_map(|key| Some((key.name.into(), key.default.value()?)));
        let mut config: Config = defaults.collect();
        config.extend(described.keys);
        config.extend([
            // Not read: the images are noise.
            ("data.source".into(), "shapes".into()),
            ("data.augment".into(), self.augment.as_str().into()),
            ("training.iterations".into(), 1.into()),
            ("training.batch".into(), batch.into()),
            ("training.precision".into(), self.precision.word().into()),
        ]);
        Settings::new(&config).map_err(|invalid| Usage(invalid.to_string()))?;
        let (name, point) = (name.to_owned(), point.clone());
        Ok(Setting { name, point, network, config, batch, layout })
    }

    fn peaks(&self, device: &str, threads: usize) -> PeaksJob {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        PeaksJob {
            build: fathom_base::program().build.into(),
            device: device.into(),
            // More than there are cores would not make the machine faster.
            threads: threads.min(cores),
            precision: self.precision,
            seconds: self.seconds.min(1.0),
            supervisor: std::process::id(),
        }
    }
}

impl Setting {
    fn job(&self, machine: &Machine, seconds: f64) -> BenchJob {
        BenchJob {
            build: fathom_base::program().build.into(),
            network: self.network.clone(),
            config: self.config.clone(),
            device: machine.device.clone(),
            threads: machine.threads,
            layout: self.layout,
            cuda: machine.cuda,
            seconds,
            supervisor: std::process::id(),
        }
    }
}
