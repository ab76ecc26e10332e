//! Runs on a device that are stopped or killed and go on end with the bytes of undisturbed ones.

use super::{Machine, is_full};
use crate::session::{ARMS, NEVER, job, outcome, resumed, runs, session};
use crate::support::with_experiment;
use fathom::protocol::{CheckpointInterval, Job, STOPPED};
use fathom::record::CudaUse;

#[test]
fn recorded_runs_go_on_exactly_after_being_stopped_and_killed() {
    let folder = with_experiment(ARMS);
    if Machine::new(folder.path()).is_none() {
        return;
    }
    // Momentum with watched warm-up and sub-batches; Adam with crops; dropout; stochastic depth and Muon.
    let telling = ["residual", "preact", "dense", "stochastic depth"];
    let runs = runs(folder.path()).into_iter();
    let wanted = |arm: &Option<String>| {
        is_full() || arm.as_ref().is_some_and(|arm| telling.contains(&arm.as_str()))
    };
    let runs: Vec<_> = runs.filter(|run| wanted(&run.arm)).collect();
    assert!(runs.len() >= telling.len());
    let ways = [
        CudaUse::default(),
        CudaUse { graphs: false, resident: false, deterministic: true, fused: true },
    ];
    for (run, cuda) in runs.iter().flat_map(|run| ways.map(|way| (run, way))) {
        let of = |name: &str| Job {
            device: "cuda:0".into(),
            cuda,
            checkpoint: CheckpointInterval::Steps(3),
            ..job(run, &folder.path().join(format!("{name}-{}", cuda.graphs)), 1)
        };
        let (alone, disturbed) = (of("alone"), of("disturbed"));
        assert_eq!(session(&alone, NEVER, 0).0, Some(0), "{}", run.id);
        // Rows come at 0, 2, 4 …, checkpoints at 3, 6, 9.
        assert_eq!(session(&disturbed, 5, libc::SIGKILL).0, None, "{}", run.id);
        let (code, told) = session(&disturbed, 1, libc::SIGTERM);
        assert_eq!(code, Some(i32::from(STOPPED)), "{}: {told:?}", run.id);
        assert!(resumed(&told) >= Some(6), "{}: {told:?}", run.id);
        assert_eq!(session(&disturbed, NEVER, 0).0, Some(0), "{}", run.id);
        assert_eq!(outcome(&alone), outcome(&disturbed), "{}", run.id);
    }
}
