//! `fathom import`.

use super::Usage;
use super::doubts;
use super::stderr::log;
use super::stdout;
use anyhow::{Context, Result, ensure};
use fathom_base::key::value_of;
use fathom_base::plain;
use fathom_record::{
    CurveRow, DataRecord, Expression, Log, METRICS, Manifest, Mapping, Metric, RunCurve, RunDir,
    SCHEMA, State, Status, SweepDir, Unit, seed,
};
use fathom_spec::{Config, full_name};
use std::path::PathBuf;
use std::process::ExitCode;

/// Turn the log of another program into a run
///
/// A CSV table, such as those of PyTorch Lightning and Keras, or TensorBoard's event files become a run
/// that `plot`, `check`, `report` and `compare` take. An EXPRESSION is a column of the log, or numbers
/// and columns with + - * / and parentheses
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// CSV table, event file of TensorBoard, or folder of event files
    log: PathBuf,
    /// Results directory to which the run is added
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Value of a key of the run's configuration, such as network.depth=20, or arm=NAME; a seed is required
    #[arg(long = "set", value_name = "KEY=VALUE", required = true)]
    sets: Vec<String>,
    /// Number of updates [default: the column step]
    #[arg(long, value_name = "EXPRESSION", default_value = "step", hide_default_value = true)]
    step: String,
    /// Training error in per cent
    #[arg(long, value_name = "EXPRESSION")]
    train_error: Option<String>,
    /// Test error in per cent
    #[arg(long, value_name = "EXPRESSION")]
    test_error: Option<String>,
    /// Validation error in per cent
    #[arg(long, value_name = "EXPRESSION")]
    validation_error: Option<String>,
    /// Training loss
    #[arg(long, value_name = "EXPRESSION")]
    train_loss: Option<String>,
    /// Test loss
    #[arg(long, value_name = "EXPRESSION")]
    test_loss: Option<String>,
    /// Validation loss
    #[arg(long, value_name = "EXPRESSION")]
    validation_loss: Option<String>,
    /// Any other column of a curve, such as lr=learning_rate, or a metric of your own
    #[arg(long = "column", value_name = "NAME=EXPRESSION")]
    columns: Vec<String>,
    /// Number of classes, from which the error of diverged runs follows
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    classes: usize,
    /// Number of parameters of the net
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    parameters: u64,
    /// The run has not ended yet
    #[arg(long)]
    unfinished: bool,
    /// Replace the run if it is there already
    #[arg(long)]
    replace: bool,
}

const EXAMPLES: &str = "\
Examples:
  fathom import metrics.csv --out results/mine --set family=plain --set depth=20 --set seed=1 \\
    --test-error '100-100*val_acc' --train-error '100-100*train_acc'
  fathom import training.log --out results/mine --set depth=20 --set seed=1 \\
    --step '391*(epoch+1)' --test-error '100*(1-val_accuracy)' --column lr=learning_rate
  fathom import runs/a --out results/mine --set depth=20 --set seed=1 --test-error '100*(1-test/accuracy)'";

