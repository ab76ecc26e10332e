//! Smoke runs: a few updates of one run per distinct net, to test that an experiment works.

use super::{Run, Settings, fingerprint};
use anyhow::Result;
use serde_json::json;

/// Number of updates of a smoke run: on a GPU the fourth is recorded as a CUDA graph, and the fifth
/// replays it.
const ITERATIONS: u64 = 5;

/// The first run of every distinct net and initial depth, shortened to a few updates on a few images.
///
/// # Errors
/// If the settings of a shortened run contradict each other, which is a defect of this function.
pub fn smoke(runs: &[Run]) -> Result<Vec<Run>> {
    let mut short: Vec<Run> = Vec::new();
    for run in runs {
        let grows = |run: &Run| run.settings.training.grow.map(|grow| grow.from);
        let is_alike = |other: &Run| other.network == run.network && grows(other) == grows(run);
        if short.iter().any(is_alike) {
            continue;
        }
        let mut run = run.clone();
        let images = run.settings.training.batch.max(run.network.classes * 2);
        run.config.insert("training.iterations".into(), json!(ITERATIONS));
        run.config.insert("data.train".into(), json!(images));
        run.config.insert("data.test".into(), json!(run.network.classes * 2));
        run.config.insert("data.validation".into(), json!(0));
        // A condition to stop may need validation images, and would end nothing in a few updates.
        run.config.retain(|key, _| !key.starts_with("training.stop_when."));
        if run.settings.training.grow.is_some() {
            run.config.insert("training.grow.at".into(), json!(1));
        }
        run.settings = Settings::new(&run.config)?;
        // An id ends in the hash of the configuration.
        let name = run.id.rsplit_once('-').map_or(run.id.as_str(), |(name, _)| name);
        run.id = format!("smoke-{name}-{}", fingerprint(&run.config));
        short.push(run);
    }
    Ok(short)
}
