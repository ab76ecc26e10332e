//! A table of what papers say, and what the claims of experiments found about it.

use super::load;
use crate::plot::Shown;
use anyhow::{Context, Result};
use fathom_record::SweepDir;
use fathom_report as report;
use serde::Deserialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// A row of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Finding {
    /// The paper, as Markdown.
    paper: String,
    /// What it says.
    says: String,
    /// Results directory, relative to the text file.
    results: PathBuf,
    /// Name of a claim of its experiment.
    claim: String,
}

/// The table of a CSV file with the columns `paper`, `says`, `results` and `claim`; `home` is the folder of the text
/// file. A results directory that is not there yet has no verdict.
///
/// # Errors
/// When the file or results cannot be read, or an experiment has no such claim.
pub fn render(file: &Path, home: &Path) -> Result<String> {
    let context = || format!("cannot read {}", file.display());
    let mut reader = csv::Reader::from_path(file).with_context(context)?;
    let findings: Vec<Finding> =
        reader.deserialize().collect::<csv::Result<_>>().with_context(context)?;
    let mut reports = HashMap::new();
    let mut rows = Vec::new();
    for Finding { paper, says, results, claim } in &findings {
        let name = results.file_name().unwrap_or_default().to_string_lossy();
        if !home.join(results).exists() {
            let here = format!("{name}: {claim}");
            rows.push(vec![paper.clone(), says.clone(), here, "not run yet".into(), String::new()]);
            continue;
        }
        let here = format!("[{name}]({}): {claim}", results.display());
        if !reports.contains_key(results) {
            reports.insert(results, load(&SweepDir::new(home.join(results)), &Shown::default())?);
        }
        let verdicts = &reports[results].verdicts;
        let verdict = verdicts.iter().find(|verdict| verdict.name == *claim);
        let verdict = verdict.with_context(|| {
            let known: Vec<String> =
                verdicts.iter().map(|verdict| format!("\"{}\"", verdict.name)).collect();
            format!(
                "{}: {} has no claim \"{claim}\", but {}",
                file.display(),
                results.display(),
                known.join(", ")
            )
        })?;
        let outcome = format!("**{}**", verdict.outcome);
        rows.push(vec![paper.clone(), says.clone(), here, outcome, report::found(verdict)]);
    }
    Ok(report::table(&["paper", "it says", "claim here", "verdict", "found"], &rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_have_verdicts_where_there_are_results_and_unknown_claims_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let results = concat!(env!("CARGO_MANIFEST_DIR"), "/../../results/cifar10-small");
        let file = folder.path().join("findings.csv");
        let table = |claim: &str| {
            let rows = format!("P,plain nets degrade,{results},{claim}\nQ,other,absent,some\n");
            std::fs::write(&file, format!("paper,says,results,claim\n{rows}")).unwrap();
            render(&file, folder.path())
        };
        let found = table("deeper plain nets train worse").unwrap();
        let rows: Vec<&str> = found.lines().collect();
        assert!(rows[2].contains("| **supported** | Effect 49.66, "), "{found}");
        assert!(rows[3].starts_with("| Q | other | absent: some | not run yet |"), "{found}");
        let error = table("no such").unwrap_err().to_string();
        assert!(
            error.contains("has no claim \"no such\", but \"deeper plain nets train worse\""),
            "{error}"
        );
    }
}
