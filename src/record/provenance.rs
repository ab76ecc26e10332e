//! Facts about a run that are not in its curve: from its manifest, or from the resolved configurations
//! of the experiment where the manifest was not kept.

use super::{Execution, Manifest, Metric, Resolved, Revision, SweepDir, Unit};
use anyhow::Result;
use serde_json::Value;
use std::collections::BTreeMap;

/// Configuration of a run and, where they are known, the circumstances under which it was trained.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Provenance {
    /// Resolved configuration by dotted key.
    pub config: BTreeMap<String, Value>,
    /// Arm of the run, where the experiment has arms.
    pub arm: Option<String>,
    /// Facts from the manifest; absent for runs that have not begun, and where `runs/` was not kept.
    pub manifest: Option<Made>,
}

/// The facts of a manifest that are not in the configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Made {
    /// Number of classes.
    pub classes: usize,
    /// SHA-256 of the data, in hexadecimal.
    pub data: String,
    /// Number of training images.
    pub train_images: usize,
    /// Number of trained parameters.
    pub parameters: u64,
    /// Multiply-adds of the forward pass of one image.
    pub macs: u64,
    /// Device, threads and libraries.
    pub execution: Execution,
    /// Version of the program that trained it.
    pub revision: Revision,
}

impl Made {
    /// Chance level of a metric, the value for uniform random guesses: 100 (1 − 1/k) for errors in per
    /// cent and ln k for losses in nats, with k classes. `None` if the number of classes is unknown, and
    /// for columns that are not fathom's own.
    pub fn chance(&self, column: &str) -> Option<f64> {
        let classes = Some(self.classes as f64).filter(|classes| *classes > 0.0)?;
        Some(match Metric::named(column)?.unit {
            Unit::PerCent => 100.0 * (1.0 - 1.0 / classes),
            Unit::Nats => classes.ln(),
        })
    }
}

impl From<Manifest> for Provenance {
    fn from(manifest: Manifest) -> Self {
        let Manifest { config, arm, execution, revision, data, parameters, macs, .. } = manifest;
        let (classes, train_images, data) = (data.classes, data.train, data.sha256);
        let made = Made { classes, data, train_images, parameters, macs, execution, revision };
        Self { config, arm, manifest: Some(made) }
    }
}

impl SweepDir {
    /// The provenance of every run that was planned or has begun, by id.
    ///
    /// # Errors
    /// When a file is damaged.
    pub fn provenance(&self) -> Result<BTreeMap<String, Provenance>> {
        let mut provenance = BTreeMap::new();
        if let Some(Resolved { runs, mut arms, .. }) = self.resolved()? {
            for (id, config) in runs {
                let arm = arms.remove(&id);
                provenance.insert(id, Provenance { config, arm, manifest: None });
            }
        }
        if self.root().join("runs").is_dir() {
            for run in self.runs()? {
                let manifest = run.manifest()?;
                provenance.insert(manifest.id.clone(), manifest.into());
            }
        }
        Ok(provenance)
    }
}
