//! The runs of a sweep at the best value of one of its keys.

use crate::best::best;
use crate::evidence::Evidence;
use fathom_base::key::short;
use fathom_record::{RunGroup, SweepCurves, group};
use fathom_spec::{Arm, Tune, TuneCandidate};
use std::collections::BTreeSet;

/// For each configuration of the other keys, the runs at its own best value of a key.
#[derive(Clone, Debug, PartialEq)]
pub struct BestRuns {
    /// Name of the key among the axes of the runs.
    pub axis: String,
    /// How the best values were chosen.
    pub tune: Tune,
    /// Ids of the runs at the best values, without those of the seeds that chose.
    pub runs: BTreeSet<String>,
    /// The reasons why configurations have no best value yet.
    pub open: Vec<String>,
}

impl BestRuns {
    /// Chooses the best value of a key for each configuration as claims do; `None` if runs do not differ in it.
    pub fn of(curves: &SweepCurves, tune: &Tune, evidence: &Evidence) -> Option<Self> {
        let full = |axis: &String| curves.runs.iter().find_map(|run| run.keys.get(axis));
        let mut axes = curves.axes();
        let is_tuned =
            |axis: &String| full(axis).map_or(*axis == short(&tune.over), |key| *key == tune.over);
        let place = axes.iter().position(is_tuned)?;
        let axis = axes.remove(place);
        let by_value = std::slice::from_ref(&axis);
        if curves.groups(by_value).len() < 2 {
            return None;
        }
        let (mut runs, mut open) = (BTreeSet::new(), Vec::new());
        for same in curves.groups(&axes) {
            let values = group(&same.runs, by_value);
            let arm = Arm {
                label: same.values.join(" "),
                weight: 1.0,
                candidates: values.iter().map(candidate).collect(),
            };
            let chosen = match arm.candidates.as_slice() {
                [only] => Ok(only),
                _ => best(&arm, tune, evidence),
            };
            match chosen {
                Ok(chosen) => {
                    let compared =
                        chosen.runs.iter().filter(|(seed, _)| !tune.seeds.contains(seed));
                    runs.extend(compared.map(|(_, id)| id.clone()));
                }
                Err(reason) => open.push(format!("{}: {reason}", arm.label)),
            }
        }
        Some(Self { axis, tune: tune.clone(), runs, open })
    }
}

/// The runs of one value of the key.
fn candidate(same: &RunGroup) -> TuneCandidate {
    let runs = same.runs.iter().map(|run| (run.seed, run.id.clone())).collect();
    TuneCandidate { value: same.values.first().map(|value| value.as_str().into()), runs }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fathom_record::{CurveRow, RunCurve, State};

    /// A run of 8 or 44 layers whose training error ends at a value; `None` if it has not ended.
    fn run(depth: &str, lr: &str, seed: u64, error: Option<f64>) -> RunCurve {
        let axes = [("depth", depth), ("lr", lr)];
        RunCurve {
            id: format!("{depth}-{lr}-{seed}"),
            axes: axes.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            keys: [("lr".to_owned(), "training.lr".to_owned())].into(),
            seed: seed.into(),
            state: if error.is_some() { State::Done } else { State::Interrupted },
            rows: vec![CurveRow { step: 1, train_err_pct: error, ..CurveRow::default() }],
        }
    }

    fn best_of(runs: Vec<RunCurve>) -> Option<BestRuns> {
        let by_id = runs.iter().map(|run| (run.id.clone(), run.clone())).collect();
        let evidence = Evidence::new(by_id, Default::default());
        let (over, by) = ("training.lr".to_owned(), "train_err_pct".to_owned());
        let tune = Tune { over, seeds: [100].into(), by };
        BestRuns::of(&SweepCurves { runs }, &tune, &evidence)
    }

    #[test]
    fn each_configuration_has_its_own_best_value_and_the_seeds_that_chose_are_left_out() {
        // By the runs of seed 0, the other rate would be the better one.
        let runs = vec![
            run("8", "0.1", 100, Some(10.0)),
            run("8", "1.0", 100, Some(20.0)),
            run("8", "0.1", 0, Some(30.0)),
            run("8", "1.0", 0, Some(5.0)),
            run("44", "0.1", 100, Some(20.0)),
            run("44", "1.0", 100, Some(10.0)),
            run("44", "1.0", 0, Some(12.0)),
        ];
        let best = best_of(runs.clone()).unwrap();
        assert_eq!(Vec::from_iter(&best.runs), ["44-1.0-0", "8-0.1-0"]);
        assert_eq!((best.axis.as_str(), best.open.len()), ("lr", 0));
        let one_rate = runs.into_iter().filter(|run| run.axes["lr"] == "0.1").collect();
        assert_eq!(best_of(one_rate), None, "nothing to choose");
    }

    #[test]
    fn a_configuration_whose_choosing_runs_have_not_ended_has_no_best_value_and_says_why() {
        let runs = vec![run("8", "0.1", 100, Some(10.0)), run("8", "1.0", 100, None)];
        let best = best_of(runs).unwrap();
        assert!(best.runs.is_empty());
        assert_eq!(best.open, ["8: 8-1.0-100 is interrupted"]);
    }
}
