//! A few steps of one run per distinct net, to see that everything works.

use super::{Run, Settings};
use anyhow::{Result, anyhow};
use serde_json::json;

/// Updates of a smoke run.
const ITERATIONS: u64 = 3;

/// The first run of every distinct net, cut down to a few steps on a few images.
///
/// # Errors
/// When the shorter run does not go together any more, which would be a fault of this program.
pub fn smoke(runs: &[Run]) -> Result<Vec<Run>> {
    let mut short: Vec<Run> = Vec::new();
    for run in runs {
        if short.iter().any(|other| other.network == run.network) {
            continue;
        }
        let mut run = run.clone();
        let images = run.settings.training.batch.max(run.network.classes * 2);
        run.config.insert("training.iterations".into(), json!(ITERATIONS));
        run.config.insert("data.train".into(), json!(images));
        run.config.insert("data.test".into(), json!(run.network.classes * 2));
        run.config.insert("data.validation".into(), json!(0));
        run.settings =
            Settings::new(&run.config).map_err(|(key, message)| anyhow!("{key}: {message}"))?;
        run.id = format!("smoke-{}", run.id);
        short.push(run);
    }
    Ok(short)
}
