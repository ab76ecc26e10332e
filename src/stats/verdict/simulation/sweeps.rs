//! Simulated sweeps as the rows of their runs, whose claims are decided as those of a results directory.

use super::*;
use crate::claims::outcomes;
use crate::evidence::Evidence;
use fathom_record::{CurveRow, LayerRow, Made, Provenance, RunCurve, State};
use fathom_spec::{Claim, Contrast, Deciding, Experiment};
use std::path::Path;

const HEAD: &str = "
name = \"t\"
[data]
source = \"shapes\"
size = 8
[network]
family = \"plain\"
width = 4
[training]
iterations = 1_000_000
batch = 4
lr = 0.1
[evaluate]
layers = true
[sweep]
";

/// What a run leaves behind.
pub struct Run {
    pub state: State,
    pub rows: Vec<CurveRow>,
    pub layers: Vec<LayerRow>,
}

impl Run {
    /// A finished run with this training error.
    pub fn with_error(train_err_pct: f64) -> Self {
        let rows = vec![CurveRow { train_err_pct: Some(train_err_pct), ..CurveRow::default() }];
        Self { state: State::Done, rows, layers: Vec::new() }
    }

    /// A run whose training error falls from 90% to 10% after so many updates, if it may take as many.
    pub fn that_gets_there_after(updates: f64, last: u64) -> Self {
        let row = |step: u64, error: f64| CurveRow {
            step,
            train_err_pct: Some(error),
            ..CurveRow::default()
        };
        let time = updates.round() as u64;
        let end = if time <= last { row(time, 10.0) } else { row(last, 90.0) };
        Self { state: State::Done, rows: vec![row(0, 90.0), end], layers: Vec::new() }
    }

    /// Returns this run as one that diverged at its end.
    pub fn diverged(self) -> Self {
        Self { state: State::Diverged, ..self }
    }

    /// A finished run with these values of a column of the layers.
    pub fn with_layers(gradient_norms: Vec<f64>) -> Self {
        let row = |(place, norm): (u64, f64)| LayerRow {
            layer: place,
            name: format!("layer1.{place}.conv1"),
            gradient_norm: Some(norm),
            ..LayerRow::default()
        };
        let layers = (1..).zip(gradient_norms).map(row).collect();
        Self { layers, ..Self::with_error(0.0) }
    }
}

/// An experiment of several depths with one claim.
pub struct Sweeps {
    claims: Vec<(Claim, Contrast)>,
    deciding: Deciding,
    evidence: Evidence,
    /// Id and depth of each run, those of a seed together.
    runs: Vec<(String, u64)>,
}

impl Sweeps {
    /// `head` has keys that come before the tables.
    pub fn new(head: &str, depths: &[u64], seeds: usize, claim: &str) -> Self {
        let seeds: Vec<usize> = (0..seeds).collect();
        let text = format!(
            "{head}\n{HEAD}\"network.depth\" = {depths:?}\nseed = {seeds:?}\n[[claim]]\nname = \"c\"\n{claim}"
        );
        let experiment = Experiment::parse(Path::new("t.toml"), &text, &[]).unwrap();
        let (mut curves, mut provenance) = (BTreeMap::new(), BTreeMap::new());
        let mut runs = Vec::new();
        for run in &experiment.runs {
            let depth = run.config["network.depth"].as_u64().unwrap();
            runs.push((run.settings.seed, run.id.clone(), depth));
            let curve = RunCurve {
                id: run.id.clone(),
                axes: BTreeMap::new(),
                keys: BTreeMap::new(),
                seed: run.settings.seed.into(),
                state: State::Done,
                rows: Vec::new(),
            };
            curves.insert(run.id.clone(), curve);
            // The data of all runs are alike, so their checksums say nothing.
            let manifest = Some(Made { classes: 10, ..Made::default() });
            let fact = Provenance { config: run.config.clone(), arm: None, manifest };
            provenance.insert(run.id.clone(), fact);
        }
        runs.sort();
        Self {
            claims: experiment.claims,
            deciding: experiment.deciding,
            evidence: Evidence::new(curves, provenance),
            runs: runs.into_iter().map(|(_, id, depth)| (id, depth)).collect(),
        }
    }

    /// The share of sweeps in which the claim is supported, with runs of each depth that are drawn by `run`.
    pub fn supported(&mut self, mut run: impl FnMut(&mut Normal, u64) -> Run) -> f64 {
        share(SWEEPS, |normal| {
            for (id, depth) in &self.runs {
                let Run { state, rows, layers } = run(normal, *depth);
                self.evidence.replace(id, state, rows, layers);
            }
            outcomes(&self.claims, &self.deciding, &self.evidence)[0] == Outcome::Supported
        })
    }
}
