//! Longer runs that begin where finished shorter ones end.

use anyhow::{Context, Result, bail};
use fathom_base::write_atomically;
use fathom_record::{RunDir, SweepDir};
use fathom_spec::{Config, Run, Schedule, Settings, completed};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The keys in which a run and a shorter one may differ.
const OF_LENGTH: [&str; 2] = ["training.iterations", "training.schedule.at"];

/// Lets runs that have not begun begin where the longest run of `shorter` ends that differs from them in length alone
/// and made every update with the same learning rate. Curves and states of these runs are copied, so the worker
/// resumes from them. Returns a sentence for each of the runs.
///
/// # Errors
/// When a run that has not begun has no such shorter run, with the reason; nothing is copied then.
pub fn begin_from(runs: &[Run], directory: &SweepDir, shorter: &SweepDir) -> Result<Vec<String>> {
    let candidates = candidates(shorter)?;
    // A finished run may have lost its weights.
    let has_not_begun = |run: &&Run| {
        let run = directory.run(&run.id);
        !run.checkpoint().exists() && !run.status().is_ok_and(|status| status.state.is_final())
    };
    let pairs = runs.iter().filter(has_not_begun).map(|run| {
        let fits = candidates.iter().filter(|candidate| candidate.unfit(run).is_none());
        match fits.max_by_key(|candidate| candidate.iterations()) {
            Some(found) => Ok((run, found)),
            None => bail!("{}: {}", run.id, why_none(run, &candidates, shorter)),
        }
    });
    let pairs = pairs.collect::<Result<Vec<_>>>()?;
    let copied = pairs.into_iter().map(|(run, found)| {
        found.copy(&directory.run(&run.id))?;
        Ok(format!(
            "{} begins after the {} updates of {}",
            run.id,
            found.iterations(),
            found.run.id()
        ))
    });
    copied.collect()
}

/// A finished run.
struct Candidate {
    run: RunDir,
    config: Config,
    settings: Settings,
}

/// The finished runs of a results directory.
fn candidates(shorter: &SweepDir) -> Result<Vec<Candidate>> {
    let mut found = Vec::new();
    for run in shorter.runs()? {
        let config = run.manifest()?.config;
        let settings = Settings::new(&config)
            .map_err(|error| anyhow::anyhow!("{}: {error}", run.root().display()))?;
        found.push(Candidate { run, config, settings });
    }
    Ok(found)
}

impl Candidate {
    fn iterations(&self) -> u64 {
        self.settings.training.iterations
    }

    /// Why a run cannot begin where this one ends; `None` if it can.
    fn unfit(&self, longer: &Run) -> Option<String> {
        let differing = differing(&self.config, &longer.config);
        if !differing.is_empty() {
            return Some(format!("differs in {}", differing.join(", ")));
        }
        let last = self.iterations();
        if last >= longer.settings.training.iterations {
            return Some(format!("has {last} updates, which is not less"));
        }
        let steps = |schedule: &Schedule| -> Option<Vec<u64>> {
            match schedule {
                Schedule::Constant => Some(Vec::new()),
                Schedule::Step { at, .. } => {
                    Some(at.iter().copied().filter(|step| *step < last).collect())
                }
                Schedule::Cosine => None,
            }
        };
        match (steps(&self.settings.training.schedule), steps(&longer.settings.training.schedule)) {
            (Some(own), Some(others)) if own == others => {}
            (Some(_), Some(_)) => {
                return Some(format!("training.schedule.at differs below {last} updates"));
            }
            _ => {
                return Some(
                    "the rate of a cosine schedule depends on the number of updates".into(),
                );
            }
        }
        (!self.run.state().exists()).then(|| {
            format!(
                "{} does not exist: finish the run with --keep-state",
                self.run.state().display()
            )
        })
    }

    /// Copies what the longer run needs to begin.
    fn copy(&self, longer: &RunDir) -> Result<()> {
        longer.create()?;
        // The state comes last: with it, the run has begun.
        let files = [
            (self.run.curve_path(), longer.curve_path()),
            (self.run.layers_path(), longer.layers_path()),
            (self.run.best_validation(), longer.best_validation()),
            (self.run.state(), longer.checkpoint()),
        ];
        for (from, to) in files.iter().filter(|(from, _)| from.exists()) {
            copy(from, to)?;
        }
        Ok(())
    }
}

/// The keys in which two configurations differ in more than length.
fn differing(one: &Config, other: &Config) -> Vec<String> {
    let (one, other) = (completed(one), completed(other));
    let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let is_meant =
        |key: &&String| !OF_LENGTH.contains(&key.as_str()) && one.get(*key) != other.get(*key);
    keys.into_iter().filter(is_meant).cloned().collect()
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    write_atomically(to, &bytes)
}

/// Why no shorter run fits: the reason of the one that differs in the fewest keys.
fn why_none(run: &Run, candidates: &[Candidate], shorter: &SweepDir) -> String {
    let nearest = candidates.iter().min_by_key(|other| differing(&other.config, &run.config).len());
    match nearest {
        None => format!("{} has no runs", shorter.root().display()),
        Some(nearest) => {
            let why = nearest.unfit(run).unwrap_or_default();
            format!("no shorter run to begin from; the nearest, {}, {why}", nearest.run.id())
        }
    }
}
