//! `fathom eval`.

mod given;

use super::Usage;
use super::choice::choice;
use super::device::{Device, one_device};
use super::network::KeyFlags;
use super::options::cores;
use super::stderr::log;
use super::table::{Format, print};
use anyhow::{Context, Result, ensure};
use clap::ArgGroup;
use fathom_arch::{Network, shallower};
use fathom_data::{self as data, Request, Standardise};
use fathom_protocol::{EvalJob, NormStatistics, Part};
use fathom_record::{Rename, RunDir, SweepDir, Table, Weights};
use fathom_spec::{Keep, Settings};
use fathom_sweep::Worker;
use given::Given;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Evaluate weights on a data set
///
/// Prints loss and error rates: of a run that fathom trained (--run), or of a file of weights (--weights), for
/// which the network, the data set and its standardisation have to be given
#[derive(clap::Args)]
#[command(override_usage = USAGE)]
#[command(group = ArgGroup::new("subject").required(true).args(["run", "weights"]))]
pub struct Args {
    /// Folder of a finished run, which gives weights, network, data set and standardisation
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// Which weights of the run
    #[arg(long, value_parser = choice::<Keep>(), default_value_t, conflicts_with = "weights")]
    at: Keep,
    /// Part of the data set
    #[arg(long, value_parser = choice::<Part>(), default_value_t)]
    part: Part,
    /// Number of images in one forward pass [default: as many as suit the device]
    #[arg(long, value_name = "IMAGES", value_parser = clap::value_parser!(u32).range(1..))]
    batch: Option<u32>,
    /// Statistics by which batch normalisations normalise
    #[arg(long, value_parser = choice::<NormStatistics>(), default_value_t, requires_if("batch", "batch"))]
    statistics: NormStatistics,
    /// Device: auto, cpu, cuda or cuda:0
    #[arg(long, default_value_t = Device::Auto, value_parser = one_device)]
    device: Device,
    /// Number of threads [default: the number of cores]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Folder of the data sets, before $FATHOM_DATA
    #[arg(long, value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
    /// Format of the table
    #[arg(long, value_parser = choice::<Format>(), default_value_t)]
    format: Format,
    // Last, since its heading applies to all flags after it.
    #[command(flatten)]
    given: Given,
    #[command(flatten)]
    keys: KeyFlags,
}

const USAGE: &str = "fathom eval [OPTIONS] --run <DIR>\n       \
                     fathom eval [OPTIONS] --weights <FILE> --network <NETWORK> --data <DATA>";

/// Weights, and what is needed to evaluate them.
struct Subject {
    weights: PathBuf,
    /// Replacements in the names of its tensors.
    renames: Vec<Rename>,
    network: Network,
    data: Request,
    /// Number of images; all if absent.
    images: Option<usize>,
    standardise: Standardise,
}

impl Subject {
    /// Weights of a run, on its own data.
    fn of_run(root: &Path, at: Keep, part: Part) -> Result<Self> {
        let run = RunDir::new(root);
        if let (false, Ok(runs)) = (run.has_manifest(), SweepDir::new(root).runs()) {
            let (shown, first) = (root.display(), runs.first().map_or("ID".into(), RunDir::id));
            let message = format!(
                "--run {shown}: this is a results directory; name one run, such as {shown}/runs/{first}"
            );
            return Err(Usage(message).into());
        }
        let manifest = run.manifest()?;
        let fault = |error| anyhow::anyhow!("{}: {error}", root.join("run.json").display());
        let Settings { data, standardise, training, .. } =
            Settings::new(&manifest.config).map_err(fault)?;
        ensure!(
            training.delta.is_none(),
            Usage(format!("--run {}: a run of a single block has no classes", root.display()))
        );
        let (weights, why) = match at {
            Keep::Last => {
                (run.checkpoint(), "the run has not finished, or its weights were not kept")
            }
            Keep::BestValidation => (
                run.best_validation(),
                "the run has none without evaluate.keep = \"best-validation\"",
            ),
        };
        ensure!(weights.exists(), "{} does not exist: {why}", weights.display());
        let status = run.status()?;
        if at == Keep::Last && !status.state.is_final() {
            let (id, state) = (run.id(), status.state);
            log(format!("note: {id} is {state}: these are the weights of its last checkpoint"));
        }
        ensure!(
            part != Part::Validation || data.validation > 0,
            Usage(format!("--part validation: {} has no validation images", root.display()))
        );
        let (shape, classes) = data::describe(&data)?;
        let input = [shape.channels, shape.height, shape.width];
        let mut network = fathom_arch::network(&manifest.config, input, classes).map_err(fault)?;
        if let Some(grow) = training.grow {
            let keys = &manifest.config;
            let before = shallower(keys, grow.from, input, classes).map_err(fault)?;
            if Weights::read(&weights)?.fit(&before).is_ok() {
                log(format!("note: {} has not grown yet: it has {} layers", run.id(), grow.from));
                network = before;
            }
        }
        Ok(Self { weights, renames: Vec::new(), network, data, images: None, standardise })
    }
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let Subject { weights, renames, network, data, images, standardise } = match &args.run {
        Some(run) => {
            if let Some((flag, _)) = args.keys.given().next() {
                return Err(Usage(format!("--{flag}: only with --weights")).into());
            }
            Subject::of_run(run, args.at, args.part)?
        }
        None => args.given.subject(&args.keys, args.part)?,
    };
    // Weights that do not fit are found before the worker starts.
    let read = Weights::read_renamed(&weights, &renames)?;
    read.fit(&network).with_context(|| weights.display().to_string())?;
    let (worker, probe) = Worker::ready()?;
    let found = worker.eval(&EvalJob {
        build: fathom_base::program().build.into(),
        network,
        weights,
        renames,
        data,
        part: args.part,
        images,
        standardise,
        batch: args.batch.map(|images| images as usize),
        statistics: args.statistics,
        data_dir: args.data_dir.clone(),
        device: args.device.first(&probe)?,
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
