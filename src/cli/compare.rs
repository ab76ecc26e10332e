//! `fathom compare`: what differs between two results directories.

use super::integrity;
use super::stderr::say;
use super::table::{Format, Table};
use anyhow::{Result, ensure};
use fathom_record::{
    CurveRow, Made, Provenance, RunCurve, SweepCurves, SweepDir, metric_columns, natural_order,
};
use fathom_report::label;
use fathom_spec::{changes, fingerprint};
use fathom_stats::Interval;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

/// Compare two results directories: did my change alter anything, and does another machine agree?
///
/// Runs are matched by their configuration. Exit codes: 0 the curves of all runs that both have are
/// equal but for the clock, 6 some differ
#[derive(clap::Args)]
pub struct Args {
    /// Results directory
    a: PathBuf,
    /// Another one
    b: PathBuf,
    /// The column whose final values are compared
    #[arg(long, default_value = "train_err_pct")]
    metric: String,
    /// How the table is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Curves differ.
const DIFFER: u8 = 6;

/// One side: runs by configuration.
struct Side {
    name: String,
    runs: BTreeMap<String, (RunCurve, Provenance)>,
}

impl Side {
    fn load(root: &std::path::Path) -> Result<Self> {
        let directory = SweepDir::new(root);
        integrity::check(&directory)?;
        let facts = directory.facts()?;
        let mut runs = BTreeMap::new();
        for run in directory.load()?.runs {
            let facts = facts.get(&run.id).cloned().unwrap_or_default();
            // Without a configuration the id, which ends with its hash, has to do.
            let key = match facts.config.is_empty() {
                true => run.id.clone(),
                // Keys that came later, at their defaults, do not count.
                false => fingerprint(&facts.config),
            };
            runs.insert(key, (run, facts));
        }
        Ok(Self { name: root.display().to_string(), runs })
    }

