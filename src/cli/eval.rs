//! `fathom eval`.

use super::Usage;
use super::choice::choice;
use super::network::KeyFlags;
use super::options::cores;
use super::table::{Format, print};
use anyhow::{Context, Result, ensure};
use fathom_data::{self as data, Request, Source, Standardise};
use fathom_protocol::{EvalJob, Part};
use fathom_record::{Table, Weights};
use fathom_sweep::Worker;
use std::path::PathBuf;
use std::process::ExitCode;

/// Evaluate given weights on a data set
///
/// Prints loss and error rates
#[derive(clap::Args)]
pub struct Args {
    /// Weights: a safetensors file with torchvision's names
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// Family (plain, residual, …) or published net (resnet50, densenet121, lenet, …)
    #[arg(long)]
    network: String,
    /// Data set
    #[arg(long, value_parser = choice::<Source>())]
    data: Source,
    /// Folder of the images, for the data set `images`
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
    /// Rows and columns to which images are resized [default: not resized]
    #[arg(long, value_parser = clap::value_parser!(u16).range(8..=4096))]
    size: Option<u16>,
    /// Part of the data set
    #[arg(long, value_parser = choice::<Part>(), default_value_t)]
    part: Part,
    /// Number of images, a fixed class-balanced choice [default: all]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    images: Option<u64>,
    /// Mean of each channel, for pixels in 0..1 [default: that of the training images]
    #[arg(long, value_delimiter = ',', value_name = "MEAN", requires = "std")]
    mean: Vec<f64>,
    /// Standard deviation of each channel [default: that of the training images]
    #[arg(long, value_delimiter = ',', value_name = "STD", requires = "mean")]
    std: Vec<f64>,
    /// Subtract the mean of every pixel over the training images, and do not divide, as 1512.03385
    #[arg(long, conflicts_with = "mean")]
    per_pixel_mean: bool,
    /// Device: cpu, cuda or cuda:0
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Number of threads [default: the number of cores]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Folder of the data sets
    #[arg(long, value_name = "DIR", env = "FATHOM_DATA")]
    data_dir: Option<PathBuf>,
    /// Format of the table
    #[arg(long, value_parser = choice::<Format>(), default_value_t)]
    format: Format,
    #[command(flatten)]
    keys: KeyFlags,
}

impl Args {
    /// The images to evaluate.
    fn request(&self) -> Request {
        let images = self.images.map(|images| images as usize);
        let of = |part: Part| images.filter(|_| self.part == part);
        Request {
            short_side: None,
            source: self.data,
            train: of(Part::Train),
            test: of(Part::Test),
            validation: 0,
            size: self.size.map(usize::from),
            colour: true,
            path: self.path.clone(),
        }
    }

    /// How pixels are standardised, for images with this number of channels.
    fn standardise(&self, channels: usize) -> Result<Standardise, Usage> {
        if self.per_pixel_mean {
            return Ok(Standardise::PerPixelMean);
        }
        let (mean, std) = (self.mean.clone(), self.std.clone());
        if mean.is_empty() {
            return Ok(Standardise::Channel);
        }
        if mean.len() != channels || std.len() != channels {
            return Err(Usage(format!(
                "--mean has {} values and --std {}; the images have {channels} channels",
                mean.len(),
                std.len()
            )));
        }
        if std.iter().any(|std| *std <= 0.0) {
            return Err(Usage("--std must be above zero".into()));
        }
        Ok(Standardise::Given { mean, std })
    }
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let described = args.keys.describe(&args.network)?;
    let data = args.request();
    ensure!(
        data.source != Source::Images || data.path.is_some(),
        Usage("--data images needs their folder: --path DIR".into())
    );
    let (shape, classes) = data::describe(&data)?;
    let network = described.build([shape.channels, shape.height, shape.width], classes)?;
    let standardise = args.standardise(shape.channels)?;
    // Weights that do not fit are found before the worker starts.
    let weights = Weights::read(&args.weights)?;
    weights.fit(&network).with_context(|| args.weights.display().to_string())?;
    let (worker, _) = Worker::ready()?;
    let found = worker.eval(&EvalJob {
        build: fathom_base::program().build.into(),
        network,
        weights: args.weights.clone(),
        data,
        part: args.part,
        standardise,
        data_dir: args.data_dir.clone(),
        device: args.device.clone(),
        threads: args.threads.map_or_else(cores, usize::from),
    })?;
    let mut table = Table::new(["images", "loss", "top1_err_pct", "top5_err_pct"]);
    let digits = |value: f64| (value * 1e6).round() / 1e6;
    table.row([
        found.images.into(),
        digits(found.loss).into(),
        digits(found.top1_err_pct).into(),
        digits(found.top5_err_pct).into(),
    ]);
    print(&table, args.format)?;
    Ok(ExitCode::SUCCESS)
}
