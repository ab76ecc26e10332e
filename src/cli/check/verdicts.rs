//! Verdicts on claims as tables and as text.

use crate::stderr::log;
use crate::text::bound;
use fathom_base::short;
use fathom_record::{Seed, Table};
use fathom_stats::{Outcome, Region, Verdict};
use serde_json::Value;

/// One row for each claim, with every number.
pub fn table(verdicts: &[Verdict]) -> Table {
    let mut table = Table::new([
        "verdict",
        "claim",
        "metric",
        "effect",
        "low",
        "high",
        "confidence",
        "claimed_low",
        "claimed_high",
        "n",
        "planned",
        "seeds_needed",
        "statement",
        "reason",
        "remarks",
    ]);
    for verdict in verdicts {
        let Verdict { region, effect, low, high, confidence, .. } = verdict;
        let numbers = [*effect, *low, *high, Some(*confidence), region.low, region.high];
        let counts = [Some(verdict.n), Some(verdict.planned), verdict.seeds_needed];
        let texts = [
            Value::from(verdict.statement.clone()),
            verdict.reason.clone().into(),
            verdict.remarks.join("; ").into(),
        ];
        let cells = names(verdict).into_iter().chain(numbers.map(Value::from));
        table.row(cells.chain(counts.map(Value::from)).chain(texts));
    }
    table
}

/// One row for each claim, rounded.
pub fn table_for_people(verdicts: &[Verdict]) -> Table {
    let mut table =
        Table::new(["verdict", "claim", "metric", "effect", "interval", "claimed", "n"]);
    for verdict in verdicts {
        let planned = verdict.planned;
        let numbers = [
            verdict.effect().into(),
            verdict.interval().into(),
            claimed(&verdict.region).into(),
            match verdict.n == planned {
                true => planned.into(),
                false => format!("{} of {planned}", verdict.n).into(),
            },
        ];
        table.row(names(verdict).into_iter().chain(numbers));
    }
    table
}

fn names(verdict: &Verdict) -> [Value; 3] {
    let (name, metric) = (verdict.name.as_str(), verdict.metric.as_str());
    [verdict.outcome.to_string().into(), name.into(), metric.into()]
}

/// The effects for which a claim is true.
fn claimed(region: &Region) -> String {
    match (region.low, region.high) {
        (Some(low), None) => format!("≥ {}", bound(low)),
        (None, Some(high)) => format!("≤ {}", bound(high)),
        (Some(low), Some(high)) => format!("{} … {}", bound(low), bound(high)),
        (None, None) => String::new(),
    }
}

/// Whether more seeds would decide an undecided claim.
fn outlook(verdict: &Verdict) -> String {
    let (n, last) = (verdict.n, verdict.looks.last());
    if n < 2 {
        return "the spread between seeds is known from two seeds on".into();
    }
    match (verdict.seeds_needed, last) {
        (Some(seeds), _) if seeds > n => {
            format!("about {seeds} seeds would decide, if they are like these {n}")
        }
        (Some(_) | None, Some(last)) if n >= *last => "all its looks are used".into(),
        (Some(_) | None, Some(last)) => {
            format!("even {last} seeds would not decide, if they are like these {n}")
        }
        (Some(_) | None, None) => {
            format!("a thousand seeds would not decide, if they are like these {n}")
        }
    }
}

/// Writes a verdict to standard error, with what a table has no room for.
pub fn explain(verdict: &Verdict) {
    log(format!("\n{} ({}): {}", verdict.name, verdict.outcome, verdict.statement));
    let arms = verdict.arms.iter().filter_map(|arm| Some((arm, arm.mean?)));
    let means: Vec<String> =
        arms.map(|(arm, mean)| format!("{} {}", arm.label, short(mean))).collect();
    let coverage = format!("coverage of the intervals {:.4}", verdict.confidence);
    log(match means.is_empty() {
        true => format!("  {coverage}"),
        false => format!("  means: {}; {coverage}", means.join(", ")),
    });
    if let Some(reason) = &verdict.reason {
        log(format!("  undecided because {reason}"));
    } else if verdict.outcome == Outcome::Undecided {
        log(format!("  {}", outlook(verdict)));
    }
    if !verdict.added_seeds.is_empty() {
        let seeds: Vec<String> = verdict.added_seeds.iter().map(Seed::to_string).collect();
        log(format!("  seeds added after results had been seen: {}", seeds.join(", ")));
    }
    verdict.remarks.iter().for_each(|remark| log(format!("  {remark}")));
    if !verdict.exploratory.is_empty() {
        let seeds = &verdict.exploratory;
        let effects = verdict.effects.iter().filter(|(seed, _)| seeds.contains(seed));
        let effects: Vec<String> = effects.map(|(_, effect)| short(*effect)).collect();
        log(format!(
            "  exploratory, not used: {} further seeds with effects of {}",
            seeds.len(),
            effects.join(", ")
        ));
    }
}
