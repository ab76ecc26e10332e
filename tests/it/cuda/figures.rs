//! What an update asks of the device and of the processor.

use super::{Machine, SIZES};
use crate::support::with_experiment;

/// Counts of a longer run less those of a shorter one, for each update: what begins and ends a run is
/// in both.
fn per_update(more: &str) -> [f64; 4] {
    let folder = with_experiment("");
    let Some(machine) = Machine::new(folder.path()) else { return [0.0; 4] };
    let count = |updates: u32| {
        let before = machine.counts();
        machine.succeed(&format!(
            "run tiny.toml --device cuda --threads 1 --out {updates} --checkpoint 1000000 \
             --set training.iterations={updates} --set evaluate.every={updates} {SIZES} {more}"
        ));
        let after = machine.counts();
        ["LAUNCH", "REPLAY", "WAIT", "CALLS"].map(|what| (after.of(what) - before.of(what)) as f64)
    };
    let (short, long) = (count(40), count(240));
    std::array::from_fn(|at| (long[at] - short[at]) / 200.0)
}

#[test]
fn a_recorded_update_is_one_replay_with_few_launches_and_waits_around_it() {
    for augment in ["none", "crop-flip"] {
        let [launches, replays, waits, calls] =
            per_update(&format!("--set data.augment={augment}"));
        eprintln!(
            "{augment}: {launches} launches, {replays} replays, {waits} waits, {calls} calls of the \
             host in all per update"
        );
        if replays == 0.0 {
            return;
        }
        assert_eq!(replays, 1.0);
        // Two inputs are copied, as is the learning rate, for which the processor waits; crops of
        // several updates are assembled at once.
        assert!(launches <= 4.0, "{launches} launches");
        assert!(waits <= 1.25, "{waits} waits");
        assert!(calls <= 6.0, "{calls} calls");
    }
}

#[test]
fn an_update_without_a_recording_launches_every_operation() {
    let [launches, replays, ..] = per_update("--no-graphs");
    assert_eq!(replays, 0.0);
    assert!(launches == 0.0 || launches > 50.0, "{launches} launches");
}
