//! `fathom plot`.

mod columns;
mod shown;
mod style;

use super::choice::choice;
use super::doubts;
use super::stderr::log;
use super::stdout;
use super::{Usage, options};
use anyhow::{Context, Result, anyhow, bail};
use fathom_base::write_atomically;
use fathom_plot::{self as plot, Figure, Metric, Optional, Options, Results, Width};
use fathom_record::SweepDir;
use fathom_sweep::check_integrity;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use style::{Format, Scale, figure_options};

pub use shown::{Asked, Shown};
pub use style::{Format as FigureFormat, note, source};

/// Draw the figures of a results directory
///
/// Figures are drawn from the CSV files alone; --columns draws columns of any CSV table
#[derive(clap::Args)]
pub struct Args {
    /// Results directory with `runs/` or `curves.csv`; or, with --columns, a CSV table
    dir: PathBuf,
    /// Columns of a table: that of the horizontal axis, then those to draw, such as
    /// depth,images_per_s
    #[arg(long, value_name = "X,Y,…", value_delimiter = ',', conflicts_with_all = ["figure", "metric", "y_max", "trains_below", "below"])]
    columns: Vec<String>,
    /// Folder of the figures [default: DIR/figures, or that of the table]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Figures to draw, such as curves,depth; may be repeated [default: all for which there are results]
    #[arg(long, value_parser = choice::<Figure>(), value_delimiter = ',')]
    figure: Vec<Figure>,
    #[arg(long, default_value = "train_err_pct", help = metric_help())]
    metric: Metric,
    /// Key whose values have a colour each in curves, such as norm or lr, and a panel each in
    /// `panels`; in `rate-depth` a numeric key that replaces depth if all nets have the same
    #[arg(long, value_name = "KEY")]
    group_by: Option<String>,
    /// Scale of iterations and depths
    #[arg(long, value_parser = choice::<Scale>(), default_value_t)]
    x: Scale,
    /// Scale of errors
    #[arg(long, value_parser = choice::<Scale>(), default_value_t)]
    y: Scale,
    /// Average curves over N evaluations, or lines of a table over N rows
    #[arg(long, value_name = "N", default_value_t = 1, hide_default_value = true, value_parser = at_least_one)]
    smooth: usize,
    /// Upper end of the vertical axis of the curves
    #[arg(long, value_name = "VALUE", value_parser = positive, allow_negative_numbers = true)]
    y_max: Option<f64>,
    /// Share of the error of random guessing below which a net trains, in `rate-depth` [default: 0.8]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    trains_below: Option<f64>,
    /// Bar of `threshold`: the value of the metric below which updates are no longer counted
    #[arg(long, value_name = "VALUE", value_parser = positive)]
    below: Option<f64>,
    /// File formats
    #[arg(long, value_parser = choice::<Format>(), value_delimiter = ',', default_value = "svg,png")]
    format: Vec<Format>,
    /// Width on paper, where text then has 6 to 8 points [default: for the screen]
    #[arg(long, value_parser = choice::<Width>())]
    width: Option<Width>,
    #[command(flatten)]
    shown: Shown,
}

fn metric_help() -> String {
    let columns: Vec<&str> = Metric::all().map(|metric| metric.train).collect();
    format!(
        "Column of the training curve, with its test column, either of which may be named: {}",
        columns.join(", ")
    )
}

fn positive(text: &str) -> Result<f64, &'static str> {
    options::positive(text).ok_or("expected a number above 0")
}

fn at_least_one(text: &str) -> Result<usize, &'static str> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or("expected a whole number of at least 1, which does not average")
}

fn share(text: &str) -> Result<f64, &'static str> {
    let share = options::positive(text).filter(|share| *share <= 1.0);
    share.ok_or("expected a share above 0 and at most 1, such as 0.8")
}

