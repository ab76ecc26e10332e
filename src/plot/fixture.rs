//! Small results for the tests of this crate.

use fathom_record::{CurveRow, RunCurve, Seed, State};

/// A run whose training error is given by step; test error is 5 points higher.
pub(super) fn run(
    family: &str,
    depth: &str,
    seed: Seed,
    state: State,
    errors: &[(u64, f64)],
) -> RunCurve {
    let axes = [("family", family), ("depth", depth)];
    RunCurve {
        id: format!("{family}-{depth}-s{seed}"),
        axes: axes.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        keys: Default::default(),
        seed,
        state,
        rows: errors
            .iter()
            .map(|&(step, error)| CurveRow {
                schema: 1,
                step,
                train_err_pct: Some(error),
                test_err_pct: Some(error + 5.0),
                train_images: 2000,
                seconds: Some(0.0),
                ..CurveRow::default()
            })
            .collect(),
    }
}

/// A sweep of two families, two depths and three seeds. Error rises with depth for plain nets and
/// falls for residual ones.
pub(super) fn sweep() -> fathom_record::SweepCurves {
    sweep_of(3)
}

/// The same with another number of seeds.
pub(super) fn sweep_of(seeds: i32) -> fathom_record::SweepCurves {
    let mut runs = Vec::new();
    for (family, depth, end) in [
        ("plain", "8", 12.0),
        ("plain", "44", 40.0),
        ("residual", "8", 11.0),
        ("residual", "44", 7.0),
    ] {
        for seed in 0..seeds {
            let last = end + f64::from(seed) * 0.5;
            let errors = [(0, 90.0), (100, last + 20.0), (200, last + 5.0), (300, last)];
            runs.push(run(family, depth, seed.into(), State::Done, &errors));
        }
    }
    fathom_record::SweepCurves { runs }
}
