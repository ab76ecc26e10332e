//! Comparison of two results directories: which runs both have, and where their curves differ.

use super::Interval;
use anyhow::Result;
use fathom_base::mean;
use fathom_record::{
    CurveRow, Made, Provenance, RunCurve, SweepDir, check_column, metric_columns,
    natural_order_of_parts,
};
use fathom_spec::{Changes, changes, fingerprint};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Two results directories, whose runs are matched by configuration.
#[derive(Clone, Debug)]
pub struct Comparison {
    a: Side,
    b: Side,
}

/// The runs of one directory, by the fingerprint of their configuration.
#[derive(Clone, Debug)]
struct Side {
    runs: BTreeMap<String, (RunCurve, Provenance)>,
}

/// Runs that only one directory has.
#[derive(Clone, Debug, PartialEq)]
pub struct Unmatched {
    /// Ids of the runs that only the first directory has.
    pub only_a: Vec<String>,
    /// Ids of the runs that only the second directory has.
    pub only_b: Vec<String>,
    /// The keys in which they differ, if both directories have such runs.
    pub changes: Option<Changes>,
}

/// The seeds of one configuration in both directories. Differences are b − a, paired by seed.
#[derive(Clone, Debug, PartialEq)]
pub struct ComparedGroup {
    /// Label of the configuration.
    pub label: String,
    /// Number of runs that both directories have.
    pub runs: usize,
    /// Number of these runs whose curves are equal but for the clock.
    pub equal: usize,
    /// First step at which any curves differ.
    pub first_step: Option<u64>,
    /// Mean of the final metric in the first directory.
    pub mean_a: Option<f64>,
    /// Mean of the final metric in the second directory.
    pub mean_b: Option<f64>,
    /// Mean difference of the final metric.
    pub difference: Option<f64>,
    /// 95% interval of the difference; absent for fewer than two seeds.
    pub interval: Option<Interval>,
    /// Whether the interval excludes zero; absent if one seed differs and there is no interval.
    pub beyond_noise: Option<bool>,
}

/// A fact on how the runs of two directories were made, with its different values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutionDifference {
    /// Name of the fact, such as `libtorch`.
    pub fact: &'static str,
    /// Values in the first directory.
    pub a: Vec<String>,
    /// Values in the second directory.
    pub b: Vec<String>,
}

/// A fact on how a run was made, as text.
type Fact = fn(&Made) -> String;

impl Side {
    fn load(directory: &SweepDir) -> Result<Self> {
        let provenance = directory.provenance()?;
        let curves = directory.load()?;
        curves.check_evaluated(directory.root())?;
        let mut runs = BTreeMap::new();
        for run in curves.runs {
            let provenance = provenance.get(&run.id).cloned().unwrap_or_default();
            // Without a configuration the id, which ends with its hash, serves instead. With one, keys
            // that later versions added do not count where they have their defaults.
            let key = match provenance.config.is_empty() {
                true => run.id.clone(),
                // Equal configurations in several arms are runs of their own.
                false => {
                    [fingerprint(&provenance.config), provenance.arm.clone().unwrap_or_default()]
                        .concat()
                }
            };
            runs.insert(key, (run, provenance));
        }
        Ok(Self { runs })
    }

    fn made(&self) -> impl Iterator<Item = &Made> {
        self.runs.values().filter_map(|(_, provenance)| provenance.manifest.as_ref())
    }

    /// Configurations by run id of the runs that `is_wanted`.
    fn configs(&self, is_wanted: impl Fn(&str) -> bool) -> BTreeMap<String, fathom_spec::Config> {
        let wanted = self.runs.iter().filter(|(key, _)| is_wanted(key));
        wanted.map(|(_, (run, provenance))| (run.id.clone(), provenance.config.clone())).collect()
    }
}

impl Comparison {
    /// Reads both directories.
    ///
    /// # Errors
    /// When one of them is damaged, or none of its runs has begun.
    pub fn load(a: &Path, b: &Path) -> Result<Self> {
        let [a, b] = [a, b].map(|root| Side::load(&SweepDir::new(root)));
        Ok(Self { a: a?, b: b? })
    }

