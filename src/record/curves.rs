//! `curves.csv`: every row of every run, joined with the keys that distinguish the runs.

use super::curve::{CURVE_COLUMNS, CurveColumns, JOINED, check_ascends};
use super::seed::{self, Seed};
use super::table::{self, checked};
use super::{CurveRow, Manifest, State};
use anyhow::{Context, Result, bail, ensure};
use csv::StringRecord;
use fathom_base::key::{nearest, short};
use fathom_base::{plain, write_atomically};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// One run with its curve.
#[derive(Clone, Debug, PartialEq)]
pub struct RunCurve {
    /// The run's name.
    pub id: String,
    /// The values, as text, of the keys that distinguish it from other runs, without the seed. A key
    /// goes by its short name (`family`, `depth`, `lr`, …), or by its full one where two share that.
    pub axes: BTreeMap<String, String>,
    /// Full dotted names of these keys by the names in `axes`, where they differ.
    pub keys: BTreeMap<String, String>,
    /// Its seed.
    pub seed: Seed,
    /// How it ended.
    pub state: State,
    /// Its rows, by step.
    pub rows: Vec<CurveRow>,
}

impl RunCurve {
    /// The curve of a run with the values from its manifest.
    pub fn new(manifest: &Manifest, state: State, rows: Vec<CurveRow>) -> Self {
        let mut run = Self {
            id: manifest.id.clone(),
            axes: BTreeMap::new(),
            keys: BTreeMap::new(),
            seed: seed::seed(&manifest.config).unwrap_or_default(),
            state,
            rows,
        };
        run.axes.extend(manifest.arm.iter().map(|arm| ("arm".to_owned(), arm.clone())));
        let always = ["network.family", "network.depth"].map(str::to_owned);
        for key in always.iter().chain(&manifest.axes).filter(|key| *key != "seed") {
            if let Some(value) = manifest.config.get(key) {
                run.add(key, plain(value));
            }
        }
        run
    }

    /// A run that has not begun, of which only the configuration is known; `axes` are the names of the
    /// keys that distinguish the other runs.
    pub fn planned(
        id: &str,
        arm: Option<&String>,
        axes: &BTreeSet<String>,
        config: &BTreeMap<String, Value>,
    ) -> Self {
        let mut run = Self {
            id: id.into(),
            axes: BTreeMap::new(),
            keys: BTreeMap::new(),
            seed: seed::seed(config).unwrap_or_default(),
            state: State::Pending,
            rows: Vec::new(),
        };
        run.axes.extend(arm.map(|arm| ("arm".to_owned(), arm.clone())));
        for (key, value) in config.iter().filter(|(key, _)| axes.contains(short(key))) {
            run.add(key, plain(value));
        }
        run
    }

    /// Adds an axis. Of keys that share a short name one has it, whatever their order: the key that is
    /// no longer than it, else the first by letter.
    pub(super) fn add(&mut self, key: &str, value: String) {
        let name = short(key);
        let holder = self.keys.get(name).cloned().unwrap_or_else(|| name.to_owned());
        if let Some(other) = self.axes.get(name).filter(|_| holder != key).cloned() {
            if holder == name || (key != name && *holder < *key) {
                self.axes.insert(key.to_owned(), value);
                return;
            }
            self.axes.insert(holder, other);
            self.keys.remove(name);
        }
        if name != key {
            self.keys.insert(name.to_owned(), key.to_owned());
        }
        self.axes.insert(name.to_owned(), value);
    }

    /// The value of an axis as a number.
    pub fn number(&self, axis: &str) -> Option<f64> {
        self.axes.get(axis)?.parse().ok()
    }
}

/// All runs of a sweep.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SweepCurves {
    /// Sorted by id, runs that were planned only last.
    pub runs: Vec<RunCurve>,
}

/// Section that `curves.csv` gives to a key without one where a column has the same name.
const CONFIG: &str = "config.";

impl SweepCurves {
    /// Names of the axes that any run has, `arm`, `family` and `depth` first.
    pub fn axes(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.runs.iter().flat_map(|run| run.axes.keys().cloned()).collect();
        names.sort_by_key(|name| (name != "arm", name != "family", name != "depth", name.clone()));
        names.dedup();
        names
    }

    /// Checks that any run has been evaluated; `root` is the directory of the runs.
    ///
    /// # Errors
    /// When none has, as none has begun.
    pub fn check_evaluated(&self, root: &Path) -> Result<()> {
        let has_rows = self.runs.iter().any(|run| !run.rows.is_empty());
        ensure!(has_rows, "{}: no run has begun and been evaluated yet", root.display());
        Ok(())
    }

    /// Names of the columns that are not fathom's own and that any run has.
    pub fn extra_columns(&self) -> BTreeSet<String> {
        let rows = self.runs.iter().flat_map(|run| &run.rows);
        rows.flat_map(|row| row.extra.keys()).cloned().collect()
    }

    /// [`check_column`] with the extra columns of these runs.
    ///
    /// # Errors
    /// When the column is unknown.
    pub fn check_column(&self, column: &str, own: &[&str]) -> Result<()> {
        check_column(column, own, &self.extra_columns())
    }

