//! `fathom compare`.

mod over;

use super::Usage;
use super::choice::choice;
use super::stderr::log;
use super::table::{Format, print};
use anyhow::{Result, ensure};
use fathom_record::{SweepDir, Table};
use fathom_report::label;
use fathom_stats::{ComparedGroup, Comparison, ExecutionDifference};
use fathom_sweep::check_integrity;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Compare two results directories, or the values of one key within a sweep
///
/// Of two directories, runs are matched by their configuration. Exit codes: 0 if the curves of all runs
/// that both have are equal except for the clock, 6 if some differ. With --over KEY, each value of the
/// key is compared with the first one in every configuration that both have, over common seeds
#[derive(clap::Args)]
#[command(override_usage = USAGE, after_help = EXAMPLES)]
pub struct Args {
    /// Results directory
    a: PathBuf,
    /// Second results directory
    #[arg(required_unless_present = "over")]
    b: Option<PathBuf>,
    /// Columns whose final values are compared
    #[arg(long, default_value = "train_err_pct", value_delimiter = ',')]
    metric: Vec<String>,
    /// Format of the table
    #[arg(long, value_parser = choice::<Format>(), default_value_t)]
    format: Format,
    #[command(flatten)]
    over: over::Flags,
}

const USAGE: &str =
    "fathom compare [OPTIONS] <A> <B>\n       fathom compare [OPTIONS] <A> --over <KEY>";

const EXAMPLES: &str = "\
Examples:
  fathom compare results/quick results/mine
  fathom compare results/batchnorm --over norm --metric test_err_pct --plot";

/// Exit code if curves differ.
const DIFFER: u8 = 6;

const COLUMNS: [&str; 11] = [
    "configuration",
    "runs",
    "equal",
    "first_step",
    "metric",
    "mean_a",
    "mean_b",
    "difference",
    "low95",
    "high95",
    "beyond_noise",
];

pub fn run(args: &Args) -> Result<ExitCode> {
    match &args.b {
        Some(b) => directories(args, b),
        None => over::run(args),
    }
}

/// Compares the directories of the arguments.
fn directories(args: &Args, other: &Path) -> Result<ExitCode> {
    let [a, b] = [&args.a, other].map(Path::display);
    check_integrity(&SweepDir::new(&args.a))?;
    check_integrity(&SweepDir::new(other))?;
    let comparison = Comparison::load(&args.a, other)?;
    for metric in &args.metric {
        comparison.check_metric(metric).map_err(|error| Usage(format!("--metric {error}")))?;
    }
    let unmatched = comparison.unmatched();
    for (dir, ids) in [(&a, &unmatched.only_a), (&b, &unmatched.only_b)] {
        if let Some(first) = ids.first() {
            log(format!("only in {dir}: {} runs, such as {first}", ids.len()));
        }
    }
    for line in unmatched.changes.iter().flat_map(lines) {
        log(format!("  {line}"));
    }
    for ExecutionDifference { fact, a: in_a, b: in_b } in comparison.execution_differences() {
        log(format!("{fact}: {} in {a}, {} in {b}", in_a.join(", "), in_b.join(", ")));
    }
    let (common, differing) = (comparison.common(), comparison.differing());
    ensure!(common > 0, "{a} and {b} have no run in common");
    let mut table = Table::new(COLUMNS);
    for metric in &args.metric {
        for group in comparison.groups(metric, label) {
            table.row(row(group, metric));
        }
    }
    print(&table, args.format)?;
    log(match differing {
        0 => format!("{common} runs are in both, and their curves are equal except for the clock"),
        n => format!("{common} runs are in both, and the curves of {n} differ"),
    });
    Ok(if differing == 0 { ExitCode::SUCCESS } else { ExitCode::from(DIFFER) })
}

fn lines(text: &impl ToString) -> Vec<String> {
    text.to_string().lines().map(str::to_owned).collect()
}

fn row(group: ComparedGroup, metric: &str) -> [Value; COLUMNS.len()] {
    let rounded = |value: Option<f64>| Value::from(value.map(|v| (v * 1e4).round() / 1e4));
    [
        group.label.into(),
        group.runs.into(),
        group.equal.into(),
        group.first_step.into(),
        metric.into(),
        rounded(group.mean_a),
        rounded(group.mean_b),
        rounded(group.difference),
        rounded(group.interval.map(|it| it.low)),
        rounded(group.interval.map(|it| it.high)),
        match group.beyond_noise {
            Some(true) => "yes".into(),
            Some(false) => "no".into(),
            None => "unknown from one seed".into(),
        },
    ]
}
