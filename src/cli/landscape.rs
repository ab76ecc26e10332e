//! `fathom landscape`: the loss around trained nets, and how their gradients change with the input.

mod runs;

use super::choice::choice;
use super::device::{Device, one_device};
use super::options::{cores, positive};
use super::stderr::log;
use super::stdout;
use super::text::word;
use anyhow::{Context, Result, anyhow};
use fathom_arch::network;
use fathom_base::choice;
use fathom_protocol::{Correlation, LandscapeJob, Slices};
use fathom_record::{Manifest, RunDir, SweepDir};
use fathom_spec::completed;
use fathom_sweep::{Worker, check_integrity};
use std::path::PathBuf;
use std::process::ExitCode;

/// Measure the loss around trained nets, and how their gradients change with the input
///
/// The results are drawn by `fathom plot`. `fathom look` is the former name of this command
#[derive(clap::Args)]
pub struct Args {
    /// Results directory whose runs have kept their weights
    dir: PathBuf,
    /// Only runs whose id matches, such as 'plain-*'
    #[arg(long, value_name = "GLOB")]
    only: Option<String>,
    /// What to measure
    #[arg(long, value_parser = choice::<What>(), value_delimiter = ',', default_value = "slices,correlation")]
    what: Vec<What>,
    /// Number of random directions of slices, at most 100
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=100))]
    directions: u64,
    /// Number of points of each slice, an odd number from 3 to 1001
    #[arg(long, default_value_t = 31, value_parser = points)]
    points: u64,
    /// Extent of slices in both directions, relative to the norm of the filters
    #[arg(long, default_value_t = 1.0, value_parser = reach, allow_negative_numbers = true)]
    reach: f64,
    /// Number of training images for the loss of slices and for the statistics of normalisation, at least 64
    #[arg(long, default_value_t = 1000, value_parser = images)]
    images: u64,
    /// Number of pairs of images between which gradients are compared, at most 1000
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pairs: u64,
    /// Device: auto, cpu, cuda or cuda:0
    #[arg(long, default_value_t = Device::Auto, value_parser = one_device)]
    device: Device,
    /// Number of threads [default: the number of cores]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Folder of the data sets, before $FATHOM_DATA
    #[arg(long, value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
}

choice! {
    /// What is measured around a trained net.
    enum What {
        /// Loss along random lines through the weights (1712.09913)
        Slices,
        /// Correlation of gradients at two inputs by their distance (1702.08591)
        Correlation,
    }
}

/// Number of points on the line between two images.
const LINE_POINTS: usize = 64;

fn points(text: &str) -> Result<u64, &'static str> {
    let number = text.parse().ok().filter(|n: &u64| (3..=1001).contains(n) && n % 2 == 1);
    number.ok_or("expected an odd number from 3 to 1001")
}

fn reach(text: &str) -> Result<f64, &'static str> {
    positive(text).ok_or("expected a number above 0")
}

/// Parses a number of images that is enough for the statistics of a batch.
fn images(text: &str) -> Result<u64, &'static str> {
    text.parse().ok().filter(|number| *number >= 64).ok_or("expected a number of at least 64")
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let directory = SweepDir::new(&args.dir);
    check_integrity(&directory)?;
    let runs = runs::chosen(&directory, args.only.as_deref())?;
    let (worker, probe) = Worker::ready()?;
    let device = args.device.first(&probe)?;
    for (number, (run, manifest)) in (1..).zip(&runs) {
        log(format!("{number} of {}: {}", runs.len(), run.id()));
        let measured = worker.landscape(&args.job(run, manifest, &device)?).context(run.id())?;
        if args.what.contains(&What::Slices) {
            run.write_slices(&measured.slices)?;
            stdout::write_line(run.slices_path().display())?;
        }
        if args.what.contains(&What::Correlation) {
            run.write_correlations(&measured.correlations)?;
            stdout::write_line(run.correlations_path().display())?;
        }
    }
    log(format!("figures: fathom plot {}", word(&args.dir)));
    Ok(ExitCode::SUCCESS)
}

impl Args {
    fn job(&self, run: &RunDir, manifest: &Manifest, device: &str) -> Result<LandscapeJob> {
        let wants = |what: What| self.what.contains(&what);
        let data = &manifest.data;
        let network = network(&manifest.config, data.shape, data.classes)
            .map_err(|invalid| anyhow!("{}: {invalid}", run.id()))?;
        let (directions, points, reach) = (self.directions, self.points, self.reach);
        Ok(LandscapeJob {
            build: fathom_base::program().build.into(),
            supervisor: std::process::id(),
            config: completed(&manifest.config),
            network,
            weights: run.checkpoint(),
            data: data.sha256.clone(),
            data_dir: self.data_dir.clone(),
            device: device.into(),
            threads: self.threads.map_or_else(cores, usize::from),
            images: self.images as usize,
            slices: wants(What::Slices).then_some(Slices { directions, points, reach }),
            correlation: wants(What::Correlation)
                .then_some(Correlation { pairs: self.pairs as usize, points: LINE_POINTS }),
        })
    }
}
