//! What is known of a run besides its curve: from its manifest, or where that was not kept, from
//! the experiment's resolved configurations.

use super::{Execution, Manifest, Resolved, Revision, SweepDir};
use anyhow::Result;
use serde_json::Value;
use std::collections::BTreeMap;

/// What a run is, and as far as it is known, how it was run and on what.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Provenance {
    /// The resolved configuration by dotted key.
    pub config: BTreeMap<String, Value>,
    /// The arm that it belongs to, where the experiment has arms.
    pub arm: Option<String>,
    /// What only a manifest says; absent of runs that have not begun, and where `runs/` was not
    /// kept.
    pub manifest: Option<Made>,
}

/// The part of a manifest that the configuration does not say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Made {
    /// Number of classes.
    pub classes: usize,
    /// SHA-256 of the data.
    pub data: String,
    /// Training images.
    pub train_images: usize,
    /// Trained parameters.
    pub parameters: u64,
    /// Multiply-adds of one image's forward pass.
    pub macs: u64,
    /// How it was run.
    pub execution: Execution,
    /// The program that ran it.
    pub revision: Revision,
}

impl Made {
    /// What guessing gives: the error in per cent of a column that ends with `_pct`, else the loss in
    /// nats of who gives every class the same chance. Absent where the classes are not known, and for
    /// what is neither.
    pub fn chance(&self, metric: &str) -> Option<f64> {
        let classes = self.classes as f64;
        match self.classes {
            0 => None,
            _ if metric.ends_with("_pct") => Some(100.0 * (1.0 - 1.0 / classes)),
            _ if metric.contains("loss") => Some(classes.ln()),
            _ => None,
        }
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
    /// What is known of every run that was planned or has begun, by id.
    ///
    /// # Errors
    /// When a file is damaged.
    pub fn facts(&self) -> Result<BTreeMap<String, Provenance>> {
        let mut facts = BTreeMap::new();
        if let Some(Resolved { runs, mut arms, .. }) = self.resolved()? {
            for (id, config) in runs {
                let arm = arms.remove(&id);
                facts.insert(id, Provenance { config, arm, manifest: None });
            }
        }
        if self.root().join("runs").is_dir() {
            for run in self.runs()? {
                let manifest = run.manifest()?;
                facts.insert(manifest.id.clone(), manifest.into());
            }
        }
        Ok(facts)
    }
}
