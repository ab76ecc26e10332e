//! `fathom compare DIR --over KEY`.

mod tables;

use super::Args;
use crate::Usage;
use crate::choice::choice;
use crate::doubts;
use crate::plot::{FigureFormat, note, source};
use crate::stderr::log;
use crate::stdout;
use crate::table::{Format, print};
use anyhow::{Context, Result};
use fathom_base::key::short;
use fathom_base::write_atomically;
use fathom_plot::{AblationFigure, Against, Width};
use fathom_record::{Seed, SweepDir};
use fathom_spec::{Claims, Tune};
use fathom_stats::{Ablation, DeclaredTuning, Evidence, Question};
use fathom_sweep::check_integrity;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(clap::Args)]
#[command(next_help_heading = "Values of one key")]
pub struct Flags {
    /// Key whose values are compared, such as norm, family or batch; or arm
    #[arg(long, value_name = "KEY", conflicts_with = "b")]
    over: Option<String>,
    /// Value that the others are compared with [default: the smallest number, or the first word of the alphabet]
    #[arg(long, value_name = "VALUE", conflicts_with = "b")]
    baseline: Option<String>,
    /// Swept key of which each side is also compared at its own best value [default: lr, if swept]
    #[arg(long, value_name = "KEY", conflicts_with = "b")]
    best: Option<String>,
    /// Seeds that choose the best value and are not compared there [default: those that the
    /// experiment tunes with]
    #[arg(
        long,
        value_name = "SEED,…",
        value_delimiter = ',',
        allow_negative_numbers = true,
        conflicts_with = "b"
    )]
    tune_seeds: Vec<Seed>,
    /// Draw the comparison into DIR/figures, in these formats
    #[arg(
        long,
        value_name = "FORMAT,…",
        value_parser = choice::<FigureFormat>(),
        value_delimiter = ',',
        num_args = 0..,
        require_equals = true,
        default_missing_value = "svg,png",
        conflicts_with = "b"
    )]
    plot: Vec<FigureFormat>,
    /// Width of the figure on paper [default: for the screen]
    #[arg(long, value_parser = choice::<Width>(), conflicts_with = "b")]
    width: Option<Width>,
    /// Draw it into this folder
    #[arg(long, value_name = "DIR", conflicts_with = "b")]
    out: Option<PathBuf>,
}

/// Compares the values of a key within a directory.
pub fn run(args: &Args) -> Result<ExitCode> {
    let flags = &args.over;
    let directory = SweepDir::new(&args.a);
    directory.check_exists().map_err(|error| Usage(error.to_string()))?;
    check_integrity(&directory)?;
    let evidence = Evidence::load(&directory)?;
    doubts::note(evidence.runs());
    let claims = claims(&directory);
    let declared = claims.as_ref().map(declared).unwrap_or_default();
    let pairing = claims.map(|claims| claims.deciding.pairing).unwrap_or_default();
    let compare = |metric: &String| {
        let question = Question {
            over: flags.over.clone().unwrap_or_default(),
            baseline: flags.baseline.clone(),
            best: flags.best.clone(),
            tune_seeds: (!flags.tune_seeds.is_empty())
                .then(|| flags.tune_seeds.iter().copied().collect()),
            declared: declared.clone(),
            metric: metric.clone(),
            pairing,
        };
        Ablation::of(&evidence, &question).map_err(|error| Usage(format!("{error:#}")))
    };
    let ablations = args.metric.iter().map(compare).collect::<Result<Vec<_>, _>>()?;
    match args.format {
        Format::Table | Format::Markdown => {
            print(&tables::for_people(&ablations), args.format)?;
        }
        Format::Csv | Format::Json => print(&tables::for_programs(&ablations), args.format)?,
    }
    for ablation in &ablations {
        let mut notes = ablation.notes();
        if ablations.len() > 1 {
            notes.insert(0, format!("{}:", ablation.metric));
        }
        if args.format == Format::Markdown {
            // A table in a document needs its notes beside it.
            let items: String = notes.iter().map(|note| format!("- {note}\n")).collect();
            stdout::write(format!("\n{items}"))?;
        } else {
            log("");
            notes.iter().for_each(log);
        }
    }
    let formats = match (flags.plot.as_slice(), &flags.out, flags.width) {
        ([], None, None) => return Ok(ExitCode::SUCCESS),
        ([], _, _) => &[FigureFormat::Svg, FigureFormat::Png],
        (formats, _, _) => formats,
    };
    let out = flags.out.clone().unwrap_or_else(|| directory.figures());
    std::fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    for ablation in &ablations {
        draw(ablation, &directory, &out, formats, flags.width)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Draws a comparison: at the best values of the swept key and against it, where there is one.
fn draw(
    ablation: &Ablation,
    directory: &SweepDir,
    out: &Path,
    formats: &[FigureFormat],
    width: Option<Width>,
) -> Result<()> {
    let (note, source) = (note(directory), source(directory));
    let name = format!("compare-{}-{}", short(&ablation.over), ablation.metric);
    let mut figures = vec![(name.clone(), Against::Depth)];
    if let Some(swept) = ablation.swept() {
        figures.push((format!("{name}-by-{swept}"), Against::Swept));
    }
    for (name, against) in figures {
        let (note, source) = (note.as_deref(), source.as_str());
        let figure = AblationFigure { ablation, against, note, source, width };
        let svg = figure.svg()?;
        for format in formats {
            let bytes = format.encode(&svg)?;
            let path = out.join(format!("{name}.{format}"));
            write_atomically(&path, &bytes)?;
            log(path.display());
        }
    }
    Ok(())
}

/// The claims of the directory's experiment and how they are decided; none if there is no file, or none that can be
/// read.
fn claims(directory: &SweepDir) -> Option<Claims> {
    let file = directory.experiment();
    if !file.exists() {
        return None;
    }
    let read = || -> Result<Claims> {
        let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        Ok(Claims::parse(&file, &text)?)
    };
    let unread = |error: &anyhow::Error| {
        log(format!("note: tuning seeds and pairing are taken from no claim: {error:#}"))
    };
    read().inspect_err(unread).ok()
}

/// How the experiment or its claims tune, by the tuned key.
fn declared(claims: &Claims) -> BTreeMap<String, DeclaredTuning> {
    let mut declared: BTreeMap<String, DeclaredTuning> = BTreeMap::new();
    for tune in claims.claims.iter().filter_map(|claim| claim.tune.clone()) {
        declared.entry(tune.over).or_default().seeds.extend(tune.seeds);
    }
    if let Some(Tune { over, seeds, by }) = claims.tune.clone() {
        declared.insert(over, DeclaredTuning { seeds, by: Some(by) });
    }
    declared
}
