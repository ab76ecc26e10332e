//! Experiments in two stages: a key is tuned on seeds of its own, and the other seeds run at its best value.

use super::SpecError;
use super::claim::Tune;
use super::contrast::{Arm, tune_candidates};
use super::expand::Run;
use super::resolve::Config;
use fathom_base::plain;
use fathom_record::Seed;
use std::collections::{BTreeMap, BTreeSet};

/// The two stages of an experiment with a table `[tune]`. In the first one, the tuning seeds run with all values of the
/// tuned key; in the second one, each arm runs the seeds of the sweep with its best value.
#[derive(Clone, Debug)]
pub struct Stages {
    /// How values are chosen.
    pub tune: Tune,
    /// The arms: configurations that differ in more than the tuned key and the seed.
    pub arms: Vec<Arm>,
}

impl Stages {
    /// The arms among all runs of an experiment; `place` is for errors.
    ///
    /// # Errors
    /// When an arm has two runs with the same seed and value.
    pub(super) fn of(tune: Tune, runs: &[Run], place: &str) -> Result<Self, SpecError> {
        let mut groups: BTreeMap<String, Vec<&Run>> = BTreeMap::new();
        for run in runs {
            groups.entry(label(run, &tune)).or_default().push(run);
        }
        let arm = |(label, runs): (String, Vec<&Run>)| {
            let found: Vec<(&String, &Config)> =
                runs.iter().map(|run| (&run.id, &run.config)).collect();
            let candidates = tune_candidates(&found, Some(&tune.over), &label);
            let fail = |message| SpecError { place: place.into(), message };
            Ok(Arm { candidates: candidates.map_err(fail)?, label, weight: 1.0 })
        };
        let arms = groups.into_iter().map(arm).collect::<Result<_, _>>()?;
        Ok(Self { tune, arms })
    }

    /// Leaves out the arms of which no run is wanted.
    pub fn retain(&mut self, is_wanted: impl Fn(&str) -> bool) {
        self.arms.retain(|arm| {
            let mut ids = arm.candidates.iter().flat_map(|candidate| candidate.runs.values());
            ids.any(|id| is_wanted(id))
        });
    }

    /// The seeds of the second stage.
    pub fn seeds(&self) -> BTreeSet<Seed> {
        let runs = self.arms.iter().flat_map(|arm| &arm.candidates).flat_map(|one| one.runs.keys());
        runs.filter(|seed| !self.tune.seeds.contains(seed)).copied().collect()
    }

    /// Ids of runs that take as much time as those of the second stage: of each arm those with one of the values.
    pub fn like_second(&self) -> BTreeSet<&String> {
        let first = self.arms.iter().filter_map(|arm| arm.candidates.first());
        let runs = first.flat_map(|candidate| &candidate.runs);
        runs.filter(|(seed, _)| !self.tune.seeds.contains(seed)).map(|(_, id)| id).collect()
    }
}

/// The arm of a run: the values of the keys in which runs differ, without the tuned one and the seed.
fn label(run: &Run, tune: &Tune) -> String {
    let others = run.axes.iter().filter(|key| *key != "seed" && **key != tune.over);
    let values = others.filter_map(|key| run.config.get(key)).map(plain);
    run.arm.iter().cloned().chain(values).collect::<Vec<_>>().join(" ")
}