pub fn run(args: &Args) -> Result<ExitCode> {
    let (arm, config) = configuration(&args.sets)?;
    let source = Log::read(&args.log)?;
    let (rows, notes) = source.curve(&mapping(args, &source)?)?;
    for note in source.notes().iter().chain(&notes) {
        log(format!("note: {}: {note}", args.log.display()));
    }
    let directory = SweepDir::new(&args.out);
    ensure!(
        directory.resolved()?.is_none(),
        "--out {}: fathom trains the runs of this folder (resolved.json), and would refuse others there: give another \
         folder",
        args.out.display()
    );
    let run = folder(&directory, arm.as_deref(), &config)?;
    ensure!(
        args.replace || !run.has_begun(),
        "{} is there already: give another seed or configuration, or --replace",
        run.root().display()
    );
    let state = if args.unfinished { State::Pending } else { state(&rows) };
    let manifest = Manifest {
        schema: SCHEMA,
        id: run.id(),
        arm,
        axes: config.keys().cloned().collect(),
        config,
        execution: Default::default(),
        revision: Default::default(),
        data: DataRecord { classes: args.classes, ..DataRecord::default() },
        parameters: args.parameters,
        macs: 0,
    };
    let curve = RunCurve::new(&manifest, state, rows);
    doubts::note([&curve]);
    note_missing_ends(&curve);
    let was_there = run.root().exists();
    write(&run, &manifest, &curve).inspect_err(|_| {
        // What was written in part would pass for the run when the command is given again.
        if !was_there {
            let _ = std::fs::remove_dir_all(run.root());
            directory.discard_empty();
        }
    })?;
    stdout::write_line(run.root().display())?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the files of a run.
fn write(run: &RunDir, manifest: &Manifest, curve: &RunCurve) -> Result<()> {
    run.create()?;
    // Without a status the run is pending: nobody takes a curve for that of another manifest.
    run.clear_status()?;
    run.write_curve(&curve.rows)?;
    run.write_manifest(manifest)?;
    if curve.state == State::Pending {
        return Ok(());
    }
    let step = curve.rows.last().map_or(0, |row| row.step);
    run.write_status(&Status::new(curve.state, step, ""))
}

/// The arm and the configuration of `--set`, with keys of fathom by their full names.
fn configuration(sets: &[String]) -> Result<(Option<String>, Config), Usage> {
    let (mut arm, mut config) = (None, Config::new());
    for set in sets {
        let Some((key, text)) = set.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            return Err(Usage(format!(
                "--set {set}: expected KEY=VALUE, such as network.depth=20"
            )));
        };
        if key == "arm" {
            if text.trim().is_empty() || text.contains(char::is_control) {
                return Err(Usage(format!("--set {set}: the name of an arm is a line of text")));
            }
            if arm.replace(text.to_owned()).is_some() {
                return Err(Usage(format!("--set {set}: arm is given twice")));
            }
            continue;
        }
        let key = full_name(key).unwrap_or_else(|unknown| {
            // A key of one's own is valid, and a misspelt one would be taken for it.
            log(format!("note: --set {set}: {unknown}; taken as a key of your own"));
            key.to_owned()
        });
        if config.insert(key.clone(), value_of(text)).is_some() {
            return Err(Usage(format!("--set {set}: {key} is given twice")));
        }
    }
    match seed(&config) {
        Some(_) => Ok((arm, config)),
        None => Err(Usage(match config.get("seed") {
            Some(value) => format!("--set seed={}: expected an integer", plain(value)),
            None => "--set: a seed is missing, such as seed=0: runs are paired by it".into(),
        })),
    }
}

/// The folder of the run: its arm and the values of its configuration, with the names of keys where a run of another
/// configuration has these values.
fn folder(directory: &SweepDir, arm: Option<&str>, config: &Config) -> Result<RunDir> {
    let value = |_: &str, value: String| value;
    let named = |key: &str, value: String| format!("{key}_{value}");
    let is_of_another = |run: &RunDir| {
        run.manifest().is_ok_and(|there| there.config != *config || there.arm.as_deref() != arm)
    };
    let ids = [id(arm, config, value), id(arm, config, named)];
    let candidates = ids.map(|id| directory.run(&id));
    let free = candidates.into_iter().find(|run| !is_of_another(run));
    free.with_context(|| {
        format!("{}: runs of other configurations have this one's name", directory.root().display())
    })
}

/// The name of a folder from an arm and the values of a configuration, each as `part` writes it.
fn id(arm: Option<&str>, config: &Config, part: impl Fn(&str, String) -> String) -> String {
    let arm = arm.map(|arm| part("arm", arm.to_owned()));
    let others = config.iter().filter(|(key, _)| *key != "seed");
    let values = others.map(|(key, value)| part(key, plain(value)));
    let seed = config.get("seed").map(plain).unwrap_or_default();
    let id =
        arm.into_iter().chain(values).chain([format!("s{seed}")]).collect::<Vec<_>>().join("-");
    let is_safe = |letter: char| letter.is_alphanumeric() || "-+_.".contains(letter);
    id.chars().map(|letter| if is_safe(letter) { letter } else { '_' }).collect()
}