    /// Checks that `metric` is a metric of fathom's own, or a column of a curve in either directory.
    ///
    /// # Errors
    /// When it is neither, with the valid ones.
    pub fn check_metric(&self, metric: &str) -> Result<()> {
        let runs = self.a.runs.values().chain(self.b.runs.values());
        let rows = runs.flat_map(|(run, _)| &run.rows);
        let extra = rows.flat_map(|row| row.extra.keys()).cloned().collect();
        check_column(metric, &metric_columns().collect::<Vec<_>>(), &extra)
    }

    /// Number of runs that both directories have.
    pub fn common(&self) -> usize {
        self.common_keys().count()
    }

    /// Number of runs that both directories have with different curves.
    pub fn differing(&self) -> usize {
        self.common_keys().filter(|key| self.first_difference(key).is_some()).count()
    }

    fn common_keys(&self) -> impl Iterator<Item = &String> {
        self.a.runs.keys().filter(|key| self.b.runs.contains_key(*key))
    }

    /// The runs that only one of the directories has.
    pub fn unmatched(&self) -> Unmatched {
        let only_a = self.a.configs(|key| !self.b.runs.contains_key(key));
        let only_b = self.b.configs(|key| !self.a.runs.contains_key(key));
        let both = !only_a.is_empty() && !only_b.is_empty();
        let changes = both.then(|| changes(&only_a, &self.b.configs(|_| true)));
        let ids = |runs: BTreeMap<String, _>| runs.into_keys().collect();
        Unmatched { only_a: ids(only_a), only_b: ids(only_b), changes }
    }

    /// The common runs grouped by the `label` of their axes, in natural order, with the final values
    /// of `metric`.
    pub fn groups(
        &self,
        metric: &str,
        label: impl Fn(&BTreeMap<String, String>) -> String,
    ) -> Vec<ComparedGroup> {
        let mut groups: BTreeMap<String, Vec<&String>> = BTreeMap::new();
        for key in self.common_keys() {
            groups.entry(label(&self.a.runs[key].0.axes)).or_default().push(key);
        }
        let group = |(label, keys): (String, Vec<&String>)| self.group(label, &keys, metric);
        let mut groups: Vec<ComparedGroup> = groups.into_iter().map(group).collect();
        groups.sort_by(|x, y| natural_order_of_parts(&x.label, &y.label, ' '));
        groups
    }

    fn group(&self, label: String, keys: &[&String], metric: &str) -> ComparedGroup {
        let steps: Vec<u64> = keys.iter().filter_map(|key| self.first_difference(key)).collect();
        let last = |side: &Side, key: &String| side.runs[key].0.final_metric(metric);
        let pairs: Vec<(f64, f64)> = keys
            .iter()
            .filter_map(|key| Some((last(&self.a, key)?, last(&self.b, key)?)))
            .collect();
        let mean = |values: Vec<f64>| mean(&values);
        let differences: Vec<f64> = pairs.iter().map(|(a, b)| b - a).collect();
        let interval = Interval::of(&differences, 0.95);
        let beyond_noise = if differences.is_empty() {
            None
        } else if differences.iter().all(|difference| *difference == 0.0) {
            Some(false)
        } else {
            interval.map(|it| it.low > 0.0 || it.high < 0.0)
        };
        ComparedGroup {
            label,
            runs: keys.len(),
            equal: keys.len() - steps.len(),
            first_step: steps.iter().min().copied(),
            mean_a: mean(pairs.iter().map(|(a, _)| *a).collect()),
            mean_b: mean(pairs.iter().map(|(_, b)| *b).collect()),
            difference: mean(differences),
            interval,
            beyond_noise,
        }
    }

