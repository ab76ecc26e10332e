//! `curves.csv`: every row of every run, with the columns that tell runs apart joined in.

use super::curve::{CURVE_COLUMNS, CurveRow, check_header, check_schema};
use super::{Manifest, State};
use anyhow::{Context, Result, bail};
use fathom_base::key::short;
use fathom_base::write_atomically;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// One run with its curve.
#[derive(Clone, Debug, PartialEq)]
pub struct RunCurve {
    /// The run's name.
    pub id: String,
    /// What tells it apart, by short key (`family`, `depth`, `lr`, …, without the seed), as text.
    pub axes: BTreeMap<String, String>,
    /// Its seed.
    pub seed: u64,
    /// How it ended.
    pub state: State,
    /// Its rows, by step.
    pub rows: Vec<CurveRow>,
}

impl RunCurve {
    /// The curve of a run with what its manifest says of it.
    pub fn new(manifest: &Manifest, state: State, rows: Vec<CurveRow>) -> Self {
        let mut axes = BTreeMap::new();
        if let Some(arm) = &manifest.arm {
            axes.insert("arm".to_owned(), arm.clone());
        }
        let always = ["network.family", "network.depth"].map(str::to_owned);
        for key in always.iter().chain(&manifest.axes).filter(|key| *key != "seed") {
            if let Some(value) = manifest.config.get(key) {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                axes.insert(short(key).to_owned(), text);
            }
        }
        let seed = manifest.config.get("seed").and_then(serde_json::Value::as_u64).unwrap_or(0);
        Self { id: manifest.id.clone(), axes, seed, state, rows }
    }

    /// A run that has not begun, of which only its configuration is known; `axes` are the short keys
    /// that tell others apart.
    pub fn planned(
        id: &str,
        arm: Option<&String>,
        axes: &BTreeSet<String>,
        config: &BTreeMap<String, serde_json::Value>,
    ) -> Self {
        let mut found = BTreeMap::new();
        if let Some(arm) = arm {
            found.insert("arm".to_owned(), arm.clone());
        }
        for (key, value) in config.iter().filter(|(key, _)| axes.contains(short(key))) {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            found.insert(short(key).to_owned(), text);
        }
        let seed = config.get("seed").and_then(serde_json::Value::as_u64).unwrap_or(0);
        Self { id: id.into(), axes: found, seed, state: State::Pending, rows: Vec::new() }
    }

    /// An axis as a number.
    pub fn number(&self, axis: &str) -> Option<f64> {
        self.axes.get(axis)?.parse().ok()
    }
}

/// All runs of a sweep.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SweepCurves {
    /// By id.
    pub runs: Vec<RunCurve>,
}

impl SweepCurves {
    /// Names of the axes that any run has, `family` and `depth` first.
    pub fn axes(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.runs.iter().flat_map(|run| run.axes.keys().cloned()).collect();
        names.sort_by_key(|name| (name != "arm", name != "family", name != "depth", name.clone()));
        names.dedup();
        names
    }

    /// Writes `curves.csv`.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&self, path: &Path) -> Result<()> {
        let axes = self.axes();
        let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
        let fixed = ["run_id"].into_iter().chain(axes.iter().map(String::as_str));
        writer.write_record(fixed.chain(["seed", "state"]).chain(CURVE_COLUMNS))?;
        for run in &self.runs {
            let value = |axis| run.axes.get(axis).map_or("", String::as_str);
            let values: Vec<&str> = axes.iter().map(value).collect();
            for row in &run.rows {
                writer.serialize((&run.id, &values, run.seed, run.state, row))?;
            }
        }
        write_atomically(path, &writer.into_inner().context("in memory")?)
    }

    /// Reads `curves.csv`.
    ///
    /// # Errors
    /// Missing, extra or reordered columns, a value that does not parse, a later schema: each with
    /// file and line.
    pub fn read(path: &Path) -> Result<Self> {
        #[derive(Deserialize)]
        struct Fixed {
            seed: u64,
            state: State,
        }
        let mut reader = csv::Reader::from_path(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let header = reader.headers()?.clone();
        let Some(seed) = header.iter().position(|name| name == "seed") else {
            bail!("{}, line 1: column `seed` is missing", path.display());
        };
        if header.get(0) != Some("run_id") || seed == 0 {
            bail!("{}, line 1: column 1 should be `run_id`", path.display());
        }
        check_header(path, header.iter().skip(seed + 2), &CURVE_COLUMNS)?;
        let mut runs: Vec<RunCurve> = Vec::new();
        let mut places = BTreeMap::new();
        for record in reader.records() {
            let record = record.with_context(|| format!("in {}", path.display()))?;
            let line = record.position().map_or(0, csv::Position::line);
            let context = || format!("{}, line {line}", path.display());
            let fixed: Fixed = record.deserialize(Some(&header)).with_context(context)?;
            let row: csv::StringRecord = record.iter().skip(seed + 2).collect();
            let row: CurveRow = row.deserialize(None).with_context(context)?;
            check_schema(path, row.schema)?;
            let place = *places.entry(record[0].to_owned()).or_insert_with(|| {
                let axes = header.iter().zip(record.iter()).take(seed).skip(1);
                runs.push(RunCurve {
                    id: record[0].to_owned(),
                    axes: axes
                        .filter(|(_, value)| !value.is_empty())
                        .map(|(name, value)| (name.to_owned(), value.to_owned()))
                        .collect(),
                    seed: fixed.seed,
                    state: fixed.state,
                    rows: Vec::new(),
                });
                runs.len() - 1
            });
            runs[place].rows.push(row);
        }
        Ok(Self { runs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_survive_the_file() {
        let run = |id: &str, depth: &str, seed| RunCurve {
            id: id.into(),
            axes: [("family", "plain"), ("depth", depth)]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            seed,
            state: State::Diverged,
            rows: vec![
                CurveRow { schema: 1, lr: 0.1, train_err_pct: Some(90.0), ..CurveRow::default() },
                CurveRow { schema: 1, step: 50, ..CurveRow::default() },
            ],
        };
        let curves = SweepCurves { runs: vec![run("a", "8", 0), run("b", "44", 1)] };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("curves.csv");
        curves.write(&path).unwrap();
        assert_eq!(SweepCurves::read(&path).unwrap(), curves);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("run_id,family,depth,seed,state,schema,step,"), "{text}");

        std::fs::write(&path, text.replacen(",90.0,", ",ninety,", 1)).unwrap();
        let message = format!("{:#}", SweepCurves::read(&path).unwrap_err());
        assert!(message.contains("curves.csv, line 2"), "{message}");
    }
}
