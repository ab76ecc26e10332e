//! What an update asks of the device and of the processor.

use super::{Machine, SIZES};
use crate::support::with_experiment;
use std::time::Instant;

/// Counts and seconds of one update.
struct PerUpdate {
    launches: f64,
    replays: f64,
    waits: f64,
    calls: f64,
    seconds: f64,
}

/// The counts of one update, as the difference between a longer and a shorter run, which have the same
/// start and end; `None` without the emulated device.
fn per_update(more: &str) -> Option<PerUpdate> {
    let folder = with_experiment("");
    let machine = Machine::new(folder.path())?;
    let count = |updates: u32| {
        let (before, begun) = (machine.counts(), Instant::now());
        machine.succeed(&format!(
            "run tiny.toml --device cuda --threads 1 --out {updates} --checkpoint 1000000 \
             --set training.iterations={updates} --set evaluate.every={updates} {SIZES} {more}"
        ));
        let (after, seconds) = (machine.counts(), begun.elapsed().as_secs_f64());
        let counts = ["LAUNCH", "REPLAY", "WAIT", "CALLS"];
        let [launches, replays, waits, calls] =
            counts.map(|what| (after.of(what) - before.of(what)) as f64);
        [launches, replays, waits, calls, seconds]
    };
    let (short, long) = (count(40), count(240));
    let [launches, replays, waits, calls, seconds] =
        std::array::from_fn(|at| (long[at] - short[at]) / 200.0);
    Some(PerUpdate { launches, replays, waits, calls, seconds })
}

#[test]
fn a_recorded_update_is_one_replay_with_few_launches_and_waits_around_it() {
    for (augment, schedule, most) in
        [("none", "cosine", 2.6), ("crop-flip", "cosine", 2.6), ("crop-flip", "constant", 1.6)]
    {
        let more = format!("--set data.augment={augment} --set training.schedule.kind={schedule}");
        let Some(PerUpdate { launches, replays, waits, calls, seconds }) = per_update(&more) else {
            return;
        };
        eprintln!(
            "{augment}, {schedule}: {launches} launches, {replays} replays, {waits} waits, {calls} calls of the \
             host in all per update"
        );
        assert_eq!(replays, 1.0);
        // The loss is read every 50 updates, or more often on a slow machine, so that a quarter of a second of work is
        // ahead at most. A read is a wait with three launches and what they return.
        assert!(waits <= 0.1 + seconds / 0.25, "{waits} waits");
        // A learning rate that changes is written; batches of several updates are assembled at once.
        assert!(launches - 3.0 * waits <= 1.6, "{launches} launches");
        assert!(calls - 4.0 * waits <= most, "{calls} calls");
    }
}

#[test]
fn an_update_without_a_recording_launches_every_operation() {
    let Some(PerUpdate { launches, replays, .. }) = per_update("--no-graphs") else { return };
    assert_eq!(replays, 0.0);
    assert!(launches > 50.0, "{launches} launches");
}