/// Draws the figures and prints the path of each.
pub fn run(args: &Args) -> Result<ExitCode> {
    if args.dir.is_file() || !args.columns.is_empty() {
        if let Some(option) = args.shown.given() {
            let table = args.dir.display();
            let why = format!(
                "{option}: it chooses among the runs of a results directory, and {table} is a table"
            );
            return Err(Usage(why).into());
        }
        return columns::draw(args);
    }
    let dir = SweepDir::new(&args.dir);
    check_integrity(&dir)?;
    let mut results = Results::load(&dir)?;
    results.curves.check_evaluated(dir.root())?;
    doubts::note(&results.curves.runs);
    let asked = args.shown.choose(&mut results)?;
    check_figures(args, &asked)?;
    let group_by = args.group_by.as_ref().map(|key| plot::axis(&results.curves, key)).transpose();
    let group_by = group_by.map_err(|error| Usage(format!("--group-by: {error}")))?;
    args.metric.check(&results.curves).map_err(|error| Usage(format!("--metric {error:#}")))?;
    let out = args.out.clone().unwrap_or_else(|| dir.figures());
    make_folder(&out)?;
    let options = figure_options(args, asked, group_by, &dir);
    let mut drawn = 0;
    for figure in Figure::ALL.iter().copied() {
        let requested = args.figure.contains(&figure);
        if !requested && !args.figure.is_empty() {
            continue;
        }
        let failure = || format!("no figure `{}` of {}", figure.word(), args.dir.display());
        match draw(&results, figure, args, &options, &out) {
            Ok(paths) => {
                drawn += 1;
                paths.iter().try_for_each(|path| stdout::write_line(path.display()))?;
            }
            Err(error) if requested => return Err(error.context(failure())),
            // Most sweeps have no results for the special figures.
            Err(_) if !figure.is_general() => {}
            Err(error) => log(format!("note: {}: {error:#}", failure())),
        }
    }
    if drawn == 0 {
        bail!("no figure could be drawn");
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes a file that may go elsewhere.
///
/// # Errors
/// When it cannot be written, with what to do about it.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomically(path, bytes).map_err(elsewhere)
}

/// Makes a folder that may be another one.
///
/// # Errors
/// When it cannot be made, with what to do about it.
pub fn make_folder(folder: &Path) -> Result<()> {
    let made = std::fs::create_dir_all(folder);
    made.with_context(|| format!("cannot create {}", folder.display())).map_err(elsewhere)
}

fn elsewhere(error: anyhow::Error) -> anyhow::Error {
    anyhow!("{error:#}: free space, make it writable, or give another --out")
}

/// Draws a figure in all formats, and returns the files.
fn draw(
    results: &Results,
    figure: Figure,
    args: &Args,
    options: &Options,
    out: &Path,
) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    let svg = plot::svg(results, figure, options)?;
    for format in &args.format {
        let bytes = format.encode(&svg)?;
        let path = out.join(format!("{}.{format}", figure.word()));
        write(&path, &bytes)?;
        paths.push(path);
    }
    Ok(paths)
}

/// Refuses an option that would silently have no effect on a requested figure.
fn check_figures(args: &Args, asked: &Asked) -> Result<(), Usage> {
    // The bar of one figure is often given where others are drawn too.
    let has_bar = args.figure.contains(&Figure::Threshold);
    let given = [
        (asked.colour.is_some(), "--colour", Optional::Colour),
        (asked.facet.is_some(), "--facet", Optional::Facet),
        (args.group_by.is_some(), "--group-by", Optional::GroupBy),
        (args.x == Scale::Log, "--x log", Optional::LogX),
        (args.y == Scale::Log, "--y log", Optional::LogY),
        (args.smooth > 1, "--smooth", Optional::Smooth),
        (args.y_max.is_some(), "--y-max", Optional::YMax),
        (args.trains_below.is_some(), "--trains-below", Optional::TrainsBelow),
        (args.below.is_some() && !has_bar, "--below", Optional::Below),
    ];
    for (_, option, optional) in given.into_iter().filter(|(is_given, ..)| *is_given) {
        let figures = optional.figures();
        if let Some(figure) = args.figure.iter().find(|figure| !figures.contains(figure)) {
            let words: Vec<&str> = figures.iter().map(|figure| figure.word()).collect();
            return Err(Usage(format!(
                "{option}: it has no effect on `{}`, but on {}",
                figure.word(),
                words.join(", ")
            )));
        }
    }
    Ok(())
}