/// The columns of the curve as expressions: those of the flags, and columns of the log that have
/// fathom's names.
fn mapping(args: &Args, source: &Log) -> Result<Mapping, Usage> {
    let flags = [
        ("train_err_pct", "--train-error", &args.train_error),
        ("test_err_pct", "--test-error", &args.test_error),
        ("validation_err_pct", "--validation-error", &args.validation_error),
        ("train_loss", "--train-loss", &args.train_loss),
        ("test_loss", "--test-loss", &args.test_loss),
        ("validation_loss", "--validation-loss", &args.validation_loss),
    ];
    let mut columns: Vec<(String, Expression)> = Vec::new();
    let mut add = |name: &str, flag: &str, text: &str| {
        if columns.iter().any(|(known, _)| known == name) {
            return Err(Usage(format!("{flag}: {name} is given twice")));
        }
        columns.push((name.to_owned(), parse(flag, text, source)?));
        Ok(())
    };
    for (name, flag, text) in flags {
        text.iter().try_for_each(|text| add(name, flag, text))?;
    }
    for column in &args.columns {
        match column.split_once('=') {
            Some((name, text)) if !["", "step", "schema"].contains(&name) => {
                add(name, "--column", text)?;
            }
            _ => return Err(Usage(format!("--column {column}: expected NAME=EXPRESSION"))),
        }
    }
    for metric in
        METRICS.iter().filter(|metric| source.columns.iter().any(|it| it == metric.column))
    {
        if columns.iter().all(|(name, _)| name != metric.column) {
            columns.push((metric.column.into(), parse("--column", metric.column, source)?));
        }
    }
    if columns.is_empty() {
        return Err(Usage(format!(
            "no column is chosen; {} has {}{}",
            args.log.display(),
            source.columns.join(", "),
            suggestion(&source.columns)
        )));
    }
    let step = parse("--step", &args.step, source).map_err(|Usage(error)| {
        let epoch = source.columns.iter().find(|column| column.eq_ignore_ascii_case("epoch"));
        let hint = epoch.map(|epoch| {
            format!("; with epochs from 0 of 391 updates each: --step '391*({epoch}+1)'")
        });
        Usage(error + &hint.unwrap_or_default())
    })?;
    Ok(Mapping { step, columns })
}

fn parse(flag: &str, text: &str, source: &Log) -> Result<Expression, Usage> {
    Expression::parse(text, &source.columns).map_err(|error| Usage(format!("{flag}: {error}")))
}

/// Flags that suit the names of columns, in words; empty if none does.
fn suggestion(columns: &[String]) -> String {
    let flag = |column: &String| {
        let name = column.to_lowercase();
        let is_of_test = name.contains("val") || name.contains("test");
        let images = if is_of_test { "test" } else { "train" };
        if name.contains("acc") {
            Some(format!("--{images}-error '100-100*{column}'"))
        } else if name.contains("err") {
            Some(format!("--{images}-error '{column}'"))
        } else {
            name.contains("loss").then(|| format!("--{images}-loss '{column}'"))
        }
    };
    let flags: Vec<String> = columns.iter().filter_map(flag).collect();
    match flags.is_empty() {
        true => String::new(),
        false => format!("; perhaps {}", flags.join(" ")),
    }
}

/// Whether the run diverged: a loss of its last row is no number.
fn state(rows: &[CurveRow]) -> State {
    let losses = METRICS.iter().filter(|metric| metric.unit == Unit::Nats);
    let values = rows.last().into_iter().flat_map(|row| losses.clone().filter_map(|it| it.of(row)));
    if values.into_iter().all(f64::is_finite) { State::Done } else { State::Diverged }
}

/// Notes the metrics that the last row lacks: they have no final value.
fn note_missing_ends(curve: &RunCurve) {
    let Some(last) = curve.rows.last() else { return };
    let has = |row: &CurveRow, metric: &Metric| metric.of(row).is_some();
    for metric in METRICS.iter().filter(|metric| !has(last, metric)) {
        if let Some(row) = curve.rows.iter().rev().find(|row| has(row, metric)) {
            log(format!(
                "note: {} ends at step {}, before the last row at step {}, and has no final value",
                metric.column, row.step, last.step
            ));
        }
    }
}
