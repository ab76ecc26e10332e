//! `fathom plot`: figures from CSV.

use super::choice::choice;
use super::{Usage, integrity};
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use fathom_base::write_atomically;
use fathom_plot::{self as plot, Columns, Figure, Metric, Options, Results};
use fathom_record::SweepDir;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Draw the figures of a results directory, from its CSV alone; or columns of any one table
#[derive(clap::Args)]
pub struct Args {
    /// Results directory, with `runs/` or `curves.csv`; or, with --columns, a CSV table
    dir: PathBuf,
    /// Of a table: the column to draw against, and those that are drawn, such as depth,images_per_s
    #[arg(long, value_name = "X,Y,…", value_delimiter = ',', conflicts_with_all = ["figure", "metric", "smooth", "y_max"])]
    columns: Vec<String>,
    /// Where the figures go [default: DIR/figures, or beside the table]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Which figures to draw; may be repeated [default: all that these results have something for]
    #[arg(long, value_parser = choice::<Figure>())]
    figure: Vec<Figure>,
    #[arg(long, default_value = "train_err_pct", help = metric_help())]
    metric: Metric,
    /// The key told apart by colour in curves, such as norm or lr, and by panels in `panels`; in
    /// `rate-depth` a key with numbers that stands in for depth where all nets are of one
    #[arg(long, value_name = "KEY")]
    group_by: Option<String>,
    /// Scale of iterations and depths
    #[arg(long, value_enum, default_value_t)]
    x: Scale,
    /// Scale of errors
    #[arg(long, value_enum, default_value_t)]
    y: Scale,
    /// Average curves over N evaluations
    #[arg(long, value_name = "N", default_value_t = 1, hide_default_value = true)]
    smooth: usize,
    /// Upper end of the vertical axis of the curves
    #[arg(long, value_name = "VALUE", value_parser = positive)]
    y_max: Option<f64>,
    /// File formats
    #[arg(long, value_enum, value_delimiter = ',', default_value = "svg,png")]
    format: Vec<Format>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Scale {
    #[default]
    Linear,
    Log,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Svg,
    Png,
}

fn metric_help() -> String {
    let columns: Vec<&str> = Metric::all().map(|metric| metric.train).collect();
    format!("Column of the training curve: {}; the test curve follows", columns.join(", "))
}

fn positive(text: &str) -> Result<f64> {
    let value: f64 = text.parse()?;
    if value > 0.0 && value.is_finite() { Ok(value) } else { bail!("must be above 0") }
}

/// Draws the figures and prints the path of each.
///
/// # Errors
/// When the results cannot be read, a figure that was asked for cannot be drawn, or none can.
pub fn run(args: &Args) -> Result<ExitCode> {
    if args.dir.is_file() || !args.columns.is_empty() {
        return table(args);
    }
    let dir = SweepDir::new(&args.dir);
    integrity::check(&dir)?;
    let results = Results::load(&dir)?;
    check_key(args.group_by.as_deref(), &results)?;
    let out = args.out.clone().unwrap_or_else(|| dir.figures());
    std::fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    let options = options(args, &dir);
    let mut drawn = 0;
    for figure in Figure::ALL.iter().copied() {
        let asked = args.figure.contains(&figure);
        if !asked && !args.figure.is_empty() {
            continue;
        }
        for format in &args.format {
            match draw(&results, figure, *format, &options) {
                Ok((ending, bytes)) => {
                    let path = out.join(format!("{}.{ending}", figure.word()));
                    write_atomically(&path, &bytes)?;
                    println!("{}", path.display());
                    drawn += 1;
                }
                Err(error) if asked => return Err(error.context(unable(figure, &args.dir))),
                // Most sweeps have nothing for the special ones to show.
                Err(_) if !figure.is_general() => break,
                Err(error) => {
                    eprintln!("note: {}: {error:#}", unable(figure, &args.dir));
                    break;
                }
            }
        }
    }
    if drawn == 0 {
        bail!("no figure could be drawn");
    }
    Ok(ExitCode::SUCCESS)
}

/// Draws columns of a table.
fn table(args: &Args) -> Result<ExitCode> {
    let path = &args.dir;
    if args.columns.is_empty() || path.is_dir() {
        let message = match path.is_dir() {
            true => "a directory, and --columns is of a CSV table",
            false => "a table: give --columns X,Y,…",
        };
        return Err(Usage(format!("{}: {message}", path.display())).into());
    }
    let context = || path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(context)?;
    let columns = Columns {
        names: args.columns.clone(),
        group_by: args.group_by.clone(),
        log_x: args.x == Scale::Log,
        log_y: args.y == Scale::Log,
        source: context(),
    };
    let out = args.out.as_deref().or(path.parent()).unwrap_or(Path::new("."));
    let stem = path.file_stem().context("a table has a name")?;
    for format in &args.format {
        let (ending, bytes) = match format {
            Format::Svg => ("svg", columns.svg(&text).with_context(context)?.into_bytes()),
            Format::Png => ("png", columns.png(&text).with_context(context)?),
        };
        let figure = out.join(stem).with_extension(ending);
        write_atomically(&figure, &bytes)?;
        println!("{}", figure.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// A key that no run has would silently change nothing.
fn check_key(key: Option<&str>, results: &Results) -> Result<()> {
    let axes = results.curves.axes();
    match key {
        Some(key) if !axes.iter().any(|axis| axis == key) => {
            bail!("--group-by {key}: runs are told apart by {}", axes.join(", "))
        }
        _ => Ok(()),
    }
}

fn unable(figure: Figure, dir: &Path) -> String {
    format!("no figure `{}` of {}", figure.word(), dir.display())
}

fn draw(
    results: &Results,
    figure: Figure,
    format: Format,
    options: &Options,
) -> Result<(&'static str, Vec<u8>)> {
    Ok(match format {
        Format::Svg => ("svg", plot::svg(results, figure, options)?.into_bytes()),
        Format::Png => ("png", plot::png(results, figure, options)?),
    })
}

fn options(args: &Args, dir: &SweepDir) -> Options {
    let runs = dir.root().join("runs");
    let source = if runs.is_dir() { runs.join("*/curve.csv") } else { dir.curves() };
    Options {
        metric: args.metric,
        log_x: args.x == Scale::Log,
        log_y: args.y == Scale::Log,
        group_by: args.group_by.clone(),
        smooth: args.smooth,
        y_max: args.y_max,
        note: note(&dir.experiment()).unwrap_or_else(|error| {
            eprintln!("note: the figures are drawn without the experiment's note: {error:#}");
            None
        }),
        source: source.display().to_string(),
    }
}

/// The experiment's `note`, if there is an experiment and it has one.
fn note(experiment: &Path) -> Result<Option<String>> {
    if !experiment.exists() {
        return Ok(None);
    }
    let context = || format!("in {}", experiment.display());
    let text = std::fs::read_to_string(experiment).with_context(context)?;
    let table: toml::Table = text.parse().with_context(context)?;
    match table.get("note") {
        None => Ok(None),
        Some(toml::Value::String(note)) => Ok(Some(note.clone())),
        Some(_) => bail!("in {}: `note` is not a string", experiment.display()),
    }
}
