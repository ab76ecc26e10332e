//! A table of what papers say, and what the claims of experiments found about it.

use super::load;
use crate::plot::Shown;
use anyhow::{Context, Result, ensure};
use fathom_record::SweepDir;
use fathom_report::{self as report, Report};
use fathom_spec::{Claim, Experiment};
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
/// file. A claim of `experiments/NAME.toml`, beside the folder of `results/NAME`, that has no results yet has no
/// verdict. One about results of an earlier form of this file is marked.
///
/// # Errors
/// When the file or results cannot be read, or an experiment has no such claim.
pub fn render(file: &Path, home: &Path) -> Result<String> {
    let context = || format!("cannot read {}: paper,says,results,claim", file.display());
    let mut reader = csv::Reader::from_path(file).with_context(context)?;
    let findings: Vec<Finding> =
        reader.deserialize().collect::<csv::Result<_>>().with_context(context)?;
    let mut reports = HashMap::new();
    let mut rows = Vec::new();
    for Finding { paper, says, results, claim } in &findings {
        let name = results.file_name().unwrap_or_default().to_string_lossy();
        let directory = SweepDir::new(home.join(results));
        let experiment = experiment(directory.root(), &name);
        let lacks = |known: Vec<&str>| {
            let known: Vec<String> = known.iter().map(|name| format!("\"{name}\"")).collect();
            format!(
                "{}: {name} has no claim \"{claim}\"; valid: {}",
                file.display(),
                known.join(", ")
            )
        };
        if !directory.root().exists() {
            ensure!(
                experiment.exists(),
                "{}: neither {} nor {} exists",
                file.display(),
                directory.root().display(),
                experiment.display()
            );
            let claims = Experiment::load(&experiment, &[])?.claims;
            let known: Vec<&str> = claims.iter().map(|(claim, _)| claim.name.as_str()).collect();
            ensure!(known.contains(&claim.as_str()), lacks(known));
            let here = format!("{name}: {claim}");
            let verdict = "not run yet".to_owned();
            rows.push(vec![
                paper.clone(),
                says.clone(),
                here,
                verdict,
                String::new(),
                String::new(),
            ]);
            continue;
        }
        if !reports.contains_key(results) {
            let is_earlier = is_earlier(&directory.experiment(), &experiment);
            reports.insert(results, (load(&directory, &Shown::default())?, is_earlier));
        }
        let (Report { verdicts, .. }, is_earlier) = &reports[results];
        let verdict =
            verdicts.iter().find(|verdict| verdict.name == *claim).with_context(|| {
                lacks(verdicts.iter().map(|verdict| verdict.name.as_str()).collect())
            })?;
        let earlier = if *is_earlier { ", in an earlier form of the experiment" } else { "" };
        rows.push(vec![
            paper.clone(),
            says.clone(),
            format!("{}: {claim}", report::link(&name, results)),
            format!("**{}**{earlier}", verdict.outcome),
            verdict.statement.clone(),
            report::found(verdict),
        ]);
    }
    let headers = ["paper", "it says", "claim here", "verdict", "in numbers", "found"];
    Ok(report::table(&headers, &rows))
}

/// The experiment file that belongs to results: `experiments/NAME.toml` beside the folder of `results/NAME`.
fn experiment(results: &Path, name: &str) -> PathBuf {
    // The results may not exist, so that a path through them would lead nowhere.
    let beside = results.parent().and_then(Path::parent).unwrap_or(Path::new(""));
    beside.join("experiments").join(format!("{name}.toml"))
}

/// Whether the experiment file with which results were made has other runs or claims than the present one.
fn is_earlier(made: &Path, present: &Path) -> bool {
    let load = |path: &Path| {
        let experiment = Experiment::load(path, &[]).ok()?;
        let mut claims: Vec<Claim> =
            experiment.claims.into_iter().map(|(claim, _)| claim).collect();
        claims.iter_mut().for_each(|claim| claim.place.clear());
        Some((Vec::from_iter(experiment.configs.into_keys()), claims, experiment.deciding))
    };
    load(present).is_some_and(|present| load(made) != Some(present))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_have_verdicts_where_there_are_results_and_what_does_not_exist_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let results = root.join("results/cifar10-small");
        let file = folder.path().join("findings.csv");
        let table = |rows: &str| {
            std::fs::write(&file, format!("paper,says,results,claim\n{rows}")).unwrap();
            render(&file, folder.path())
        };
        let row = |claim: &str| format!("P,plain nets degrade,{},{claim}\n", results.display());
        let found = table(&row("deeper plain nets train worse")).unwrap();
        let verdict = "| **supported** | train_err_pct of plain 44 exceeds that of plain 8 by at least 5 points | Effect 49.66, ";
        assert!(found.contains(verdict), "{found}");

        let error = table(&row("no such")).unwrap_err().to_string();
        assert!(
            error.ends_with("cifar10-small has no claim \"no such\"; valid: \"deeper plain nets train worse\", \
                             \"deeper plain nets test worse\", \"deeper residual nets train no worse\", \
                             \"shortcuts make the difference at 44 layers\""),
            "{error}"
        );
        let error = table("Q,other,results/absent,some\n").unwrap_err().to_string();
        assert!(
            error.contains("neither ") && error.contains("experiments/absent.toml exists"),
            "{error}"
        );

        // An experiment that has not run has claims too.
        let text = std::fs::read_to_string(results.join("experiment.toml")).unwrap();
        std::fs::create_dir_all(folder.path().join("experiments")).unwrap();
        std::fs::create_dir_all(folder.path().join("results")).unwrap();
        std::fs::write(folder.path().join("experiments/absent.toml"), &text).unwrap();
        let found = table("Q,other,results/absent,deeper plain nets test worse\n").unwrap();
        let expected = "| Q | other | absent: deeper plain nets test worse | not run yet |  |  |";
        assert!(found.contains(expected), "{found}");
        let error = table("Q,other,results/absent,some\n").unwrap_err().to_string();
        assert!(error.contains("absent has no claim \"some\"; valid: \"deeper plain"), "{error}");
    }

    #[test]
    fn results_of_other_runs_or_claims_than_those_of_the_present_file_are_of_an_earlier_form() {
        let folder = tempfile::tempdir().unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let made = root.join("results/cifar10-small/experiment.toml");
        let text = std::fs::read_to_string(&made).unwrap();
        let present = folder.path().join("x.toml");
        for (text, expected) in [
            (format!("# Another comment.\n{text}"), false),
            (text.replace("by_at_least = 5.0", "by_at_least = 4.0"), true),
            (text.replace("seed = [0", "seed = [10"), true),
        ] {
            std::fs::write(&present, text).unwrap();
            assert_eq!(is_earlier(&made, &present), expected);
        }
        assert!(!is_earlier(&made, &folder.path().join("none.toml")));
    }
}