    /// The first step at which the curves of a run differ, but for the clock.
    fn first_difference(&self, key: &str) -> Option<u64> {
        let (x, y) = (&self.a.runs[key].0.rows, &self.b.runs[key].0.rows);
        // As text, so that NaN equals NaN.
        let without_clock =
            |row: &CurveRow| format!("{:?}", CurveRow { seconds: None, ..row.clone() });
        let differing =
            x.iter().zip(y).find(|(one, other)| without_clock(one) != without_clock(other));
        let beyond = |rows: &[CurveRow], other: usize| rows.get(other).map(|row| row.step);
        differing
            .map(|(row, _)| row.step)
            .or_else(|| beyond(x, y.len()))
            .or_else(|| beyond(y, x.len()))
    }

    /// Facts on how the runs were made that differ between the directories.
    pub fn execution_differences(&self) -> Vec<ExecutionDifference> {
        let provenance: [(&'static str, Fact); 7] = [
            ("revision", |made| {
                let changed = if made.revision.dirty { " with changes" } else { "" };
                format!("{}{changed}", made.revision.git)
            }),
            ("libtorch", |made| made.execution.libtorch.clone()),
            ("device", |made| made.execution.device.clone()),
            ("capability", |made| made.execution.capability.clone()),
            ("threads", |made| made.execution.threads.to_string()),
            ("layout", |made| made.execution.layout.word().to_owned()),
            ("data", |made| made.data.clone()),
        ];
        let mut found = Vec::new();
        for (fact, of) in provenance {
            let values = |side: &Side| side.made().map(of).collect::<BTreeSet<_>>();
            let (a, b) = (values(&self.a), values(&self.b));
            if a != b && !a.is_empty() && !b.is_empty() {
                let [a, b] = [a, b].map(|values| values.into_iter().collect());
                found.push(ExecutionDifference { fact, a, b });
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fathom_record::State;

    fn comparison(a: Vec<CurveRow>, b: Vec<CurveRow>) -> Comparison {
        let side = |rows| {
            let run = RunCurve {
                id: "r".into(),
                axes: BTreeMap::new(),
                keys: BTreeMap::new(),
                seed: 0,
                state: State::Done,
                rows,
            };
            Side { runs: [("key".to_owned(), (run, Provenance::default()))].into() }
        };
        Comparison { a: side(a), b: side(b) }
    }

    fn row(step: u64, loss: f64, seconds: f64) -> CurveRow {
        let seconds = Some(seconds);
        CurveRow { step, train_loss: Some(loss), seconds, ..CurveRow::default() }
    }

    #[test]
    fn curves_differ_at_the_first_row_that_is_not_equal_but_for_the_clock() {
        let first = |a, b| comparison(a, b).first_difference("key");
        let nan = f64::NAN;
        assert_eq!(first(vec![row(0, nan, 1.0)], vec![row(0, nan, 2.0)]), None);
        let [one, two] = [row(0, 1.0, 0.0), row(5, 2.0, 0.0)];
        assert_eq!(
            first(vec![one.clone(), two.clone()], vec![one.clone(), row(5, 3.0, 0.0)]),
            Some(5)
        );
        assert_eq!(first(vec![one.clone()], vec![one.clone(), two.clone()]), Some(5));
        assert_eq!(first(vec![one.clone(), two], vec![one]), Some(5));
    }

    #[test]
    fn one_seed_that_differs_is_neither_noise_nor_beyond_it() {
        let (a, b) = (row(9, 1.0, 0.0), row(9, 2.0, 0.0));
        let groups = |b| comparison(vec![a.clone()], vec![b]).groups("train_loss", |_| "x".into());
        let differing = &groups(b)[0];
        assert_eq!((differing.difference, differing.beyond_noise), (Some(1.0), None));
        assert_eq!((differing.equal, differing.first_step), (0, Some(9)));
        assert_eq!(groups(a.clone())[0].beyond_noise, Some(false));
        let other = comparison(vec![a.clone()], vec![a]).groups("test_loss", |_| "x".into());
        assert_eq!(other[0].beyond_noise, None, "nothing was measured");
    }
}
