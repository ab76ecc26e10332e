//! What follows from the failure of a run: retries of the run, and consequences for other runs. The
//! batch size is never reduced, since that would be another experiment.

use fathom_record::State;

/// Another attempt at a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Retry {
    /// Pause before the attempt, in seconds.
    pub pause: u32,
    /// Whether the run must have its device to itself.
    pub alone: bool,
    /// Whether the attempt should be on another device if there is one.
    pub elsewhere: bool,
}

/// Which runs the cause of a failure concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FailureScope {
    /// Only the run that failed.
    ThisRun,
    /// The run did not fail, so its device works.
    NoFailure,
    /// All runs with the same data set.
    SameData,
    /// All runs of the sweep.
    AllRuns,
    /// Runs on the same device, which may be what failed.
    Device,
}

/// The retry of a run that failed for the `failures`-th time in this sweep; `None` if there is none.
/// `signal` is the one that ended the worker.
pub(super) fn retry(state: State, signal: Option<i32>, failures: u32) -> Option<Retry> {
    let most = match state {
        State::OutOfMemory | State::LostDevice => 2,
        State::Killed => 3,
        State::Done
        | State::Diverged
        | State::Pending
        | State::Interrupted
        | State::BadData
        | State::Disk
        | State::Failed => 0,
    };
    // The kernel sends SIGKILL when memory runs out; a single one may have been sent by a person.
    let is_short_of_memory = state == State::OutOfMemory
        || (state == State::Killed && signal == Some(libc::SIGKILL) && failures >= 2);
    (failures <= most).then(|| Retry {
        pause: 1 << (failures.max(1) - 1),
        alone: is_short_of_memory,
        elsewhere: state == State::LostDevice,
    })
}

/// Which runs a failure of this kind concerns.
pub(super) fn failure_scope(state: State) -> FailureScope {
    match state {
        State::Disk => FailureScope::AllRuns,
        State::BadData => FailureScope::SameData,
        State::OutOfMemory | State::Killed | State::LostDevice => FailureScope::Device,
        State::Done | State::Diverged => FailureScope::NoFailure,
        State::Pending | State::Interrupted | State::Failed => FailureScope::ThisRun,
    }
}

/// Message for a signal that ended a worker.
pub(super) fn describe_signal(signal: i32) -> String {
    let why = match signal {
        libc::SIGKILL => ", as the system does when memory runs out",
        libc::SIGSEGV | libc::SIGBUS | libc::SIGILL | libc::SIGFPE => ", a fault in its libraries",
        libc::SIGABRT => ", sent by a library that aborted: see log.txt",
        _ => "",
    };
    format!("killed by signal {signal}{why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(state: State, signal: Option<i32>) -> Vec<(u32, bool, bool)> {
        (1..9)
            .map_while(|failures| retry(state, signal, failures))
            .map(|retry| (retry.pause, retry.alone, retry.elsewhere))
            .collect()
    }

    #[test]
    fn the_table_of_retries() {
        let kill = Some(libc::SIGKILL);
        assert_eq!(row(State::OutOfMemory, None), [(1, true, false), (2, true, false)]);
        assert_eq!(
            row(State::Killed, kill),
            [(1, false, false), (2, true, false), (4, true, false)]
        );
        let fault = row(State::Killed, Some(libc::SIGSEGV));
        assert_eq!(fault, [(1, false, false), (2, false, false), (4, false, false)]);
        assert_eq!(row(State::LostDevice, None), [(1, false, true), (2, false, true)]);
        use State::{BadData, Disk, Diverged, Done, Failed, Interrupted};
        for state in [BadData, Disk, Diverged, Done, Failed, Interrupted] {
            assert_eq!(row(state, None), []);
        }
    }

    #[test]
    fn the_message_for_sigkill_names_memory_as_the_cause() {
        let message = "killed by signal 9, as the system does when memory runs out";
        assert_eq!(describe_signal(libc::SIGKILL), message);
        assert_eq!(describe_signal(libc::SIGTERM), "killed by signal 15");
    }
}