    /// Writes `curves.csv`: `run_id`, the axes by their full dotted names, `seed`, `state`, and the
    /// columns of `curve.csv`. No name occurs twice.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let (axes, extra) = (self.axes(), self.extra_columns());
        let measured = || CURVE_COLUMNS.iter().copied().chain(extra.iter().map(String::as_str));
        let full_name = |axis: &String| {
            let key = self.runs.iter().find_map(|run| run.keys.get(axis)).unwrap_or(axis);
            let is_taken = key != "arm" && JOINED.into_iter().chain(measured()).any(|it| it == key);
            if is_taken { format!("{CONFIG}{key}") } else { key.clone() }
        };
        let names: Vec<String> = axes.iter().map(full_name).collect();
        let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
        let fixed = ["run_id"].into_iter().chain(names.iter().map(String::as_str));
        writer.write_record(fixed.chain(["seed", "state"]).chain(measured()))?;
        for run in &self.runs {
            let value = |axis| run.axes.get(axis).map_or("", String::as_str);
            let values: Vec<&str> = axes.iter().map(value).collect();
            for row in &run.rows {
                let others: Vec<Option<f64>> =
                    extra.iter().map(|column| row.extra.get(column).copied()).collect();
                writer.serialize((&run.id, &values, run.seed, run.state, row, others))?;
            }
        }
        write_atomically(path, &writer.into_inner().context("in memory")?)
    }

    /// Reads `curves.csv`, also that of earlier versions, in which axes go by their short names. The
    /// columns from `run_id` to `seed` are the axes; those after `state` are read as in `curve.csv`.
    ///
    /// # Errors
    /// The errors of [`super::CurveReader::read`], and when one of the joined columns is missing, the rows of a run
    /// differ in them, or the last line has no line end: with file and line.
    pub fn read(path: &Path) -> Result<Self> {
        let text = table::text(path)?;
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let mut runs = || -> Result<Vec<RunCurve>> {
            let header = reader.headers()?.clone();
            let joined = Joined::new(&header)?;
            let mut columns = CurveColumns::new(&header, joined.seed + 2)?;
            let mut runs: Vec<RunCurve> = Vec::new();
            let mut firsts: Vec<StringRecord> = Vec::new();
            let mut places = BTreeMap::new();
            for record in reader.records() {
                let record = checked(record)?;
                let row = columns.row(&record)?;
                let place = match places.get(&record[0]) {
                    Some(place) => *place,
                    None => {
                        places.insert(record[0].to_owned(), runs.len());
                        runs.push(joined.run(&record)?);
                        firsts.push(record.clone());
                        runs.len() - 1
                    }
                };
                joined.check_same_run(&firsts[place], &record)?;
                let rows = &mut runs[place].rows;
                check_ascends(rows, &row, &record)?;
                rows.push(row);
            }
            columns.finish()?;
            // The file is written in one go, so that nothing but a cut leaves its last number without an end.
            ensure!(
                text.ends_with(['\n', '\r']),
                "line {}: the last line has no line end, as of a file that was cut",
                text.lines().count()
            );
            Ok(runs)
        };
        Ok(Self { runs: runs().with_context(|| path.display().to_string())? })
    }
}

/// The columns of `curves.csv` that come before those of `curve.csv`.
struct Joined<'a> {
    header: &'a StringRecord,
    /// Position of `seed`, which `state` follows.
    seed: usize,
}

impl<'a> Joined<'a> {
    fn new(header: &'a StringRecord) -> Result<Self> {
        ensure!(header.get(0) == Some("run_id"), "line 1: column 1 should be `run_id`");
        let Some(seed) = header.iter().position(|name| name == "seed") else {
            bail!("line 1: column `seed` is missing");
        };
        let state = header.get(seed + 1);
        ensure!(state == Some("state"), "line 1: column {} should be `state`", seed + 2);
        Ok(Self { header, seed })
    }

    /// A run without rows, from its first record.
    fn run(&self, record: &StringRecord) -> Result<RunCurve> {
        let line = table::line(record);
        let (seed, state) = (&record[self.seed], &record[self.seed + 1]);
        let mut run = RunCurve {
            id: record[0].to_owned(),
            axes: BTreeMap::new(),
            keys: BTreeMap::new(),
            seed: seed::parse(seed).with_context(|| {
                format!("line {line}: column `seed` has the value `{seed}`, expected an integer")
            })?,
            state: serde_json::from_value(state.into())
                .with_context(|| format!("line {line}: column `state` has the value `{state}`"))?,
            rows: Vec::new(),
        };
        for (name, value) in self.header.iter().zip(record).take(self.seed).skip(1) {
            if !value.is_empty() {
                run.add(name.strip_prefix(CONFIG).unwrap_or(name), value.to_owned());
            }
        }
        Ok(run)
    }

    /// Refuses a record with another seed, state or key than the first one of its run.
    fn check_same_run(&self, first: &StringRecord, record: &StringRecord) -> Result<()> {
        let cells = self.header.iter().zip(first.iter().zip(record)).take(self.seed + 2);
        let Some((name, (before, now))) = cells.into_iter().find(|(_, (a, b))| a != b) else {
            return Ok(());
        };
        let (line, run) = (table::line(record), &record[0]);
        bail!(
            "line {line}: column `{name}` has the value `{now}`, but `{before}` in the first row of {run} (line {})",
            table::line(first)
        )
    }
}

/// Checks that a column is one of `own` or of the `extra` ones.
///
/// # Errors
/// When it is neither, with the valid columns and the most similar of them.
pub fn check_column(column: &str, own: &[&str], extra: &BTreeSet<String>) -> Result<()> {
    let known = || own.iter().copied().chain(extra.iter().map(String::as_str));
    if known().any(|known| known == column) {
        return Ok(());
    }
    let hint = nearest(column, known()).map(|meant| format!("; did you mean {meant}?"));
    let list: Vec<&str> = known().collect();
    bail!("{column}: valid are {}{}", list.join(", "), hint.unwrap_or_default())
}

#[cfg(test)]
mod tests;