    fn made(&self) -> impl Iterator<Item = &Made> {
        self.runs.values().filter_map(|(_, facts)| facts.manifest.as_ref())
    }
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let (a, b) = (Side::load(&args.a)?, Side::load(&args.b)?);
    let runs = a.runs.values().chain(b.runs.values()).map(|(run, _)| run.clone()).collect();
    let found =
        SweepCurves { runs }.check_column(&args.metric, &metric_columns().collect::<Vec<_>>());
    found.map_err(|error| super::Usage(format!("--metric {error}")))?;
    tell_unmatched(&a, &b);
    tell_execution(&a, &b);
    let both: Vec<&String> = a.runs.keys().filter(|key| b.runs.contains_key(*key)).collect();
    ensure!(!both.is_empty(), "{} and {} have no run in common", a.name, b.name);
    let differing = both.iter().filter(|key| difference(&a, &b, key).is_some()).count();
    let mut groups: BTreeMap<String, Vec<&String>> = BTreeMap::new();
    let mut order = Vec::new();
    for key in &both {
        let (run, _) = &a.runs[*key];
        let name = label(&run.axes);
        if !groups.contains_key(&name) {
            order.push(name.clone());
        }
        groups.entry(name).or_default().push(key);
    }
    let headers = [
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
    let mut table = Table::new(headers);
    order.sort_by(|x, y| {
        let pairs = x.split(' ').zip(y.split(' '));
        pairs
            .map(|(x, y)| natural_order(x, y))
            .find(|order| order.is_ne())
            .unwrap_or_else(|| x.cmp(y))
    });
    for name in order {
        table.row(row(&a, &b, &name, &groups[&name], &args.metric));
    }
    table.print(args.format)?;
    let all = both.len();
    say(match differing {
        0 => format!("{all} runs are in both, and their curves are equal but for the clock"),
        n => format!("{all} runs are in both, and the curves of {n} differ"),
    });
    Ok(if differing == 0 { ExitCode::SUCCESS } else { ExitCode::from(DIFFER) })
}

/// The seeds of one configuration: how many curves are equal, and the paired difference b − a of
/// the final metric.
fn row(a: &Side, b: &Side, name: &str, keys: &[&String], metric: &str) -> [Value; 11] {
    let steps: Vec<u64> = keys.iter().filter_map(|key| difference(a, b, key)).collect();
    let pairs: Vec<(f64, f64)> = keys
        .iter()
        .filter_map(|key| {
            let last = |side: &Side| side.runs[*key].0.final_metric(metric);
            Some((last(a)?, last(b)?))
        })
        .collect();
    let mean = |values: Vec<f64>| {
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    let differences: Vec<f64> = pairs.iter().map(|(a, b)| b - a).collect();
    let interval = Interval::of(&differences, 0.95);
    let beyond = match interval {
        _ if differences.iter().all(|d| *d == 0.0) => Value::from("no"),
        Some(it) => if it.low > 0.0 || it.high < 0.0 { "yes" } else { "no" }.into(),
        None => "one seed cannot say".into(),
    };
    let rounded = |value: Option<f64>| Value::from(value.map(|v| (v * 1e4).round() / 1e4));
    [
        name.into(),
        keys.len().into(),
        (keys.len() - steps.len()).into(),
        steps.iter().min().copied().into(),
        metric.into(),
        rounded(mean(pairs.iter().map(|(a, _)| *a).collect())),
        rounded(mean(pairs.iter().map(|(_, b)| *b).collect())),
        rounded(mean(differences)),
        rounded(interval.map(|it| it.low)),
        rounded(interval.map(|it| it.high)),
        beyond,
    ]
}

/// The first step at which the curves of a run differ, but for the clock.
fn difference(a: &Side, b: &Side, key: &str) -> Option<u64> {
    let (x, y) = (&a.runs[key].0, &b.runs[key].0);
    for place in 0..x.rows.len().max(y.rows.len()) {
        match (x.rows.get(place), y.rows.get(place)) {
            (Some(one), Some(other)) if text(one) == text(other) => {}
            (Some(row), _) | (None, Some(row)) => return Some(row.step),
            (None, None) => {}
        }
    }
    None
}

/// A row without its clock; as text, so that NaN equals NaN.
fn text(row: &CurveRow) -> String {
    format!("{:?}", CurveRow { seconds: None, ..row.clone() })
}

/// Runs that only one side has, and in which keys they differ.
fn tell_unmatched(a: &Side, b: &Side) {
    let only = |one: &Side, other: &Side| -> BTreeMap<String, _> {
        let missing = one.runs.iter().filter(|(key, _)| !other.runs.contains_key(*key));
        missing.map(|(_, (run, facts))| (run.id.clone(), facts.config.clone())).collect()
    };
    let (in_a, in_b) = (only(a, b), only(b, a));
    for (side, runs) in [(a, &in_a), (b, &in_b)] {
        if !runs.is_empty() {
            say(format!("only in {}: {} runs, such as {}", side.name, runs.len(), first(runs)));
        }
    }
    if !in_a.is_empty() && !in_b.is_empty() {
        let all = |side: &Side| -> BTreeMap<String, _> {
            let runs = side.runs.values();
            runs.map(|(run, facts)| (run.id.clone(), facts.config.clone())).collect()
        };
        let changes = changes(&in_a, &all(b));
        for line in changes.to_string().lines() {
            say(format!("  {line}"));
        }
    }
}

fn first<T>(runs: &BTreeMap<String, T>) -> &str {
    runs.keys().next().map_or("", String::as_str)
}

/// One fact of how a run was made, in words.
type SignalEffect = fn(&Made) -> String;

/// How the runs of both sides were made, where that differs.
fn tell_execution(a: &Side, b: &Side) {
    let facts: [(&str, SignalEffect); 7] = [
        ("revision", |made| {
            let changed = if made.revision.dirty { " with changes" } else { "" };
            format!("{}{changed}", made.revision.git)
        }),
        ("libtorch", |made| made.execution.libtorch.clone()),
        ("device", |made| made.execution.device.clone()),
        ("capability", |made| made.execution.capability.clone()),
        ("threads", |made| made.execution.threads.to_string()),
        ("layout", |made| {
            serde_json::to_value(made.execution.layout).map_or(String::new(), |v| v.to_string())
        }),
        ("data", |made| made.data.clone()),
    ];
    for (name, of) in facts {
        let values = |side: &Side| side.made().map(of).collect::<BTreeSet<_>>();
        let (x, y) = (values(a), values(b));
        if x != y && !x.is_empty() && !y.is_empty() {
            let list = |values: BTreeSet<String>| values.into_iter().collect::<Vec<_>>().join(", ");
            say(format!("{name}: {} in {}, {} in {}", list(x), a.name, list(y), b.name));
        }
    }
}
